// The page's modules that need no browser. Run by test_files.py with `node --test`.

import assert from "node:assert/strict";
import { test } from "node:test";

// A browser in which the page may keep nothing.
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(globalThis, name, { get: () => { throw new DOMException("denied", "SecurityError"); } });
}

const page = (name) => import(new URL(name, process.env.PAGE));
const { Samples, errorOf, events, write } = await page("ancestral.js");
const { partSeed, newSeed } = await page("seeds.js");
const { here, key } = await page("api.js");
const { readLink, writeLink, remember, recall, forget } = await page("store.js");
const { snippets, python } = await page("snippets.js");
const { wav, fft, MelSpectrogram } = await page("sound.js");
const { rowsOf, streamPictures } = await page("picture_stream.js");
const { wordAt } = await page("words.js");
const { blocks, spans } = await page("markdown.js");
const { shuffledBlocks, noiseLike } = await page("score.js");
const { lines, odds } = await page("prove.js");
const { peaks } = await page("curve.js");
const { keysOf, shapeAt } = await page("mouth.js");
const { languageOf, passagesOf, joinCaptions } = await page("passages.js");
const { averaged, picturesOf } = await page("pixels.js");
const { weightsOf } = await page("voices.js");
const { fewAtATime } = await page("classes.js");
const { attributesOf, placeOf } = await page("sheet.js");
const { unseen } = await page("picture_input.js");

test("seeds are numbers in JSON as far as JavaScript can write them", () => {
  assert.equal(write({ seed: "9007199254740991", text: "12" }), '{"seed":9007199254740991,"text":"12"}');
  assert.equal(write({ seed: "9223372036854775807" }), '{"seed":"9223372036854775807"}');
  assert.equal(write({ seed: "x" }), '{"seed":"x"}');
  assert.match(newSeed(), /^\d{1,6}$/);
});

test("the seeds of parts are the server's", () => {
  assert.equal(partSeed("7", 0), "7");
  assert.equal(partSeed("7", 1), "6607762075843612"); // docs/api.md shows this pair
  assert.equal(partSeed("9223372036854775807", 1), String((9223372036854775807n + 0x9e3779b97f4a7c15n) % (1n << 53n)));
});

test("an address of the API is taken from the page's own server", () => {
  assert.equal(here("http://inner:1/v1/audio/voices/joe/preview?x=1").href, "http://localhost:8000/v1/audio/voices/joe/preview?x=1");
});

test("errors keep what the server says", () => {
  const error = errorOf({ error: { message: "speed: too fast", param: "speed", code: "less_than_equal" } }, 400);
  assert.deepEqual([error.message, error.param, error.status, error.retryAfter], ["speed: too fast", "speed", 400, null]);
  assert.equal(errorOf({ error: { message: "full" } }, 429, new Headers({ "retry-after": "12" })).retryAfter, 12);
  assert.equal(errorOf(null, 502).message, "The server answered 502.");
});

test("server-sent events, cut anywhere", async () => {
  const bytes = new TextEncoder().encode('data: {"type":"a","text":"é"}\n\n: keep-alive\n\nevent: b\ndata: {"type":"b"}\nid: 1\n\n');
  for (let size = 1; size < bytes.length; size += 7) {
    const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size));
    const found = [];
    for await (const event of events(new Response(new Blob(parts).stream()))) found.push(event);
    assert.deepEqual(found, [{ type: "a", text: "é" }, { type: "b" }]);
  }
  const broken = new Response('data: {"error":{"message":"lost","code":"x"}}\n\n');
  await assert.rejects(async () => { for await (const _ of events(broken)) assert.fail(); }, /lost/);
});

test("a link holds any text, and no empty values", () => {
  const values = { model: "m", text: "1 + 1 = 2 & more?#%\nü", seed: "12", sha: "" };
  assert.deepEqual(readLink(writeLink("speak", values)), { view: "speak", values: { model: "m", text: values.text, seed: "12" } });
  assert.deepEqual(readLink(""), { view: "", values: {} });
  assert.equal(writeLink("draw", {}), "#draw");
});

