// The worker, as the views use it.

import catalog from "./catalog.js";

const MEGABYTE = 1e6;
const PATIENCE_MS = 3000;
const NAMES = { python: "Python and numpy", library: "the library" };

/** Bytes of SIMD in WebAssembly: a function with one of its instructions. */
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

/** What this browser lacks of what the page needs; empty if nothing. */
export function lacking() {
  const has = {
    "WebAssembly": () => Boolean(globalThis.WebAssembly),
    "SIMD in WebAssembly": () => WebAssembly.validate(new Uint8Array(SIMD)),
    "workers": () => Boolean(globalThis.Worker),
    "64-bit integers": () => Boolean(globalThis.BigInt64Array),
    "Web Crypto, which needs https or localhost": () => Boolean(globalThis.crypto?.subtle),
  };
  return Object.keys(has).filter((name) => !has[name]());
}

/** An error that names the field it is about, as those of a server do. */
const failure = (message, param = null) => Object.assign(new Error(message), { param });

export class Engine extends EventTarget {
  constructor() {
    super();
    Object.assign(this, { count: 0, running: new Map() });
  }

  /** Starts the worker, behind the service worker where there is one, so that all it loads stays. */
  async start() {
    if (navigator.serviceWorker) {
      try {
        await navigator.serviceWorker.register("offline.js");
        const controlled = new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve));
        const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
        if (!navigator.serviceWorker.controller) await Promise.race([controlled, late]);
      } catch {
        // private browsing: the page works, but not without a network
      }
    }
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.running.get(data.id)?.(data);
    this.worker.onerror = (event) => this.fail(event.message || "The worker cannot be loaded.");
  }

  fail(message) {
    this.failed = message;
    for (const take of [...this.running.values()]) take({ error: message });
  }

  /** The parts that a model needs; for a voice its network, and the dictionary of its language. */
  parts(model, voice = null) {
    const of = voice ? [`dictionary-${voice.language.slice(0, 2)}`, `${model}/${voice.network}`] : [];
    return ["python", "library", model, ...of].filter((part) => part in catalog.parts);
  }

  /** The events of a command. An aborted `signal` stops it. */
  async *events(command, request, { parts, signal } = {}) {
    if (this.failed) throw failure(this.failed);
    if (signal?.aborted) return;
    const id = ++this.count;
    const waiting = [];
    let wake = null;
    this.running.set(id, (message) => {
      if (message.progress) this.report(message.progress);
      else waiting.push(message);
      wake?.();
    });
    const stop = () => this.worker.postMessage({ id, command: "stop" });
    signal?.addEventListener("abort", stop);
    this.worker.postMessage({ id, command, parts, request });
    try {
      for (;;) {
        while (!waiting.length) await new Promise((resolve) => (wake = resolve));
        const { event, error, done } = waiting.shift();
        if (error) throw failure(error);
        if (event?.error) throw failure(event.error, event.param);
        if (done) return;
        yield event;
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      this.running.delete(id);
      this.report(null);
    }
  }

  /** The only event of a command. */
  async ask(command, request, options) {
    let found = null;
    for await (const event of this.events(command, request, options)) found = event;
    return found;
  }

  report(progress) {
    const detail = progress && {
      ...progress,
      text: `${NAMES[progress.what] ?? progress.what.replace("dictionary-", "dictionary: ").replace(/^.*\//, "voice: ")}, ${(progress.done / MEGABYTE).toFixed(1)} of ${(progress.total / MEGABYTE).toFixed(1)} MB`,
    };
    this.dispatchEvent(new CustomEvent("progress", { detail }));
  }
}
