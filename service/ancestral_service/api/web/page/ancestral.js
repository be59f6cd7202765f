// A client of an Ancestral server: one file without dependencies, for browsers and Node (docs/javascript.md).

const ATTEMPTS = 12;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 30_000;
const RATE = 24_000;
/** Headers that say what the bytes of an answer were made from. */
const MAKES_BYTES = ["x-seed", "x-model-sha256", "x-engine"];
/** Chunks of a sound that are read before its words are asked for again. */
const BETWEEN_QUESTIONS = 8;

/** An answer that is an error, or no answer: then `status` is 0. `mayPass` says whether the same request may succeed later. */
export class ApiError extends Error {
  constructor(message, { status = 0, param = null, code = null, retryAfter = null, mayPass = true } = {}) {
    super(message);
    Object.assign(this, { status, param, code, retryAfter, mayPass: mayPass && Boolean(!status || retryAfter || status >= 500) });
  }
}

/** The error of an envelope `{"error": {…}}`. */
export function errorOf(body, status = 0, headers = null) {
  const error = body?.error ?? {};
  const retryAfter = Number(headers?.get("retry-after") ?? error.retry_after) || null;
  const mayPass = headers?.get("x-should-retry") !== "false";
  return new ApiError(error.message ?? `The server answered ${status}.`, { ...error, status, retryAfter, mayPass });
}