test("the history: newest first, nothing twice, one view at a time", () => {
  const kept = new Map();
  const storage = { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value) };
  for (let i = 0; i < 60; i++) remember(i % 3 ? "speak" : "draw", { seed: i }, storage);
  remember("speak", { seed: 56, sha: "ab" }, storage);
  const speak = recall("speak", storage).map((entry) => entry.values.seed);
  assert.equal(speak[0], 56);
  assert.equal(new Set(speak).size, speak.length);
  assert.equal(speak.length + recall("draw", storage).length, 40);
  forget("speak", storage);
  assert.deepEqual(recall("speak", storage), []);
  assert.ok(recall("draw", storage).length > 0);
  storage.setItem("ancestral.history", "not JSON");
  assert.deepEqual(recall("draw", storage), []);
  remember("draw", { seed: 1 }, storage);
  assert.equal(recall("draw", storage).length, 1);
});

test("where nothing may be kept, the history and the key last as long as the page", () => {
  remember("draw", { seed: 1 });
  assert.deepEqual(recall("draw").map(({ values }) => values), [{ seed: 1 }]);
  forget("draw");
  assert.deepEqual(recall("draw"), []);
  for (const value of ["k", ""]) {
    key.set(value);
    assert.equal(key.get(), value);
  }
});

test("what fails to be loaded leaves its place to the next", async () => {
  for (let i = 0; i < 3; i++) await assert.rejects(fewAtATime(async () => { throw new TypeError("lost"); }), /lost/);
  await new Promise((resolve) => fewAtATime(resolve));
});

test("snippets quote what shells and Python would read otherwise", () => {
  const made = snippets("http://x/v1/audio/speech", { json: { input: "It's \"so\"", seed: "9223372036854775807", stream: true }, output: "a.wav", needsKey: true });
  assert.ok(made.curl.includes(`It'\\''s \\"so\\"`), made.curl);
  assert.ok(made.curl.includes('"seed": "9223372036854775807"'));
  assert.ok(made.curl.includes('$ANCESTRAL_KEY'));
  assert.ok(made.Python.includes('"stream": True'));
  assert.ok(made.Python.includes('"seed": 9223372036854775807'));
  assert.equal(python([null, false, { a: "b" }]), '[None, False, {\n        "a": "b",\n    }]');
  const form = snippets("http://x/v1/images/likelihood", { form: { file: "@a.png", map: "true" }, needsKey: false });
  assert.ok(form.curl.includes("-F 'file=@a.png'"));
  assert.ok(form.Python.includes('files={"file": open("a.png", "rb")}'));
  assert.ok(!form.curl.includes("KEY"));
  const two = snippets("http://x/v1/images/edits", { form: { image: "@a.png", mask: "@m.png" }, needsKey: false });
  assert.ok(two.Python.includes('files={"image": open("a.png", "rb"), "mask": open("m.png", "rb")}'));
  assert.ok(two.JavaScript.includes('body.append("image", image);\nbody.append("mask", mask);'));
});

test("a WAV file", () => {
  const bytes = wav(Int16Array.of(1, -2, 32767), 24000);
  const view = new DataView(bytes.buffer);
  assert.equal(new TextDecoder().decode(bytes.slice(0, 4)), "RIFF");
  assert.deepEqual([view.getUint32(4, true), view.getUint32(24, true), view.getUint32(40, true)], [42, 24000, 6]);
  assert.deepEqual([view.getInt16(44, true), view.getInt16(46, true), view.getInt16(48, true)], [1, -2, 32767]);
});

test("samples from chunks of odd length", () => {
  const all = Int16Array.from({ length: 100 }, (_, i) => 300 * i - 15000);
  const bytes = new Uint8Array(all.buffer);
  const samples = new Samples();
  const found = [];
  for (let at = 0; at < bytes.length; at += 7) found.push(...samples.take(bytes.subarray(at, at + 7)));
  assert.deepEqual(found, [...all]);
});

test("the Fourier transform agrees with its definition", () => {
  const n = 16;
  const re = Float64Array.from({ length: n }, (_, i) => Math.sin(i * i));
  const im = Float64Array.from({ length: n }, (_, i) => Math.cos(3 * i));
  const [a, b] = [re.slice(), im.slice()];
  fft(a, b);
  for (let k = 0; k < n; k++) {
    let [x, y] = [0, 0];
    for (let i = 0; i < n; i++) {
      const angle = (-2 * Math.PI * k * i) / n;
      x += re[i] * Math.cos(angle) - im[i] * Math.sin(angle);
      y += re[i] * Math.sin(angle) + im[i] * Math.cos(angle);
    }
    assert.ok(Math.abs(a[k] - x) < 1e-9 && Math.abs(b[k] - y) < 1e-9);
  }
});

