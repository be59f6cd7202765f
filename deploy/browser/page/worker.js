// Pyodide and the library, in a worker: gets commands, answers with their events, one command after the other.

import catalog from "./catalog.js";
import { loadPyodide } from "./pyodide/pyodide.mjs";

const PYTHON = "pyodide/";
const checked = new Map(); // what Pyodide is about to fetch, by its address
const loaded = new Map(); // promises by part
const stopped = new Set(); // numbers of commands
const turn = new MessageChannel();
let python = null;

const address = (path) => new URL(path, import.meta.url).href;

/**
 * The bytes of a file, after their size and hash were compared with the list. `arrived` is told of each piece. One that
 * was kept may be damaged, or of another version; then it is fetched anew.
 */
async function fetched({ path, size, sha256 }, arrived, cache = "default") {
  if (!navigator.onLine && !(await caches.match(address(path)))) throw new Error(`${path} was not loaded yet, and there is no network.`);
  const response = await fetch(address(path), { cache });
  if (!response.ok) throw new Error(`${path} cannot be loaded: the answer is ${response.status}.`);
  const bytes = new Uint8Array(size);
  const reader = response.body.getReader();
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (length + value.length <= size) bytes.set(value, length);
    length += value.length;
    arrived(value.length);
  }
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (length === size && found === sha256) return bytes;
  arrived(-length);
  if (cache === "default") return fetched({ path, size, sha256 }, arrived, "reload");
  throw new Error(`${path} was changed, or damaged on its way: its SHA-256 is not the one in the page's list. Reload the page.`);
}

/** Starts Pyodide with its packages. Addresses that it fetches are answered with what was checked. */
async function start(files) {
  for (const [path, bytes] of files) checked.set(address(path), bytes);
  const fetchAnywhere = self.fetch;
  self.fetch = (resource, options) => {
    const bytes = checked.get(new URL(resource.url ?? resource, import.meta.url).href);
    if (!bytes) return fetchAnywhere(resource, options);
    const type = String(resource.url ?? resource).endsWith(".wasm") ? "application/wasm" : "application/octet-stream";
    return Promise.resolve(new Response(bytes, { headers: { "content-type": type } }));
  };
  python = await loadPyodide({ indexURL: address(PYTHON) });
  self.fetch = fetchAnywhere;
  checked.clear();
  for (const [path, bytes] of files) if (path.endsWith(".whl")) unpack(bytes);
}

const unpack = (bytes, extractDir = python.runPython("import site; site.getsitepackages()[0]")) => python.unpackArchive(bytes, "zip", { extractDir });

/** Unpacks the library or a dictionary; or a model or a network of voices, whose weights deploy/browser/compact.py restores. */
function place(part, files) {
  const ofLibrary = part === "library" || part.startsWith("dictionary");
  files.forEach(([, bytes]) => (ofLibrary ? unpack(bytes) : unpack(bytes, "/")));
  if (!ofLibrary) python.runPython(`from deploy.browser import compact; compact.restore("/models")`);
}

/** Loads the parts that are missing, and says how far it is. */
async function load(parts, report) {
  const missing = parts.filter((part) => !loaded.has(part));
  const total = missing.flatMap((part) => catalog.parts[part]).reduce((sum, file) => sum + file.size, 0);
  let done = 0;
  for (const part of missing) {
    const one = (async () => {
      const files = [];
      for (const file of catalog.parts[part]) {
        const arrived = (bytes) => report({ what: part, done: (done += bytes), total });
        files.push([file.path, await fetched(file, arrived)]);
      }
      report({ what: part === "python" ? "starting Python" : "unpacking", done, total });
      await (part === "python" ? start(files) : place(part, files));
    })();
    loaded.set(part, one);
    await one.catch((error) => {
      loaded.delete(part); // the next try asks again
      throw error;
    });
  }
}

/** Lets messages in, which a command may have to stop for. */
function macrotask() {
  turn.port1.postMessage(null);
  return new Promise((resolve) => (turn.port2.onmessage = resolve));
}

/** Runs a command of deploy/browser/studio.py. */
async function run(id, command, request) {
  const studio = python.pyimport("studio");
  const given = python.toPy(request);
  const events = studio.answer(command, given);
  try {
    for (;;) {
      if (stopped.has(id)) return;
      const { done, value } = events.next();
      if (done) return;
      const event = value.toJs({ dict_converter: Object.fromEntries });
      value.destroy();
      postMessage({ id, event }, event.sound ? [event.sound.buffer] : []);
      await macrotask();
    }
  } finally {
    events.destroy();
    given.destroy();
    studio.destroy();
  }
}

let queue = Promise.resolve();
self.onmessage = ({ data: { id, command, parts, request } }) => {
  if (command === "stop") {
    stopped.add(id);
    return;
  }
  queue = queue.then(async () => {
    try {
      await load(parts, (progress) => postMessage({ id, progress }));
      if (command !== "load") await run(id, command, request);
      postMessage({ id, done: true });
    } catch (error) {
      postMessage({ id, error: error.type ? error.message.trim().split("\n").at(-1) : error.message });
    }
    stopped.delete(id);
  });
};
