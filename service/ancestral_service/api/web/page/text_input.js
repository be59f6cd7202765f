// The text to speak: how long it is, in how many requests it is spoken, pauses and voices in it.

import { ApiError } from "./ancestral.js";
import { field, h } from "./dom.js";
import { languageOf, lengthOf, passagesOf } from "./passages.js";

/** The longest text of this page: twenty minutes, which it has to keep. */
const MOST = 20_000;
const PAUSE = "[pause:0.5s]";
/** What the page begins with, by language. */
const EXAMPLES = {
  en: "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.",
  es: "La canoa de abedul se deslizó por las tablas lisas. El tren de las ocho llega con retraso.",
  fr: "Le canot de bouleau glissa sur les planches lisses. Le train de huit heures a du retard.",
  hi: "नदी का पानी बिल्कुल साफ़ था। ट्रेन आधे घंटे की देरी से चल रही है।",
  it: "La canoa di betulla scivolò sulle assi lisce. Il treno delle otto arriva in ritardo.",
  pt: "A canoa de bétula deslizou sobre as tábuas lisas. O trem das oito chega com atraso.",
};

export class TextInput {
  /**
   * `text` may be absent; `onchange` is called when a pause or a voice has been inserted, `submit` when Ctrl + Enter is
   * pressed, `take` with the language of the text when its voices are asked for.
   */
  constructor(text, { onchange, submit, take }) {
    this.onchange = onchange;
    this.input = h("textarea", { rows: 4, spellcheck: "true", value: text ?? "" });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
    });
    this.counter = h("output", { class: "grow" });
    const title = `Insert ${PAUSE}`;
    const pause = h("button", { type: "button", class: "quiet", title, onclick: () => this.pause() }, "+ Pause");
    this.cast = h("select", { class: "quiet", "aria-label": "Another voice from here on", title: "Insert [voice:…]" });
    this.cast.addEventListener("input", (event) => {
      event.stopPropagation(); // it is no part of the request
      this.insert(`[voice:${this.cast.value}] `);
      this.cast.value = "";
    });
    const hint = "Ctrl + Enter speaks.";
    this.other = h("button", { type: "button", class: "tab", hidden: true, onclick: () => take(this.language) });
    this.element = field("Text", this.input, { param: "input", hint, extra: [this.counter, this.cast, pause] });
    this.element.append(this.other);
  }

  get value() {
    return this.input.value;
  }

  /** The texts of which each is a request. */
  get passages() {
    return passagesOf(this.value);
  }

  /** Shows the language of the voice, and an example in it unless there is a text already. */
  speak(language, name) {
    this.input.lang = language;
    this.element.querySelector(".hint").textContent = `${name}. Ctrl + Enter speaks.`;
    const shown = this.value.trim();
    if (!shown || Object.values(EXAMPLES).includes(shown)) this.input.value = EXAMPLES[language] ?? shown;
  }

  /** Shows how long the text is, and whether its language is another one of `names` than that which is spoken. */
  count(names) {
    const parts = this.passages.length;
    const length = lengthOf(this.value);
    this.counter.textContent = `${length.toLocaleString("en")} character${length === 1 ? "" : "s"}${parts > 1 ? `, ${parts} parts` : ""}`;
    this.language = languageOf(this.value);
    this.other.hidden = !names.has(this.language) || this.language === this.input.lang;
    this.other.textContent = `This looks like ${names.get(this.language)}: take such a voice`;
  }

  /** Throws ApiError if the text is too long for this page. */
  check() {
    if (lengthOf(this.value) <= MOST) return;
    const message = `At most ${MOST.toLocaleString("en")} characters here; \`ancestral read\` speaks whole books.`;
    throw new ApiError(message, { status: 400, param: "input" });
  }

  /** Offers voices, of which each says what follows it in the text. */
  offer(voices) {
    const options = voices.map(({ id, name, language }) => h("option", { value: id }, `${name} (${language})`));
    this.cast.replaceChildren(h("option", { value: "" }, "+ Voice"), ...options);
    this.cast.hidden = voices.length < 2;
  }

  /** Inserts a text where the cursor is, which comes to stand behind it. */
  insert(text) {
    const { selectionStart: at, selectionEnd: end } = this.input;
    this.input.setRangeText(text, at, end, "end");
    this.input.focus();
    this.onchange();
  }

  /** Inserts a pause, whose length is selected so that it can be typed over. */
  pause() {
    const at = this.input.selectionStart;
    this.insert(` ${PAUSE} `);
    this.input.setSelectionRange(at + 8, at + 11);
  }
}
