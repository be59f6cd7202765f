// What the views have in common: a form, a place for the result, one request at a time.

import { announce, clearErrors, h, showAtField, toResult } from "./dom.js";
import { writeLink } from "./store.js";

/** A label for the state of the page. */
export function state(text) {
  const place = document.getElementById("state");
  place.textContent = text;
}

export class View {
  /**
   * @param name of the view, in addresses.
   * @param label of the button.
   */
  constructor(engine, name, title, label, fields) {
    Object.assign(this, { engine, name, current: null });
    this.button = h("button", { class: "primary" }, label);
    this.stop = h("button", { type: "button", hidden: true, onclick: () => this.current?.abort() }, "Stop");
    const submit = (event) => {
      event.preventDefault();
      this.submit();
    };
    this.form = h("form", { class: "sheet controls", novalidate: true, onsubmit: submit }, h("h1", {}, title), fields, h("div", { class: "row" }, this.button, this.stop));
    this.result = h("section", { class: "sheet result stack", "aria-label": "Result" });
    this.message = h("div", { role: "alert" });
    this.element = h("div", { class: "view" }, this.form, this.result);
  }

  leave() {
    this.current?.abort();
  }

  /** Puts the request into the address. */
  remember(values) {
    history.replaceState(null, "", writeLink(this.name, values));
  }

  /** Runs the view's request, or another one; the one before it is stopped. */
  async submit(request = (signal) => this.run(signal)) {
    this.current?.abort();
    const run = (this.current = new AbortController());
    clearErrors(this.form);
    this.message.textContent = "";
    this.stop.hidden = false;
    state("Working…");
    try {
      await request(run.signal);
    } catch (error) {
      if (!showAtField(this.form, error)) this.message.textContent = error.message;
      announce(error.message);
      toResult(this.element);
    }
    if (this.current !== run) return;
    this.stop.hidden = true;
    state("");
  }
}
