// Plays 16-bit samples as they arrive. All of them are kept, so that one can seek; what is missing is counted.

const FIRST_SECONDS = 0.15;
const AGAIN_SECONDS = 0.5;
const REPORT_BLOCKS = 6;

class SamplePlayer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.reset();
    this.commands = 0; // that have been heard of
    this.port.onmessage = ({ data }) => {
      this.commands = data.commands ?? this.commands;
      this[data.type](data);
    };
  }

  reset() {
    this.samples = new Int16Array(1 << 18);
    this.length = 0;
    this.position = 0;
    this.ended = false;
    this.playing = false;
    this.waiting = true; // for enough samples to start with
    this.enough = FIRST_SECONDS * sampleRate;
    this.underruns = 0;
    this.blocks = 0;
  }

  feed({ samples }) {
    if (this.length + samples.length > this.samples.length) {
      const larger = new Int16Array(2 * Math.max(this.samples.length, this.length + samples.length));
      larger.set(this.samples.subarray(0, this.length));
      this.samples = larger;
    }
    this.samples.set(samples, this.length);
    this.length += samples.length;
  }

  end() {
    this.ended = true;
  }

  play() {
    this.playing = true;
  }

  pause() {
    this.playing = false;
  }

  seek({ position }) {
    this.position = Math.max(0, Math.min(Math.round(position), this.length));
    this.waiting = true;
    this.report();
  }

  report() {
    const { position, length, playing, waiting, underruns, commands } = this;
    const time = currentTime; // at which `position` is next
    this.port.postMessage({ time, position, length, playing, waiting: playing && waiting, underruns, commands });
  }

  process(_, [[out]]) {
    if (this.blocks % REPORT_BLOCKS === 0) this.report();
    this.blocks += 1;
    if (this.playing) {
      const there = this.length - this.position;
      if (this.waiting && (this.ended || there >= this.enough)) this.waiting = false;
      if (!this.waiting) this.fill(out, Math.min(out.length, there));
    }
    return true;
  }

  fill(out, count) {
    for (let i = 0; i < count; i++) out[i] = this.samples[this.position + i] / 32768;
    this.position += count;
    if (count === out.length) return;
    if (this.ended) {
      this.playing = false;
    } else {
      this.underruns += 1;
      this.waiting = true;
      this.enough = AGAIN_SECONDS * sampleRate;
    }
    this.report();
  }
}

registerProcessor("sample-player", SamplePlayer);
