// WaveNet without Python: frames in, sound out. The bytes are those of the Python library for the same frames and seed.
//
// Addresses are byte offsets into the memory of the module; numbers of 64 bits are BigInts.

const PAGE = 65536;
const LINE = 64;
const STACK = 1 << 20;
const SAMPLES_A_CALL = 160; // a long call would never leave the engine's first compiler

/** An unsigned LEB128 number, and the place after it. */
function leb(bytes, at) {
  let [value, shift] = [0, 0];
  for (;;) {
    const byte = bytes[at++];
    value |= (byte & 127) << shift;
    if (byte < 128) return [value, at];
    shift += 7;
  }
}

/** The functions of models/ancestral_models/kernels, with a memory of their own. */
export class Kernels {
  /** @param source bytes of `ancestral.wasm`, or a `WebAssembly.Module` */
  static async load(source) {
    const module = source instanceof WebAssembly.Module ? source : await WebAssembly.compile(source);
    const kernels = new Kernels();
    const [section] = WebAssembly.Module.customSections(module, "dylink.0").map((buffer) => new Uint8Array(buffer));
    const [, begin] = leb(section, 1); // after the subsection's kind and size
    const [data] = leb(section, begin);
    kernels.memory = new WebAssembly.Memory({ initial: 64, maximum: PAGE });
    const base = 1024;
    kernels.top = base + data + STACK;
    const global = (value, mutable) => new WebAssembly.Global({ value: "i32", mutable }, value);
    const table = new WebAssembly.Table({ initial: 1, element: "anyfunc" });
    const env = { memory: kernels.memory, __indirect_function_table: table, __memory_base: global(base, false), __table_base: global(0, false), __stack_pointer: global(kernels.top, true) };
    const instance = await WebAssembly.instantiate(module, { env });
    kernels.call = instance.exports;
    kernels.call.__wasm_call_ctors?.();
    return kernels;
  }

  /** The address of so many bytes, which are zero when they are used first. */
  room(bytes) {
    const at = Math.ceil(this.top / LINE) * LINE;
    this.top = at + bytes;
    const missing = Math.ceil((this.top - this.memory.buffer.byteLength) / PAGE);
    if (missing > 0) this.memory.grow(missing);
    return at;
  }

  /** The address of a copy of a typed array. */
  place(array) {
    const at = this.room(array.byteLength);
    this.view(array.constructor, at, array.length).set(array);
    return at;
  }

  /** Numbers in the memory, until it grows. */
  view(Type, at, length) {
    return new Type(this.memory.buffer, at, length);
  }

  /** Runs a function, and forgets what it has placed. */
  scope(run) {
    const before = this.top;
    try {
      return run();
    } finally {
      this.top = before;
    }
  }

  /** `x [rows, inputs] @ weights [inputs, outputs]`, at an address. */
  product(x, rows, weights, inputs, outputs) {
    const sums = this.room(4 * rows * outputs);
    this.view(Float32Array, sums, rows * outputs).fill(0);
    this.call.float_products(x, BigInt(inputs), BigInt(rows), weights, BigInt(inputs), BigInt(outputs), sums);
    return sums;
  }
}

const TYPES = { "<i4": Int32Array, "<i8": BigInt64Array, "|i1": Int8Array, "<f4": Float32Array, "<f8": Float64Array };
const { fround } = Math;

/** The nearest whole number; of two the even one, as numpy rounds. */
function whole(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
}

/** A model, whose voices have a network each. */
export class WaveNet {
  /**
   * @param kernels from `Kernels.load`
   * @param description the parsed `model.json`
   * @param sound the bytes of `sound.bin`
   */
  constructor(kernels, description, sound) {
    Object.assign(this, description, { kernels, parts: {} });
    this.place("sound", sound);
  }

  /** Adds the network of a voice: the bytes of the file that `voices` names, with `.bin`. */
  add(voice, data) {
    this.place(this.voices[voice].network, data);
  }

  place(part, bytes) {
    const data = bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes;
    const [at, arrays] = [{}, {}];
    for (const [name, [type, begin, length]] of Object.entries(this.tensors[part])) {
      arrays[name] = new TYPES[type](data.buffer.slice(data.byteOffset + begin), 0, length);
      at[name] = this.kernels.place(arrays[name]);
    }
    this.parts[part] = { at, arrays };
  }

