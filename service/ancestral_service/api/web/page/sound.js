// Samples: to WAV files, to bytes and back, and to mel spectrograms.

/** A mono 16-bit WAV file. */
export function wav(samples, rate) {
  const bytes = new Uint8Array(44 + 2 * samples.length);
  const view = new DataView(bytes.buffer);
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  [1, 1].forEach((value, i) => view.setUint16(20 + 2 * i, value, true));
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  for (let i = 0; i < samples.length; i++) view.setInt16(44 + 2 * i, samples[i], true);
  return bytes;
}

/** The fast Fourier transform, in place; the length is a power of two. */
export function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const angle = (-2 * Math.PI) / size;
    for (let k = 0; k < size / 2; k++) {
      const c = Math.cos(angle * k);
      const s = Math.sin(angle * k);
      for (let i = k; i < n; i += size) {
        const j = i + size / 2;
        const x = re[j] * c - im[j] * s;
        const y = re[j] * s + im[j] * c;
        re[j] = re[i] - x;
        im[j] = im[i] - y;
        re[i] += x;
        im[i] += y;
      }
    }
  }
}

const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
const hertz = (value) => 700 * (10 ** (value / 2595) - 1);
const FLOOR_DB = -75;

/** Computes columns of a mel spectrogram: one per 10 ms, `bands` values from 0 (silent) to 1. */
export class MelSpectrogram {
  constructor(rate, bands = 64, size = 512, top = 8000) {
    Object.assign(this, { rate, bands, size, hop: Math.round(rate / 100) });
    this.window = Float32Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
    const high = mel(Math.min(top, rate / 2));
    this.edges = Array.from({ length: bands + 2 }, (_, i) => (hertz((high * i) / (bands + 1)) * size) / rate);
  }

  column(samples, start) {
    const { size, edges, window } = this;
    const re = new Float64Array(size);
    const im = new Float64Array(size);
    for (let i = 0; i < size; i++) re[i] = ((samples[start + i] ?? 0) / 32768) * window[i];
    fft(re, im);
    const out = new Float32Array(this.bands);
    for (let band = 0; band < this.bands; band++) {
      const [left, centre, right] = edges.slice(band, band + 3);
      let sum = 0;
      let weights = 0;
      for (let bin = Math.floor(left); bin <= Math.ceil(right); bin++) {
        const weight = Math.max(
          1e-3,
          bin <= centre ? (bin - left) / (centre - left || 1) : (right - bin) / (right - centre || 1),
        );
        sum += weight * (re[bin] ** 2 + im[bin] ** 2);
        weights += weight;
      }
      const power = (16 * sum) / weights / size ** 2;
      out[band] = Math.min(1, Math.max(0, 1 - (10 * Math.log10(power + 1e-12)) / FLOOR_DB));
    }
    return out;
  }
}
