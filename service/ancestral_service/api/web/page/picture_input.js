// A picture that somebody chooses, at the size of the model; and the pictures that are drawn from it.

import { ApiError, events } from "./ancestral.js";
import { request } from "./api.js";
import { dropZone, slider } from "./controls.js";
import { h } from "./dom.js";
import { fitted, fromBase64, repaint } from "./pixels.js";

/** A canvas of a PNG in base64, and the file. */
export async function canvasOf(base64) {
  const file = fromBase64(base64);
  const bitmap = await createImageBitmap(file);
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height, class: "picture" });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return { canvas, file };
}

/** A place for a picture. `taken` is called with each new one. */
export class PictureInput {
  constructor(draw, label, taken = () => {}) {
    Object.assign(this, { draw, taken, canvas: null, bitmap: null });
    this.shown = h("div", { class: "kept", hidden: true });
    this.said = h("p", { class: "hint", role: "status" });
    const part = { min: 0, max: 1, step: 0.01, value: 0.5, format: (v) => `${Math.round(100 * v)} %` };
    this.part = {
      zoom: slider("Zoom", "", { min: 1, max: 8, step: 0.1, value: 1, format: (v) => `${v} ×` }),
      across: slider("Across", "", part),
      down: slider("Down", "", part),
    };
    const sliders = Object.values(this.part).map(({ element }) => element);
    this.crop = h("details", { class: "panel", hidden: true, oninput: () => this.fit() }, h("summary", {}, "Which part of it"), sliders);
    const drop = dropZone(label, "image/*", (file) => this.choose(file));
    this.element = h("div", { class: "stack" }, drop, this.shown, this.said, this.crop);
  }

  /** The size of the pictures from now on. One that was chosen is fitted anew, one that was drawn is forgotten. */
  resize(size) {
    if (String(size) === String(this.size)) return;
    this.size = size;
    this.canvas = null;
    this.shown.hidden = true;
    if (this.bitmap) this.fit();
  }

  fit() {
    const part = Object.entries(this.part).map(([name, { input }]) => [name, Number(input.value)]);
    const { canvas, said } = fitted(this.bitmap, ...this.size, Object.fromEntries(part));
    this.show(canvas);
    this.said.textContent = said;
    this.crop.hidden = !said;
  }

  async choose(file) {
    try {
      this.bitmap = await createImageBitmap(file);
      this.fit();
    } catch {
      this.draw.fail(
        new ApiError("image: the browser cannot read this file as a picture", { param: "image", status: 400 }),
      );
    }
  }

  /** Uses a picture that was drawn. */
  take(canvas) {
    this.bitmap = null;
    this.said.textContent = "";
    this.crop.hidden = true;
    this.show(canvas);
  }

  show(canvas) {
    const [width, height] = this.size;
    this.canvas = h("canvas", { width, height, class: "picture" });
    const paint = this.canvas.getContext("2d");
    paint.imageSmoothingEnabled = false;
    paint.drawImage(canvas, 0, 0, width, height);
    this.shown.replaceChildren(this.canvas);
    this.shown.hidden = false;
    this.taken();
  }

  /** The canvas; throws ApiError if there is none yet. */
  get chosen() {
    if (!this.canvas) throw new ApiError("image: choose a picture first", { param: "image", status: 400 });
    return this.canvas;
  }
}

/** Sends a request whose answer is a stream of pictures, and shows them; `fields` are those that cards are made of. */
export async function showStream(draw, path, options, fields) {
  const cards = new Map();
  for await (const event of events(await request(path, options))) {
    const { canvas, file } = await canvasOf(event.b64_json);
    options.signal.throwIfAborted();
    if (!cards.size) draw.begin(options.signal);
    let card = cards.get(event.index);
    if (!card) {
      card = draw.gallery.add({ canvas }, { ...fields, seed: String(event.seed), label: "" }, file);
      cards.set(event.index, card);
    }
    repaint(card.picture.canvas, canvas);
    card.file = file;
    if (!event.type.endsWith(".completed")) continue;
    card.complete();
    const missing = unseen(fields.prompt, event.attributes);
    if (missing) draw.message.append(h("p", { class: "hint" }, `Not to be seen in the picture with seed ${event.seed}: ${missing}.`));
  }
}

/** What was asked for and is not to be seen, of a picture of which a classifier has said what it shows. */
export function unseen(prompt, attributes) {
  const seen = new Set(["any", "", ...Object.values(attributes ?? {}).map(({ value }) => value)]);
  const asked = (prompt ?? "").split(",").map((name) => name.trim());
  return attributes ? asked.filter((name) => !seen.has(name)).join(", ") : "";
}
