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

/** A file as a canvas of this size: its middle, scaled; transparent parts stay so. */
export async function fitted(file, width, height) {
  const bitmap = await createImageBitmap(file);
  const canvas = h("canvas", { width, height, class: "picture" });
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  paint.imageSmoothingEnabled = bitmap.width % width !== 0; // a multiple has squares for pixels: they stay exact
  paint.imageSmoothingQuality = "high";
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [w, t] = [bitmap.width * scale, bitmap.height * scale];
  paint.drawImage(bitmap, (width - w) / 2, (height - t) / 2, w, t);
  return canvas;
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
