// The page without a server: its views, and what they have in common.

import { announce, h, skipToMain } from "./dom.js";
import { Draw } from "./draw_here.js";
import { Engine, lacking } from "./engine.js";
import { Prove } from "./prove_here.js";
import { Score } from "./score_here.js";
import { Speak } from "./speak_here.js";
import { readLink } from "./store.js";

const VIEWS = { speak: Speak, draw: Draw, score: Score, prove: Prove };
const main = document.getElementById("main");
const engine = new Engine();
let view = null;

function show() {
  const { view: name, values } = readLink(location.hash);
  view?.leave();
  const known = name in VIEWS ? name : "speak";
  view = new VIEWS[known](engine, values);
  main.replaceChildren(view.element);
  view.shown?.();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${known}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

engine.addEventListener("progress", ({ detail }) => {
  const place = document.getElementById("loading");
  if (place.hidden === Boolean(detail)) announce(detail ? "Loading" : "Loaded");
  place.hidden = !detail;
  if (!detail) return;
  Object.assign(place.querySelector("progress"), { value: detail.done, max: detail.total });
  document.getElementById("what").textContent = detail.text;
});

const missing = lacking();
if (missing.length) {
  const said = `It lacks: ${missing.join(", ")}. Chromium 92, Firefox 114, Safari 16.4 and newer have all of it.`;
  main.replaceChildren(h("div", { class: "sheet" }, h("h1", {}, "This browser cannot run the models"), h("p", {}, said)));
} else {
  await engine.start();
  addEventListener("hashchange", show);
  skipToMain();
  show();
}
