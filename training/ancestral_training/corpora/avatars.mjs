// Draws avatars: reads requests as lines of JSON, and writes one line for each, an SVG in a JSON string.
//
// {"style": "micah", "options": {…}} is an avatar of DiceBear. {"style": "facesjs", "seed": 1, "gender": "male",
// "overrides": {…}} is one of facesjs, of which the seed decides what the overrides do not.

import { createInterface } from "node:readline";

const styles = new Map();

async function load(style) {
  if (!styles.has(style)) styles.set(style, await import(style === "facesjs" ? style : `@dicebear/${style}`));
  return styles.get(style);
}

// facesjs draws from Math.random, which has no seed: for each face it is replaced by a linear congruential generator.
function seedRandom(seed) {
  let state = seed >>> 0;
  Math.random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

async function draw({ style, options, seed, gender, overrides }) {
  const module = await load(style);
  if (style === "facesjs") {
    seedRandom(seed);
    return module.faceToSvgString(module.generate(overrides, { gender }));
  }
  const { createAvatar } = await import("@dicebear/core");
  return createAvatar(module, options).toString();
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await draw(JSON.parse(line))) + "\n");
}
