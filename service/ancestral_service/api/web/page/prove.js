// The view "Prove": whether a file was made here, and what says so.

import { get, request } from "./api.js";
import { dropZone, requestPanel, select } from "./controls.js";
import { curve, waveform } from "./curve.js";
import { announce, clearErrors, field, h, problem, sentence, showAtField, toResult } from "./dom.js";

const VERDICTS = {
  made_here: ["Made here", "With a seed of this server's key, or signed with its certificate."],
  made_with_model: ["Made with a model that is here", "With the seed that was named, by whomever: the weights are public."],
  signed: ["Signed", "The signature in it is valid. Nothing else says where it is from."],
  could_be_ours: ["Could be ours", "It is likely under a model that is here, and so may others' be."],
  no_evidence: ["No evidence", "It may have been made here all the same, and been changed since."],
};
const SHOWN = 256;

export async function open(values) {
  return new Prove((await get("v1/models")).data, values);
}

/** What chance has to do with it, in words. */
export function odds(log10) {
  if (log10 > -1) return "as chance would have it";
  return log10 > -6 ? `once in ${Math.round(10 ** -log10).toLocaleString("en")}` : `once in 10^${Math.floor(-log10)}`;
}

/** A line of the table for each part of an answer: its name, its status, its evidence. */
export function lines({ signature, recipe, seed, model }) {
  const told = (part, evidence) => [part.status.replaceAll("_", " "), part.reason ? sentence(part.reason) : evidence];
  const tried = seed.seeds_tried?.toLocaleString("en");
  const found = `Seed ${seed.seed}; chance fits so well ${odds(seed.log10_p)}, after ${tried} seeds.`;
  const agreeing = seed.agreeing === undefined ? "" : ` ${seed.agreeing} of ${seed.symbols} symbols agree.`;
  const range = seed.counters ? ` Counters ${seed.counters.join(" to ")}${seed.complete ? "" : "; there was no time for all"}.` : "";
  const cut = seed.shifted_seeds_tried ? ` A clip from within a recording was looked for among the latest ${seed.shifted_seeds_tried} only.` : "";
  const equal = recipe.pixels === undefined ? `Correlation ${recipe.correlation}.` : `${recipe.equal_pixels} of ${recipe.pixels} pixels are equal.`;
  return [
    ["Signature", ...told(signature, signature.signer ? `By ${signature.signer}${signature.trusted ? "" : ", who is not on this server's list"}.` : "")],
    ["Recipe", ...told(recipe, `Sampled again. ${equal}`)],
    ["Seed", ...told(seed, seed.status === "found" ? found + agreeing : `${tried} seeds tried.${range}${cut}`)],
    ["Model", ...told(model, `${model.bits_per_symbol} bits a symbol under ${model.model}; ${model.lossless_bits_per_symbol} without it.`)],
  ];
}

class Prove {
  constructor(models, values) {
    Object.assign(this, { name: "FILE", file: null });
    this.model = select(["any", ...models.map((one) => one.id)], values.model ?? "any", () => {});
    this.seed = h("input", { inputmode: "numeric", pattern: "[0-9]*", maxlength: 19, value: values.seed ?? "" });
    this.text = h("textarea", { rows: 2, maxlength: 4096 });
    this.result = h("div", { class: "stack" }, h("p", { class: "hint" }, "Drop a picture or a recording."));
    this.panel = requestPanel(() => ({ path: "v1/detect", form: { file: `@${this.name}`, ...this.fields() } }));
    this.form = h(
      "form",
      {
        class: "sheet controls",
        novalidate: true,
        oninput: () => this.panel.show(),
        onsubmit: (event) => {
          event.preventDefault();
          this.run();
        },
      },
      h("h1", {}, "Prove"),
      dropZone("Choose a file", "image/*,audio/*", (file) => {
        Object.assign(this, { file, name: file.name });
        this.run();
      }),
      field("Model", this.model, { param: "model" }),
      field("Seed", this.seed, { param: "seed", hint: "That may have made it. Without one, the file's own and those of the server's key are tried." }),
      field("What is said in it", this.text, { param: "text", hint: "Of a recording, to sample its recipe again." }),
      h("button", { class: "primary" }, "Look"),
    );
    this.element = h(
      "div",
      { class: "view" },
      this.form,
      h("section", { class: "sheet result", "aria-label": "Evidence" }, this.result, this.panel.element),
    );
  }

