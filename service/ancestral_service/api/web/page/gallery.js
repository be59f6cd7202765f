// A grid of pictures, each with what can be done with it.

import { copy, download, h, icon } from "./dom.js";

/** Of the files: each pixel becomes a square of so many. */
export const DOWNLOAD_SCALE = 8;

class Card {
  constructor(picture, fields, actions) {
    Object.assign(this, { picture, fields, actions });
    const { label, seed } = fields;
    this.enlarge = h(
      "button",
      {
        type: "button",
        class: "frame",
        "aria-label": `Enlarge the picture with seed ${seed}`,
        onclick: () => this.show(),
      },
      picture.canvas,
    );
    picture.canvas.setAttribute("role", "presentation");
    this.buttons = h(
      "div",
      { class: "row buttons", hidden: true },
      actions.more &&
        h(
          "button",
          {
            type: "button",
            class: "icon",
            title: "More like this",
            "aria-label": "More like this",
            onclick: () => actions.more(this),
          },
          icon("plus"),
        ),
      h(
        "button",
        {
          type: "button",
          class: "icon",
          title: "Download PNG",
          "aria-label": "Download PNG",
          onclick: () => this.save(),
        },
        icon("down"),
      ),
    );
    this.element = h(
      "li",
      { class: "shot growing" },
      this.enlarge,
      h(
        "div",
        { class: "row caption" },
        h("span", { class: "grow few", title: [label, `seed ${seed}`].filter(Boolean).join(", ") }, this.caption),
        this.buttons,
      ),
    );
  }

  get growing() {
    return this.element.classList.contains("growing");
  }

  complete() {
    this.element.classList.remove("growing");
    this.buttons.hidden = false;
  }

  /** What was asked for, then what else it shows; or the seed. */
  get caption() {
    const { label, prompt, seed } = this.fields;
    const asked = (prompt ?? "").split(",").map((name) => name.trim());
    const names = (label ?? "").split(", ").sort((a, b) => asked.includes(b) - asked.includes(a));
    return names.join(", ") || `seed ${seed}`;
  }

  get name() {
    const { model, label, seed } = this.fields;
    return [model, label, seed]
      .filter(Boolean)
      .join("-")
      .replaceAll(/[^\w.-]+/g, "_");
  }

  async save() {
    try {
      download(await this.actions.file(this, DOWNLOAD_SCALE), `${this.name}.png`);
    } catch (error) {
      this.actions.fail(error);
    }
  }

  show() {
    const { canvas } = this.picture;
    const large = h("canvas", {
      width: canvas.width,
      height: canvas.height,
      class: "picture",
      role: "img",
      "aria-label": this.fields.label || "Picture",
    });
    large.getContext("2d").drawImage(canvas, 0, 0);
    const seed = h(
      "button",
      { type: "button", onclick: () => copy(String(this.fields.seed), seed) },
      `Seed ${this.fields.seed}`,
    );
    const act = (label, action) =>
      h(
        "button",
        {
          type: "button",
          onclick: () => {
            dialog.close();
            action();
          },
        },
        label,
      );
    const dialog = h(
      "dialog",
      { class: "large", "aria-label": this.fields.label || "Picture", onclose: () => dialog.remove() },
      large,
      h(
        "div",
        { class: "row wrap" },
        h("strong", { class: "grow" }, this.fields.label ?? ""),
        seed,
        !this.buttons.hidden && [
          this.actions.more && act("More like this", () => this.actions.more(this)),
          this.actions.keep && act("Complete it", () => this.actions.keep(this)),
          this.actions.edits?.(this) && act("Edit it", () => this.actions.edit(this)),
          act("Download PNG", () => this.save()),
        ],
        h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close"),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  }
}

export class Gallery {
  constructor(actions) {
    this.actions = actions;
    this.element = h("ul", { class: "gallery" });
    this.cards = [];
  }

  clear() {
    this.element.replaceChildren();
    this.cards = [];
  }

  leaveOutIncomplete() {
    const incomplete = this.cards.filter((card) => card.growing);
    for (const { element } of incomplete) element.remove();
    this.cards = this.cards.filter((card) => !card.growing);
  }

  get count() {
    return this.cards.length;
  }

  /** A new picture at the end; `fields` are those of the request that makes it again, and a `label`; `file` is its PNG, if it is known. */
  add(picture, fields, file = null) {
    const card = new Card(picture, fields, file ? { ...this.actions, more: null } : this.actions);
    card.file = file;
    this.element.append(card.element);
    this.cards.push(card);
    return card;
  }
}
