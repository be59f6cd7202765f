// The words of a sound, lit as they are heard.

import { get } from "./api.js";
import { h } from "./dom.js";

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
    this.clear();
  }

  clear() {
    this.words = [];
    this.lit = -1;
    this.loading = null;
    this.written = [];
    this.element.replaceChildren();
  }

  /**
   * Asks for the words of a job until all are known; `wanted` says whether to go on. `text` is what was written.
   * Resolves when the first ones are known, or cannot be.
   */
  load(job, text, wanted) {
    this.loading = job;
    this.written = text.split(/\s+/).filter((token) => /[\p{L}\p{N}]/u.test(token));
    return new Promise((resolve, reject) => this.ask(job, wanted, resolve).then(resolve, reject));
  }

  async ask(job, wanted, known) {
    try {
      for (;;) {
        const { words, sample_rate: rate, complete } = await get(`v1/jobs/${job}/timestamps`);
        if (this.loading !== job) return;
        this.add(
          words
            .slice(this.words.length)
            .map((word) => ({ text: word.word, start: word.start / rate, end: word.end / rate })),
        );
        if (complete) this.asWritten();
        if (complete || !wanted()) return;
        if (words.length) known();
        await new Promise((resolve) => setTimeout(resolve, words.length ? ASK_AGAIN_MS : AWAITED_MS));
      }
    } catch (error) {
      if (!("status" in error)) throw error; // without its words the sound is still complete
    }
  }

  add(words) {
    for (const word of words) {
      this.words.push(word);
      word.element = h("span", { onclick: () => this.seek(word.start) }, word.text);
      this.element.append(word.element, " ");
    }
  }

  /** Shows the words as they were written, with capitals and marks, if each of them is one word of the text. */
  asWritten() {
    const plain = (text) => text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");
    if (this.words.length !== this.written.length) return;
    this.words.forEach((word, i) => {
      if (plain(word.text) === plain(this.written[i])) word.element.textContent = this.written[i];
    });
  }

  at(seconds) {
    const index = wordAt(this.words, seconds);
    if (index === this.lit) return;
    this.words[this.lit]?.element.classList.remove("lit");
    this.words[index]?.element.classList.add("lit");
    this.lit = index;
  }
}
