// The view "Draw": pictures that grow row by row, and are drawn on from.

import catalog from "./catalog.js";
import { Seed, select } from "./controls.js";
import { copy, download, field, h, toResult } from "./dom.js";
import { Edit } from "./draw_edit.js";
import { sizeOf, toBlob } from "./pixels.js";
import { View } from "./view.js";

const ANY = "any";
const painters = catalog.models.filter((model) => model.kind === "image");

/** A select of the models that draw. */
export const painterSelect = (value, onchange) => select(painters.map(({ id }) => id), value ?? painters[0].id, onchange);

const bytesOf = async (blob) => new Uint8Array(await blob.arrayBuffer());

/** RGBA pixels on a canvas of their size. */
function put(canvas, pixels, width, height) {
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
}

export class Draw extends View {
  constructor(engine, values) {
    const model = painterSelect(values.model, () => this.choose({}));
    const attributes = h("div", { class: "attributes" });
    const sheet = h("div", {});
    const count = select(["1", "4", "9"], values.n ?? "4", () => {});
    const seed = new Seed(values.seed, () => {});
    const edit = new Edit({ draw: { fail: (error) => (this.message.textContent = error.message) } });
    const editing = h("details", { class: "panel", hidden: true }, h("summary", {}, "Edit a picture"), edit.element);
    super(engine, "draw", "Draw", "Draw", [field("Model", model, { param: "model" }), attributes, sheet, editing, field("Pictures", count, { param: "n" }), seed.element]);
    Object.assign(this, { model, attributes, sheet, edit, editing, count, seed, wanted: values, sheets: null, selects: [] });
    this.hint = h("p", { class: "hint", role: "status" }, "What a model can draw is known when it is loaded.");
    const link = h("button", { type: "button", onclick: () => copy(location.href, link) }, "Copy link");
    this.actions = h("div", { class: "row wrap", hidden: true }, link);
    this.gallery = h("div", { class: "drawn" });
    this.result.append(this.gallery, this.hint, this.actions, this.message);
  }

  shown() {
    this.choose(this.wanted);
  }

  /** Loads a model, and shows what it can be asked for. */
  async choose(values) {
    const model = this.model.value;
    this.attributes.replaceChildren();
    this.sheet.replaceChildren();
    Object.assign(this.editing, { hidden: true, open: false });
    this.selects = [];
    try {
      const { attributes, sheets, edits } = await this.engine.ask("prepare", { model }, { parts: this.engine.parts(model) });
      if (this.model.value !== model) return;
      this.editing.hidden = !edits;
      if (edits) this.edit.chooseModel(sizeOf({ size: edits }));
      const asked = (values.prompt ?? "").split(", ");
      this.selects = Object.values(attributes).map((names) => select([ANY, ...names], asked.find((name) => names.includes(name)) ?? ANY, () => {}));
      this.attributes.append(...Object.keys(attributes).map((name, i) => field(name, this.selects[i], { param: i ? "" : "prompt" })));
      this.sheets = sheets.length ? select([["", "none"], ...sheets], values.sheet ?? "", () => {}) : null;
      if (this.sheets) this.sheet.append(field("Sheet", this.sheets, { param: "sheet", hint: "One character in all directions and frames." }));
    } catch (error) {
      this.message.textContent = error.message;
    }
  }

  request() {
    const prompt = this.selects.map((one) => one.value).filter((name) => name !== ANY).join(", ") || ANY;
    return { model: this.model.value, prompt, n: Number(this.count.value), seed: this.seed.value, sheet: this.sheets?.value ?? "" };
  }

  async run(signal) {
    this.seed.next();
    const request = this.request();
    this.remember({ ...request, prompt: request.prompt === ANY ? "" : request.prompt });
    if (this.editing.open) Object.assign(request, { sheet: "", image: await bytesOf(await toBlob(this.edit.input.chosen)), mask: await bytesOf(await this.edit.file) });
    await this.draw(request, signal);
  }

  /** Draws, growing in the gallery. */
  async draw(request, signal) {
    const start = performance.now();
    toResult(this.element);
    let figures = [];
    let last = null;
    for await (const event of this.engine.events("draw", request, { parts: this.engine.parts(request.model), signal })) {
      const { n, height, pixels } = (last = event);
      const width = pixels.length / 4 / n / height;
      if (figures.length !== n) {
        figures = Array.from({ length: n }, () => h("figure", {}, h("canvas", { role: "img", "aria-label": "A picture" }), h("figcaption", {})));
        this.gallery.replaceChildren(...figures);
        delete this.gallery.dataset.sha256;
        this.gallery.classList.toggle("sheet-of-frames", Boolean(request.sheet));
        this.actions.hidden = true;
      }
      const size = 4 * width * height;
      figures.forEach((figure, i) => put(figure.firstChild, pixels.subarray(i * size, (i + 1) * size), width, height));
    }
    if (!last?.pictures) return;
    this.gallery.dataset.sha256 = last.sha256;
    this.hint.textContent = `${last.n} in ${((performance.now() - start) / 1000).toFixed(2)} s. SHA-256 of the pixels: ${last.sha256.slice(0, 16)}`;
    last.pictures.forEach((picture, i) => this.caption(figures[i], picture, request));
    this.actions.hidden = false;
  }

  caption(figure, { prompt, seed, bits, file }, request) {
    const name = prompt ?? request.model;
    figure.firstChild.setAttribute("aria-label", name);
    const anew = () => {
      const again = { ...request, image: file, mask: null, sheet: "", n: 1, seed: String((Number(seed) + 1) % 1_000_000), prompt: prompt ?? ANY };
      this.submit((signal) => this.draw(again, signal));
    };
    const edit = () => {
      this.editing.open = true;
      this.edit.take(figure.firstChild);
      this.form.scrollIntoView({ block: "start" });
    };
    figure.lastChild.append(
      `${name}. Seed ${seed}, ${bits} bits.`,
      h("div", { class: "row wrap" },
        h("button", { type: "button", onclick: () => download(new Blob([file], { type: "image/png" }), `${request.model}-${seed}.png`) }, "PNG"),
        h("button", { type: "button", onclick: anew }, "Lower half anew"),
        !this.editing.hidden && h("button", { type: "button", onclick: edit }, "Edit")),
    );
  }
}
