// A mouth that moves with what is heard.

const SVG = "http://www.w3.org/2000/svg";
const REST = [19, 0, 0];
/** Of each viseme (Oculus' names): half of the mouth's width, how far it opens, and how much of the teeth is seen. */
const SHAPES = {
  PP: [18, 0, 0], FF: [19, 2.5, 1], TH: [19, 4, 0.8], DD: [19, 4, 0.8], kk: [18, 5, 0.5], CH: [13, 5, 1], SS: [20, 2.5, 1], nn: [18, 4, 0.6],
  RR: [14, 4.5, 0.4], aa: [19, 11, 0.5], E: [21, 7, 0.7], ih: [22, 4.5, 0.9], oh: [13, 9.5, 0.2], ou: [9, 5, 0],
};
/** Seconds in which the mouth closes before a pause, and opens after it. */
const CLOSES = 0.08;

/** The shape at a time, between those of `keys`: `[seconds, shape]` in order. */
export function shapeAt(keys, seconds) {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle][0] <= seconds) low = middle + 1;
    else high = middle;
  }
  const [before, after] = [keys[low - 1], keys[low]];
  if (!before || !after || after[0] === Infinity) return REST;
  const part = (seconds - before[0]) / (after[0] - before[0]);
  return before[1].map((value, i) => value + part * (after[1][i] - value));
}

/** The keys of visemes `{viseme, start, end}`, in seconds and in order: each has its shape in its middle; pauses are at rest. */
export function keysOf(visemes) {
  const keys = [];
  let last = null;
  for (const { viseme, start, end } of [...visemes, { start: Infinity, end: Infinity }]) {
    if (last !== null && start - last > 2 * CLOSES) keys.push([last + CLOSES, REST]);
    if (last === null || start - last > 2 * CLOSES) keys.push([start - CLOSES, REST]);
    keys.push([(start + end) / 2, SHAPES[viseme] ?? REST]);
    last = end;
  }
  return keys;
}

export class Mouth {
  constructor() {
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("viewBox", "0 0 56 40");
    this.element.setAttribute("class", "mouth");
    this.element.setAttribute("aria-hidden", "true");
    [this.lips, this.inside, this.teeth] = ["lips", "inside", "teeth"].map((name) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      this.element.append(path);
      return path;
    });
    this.clear();
  }

  clear() {
    this.visemes = [];
    this.keys = [];
    this.element.toggleAttribute("hidden", true);
    this.draw(REST);
  }

  /** More visemes of the sound, in seconds. */
  add(visemes) {
    this.visemes.push(...visemes);
    this.keys = keysOf(this.visemes);
    this.element.toggleAttribute("hidden", !this.visemes.length);
  }

  at(seconds) {
    this.draw(shapeAt(this.keys, seconds));
  }

  draw([wide, open, teeth]) {
    const half = wide - 3; // of the opening
    const [up, down] = [3.5 + 0.6 * open, 4.5 + 1.1 * open];
    this.lips.setAttribute(
      "d",
      `M${28 - wide} 18C${28 - 0.6 * wide} ${18 - 1.1 * up} ${28 - 0.25 * wide} ${18 - 1.7 * up} 28 ${18 - 1.1 * up}` +
        `C${28 + 0.25 * wide} ${18 - 1.7 * up} ${28 + 0.6 * wide} ${18 - 1.1 * up} ${28 + wide} 18` +
        `C${28 + 0.6 * wide} ${18 + 1.35 * down} ${28 - 0.6 * wide} ${18 + 1.35 * down} ${28 - wide} 18Z`,
    );
    const top = `M${28 - half} 18C${28 - 0.5 * half} ${18 - 0.85 * open} ${28 + 0.5 * half} ${18 - 0.85 * open} ${28 + half} 18`;
    this.inside.setAttribute("d", `${top}C${28 + 0.5 * half} ${18 + 1.2 * open} ${28 - 0.5 * half} ${18 + 1.2 * open} ${28 - half} 18Z`);
    const edge = 18 - 0.85 * open + Math.min(1.7, 0.75 * teeth) * open; // the lower one of the teeth
    this.teeth.setAttribute("d", `${top}C${28 + 0.5 * half} ${edge} ${28 - 0.5 * half} ${edge} ${28 - half} 18Z`);
  }
}