/** Writes JSON; seeds, which are strings of digits, are numbers in it as far as JavaScript can write them. */
export function write(value, space) {
  const number = (key, part) => (key === "seed" && /^\d+$/.test(part) && Number.isSafeInteger(+part) ? +part : part);
  return JSON.stringify(value, number, space);
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

/** Turns chunks of bytes of any size into 16-bit samples. */
export class Samples {
  rest = new Uint8Array(0);

  take(bytes) {
    const all = joined([this.rest, bytes]);
    const even = all.length - (all.length % 2);
    this.rest = all.slice(even);
    return new Int16Array(all.buffer.slice(0, even));
  }
}

/** The SHA-256 of bytes in hexadecimal; null where browsers offer none (plain http from another machine). */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A server. `apiKey` is its key, or a function that gives it; `attempts` says how often a request is tried. */
export class Server {
  constructor(url, { apiKey = "", attempts = ATTEMPTS } = {}) {
    this.url = new URL(url);
    if (!this.url.pathname.endsWith("/")) this.url.pathname += "/";
    this.apiKey = typeof apiKey === "function" ? apiKey : () => apiKey;
    this.attempts = attempts;
  }

  /**
   * Sends a request. `json` or `form` is the body. One without an answer, and one that may succeed later, is tried again:
   * what makes a job needs an idempotency key among its `headers`.
   * Throws ApiError for every answer that is not 2xx, and if there is none.
   */
  async request(path, { method, json, form, headers = {}, signal, attempts = this.attempts } = {}) {
    const body = json === undefined ? form : write(json);
    const sent = { ...headers };
    if (this.apiKey()) sent.authorization = `Bearer ${this.apiKey()}`;
    if (json !== undefined) sent["content-type"] = "application/json";
    const options = { method: method ?? (body === undefined ? "GET" : "POST"), headers: sent, body, signal };
    for (let failed = 1; ; failed++) {
      try {
        return await answer(new URL(path, this.url), options);
      } catch (error) {
        await again(error, failed, attempts, signal);
      }
    }
  }

  /** The JSON of an answer. */
  async get(path, options) {
    return (await this.request(path, options)).json();
  }

  /** A model by its id or an alias. */
  load(model) {
    return new Model(this, async () => model);
  }

  /** A voice of the first model that has it; a mix such as `heart(2)+joe(1)`, or the first voice of all. */
  voice(voice = null) {
    const model = async () => {
      const { voices } = await this.get("v1/audio/voices");
      const wanted = String(voice ?? voices.find((one) => one.capabilities.speech)?.id).split(/\([^)]*\)|\+/);
      const first = wanted.map((name) => name.trim()).find(Boolean);
      const found = voices.find(({ id, aliases }) => id === first || aliases.includes(first));
      if (!found?.capabilities.speech) throw new ApiError(`voice: there is no ${voice}`, { status: 400, param: "voice" });
      return found.capabilities.speech[0];
    };
    return new Model(this, model).voice(voice);
  }

  /** One picture of the first model that draws this; as `Model.draw`. */
  async draw(prompt, options) {
    return new Model(this, () => this.#drawer(prompt)).draw(prompt, options);
  }

  /** The exact likelihood of a picture under the first model that draws `prompt`; as `Model.score`. */
  async score(image, prompt) {
    return new Model(this, () => this.#drawer(prompt)).score(image, prompt);
  }

  async #drawer(prompt) {
    const names = String(prompt).toLowerCase().split(",").map((name) => name.trim());
    const wanted = names.filter((name) => name && name !== "any");
    const known = new Map();
    for (const { model, id } of (await this.get("v1/images/classes")).data) {
      if (!known.has(model)) known.set(model, new Set());
      known.get(model).add(id.toLowerCase());
    }
    for (const { id, capabilities } of (await this.get("v1/models")).data) {
      if (capabilities.includes("image_generation") && known.has(id) && wanted.every((name) => known.get(id).has(name))) return id;
    }
    throw new ApiError(`prompt: no model draws ${prompt}`, { status: 400, param: "prompt" });
  }

  /** Whether a file (Blob or bytes) was made by a model of the server, and the evidence. `options` are those of `/v1/detect`. */
  async detect(file, options = {}) {
    return this.figures("v1/detect", { ...options, file });
  }

  /** What the server computes of a file, one of the `fields` of a form: it answers with that, or with a job, which is awaited. */
  async figures(path, fields) {
    const response = await this.request(path, { form: formOf(fields), headers: { "idempotency-key": newKey() } });
    if (response.status !== 202) return response.json();
    const { id } = await response.json();
    await this.wait(id);
    return JSON.parse(new TextDecoder().decode((await this.content(id)).bytes));
  }

  /** The id of the job that a request has become. */
  async submit(path, json, { signal } = {}) {
    const headers = { prefer: "respond-async", "idempotency-key": newKey() };
    return (await this.get(path, { json, headers, signal })).id;
  }

  /** A job; throws ApiError if it has failed or has been cancelled. */
  async job(job, options) {
    const found = await this.get(`v1/jobs/${job}`, options);
    if (found.status !== "failed" && found.status !== "cancelled") return found;
    throw new ApiError(found.error?.message ?? `The job is ${found.status}.`, { ...found.error, status: 409 });
  }

  /** Resolves with a job when it is complete; throws ApiError if it fails or is cancelled. */
  async wait(job, { signal, attempts = this.attempts } = {}) {
    for (let failed = 1; ; failed++) {
      const found = await this.job(job, { signal, attempts });
      if (found.status === "completed") return found;
      try {
        for await (const _ of events(await this.request(`v1/jobs/${job}/events`, { signal, attempts: 1 }))); // to the job's end
      } catch (error) {
        await again(error, failed, attempts, signal);
      }
    }
  }

  /** The output of a complete job: `{bytes, headers}`. Where the connection breaks, the rest is asked for. */
  async content(job, { signal, attempts = this.attempts } = {}) {
    let parts = [];
    for (let have = 0, failed = 1; ; failed++) {
      const headers = have ? { range: `bytes=${have}-` } : {};
      const response = await this.request(`v1/jobs/${job}/content`, { headers, signal, attempts });
      if (response.status !== 206) [parts, have] = [[], 0];
      try {
        for await (const piece of chunks(response)) {
          parts.push(piece);
          have += piece.length;
          failed = 1;
        }
      } catch (error) {
        await again(error, failed, attempts, signal);
        continue;
      }
      const bytes = joined(parts);
      const digest = await sha256(bytes);
      if (digest && response.headers.get("etag") !== `"${digest}"`) throw new ApiError("The output differs from its hash.");
      return { bytes, headers: response.headers };
    }
  }

  /** Stops a job, if it has not ended. */
  async cancel(job) {
    try {
      await this.request(`v1/jobs/${job}/cancel`, { method: "POST", attempts: 1 });
    } catch (error) {
      if (error.status !== 404 && error.code !== "job_ended") throw error;
    }
  }
}

/** Connects to a server: `connect("http://localhost:8000", { apiKey })`. Nothing is sent yet. */
export const connect = (url, options) => new Server(url, options);

/**
 * The bytes of an answer while they are sampled. Where the connection breaks, the request is sent again with its
 * idempotency key: that is the same job, and what has been received is skipped. A job that has been cancelled, has
 * failed or is gone is not begun again. `attempts` are those before the first
 * byte, `resumes` those from then on, each time that nothing more comes. `signal` stops the job, too.
 */
export class Stream {
  #open = null;
  #key = newKey();

  constructor(server, path, json, { signal, attempts = server.attempts, resumes = server.attempts } = {}) {
    Object.assign(this, { server, path, json, signal, attempts, resumes, headers: null, job: null });
    // With its key the job would wait for whoever has left.
    signal?.addEventListener("abort", () => this.job && server.cancel(this.job).catch(() => {}));
  }

  /** Resolves with the headers of the answer. */
  async open() {
    await this.#response(this.attempts);
    return this.headers;
  }

  #response(attempts) {
    return (this.#open ??= this.#send(attempts));
  }

  async #send(attempts) {
    const { json, signal, server } = this;
    if (this.job) await server.job(this.job, { signal, attempts }); // one that came to nothing would be made again
    const headers = { "idempotency-key": this.#key };
    const response = await server.request(this.path, { json, signal, attempts, headers });
    this.job = response.headers.get("x-job-id");
    if (response.status !== 202) return this.#take(response.headers, response);
    await response.text(); // the server takes it only as a job
    return this.#awaited();
  }

  async #awaited() {
    const options = { signal: this.signal, attempts: this.resumes };
    try {
      await this.server.wait(this.job, options);
      const { bytes, headers } = await this.server.content(this.job, options);
      return this.#take(headers, new Response(bytes));
    } catch (error) {
      if (error instanceof ApiError) error.mayPass = false; // it has been tried as often as it may
      throw error;
    }
  }

  #take(headers, response) {
    if (this.headers && MAKES_BYTES.some((name) => this.headers.get(name) !== headers.get(name))) {
      throw new ApiError("The rest would come from another engine or model.", { status: 409 });
    }
    this.headers = headers;
    return response;
  }

  async *[Symbol.asyncIterator]() {
    let attempts = this.attempts;
    for (let have = 0, failed = 1; ; failed++) {
      let seen = 0;
      try {
        for await (const piece of chunks(await this.#response(1))) {
          const fresh = piece.subarray(Math.max(0, have - seen));
          seen += piece.length;
          if (!fresh.length) continue;
          have += fresh.length;
          failed = 1;
          attempts = this.resumes;
          yield fresh;
        }
        return;
      } catch (error) {
        this.#open = null;
        await again(error, failed, attempts, this.signal);
      }
    }
  }
}

