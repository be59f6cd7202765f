// The view "Speak": a text, a voice, the sound while it is sampled.

import catalog from "./catalog.js";
import { Seed, select, slider } from "./controls.js";
import { copy, download, field, h, toResult } from "./dom.js";
import { Player } from "./player.js";
import { SoundPanel } from "./sound_panel.js";
import { writeLink } from "./store.js";
import { View } from "./view.js";

const TEXT = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.";
const CHARACTERS_A_SECOND = 14;
const LANGUAGES = new Intl.DisplayNames(["en"], { type: "language" });

const speakers = catalog.models.filter((model) => model.kind === "speech");
const voices = speakers.flatMap((model) => model.voices.map((voice) => ({ ...voice, model: model.id })));
let player = null;

/** The parts that a voice needs. */
export const partsOf = (engine, voice) => engine.parts(voice.model, voice);

export const voiceOf = (id) => voices.find((voice) => voice.id === id) ?? voices[0];

/** A select of all voices. */
export function voiceSelect(value) {
  return select(voices.map(({ id, name, language }) => [id, `${name}, ${LANGUAGES.of(language)}`]), value ?? voices[0].id, () => {});
}

export class Speak extends View {
  constructor(engine, values) {
    const text = h("textarea", { rows: 5, maxlength: 20000, value: values.text ?? TEXT });
    const voice = voiceSelect(values.voice);
    const seed = new Seed(values.seed, () => {});
    const speed = slider("Speed", "speed", { min: 0.5, max: 2, step: 0.05, value: values.speed ?? 1, format: (v) => `${Number(v).toFixed(2)} ×` });
    const pitch = slider("Pitch", "pitch", { min: -6, max: 6, step: 0.5, value: values.pitch ?? 0, format: (v) => `${v} semitones` });
    super(engine, "speak", "Speak", "Speak", [
      field("Text", text, { param: "text" }),
      field("Voice", voice, { param: "voice" }),
      seed.element,
      speed.element,
      pitch.element,
    ]);
    Object.assign(this, { text, voice, seed, speed: speed.input, pitch: pitch.input, sha: values.sha });
    this.opened = this.sha && writeLink("", this.values());
    player ??= new Player(24000);
    this.panel = new SoundPanel(player);
    this.same = h("p", { class: "hint" }, "Choose a voice and press Speak. Models are loaded when they are needed first.");
    const saved = h("button", { type: "button", onclick: () => this.save() }, "Download WAV");
    const link = h("button", { type: "button", onclick: () => copy(location.href, link) }, "Copy link");
    this.actions = h("div", { class: "row wrap", hidden: true }, saved, link);
    const { playButton, time, position, canvas, words, figures } = this.panel;
    this.result.append(h("div", { class: "row" }, words.element, words.mouth.element), canvas, position, h("div", { class: "row" }, playButton, time), figures, this.same, this.actions, this.message);
  }

  shown() {
    this.panel.shown();
  }

  leave() {
    super.leave();
    player.pause();
    this.panel.leave();
  }

  values() {
    const [text, speed, pitch] = [this.text.value, Number(this.speed.value), Number(this.pitch.value)];
    return { voice: this.voice.value, text, seed: this.seed.value, speed: speed === 1 ? "" : speed, pitch: pitch || "" };
  }

  async run(signal) {
    await player.open();
    player.pause();
    this.seed.next();
    const values = this.values();
    this.remember(values);
    toResult(this.element);
    try {
      await this.speak(values, signal);
    } finally {
      if (!signal.aborted && this.panel.sampling) this.panel.end();
    }
  }

  /** There is a sound to come: it takes the place of the one before. */
  begin(values) {
    this.made = values;
    this.actions.hidden = true;
    this.same.textContent = "";
    this.panel.begin(values.text.length / CHARACTERS_A_SECOND);
    this.panel.words.begin();
  }

  async speak(values, signal) {
    const voice = voiceOf(values.voice);
    const request = { model: voice.model, voice: voice.id, input: values.text, seed: values.seed, speed: Number(values.speed || 1), pitch: Number(values.pitch) };
    const times = { text: values.text, words: [], visemes: [], sample_rate: 1, complete: false };
    const figures = { first: null, samples: 0, start: null };
    let hash = null;
    signal.addEventListener("abort", () => this.panel.sampling && this.panel.end()); // before another sound begins
    for await (const event of this.engine.events("speak", request, { parts: partsOf(this.engine, voice), signal })) {
      if (signal.aborted) continue; // the worker was at it
      if (event.rate) {
        this.begin(values);
        times.text = event.text;
        figures.start = performance.now();
      }
      if (event.skipped?.length) this.message.textContent = `Not said, as it is in letters that are not read: ${event.skipped.join(", ")}`;
      if (event.words) {
        times.words.push(...event.words);
        times.visemes.push(...event.visemes);
        this.panel.words.show(times, 0);
      }
      if (event.sound) this.take(event.sound, figures);
      hash = event.sha256 ?? hash;
    }
    if (signal.aborted) return;
    times.complete = true;
    this.panel.words.show(times, 0);
    this.panel.end();
    this.finish(values, hash, figures);
  }

  take(bytes, figures) {
    const samples = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
    if (!samples.length) return;
    if (figures.first === null) {
      figures.first = performance.now() - figures.start;
      player.play();
    }
    figures.samples += samples.length;
    this.panel.feed(samples);
  }

  finish(values, hash, figures) {
    const seconds = figures.samples / player.rate;
    this.panel.stats = [
      ["First sound", `${Math.round(figures.first)} ms`],
      ["Times real time", (seconds / ((performance.now() - figures.start) / 1000)).toFixed(1)],
      ["SHA-256", hash.slice(0, 16)],
    ];
    this.panel.draw();
    this.panel.figures.dataset.sha256 = hash;
    const begin = hash.slice(0, 16);
    if (this.opened === writeLink("", values)) this.same.textContent = this.sha === begin ? "These are the bytes that the link promises." : "These are other bytes than the link promises.";
    this.remember({ ...values, sha: begin });
    this.actions.hidden = false;
  }

  async save() {
    const sound = new Uint8Array(player.samples().buffer);
    const { file } = await this.engine.ask("file", { sound, rate: player.rate }, { parts: [] });
    download(new Blob([file], { type: "audio/wav" }), `${this.made.voice}-${this.made.seed}.wav`);
  }
}
