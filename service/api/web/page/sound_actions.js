// What can be done with a finished sound: share it, verify it, download it.

import { request, verify } from "./api.js";
import { select } from "./controls.js";
import { announce, copy, download, h } from "./dom.js";
import { wav } from "./sound.js";

const FORMATS = ["wav", "mp3", "flac", "opus", "aac"];

export class SoundActions {
  /**
   * `describe(format)` is the request, `fileName(format)` the name of its file, `fail(error, retry)` shows an error;
   * `onchange` is called when another format has been chosen.
   */
  constructor(player, { describe, fileName, fail, onchange }) {
    Object.assign(this, { player, describe, fileName, fail, job: null });
    this.format = select(FORMATS, "wav", onchange);
    this.format.setAttribute("aria-label", "Format of the download");
    this.save = h("button", { type: "button", disabled: true, onclick: () => this.download() }, "Download");
    this.share = h("button", { type: "button", onclick: () => copy(location.href, this.share) }, "Copy link");
    this.check = h("button", { type: "button", disabled: true, onclick: () => this.verify() }, "Verify");
    this.tick = h("p", { class: "tick", role: "status" });
    this.elements = [this.share, this.check, h("span", { class: "joined" }, this.format, this.save)];
  }

  /** There is no sound yet. */
  clear() {
    this.tick.textContent = "";
    this.save.disabled = this.check.disabled = true;
  }

  /** The sound is complete. */
  complete(job) {
    this.job = job;
    this.save.disabled = false;
    this.check.disabled = !job;
  }

  say(good, yes, no) {
    this.tick.dataset.good = String(good);
    this.tick.textContent = good ? `✓ ${yes}` : `✗ ${no}`;
    announce(good ? yes : no);
  }

  async download() {
    const format = this.format.value;
    if (format === "wav") {
      const file = wav(this.player.samples(), this.player.rate);
      download(new Blob([file], { type: "audio/wav" }), this.fileName("wav"));
      return;
    }
    this.save.disabled = true;
    try {
      const { path, json } = this.describe(format);
      download(await (await request(path, { json })).blob(), this.fileName(format));
    } catch (error) {
      this.fail(error, () => this.download());
    } finally {
      this.save.disabled = false;
    }
  }

  async verify() {
    this.check.disabled = true;
    this.tick.textContent = "Sampling it again…";
    try {
      const { equal, differs } = await verify(this.job);
      this.say(equal, "Sampled again: the same bytes", `Not the same: ${differs.join(", ")}`);
    } catch (error) {
      this.tick.textContent = "";
      this.fail(error, () => this.verify());
    } finally {
      this.check.disabled = false;
    }
  }
}
