// The sliders of a request for sound, beside its temperature.

import { slider } from "./controls.js";

/** How long sound without text is, and how text is spoken. */
export function soundSliders(values) {
  return {
    duration: slider("Seconds", "duration", {
      min: 1,
      max: 20,
      step: 0.5,
      value: values.duration ?? 4,
      format: (v) => `${v} s`,
    }),
    speed: slider("Speed", "speed", {
      min: 0.5,
      max: 2,
      step: 0.05,
      value: values.speed ?? 1,
      format: (v) => `${Number(v).toFixed(2)} ×`,
    }),
    pitch: slider("Pitch", "pitch", {
      min: -12,
      max: 12,
      step: 0.5,
      value: values.pitch ?? 0,
      format: (v) => `${v > 0 ? "+" : ""}${v} semitones`,
    }),
    intonation: slider("Intonation", "intonation", {
      min: 0,
      max: 2,
      step: 0.05,
      value: values.intonation ?? 1,
      format: (v) => `${Number(v).toFixed(2)} ×`,
    }),
  };
}
