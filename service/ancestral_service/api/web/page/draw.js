// The view "Draw": pictures that grow row by row, completions, pictures from a picture, interpolations.

import { get } from "./api.js";
import { ClassPicker } from "./classes.js";
import { historyPanel, modelsWith, requestPanel, Seed, segmented, select, slider, temperatureSlider } from "./controls.js";
import { announce, clearErrors, copy, download, field, h, problem, showAtField, toResult } from "./dom.js";
import { partSeed } from "./seeds.js";
import { Gallery } from "./gallery.js";
import { Edit } from "./draw_edit.js";
import { Completion, Generation, Interpolation, Reconstruction } from "./draw_modes.js";
import { fromBase64, sizeOf } from "./pixels.js";
import { sheetOf } from "./sheet.js";
import { LaidOutSheet } from "./sheet_player.js";
import { remember, writeLink } from "./store.js";

/** The capabilities of which a model needs one for each way to draw. */
const NEEDED = {
  draw: ["image_generation"],
  complete: ["image_completion"],
  edit: ["image_edit"],
  picture: ["image_portrait", "image_reconstruction"],
  interpolate: ["image_interpolation"],
};
const MODES = { draw: "Draw", complete: "Complete", edit: "Edit", picture: "From a picture", interpolate: "Interpolate" };
const LABELS = {
  draw: "Draw",
  complete: "Continue the picture",
  edit: "Draw it in",
  picture: "Draw from the picture",
  interpolate: "Interpolate",
};

export async function open(values) {
  const models = await modelsWith(...Object.values(NEEDED).flat());
  if (!models.length)
    return {
      element: h("div", { class: "sheet" }, h("h1", {}, "Draw"), h("p", {}, "This server has no model that draws.")),
    };
  const classes = (await get("v1/images/classes")).data;
  return new Draw(models, classes, values);
}

class Draw {
  constructor(models, classes, values) {
    Object.assign(this, { models, classes, busy: null, keep: false });
    this.picker = new ClassPicker(classes, () => this.changed());
    const asked = models.find(({ id }) => id === values.model);
    this.wanted = (asked ?? models[0]).id;
    const modes = Object.keys(NEEDED).filter((mode) => this.able(mode, asked ? [asked] : models).length);
    this.mode = modes.includes(values.mode) ? values.mode : modes[0];
    this.build(values);
    this.chooseMode(this.mode);
    this.chooseModel(values.prompt, values.style);
    this.completion.restore(values);
    this.interpolation.restore(values);
    this.laidOut.chooseModel(this.model, values.sheet);
    this.showFields();
  }

  get model() {
    return this.models.find((model) => model.id === this.modelSelect.value);
  }

  /** The default of the server. */
  get defaultGuidance() {
    return ["edit", "complete"].includes(this.mode) ? this.model.edit_guidance : this.model.guidance;
  }

  /** The default is followed from one way of drawing to another, until there is another value. */
  setGuidance(value = this.defaultGuidance) {
    this.guidanceSet = Number(value) !== this.defaultGuidance;
    this.guidance.set(value);
  }

