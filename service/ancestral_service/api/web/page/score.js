// The view "Score": how probable a sound or a picture is, beside the same thing in disorder.

import { get, request } from "./api.js";
import { dropZone, modelsWith, requestPanel, segmented, select } from "./controls.js";
import { curve, waveform } from "./curve.js";
import { announce, clearErrors, field, h, problem, showAtField } from "./dom.js";
import { fitted, noise, shuffled, sizeOf, toBlob } from "./pixels.js";
import { wav } from "./sound.js";

const BLOCK_SECONDS = 0.02;
/** What servers take of a sound unless `ANCESTRAL_MAX_UPLOAD_SECONDS` says otherwise. */
const MOST_SECONDS = 60;

export async function open(values) {
  const models = await modelsWith("likelihood", "image_likelihood");
  if (!models.length)
    return {
      element: h("div", { class: "sheet" }, h("h1", {}, "Score"), h("p", {}, "This server has no model that scores.")),
    };
  const voices = models.some((model) => model.capabilities.includes("likelihood"))
    ? (await get("v1/audio/voices")).voices
    : [];
  const classes = models.some((model) => model.capabilities.includes("image_likelihood"))
    ? (await get("v1/images/classes")).data
    : [];
  return new Score(models, voices, classes, values);
}

class Score {
  constructor(models, voices, classes, values) {
    Object.assign(this, { models, voices, classes, name: "FILE", current: null });
    const pictures = models.some((model) => model.capabilities.includes("image_likelihood"));
    this.kind = values.kind ?? (pictures ? "picture" : "sound");
    this.options = h("div", { class: "stack" });
    this.results = h("ul", { class: "scores" });
    this.message = h(
      "div",
      { class: "message" },
      h(
        "p",
        { class: "hint" },
        "Fewer bits are more probable. A shuffled copy and noise are scored beside yours, so that the number means something.",
      ),
    );
    this.panel = requestPanel(() => this.describe());
    this.place = h("div", {});
    this.form = h(
      "form",
      {
        class: "sheet controls",
        novalidate: true,
        onsubmit: (event) => {
          event.preventDefault();
          this.run();
        },
        oninput: () => this.panel.show(),
      },
      h("h1", {}, "Score"),
      segmented(
        "What to score",
        [
          ["picture", "A picture"],
          ["sound", "A sound"],
        ],
        this.kind,
        (kind) => {
          this.kind = kind;
          this.choose();
        },
      ),
      this.options,
      this.place,
    );
    this.element = h(
      "div",
      { class: "view" },
      this.form,
      h("section", { class: "sheet result", "aria-label": "Scores" }, this.message, this.results, this.panel.element),
    );
    this.choose();
  }

  leave() {
    this.current?.abort();
  }

  get model() {
    return this.models.find((model) => model.id === this.modelSelect?.value);
  }

  choose() {
    const capability = this.kind === "picture" ? "image_likelihood" : "likelihood";
    const names = this.models.filter((model) => model.capabilities.includes(capability)).map((model) => model.id);
    this.modelSelect = select(
      names,
      null,
      () => {
        this.chooseModel();
        this.run();
      },
    );
    this.modelOptions = h("div", { class: "stack" });
    this.options.replaceChildren(field("Model", this.modelSelect, { param: "model" }), this.modelOptions);
    const accept = this.kind === "picture" ? "image/*" : "audio/*";
    this.place.replaceChildren(
      dropZone(this.kind === "picture" ? "Choose a picture" : "Choose a sound", accept, (file) => {
        this.file = file;
        this.name = file.name;
        this.run();
      }),
    );
    this.file = null;
    this.chooseModel();
  }

  chooseModel() {
    const { model } = this;
    const said = this.text?.value ?? "";
    this.label = this.voice = this.text = null;
    if (!model) return;
    if (this.kind === "picture") {
      const names = this.classes.filter((one) => one.model === model.id && one.object !== "style").map((one) => one.id);
      this.label = select(["any", ...names], "any", () => this.run());
      this.modelOptions.replaceChildren(
        field("Class", this.label, { param: "class", hint: "How probable is it as one of these?" }),
      );
    } else {
      this.voice = select(
        this.voices.filter((voice) => voice.models.includes(model.id)).map((voice) => voice.id),
        null,
        () => this.run(),
      );
      this.text = model.capabilities.includes("speech") ? h("textarea", { rows: 2, maxlength: 4096, value: said }) : null;
      this.text?.addEventListener("change", () => this.run());
      this.modelOptions.replaceChildren(
        field("Voice", this.voice, { param: "voice" }),
        ...(this.text
          ? [field("What is said in it", this.text, { param: "text", hint: "The model scores the recording as one of this text." })]
          : []),
      );
    }
    this.panel.show();
  }

  fields() {
    if (this.kind === "picture") return { model: this.model.id, class: this.label.value, map: "true" };
    return { model: this.model.id, voice: this.voice.value, ...(this.text ? { text: this.text.value } : {}) };
  }

  describe() {
    return { path: this.path, form: { file: `@${this.name}`, ...this.fields() } };
  }

  get path() {
    return this.kind === "picture" ? "v1/images/likelihood" : "v1/audio/likelihood";
  }

