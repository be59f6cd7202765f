// The view "Prove": whether a file came from a seed of a model.

import { field, h, sentence } from "./dom.js";
import { lines } from "./prove.js";
import { FileForm } from "./score_here.js";
import { View } from "./view.js";

const VERDICTS = {
  made_with_model: "Made with this model",
  could_be_ours: "Could be made with this model",
  no_evidence: "No evidence",
};

export class Prove extends View {
  constructor(engine, values) {
    const form = new FileForm(values);
    const seed = h("input", { inputmode: "numeric", pattern: "[0-9]*", maxlength: 19, value: values.seed ?? "" });
    super(engine, "prove", "Prove", "Prove", [...form.elements, field("Seed", seed, { param: "seed", hint: "That may have made it. A PNG of ours names its own." })]);
    Object.assign(this, { fields: form, seed });
    this.found = h("div", { class: "stack" }, h("p", { class: "hint" }, "The model is sampled again with the seed, and what comes out is compared with the file."));
    this.result.append(this.found, this.message);
  }

  async run(signal) {
    const [request, parts] = await this.fields.request(this.engine);
    const answer = await this.engine.ask("prove", { ...request, seed: this.seed.value.trim() }, { parts, signal });
    if (!answer) return;
    const table = lines(answer).map(([part, status, evidence]) => h("tr", {}, h("th", { scope: "row" }, part), h("td", {}, status), h("td", {}, sentence(evidence || "—"))));
    this.found.replaceChildren(h("p", { class: "verdict", dataset: { verdict: answer.verdict } }, VERDICTS[answer.verdict]), h("table", { class: "evidence" }, table));
  }
}
