// The waveform and the mel spectrogram of a sound, drawn while it arrives.

import { MelSpectrogram } from "./sound.js";

const WAVE_SHARE = 0.42;
/** Seconds of sound that one point of the waveform, and one column of the spectrogram, stands for. */
const POINT = 0.01;

export class Scope {
  constructor(canvas, rate) {
    this.canvas = canvas;
    this.rate = rate;
    this.mel = new MelSpectrogram(rate);
    this.pixels = document.createElement("canvas");
    this.pixels.height = this.mel.bands;
    this.left = new AbortController();
    this.reset();
    // The browser keeps what listens to it, so this has to end with the view.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(), { signal: this.left.signal });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  reset() {
    this.peaks = [];
    this.columns = [];
    this.pending = new Int16Array(0);
    this.total = 0;
    this.position = 0;
    this.expected = 0;
    this.draw();
  }

  /** More samples. */
  add(samples) {
    const { hop, size } = this.mel;
    const all = new Int16Array(this.pending.length + samples.length);
    all.set(this.pending);
    all.set(samples, this.pending.length);
    let start = 0;
    for (; start + size <= all.length; start += hop) this.addPoint(all, start, hop);
    this.pending = all.slice(start);
    this.total += samples.length;
  }

  /** No more samples will come. */
  end() {
    const { hop } = this.mel;
    for (let start = 0; start < this.pending.length; start += hop) this.addPoint(this.pending, start, hop);
    this.pending = new Int16Array(0);
    this.expected = 0;
    this.draw();
  }

  addPoint(samples, start, hop) {
    let peak = 0;
    for (let i = start; i < Math.min(start + hop, samples.length); i++) peak = Math.max(peak, Math.abs(samples[i]));
    this.peaks.push(peak / 32768);
    this.columns.push(this.mel.column(samples, start));
  }

  /** Samples over the whole width: those that have come, or as many as are expected. */
  get span() {
    return Math.max(this.total, this.expected, this.rate);
  }

  /** The sample at a share (0 … 1) of the width. */
  at(share) {
    return share * this.span;
  }

  draw() {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const style = getComputedStyle(canvas);
    const paint = canvas.getContext("2d");
    const wave = Math.round(height * WAVE_SHARE);
    paint.clearRect(0, 0, width, height);
    this.drawSpectrogram(paint, style, width, wave, height - wave);
    this.drawWave(paint, style, width, wave, scale);
  }

  drawWave(paint, style, width, height, scale) {
    const played = (this.position / this.span) * width;
    const perPixel = this.span / (POINT * this.rate) / width;
    const step = Math.max(1, Math.round(2 * scale));
    const bar = Math.max(1, Math.round(1.25 * scale));
    for (let x = 0; x < width; x += step) {
      const from = Math.floor(x * perPixel);
      if (from >= this.peaks.length) break;
      let peak = 0;
      for (let i = from; i < Math.max(from + 1, Math.floor((x + step) * perPixel)); i++)
        peak = Math.max(peak, this.peaks[i] ?? 0);
      const high = Math.max(scale, Math.sqrt(peak) * (height - 4 * scale));
      paint.fillStyle = style.getPropertyValue(x < played ? "--accent" : "--wave");
      paint.fillRect(x, (height - high) / 2, bar, high);
    }
    if (this.position > 0 && this.position < this.span) {
      paint.fillStyle = style.getPropertyValue("--ink");
      paint.fillRect(Math.round(played), 0, Math.max(1, Math.round(1.5 * scale)), paint.canvas.height);
    }
  }

  drawSpectrogram(paint, style, width, top, height) {
    const count = this.columns.length;
    const shown = Math.min(width, Math.round((count * POINT * this.rate * width) / this.span));
    if (shown < 1) return;
    const colours = ["--heat0", "--heat1", "--heat2", "--heat3"].map((name) => rgb(style.getPropertyValue(name)));
    const drawn = `${shown} ${count} ${colours}`;
    if (drawn !== this.drawn) this.paintColumns(shown, colours);
    this.drawn = drawn;
    paint.imageSmoothingEnabled = true;
    paint.drawImage(this.pixels, 0, top, shown, height);
  }

  /** Paints the spectrogram, `shown` pixels wide, into `this.pixels`. */
  paintColumns(shown, colours) {
    const { bands } = this.mel;
    const count = this.columns.length;
    const image = new ImageData(shown, bands);
    for (let x = 0; x < shown; x++) {
      const column = this.columns[Math.min(count - 1, Math.floor((x * count) / shown))];
      for (let band = 0; band < bands; band++) {
        const value = column[band] * (colours.length - 1);
        const low = Math.min(colours.length - 2, Math.floor(value));
        const share = value - low;
        const at = 4 * ((bands - 1 - band) * shown + x);
        for (let c = 0; c < 3; c++) image.data[at + c] = colours[low][c] * (1 - share) + colours[low + 1][c] * share;
        image.data[at + 3] = 255;
      }
    }
    this.pixels.width = shown;
    this.pixels.getContext("2d").putImageData(image, 0, 0);
  }
}

/** `#rrggbb` as three numbers. */
function rgb(text) {
  const value = parseInt(text.trim().slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