/** A model of a server. */
class Model {
  #id = null;

  constructor(server, find) {
    Object.assign(this, { server, find });
  }

  /** Resolves with its id, or the alias that it was asked for by. */
  id() {
    return (this.#id ??= this.find());
  }

  /** A voice: its id or an alias, or a mix; the first one of the model by default. */
  voice(voice = null) {
    return new Voice(this, voice);
  }

  /** One picture; as `drawMany`. */
  async draw(prompt, options) {
    return (await this.drawMany(prompt, 1, options))[0];
  }

  /** Pictures: `prompt` names what they show, `options` are the other fields of `/v1/images/generations`. */
  async drawMany(prompt, n = 1, options = {}) {
    const json = { model: await this.id(), ...(prompt != null && { prompt }), ...options };
    const { data } = await drawn(this.server, { ...json, n });
    return data.map((found) => new Picture(this.server, json, found));
  }

  /** The exact likelihood of a picture (Blob or bytes), given what `prompt` says that it shows. */
  async score(image, prompt = "any") {
    return this.server.figures("v1/images/likelihood", { file: image, model: await this.id(), class: prompt });
  }
}

/** A voice of a model. */
class Voice {
  constructor(model, voice) {
    Object.assign(this, { model, voice });
  }

  async #fields() {
    const model = await this.model.id();
    if (this.voice !== null) return { model, voice: this.voice };
    const { voices } = await this.model.server.get(`v1/audio/voices?model=${encodeURIComponent(model)}`);
    return { model, voice: voices[0].id };
  }