  fields() {
    const all = { model: this.model.value === "any" ? "" : this.model.value, seed: this.seed.value.trim(), text: this.text.value };
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value));
  }

  async run() {
    if (!this.file) return;
    const run = (this.current = {});
    clearErrors(this.form);
    this.panel.show();
    this.result.replaceChildren(h("p", { class: "loading", role: "status" }, "Looking for its seed…"));
    announce("Looking for its seed");
    const form = new FormData();
    form.append("file", this.file, this.name);
    for (const [name, value] of Object.entries(this.fields())) form.append(name, value);
    try {
      const answer = await (await request("v1/detect", { form })).json();
      const shown = await this.beside(answer.seed).catch(() => []); // the verdict counts, drawn or not
      if (this.current !== run) return;
      const [title, meaning] = VERDICTS[answer.verdict];
      this.result.replaceChildren(
        h("p", { class: "verdict", dataset: { verdict: answer.verdict } }, title),
        h("p", {}, meaning),
        h("table", { class: "evidence" }, lines(answer).map(([part, status, evidence]) =>
          h("tr", {}, h("th", { scope: "row" }, part), h("td", {}, status), h("td", {}, evidence)))),
        h("div", { class: "proof" }, shown),
      );
      announce(title);
      toResult(this.element);
    } catch (error) {
      if (this.current !== run) return;
      this.result.replaceChildren();
      if (!showAtField(this.form, error)) this.result.replaceChildren(problem(error, () => this.run()));
    }
  }

  /** The file, and where it agrees with the seed that was found. */
  async beside({ agreement }) {
    if (this.file.type.startsWith("audio")) {
      const context = new OfflineAudioContext(1, 1, 16000);
      const sound = (await context.decodeAudioData(await this.file.arrayBuffer())).getChannelData(0);
      const part = (name, drawing) => h("div", { class: "score" }, h("h2", {}, name), drawing);
      const both = [part("The recording", waveform(sound, "the recording"))];
      if (agreement) {
        const line = curve(agreement, Math.max(4, ...agreement));
        line.setAttribute("aria-label", "Agreement of each tenth of a second with the seed");
        both.push(part("Agreement with the seed", line));
      }
      return both;
    }
    const bitmap = await createImageBitmap(this.file);
    const canvas = h("canvas", { width: bitmap.width, height: bitmap.height, class: "picture", role: "img", "aria-label": "The picture" });
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    const own = h("div", { class: "score" }, h("h2", {}, "The picture"), canvas);
    return agreement ? [own, h("div", { class: "score" }, h("h2", {}, "Pixels that agree"), heat(agreement))] : [own];
  }
}

/** Green where the noise of the seed leads to a pixel, the brighter the less likely it was by chance; red where not. */
function heat(rows) {
  const size = Math.max(1, Math.floor(SHOWN / rows.length));
  const canvas = h("canvas", {
    width: rows[0].length * size, height: rows.length * size, class: "picture", role: "img",
    "aria-label": "Green pixels agree with the seed, red ones do not",
  });
  const paint = canvas.getContext("2d");
  rows.forEach((row, y) =>
    row.forEach((bits, x) => {
      const share = Math.min(1, Math.abs(bits ?? 0) / 4);
      paint.fillStyle = bits === null ? "#888" : bits < 0 ? "#d33" : `hsl(145 60% ${12 + 48 * share}%)`;
      paint.fillRect(x * size, y * size, size, size);
    }),
  );
  return canvas;
}
