// The three ways to draw: pictures of a class, completions of a picture, interpolations between two classes.

import { ApiError, events, get, request } from "./api.js";
import { dropZone, select, slider } from "./controls.js";
import { field, h } from "./dom.js";
import { rowsOf, streamPictures } from "./picture_stream.js";
import { fitted, fromBase64, Picture, sizeOf, toBase64 } from "./pixels.js";

/** A canvas of a PNG in base64, and the file. */
async function canvasOf(base64) {
  const file = fromBase64(base64);
  const bitmap = await createImageBitmap(file);
  const canvas = h("canvas", { width: bitmap.width, height: bitmap.height, class: "picture" });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return { canvas, file };
}

/** Pictures of a class, over the websocket. */
export class Generation {
  constructor({ draw }) {
    this.draw = draw;
  }

  async start(signal) {
    const { draw } = this;
    const fields = { ...draw.subject(), n: Number(draw.count.input.value), ...draw.shared() };
    const begun = performance.now();
    let cards = [];
    const done = await streamPictures(fields, {
      signal,
      onstart: (start) => {
        draw.progress.hidden = false;
        cards = start.seeds.map((seed, index) =>
          draw.gallery.add(new Picture(start.width, start.height, start.channels), {
            ...fields,
            n: 1,
            seed: String(seed),
            label: start.revised_prompts?.[index] ?? fields.prompt ?? "",
          }),
        );
      },
      oncoarse: (pixels, { coarse, channels, n }) => {
        const bytes = coarse.width * coarse.height * channels;
        for (let i = 0; i < n; i++)
          cards[i].picture.outline(pixels.subarray(i * bytes, (i + 1) * bytes), coarse.width, coarse.height);
      },
      onrows: (first, pixels, { n, width, channels, height }) => {
        cards.forEach((card, index) => card.picture.fill(first, rowsOf(pixels, index, n, width * channels)));
        draw.progress.value = cards[0].picture.rows / height;
      },
    });
    cards.forEach((card) => card.complete());
    draw.gallery.element.dataset.sha256 = done.sha256;
    const seconds = (performance.now() - begun) / 1000;
    const pixels = done.rows * cards.length * cards[0].picture.width;
    draw.status.textContent = `${cards.length} ${cards.length === 1 ? "picture" : "pictures"}, ${pixels.toLocaleString("en")} pixels in ${seconds.toFixed(1)} s`;
  }
}

export class Completion {
  constructor({ draw, changed }) {
    this.draw = draw;
    this.picture = null;
    this.line = slider("Rows that are kept", "rows", { min: 1, max: 27, step: 1, value: 14 });
    this.line.input.addEventListener("input", () => this.shade());
    this.shown = h("div", { class: "kept", hidden: true });
    this.shown.addEventListener("pointerdown", (event) => this.drag(event));
    this.shown.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    this.drop = dropZone("Choose a picture", "image/*", (file) => this.choose(file));
    this.element = h("div", { class: "stack" }, this.drop, this.shown, this.line.element);
    this.changed = changed;
  }

  get rows() {
    return Number(this.line.input.value);
  }

  chooseModel([width, height]) {
    this.size = [width, height];
    this.line.input.max = height - 1;
    this.line.set(Math.floor(height / 2));
    this.picture = null;
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
    this.picture = h("canvas", { width, height, class: "picture" });
    const paint = this.picture.getContext("2d");
    paint.imageSmoothingEnabled = false;
    paint.drawImage(canvas, 0, 0, width, height);
    this.veil = h("span", { class: "veil" });
    this.shown.replaceChildren(this.picture, this.veil);
    this.shown.hidden = false;
    this.shade();
  }

  shade() {
    if (this.veil) this.veil.style.top = `${(100 * this.rows) / this.size[1]}%`;
  }

  drag(event) {
    event.preventDefault();
    const box = this.shown.getBoundingClientRect();
    const share = (event.clientY - box.top) / box.height;
    this.line.set(Math.min(this.size[1] - 1, Math.max(1, Math.round(share * this.size[1]))));
    this.shade();
    this.changed();
  }

  async start(signal) {
    const { draw } = this;
    if (!this.picture) throw new ApiError("image: choose a picture first", { param: "image", status: 400 });
    const fields = { ...draw.shared(), ...draw.subject(), n: Number(draw.count.input.value) };
    const json = { ...fields, image: toBase64(this.picture), rows: this.rows, stream: true, partial_images: 3 };
    const cards = new Map();
    for await (const event of events(await request("v1/images/completions", { json, signal }))) {
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
}

export class Interpolation {
  constructor({ draw, changed }) {
    this.draw = draw;
    this.from = h("div", {});
    this.to = h("div", {});
    this.steps = slider("Steps", "steps", { min: 2, max: 16, step: 1, value: 8 });
    this.element = h("div", { class: "stack" }, this.from, this.to, this.steps.element);
    this.changed = changed;
  }

  /** `picker`: of the model. Of several attributes the ends are lists of names. */
  chooseModel(picker) {
    const [classes, kinds] = [picker.of(picker.first), picker.of("kind")];
    const names = [...classes, ...kinds].map((one) => one.id);
    const second = kinds.length ? kinds[1].id : names[Math.min(7, names.length - 1)];
    const lists = picker.selects.length > 0;
    const end = (name) =>
      lists
        ? h("input", { type: "text", value: name, maxlength: 4096, oninput: this.changed })
        : select(names, name, this.changed);
    this.begin = end(kinds.length ? kinds[0].id : names[Math.min(1, names.length - 1)]);
    this.end = end(second);
    this.from.replaceChildren(field("From", this.begin, { param: "from" }));
    this.to.replaceChildren(field("To", this.end, { param: "to" }));
  }

  values() {
    return { from: this.begin.value, to: this.end.value, steps: Number(this.steps.input.value) };
  }

  async start(signal) {
    const { draw } = this;
    const fields = { ...draw.shared(), ...this.values() };
    const size = sizeOf(draw.model).join("x");
    const { data } = await get("v1/images/interpolations", {
      json: { ...fields, size, response_format: "b64_json" },
      signal,
    });
    const pictures = await Promise.all(data.map((one) => canvasOf(one.b64_json)));
    const stage = h("canvas", {
      width: pictures[0].canvas.width,
      height: pictures[0].canvas.height,
      class: "picture stage",
      role: "img",
      "aria-label": "The picture at this step",
    });
    const step = slider("Between", "", {
      min: 0,
      max: pictures.length - 1,
      step: 1,
      value: 0,
      format: (v) => `${v} / ${pictures.length - 1}`,
    });
    const show = () => stage.getContext("2d").drawImage(pictures[step.input.value].canvas, 0, 0);
    step.input.addEventListener("input", show);
    show();
    draw.message.replaceChildren(h("div", { class: "stack stagebox" }, stage, step.element));
    pictures.forEach(({ canvas, file }, index) => {
      draw.gallery.add({ canvas }, { ...fields, label: `${index} of ${pictures.length - 1}` }, file).complete();
    });
  }
}