  build(values) {
    const changed = () => this.changed();
    this.modelSelect = select([this.wanted], this.wanted, () => {
      this.wanted = this.model.id;
      this.otherModel();
      changed();
    });
    this.count = slider("Pictures", "n", { min: 1, max: 10, step: 1, value: values.n ?? 6 });
    this.seed = new Seed(values.seed, changed);
    this.temperature = temperatureSlider(values.temperature ?? this.model.temperature);
    this.guidance = slider("Guidance", "guidance", {
      min: 0,
      max: 5,
      step: 0.25,
      value: this.defaultGuidance,
      format: (v) => Number(v).toFixed(2),
      hint: "More shows the class more clearly, with less variety.",
    });
    this.guidance.input.addEventListener("input", () => (this.guidanceSet = true));
    this.setGuidance(values.guidance);
    this.submit = h("button", { type: "submit", class: "primary" }, "Draw");
    const parts = { draw: this, changed, seed: this.seed };
    this.generation = new Generation(parts);
    this.completion = new Completion(parts);
    this.edit = new Edit(parts);
    this.reconstruction = new Reconstruction(parts);
    this.interpolation = new Interpolation(parts);
    this.laidOut = new LaidOutSheet(parts);
    this.modes = segmented(
      "What to draw",
      Object.entries(MODES).filter(([mode]) => this.able(mode).length),
      this.mode,
      (mode) => {
        this.chooseMode(mode);
        changed();
      },
    );
    this.form = h(
      "form",
      {
        class: "sheet controls",
        novalidate: true,
        onsubmit: (event) => {
          event.preventDefault();
          this.busy ? this.stop() : this.start();
        },
        oninput: changed,
      },
      h("h1", {}, "Draw"),
      this.modes,
      field("Model", this.modelSelect, { param: "model" }),
      this.completion.element,
      this.edit.element,
      this.reconstruction.element,
      this.interpolation.element,
      this.laidOut.element,
      this.picker.element,
      this.count.element,
      h(
        "details",
        { class: "panel", open: matchMedia("(min-width: 60rem)").matches },
        h("summary", {}, "Settings"),
        this.seed.element,
        this.picker.styleField,
        h("details", { class: "panel" }, h("summary", {}, "Sampling"), this.temperature.element, this.guidance.element),
      ),
      h("div", { class: "bar" }, this.submit),
    );
    this.gallery = new Gallery({
      more: (card) => this.more(card),
      keep: (card) => this.goOn("complete", this.completion, card),
      edit: (card) => this.goOn("edit", this.edit, card),
      edits: (card) => this.able("edit").some(({ id }) => id === card.fields.model),
      file: (card, scale) => this.file(card, scale),
      fail: (error) => this.fail(error),
    });
    this.panel = requestPanel(() => this.describe());
    this.history = historyPanel(
      "draw",
      (entry) =>
        `${entry.from ? `${entry.from} → ${entry.to}` : (entry.prompt ?? "pictures")} · ${entry.model}`,
      (entry) => this.use(entry),
    );
    this.share = h("button", { type: "button", onclick: () => copy(location.href, this.share) }, "Copy link");
    this.sheet = select([["png", "sheet (PNG)"], ["json", "atlas (JSON)"]], "png", () => {});
    this.sheet.setAttribute("aria-label", "What to download of all pictures");
    this.saveSheet = h("button", { type: "button", onclick: () => this.downloadSheet() }, "Download");
    this.all = h("span", { class: "joined", hidden: true }, this.sheet, this.saveSheet);
    this.message = h(
      "div",
      { class: "message" },
      h(
        "p",
        { class: "hint" },
        "Nothing has been drawn yet. Every row appears as soon as its pixels have been sampled.",
      ),
    );
    this.above = h("div", { class: "above" });
    this.progress = h("progress", { max: 1, value: 0, "aria-label": "Rows sampled", hidden: true });
    this.status = h("p", { class: "dim status" });
    this.element = h(
      "div",
      { class: "view" },
      this.form,
      h(
        "section",
        { class: "sheet result", "aria-label": "Pictures" },
        this.message,
        this.above,
        this.progress,
        this.gallery.element,
        h("div", { class: "row" }, this.status, h("span", { class: "grow" }), this.all, this.share),
        this.panel.element,
        this.history.element,
      ),
    );
  }

  leave() {
    this.stop();
  }

  /** Shows what the model can be asked for. */
  chooseModel(prompt, style) {
    this.picker.show(this.model.id, prompt, style);
    this.guidance.element.hidden = !this.picker.any;
    this.interpolation.chooseModel(this.picker, this.model);
    this.laidOut.chooseModel(this.model, this.laidOut.choice.value);
    this.showFields();
    this.completion.chooseModel(sizeOf(this.model));
    this.edit.chooseModel(sizeOf(this.model));
    this.reconstruction.chooseModel(sizeOf(this.model), this.model);
  }

  otherModel() {
    this.temperature.set(this.model.temperature);
    this.setGuidance();
    this.chooseModel();
  }

  /** Those of some models that can draw in this way; an interpolation needs names for its ends, or pictures. */
  able(mode, models = this.models) {
    const ends = (model) =>
      model.capabilities.includes("image_encoding") ||
      this.classes.some((one) => one.model === model.id && one.object !== "style");
    const found = NEEDED[mode].flatMap((one) => models.filter((model) => model.capabilities.includes(one)));
    return mode === "interpolate" ? found.filter(ends) : found;
  }

  /** Lists the models that draw in this way, and takes the one that is wanted, or else the first. */
  chooseMode(mode) {
    this.mode = mode;
    const before = this.model.id;
    const ids = this.able(mode).map((model) => model.id);
    this.modelSelect.replaceChildren(...ids.map((name) => h("option", { value: name }, name)));
    this.modelSelect.value = ids.includes(this.wanted) ? this.wanted : ids[0];
    if (this.model.id !== before) this.otherModel();
    else if (!this.guidanceSet) this.setGuidance();
    this.modes.querySelector(`input[value=${mode}]`).checked = true;
    this.completion.element.hidden = mode !== "complete";
    this.edit.element.hidden = mode !== "edit";
    this.reconstruction.element.hidden = mode !== "picture";
    this.interpolation.element.hidden = mode !== "interpolate";
    this.picker.element.hidden = mode === "interpolate" || mode === "picture";
    this.showFields();
    this.submit.textContent = this.submitLabel;
  }

  /** A sheet is one picture, drawn only where single pictures are, and it sets some attributes itself. */
  showFields() {
    this.laidOut.element.hidden = this.mode !== "draw" || !this.model.sheets;
    this.count.element.hidden = this.mode === "interpolate" || this.laidOut.name !== "";
    this.picker.leaveOut(this.model.sheet_attributes?.[this.laidOut.name] ?? []);
  }

  get way() {
    if (this.laidOut.name) return this.laidOut;
    const { generation, completion, edit, reconstruction, interpolation } = this;
    return { draw: generation, complete: completion, edit, picture: reconstruction, interpolate: interpolation }[this.mode];
  }

  get submitLabel() {
    return this.busy ? "Cancel" : LABELS[this.mode];
  }

