// The view "Speak": text to speech, heard while it is sampled.

import { sha256 } from "./ancestral.js";
import { get } from "./api.js";
import { historyPanel, modelsWith, requestPanel, Seed, select, temperatureSlider } from "./controls.js";
import { announce, clearErrors, field, h, problem, showAtField, toResult } from "./dom.js";
import { playPassages } from "./play_passages.js";
import { Player } from "./player.js";
import { partSeed } from "./seeds.js";
import { SoundActions } from "./sound_actions.js";
import { SoundPanel } from "./sound_panel.js";
import { soundSliders } from "./sound_sliders.js";
import { remember, writeLink } from "./store.js";
import { TextInput } from "./text_input.js";
import { silence, VoicePicker } from "./voices.js";

const RATE = 24_000;
/** About so many characters are spoken in a second. */
const CHARACTERS_PER_SECOND = 15;
/** Passages have seeds that no sentences of others have: a sentence more is one more (`partSeed`). */
const SENTENCES = 4096;
let player = null; // one sound device for the whole visit
const reads = (model) => Number(model.capabilities.includes("speech"));

export async function open(values) {
  const models = (await modelsWith("speech", "generation")).sort((a, b) => reads(b) - reads(a));
  if (!models.length) {
    return {
      element: h("div", { class: "sheet" }, h("h1", {}, "Speak"), h("p", {}, "This server has no model that speaks.")),
    };
  }
  return new Speak(models, (await get("v1/audio/voices")).voices, values);
}

class Speak {
  constructor(models, voices, values) {
    Object.assign(this, { models, expectedHash: values.sha ?? null, hash: null, jobs: [], busy: null });
    player ??= new Player(RATE);
    this.panel = new SoundPanel(player);
    this.voices = new VoicePicker(voices, (error, retry) => this.fail(error, retry), () => this.changed());
    this.build(values);
    this.chooseModel(values.voice);
    this.changed();
  }

  get model() {
    return this.models.find((model) => model.id === this.modelSelect.value);
  }

  get speaks() {
    return this.model.capabilities.includes("speech");
  }

  build(values) {
    const changed = () => this.changed();
    this.modelSelect = select(
      this.models.map((model) => model.id),
      values.model,
      () => {
        this.temperature.set(this.model.temperature);
        this.chooseModel();
        changed();
      },
    );
    this.text = new TextInput(values.text, { onchange: changed, submit: () => this.start(), take: (language) => this.voices.speak(language) });
    Object.assign(this, soundSliders(values));
    this.seed = new Seed(values.seed, changed);
    this.temperature = temperatureSlider(values.temperature ?? this.model.temperature);
    this.submit = h("button", { type: "submit", class: "primary" }, "Speak");
    this.element = h("div", { class: "view" }, this.buildForm(), this.buildResult());
  }

  buildForm() {
    const wide = matchMedia("(min-width: 60rem)").matches;
    const onsubmit = (event) => {
      event.preventDefault();
      if (this.busy) this.stop();
      else this.start();
    };
    this.form = h(
      "form",
      { class: "sheet controls", novalidate: true, onsubmit, oninput: () => this.changed() },
      h("h1", {}, "Speak"),
      this.text.element,
      this.duration.element,
      this.voices.element,
      h(
        "details",
        { class: "panel", open: wide },
        h("summary", {}, "Settings"),
        this.seed.element,
        this.speed.element,
        this.pitch.element,
        this.intonation.element,
        field("Model", this.modelSelect, { param: "model" }),
        h("details", { class: "panel" }, h("summary", {}, "Sampling"), this.temperature.element),
      ),
      h("div", { class: "bar" }, this.submit),
    );
    for (const gesture of ["pointerdown", "keydown"]) {
      this.form.addEventListener(gesture, () => player.open().catch(() => {}), { once: true }); // so that it is ready when it is needed
    }
    return this.form;
  }

  buildResult() {
    this.actions = new SoundActions(player, {
      describe: (format) => this.describe(format),
      fileName: (format) => this.fileName(format),
      fail: (error, retry) => this.fail(error, retry),
      onchange: () => this.requestPanel.show(),
    });
    this.message = h(
      "div",
      { class: "message" },
      h(
        "p",
        { class: "hint" },
        "Nothing has been spoken yet. The waveform and spectrogram grow here while the model samples.",
      ),
    );
    this.requestPanel = requestPanel(() => {
      const count = this.passages().length;
      const note = count > 1 ? `The first of ${count} requests, one for each paragraph. \`ancestral read\` makes one file of a book.` : "";
      return { ...this.describe(this.actions.sound), note, output: this.fileName(this.actions.sound) };
    });
    this.history = historyPanel(
      "speak",
      (entry) => entry.text || `${entry.duration} s of ${entry.voice}`,
      (entry) => this.use(entry),
    );
    const { words, canvas, position, playButton, time, figures } = this.panel;
    return h(
      "section",
      { class: "sheet result", "aria-label": "Sound" },
      this.message,
      words.element,
      canvas,
      position,
      h("div", { class: "row" }, playButton, words.mouth.element, time, h("span", { class: "grow" }), this.actions.elements),
      this.actions.tick,
      figures,
      this.requestPanel.element,
      this.history.element,
    );
  }

  shown() {
    this.panel.shown();
  }

  leave() {
    this.stop();
    this.panel.leave();
  }

  /** Shows what the model can be asked for. */
  chooseModel(voice) {
    this.text.element.hidden = !this.speaks;
    this.text.offer(this.voices.of(this.model.id));
    for (const { element } of [this.speed, this.pitch, this.intonation]) element.hidden = !this.speaks;
    this.duration.element.hidden = this.speaks;
    this.submit.textContent = this.label;
    this.voices.show(this.model.id, voice);
  }

