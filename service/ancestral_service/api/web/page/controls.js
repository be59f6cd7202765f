// Controls that several views share.

import { BASE, get, key } from "./api.js";
import { announce, copy, field, h, icon, id } from "./dom.js";
import { newSeed } from "./seeds.js";
import { snippets } from "./snippets.js";
import { forget, recall } from "./store.js";

let loaded = null;
/** The models of this server; asked for once. */
export function models() {
  loaded ??= get("v1/models")
    .then((list) => list.data)
    .catch((error) => {
      loaded = null;
      throw error;
    });
  return loaded;
}

/** Forgets the models: another key may be needed, or another server answers. */
export const forgetModels = () => (loaded = null);

/** The models with one of these capabilities. */
export async function modelsWith(...capabilities) {
  return (await models()).filter((model) => capabilities.some((one) => model.capabilities.includes(one)));
}

/** A select of strings or of `[value, label]`. */
export function select(options, value, onchange) {
  const choices = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const element = h(
    "select",
    { onchange },
    choices.map(([name, label]) => h("option", { value: name }, label)),
  );
  if (choices.some(([name]) => name === value)) element.value = value;
  return element;
}

/** A slider with its value beside it. `input.value` is a string as in every input. */
export function slider(label, param, { min, max, step, value, format = String, hint = null }) {
  const input = h("input", { type: "range", min, max, step });
  const shown = h("output", {});
  const show = () => {
    shown.textContent = format(input.value);
    input.setAttribute("aria-valuetext", format(input.value));
  };
  input.value = value;
  input.addEventListener("input", show);
  const element = field(label, input, { param, hint, extra: [shown] });
  shown.setAttribute("for", input.id);
  show();
  return {
    element,
    input,
    set: (next) => {
      input.value = next;
      show();
    },
  };
}

/** The slider of the sampling temperature. */
export const temperatureSlider = (value) =>
  slider("Temperature", "temperature", { min: 0, max: 1.5, step: 0.05, value, format: (v) => Number(v).toFixed(2) });

/** The seed: typed, rolled, or locked so that the next request has the same one. */
export class Seed {
  constructor(value, onchange) {
    this.input = h("input", {
      type: "text",
      inputmode: "numeric",
      pattern: "[0-9]*",
      autocomplete: "off",
      maxlength: 19,
      value: value || newSeed(),
    });
    this.dice = h(
      "button",
      { type: "button", class: "icon", title: "New seed", "aria-label": "New seed" },
      icon("dice"),
    );
    this.dice.addEventListener("click", () => {
      this.input.value = newSeed();
      onchange();
    });
    this.lock = h(
      "button",
      {
        type: "button",
        class: "icon",
        title: "Keep this seed for the next request",
        "aria-label": "Keep this seed",
        "aria-pressed": String(Boolean(value)),
      },
      icon("lock"),
    );
    this.lock.addEventListener("click", () => this.hold(!this.held));
    this.input.addEventListener("input", () => this.hold(true));
    this.input.addEventListener("change", onchange);
    this.element = field("Seed", h("div", { class: "row" }, this.input, this.dice, this.lock), {
      param: "seed",
      hint: "The same seed gives the same bytes. Locked, it stays for the next request.",
    });
    this.used = false;
  }

  get held() {
    return this.lock.getAttribute("aria-pressed") === "true";
  }

  hold(on) {
    this.lock.setAttribute("aria-pressed", String(on));
  }

  /** The seed of the next request: a new one, unless it is locked or has not been used yet. */
  next() {
    if (this.used && !this.held) this.input.value = newSeed();
    this.used = true;
    return this.value;
  }

  get value() {
    return this.input.value.trim() || "0";
  }

  set value(seed) {
    this.input.value = seed;
    this.used = false;
  }
}

/** The request as it is sent, in three languages. `describe` returns `{path, json | form, output}`. */
export function requestPanel(describe) {
  const code = h("code", {});
  const shown = h("pre", { tabindex: "0", role: "region", "aria-label": "The request" }, code);
  let language = "curl";
  const tabs = ["curl", "Python", "JavaScript"].map((name) =>
    h(
      "button",
      {
        type: "button",
        class: "tab",
        "aria-pressed": String(name === language),
        onclick: () => {
          language = name;
          show();
        },
      },
      name,
    ),
  );
  const copyButton = h(
    "button",
    { type: "button", class: "tab", onclick: () => copy(code.textContent, copyButton) },
    "Copy",
  );
  const note = h("p", { class: "hint" });
  const element = h(
    "details",
    { class: "panel", ontoggle: show },
    h("summary", {}, "The request"),
    h("div", { class: "row tabs" }, tabs, h("span", { class: "grow" }), copyButton),
    shown,
    note,
  );
  function show() {
    if (!element.open) return;
    const { path, note: text = "", ...rest } = describe();
    code.textContent = snippets(new URL(path, BASE).href, { ...rest, needsKey: Boolean(key.get()) })[language];
    note.textContent = text;
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.textContent === language));
  }
  return { element, show };
}

/** Earlier requests of a view. `title` names one, `use` brings one back. */
export function historyPanel(view, title, use) {
  const list = h("ul", { class: "history" });
  const summary = h("summary", {});
  const clear = h(
    "button",
    {
      type: "button",
      class: "quiet",
      onclick: () => {
        forget(view);
        show();
      },
    },
    "Clear the history",
  );
  const element = h("details", { class: "panel" }, summary, list, clear);
  function show() {
    const entries = recall(view);
    summary.textContent = `History (${entries.length})`;
    clear.hidden = !entries.length;
    list.replaceChildren(
      ...entries.map((entry) =>
        h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              class: "entry",
              onclick: () => use(entry.values),
            },
            h("span", { class: "grow" }, title(entry.values)),
            h("span", { class: "dim" }, `seed ${entry.values.seed}`),
          ),
        ),
      ),
    );
    if (!entries.length) list.append(h("li", { class: "hint" }, "What you make appears here, in this browser only."));
  }
  show();
  return { element, show };
}

/** Figures with their names, as a list. */
export function figures(pairs) {
  return h(
    "dl",
    { class: "figures" },
    pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** A place for a file: dropped, chosen, or pasted. `take` gets the File. */
export function dropZone(label, accept, take) {
  const input = h("input", { type: "file", accept, class: "file", id: id("file") });
  const name = h("span", { class: "dim" }, "or drop it here");
  const element = h(
    "div",
    { class: "drop", dataset: { param: "file image" } },
    h("label", { for: input.id, class: "button" }, label),
    input,
    name,
    h("p", { class: "wrong", role: "alert" }),
  );
  const use = (file) => {
    if (!file) return;
    name.textContent = file.name;
    announce(`${file.name} taken`);
    take(file);
  };
  input.addEventListener("change", () => {
    use(input.files[0]);
    input.value = ""; // the same file may be chosen again
  });
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    use(event.dataTransfer.files[0]);
  });
  return element;
}

/** A row of choices of which one is taken. `options` are `[value, label]`. */
export function segmented(legend, options, value, onchange) {
  const name = id("choice");
  const element = h(
    "fieldset",
    { class: "segmented" },
    h("legend", { class: "hidden" }, legend),
    options.map(([option, label]) => {
      const input = h("input", { type: "radio", name, value: option, id: id("option"), checked: option === value });
      input.addEventListener("change", () => onchange(option));
      return [input, h("label", { for: input.id }, label)];
    }),
  );
  return element;
}
