// The voices of a model as cards, with previews.

import { here, request } from "./api.js";
import { select, slider } from "./controls.js";
import { h, icon, id } from "./dom.js";

const previews = new Map();
const languages = new Intl.DisplayNames(["en"], { type: "language" });
const primary = (language) => language.split("-")[0];
let sample = null;
let wanted = null; // the preview that was asked for last, which may still be on its way

/** Stops a preview. */
export function silence() {
  wanted = null;
  sample?.pause();
}

/** A button that plays a sentence of a voice; `fail(error, retry)` shows why it cannot be heard. */
export function previewButton(voice, model, fail) {
  const play = async () => {
    const url = here(voice.preview_url);
    url.searchParams.set("model", model);
    silence();
    const turn = (wanted = {});
    button.classList.add("busy");
    try {
      if (!previews.has(url.href)) previews.set(url.href, URL.createObjectURL(await (await request(url)).blob()));
      if (wanted !== turn) return;
      sample = new Audio(previews.get(url.href));
      await sample.play();
    } catch (error) {
      if (error.name !== "AbortError") fail(error, play); // another one was chosen meanwhile
    } finally {
      button.classList.remove("busy");
    }
  };
  const label = { "aria-label": `Preview ${voice.name}`, title: "Preview" };
  const button = h("button", { type: "button", class: "icon preview", ...label, onclick: play }, icon("play"));
  return button;
}

/** The weights of a mix such as `heart(2)+joe(1)`, by voice; a voice alone has 1. */
export function weightsOf(mix) {
  const parts = mix.split("+").map((part) => /^(.*?)(?:\(([\d.]+)\))?$/.exec(part.trim()));
  return Object.fromEntries(parts.map(([, voice, weight]) => [voice, Number(weight ?? 1)]));
}

export class VoicePicker {
  /** `fail(error, retry)` shows why a preview cannot be heard; `onchange` is called with another mix. */
  constructor(voices, fail, onchange) {
    Object.assign(this, { voices, fail, onchange, weights: new Map() });
    this.element = h("fieldset", { class: "voices", dataset: { param: "voice" } });
  }

  /** The voice, or the mix of those whose weights are not 0. */
  get value() {
    const mixed = [...this.weights].map(([voice, { input }]) => [voice, Number(input.value)]).filter(([, weight]) => weight);
    return mixed.length === 1 ? mixed[0][0] : mixed.map(([voice, weight]) => `${voice}(${weight})`).join("+");
  }

  /** The language of the voices that are shown, without a region. */
  get language() {
    return primary(this.shown[0].language);
  }

  /** Its name in English. */
  get languageName() {
    return languages.of(this.language);
  }

  /** The languages of the model's voices, without regions, and their names in English. */
  get languages() {
    return new Map(this.of(this.model).map(({ language }) => [primary(language), languages.of(primary(language))]));
  }

  /** Shows the voices of a language, of which the first is chosen. */
  speak(language) {
    this.show(this.model, this.of(this.model).find((voice) => primary(voice.language) === language).id);
    this.onchange();
  }

  /** The voices of a model, of all languages. */
  of(model) {
    return this.voices.filter((voice) => voice.models.includes(model));
  }

  /**
   * Shows the voices of a model that speak one language: that of `wanted`, a voice or a mix, which is chosen as far as
   * there are such voices; otherwise the reader's own, if the model has it.
   */
  show(model, wanted) {
    this.model = model;
    const all = this.of(model);
    let chosen = weightsOf(wanted ?? this.value);
    const first = all.find((voice) => chosen[voice.id]) ?? all.find((voice) => primary(voice.language) === primary(navigator.language)) ?? all[0];
    const voices = all.filter((voice) => primary(voice.language) === primary(first.language));
    if (!chosen[first.id]) chosen = { [first.id]: 1 };
    this.shown = voices;
    const name = id("voice");
    const regions = [...new Set(voices.map((voice) => voice.language))];
    const cards = regions.flatMap((language) => [
      ...(regions.length > 1 ? [h("h3", {}, languages.of(language))] : []),
      ...voices.filter((voice) => voice.language === language).map((voice) => this.card(voice, name)),
    ]);
    const choice = select([...this.languages], this.language, () => {
      this.speak(choice.value);
      this.element.querySelector("select").focus();
    });
    choice.setAttribute("aria-label", "Language");
    this.weights = new Map(
      voices.map((voice) => {
        const value = chosen[voice.id] ?? 0;
        return [voice.id, slider(voice.name, "", { min: 0, max: Math.max(5, value), step: value % 1 ? 0.01 : 1, value })];
      }),
    );
    const sliders = [...this.weights.values()].map(({ element }) => element);
    this.summary = h("summary", {});
    this.mix = h("details", { class: "panel mix", hidden: voices.length < 2, oninput: () => this.mixed() }, this.summary, sliders);
    this.mix.open = Object.keys(chosen).length > 1;
    this.element.replaceChildren(
      h("legend", {}, "Voice"),
      ...(this.languages.size > 1 ? [choice] : []),
      ...cards,
      h("p", { class: "wrong", role: "alert" }),
      this.mix,
    );
    this.mixed();
  }

  /** Shows on the cards what the weights say. */
  mixed() {
    const { value } = this;
    for (const input of this.element.querySelectorAll(".card input")) input.checked = input.value === value;
    this.summary.textContent = this.weights.has(value) || !value ? "Mix voices" : `Mix: ${value}`;
  }

  /** One voice alone. */
  take(voice) {
    for (const [name, weight] of this.weights) weight.set(name === voice ? 1 : 0);
    this.mixed();
    this.onchange();
  }

  card(voice, name) {
    const onchange = () => this.take(voice.id);
    const input = h("input", { type: "radio", name, value: voice.id, id: id("voice"), onchange });
    const label = h(
      "label",
      { for: input.id, title: voice.description },
      h("strong", {}, voice.name),
      h("span", { class: "dim" }, voice.gender),
    );
    return h("div", { class: "card" }, input, label, voice.preview_url && previewButton(voice, this.model, this.fail));
  }
}
