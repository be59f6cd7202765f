// A picture that somebody chooses, at the size of the model; and the pictures that are drawn from it.

import { ApiError, events, request } from "./api.js";
import { dropZone } from "./controls.js";
import { h } from "./dom.js";
import { fitted, fromBase64 } from "./pixels.js";

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
    Object.assign(this, { draw, taken, canvas: null });
    this.shown = h("div", { class: "kept", hidden: true });
    this.element = h("div", { class: "stack" }, dropZone(label, "image/*", (file) => this.choose(file)), this.shown);
  }

  /** The size of the pictures from now on. A picture of another size is forgotten. */
  resize(size) {
    if (String(size) === String(this.size)) return;
    this.size = size;
    this.canvas = null;
    this.shown.hidden = true;
  }

  async choose(file) {
    try {
      this.take(await fitted(file, ...this.size));
    } catch {
      this.draw.fail(
        new ApiError("image: the browser cannot read this file as a picture", { param: "image", status: 400 }),
      );
    }
  }

  /** Uses a canvas of the model's size. */
  take(canvas) {
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
    let card = cards.get(event.index);
    if (!card) {
      card = draw.gallery.add({ canvas }, { ...fields, seed: String(event.seed), label: "" }, file);
      cards.set(event.index, card);
    }
    card.picture.canvas.getContext("2d").drawImage(canvas, 0, 0);
    card.file = file;
    if (event.type === "image_generation.completed") card.complete();
  }
}
