// The server of this page.

import { Server } from "./ancestral.js";
import { storageOf } from "./store.js";

const KEY = "ancestral.key";
const tab = storageOf("sessionStorage");
/** The server's address: what stands before `v1/…`. */
export const BASE = globalThis.document ? new URL(".", document.baseURI) : new URL("http://localhost:8000/");

/** An address of the API as the page reaches it: a proxy may not have told the server its own address. */
export const here = (url) => new URL(url.slice(url.indexOf("/v1/") + 1), BASE);

export const key = {
  get: () => tab.getItem(KEY) ?? "",
  set: (value) => (value ? tab.setItem(KEY, value) : tab.removeItem(KEY)),
};

/** People are told at once what goes wrong; streams that have begun go on by themselves. */
export const server = new Server(BASE, { apiKey: key.get, attempts: 1 });

/** Sends a request; see `Server.request`. */
export const request = (path, options) => server.request(path, options);

/** The JSON of an answer. */
export const get = (path, options) => server.get(path, options);

/** Whether the output of a job comes out again, byte by byte. */
export async function verify(job, upload = {}) {
  const manifest = await get(`v1/jobs/${job}/manifest`);
  Object.assign(manifest.request, upload);
  return get("v1/verify", { json: manifest });
}
