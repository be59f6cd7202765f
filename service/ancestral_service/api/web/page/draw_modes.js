// The ways to draw: pictures of a class, completions, pictures from a picture, interpolations.

import { get } from "./api.js";
import { select, slider } from "./controls.js";
import { field, h } from "./dom.js";
import { canvasOf, PictureInput, showStream } from "./picture_input.js";
import { rowsOf, streamPictures } from "./picture_stream.js";
import { Picture, repaint, sizeOf, toBase64, toBlob } from "./pixels.js";

/** Pictures of a class, over the websocket. */
export class Generation {
  constructor({ draw }) {
    this.draw = draw;
  }

  /** The request; `size` is that of the files. */
  describe(size) {
    const { draw } = this;
    return {
      path: "v1/images/generations",
      json: { ...draw.shared(), ...draw.subject(), n: Number(draw.count.input.value), size },
      note: "The same pictures, over HTTP. The page itself uses the websocket v1/images/stream, for every row as it is sampled.",
    };
  }

  async start(signal) {
    const { draw } = this;
    const fields = { ...draw.subject(), n: Number(draw.count.input.value), ...draw.shared() };
    const begun = performance.now();
    let cards = [];
    const done = await streamPictures(fields, {
      signal,
      onstart: (start) => {
        draw.begin(signal);
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
    this.line = slider("Rows that are kept", "rows", { min: 1, max: 27, step: 1, value: 14 });
    this.line.input.addEventListener("input", () => this.shade());
    this.veil = h("span", { class: "veil" });
    this.input = new PictureInput(draw, "Choose a picture", () => {
      this.input.shown.append(this.veil);
      this.shade();
    });
    this.input.shown.addEventListener("pointerdown", (event) => this.drag(event));
    this.input.shown.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    this.element = h("div", { class: "stack" }, this.input.element, this.line.element);
    this.changed = changed;
  }

  get rows() {
    return Number(this.line.input.value);
  }

  chooseModel(size) {
    this.height = size[1];
    this.line.input.max = this.height - 1;
    this.line.set(Math.floor(this.height / 2));
    this.input.resize(size);
  }

  /** Takes the line from the values of a link. */
  restore({ rows }) {
    if (rows) this.line.set(rows);
  }

  take(canvas) {
    this.input.take(canvas);
  }

  shade() {
    this.veil.style.top = `${(100 * this.rows) / this.height}%`;
  }

  drag(event) {
    event.preventDefault();
    const box = this.input.shown.getBoundingClientRect();
    const share = (event.clientY - box.top) / box.height;
    this.line.set(Math.min(this.height - 1, Math.max(1, Math.round(share * this.height))));
    this.shade();
    this.changed();
  }

  describe(size) {
    const { draw } = this;
    const fields = { ...draw.shared(), ...draw.subject(), n: Number(draw.count.input.value), size };
    return {
      path: "v1/images/completions",
      json: { ...fields, rows: this.rows, image: "BASE64" },
      note: "`image` is the picture in base64.",
    };
  }

  async start(signal) {
    const { draw } = this;
    const fields = { ...draw.shared(), ...draw.subject(), n: Number(draw.count.input.value) };
    const image = toBase64(this.input.chosen);
    const json = { ...fields, image, rows: this.rows, stream: true, partial_images: 3 };
    await showStream(draw, "v1/images/completions", { json, signal }, fields);
  }
}

/** What a picture shows, drawn again by an autoencoder; or other pictures of the person on it. */
export class Reconstruction {
  constructor({ draw }) {
    this.draw = draw;
    this.input = new PictureInput(draw, "Choose a picture");
    this.hint = h("p", { class: "hint" });
    this.element = h("div", { class: "stack" }, this.input.element, this.hint);
  }

  chooseModel(size, model) {
    this.input.resize(size);
    this.path = model.capabilities.includes("image_portrait") ? "v1/images/portraits" : "v1/images/reconstructions";
    this.hint.textContent = this.path.endsWith("portraits")
      ? "New pictures of the person on it."
      : "The model keeps a few numbers of it and draws what they say, each time anew.";
  }

  describe(size) {
    const { draw } = this;
    const fields = { ...draw.shared(), n: draw.count.input.value, size };
    const form = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
    return { path: this.path, form: { image: "@picture.png", ...form } };
  }

  async start(signal) {
    const { draw } = this;
    const fields = { ...draw.shared(), n: Number(draw.count.input.value) };
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...fields, stream: true, partial_images: 3 })) form.append(name, value);
    form.append("image", await toBlob(this.input.chosen), "picture.png");
    await showStream(draw, this.path, { form, signal }, fields);
  }
}