test("a tone lights one band of the spectrogram, silence none", () => {
  const mel = new MelSpectrogram(24000);
  const tone = (hertz) => Int16Array.from({ length: 512 }, (_, i) => 16000 * Math.sin((2 * Math.PI * hertz * i) / 24000));
  const top = (column) => column.indexOf(Math.max(...column));
  assert.ok(top(mel.column(tone(300), 0)) < top(mel.column(tone(1000), 0)));
  assert.ok(top(mel.column(tone(1000), 0)) < top(mel.column(tone(5000), 0)));
  assert.equal(Math.max(...mel.column(new Int16Array(512), 0)), 0);
});

test("rows of several pictures", () => {
  const pixels = Uint8Array.from([1, 1, 2, 2, 3, 3, 4, 4]); // two rows of two pictures, two bytes each
  assert.deepEqual([...rowsOf(pixels, 0, 2, 2)], [1, 1, 3, 3]);
  assert.deepEqual([...rowsOf(pixels, 1, 2, 2)], [2, 2, 4, 4]);
});

test("a coarse scale in several frames is shown once it is whole", async () => {
  let socket;
  const { WebSocket } = globalThis;
  globalThis.WebSocket = class { constructor() { socket = this; } close() {} };
  const shown = [];
  const handlers = { onstart() {}, oncoarse: (pixels) => shown.push([...pixels]), onrows: (first, pixels) => shown.push([first, ...pixels]) };
  const done = streamPictures({}, { ...handlers, signal: new AbortController().signal });
  const say = (message) => socket.onmessage({ data: message.type ? JSON.stringify(message) : Uint8Array.from(message).buffer });
  for (const message of [
    { type: "image.start", n: 1, width: 2, channels: 1 }, { type: "image.coarse", width: 3, height: 1 }, [1, 2], [3], [4, 5],
    { type: "image.done" },
  ]) say(message);
  globalThis.WebSocket = WebSocket;
  await done;
  assert.deepEqual(shown, [[1, 2, 3], [0, 4, 5]]);
});

test("the word at a time", () => {
  const words = [{ start: 0.1, end: 0.3 }, { start: 0.3, end: 0.5 }, { start: 0.9, end: 1 }];
  assert.deepEqual([0, 0.1, 0.29, 0.3, 0.6, 0.95, 1.2].map((seconds) => wordAt(words, seconds)), [-1, 0, 0, 1, -1, 2, -1]);
  assert.equal(wordAt([], 1), -1);
});

test("Markdown of cards, never HTML", () => {
  const found = blocks("# A\n\ntext `code` and\nmore\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n1. one\n   two\n- x\n\n```\n# no heading\n```\n<script>alert(1)</script>");
  assert.deepEqual(found.map((block) => Object.keys(block)[0]), ["heading", "paragraph", "table", "items", "code", "paragraph"]);
  assert.equal(found[1].paragraph, "text `code` and more");
  assert.deepEqual(found[2].table, [["a", "b"], ["---", "---"], ["1", "2"]]);
  assert.equal(found[4].code, "# no heading\n");
  assert.deepEqual(spans("see [it](http://x) **now** ![p](q)"), [{ text: "see " }, { text: "it" }, { text: " " }, { strong: "now" }, { text: " " }, { text: "" }]);
});

test("a shuffled sound has the same samples, noise the same level", () => {
  const sound = Float32Array.from({ length: 1005 }, (_, i) => Math.sin(i) / 2);
  assert.deepEqual([...shuffledBlocks(sound, 100)].sort(), [...sound].sort());
  const power = (x) => x.reduce((sum, value) => sum + value * value, 0) / x.length;
  assert.ok(Math.abs(power(noiseLike(sound)) / power(sound) - 1) < 0.3);
});

test("the peaks of a waveform", () => {
  assert.deepEqual(peaks(Float32Array.of(0, -0.5, 0.25, 0.125, 1, -0.75), 3), [0.5, 0.25, 1]);
  assert.deepEqual(peaks(Float32Array.of(0.5), 2), [0, 0.5]);
});

