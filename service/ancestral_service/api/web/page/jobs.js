// The view "Jobs": what this key has requested, with places, progress and results.

import { get, request, verify } from "./api.js";
import { fewAtATime } from "./classes.js";
import { announce, copy, download, h, problem } from "./dom.js";
import { picturesOf } from "./pixels.js";

const POLL_MS = 1500;
/** Kinds of jobs that give figures; the others sample, so they have a manifest. */
const COMPUTED = ["likelihood", "image_likelihood", "encoding", "detection"];
/** The most jobs that one answer lists. */
const PAGE = 100;
const MOST_THUMBNAILS = 4;
const ENDS = ["completed", "failed", "cancelled"];
const EXTENSIONS = {
  "audio/mpeg": "mp3",
  "audio/ogg": "opus",
  "audio/aac": "aac",
  "audio/flac": "flac",
  "audio/wav": "wav",
  "audio/pcm": "pcm",
  "image/png": "png",
  "image/webp": "webp",
  "image/jpeg": "jpeg",
  "application/zip": "zip",
  "application/json": "json",
};

export async function open() {
  const jobs = new Jobs();
  await jobs.load();
  return jobs;
}

class Jobs {
  constructor() {
    this.rows = new Map();
    this.list = h("ul", { class: "jobs" });
    this.message = h("div", { class: "message" });
    this.lost = h("div", { class: "message" });
    this.empty = h(
      "p",
      { class: "hint", hidden: true },
      "No jobs yet. Everything that is sampled is a job: speak or draw something, or send a request with ",
      h("code", {}, "Prefer: respond-async"),
      ".",
    );
    this.more = h(
      "button",
      {
        type: "button",
        hidden: true,
        onclick: () => {
          this.limit += 50;
          this.poll();
        },
      },
      "Show more",
    );
    this.limit = 30;
    this.element = h(
      "div",
      { class: "sheet wide" },
      h("h1", {}, "Jobs"),
      this.lost,
      this.message,
      this.empty,
      this.list,
      this.more,
    );
  }

  shown() {
    clearTimeout(this.timer); // "Show more" loads the list, too
    this.timer = setTimeout(() => this.poll(), POLL_MS);
  }

  leave() {
    this.left = true;
    clearTimeout(this.timer);
  }

  /** Loads the list. While that fails in the same way its message stays, and so does the focus on its button. */
  async poll() {
    const error = document.hidden ? this.error : await this.load().then(() => null, (found) => found);
    if (this.left) return;
    this.shown();
    if (error && !("status" in error)) throw error;
    if (error?.status !== this.error?.status || error?.code !== this.error?.code) this.lost.replaceChildren(...(error ? [problem(error, () => this.poll())] : []));
    this.error = error;
  }

  /** The newest jobs, as many as are to be shown, and whether there are more. */
  async newest() {
    const found = [];
    for (;;) {
      const after = found.length ? `&after=${found.at(-1).id}` : "";
      const { data, has_more: more } = await get(`v1/jobs?limit=${Math.min(PAGE, this.limit - found.length)}${after}`);
      found.push(...data);
      if (!more || found.length >= this.limit) return { data: found, more };
    }
  }

  async load() {
    const { data, more } = await this.newest();
    const known = new Set(data.map((job) => job.id));
    for (const [id, row] of this.rows) {
      if (known.has(id)) continue;
      row.element.remove();
      this.rows.delete(id);
    }
    data.forEach((job, index) => {
      if (!this.rows.has(job.id)) this.rows.set(job.id, new Row(job, this));
      const row = this.rows.get(job.id);
      row.show(job);
      if (this.list.children[index] !== row.element)
        this.list.insertBefore(row.element, this.list.children[index] ?? null);
    });
    this.empty.hidden = data.length > 0;
    this.more.hidden = !more;
  }

  /** Shows what went wrong with a job, until something else is done; null for nothing. */
  fail(error) {
    if (error && !("status" in error)) throw error;
    this.message.replaceChildren(...(error ? [problem(error)] : []));
  }
}

