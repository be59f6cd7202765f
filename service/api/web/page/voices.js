// The voices of a model as cards, with previews.

import { here, request } from "./api.js";
import { h, icon, id } from "./dom.js";

const previews = new Map();
let sample = null;

/** Stops a preview. */
export const silence = () => sample?.pause();

/** A button that plays a sentence of a voice; `fail(error, retry)` shows why it cannot be heard. */
export function previewButton(voice, model, fail) {
  const play = async () => {
    const url = here(voice.preview_url);
    url.searchParams.set("model", model);
    button.classList.add("busy");
    try {
      if (!previews.has(url.href)) previews.set(url.href, URL.createObjectURL(await (await request(url)).blob()));
      silence();
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

export class VoicePicker {
  /** `fail(error, retry)` shows why a preview cannot be heard. */
  constructor(voices, fail) {
    this.voices = voices;
    this.fail = fail;
    this.element = h("fieldset", { class: "voices", dataset: { param: "voice" } });
  }

  get value() {
    return this.element.querySelector("input:checked")?.value;
  }

  /** Shows the voices of a model; `wanted` is chosen, if there is such a voice. */
  show(model, wanted) {
    this.model = model;
    const voices = this.voices.filter((voice) => voice.models.includes(model));
    const chosen = voices.find((voice) => voice.id === (wanted ?? this.value)) ?? voices[0];
    const name = id("voice");
    const oneLanguage = new Set(voices.map((voice) => voice.language)).size === 1;
    const cards = voices.map((voice) => {
      const details = oneLanguage ? voice.gender : `${voice.gender}, ${voice.language}`;
      return this.card(voice, name, details, voice === chosen);
    });
    this.element.replaceChildren(h("legend", {}, "Voice"), ...cards, h("p", { class: "wrong", role: "alert" }));
  }

  card(voice, name, details, checked) {
    const input = h("input", { type: "radio", name, value: voice.id, id: id("voice"), checked });
    const label = h(
      "label",
      { for: input.id, title: voice.description },
      h("strong", {}, voice.name),
      h("span", { class: "dim" }, details),
    );
    return h("div", { class: "card" }, input, label, voice.preview_url && previewButton(voice, this.model, this.fail));
  }
}
