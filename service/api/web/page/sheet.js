// A sprite sheet of the pictures that were drawn, and its atlas, which has the fields of `ancestral draw --sheet`.

import { h } from "./dom.js";
import { DOWNLOAD_SCALE } from "./gallery.js";
import { write } from "./ancestral.js";
import { sizeOf, toBlob } from "./pixels.js";

/** Where picture number `index` of so many lies, in pixels of the file. */
export function placeOf(index, count, width, height) {
  const columns = Math.ceil(Math.sqrt(count));
  return { x: (index % columns) * width, y: Math.floor(index / columns) * height, width, height };
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
  const sprites = cards.map(({ fields }, index) => {
    const attributes = attributesOf(fields.label ?? "", known);
    const name = `${Object.values(attributes)[0] ?? "picture"}-${index}`;
    return { name, ...placeOf(index, cards.length, width, height), seed: fields.seed, prompt: fields.label, attributes };
  });
  const whole = ["x", "y"].map((axis, i) => Math.max(...sprites.map((one) => one[axis])) + [width, height][i]);
  const canvas = h("canvas", { width: whole[0], height: whole[1] });
  const paint = canvas.getContext("2d");
  paint.imageSmoothingEnabled = false;
  cards.forEach(({ picture }, i) => paint.drawImage(picture.canvas, sprites[i].x, sprites[i].y, width, height));
  const { temperature, guidance } = cards[0].fields;
  const about = { model: model.id, model_sha256: model.sha256, temperature, guidance };
  const atlas = { image, width: whole[0], height: whole[1], ...about, sprites };
  return { png: await toBlob(canvas), json: new Blob([write(atlas, 2)], { type: "application/json" }) };
}
