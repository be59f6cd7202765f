// Requests to this server, and their errors.

import { write } from "./seeds.js";

const KEY = "ancestral.key";
/** The server's address: what stands before `v1/…`. */
export const BASE = globalThis.document ? new URL(".", document.baseURI) : new URL("http://localhost:8000/");

/** An address of the API as the page reaches it: a proxy may not have told the server its own address. */
export const here = (url) => new URL(url.slice(url.indexOf("/v1/") + 1), BASE);

/** An answer that is an error, or no answer: then `status` is 0. */
export class ApiError extends Error {
  constructor(message, { status = 0, param = null, code = null, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, param, code, retryAfter });
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** The error of an envelope `{"error": {…}}`. */
export function errorOf(body, status = 0, retryAfter = null) {
  const error = body?.error ?? {};
  const seconds = Number(retryAfter ?? error.retry_after) || null;
  return new ApiError(error.message ?? `The server answered ${status}.`, { ...error, status, retryAfter: seconds });
}

/**
 * Sends a request. `json` or `form` is the body.
 * Throws ApiError for every answer that is not 2xx, and if there is none.
 */
export async function request(path, { method, json, form, headers = {}, signal } = {}) {
  const body = json === undefined ? form : write(json);
  const sent = { ...headers };
  if (key.get()) sent.authorization = `Bearer ${key.get()}`;
  if (json !== undefined) sent["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, BASE), {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: sent,
      body,
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("The server does not answer.");
  }
  if (response.ok) return response;
  const text = await response.text();
  let parsed = null;
  try {
    parsed = JSON.parse(text);
  } catch {
    /* not ours: a proxy's page */
  }
  throw errorOf(parsed, response.status, response.headers.get("retry-after"));
}

/** The JSON of an answer. */
export async function get(path, options) {
  return (await request(path, options)).json();
}

/** Yields the data of the server-sent events of a response. */
export async function* events(response) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of chunks(response)) {
    text += decoder.decode(bytes, { stream: true });
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5))
        .join("\n");
      if (!data) continue;
      const event = JSON.parse(data);
      if (event.error && !event.type) throw errorOf(event);
      yield event;
    }
  }
}

/** Yields the bytes of a response as they come. */
export async function* chunks(response) {
  const reader = response.body.getReader();
  try {
    for (;;) {
      let part;
      try {
        part = await reader.read();
      } catch (error) {
        if (error.name === "AbortError") throw error;
        throw new ApiError("The connection was lost before the end.");
      }
      if (part.done) return;
      yield part.value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The SHA-256 of bytes in hexadecimal; null where browsers offer none (plain http from another machine). */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether the output of a job comes out again, byte by byte. */
export async function verify(job, upload = {}) {
  const manifest = await get(`v1/jobs/${job}/manifest`);
  Object.assign(manifest.request, upload);
  return get("v1/verify", { json: manifest });
}