  /**
   * The sound of frames.
   *
   * @param voice the id of one of `voices`, whose network was added
   * @param frames Float32Array [F, channels], of 10 ms each
   * @param seed a number, or its digits
   * @param temperature of the samples
   * @param progress is told of the seconds that are sampled
   * @returns Int16Array, at `rate`
   */
  speak(voice, frames, { seed = 0, temperature = 1, progress = () => {} } = {}) {
    const own = this.voices[voice];
    if (!own) throw new RangeError(`voice: ${voice} is none of ${Object.keys(this.voices).join(", ")}`);
    if (!this.parts[own.network]) throw new RangeError(`voice: ${own.network}.bin was not added`);
    const count = frames.length / this.channels;
    if (!Number.isInteger(count) || !count) throw new RangeError(`frames: a multiple of ${this.channels} numbers, not ${frames.length}`);
    return this.kernels.scope(() => {
      const symbols = this.sample(own, frames, count, BigInt(seed), temperature, progress);
      const sound = this.filter(own, frames, count, symbols);
      const corrected = own.mel_correction ? this.correct(own, frames, count, sound) : sound;
      return Int16Array.from(corrected, (value) => Math.max(-32768, Math.min(32767, whole(fround(value * 32767)))));
    });
  }

  /** The gates' biases of every frame, at an address. */
  condition(own, frames, count) {
    const { kernels, layers, channels, width } = this;
    const { at, arrays } = this.parts[own.network];
    const rows = count + 2 * layers;
    const padded = new Float32Array(rows * channels);
    for (let row = 0; row < rows; row++) {
      const from = Math.max(0, Math.min(count - 1, row - layers)) * channels;
      padded.set(frames.subarray(from, from + channels), row * channels);
    }
    const first = kernels.product(kernels.place(padded), rows, at.frames_in, channels, width);
    let h = Float32Array.from(kernels.view(Float32Array, first, rows * width), (value, i) => fround(arrays.speakers[own.speaker * width + (i % width)] + value));
    for (let layer = 0; layer < layers; layer++) {
      const left = h.length / width - 2;
      const seen = new Float32Array(left * 3 * width);
      for (let row = 0; row < left; row++) seen.set(h.subarray(row * width, (row + 3) * width), row * 3 * width);
      const sums = kernels.product(kernels.place(seen), left, at.taps + layer * 12 * width * width, 3 * width, width);
      const x = kernels.view(Float32Array, sums, left * width).map((value, i) => value + arrays.taps_bias[layer * width + (i % width)]);
      const gates = kernels.place(x);
      kernels.call.sigmoids(gates, BigInt(x.length));
      const sigmoids = kernels.view(Float32Array, gates, x.length);
      h = Float32Array.from(x, (value, i) => fround(h[i + width] + fround(value * sigmoids[i])));
    }
    const z = kernels.product(kernels.place(h), count, at.matrix, width, this.gates);
    const biases = kernels.room(4 * count * this.gates);
    kernels.call.rounded_biases(z, at.bias, at.halves, BigInt(count), BigInt(this.gates), biases);
    return biases;
  }

  sample(own, frames, count, seed, temperature, progress) {
    const { kernels, hop, channels } = this;
    const { at } = this.parts[own.network];
    const biases = this.condition(own, frames, count);
    const inverses = Int32Array.from({ length: count }, (_, frame) => {
      const voicing = Math.min(1, Math.max(0, frames[(frame + 1) * channels - 1]));
      const heat = temperature * (own.unvoiced + (own.voiced - own.unvoiced) * voicing);
      return heat > 0 ? whole(Math.min(2 ** 30, Math.max(1, 4096 / Math.max(heat, 1e-9)))) : 0;
    });
    const [length, part] = [count * hop, kernels.room(SAMPLES_A_CALL)];
    const [heats, ring] = [kernels.place(inverses), kernels.place(new Int8Array(this.ring))];
    const [marks, least] = [kernels.place(new BigInt64Array([0n, 128n, seed])), kernels.place(new Int32Array([own.least]))];
    const symbols = new Uint8Array(length);
    for (let start = 0; start < length; start += SAMPLES_A_CALL) {
      const size = Math.min(SAMPLES_A_CALL, length - start);
      const frame = Math.floor(start / hop); // the kernel counts frames from the first sample's
      kernels.call.wavenet(at.sizes, at.weights, 1n, ring, marks, biases + 4 * frame * this.gates, heats + 4 * frame, least, BigInt(count - frame), BigInt(hop), part, 0, BigInt(size), 0n);
      symbols.set(kernels.view(Uint8Array, part, size), start);
      progress((start + size) / this.rate);
    }
    return symbols;
  }

