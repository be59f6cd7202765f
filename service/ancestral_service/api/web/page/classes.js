// The attributes of a model: the first one and its kinds as chips with thumbnails, the others as lists.

import { here, request } from "./api.js";
import { select } from "./controls.js";
import { field, h, id } from "./dom.js";

const ANY = "any";
const MOST_AT_A_TIME = 2;
const thumbnails = new Map();
const waiting = [];
let loading = 0;

/** A kind without the word that all kinds of its class begin with. */
const short = (name) => name.replace(/^(animal|food|face|hand|sky|person|transport|place)-/, "");

export class ClassPicker {
  /** `classes` are the values of the attributes of all models, as /v1/images/classes lists them. */
  constructor(classes, onchange) {
    this.classes = classes;
    this.onchange = onchange;
    this.selects = new Map();
    this.chips = h("fieldset", { class: "chips", dataset: { param: "prompt class" } });
    this.kinds = h("fieldset", { class: "chips small" });
    this.others = h("div", { class: "others" });
    this.main = h("div", {}, this.chips, this.kinds);
    this.element = h("div", {}, this.main, this.others);
    this.styleField = h("div", {});
  }

  /** The values of the model's attribute `object`; of `kind` those of one class, if `parent` is given. */
  of(object, parent = null) {
    return this.classes.filter(
      (one) => one.model === this.model && one.object === object && (!parent || one.class === parent),
    );
  }

  /** The names of the model's attributes, in order. */
  get attributes() {
    return [...new Set(this.classes.filter((one) => one.model === this.model).map((one) => one.object))];
  }

  /** The attribute whose values are the chips. */
  get first() {
    return this.attributes.find((name) => name !== "style");
  }

  /** Shows what a model knows, and of that what a `prompt` names. */
  show(model, prompt, style) {
    this.model = model;
    const all = this.of(this.first);
    const wanted = (prompt ?? "").split(",").map((name) => name.trim());
    const asked = (object) => this.of(object).find((one) => wanted.includes(one.id));
    const kind = asked("kind");
    const chosen = kind?.class ?? asked(this.first)?.id;
    const choose = (name) => {
      this.chooseClass(name);
      this.onchange();
    };
    const chips = chipsOf([{ id: ANY }, ...all], chosen, choose);
    this.chips.replaceChildren(h("legend", {}, title(this.first)), ...chips, h("p", { class: "wrong", role: "alert" }));
    this.chips.hidden = !all.length;
    this.chooseClass(chosen, kind?.id);
    const others = this.attributes.filter((name) => ![this.first, "kind", "style"].includes(name));
    this.selects = new Map(
      others.map((name) => [name, select([ANY, ...this.of(name).map((one) => one.id)], asked(name)?.id, this.onchange)]),
    );
    this.others.replaceChildren(...others.map((name) => field(title(name), this.selects.get(name), {})));
    const styles = this.of("style").map((one) => one.id);
    this.styles = styles.length ? select([ANY, ...styles], style ?? asked("style")?.id, this.onchange) : null;
    this.styleField.replaceChildren(...(this.styles ? [field("Style", this.styles, { param: "style" })] : []));
    this.leaveOut([]);
  }

  /** Offers all attributes but these, which something else decides. */
  leaveOut(attributes) {
    this.main.hidden = attributes.includes(this.first);
    for (const [name, one] of this.selects) one.closest(".field").hidden = attributes.includes(name);
  }

  chooseClass(name, kind = ANY) {
    const kinds = name && name !== ANY ? this.of("kind", name) : [];
    this.kinds.hidden = !kinds.length;
    const chips = kinds.length ? chipsOf([{ id: ANY }, ...kinds], kind, this.onchange) : [];
    this.kinds.replaceChildren(h("legend", {}, "Kind"), ...chips);
  }

  /** Whether the model has attributes besides the style. */
  get any() {
    return !this.chips.hidden;
  }

  /** The names that are chosen, separated by commas. */
  get prompt() {
    const kind = this.kinds.hidden ? ANY : this.kinds.querySelector("input:checked")?.value;
    const chosen = kind && kind !== ANY ? kind : (this.chips.querySelector("input:checked")?.value ?? ANY);
    const offered = [...this.selects.values()].filter((one) => !one.closest(".field").hidden);
    const values = [this.main.hidden ? ANY : chosen, ...offered.map((one) => one.value)];
    const names = values.filter((name) => name !== ANY);
    return names.join(", ") || ANY;
  }

  get style() {
    return this.styles && this.styles.value !== ANY ? this.styles.value : null;
  }
}

/** The name of an attribute as a label. */
const title = (name) => (name ?? "class").replace(/^./, (letter) => letter.toUpperCase()).replaceAll("_", " ");

/** Makes pictures of classes that are loaded when they come into view. */
export function thumbnailMaker() {
  const observer = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      observer.unobserve(target);
      fewAtATime(() => load(target));
    }
  });
  return (one, size = 32, alt = "") => {
    const image = h("img", { alt: "", title: alt || null, width: size, height: size, dataset: { source: one.thumbnail_url } });
    image.addEventListener("load", () => (image.alt = alt)); // the text would be shown while it loads
    observer.observe(image);
    return image;
  };
}

function chipsOf(options, chosen, onchoose) {
  const name = id("chip");
  const thumbnail = thumbnailMaker();
  return options.map((option) => {
    const input = h("input", {
      type: "radio",
      name,
      value: option.id,
      id: id("chip"),
      checked: option.id === (chosen ?? ANY),
    });
    input.addEventListener("change", () => onchoose(option.id));
    const image = option.thumbnail_url && thumbnail(option);
    return h(
      "span",
      { class: "chip" },
      input,
      h("label", { for: input.id }, image, option.id === ANY ? "Anything" : short(option.id)),
    );
  });
}

/** Runs a few of these functions at a time, the newest first: the page needs the connections for other things, too. */
export async function fewAtATime(load) {
  if (load) waiting.push(load);
  if (loading >= MOST_AT_A_TIME || !waiting.length) return;
  loading += 1;
  try {
    await waiting.pop()();
  } finally {
    loading -= 1;
    fewAtATime();
  }
}

async function load(image) {
  if (!image.isConnected) return;
  const { source } = image.dataset;
  try {
    if (!thumbnails.has(source))
      thumbnails.set(source, URL.createObjectURL(await (await request(here(source))).blob()));
    image.src = thumbnails.get(source);
  } catch {
    image.remove(); // the name of the class is enough
  }
}
