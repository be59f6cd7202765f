// A sheet that a model lays out: one character in all its directions and frames, and a player of its animations.

import { write } from "./ancestral.js";
import { get } from "./api.js";
import { select, slider } from "./controls.js";
import { announce, field, h } from "./dom.js";
import { canvasOf } from "./picture_input.js";

/** A frame is shown at the largest whole scale at which it has at most so many pixels each way. */
const STAGE = 256;

/** The choice between single pictures and the sheets of a model, and the way to draw a sheet. */
export class LaidOutSheet {
  constructor({ draw }) {
    Object.assign(this, { draw, drawn: null });
    this.choice = select([], "", () => draw.showFields());
    this.element = field("Result", this.choice, { param: "sheet" });
  }

  /** Offers the sheets of the model, and takes the one that is `wanted`. */
  chooseModel({ sheets = [] }, wanted = "") {
    const options = [["", "Single pictures"], ...sheets.map((name) => [name, `Sheet: ${name}`])];
    this.choice.replaceChildren(...options.map(([value, label]) => h("option", { value }, label)));
    this.choice.value = sheets.includes(wanted) ? wanted : "";
  }

  /** The sheet that is chosen, or nothing. */
  get name() {
    return this.element.hidden ? "" : this.choice.value;
  }

  values() {
    return { ...this.draw.subject(), sheet: this.name, ...this.draw.shared() };
  }

  describe() {
    const note = "`atlas` of the answer says where each frame is, and which are an animation.";
    return { path: "v1/images/generations", json: this.values(), note };
  }

  async start(signal) {
    const { draw } = this;
    const [fields, begun] = [this.values(), performance.now()];
    draw.progress.removeAttribute("value"); // all frames come at the end
    draw.progress.hidden = false;
    const json = { ...fields, response_format: "b64_json" };
    const { data, atlas } = await get("v1/images/generations", { json, signal });
    const { canvas, file } = await canvasOf(data[0].b64_json);
    const player = new SheetPlayer(canvas, atlas);
    draw.begin(signal, player.element);
    this.drawn = { fields, file, atlas };
    player.fit();
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    draw.status.textContent = `${Object.keys(atlas.frames).length} frames in ${seconds} s`;
  }

  /** The files `png` and `json` of the sheet that is shown; `image` is the name of the PNG. */
  files(image) {
    const { file, atlas } = this.drawn;
    const named = { ...atlas, meta: { ...atlas.meta, image } };
    return { png: file, json: new Blob([write(named, 2)], { type: "application/json" }) };
  }
}

/** A sheet, and above it one of its animations, which plays. */
class SheetPlayer {
  constructor(sheet, { frames, animations }) {
    Object.assign(this, { sheet, frames, number: 0, timer: null });
    const all = Object.values(frames);
    const { duration, sourceSize: size } = all[0];
    this.scale = Math.max(1, Math.floor(STAGE / Math.max(size.w, size.h)));
    // The longest animations come first: then an arrow key turns what moves.
    this.animations = new Map(Object.entries(animations).sort(([, a], [, b]) => b.length - a.length));
    this.choice = select([...this.animations.keys()], null, () => this.show());
    const rate = Math.round(1000 / duration);
    this.rate = slider("Frames a second", "", { min: 1, max: Math.max(60, rate), step: 1, value: rate });
    this.rate.input.addEventListener("input", () => this.play(this.timer !== null));
    this.pause = h("button", { type: "button", onclick: () => this.play(this.timer === null) });
    const ground = h("button", { type: "button", class: "tab", "aria-pressed": "true" }, "Checkered ground");
    ground.onclick = () => ground.setAttribute("aria-pressed", String(this.element.classList.toggle("checkered")));
    this.stage = h("canvas", { width: size.w, height: size.h, class: "picture stage", role: "img" });
    this.stage.style.width = `${size.w * this.scale}px`;
    sheet.setAttribute("role", "img");
    sheet.setAttribute("aria-label", `The sheet: ${all.length} frames`);
    const hint = "The left and right arrow keys on the buttons choose it, too.";
    const buttons = h("div", { class: "row wrap" }, this.pause, ground);
    const controls = [field("Animation", this.choice, { hint }), this.rate.element, buttons];
    const same = ([name, value]) => all.every(({ attributes }) => attributes[name] === value);
    const shared = Object.entries(all[0].attributes).filter(same).map(([, value]) => value);
    this.element = h(
      "div",
      { class: "stack player checkered", role: "group", "aria-label": "Player", onkeydown: (event) => this.turn(event) },
      h("div", { class: "row" }, this.stage, h("div", { class: "stack grow" }, controls)),
      h("p", { class: "hint" }, shared.join(", ")),
      sheet,
    );
    this.show();
    this.play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
  }

  /** Shows the whole sheet at a whole scale, too, where there is room. */
  fit() {
    const scale = Math.min(this.scale, Math.floor(this.element.clientWidth / this.sheet.width));
    this.sheet.style.width = `${this.sheet.width * Math.max(1, scale)}px`;
  }

  play(on) {
    clearInterval(this.timer);
    this.timer = on ? setInterval(() => this.step(), 1000 / this.rate.input.value) : null;
    this.pause.textContent = on ? "Pause" : "Play";
  }

  step() {
    if (!this.element.isConnected) return this.play(false);
    this.number += 1;
    this.show();
  }

  show() {
    const names = this.animations.get(this.choice.value);
    this.number %= names.length;
    const { x, y, w, h: height } = this.frames[names[this.number]].frame;
    const paint = this.stage.getContext("2d");
    paint.clearRect(0, 0, w, height);
    paint.drawImage(this.sheet, x, y, w, height, 0, 0, w, height);
    this.stage.setAttribute("aria-label", this.choice.value);
  }

  /** Sliders and lists have the arrow keys for themselves. */
  turn(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || event.target.matches("input, select")) return;
    event.preventDefault();
    const { choice } = this;
    choice.selectedIndex = (choice.selectedIndex + by + choice.length) % choice.length;
    announce(choice.value);
    this.show();
  }
}
