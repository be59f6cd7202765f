// The way to edit: a brush on a picture says what is drawn anew, and every other pixel stays.

import { ApiError } from "./ancestral.js";
import { slider } from "./controls.js";
import { h } from "./dom.js";
import { PictureInput, showStream } from "./picture_input.js";
import { toBlob } from "./pixels.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Edit {
  constructor({ draw }) {
    this.draw = draw;
    this.input = new PictureInput(draw, "Choose a picture", () => this.cover());
    this.brush = slider("Brush", "", { min: 1, max: 15, step: 1, value: 5, format: (v) => `${v} pixels` });
    this.brush.input.addEventListener("input", () => this.point());
    this.outline = h("span", { class: "brush" }); // where the keys would paint
    this.erase = h("input", { type: "checkbox" });
    const clear = h("button", { type: "button", onclick: () => this.clear() }, "Clear");
    this.tools = h(
      "div",
      { class: "stack", hidden: true },
      h("p", { class: "hint" }, "Paint over what is to be drawn anew. All else stays as it is."),
      this.brush.element,
      h("div", { class: "row" }, h("label", { class: "check grow" }, this.erase, "Erase"), clear),
    );
    this.element = h("div", { class: "stack" }, this.input.element, this.tools);
  }

  chooseModel(size) {
    this.size = size;
    this.input.resize(size);
    this.tools.hidden = !this.input.canvas;
  }

  take(canvas) {
    this.input.take(canvas);
  }

  /** Lays an empty mask over a new picture. */
  cover() {
    const [width, height] = this.size;
    this.at = [Math.floor(width / 2), Math.floor(height / 2)];
    this.mask = h("canvas", {
      width,
      height,
      class: "mask",
      tabindex: 0,
      role: "application",
      "aria-label": "What is drawn anew: arrow keys move the brush, the space bar paints",
      onpointerdown: (event) => {
        this.mask.setPointerCapture(event.pointerId);
        this.stroke(event);
      },
      onpointermove: (event) => event.buttons && this.stroke(event),
      onkeydown: (event) => this.press(event),
    });
    this.pen = this.mask.getContext("2d", { willReadFrequently: true });
    this.input.shown.append(this.mask, this.outline);
    this.point();
    this.tools.hidden = false;
  }

  clear() {
    this.pen.clearRect(0, 0, ...this.size);
  }

  /** Shows where the brush is, and how large. */
  point() {
    if (!this.at) return;
    const [left, top] = this.at.map((place, axis) => `${(100 * place) / this.size[axis]}%`);
    const width = `${(100 * this.brush.input.value) / this.size[0]}%`;
    Object.assign(this.outline.style, { left, top, width });
  }

  stroke(event) {
    event.preventDefault();
    const box = this.mask.getBoundingClientRect();
    const [width, height] = this.size;
    this.at = [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
    this.point();
    this.paint();
  }

  press(event) {
    const step = STEPS[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    if (step) this.at = this.at.map((place, axis) => Math.min(this.size[axis], Math.max(0, place + step[axis])));
    else this.paint();
    this.point();
  }

  /** Fills, or empties, the whole pixels whose middle is under the round brush. */
  paint() {
    const { pen } = this;
    const radius = Number(this.brush.input.value) / 2;
    const [left, top] = this.at.map((place) => Math.floor(place - radius));
    pen.fillStyle = getComputedStyle(this.mask).color;
    for (let y = top; y <= this.at[1] + radius; y++) {
      for (let x = left; x <= this.at[0] + radius; x++) {
        const near = Math.hypot(x + 0.5 - this.at[0], y + 0.5 - this.at[1]) <= Math.max(radius, 0.71);
        if (near) this.erase.checked ? pen.clearRect(x, y, 1, 1) : pen.fillRect(x, y, 1, 1);
      }
    }
  }

  /** The mask as requests have it: transparent where the picture is drawn anew. */
  get file() {
    const [width, height] = this.size;
    const painted = this.pen.getImageData(0, 0, width, height).data;
    if (!painted.some((value, at) => at % 4 === 3 && value))
      throw new ApiError("mask: paint over the picture what is to be drawn anew", { param: "mask", status: 400 });
    const canvas = h("canvas", { width, height });
    const paint = canvas.getContext("2d");
    paint.fillRect(0, 0, width, height);
    paint.globalCompositeOperation = "destination-out";
    paint.drawImage(this.mask, 0, 0);
    return toBlob(canvas);
  }

  fields() {
    const { draw } = this;
    return { ...draw.shared(), ...draw.subject(), n: Number(draw.count.input.value) };
  }

  describe(size) {
    const fields = Object.entries({ ...this.fields(), size }).map(([name, value]) => [name, String(value)]);
    return { path: "v1/images/edits", form: { image: "@picture.png", mask: "@mask.png", ...Object.fromEntries(fields) } };
  }

  async start(signal) {
    const fields = this.fields();
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...fields, stream: true, partial_images: 3 })) form.append(name, value);
    form.append("image", await toBlob(this.input.chosen), "picture.png");
    form.append("mask", await this.file, "mask.png");
    await showStream(this.draw, "v1/images/edits", { form, signal }, fields);
  }
}
