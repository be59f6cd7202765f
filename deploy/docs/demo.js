// Sounds with their words and a mouth, and sprites that grow, from samples.json.

import { h } from "./dom.js";
import { WordLine } from "./words.js";

const ROWS_A_SECOND = 24;
const SCALE = 4;
const here = (name) => new URL(name, import.meta.url);
const { said, drawn } = await (await fetch(here("samples.json"))).json();

/** A sound with a player, its words and its mouth. */
function sound(times) {
  const audio = h("audio", { controls: true, preload: "none", src: here(times.sound).href, "aria-label": times.text });
  const line = new WordLine((seconds) => {
    audio.currentTime = seconds;
    audio.play();
  });
  line.begin();
  line.show(times, 0);
  const follow = () => {
    line.at(audio.currentTime);
    if (!audio.paused) requestAnimationFrame(follow);
  };
  for (const event of ["play", "seeked", "ended"]) audio.addEventListener(event, follow);
  return h("div", { class: "sound" }, line.element, h("div", { class: "row" }, audio, line.mouth.element, h("span", {}, times.voice)));
}

/** A sprite on a canvas, which grows from the top. */
function sprite({ picture, prompt, seed }) {
  const canvas = h("canvas", { role: "img", "aria-label": prompt });
  const image = new Image();
  const grow = () => {
    const start = performance.now();
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    const step = (now) => {
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const rows = still ? image.height : Math.min(image.height, Math.floor(((now - start) / 1000) * ROWS_A_SECOND));
      if (rows > 0) context.drawImage(image, 0, 0, image.width, rows, 0, 0, image.width * SCALE, rows * SCALE);
      if (rows < image.height) requestAnimationFrame(step);
    };
    context.imageSmoothingEnabled = false;
    requestAnimationFrame(step);
  };
  image.addEventListener("load", () => {
    Object.assign(canvas, { width: image.width * SCALE, height: image.height * SCALE });
    grow();
  });
  image.src = here(picture).href;
  return h("button", { type: "button", title: `${prompt}, seed ${seed}`, onclick: grow }, canvas, h("span", {}, prompt));
}

document.getElementById("said").append(...said.map(sound));
document.getElementById("drawn").append(...drawn.map(sprite));
