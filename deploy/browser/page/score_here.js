// The view "Score": the exact likelihood of a picture or a recording.

import { dropZone } from "./controls.js";
import { curve } from "./curve.js";
import { field, h } from "./dom.js";
import { painterSelect } from "./draw_here.js";
import { partsOf, voiceOf, voiceSelect } from "./speak_here.js";
import { View } from "./view.js";

/** Whether a file is a picture; else it is sound. */
export const isPicture = (file) => file.type.startsWith("image/");

/** Fields for a file of either kind: what each needs is shown when it is chosen. */
export class FileForm {
  constructor(values) {
    this.file = null;
    this.model = painterSelect(values.model, () => {});
    this.voice = voiceSelect(values.voice);
    this.text = h("textarea", { rows: 2, maxlength: 4096, value: values.text ?? "" });
    this.ofPicture = h("div", { class: "stack", hidden: true }, field("Model", this.model, { param: "model" }));
    this.ofSound = h("div", { class: "stack", hidden: true }, field("Voice", this.voice, { param: "voice" }), field("What is said in it", this.text, { param: "text" }));
    const zone = dropZone("Choose a PNG or WAV file", "image/png,image/webp,image/jpeg,audio/wav", (file) => {
      this.file = file;
      this.ofPicture.hidden = !isPicture(file);
      this.ofSound.hidden = isPicture(file);
    });
    this.elements = [zone, this.ofPicture, this.ofSound];
  }

  /** The request, and the parts that it needs. */
  async request(engine) {
    if (!this.file) throw Object.assign(new Error("file: choose one"), { param: "file" });
    const file = new Uint8Array(await this.file.arrayBuffer());
    if (isPicture(this.file)) return [{ model: this.model.value, file }, engine.parts(this.model.value)];
    const voice = voiceOf(this.voice.value);
    return [{ model: voice.model, voice: voice.id, text: this.text.value, file }, partsOf(engine, voice)];
  }
}

export class Score extends View {
  constructor(engine, values) {
    const form = new FileForm(values);
    super(engine, "score", "Score", "Score", form.elements);
    this.fields = form;
    this.found = h("div", { class: "stack" }, h("p", { class: "hint" }, "How likely a picture or a recording is under a model: exact, in bits. Fewer are more probable."));
    this.result.append(this.found, this.message);
  }

  async run(signal) {
    const [request, parts] = await this.fields.request(this.engine);
    const score = await this.engine.ask("score", request, { parts, signal });
    if (!score) return;
    const bits = score.bits_per_dim ?? score.bits_per_sample;
    this.found.dataset.bits = bits;
    const line = score.curve ?? score.bits.map((row) => row.flat().reduce((sum, value) => sum + value, 0));
    this.found.replaceChildren(
      h("p", { class: "verdict" }, `${bits.toFixed(4)} bits a ${score.curve ? "sample" : "sub-pixel"}`),
      h("p", {}, `${(score.nats / Math.LN2).toFixed(1)} bits in all, of ${score.samples ?? score.dims} symbols.`),
      curve(line, Math.max(...line, 1)),
      h("p", { class: "hint" }, score.curve ? "Bits over time, by 10 ms." : "Bits by rows, from the top."),
    );
  }
}
