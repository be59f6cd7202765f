// A sound that is played while it arrives.

import { ApiError } from "./ancestral.js";

/** Sound of 16-bit samples. Dispatches `change` when position, length or state have changed. */
export class Player extends EventTarget {
  constructor(rate) {
    super();
    this.rate = rate;
    this.commands = 0;
    this.clear();
  }

  clear() {
    Object.assign(this, { position: 0, length: 0, playing: false, waiting: false, underruns: 0, ended: false });
    this.parts = [];
  }

  /** Opens the sound device; throws ApiError if it cannot. To be called from a click: browsers allow sound only then. */
  async open() {
    if (!this.context) {
      this.context = new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
      this.ready = this.context.audioWorklet ? this.connect() : Promise.resolve();
    }
    this.context.resume();
    await this.ready;
  }

  async connect() {
    try {
      await this.context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    } catch {
      this.context.close(); // it would fail for as long as the context lives
      this.context = null;
      throw new ApiError("worklet.js cannot be loaded: the server does not answer.");
    }
    this.node = new AudioWorkletNode(this.context, "sample-player", { numberOfInputs: 0, outputChannelCount: [1] });
    this.node.connect(this.context.destination);
    this.node.port.onmessage = ({ data }) => {
      if (data.commands !== this.commands) return; // sent before the last command was heard of
      Object.assign(this, data);
      this.dispatchEvent(new Event("change"));
    };
  }

  /** Whether this browser can play a sound that is still arriving: only at https or localhost. */
  get streams() {
    return Boolean(this.node);
  }

  send(message) {
    this.node?.port.postMessage(message);
  }

  command(message) {
    this.commands += 1;
    this.send({ ...message, commands: this.commands });
  }

  reset() {
    this.clear();
    this.source?.stop();
    this.source = null;
    this.command({ type: "reset" });
  }

  feed(samples) {
    this.parts.push(samples);
    if (!this.node) this.length += samples.length;
    this.send({ type: "feed", samples });
  }

  end() {
    this.ended = true;
    this.send({ type: "end" });
    if (this.context && !this.node) this.play();
  }

  play() {
    this.context?.resume();
    this.time = this.now;
    if (this.node) {
      if (this.ended && this.position >= this.length) this.seek(0);
      this.command({ type: "play" });
    } else if (this.ended) {
      this.playWhole();
    }
    this.playing = true;
    this.dispatchEvent(new Event("change"));
  }

  pause() {
    this.playing = false;
    this.source?.stop();
    this.command({ type: "pause" });
    this.dispatchEvent(new Event("change"));
  }

  seek(position) {
    this.position = position;
    this.time = this.now;
    this.command({ type: "seek", position });
    if (this.source && this.playing) this.playWhole();
    this.dispatchEvent(new Event("change"));
  }

  /** Seconds on the clock of the device. */
  get now() {
    return this.context?.currentTime ?? 0;
  }

  /**
   * What is heard now, in samples: further than the last report by the time since, however late a busy page sees it; and
   * the device plays a little later than it is given.
   */
  get heard() {
    if (!this.playing) return this.position;
    const since = this.waiting ? 0 : this.now - this.time;
    const delay = this.context?.outputLatency || 0;
    return Math.min(this.length, Math.max(0, this.position + (since - delay) * this.rate));
  }

  /** Without a worklet: the complete sound, from the position. */
  playWhole() {
    this.source?.stop();
    const all = this.samples();
    const buffer = this.context.createBuffer(1, Math.max(1, all.length), this.rate);
    buffer.copyToChannel(
      Float32Array.from(all, (sample) => sample / 32768),
      0,
    );
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.context.destination);
    const from = this.position >= all.length ? 0 : this.position;
    const start = this.now;
    source.start(0, from / this.rate);
    this.source = source;
    const follow = () => {
      if (this.source !== source || !this.playing) return;
      this.time = this.now;
      this.position = Math.min(all.length, from + (this.time - start) * this.rate);
      if (this.position >= all.length) this.playing = false;
      this.dispatchEvent(new Event("change"));
      requestAnimationFrame(follow);
    };
    requestAnimationFrame(follow);
  }

  /** Everything that has arrived. */
  samples() {
    const all = new Int16Array(this.parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
