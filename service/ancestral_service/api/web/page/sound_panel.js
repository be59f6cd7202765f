// A sound while it arrives and is played: words, waveform, spectrogram, position, figures.

import { figures } from "./controls.js";
import { h } from "./dom.js";
import { Scope } from "./scope.js";
import { WordLine } from "./words.js";

export class SoundPanel {
  constructor(player) {
    const { rate } = player;
    Object.assign(this, { player, rate, scope: null, stats: null, sampling: false, frame: null });
    this.canvas = h("canvas", { class: "scope", role: "img", "aria-label": "Waveform and mel spectrogram" });
    this.canvas.addEventListener("click", (event) => this.seek(this.scope.at(event.offsetX / this.canvas.clientWidth)));
    this.position = h("input", {
      type: "range",
      min: 0,
      max: 1000,
      value: 0,
      "aria-label": "Position",
      disabled: true,
      class: "position",
    });
    this.position.addEventListener("input", (event) => {
      event.stopPropagation(); // it is no part of the request
      this.seek(this.scope.at(this.position.value / 1000));
    });
    this.playButton = h("button", { type: "button", disabled: true, onclick: () => this.toggle() }, "Play");
    this.time = h("span", { class: "time dim" }, "0.0 s");
    this.figures = h("div", { class: "stats" });
    this.words = new WordLine((seconds) => this.seek(seconds * rate));
    this.listen = () => this.changed();
    player.addEventListener("change", this.listen);
  }

  /** The elements have been put into the page. */
  shown() {
    this.scope = new Scope(this.canvas, this.rate);
    this.player.reset(); // of what was heard when this view was open before
  }

  leave() {
    this.player.removeEventListener("change", this.listen);
    this.scope?.left.abort();
  }

  /** A new sound of about so many seconds is about to arrive. */
  begin(seconds) {
    this.player.reset();
    this.scope.reset();
    this.words.clear();
    this.figures.replaceChildren();
    this.figures.removeAttribute("data-sha256");
    this.stats = null;
    this.scope.expected = seconds * this.rate;
    this.sampling = true;
    this.animate();
  }

  feed(samples) {
    this.playButton.disabled = this.position.disabled = false;
    this.player.feed(samples);
    this.scope.add(samples);
  }

  /** No more samples will come. */
  end() {
    this.sampling = false;
    this.player.end();
    this.scope.end();
  }

  toggle() {
    if (this.player.playing) this.player.pause();
    else this.player.play();
    this.animate();
  }

  seek(sample) {
    if (!this.player.length) return;
    this.player.seek(Math.min(sample, this.player.length));
    this.changed();
  }

  changed() {
    this.playButton.textContent = this.player.playing ? "Pause" : "Play";
    if (this.player.playing) this.animate();
    else this.draw();
  }

  /** Draws once per frame while something moves. */
  animate() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
      if (this.sampling || this.player.playing) this.animate();
    });
  }

  draw() {
    if (!this.scope) return;
    const heard = this.player.heard;
    this.scope.position = heard;
    this.scope.draw();
    this.position.value = (1000 * heard) / this.scope.span;
    this.position.setAttribute("aria-valuetext", `${(heard / this.rate).toFixed(1)} seconds`);
    this.time.textContent = `${(heard / this.rate).toFixed(1)} / ${(this.player.length / this.rate).toFixed(1)} s`;
    this.words.at(heard / this.rate);
    if (this.stats)
      this.figures.replaceChildren(figures([...this.stats, ["Underruns", String(this.player.underruns)]]));
  }
}
