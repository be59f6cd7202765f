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
    Object.assign(this, { models, request: null, jobs: [], busy: null });
    player ??= new Player(RATE);
    this.panel = new SoundPanel(player);
    this.voices = new VoicePicker(voices, (error, retry) => this.fail(error, retry), () => this.changed());
    this.build(values);
    this.chooseModel(values.voice);
    this.changed();
    this.opened = { link: writeLink("", this.values()), sha: values.sha };
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
      describe: (format) => this.describe(format, this.request),
      fileName: (format) => this.fileName(format, this.request),
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
      const request = this.asked();
      const count = request.passages.length;
      const note = count > 1 ? `The first of ${count} requests, one for each paragraph. \`ancestral read\` makes one file of a book.` : "";
      const { sound } = this.actions;
      return { ...this.describe(sound, request), note, output: this.fileName(sound, request) };
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
    silence();
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
    if (this.busy) return "Stop";
    return this.speaks ? "Speak" : "Sample";
  }

  /** What the form says: this is in the share link, and in the history. */
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

  /**
   * What is asked for now, whatever is changed in the form later: its values, the texts of which each is a
   * request, and the rate at which the model samples.
   */
  asked() {
    return { values: this.values(), passages: this.speaks ? this.text.passages : [], rate: this.model.sample_rate };
  }

  /** The request of a passage. `number` is the seed as the server has it, which may have been asked for by a name. */
  describe(format, { values, passages, number = values.seed }, index = 0) {
    const { model, text, ...rest } = values;
    if (text === undefined) return { path: "v1/audio/generations", json: { model, ...rest, response_format: format } };
    const seed = index ? partSeed(number, index * SENTENCES) : rest.seed;
    return { path: "v1/audio/speech", json: { model, input: passages[index], ...rest, seed, response_format: format } };
  }

  /** The requests of all passages, each made when it is its turn. */
  *requests(request) {
    const count = request.passages.length || 1;
    for (let index = 0; index < count; index++) yield this.describe("pcm", request, index);
  }

  changed() {
    if (this.language !== this.voices.language) {
      this.language = this.voices.language;
      this.text.speak(this.language, this.voices.languageName);
    }
    this.text.count(this.voices.languages);
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
    this.message.replaceChildren();
    silence();
    this.seed.next();
    const controller = new AbortController();
    this.busy = controller;
    this.submit.textContent = this.label;
    const request = this.asked();
    history.replaceState(null, "", writeLink("speak", request.values));
    toResult(this.element);
    announce("Sampling");
    try {
      if (this.speaks) this.text.check();
      await this.speak(request, clicked, controller.signal);
    } catch (error) {
      controller.abort(); // what is left of its sound and words is not wanted any more
      if (error.name !== "AbortError") this.fail(error, () => this.start());
    } finally {
      if (this.busy === controller) this.finish();
    }
  }

  /** A request has been accepted: its sound takes the place of the one before. */
  begin(request) {
    this.request = request;
    this.jobs = [];
    this.actions.clear();
    const { text, speed, duration } = request.values;
    this.panel.begin(text === undefined ? duration : text.length / CHARACTERS_PER_SECOND / speed);
  }

  /** Has all passages sampled and played. */
  async speak(request, clicked, signal) {
    const words = request.passages.length > 0;
    const unsaid = (text, what) => this.message.append(h("p", { class: "hint" }, `Not said, as ${what}: ${text}`));
    let first = null;
    const bytes = await playPassages(this.panel, this.requests(request), {
      signal,
      words,
      wanted: () => !signal.aborted,
      onbegin: () => this.begin(request),
      onjob: (job, headers) => {
        this.jobs.push(job);
        this.engine = headers.get("x-engine");
        request.number ??= headers.get("x-seed");
        const skipped = decodeURIComponent(headers.get("x-skipped") ?? "");
        if (skipped) unsaid(skipped, "it is in letters that are not read");
      },
      onunread: (text) => unsaid(text, "there is nothing in it that is read"),
      onpiece: () => {
        if (first === null) announce("Sound begins");
        first ??= performance.now();
        this.measure(first - clicked, performance.now() - first);
      },
    });
    const hash = await sha256(await new Blob(bytes).arrayBuffer());
    signal.throwIfAborted();
    this.complete(request, hash);
  }

  measure(wait, elapsed) {
    const seconds = this.panel.scope.total / RATE;
    const factor = elapsed > 300 ? `${(seconds / (elapsed / 1000)).toFixed(1)} ×` : "…";
    this.panel.stats = [
      ["First audio", `${Math.round(wait)} ms`],
      ["Length", `${seconds.toFixed(1)} s`],
      ["Real-time factor", factor],
      ["Samples", Math.round(seconds * this.request.rate).toLocaleString("en")],
      ["Engine", this.engine ?? ""],
    ];
  }

  complete({ values, passages }, hash) {
    const { link, sha } = this.opened;
    if (hash && sha && link === writeLink("", values)) {
      this.actions.say(
        hash.startsWith(sha),
        "The same bytes as in the link",
        "Other bytes than in the link: the model or the engine differs",
      );
    }
    this.actions.complete(this.jobs, passages.length > 0);
    remember("speak", values);
    this.history.show();
    history.replaceState(null, "", writeLink("speak", { ...values, sha: hash?.slice(0, 16) }));
    this.panel.figures.dataset.sha256 = hash ?? "";
    announce(`Complete: ${(player.length / RATE).toFixed(1)} seconds`);
  }

  finish() {
    this.busy = null;
    this.panel.sampling = false;
    this.submit.textContent = this.label;
  }

  stop() {
    this.busy?.abort();
    if (this.panel.sampling) this.panel.end();
    this.finish();
    if (player.playing) player.pause();
  }

  fail(error, retry) {
    if (!("status" in error)) throw error;
    if (this.panel.sampling) this.panel.end();
    if (showAtField(this.form, error)) return;
    const box = problem(error, () => {
      box.remove();
      retry();
    });
    this.message.replaceChildren(box);
  }

  fileName(format, { values: { model, voice, seed } }) {
    return `${model}-${voice}-${seed}.${format}`;
  }
}
