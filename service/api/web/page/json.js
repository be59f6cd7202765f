// JSON with whole numbers beyond 2^53: seeds go up to 2^63 - 1. They are strings of digits on this page.

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Parses JSON; whole numbers of 16 digits or more become strings. */
export function parse(text) {
  return JSON.parse(text.replace(TOKEN, (token) => (/^-?\d{16,}$/.test(token) ? `"${token}"` : token)));
}

const MARK = "\u0001";

/** Writes JSON; values of the field `seed` that are strings of digits become numbers. */
export function write(value, space) {
  const marked = JSON.stringify(
    value,
    (key, part) => (key === "seed" && /^\d+$/.test(part) ? `${MARK}${part}` : part),
    space,
  );
  return marked.replace(/"\\u0001(\d+)"/g, "$1");
}

const GOLDEN = 0x9e3779b97f4a7c15n;
const EXACT = 1n << 53n;

/** The seed that the server gives picture (or sentence) number `index` of a request with this seed. */
export function partSeed(seed, index) {
  return index ? String((BigInt(seed) + BigInt(index) * GOLDEN) % EXACT) : String(seed);
}

/** A random seed, short enough to read aloud. */
export function newSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000);
}