  get label() {
    return this.speaks ? "Speak" : "Sample";
  }

  /** What is in the share link, and in the history. */
  values() {
    const shared = {
      model: this.model.id,
      voice: this.voices.value,
      seed: this.seed.value,
      temperature: Number(this.temperature.input.value),
    };
    const [pitch, intonation] = [this.pitch, this.intonation].map(({ input }) => Number(input.value));
    return this.speaks
      ? {
          ...shared,
          speed: Number(this.speed.input.value),
          ...(pitch !== 0 && { pitch }), // models that cannot change it refuse the field
          ...(intonation !== 1 && { intonation }),
          text: this.text.value,
        }
      : { ...shared, duration: Number(this.duration.input.value) };
  }

  /** The texts of which each is a request; one without a text, of models that speak none. */
  passages() {
    return this.speaks ? this.text.passages : [null];
  }

  /** The request of a passage. */
  describe(format, index = 0) {
    const { model, text, ...rest } = this.values();
    if (!this.speaks) return { path: "v1/audio/generations", json: { model, ...rest, response_format: format } };
    const seed = index ? partSeed(rest.seed, index * SENTENCES) : rest.seed;
    return { path: "v1/audio/speech", json: { model, input: this.passages()[index], ...rest, seed, response_format: format } };
  }

  link() {
    return writeLink("speak", { ...this.values(), sha: this.hash?.slice(0, 16) });
  }

  changed() {
    if (this.language !== this.voices.language) {
      this.language = this.voices.language;
      this.text.speak(this.language, this.voices.languageName);
    }
    this.text.count(this.voices.languages);
    if (this.hash && writeLink("", this.values()) !== this.made) {
      this.hash = null; // the sound is that of an earlier request
      this.actions.check.disabled = true;
    }
    this.requestPanel.show();
  }

  use(values) {
    this.stop();
    history.replaceState(null, "", writeLink("speak", values));
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  }

  async start() {
    this.stop();
    const clicked = performance.now();
    clearErrors(this.form);
    this.seed.next();
    const controller = new AbortController();
    this.busy = controller;
    this.begin();
    try {
      if (this.speaks) this.text.check();
      await this.speak(clicked, controller.signal);
    } catch (error) {
      controller.abort(); // what is left of its sound and words is not wanted any more
      if (error.name !== "AbortError") this.fail(error, () => this.start());
    }
    if (this.busy === controller) this.finish();
  }

  begin() {
    silence();
    this.hash = null;
    this.jobs = [];
    this.actions.clear();
    this.message.replaceChildren();
    this.made = writeLink("", this.values());
    this.submit.textContent = "Stop";
    const { text, speed, duration } = this.values();
    this.panel.begin(this.speaks ? text.length / CHARACTERS_PER_SECOND / speed : duration);
    history.replaceState(null, "", this.link());
    toResult(this.element);
    announce("Sampling");
  }

  /** Has all passages sampled and played. */
  async speak(clicked, signal) {
    const requests = this.passages().map((_, index) => this.describe("pcm", index));
    let first = null;
    const bytes = await playPassages(this.panel, requests, {
      signal,
      words: this.speaks,
      wanted: () => !signal.aborted,
      onjob: (job, engine, skipped) => {
        this.jobs.push(job);
        this.engine = engine;
        const words = decodeURIComponent(skipped ?? "");
        if (words) this.message.append(h("p", { class: "hint" }, `Not said, as it is in letters that are not read: ${words}`));
      },
      onpiece: () => {
        if (first === null) announce("Sound begins");
        first ??= performance.now();
        this.measure(first - clicked, performance.now() - first);
      },
    });
    await this.complete(bytes);
  }

  measure(wait, elapsed) {
    const seconds = this.panel.scope.total / RATE;
    const factor = elapsed > 300 ? `${(seconds / (elapsed / 1000)).toFixed(1)} ×` : "…";
    this.panel.stats = [
      ["First audio", `${Math.round(wait)} ms`],
      ["Length", `${seconds.toFixed(1)} s`],
      ["Real-time factor", factor],
      ["Samples", Math.round(seconds * this.model.sample_rate).toLocaleString("en")],
      ["Engine", this.engine ?? ""],
    ];
  }

  async complete(bytes) {
    this.hash = await sha256(await new Blob(bytes).arrayBuffer());
    const expected = this.expectedHash;
    this.expectedHash = null;
    if (this.hash && expected) {
      this.actions.say(
        this.hash.startsWith(expected),
        "The same bytes as in the link",
        "Other bytes than in the link: the model or the engine differs",
      );
    }
    this.actions.complete(this.jobs, this.speaks);
    remember("speak", this.values());
    this.history.show();
    history.replaceState(null, "", this.link());
    this.panel.figures.dataset.sha256 = this.hash ?? "";
    announce(`Complete: ${(player.length / RATE).toFixed(1)} seconds`);
  }

  finish() {
    this.busy = null;
    this.panel.sampling = false;
    this.submit.textContent = this.label;
  }

  stop() {
    if (this.busy) {
      this.busy.abort();
      this.panel.end();
    }
    this.finish();
    if (player.playing) player.pause();
  }

  fail(error, retry) {
    if (!("status" in error)) throw error;
    if (this.busy) this.panel.end();
    if (showAtField(this.form, error)) return;
    const box = problem(error, () => {
      box.remove();
      retry();
    });
    this.message.replaceChildren(box);
  }

  fileName(format) {
    return `${this.model.id}-${this.voices.value}-${this.seed.value}.${format}`;
  }
}