class Row {
  constructor(job, view) {
    this.view = view;
    this.bar = h("progress", { max: 1, value: 0, "aria-label": `Progress of ${job.id}` });
    this.state = h("strong", {});
    this.detail = h("span", { class: "dim" });
    this.result = h("span", { class: "tick", role: "status" });
    this.excerpt = h("p", { class: "few" });
    this.thumbnails = h("span", { class: "row thumbnails" });
    this.manifest = null;
    const id = h(
      "button",
      { type: "button", class: "quiet mono", title: "Copy the id", onclick: () => copy(job.id, id) },
      job.id,
    );
    const button = (label, action) =>
      h(
        "button",
        {
          type: "button",
          "aria-label": `${label} ${job.id}`,
          onclick: (event) => this.act(event.currentTarget, action),
        },
        label,
      );
    this.cancel = button("Cancel", () => get(`v1/jobs/${job.id}/cancel`, { method: "POST" }));
    this.download = button("Download", () => this.save(job));
    this.verify = button("Verify", () => this.check(job));
    this.element = h(
      "li",
      { class: "job" },
      h(
        "div",
        { class: "row wrap" },
        this.state,
        h("span", { class: "grow" }, [job.model, job.voice, job.kind.replace("_", " ")].filter(Boolean).join(" · ")),
        this.detail,
      ),
      h("div", { class: "row" }, this.thumbnails, this.excerpt),
      this.bar,
      h(
        "div",
        { class: "row wrap" },
        id,
        h("span", { class: "grow" }, this.result),
        this.cancel,
        this.verify,
        this.download,
      ),
    );
  }

  show(job) {
    const ended = ENDS.includes(job.status);
    const kept = job.status === "completed" && (job.expires_at === null || job.expires_at > Date.now() / 1000);
    this.element.dataset.status = job.status;
    this.state.textContent = {
      queued: "Queued",
      in_progress: "Sampling",
      completed: "Complete",
      failed: "Failed",
      cancelled: "Cancelled",
    }[job.status];
    this.bar.hidden = ended;
    this.bar.value = job.progress;
    this.cancel.hidden = ended;
    this.excerpt.textContent = job.excerpt ?? "";
    this.download.hidden = !kept;
    const verifiable = this.manifest !== null && this.manifest.prompt_sha256 === null; // else it would need the upload
    this.verify.hidden = !kept || !verifiable;
    if (kept && !COMPUTED.includes(job.kind) && !this.opened) {
      this.opened = true;
      fewAtATime(async () => this.view.left || this.open(job));
    }
    this.detail.textContent = describe(job);
  }

  /** Shows what only a finished job has whose output is kept: a manifest and pictures. */
  async open(job) {
    try {
      this.manifest = await get(`v1/jobs/${job.id}/manifest`);
      this.show(job);
      const { media_type: type } = this.manifest.output;
      if (!type.startsWith("image/") && type !== "application/zip") return;
      const content = await (await request(`v1/jobs/${job.id}/content`)).blob();
      const pictures = await picturesOf(content);
      const more = pictures.splice(MOST_THUMBNAILS).length;
      this.thumbnails.replaceChildren(
        ...pictures.map(thumbnail),
        more ? `+${more}` : "",
      );
    } catch (error) {
      if (!("status" in error)) throw error; // it has expired
    }
  }

  async act(button, action) {
    button.disabled = true;
    this.view.fail(null);
    try {
      await action();
    } catch (error) {
      if (!("status" in error)) throw error;
      if (error.status === 409 || error.status === 400 || error.status === 404) this.result.textContent = error.message;
      else this.view.fail(error);
    } finally {
      button.disabled = false;
    }
  }

  async save(job) {
    const response = await request(`v1/jobs/${job.id}/content`);
    const form = EXTENSIONS[(response.headers.get("content-type") ?? "").split(";")[0]] ?? "bin";
    const seed = response.headers.get("x-seed");
    download(await response.blob(), `${[job.model, seed ?? job.id].join("-")}.${form}`);
  }

  async check(job) {
    this.result.textContent = "Sampling it again…";
    const { equal, differs } = await verify(job.id);
    this.result.dataset.good = String(equal);
    this.result.textContent = equal ? "✓ The same bytes" : `✗ Differs: ${differs.join(", ")}`;
    announce(this.result.textContent);
  }
}

/** A small picture of a file, which is not kept beside it. */
function thumbnail(file) {
  const src = URL.createObjectURL(file);
  const release = () => URL.revokeObjectURL(src);
  return h("img", { src, alt: "", width: 48, height: 48, onload: release, onerror: release });
}

function describe(job) {
  const at = new Date(1000 * job.created_at).toLocaleTimeString([], {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  if (job.status === "queued") {
    const place =
      job.queue_position === null ? "" : job.queue_position === 0 ? "next" : `${job.queue_position} before it`;
    return [place, job.eta_seconds === null ? "" : `done in about ${Math.ceil(job.eta_seconds)} s`]
      .filter(Boolean)
      .join(", ");
  }
  if (job.status === "in_progress") {
    return [
      `${Math.round(100 * job.progress)} %`,
      job.eta_seconds === null ? "" : `${Math.ceil(job.eta_seconds)} s left`,
    ]
      .filter(Boolean)
      .join(", ");
  }
  if (job.status === "failed") return job.error?.message ?? "";
  const symbols = job.samples_done || job.samples_total; // what is scored is not sampled
  return symbols ? `${symbols.toLocaleString("en")} symbols · ${at}` : at;
}