test("long texts: a passage for each paragraph, cut where a sentence ends; nothing is lost", () => {
  assert.deepEqual(passagesOf("One.\n\nTwo."), ["One.\n\nTwo."]);
  const sentence = "😀 The birch canoe slid. ";
  const long = sentence.repeat(300).trim(); // 7 199 characters, counted as the server counts them
  const parts = passagesOf(`Title\n \n${long}\n\n\n${"x".repeat(5000)}`);
  assert.deepEqual(parts.map((part) => [...part].length), [5, 4079, 3119, 4096, 904]);
  assert.equal(`${parts[1]} ${parts[2]}`, long);
});

test("a paragraph in which nothing is said goes with the one before it, or the next", () => {
  const long = "x".repeat(4096);
  for (const unsaid of ["* * *", "…", "[pause:2s]"]) {
    assert.deepEqual(passagesOf(`${unsaid}\n\nOne.\n\n${unsaid}\n\n${unsaid}\n\n${long}`), [`${unsaid}\n\nOne.\n\n${unsaid}\n\n${unsaid}`, long]);
  }
});

test("what was asked of an edit and is not to be seen is named", () => {
  const shown = { species: { value: "elf", probability: 1 }, headgear: { value: "no headgear", probability: 0.9 } };
  assert.equal(unseen("elf, wizard hat", shown), "wizard hat");
  for (const [prompt, attributes] of [["elf", shown], ["any", shown], [undefined, shown], ["elf, wizard hat", null]]) assert.equal(unseen(prompt, attributes), "");
});

test("the language of a text is known by its words, or not at all", () => {
  const texts = {
    en: "The birch canoe slid on the smooth planks of the river.", es: "El tren de las ocho llega con retraso a la ciudad.",
    fr: "Le train de huit heures est dans la gare, et il pleut.", it: "Il treno delle otto arriva in ritardo, e non è la prima volta.",
    pt: "O trem das oito chega com atraso, e não é a primeira vez.",
  };
  for (const [language, text] of Object.entries(texts)) assert.equal(languageOf(text), language);
  for (const text of ["", "Hello.", "Ja, das ist so.", "Pizza Napoli 2026"]) assert.equal(languageOf(text), null);
});

test("captions of passages as one file", () => {
  const vtt = [{ at: 0, text: "WEBVTT\n\n00:00:00.500 --> 00:00:01.000\nOne\n" }, { at: 3599.75, text: "WEBVTT\n\n00:00:00.500 --> 00:00:01.000\nTwo\n" }];
  assert.equal(joinCaptions(vtt, "vtt"), "WEBVTT\n\n00:00:00.500 --> 00:00:01.000\nOne\n\n01:00:00.250 --> 01:00:00.750\nTwo\n");
  const srt = [0, 10].map((at) => ({ at, text: "1\n00:00:00,500 --> 00:00:01,000\n1\n\n2\n00:00:02,000 --> 00:00:03,000\nb\n" }));
  assert.match(joinCaptions(srt, "srt"), /^1\n00:00:00,500 --> .*\n1\n\n2\n[^]*\n\n4\n00:00:12,000 --> 00:00:13,000\nb\n$/);
  assert.equal(joinCaptions(srt.slice(0, 1), "srt"), srt[0].text);
});

test("a picture is averaged over areas; what is transparent has no colour", () => {
  const columns = [0, 100, 200, 40, 90, 90].flatMap((value) => [value, value, value, 255]);
  assert.deepEqual([...averaged(Uint8ClampedArray.from([...columns, ...columns]), 6, 2, 2, 1)], [100, 100, 100, 255, 73, 73, 73, 255]);
  assert.deepEqual([...averaged(Uint8ClampedArray.of(30, 0, 0, 255, 9, 9, 9, 255, 90, 0, 0, 255), 3, 1, 2, 1)], [23, 3, 3, 255, 63, 3, 3, 255]);
  assert.deepEqual([...averaged(Uint8ClampedArray.of(80, 90, 7, 255, 0, 0, 0, 0), 2, 1, 1, 1)], [80, 90, 7, 128]);
  assert.deepEqual([...averaged(Uint8ClampedArray.of(1, 2, 3, 255), 1, 1, 2, 1)], [1, 2, 3, 255, 1, 2, 3, 255]);
});