export class Interpolation {
  constructor({ draw, changed }) {
    this.draw = draw;
    this.from = h("div", {});
    this.to = h("div", {});
    this.steps = slider("Steps", "steps", { min: 2, max: 16, step: 1, value: 8 });
    this.pictures = ["First picture", "Last picture"].map((label) => new PictureInput(draw, label));
    this.uploads = h("div", { class: "stack" }, ...this.pictures.map((picture) => picture.element));
    this.element = h("div", { class: "stack" }, this.from, this.to, this.uploads, this.steps.element);
    this.changed = changed;
  }

  /** `picker`: of the model. Of several attributes the ends are lists of names; without any they are pictures. */
  chooseModel(picker, model) {
    this.encodes = model.capabilities.includes("image_encoding");
    for (const end of [this.from, this.to]) end.hidden = this.encodes;
    this.uploads.hidden = !this.encodes;
    for (const picture of this.pictures) picture.resize(sizeOf(model));
    const [classes, kinds] = [picker.of(picker.first), picker.of("kind")];
    const names = [...classes, ...kinds].map((one) => one.id);
    const second = kinds.length ? kinds[1].id : names[Math.min(7, names.length - 1)];
    const lists = picker.selects.size > 0;
    const end = (name) =>
      lists
        ? h("input", { type: "text", value: name, maxlength: 4096, oninput: this.changed })
        : select(names, name, this.changed);
    this.begin = end(kinds.length ? kinds[0].id : names[Math.min(1, names.length - 1)]);
    this.end = end(second);
    this.from.replaceChildren(field("From", this.begin, { param: "from" }));
    this.to.replaceChildren(field("To", this.end, { param: "to" }));
  }

  /** Takes both ends and the steps from the values of a link. */
  restore({ from, to, steps }) {
    if (steps) this.steps.set(steps);
    for (const [end, name] of [[this.begin, from], [this.end, to]]) {
      if (name && (!end.options || [...end.options].some((option) => option.value === name))) end.value = name;
    }
  }

  values() {
    const steps = Number(this.steps.input.value);
    return this.encodes ? { steps } : { from: this.begin.value, to: this.end.value, steps };
  }

  /** The vectors of both pictures, of models that have no names for the ends. */
  async ends(signal) {
    if (!this.encodes) return {};
    const vectors = this.pictures.map(async (picture) => {
      const form = new FormData();
      form.append("model", this.draw.model.id);
      form.append("image", await toBlob(picture.chosen), "picture.png");
      const { data } = await get("v1/images/encodings", { form, signal });
      return data[0].embedding;
    });
    const [from, to] = await Promise.all(vectors);
    return { from, to };
  }

  describe(size) {
    const ends = this.encodes ? { from: "VECTOR", to: "VECTOR" } : {};
    return {
      path: "v1/images/interpolations",
      json: { ...this.draw.shared(), ...ends, ...this.values(), size },
      note: this.encodes ? "The vectors are those that v1/images/encodings gives of the pictures." : "",
    };
  }

  async start(signal) {
    const { draw } = this;
    const fields = { ...draw.shared(), ...this.values() };
    const size = sizeOf(draw.model).join("x");
    const { data } = await get("v1/images/interpolations", {
      json: { ...fields, ...(await this.ends(signal)), size, response_format: "b64_json" },
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
    const show = () => repaint(stage, pictures[step.input.value].canvas);
    step.input.addEventListener("input", show);
    show();
    draw.begin(signal, h("div", { class: "stack stagebox" }, stage, step.element));
    pictures.forEach(({ canvas, file }, index) => {
      draw.gallery.add({ canvas }, { ...fields, label: `${index} of ${pictures.length - 1}` }, file).complete();
    });
  }
}
