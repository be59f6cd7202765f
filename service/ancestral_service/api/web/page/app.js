// The page: its views, the key, and whether the server answers.

import { BASE, key } from "./api.js";
import { announce, h, problem, skipToMain } from "./dom.js";
import { forgetModels } from "./controls.js";
import { readLink } from "./store.js";

const VIEWS = ["speak", "draw", "score", "prove", "jobs", "models"];
const main = document.getElementById("main");
let current = null;
let opening = null; // the last call of `open`, whose view is shown

async function open() {
  const { view, values } = readLink(location.hash);
  const name = VIEWS.includes(view) ? view : "speak";
  current?.leave?.();
  current = null;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = `${name[0].toUpperCase()}${name.slice(1)}`;
  document.title = `${title} · Ancestral`;
  main.replaceChildren(h("p", { class: "loading", role: "status" }, "Loading…"));
  const turn = (opening = {});
  try {
    const module = await import(`./${name}.js`);
    const made = await module.open(values);
    if (opening !== turn) {
      made.leave?.();
      return;
    }
    current = made;
    main.replaceChildren(made.element);
    made.shown?.();
  } catch (error) {
    if (opening === turn) main.replaceChildren(h("div", { class: "sheet" }, h("h1", {}, title), problem(error, open)));
    if (!("status" in error)) throw error;
  }
}

// The key

function askForKey() {
  const input = h("input", { type: "password", id: "key-value", autocomplete: "off", value: key.get() });
  const use = (value) => {
    key.set(value.trim());
    dialog.close();
    showKey();
    forgetModels();
    open();
  };
  const dialog = h(
    "dialog",
    { "aria-labelledby": "key-title", onclose: () => dialog.remove() },
    h(
      "form",
      {
        method: "dialog",
        onsubmit: (event) => {
          event.preventDefault();
          use(input.value);
        },
      },
      h("h2", { id: "key-title" }, "API key"),
      h("p", {}, "Kept in this tab until it is closed. It is sent as a header, never as part of an address."),
      h("label", { for: "key-value" }, "Key"),
      input,
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", class: "quiet", onclick: () => use("") }, "Forget it"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { type: "submit", class: "primary" }, "Use it"),
      ),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

function showKey() {
  document.getElementById("key").classList.toggle("set", Boolean(key.get()));
}

// Whether the server answers

const health = document.getElementById("health");
let state = "";
let next = 0;

async function watch() {
  let found = "away";
  try {
    found = (await fetch(new URL("healthz", BASE), { cache: "no-store" })).ok ? "here" : "away";
  } catch {
    /* away */
  }
  if (found !== state) {
    health.dataset.state = found;
    health.textContent = found === "here" ? "Connected" : "Offline";
    if (state) announce(found === "here" ? "The server is back." : "The server does not answer.");
    if (state === "away" && found === "here" && !current) open();
    if (found === "here")
      main.querySelectorAll(".problem.offline p").forEach((text) => (text.textContent = "The server is back."));
    state = found;
  }
  clearTimeout(next);
  next = setTimeout(watch, found === "here" ? 10_000 : 2_000);
}

window.addEventListener("hashchange", open);
skipToMain();
for (const hint of ["offline", "online", "unanswered"]) window.addEventListener(hint, watch);
document.getElementById("key").addEventListener("click", askForKey);
showKey();
open();
watch();
