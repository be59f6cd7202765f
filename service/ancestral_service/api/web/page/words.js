// The words of a sound, lit as they are heard.

import { get } from "./api.js";
import { h } from "./dom.js";
import { Mouth } from "./mouth.js";

const ASK_AGAIN_MS = 400;
const AWAITED_MS = 50;

/** The word that is said at a time, in seconds; -1 if none is. `words` are in order. */
export function wordAt(words, seconds) {
  let low = 0;
  let high = words.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (words[middle].start <= seconds) low = middle + 1;
    else high = middle;
  }
  const found = low - 1;
  return found >= 0 && seconds < words[found].end ? found : -1;
}

export class WordLine {
  constructor(seek) {
    this.seek = seek;
    this.element = h("p", { class: "words", "aria-hidden": "true" });
    this.mouth = new Mouth();
    this.clear();
  }

  clear() {
    this.mouth.clear();
    this.words = []; // what was written as one, with all that is said for it
    this.lit = -1;
    this.loading = Promise.resolve();
    this.sound = {};
    this.element.replaceChildren();
  }

  /**
   * Asks for the words of a job until all are known, after those of earlier passages; `wanted` says whether to go on, and
   * `at` are the seconds before this one. Resolves when the first ones are known, or cannot be.
   */
  load(job, wanted, at) {
    return new Promise((resolve, reject) => {
      this.loading = this.loading.then(() => this.ask(job, wanted, at, resolve)).then(resolve, reject);
    });
  }

  async ask(job, wanted, at, first) {
    const { sound } = this;
    this.begin();
    try {
      for (;;) {
        const times = await get(`v1/jobs/${job}/timestamps`);
        if (this.sound !== sound) return;
        this.show(times, at);
        if (times.complete || !wanted()) return;
        if (this.known) first();
        await new Promise((resolve) => setTimeout(resolve, this.known ? ASK_AGAIN_MS : AWAITED_MS));
      }
    } catch (error) {
      if (!("status" in error)) throw error; // without its words the sound is still complete
    }
  }

  /** A passage begins. */
  begin() {
    if (this.words.length) this.element.append(h("br"));
    this.shown = this.known = this.moved = 0;
    this.speaker = null;
  }

  /** Shows what is new in the answer of `/v1/jobs/{id}/timestamps`. */
  show({ text, words, visemes, sample_rate: rate, complete }, at) {
    const characters = [...text]; // the server counts code points
    for (const word of words.slice(this.known)) this.add(word, characters, rate, at);
    this.known = words.length;
    const seconds = ({ viseme, start, end }) => ({ viseme, start: at + start / rate, end: at + end / rate });
    this.mouth.add(visemes.slice(this.moved).map(seconds));
    this.moved = visemes.length;
    if (complete) this.element.append(characters.slice(this.shown).join(""));
  }

  add({ start, end, text_start: from, text_end: to, speaker = null }, characters, rate, at) {
    const last = this.words.at(-1);
    if (this.shown && last.from === from) {
      last.end = at + end / rate;
      return;
    }
    const word = { from, start: at + start / rate, end: at + end / rate };
    word.element = h("span", { onclick: () => this.seek(word.start) }, characters.slice(from, to).join(""));
    this.element.append(characters.slice(this.shown, from).join(""));
    if (speaker !== this.speaker) this.element.append(h("b", { class: "speaker" }, speaker));
    this.speaker = speaker;
    this.element.append(word.element);
    this.words.push(word);
    this.shown = to;
  }

  at(seconds) {
    this.mouth.at(seconds);
    const index = wordAt(this.words, seconds);
    if (index === this.lit) return;
    this.words[this.lit]?.element.classList.remove("lit");
    this.words[index]?.element.classList.add("lit");
    this.lit = index;
    if (index >= 0) this.follow(this.words[index].element);
  }

  /** Of a long text, scrolls to a word. */
  follow({ offsetTop, offsetHeight }) {
    const { scrollTop, clientHeight } = this.element;
    if (offsetTop < scrollTop || offsetTop + offsetHeight > scrollTop + clientHeight) this.element.scrollTop = offsetTop;
  }
}