  /** The fields of every request. */
  shared() {
    const fields = { model: this.model.id, seed: this.seed.value, temperature: Number(this.temperature.input.value) };
    if (this.picker.any) fields.guidance = Number(this.guidance.input.value);
    if (this.picker.style) fields.style = this.picker.style;
    return fields;
  }

  subject() {
    return this.picker.any ? { prompt: this.picker.prompt } : {};
  }

  values() {
    if (this.mode === "interpolate") return { mode: this.mode, ...this.interpolation.values(), ...this.shared() };
    if (this.laidOut.name) return this.laidOut.values();
    return {
      ...(this.mode === "draw" ? {} : { mode: this.mode }),
      ...(this.mode === "complete" ? { rows: this.completion.rows } : {}),
      ...this.subject(),
      n: Number(this.count.input.value),
      ...this.shared(),
    };
  }

  describe() {
    const scale = Math.max(1, Math.floor(256 / sizeOf(this.model)[0]));
    const size = sizeOf(this.model)
      .map((side) => side * scale)
      .join("x");
    return this.way.describe(size);
  }

  changed() {
    this.panel.show();
  }

  use(values) {
    this.stop();
    history.replaceState(null, "", writeLink("draw", values));
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  }

  async start({ keepGallery = false } = {}) {
    this.stop();
    clearErrors(this.form);
    if (!keepGallery) this.seed.next();
    this.keep = keepGallery;
    const controller = new AbortController();
    this.busy = controller;
    this.message.replaceChildren();
    this.status.textContent = "";
    this.submit.textContent = this.submitLabel;
    this.all.hidden = true;
    const values = this.values();
    history.replaceState(null, "", writeLink("draw", values));
    toResult(this.element);
    announce("Sampling");
    try {
      await this.way.start(controller.signal);
      remember("draw", values);
      this.history.show();
      announce("Complete");
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error, () => this.start({ keepGallery }));
      else if (!this.busy || this.busy === controller) this.cancelled();
    } finally {
      if (this.busy === controller) this.finish();
    }
  }

  /** The first part of a result has come: it takes the place of the one before, with `shown` above the pictures. */
  begin(signal, ...shown) {
    signal.throwIfAborted();
    if (!this.keep) this.gallery.clear();
    this.laidOut.drawn = null;
    this.above.replaceChildren(...shown);
  }

  cancelled() {
    this.status.textContent = "Cancelled.";
    announce("Cancelled");
  }

  /** Nothing is sampled any more: what is not complete is left out. */
  finish() {
    this.busy = null;
    this.gallery.leaveOutIncomplete();
    this.all.hidden = this.gallery.count < 2 && !this.laidOut.drawn;
    this.progress.hidden = true;
    this.progress.value = 0;
    this.submit.textContent = this.submitLabel;
  }

  stop() {
    this.busy?.abort();
    this.finish();
  }

  fail(error, retry) {
    if (!("status" in error)) throw error;
    if (showAtField(this.form, error)) return;
    const box = problem(
      error,
      retry &&
        (() => {
          box.remove();
          retry();
        }),
    );
    this.message.replaceChildren(box);
  }

  /** As many more pictures of the same attributes, with the seeds that follow. */
  more(card) {
    const { model, prompt, style, seed } = card.fields;
    this.stop();
    this.laidOut.chooseModel(this.model);
    this.wanted = model;
    this.chooseMode("draw");
    this.picker.show(model, prompt, style);
    this.temperature.set(card.fields.temperature);
    this.setGuidance(card.fields.guidance);
    this.seed.value = partSeed(seed, Math.max(1, this.gallery.count));
    this.seed.hold(true);
    this.start({ keepGallery: true });
  }

  /** Shows a picture that was drawn in another way to draw. */
  goOn(mode, way, card) {
    const { model, label } = card.fields;
    this.wanted = model;
    this.chooseMode(mode);
    this.picker.show(model, label);
    way.take(card.picture.canvas);
    this.form.scrollIntoView({ block: "start" });
  }

  /** The model that has drawn a picture. */
  modelOf({ fields }) {
    return this.models.find(({ id }) => id === fields.model);
  }

  /** The pictures in one file, or the JSON that says where each is. */
  async downloadSheet() {
    const { drawn } = this.laidOut;
    const first = drawn ?? this.gallery.cards[0];
    const model = this.modelOf(first);
    const name = `${model.id}-${first.fields.seed}`;
    const image = `${name}.png`;
    const files = drawn ? this.laidOut.files(image) : await sheetOf(this.gallery.cards, model, this.classes, image);
    download(files[this.sheet.value], `${name}.${this.sheet.value}`);
  }

  /** The PNG file of a picture, with its recipe, from the server; each pixel becomes a square of `scale` pixels. */
  async file(card, scale) {
    if (card.file) return card.file;
    const [width, height] = sizeOf(this.modelOf(card));
    const { label, ...fields } = card.fields;
    const { data } = await get("v1/images/generations", {
      json: { ...fields, size: `${width * scale}x${height * scale}`, response_format: "b64_json" },
    });
    return fromBase64(data[0].b64_json);
  }
}
