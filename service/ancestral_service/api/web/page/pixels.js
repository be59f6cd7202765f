// Pictures as pixels: to canvases and back, shuffled, as noise.

import { h } from "./dom.js";

/** A canvas of a picture, whose rows can be filled one by one. */
export class Picture {
  constructor(width, height, channels) {
    Object.assign(this, { width, height, channels, rows: 0 });
    this.canvas = h("canvas", { width, height, class: "picture" });
    this.image = new ImageData(width, height);
  }

  /** `pixels`: whole rows of `channels` bytes each, from the row `first` on; 0 … 255. */
  fill(first, pixels) {
    const { channels, width } = this;
    const rows = pixels.length / (width * channels);
    for (let i = 0; i < rows * width; i++) {
      const to = 4 * (first * width + i);
      for (let c = 0; c < 3; c++) this.image.data[to + c] = pixels[i * channels + (channels > 1 ? c : 0)];
      this.image.data[to + 3] = channels === 4 ? pixels[i * channels + 3] : 255;
    }
    this.rows = Math.max(this.rows, first + rows);
    this.show();
  }

  /** The coarse scale, one pixel per square: shown below the rows that have been sampled. */
  outline(pixels, columns, rows) {
    const { channels, width, height } = this;
    for (let y = this.rows; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const from = Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width);
        const to = 4 * (y * width + x);
        for (let c = 0; c < 3; c++) this.image.data[to + c] = pixels[from * channels + (channels > 1 ? c : 0)];
        this.image.data[to + 3] = channels === 4 && !pixels[from * channels + 3] ? 0 : 170;
      }
    }
    this.show();
  }

  show() {
    this.canvas.getContext("2d").putImageData(this.image, 0, 0);
  }
}

/** `WIDTHxHEIGHT` as two numbers. */
export const sizeOf = (model) => model.size.split("x").map(Number);

/** The widest part of a picture that is averaged pixel by pixel; a wider one is reduced by the browser first. */
const MOST_WIDE = 2048;

/**
 * A bitmap as a canvas of this size: of its largest part of the same proportions, enlarged by `zoom`, each pixel is the
 * average of those that it covers. `across` and `down`, 0 … 1, say where the part lies. `said` says what was done.
 */
export function fitted(bitmap, width, height, { zoom = 1, across = 0.5, down = 0.5 } = {}) {
  const scale = Math.min(bitmap.width / width, bitmap.height / height) / zoom;
  const [w, t] = [width, height].map((side) => Math.max(1, Math.floor(side * scale)));
  const [left, top] = [Math.round((bitmap.width - w) * across), Math.round((bitmap.height - t) * down)];
  const reduced = Math.min(1, MOST_WIDE / w);
  const part = h("canvas", { width: Math.ceil(w * reduced), height: Math.ceil(t * reduced) });
  const paint = part.getContext("2d", { willReadFrequently: true });
  paint.imageSmoothingEnabled = reduced < 1;
  paint.drawImage(bitmap, left, top, w, t, 0, 0, part.width, part.height);
  const { data } = paint.getImageData(0, 0, part.width, part.height);
  const canvas = h("canvas", { width, height, class: "picture" });
  const pixels = averaged(data, part.width, part.height, width, height);
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(new ImageData(pixels, width, height), 0, 0);
  const size = `${bitmap.width} × ${bitmap.height}`;
  const whole = w === bitmap.width && t === bitmap.height;
  const used = whole ? size : `${w} × ${t} of its ${size}`;
  return { canvas, said: size === `${width} × ${height}` ? "" : `${used} pixels, averaged to the model's ${width} × ${height}.` };
}

/** RGBA pixels of `w × t`, averaged over the areas of `width × height` pixels; what is transparent has no colour. */
export function averaged(data, w, t, width, height) {
  const out = new Uint8ClampedArray(4 * width * height);
  const spans = (count, length) =>
    Array.from({ length: count }, (_, i) => {
      const [from, to] = [(i * length) / count, ((i + 1) * length) / count];
      const first = Math.floor(from);
      const shares = Array.from({ length: Math.max(1, Math.ceil(to) - first) }, (_, k) =>
        Math.min(to, first + k + 1) - Math.max(from, first + k));
      return { first, shares };
    });
  const columns = spans(width, w);
  spans(height, t).forEach((row, y) =>
    columns.forEach((column, x) => {
      const sums = [0, 0, 0, 0];
      let area = 0;
      row.shares.forEach((down, j) => {
        let at = 4 * ((row.first + j) * w + column.first);
        for (const across of column.shares) {
          const opaque = (down * across * data[at + 3]) / 255;
          for (let c = 0; c < 3; c++) sums[c] += opaque * data[at + c];
          sums[3] += opaque;
          area += down * across;
          at += 4;
        }
      });
      for (let c = 0; c < 3; c++) out[4 * (y * width + x) + c] = sums[3] ? sums[c] / sums[3] : 0;
      out[4 * (y * width + x) + 3] = (255 * sums[3]) / area;
    }),
  );
  return out;
}

/** Shows on one canvas what is on another of its size, also where that is transparent. */
export function repaint(canvas, other) {
  const paint = canvas.getContext("2d");
  paint.globalCompositeOperation = "copy";
  paint.drawImage(other, 0, 0);
}

/** The pictures in the content of a job: one, or a ZIP file of several, which the server stores uncompressed. */
export async function picturesOf(content) {
  if (content.type !== "application/zip") return [content];
  const view = new DataView(await content.arrayBuffer());
  const found = [];
  for (let at = 0; view.getUint32(at, true) === 0x04034b50; ) {
    const start = at + 30 + view.getUint16(at + 26, true) + view.getUint16(at + 28, true);
    at = start + view.getUint32(at + 18, true);
    found.push(content.slice(start, at));
  }
  return found;
}

/** The canvas as a PNG file. */
export const toBlob = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));

/** The canvas as the base64 of a PNG file. */
export const toBase64 = (canvas) => canvas.toDataURL("image/png").split(",")[1];

/** A PNG file from its base64. */
export function fromBase64(text) {
  return new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], { type: "image/png" });
}

/** A copy whose pixels are in random order. */
export function shuffled(canvas) {
  return changed(canvas, (data) => {
    const pixels = new Uint32Array(data.buffer);
    for (let i = pixels.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [pixels[i], pixels[j]] = [pixels[j], pixels[i]];
    }
  });
}

/** Noise of the same size; grey where the picture is grey. */
export function noise(canvas) {
  return changed(canvas, (data) => {
    const grey = isGrey(data);
    for (let i = 0; i < data.length; i += 4) {
      const value = Math.floor(256 * Math.random());
      for (let c = 0; c < 3; c++) data[i + c] = grey ? value : Math.floor(256 * Math.random());
    }
  });
}

function isGrey(data) {
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  }
  return true;
}

function changed(canvas, change) {
  const { width, height } = canvas;
  const image = canvas.getContext("2d").getImageData(0, 0, width, height);
  change(image.data);
  const copy = h("canvas", { width, height, class: "picture" });
  copy.getContext("2d").putImageData(image, 0, 0);
  return copy;
}
