// What openai-js gets of a server: `node openai_js.mjs FOLDER URL KIND TEXT` prints one JSON object. The package is
// looked for in FOLDER/node_modules. KIND is `speech`, `events` (with the times of words) or `images`.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, url, kind, text] = process.argv.slice(2);
const { OpenAI } = createRequire(`${folder}/`)("openai");
const { version } = JSON.parse(readFileSync(`${folder}/node_modules/openai/package.json`, "utf8"));
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 });
const request = { model: "gpt-4o-mini-tts", voice: "alloy", input: text, response_format: "pcm" };
const started = performance.now();
const pieces = [];
const words = [];
let first = null;

function add(bytes) {
  first ??= (performance.now() - started) / 1000;
  pieces.push(Buffer.from(bytes));
}

async function* dataOf(response) {
  let unread = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (unread + piece).split("\n\n");
    unread = events.pop();
    for (const event of events) yield JSON.parse(event.replace(/^data: /, ""));
  }
}

if (kind === "speech") {
  const response = await client.audio.speech.create(request);
  for await (const piece of response.body) add(piece);
} else if (kind === "events") {
  const response = await client.audio.speech.create({ ...request, stream_format: "sse", timestamps: ["word"] });
  for await (const event of dataOf(response)) {
    if (event.type === "speech.audio.delta") add(Buffer.from(event.audio, "base64"));
    for (const { word, start } of event.words ?? []) words.push([word, start / event.sample_rate]);
  }
} else {
  const options = { model: "gpt-image-1", prompt: "elf, robe", size: "1024x1024", n: 1, quality: "auto" };
  const found = await client.images.generate({ ...options, background: "auto" });
  const png = Buffer.from(found.data[0].b64_json, "base64");
  if (png.readUInt32BE(16) !== 1024 || png.readUInt32BE(20) !== 1024) throw new Error(`not 1024x1024: ${found.size}`);
}
console.log(JSON.stringify({ version, first, words, audio: Buffer.concat(pieces).toString("base64") }));
