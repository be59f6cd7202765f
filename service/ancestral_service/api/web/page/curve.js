// Lines over the time of a sound: its waveform, and the bits of its samples.

const WIDTH = 600;
const HEIGHT = 100;
const BARS = 200;

/** The loudest sample of each of so many equal parts. */
export function peaks(samples, parts) {
  return Array.from({ length: parts }, (_, part) => {
    const [from, to] = [part, part + 1].map((edge) => Math.floor((edge * samples.length) / parts));
    return samples.subarray(from, to).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  });
}

/** The waveform of samples from -1 to 1. */
export function waveform(samples, name) {
  const bars = peaks(samples, BARS).map((peak, i) => {
    const high = Math.max(0.5, (Math.sqrt(peak) * HEIGHT) / 2);
    const x = ((i + 0.5) * WIDTH) / BARS;
    return `M${x} ${(HEIGHT / 2 - high).toFixed(1)}V${(HEIGHT / 2 + high).toFixed(1)}`;
  });
  return drawing("path", "d", bars.join(""), "curve wave", `The waveform of ${name.toLowerCase()}`);
}

/** The bits of each 10 ms as a line; the scale goes to `top`. */
export function curve(values, top) {
  const most = Math.max(...values, 1);
  const points = values.map((value, i) => {
    const x = (WIDTH * i) / Math.max(1, values.length - 1);
    return `${x.toFixed(1)},${(98 - (94 * value) / top).toFixed(1)}`;
  });
  return drawing("polyline", "points", points.join(" "), "curve", `Bits over time: at most ${Math.round(most)} in 10 ms`);
}

function drawing(tag, attribute, value, className, label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS(svg.namespaceURI, tag);
  line.setAttribute(attribute, value);
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", className);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  svg.append(line);
  return svg;
}
