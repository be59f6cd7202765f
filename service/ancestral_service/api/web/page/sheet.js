// A sprite sheet of the pictures that were drawn, and its atlas, as `ancestral draw --sheet` writes them.

import { h } from "./dom.js";
import { DOWNLOAD_SCALE } from "./gallery.js";
import { write } from "./ancestral.js";
import { sizeOf, toBlob } from "./pixels.js";

/** Where picture number `index` of so many lies, in pixels of the file. */
export function placeOf(index, count, width, height) {
  const columns = Math.ceil(Math.sqrt(count));
  return { x: (index % columns) * width, y: Math.floor(index / columns) * height };
}

/** The names of a prompt by the attributes that they are values of. */
export function attributesOf(prompt, classes) {
  const named = prompt.split(",").map((name) => classes.find((one) => one.id === name.trim()));
  return Object.fromEntries(named.filter(Boolean).map((one) => [one.object, one.id]));
}

/** The files `png` and `json` of some cards, all of one model; `image` is the name of the PNG. */
export async function sheetOf(cards, model, classes, image) {
  const [width, height] = sizeOf(model).map((side) => side * DOWNLOAD_SCALE);
  const known = classes.filter((one) => one.model === model.id);
  const places = cards.map((_, index) => placeOf(index, cards.length, width, height));
  const named = cards.map(({ fields }, index) => {
    const attributes = attributesOf(fields.label ?? "", known);
    const { x, y } = places[index];
    const frame = {
      frame: { x, y, w: width, h: height },
      rotated: false,
      trimmed: false,
      spriteSourceSize: { x: 0, y: 0, w: width, h: height },
      sourceSize: { w: width, h: height },
      seed: fields.seed,
      prompt: fields.label,
      attributes,
    };
    return [`${Object.values(attributes)[0] ?? "picture"}-${index}`, frame];
  });
  const whole = { w: Math.max(...places.map(({ x }) => x)) + width, h: Math.max(...places.map(({ y }) => y)) + height };
  const canvas = h("canvas", { width: whole.w, height: whole.h });
  const paint = canvas.getContext("2d");
  paint.imageSmoothingEnabled = false;
  cards.forEach(({ picture }, i) => paint.drawImage(picture.canvas, places[i].x, places[i].y, width, height));
  const { temperature, guidance } = cards[0].fields;
  const about = { model: model.id, model_sha256: model.sha256, temperature, guidance };
  const meta = { app: "ancestral", image, format: "RGBA8888", size: whole, scale: "1", ...about };
  const atlas = { frames: Object.fromEntries(named), meta };
  return { png: await toBlob(canvas), json: new Blob([write(atlas, 2)], { type: "application/json" }) };
}
