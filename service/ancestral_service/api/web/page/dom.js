// Elements, messages, and errors beside their fields.

/** An element. Properties that start with `on` are listeners; null and false leave a property out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

const ICONS = {
  dice: "M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zM8 8h.01M16 8h.01M12 12h.01M8 16h.01M16 16h.01",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  play: "M8 5l11 7-11 7z",
  plus: "M12 5v14M5 12h14",
  down: "M12 4v12M6 11l6 6 6-6M5 20h14",
};

/** A small drawing in the colour of the text. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", ICONS[name]);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "drawing");
  svg.setAttribute("aria-hidden", "true");
  svg.append(path);
  return svg;
}

let count = 0;
/** A new id. */
export const id = (name) => `${name}-${++count}`;

/** Tells screen readers. */
export function announce(text) {
  document.getElementById("live").textContent = text;
}

/**
 * A control with its label and a place for its error.
 * `param` is the name that the API gives the field in errors; several are separated by spaces.
 */
export function field(label, control, { param = "", hint = null, extra = [] } = {}) {
  const input = control.matches("input,select,textarea") ? control : control.querySelector("input,select,textarea");
  input.id ||= id("field");
  const error = h("p", { class: "wrong", id: `${input.id}-error`, role: "alert" });
  input.setAttribute("aria-describedby", [error.id, hint && `${input.id}-hint`].filter(Boolean).join(" "));
  return h(
    "div",
    { class: "field", dataset: { param }, oninput: (event) => clearErrors(event.currentTarget) },
    h("div", { class: "label" }, h("label", { for: input.id }, label), ...extra),
    control,
    hint && h("p", { class: "hint", id: `${input.id}-hint` }, hint),
    error,
  );
}

/** Removes all errors of a form, or of a field. */
export function clearErrors(form) {
  for (const wrong of form.querySelectorAll(".wrong")) wrong.textContent = "";
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

/** Shows an error beside the field that its `param` names. Returns whether there is one. */
export function showAtField(form, error) {
  const name = (error.param ?? "").split(".").pop();
  const place =
    name &&
    [...form.querySelectorAll("[data-param]")].find(
      (one) => one.dataset.param.split(" ").includes(name) && !one.closest("[hidden]"),
    );
  if (!place) return false;
  for (let panel = place; (panel = panel.parentElement.closest("details")); ) panel.open = true;
  place.querySelector(".wrong").textContent = sentence(error.message.replace(/^[\w.]+: /, ""));
  // Not a control beside the label.
  const input = place.querySelector("[aria-describedby]") ?? place.querySelector("input,select,textarea");
  input?.setAttribute("aria-invalid", "true");
  input?.focus();
  return true;
}

/** With a capital first letter and a full stop. */
export function sentence(text) {
  const said = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(said) ? said : `${said}.`;
}

/**
 * A message for an error of a whole request: no connection, a full queue with a countdown, a missing key, anything else.
 * `retry` is called by its button.
 */
export function problem(error, retry) {
  const again = retry && h("button", { type: "button", onclick: retry }, "Try again");
  const text = h("p", {});
  const offline = error.status === 0;
  if (offline) window.dispatchEvent(new Event("unanswered"));
  const box = h(
    "div",
    { class: offline ? "problem offline" : "problem", role: "alert" },
    h("strong", {}, title(error)),
    text,
    again,
  );
  if (error.status === 401) {
    text.textContent = sentence(error.message);
    again?.replaceWith(
      h("button", { type: "button", onclick: () => document.getElementById("key").click() }, "Enter the key"),
    );
  } else if (offline) {
    text.textContent = `${error.message} It may be starting again: the page keeps asking.`;
  } else if (error.retryAfter) {
    countdown(error, text, again);
  } else {
    text.textContent = sentence(error.message);
  }
  return box;
}

function title(error) {
  if (error.status === 0) return "No connection";
  if (error.status === 401) return "This server needs an API key";
  if (error.status === 429) return "Too much to do at the moment";
  if (error.status === 503) return "Not ready yet";
  return "This did not work";
}

function countdown(error, text, again) {
  const until = Date.now() + 1000 * error.retryAfter;
  const seconds = h("span", { class: "seconds" });
  text.append(`${sentence(error.message)} `, h("span", { "aria-hidden": "true" }, seconds));
  if (again) again.disabled = true;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    seconds.textContent = left > 0 ? `Try again in ${left} s.` : "There may be room now.";
    if (left > 0) setTimeout(tick, 250);
    else if (again) again.disabled = false;
  };
  tick();
}

/** On a narrow screen, where the result stands below the form: scrolls to it. */
export function toResult(view) {
  if (matchMedia("(max-width: 60rem)").matches) view.querySelector(".result").scrollIntoView({ block: "start" });
}

/** Has the link that skips to the content move the focus alone: the address is that of the view. */
export function skipToMain() {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
}

/** Offers bytes as a file. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Copies text, and says so on the button. */
export async function copy(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // plain http from another machine, or no permission
    window.prompt("Copy this:", text);
  }
  announce("Copied");
  setTimeout(() => (button.textContent = label), 1500);
}
