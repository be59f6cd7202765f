// What OpenAI's JavaScript client makes of a server: `node client.mjs URL MODEL VOICE SEED` prints it as one JSON object.
import OpenAI from "openai";

const [baseURL, model, voice, seed] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
const request = { model, voice, input: "The birch canoe slid.", response_format: "wav", seed: Number(seed) };

const whole = await client.audio.speech.create(request);
const bytes = Buffer.from(await whole.arrayBuffer());

const streamed = await client.audio.speech.create({ ...request, response_format: "mp3" });
const pieces = [];
for await (const piece of streamed.body) pieces.push(Buffer.from(piece));

const told = await client.audio.speech.create({ ...request, stream_format: "sse" });
const events = (await told.text()).trim().split("\n\n").map((event) => JSON.parse(event.replace(/^data: /, "")));

const models = [];
for await (const found of client.models.list()) models.push(found.id);

const refusals = [];
for (const [name, attempt] of [
  ["voice", () => client.audio.speech.create({ ...request, voice: "alloy" })],
  ["speed", () => client.audio.speech.create({ ...request, speed: 9 })],
  ["model", () => client.models.retrieve("gpt-4o-mini-tts")],
]) {
  try {
    await attempt();
  } catch (error) {
    const { status, param, code, type, requestID } = error;
    refusals.push({ asked: name, kind: error.constructor.name, status, param, code, type, named: Boolean(requestID) });
  }
}

console.log(
  JSON.stringify({
    whole: { type: whole.headers.get("content-type"), audio: bytes.toString("base64") },
    streamed: { pieces: pieces.length, audio: Buffer.concat(pieces).toString("base64") },
    events: {
      kinds: events.map((event) => event.type),
      audio: Buffer.concat(events.slice(0, -1).map((event) => Buffer.from(event.audio, "base64"))).toString("base64"),
      usage: events.at(-1).usage,
    },
    models,
    owner: (await client.models.retrieve(model)).owned_by,
    refusals,
  }),
);
