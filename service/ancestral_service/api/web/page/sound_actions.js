// What can be done with a finished sound: share it, verify it, download it.

import { request, verify } from "./api.js";
import { select } from "./controls.js";
import { announce, copy, download, h } from "./dom.js";
import { joinCaptions } from "./passages.js";
import { wav } from "./sound.js";

const CAPTIONS = ["vtt", "srt"];
/** Of several passages the sound is joined here, so it is in WAV. */
const FORMATS = ["wav", "mp3", "flac", "opus", "aac"];

export class SoundActions {
  /**
   * `describe(format)` is the request, `fileName(format)` the name of its file, `fail(error, retry)` shows an error;
   * `onchange` is called when another format has been chosen.
   */
  constructor(player, { describe, fileName, fail, onchange }) {
    Object.assign(this, { player, describe, fileName, fail, jobs: [] });
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

  /** The sound is complete. `jobs` are its passages, `{id, at}`, in order; those with words have captions. */
  complete(jobs, words) {
    this.jobs = jobs;
    const { value } = this.format;
    const formats = [...(jobs.length > 1 ? ["wav"] : FORMATS), ...(words ? CAPTIONS : [])];
    this.format.replaceChildren(...formats.map((name) => h("option", { value: name }, name)));
    this.format.value = formats.includes(value) ? value : "wav";
    this.save.disabled = this.check.disabled = false;
  }

  /** The format of the sound that is chosen. */
  get sound() {
    return CAPTIONS.includes(this.format.value) ? "wav" : this.format.value;
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
      if (CAPTIONS.includes(format)) {
        const passages = this.jobs.map(async ({ id, at }) => {
          return { at, text: await (await request(`v1/jobs/${id}/captions?format=${format}`)).text() };
        });
        download(new Blob([joinCaptions(await Promise.all(passages), format)]), this.fileName(format));
        return;
      }
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
      const differing = new Set();
      for (const { id } of this.jobs) for (const name of (await verify(id)).differs) differing.add(name);
      this.say(!differing.size, "Sampled again: the same bytes", `Not the same: ${[...differing].join(", ")}`);
    } catch (error) {
      this.tick.textContent = "";
      this.fail(error, () => this.verify());
    } finally {
      this.check.disabled = false;
    }
  }
}