  /** Symbols of an excitation to sound: the filter of linear prediction. */
  filter(own, frames, count, symbols) {
    const { kernels, channels, bands, renewals, order } = this;
    const { at, arrays } = this.parts.sound;
    const logs = new Float64Array(count * bands).map((_, i) => (frames[Math.floor(i / bands) * channels + (i % bands)] * this.mel_scale + arrays.log_offsets[i % bands]) / renewals);
    const shelf = arrays.shelf.map((value) => (own.low_shelf_db / renewals) * value);
    const voicing = new Float64Array(count).map((_, frame) => Math.min(1, Math.max(0, frames[(frame + 1) * channels - 1])));
    const [rows, bins] = [count * renewals, arrays.shelf.length];
    const lags = kernels.room(8 * rows * (order + 1));
    const scratch = kernels.room(8 * (2 + renewals) * bins);
    kernels.call.autocorrelate(kernels.place(logs), BigInt(count), BigInt(bands), at.below, at.shares, BigInt(bins), kernels.place(shelf), kernels.place(voicing), at.even, at.odd, at.last, scratch, lags);
    const [coefficients, energies] = [kernels.room(8 * rows * order), kernels.room(8 * rows)];
    kernels.call.levinson(lags, BigInt(rows), BigInt(order), kernels.room(16 * (order + 1)), coefficients, energies);
    const levels = kernels.place(kernels.view(Float64Array, energies, rows).map((energy) => Math.sqrt(Math.max(energy, this.least_energy)) / this.level));
    const excitation = kernels.place(Float64Array.from(symbols, (symbol) => arrays.centres[symbol]));
    const sound = kernels.place(new Float64Array(order + symbols.length));
    kernels.call.all_pole(excitation, BigInt(symbols.length), coefficients, levels, BigInt(this.hop / renewals), 0n, this.limit, sound);
    return Float32Array.from(kernels.view(Float64Array, sound + 8 * order, symbols.length));
  }

  /** Brings the bands of the sound towards those of the frames. */
  correct(own, frames, count, sound) {
    const { kernels, channels, bands, hop } = this;
    const { at, arrays } = this.parts.sound;
    const [window, half] = [arrays.window.length, arrays.cosines.length];
    const lead = window - hop / 2;
    const number = Math.ceil((sound.length + lead) / hop);
    const [raw, total] = [new Float32Array((number - 1) * hop + window), new Float32Array((number - 1) * hop + window)];
    raw.set(sound, lead);
    const wanted = new Float64Array(number * bands).map((_, i) => {
      const frame = Math.max(0, Math.min(count - 1, Math.floor(i / bands) - 2));
      return frames[frame * channels + (i % bands)] * this.mel_scale + this.mel_mean;
    });
    const strengths = new Float64Array(number).map((_, i) => (i >= 2 && i < count + 2 ? own.mel_correction : 0));
    const [from, to] = [kernels.place(raw), kernels.place(total)];
    const scratch = kernels.room(8 * (4 * half + 3 * arrays.below.length + bands));
    kernels.call.correct_frames(from, to, 0n, BigInt(hop), kernels.place(wanted), kernels.place(strengths), BigInt(number), BigInt(bands), this.gain_limit, this.floor, at.window, BigInt(window), at.bank, at.spans, BigInt(arrays.spans.length / 2), at.below, at.shares, at.cosines, at.sines, BigInt(half), scratch);
    return kernels.view(Float32Array, to + 4 * lead, sound.length).slice();
  }
}