test("the pictures of a job: a file, or those of a ZIP file", async () => {
  const entry = (name, data) => {
    const head = new DataView(new ArrayBuffer(30));
    [[0, 0x04034b50], [18, data.length]].forEach(([at, value]) => head.setUint32(at, value, true));
    head.setUint16(26, name.length, true);
    return [head, name, data];
  };
  const zip = new Blob([...entry("0.png", "first"), ...entry("1.png", "second"), "PK\x01\x02rest"], { type: "application/zip" });
  const texts = async (blob) => Promise.all((await picturesOf(blob)).map((one) => one.text()));
  assert.deepEqual(await texts(zip), ["first", "second"]);
  assert.deepEqual(await texts(new Blob(["png"], { type: "image/png" })), ["png"]);
});

test("voices, mixes, sheets", () => {
  assert.deepEqual(weightsOf("joe"), { joe: 1 });
  assert.deepEqual(weightsOf("heart(2)+joe + awb(0.5)"), { heart: 2, joe: 1, awb: 0.5 });
  assert.deepEqual([0, 2, 3, 4].map((i) => placeOf(i, 5, 8, 6)), [[0, 0], [16, 0], [0, 6], [8, 6]].map(([x, y]) => ({ x, y })));
  const classes = [{ object: "species", id: "elf" }, { object: "cloak", id: "no cloak" }];
  assert.deepEqual(attributesOf("elf, no cloak, other", classes), { species: "elf", cloak: "no cloak" });
});

test("odds are said as far as they mean something", () => {
  assert.equal(odds(0), "as chance would have it");
  assert.equal(odds(-3), "once in 1,000");
  assert.equal(odds(-48.7), "once in 10^48");
});

test("each part of an answer has its evidence, or why it was not tried", () => {
  const untried = { status: "not_tried", reason: "no key" };
  const seed = { status: "found", seed: 5, log10_p: -48.7, seeds_tried: 1000, agreeing: 784, symbols: 784 };
  const model = { status: "could_be_ours", model: "m", bits_per_symbol: 0.1, lossless_bits_per_symbol: 2 };
  const found = lines({ signature: { status: "none" }, recipe: { status: "equal", pixels: 9, equal_pixels: 9 }, seed, model });
  assert.deepEqual(found.map(([part, status]) => [part, status]), [
    ["Signature", "none"], ["Recipe", "equal"], ["Seed", "found"], ["Model", "could be ours"],
  ]);
  assert.match(found[1][2], /9 of 9 pixels/);
  assert.match(found[2][2], /Seed 5; .*10\^48.*784 of 784/);
  assert.deepEqual(lines({ signature: untried, recipe: untried, seed: untried, model })[2], ["Seed", "not tried", "No key."]);
  const searched = { status: "not_found", seeds_tried: 9, counters: [0, 9], complete: false };
  assert.match(lines({ signature: untried, recipe: untried, seed: searched, model })[2][2], /0 to 9; there was no time/);
});

test("a voice that was named says the next passages, too", () => {
  const long = "The birch canoe slid. ".repeat(200).trim();
  assert.deepEqual(passagesOf(`[voice:joe] One.\n\nTwo. [voice:emma] Three.\n\n${long}\n\n[voice:heart(2)+joe] Four.\n\nFive.`), [
    "[voice:joe] One.",
    "[voice:joe] Two. [voice:emma] Three.",
    `[voice:emma] ${long.slice(0, 177 * 22 - 1)}`,
    `[voice:emma] ${long.slice(177 * 22)}`,
    "[voice:heart(2)+joe] Four.",
    "[voice:heart(2)+joe] Five.",
  ]);
});

test("the mouth has a viseme's shape in its middle, moves in between, and rests in pauses", () => {
  const keys = keysOf([
    { viseme: "aa", start: 1, end: 1.2 },
    { viseme: "PP", start: 1.2, end: 1.3 },
    { viseme: "ou", start: 2, end: 2.2 },
  ]);
  assert.deepEqual(keys.map(([at]) => at), [...keys.map(([at]) => at)].sort((a, b) => a - b));
  const open = (seconds) => shapeAt(keys, seconds)[1];
  assert.deepEqual([0, 0.9, 1.1, 1.25, 1.6, 2.1, 2.5].map(open), [0, 0, 11, 0, 0, 5, 0]);
  assert.ok(Math.abs(open(1.175) - 5.5) < 1e-9);
  assert.deepEqual(shapeAt([], 1), shapeAt(keys, 0));
});
