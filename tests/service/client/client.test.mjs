// The JavaScript client against a real server. Run by test_connect.py with `node --test`.

import assert from "node:assert/strict";
import { test } from "node:test";

const { URL: url, SHAKY, OTHER_ENGINE, JOBS_ONLY, KEYED, KEY } = process.env;
const { ApiError, Stream, connect } = await import(process.env.CLIENT);
const server = connect(url);
const TEXT = "The birch canoe slid.";
const LONG = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. ".repeat(8);
const voice = server.load("tiny").voice("ann");

/** The bytes of a request, as anybody gets them. */
async function raw(path, json, where = url) {
  const response = await fetch(`${where}/${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(json) });
  assert.equal(response.status, 200, await (response.ok ? "" : response.clone().text()));
  return { bytes: new Uint8Array(await response.arrayBuffer()), headers: response.headers };
}

const pcm = (input) => raw("v1/audio/speech", { model: "tiny", voice: "ann", input, seed: 7, response_format: "pcm" });
const int16 = (samples) => Int16Array.from(samples, (sample) => Math.round(sample * 32767));
const same = async (samples, bytes) => assert.deepEqual(new Uint8Array(int16(samples).buffer), bytes);
const refused = (fields) => (error) => error instanceof ApiError && Object.entries(fields).every(([name, value]) => String(error[name]).includes(value));
const jobs = async () => (await (await fetch(`${url}/v1/jobs`)).json()).data;
const added = async (before) => (await jobs()).filter(({ id }) => !before.some((job) => job.id === id)).length;

/** Runs `act` while `passes(path, number)` says which requests have an answer; resolves with how many there were. */
async function counted(passes, act) {
  const { fetch } = globalThis;
  let requests = 0;
  globalThis.fetch = async (where, options) => {
    const [number, response] = [requests++, await fetch(where, options)];
    if (passes(new URL(where).pathname, number)) return response;
    throw new TypeError("fetch failed");
  };
  try {
    await act();
  } finally {
    globalThis.fetch = fetch;
  }
  return requests;
}

test("a sound is sampled while it is read, and its words have times", async () => {
  const speech = voice.speak(TEXT, { seed: 7 });
  const chunks = [];
  for await (const chunk of speech) chunks.push(chunk);
  assert.ok(chunks[0] instanceof Float32Array);
  await same(await speech.samples(), (await pcm(TEXT)).bytes);
  assert.equal(speech.sampleRate, 24000);
  const words = await speech.words();
  assert.deepEqual(words.map(({ text, from, to }) => [text, from, to]), [["the", 0, 3], ["birch", 4, 9], ["canoe", 10, 15], ["slid", 16, 20]]);
  assert.ok(words.every(({ start, end }, i) => start < end && (!i || words[i - 1].end <= start)));
  const [phonemes, visemes] = [await speech.phonemes(), await speech.visemes()];
  assert.deepEqual([phonemes[0].text, visemes[0].text, phonemes.length], ["DH", "TH", visemes.length]);
  assert.equal(await speech.seed(), "7");
});

test("two readers hear the same", async () => {
  const speech = voice.speak(LONG, { seed: 7 });
  const [first, second] = await Promise.all([speech.samples(), speech.samples()]);
  assert.deepEqual(first, second);
  await same(first, (await pcm(LONG)).bytes);
});

test("the words of a long text are known before its end", async () => {
  const speech = voice.speak(LONG, { seed: 7 });
  assert.equal((await speech.words()).length, LONG.split(" ").length - 1);
  await same(await speech.samples(), (await pcm(LONG)).bytes);
});

test("a file is the server's, and its seed that of the sound from then on", async () => {
  const speech = voice.speak(TEXT);
  const file = await speech.file("mp3");
  const seed = await speech.seed();
  const job = await fetch(`${url}/v1/jobs/${await speech.job()}/content`);
  assert.deepEqual(file, new Uint8Array(await job.arrayBuffer()));
  assert.equal(job.headers.get("x-seed"), seed);
  await same(await speech.samples(), (await raw("v1/audio/speech", { model: "tiny", voice: "ann", input: TEXT, seed: Number(seed), response_format: "pcm" })).bytes);
});

test("a broken stream goes on, in one job", async () => {
  const before = await jobs();
  await same(await connect(SHAKY).load("tiny").voice("ann").speak(LONG, { seed: 7 }).samples(), (await pcm(LONG)).bytes);
  assert.equal(await added(before), 2); // this one, and the one it is compared with
});

test("a stream does not begin a job again that was cancelled", async () => {
  const speech = voice.speak("The birch canoe slid on. ".repeat(160), { speed: 0.25 });
  const [job, before] = [await speech.job(), await jobs()];
  await server.cancel(job);
  await assert.rejects(speech.samples(), refused({ message: "cancelled" }));
  assert.equal(await added(before), 0);
});

test("each attempt is one request", async () => {
  const bytes = async (where, attempts) => {
    for await (const _ of new Stream(connect(where, { attempts }), "v1/audio/speech", { model: "tiny", voice: "ann", input: LONG }));
  };
  assert.equal(await counted(() => false, () => assert.rejects(bytes(url, 3), refused({ status: 0 }))), 3);
  const awaited = () => assert.rejects(bytes(JOBS_ONLY, 3), refused({ status: 0 }));
  assert.equal(await counted((path) => path === "/v1/audio/speech", awaited), 1 + 3);
});

test("an answer that was lost is not computed again", async () => {
  const sound = await voice.speak(TEXT, { seed: 7 }).file("wav");
  const { bytes } = await server.load("rgb").draw("cat", { seed: 7 });
  for (const ask of [() => voice.score(sound, TEXT), () => server.load("rgb").score(bytes, "cat"), () => server.detect(sound)]) {
    const before = await jobs();
    assert.equal(await counted((_, number) => number, ask), 2);
    assert.equal(await added(before), 1);
  }
});

test("a stream goes on only from the same engine", async () => {
  const speech = connect(OTHER_ENGINE).load("tiny").voice("ann").speak(LONG, { seed: 7 });
  await assert.rejects(speech.samples(), refused({ message: "another engine" }));
});

test("a broken download goes on", async () => {
  const speech = connect(SHAKY).load("tiny").voice("ann").speak(LONG, { seed: 7 });
  assert.deepEqual(await speech.file("wav"), await voice.speak(LONG, { seed: 7 }).file("wav"));
});

test("what the server takes only as a job is awaited", async () => {
  const taken = connect(JOBS_ONLY).load("tiny").voice("ann");
  await same(await taken.speak(LONG, { seed: 7 }).samples(), (await pcm(LONG)).bytes);
  assert.ok((await taken.score(await voice.speak(LONG, { seed: 7 }).file("wav"), LONG)).bits_per_sample > 0);
});

test("cancel and a signal stop the job", async () => {
  const endless = "The birch canoe slid on. ".repeat(160);
  for (const stop of ["cancel", "signal"]) {
    const controller = new AbortController();
    const speech = voice.speak(endless, { speed: 0.25, signal: controller.signal });
    const job = await speech.job();
    if (stop === "cancel") await speech.cancel();
    else controller.abort();
    await assert.rejects(speech.samples(), { name: "AbortError" });
    await assert.rejects(server.wait(job), refused({ message: "cancelled" }));
  }
});

test("a signal stops a job that is awaited, and before that nothing is sent", async () => {
  const [remote, controller, found] = [connect(JOBS_ONLY), new AbortController(), []];
  const speak = (signal) => remote.load("tiny").voice("ann").speak("The birch canoe slid on. ".repeat(160), { speed: 0.25, signal }).samples();
  const { wait } = remote;
  remote.wait = (job, options) => {
    found.push(job);
    controller.abort();
    return wait.call(remote, job, options);
  };
  await assert.rejects(speak(controller.signal), { name: "AbortError" });
  await assert.rejects(speak(controller.signal), { name: "AbortError" });
  assert.equal(found.length, 1);
  await assert.rejects(wait.call(remote, found[0]), refused({ message: "cancelled" }));
});

test("voices are found", async () => {
  await same(await server.voice("ann").speak(TEXT, { seed: 7, model: "tiny" }).samples(), (await pcm(TEXT)).bytes);
  assert.ok((await server.load("tiny").voice().speak(TEXT, { seed: 7 }).samples()).length);
  assert.ok((await server.load("tiny").voice("ann(2)+bob").speak(TEXT, { seed: 7 }).samples()).length);
  await assert.rejects(server.voice("nobody").speak(TEXT).samples(), refused({ status: 400, param: "voice" }));
});

test("pictures", async () => {
  const pictures = await server.load("palette").drawMany("elf", 3, { seed: 7 });
  const { data } = JSON.parse(new TextDecoder().decode((await raw("v1/images/generations", { model: "palette", prompt: "elf", n: 3, seed: 7, response_format: "b64_json" })).bytes));
  assert.deepEqual(pictures.map(({ seed }) => seed), data.map(({ seed }) => String(seed)));
  assert.deepEqual(pictures.map(({ bytes }) => Buffer.from(bytes).toString("base64")), data.map(({ b64_json }) => b64_json));
  assert.ok(pictures[1].prompt.startsWith("elf, "));
  for (const picture of [pictures[1], await server.load("palette").draw("elf", { seed: 7, size: "16x16" })]) {
    const enlarged = Buffer.from(await picture.file("png", 4));
    assert.deepEqual([enlarged.readUInt32BE(16), enlarged.readUInt32BE(20)], [32, 32]);
  }
  const jpeg = await (await server.load("palette").draw("elf", { background: "transparent" })).file("jpeg");
  assert.deepEqual([...jpeg.subarray(0, 2)], [0xff, 0xd8]);
  assert.equal((await server.load("grey").draw(null, { seed: 7 })).prompt, null);
  assert.ok((await server.draw("orc, axe", { seed: 7 })).prompt.startsWith("orc"));
});

test("scores and detection", async () => {
  const scored = await voice.score(await voice.speak(TEXT, { seed: 7 }).file("wav"), TEXT);
  assert.deepEqual(scored.words.map(({ word }) => word), ["the", "birch", "canoe", "slid"]);
  const { bytes } = await server.load("rgb").draw("cat, oil", { seed: 7 });
  assert.ok((await server.score(new Blob([bytes]), "cat, oil")).bits_per_dim > 0);
  assert.equal((await server.detect(bytes)).recipe.status, "equal");
  await assert.rejects(server.detect(new Uint8Array(3)), refused({ status: 400, param: "file" }));
});

test("errors are the server's, and are not tried again", async () => {
  await assert.rejects(server.load("other").voice("ann").speak(TEXT).samples(), refused({ status: 404, code: "model_not_found" }));
  await assert.rejects(voice.speak(TEXT, { speed: 9 }).samples(), refused({ status: 400, param: "speed" }));
  await assert.rejects(voice.speak("\u4f60").words(), refused({ status: 400, param: "input" }));
  await assert.rejects(server.draw("a unicorn"), refused({ status: 400, param: "prompt" }));
  await assert.rejects(connect("http://127.0.0.1:1", { attempts: 2 }).get("v1/models"), refused({ status: 0 }));
  assert.throws(() => connect("localhost"), TypeError);
});

test("a key", async () => {
  await assert.rejects(connect(KEYED).get("v1/models"), refused({ status: 401 }));
  const remote = connect(KEYED, { apiKey: KEY });
  assert.ok((await remote.load("tiny").voice("ann").speak(TEXT).samples()).length);
});