  async run() {
    this.current?.abort();
    if (!this.file) return;
    clearErrors(this.form);
    const shows = this.kind === "picture" ? "bright pixels surprised the model" : "peaks surprised the model";
    this.message.replaceChildren(h("p", { class: "hint" }, `Fewer bits are more probable; ${shows}.`));
    this.results.replaceChildren();
    this.curves = [];
    this.panel.show();
    const { signal } = (this.current = new AbortController());
    announce("Scoring");
    try {
      const inputs = this.kind === "picture" ? await this.pictures(signal) : await this.sounds(signal);
      for (const [index, { name, shown, blob }] of inputs.entries()) {
        const item = h(
          "li",
          { class: "score" },
          h("h2", {}, name),
          shown,
          h("p", { class: "loading", role: "status" }, "Scoring…"),
        );
        this.results.append(item);
        await this.one(item, blob, index === 0, signal);
      }
      announce("Scored");
    } catch (error) {
      if (signal.aborted) return; // something else is scored
      this.results.querySelector(".loading")?.remove();
      if (!("status" in error)) {
        error = Object.assign(error, { status: 400, message: "the browser cannot read this file", param: "file" });
      }
      if (!showAtField(this.form, error)) this.message.replaceChildren(problem(error, () => this.run()));
    }
  }

  /** Scores one file. Only the user's own may fail the whole; for the others the reason is shown. */
  async one(item, blob, own, signal) {
    const form = new FormData();
    form.append("file", blob, this.name);
    for (const [name, value] of Object.entries(this.fields())) form.append(name, value);
    let found;
    try {
      const response = await request(this.path, { form, signal });
      found = await response.json();
      if (!own) request(`v1/jobs/${response.headers.get("x-job-id")}`, { method: "DELETE" }).catch(() => {}); // only a comparison
    } catch (error) {
      if (own || !("status" in error) || error.status !== 400) throw error;
      item.lastChild.replaceWith(h("p", { class: "hint" }, `Not scored: ${error.message.replace(/^\w+: /, "")}.`));
      return;
    }
    const bits = found.bits_per_dim ?? found.bits_per_sample;
    const unit = found.bits_per_dim === undefined ? "bits per sample" : "bits per dim";
    item.lastChild.replaceWith(h("p", { class: "bits" }, h("strong", {}, bits.toFixed(3)), ` ${unit}`));
    if (found.curve) this.addCurve(item, found.curve);
    else
      item.append(
        h("img", {
          class: "picture",
          alt: `Heat map: bright pixels of ${item.querySelector("h2").textContent} surprised the model`,
          src: `data:image/png;base64,${found.map}`,
        }),
      );
  }

  /** Shows the curve of one more sound; all have the same scale. */
  addCurve(item, values) {
    this.curves.push({ item, values });
    const top = Math.max(1, ...this.curves.flatMap((one) => one.values));
    for (const one of this.curves) {
      one.item.querySelector(".curve:not(.wave)")?.remove();
      one.item.append(curve(one.values, top));
    }
  }

  async pictures(signal) {
    const bitmap = await createImageBitmap(this.file);
    signal.throwIfAborted();
    const { canvas: own, said } = fitted(bitmap, ...sizeOf(this.model));
    if (said) this.message.append(h("p", { class: "hint" }, said));
    const all = [
      ["Your picture", own],
      ["Shuffled", shuffled(own)],
      ["Noise", noise(own)],
    ];
    return Promise.all(
      all.map(async ([name, canvas]) => ({ name, shown: labelled(canvas, name), blob: await toBlob(canvas) })),
    );
  }

  async sounds(signal) {
    const rate = this.model.sample_rate;
    const context = new OfflineAudioContext(1, 1, rate);
    const buffer = await context.decodeAudioData(await this.file.arrayBuffer());
    signal.throwIfAborted();
    const own = buffer.getChannelData(0).slice(0, MOST_SECONDS * rate);
    if (own.length < buffer.length)
      this.message.append(h("p", { class: "hint" }, `Only its first ${MOST_SECONDS} seconds are scored: a text should be of those.`));
    const all = [
      ["Your sound", own],
      ["Shuffled", shuffledBlocks(own, Math.round(BLOCK_SECONDS * rate))],
      ["Noise", noiseLike(own)],
    ];
    return all.map(([name, samples]) => ({
      name,
      shown: waveform(samples, name),
      blob: new Blob(
        [
          wav(
            Int16Array.from(samples, (x) => 32767 * Math.max(-1, Math.min(1, x))),
            rate,
          ),
        ],
        { type: "audio/wav" },
      ),
    }));
  }
}

function labelled(canvas, name) {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return canvas;
}

/** Pieces of so many samples in random order. */
export function shuffledBlocks(samples, size) {
  const starts = Array.from({ length: Math.ceil(samples.length / size) }, (_, i) => i * size);
  for (let i = starts.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [starts[i], starts[j]] = [starts[j], starts[i]];
  }
  const out = new Float32Array(samples.length);
  let at = 0;
  for (const start of starts) {
    const block = samples.subarray(start, start + size);
    out.set(block, at);
    at += block.length;
  }
  return out;
}

/** White noise as loud as the sound. */
export function noiseLike(samples) {
  const level = Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
  return Float32Array.from(samples, () => level * Math.sqrt(3) * (2 * Math.random() - 1));
}