  /** Speaks a text. `options` are the other fields of `/v1/audio/speech`; `signal` aborts it. Nothing is sent yet. */
  speak(text, { signal, ...options } = {}) {
    const body = async () => ({ ...(await this.#fields()), input: text, ...options });
    return new Speech(this.model.server, body, options.sample_rate ?? RATE, signal);
  }

  /** The exact likelihood of a recording (Blob or bytes) of a text. */
  async score(recording, text) {
    return this.model.server.figures("v1/audio/likelihood", { file: recording, ...(await this.#fields()), text });
  }
}

/** A text that is sampled while it is read, with `for await`: chunks of Float32Array, in [-1, 1]. What was read is kept. */
class Speech {
  #chunks = [];
  #source = null;
  #reading = Promise.resolve();
  #times = null;
  #job = null;
  #seed = null;

  constructor(server, body, sampleRate, signal) {
    const stop = new AbortController();
    signal?.addEventListener("abort", () => stop.abort(signal.reason), { once: true });
    if (signal?.aborted) stop.abort(signal.reason);
    Object.assign(this, { server, sampleRate, stop, body: async () => ({ ...(await body()), ...this.#seed }) });
  }

  async *[Symbol.asyncIterator]() {
    for (let index = 0; ; index++) {
      if (index >= this.#chunks.length) await this.#read();
      if (index >= this.#chunks.length) return;
      yield this.#chunks[index];
    }
  }

  /** Reads one more chunk; resolves with whether there was one. */
  #read() {
    return (this.#reading = this.#reading.then(async () => {
      this.#source ??= await this.#begin();
      const { done, value } = await this.#source.waves.next();
      if (!done) this.#chunks.push(value);
      return !done;
    }));
  }

  async #begin() {
    const json = { ...(await this.body()), response_format: "pcm", sample_rate: this.sampleRate };
    const stream = new Stream(this.server, "v1/audio/speech", json, { signal: this.stop.signal });
    return { stream, waves: waves(stream) };
  }

  async #header(name) {
    if (!this.#source?.stream.headers) await this.#read();
    return this.#source.stream.headers.get(name);
  }

  /** The sound up to its end. */
  async samples() {
    const all = [];
    for await (const chunk of this) all.push(chunk);
    return joined(all, Float32Array);
  }

  /** The seed, in digits, with which the same request gives the same sound. */
  async seed() {
    const { seed } = await this.body();
    return /^\d+$/.test(seed ?? "") ? String(seed) : this.#header("x-seed");
  }

  /** The id of the server's job. */
  async job() {
    return this.#job ?? (await this.#header("x-job-id"));
  }

  /** When each word is said: `{text, start, end, from, to, speaker}`, in seconds, and where it was written, in code points. */
  async words() {
    const { words, seconds } = await this.#timed();
    return words.map(({ word, text_start: from, text_end: to, speaker, ...at }) => ({ text: word, ...seconds(at), from, to, speaker }));
  }

  /** When each phoneme (ARPAbet, and IPA for sounds that English lacks) is said: `{text, start, end}`, in seconds. */
  async phonemes() {
    const { phonemes, seconds } = await this.#timed();
    return phonemes.map(({ phoneme, ...at }) => ({ text: phoneme, ...seconds(at) }));
  }

  /** When the mouth has which shape (Oculus' names): `{text, start, end}`; it is at rest in between. */
  async visemes() {
    const { visemes, seconds } = await this.#timed();
    return visemes.map(({ viseme, ...at }) => ({ text: viseme, ...seconds(at) }));
  }

  async #timed() {
    while (!this.#times) {
      const found = await this.server.get(`v1/jobs/${await this.job()}/timestamps`, { signal: this.stop.signal });
      const seconds = ({ start, end }) => ({ start: start / found.sample_rate, end: end / found.sample_rate });
      if (found.complete) this.#times = { ...found, seconds };
      // Sentences are planned as the sound before them is read.
      for (let i = 0; !found.complete && i < BETWEEN_QUESTIONS; i++) if (!(await this.#read())) break;
    }
    return this.#times;
  }

  /** The bytes of a file, made (and signed, where it signs) by the server: a job of its own, with the same seed. */
  async file(form = "flac") {
    const json = { ...(await this.body()), response_format: form };
    if (this.#source) json.seed = await this.seed();
    const { signal } = this.stop;
    this.#job = await this.server.submit("v1/audio/speech", json, { signal });
    await this.server.wait(this.#job, { signal });
    const { bytes, headers } = await this.server.content(this.#job, { signal });
    this.#seed = { seed: headers.get("x-seed") };
    return bytes;
  }

  /** Stops sampling; whoever reads it gets an AbortError. */
  async cancel() {
    this.stop.abort();
    if (this.#job) await this.server.cancel(this.#job);
  }
}

/**
 * A picture that was drawn: `bytes` are a PNG, `seed` gives it again, `prompt` names all that it was drawn to show, and
 * `shown` has what it shows by the classifier of the model (`shown.cloak.value`, `.probability`); empty without one.
 */
class Picture {
  constructor(server, json, found) {
    const bytes = fromBase64(found.b64_json);
    const prompt = found.revised_prompt ?? json.prompt ?? null;
    Object.assign(this, { server, json, bytes, seed: String(found.seed), prompt, shown: found.attributes ?? {} });
  }

  /** The bytes of a file: `png`, `webp` or `jpeg`, each pixel a square of `scale` pixels. */
  async file(form = "png", scale = 1) {
    const model = await this.server.get(`v1/models/${encodeURIComponent(this.json.model)}`);
    const size = model.size.split("x").map((side) => side * scale).join("x");
    const one = { ...(this.json.best_of && { best_of: 1 }), ...(form === "jpeg" && { background: "opaque" }) };
    const { data } = await drawn(this.server, { ...this.json, ...one, seed: this.seed, size, output_format: form });
    return fromBase64(data[0].b64_json);
  }
}

async function answer(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
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
  throw errorOf(parsed, response.status, response.headers);
}

/** Waits before the next attempt; throws the error if it was the last one, or none can help. */
async function again(error, failed, attempts, signal) {
  if (!error.mayPass || failed >= attempts) throw error;
  const ms = Math.min(LONGEST_WAIT_MS, Math.max(FIRST_WAIT_MS * 2 ** (failed - 1), 1000 * (error.retryAfter ?? 0)));
  await new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
    if (signal?.aborted) reject(signal.reason);
  });
}

async function* waves(stream) {
  const samples = new Samples();
  for await (const bytes of stream) {
    const taken = samples.take(bytes);
    if (taken.length) yield Float32Array.from(taken, (sample) => sample / 32767);
  }
}

async function drawn(server, json) {
  const headers = { "idempotency-key": newKey() }; // so that an answer that was lost is not drawn again
  return server.get("v1/images/generations", { json: { ...json, response_format: "b64_json" }, headers });
}

/** An idempotency key. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value == null) continue;
    if (value instanceof Uint8Array || value instanceof Blob) form.append(name, new Blob([value]), "file");
    else form.append(name, typeof value === "object" ? write(value) : String(value));
  }
  return form;
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

function joined(parts, Kind = Uint8Array) {
  const all = new Kind(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
