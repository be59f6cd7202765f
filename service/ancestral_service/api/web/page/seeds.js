// Seeds: numbers up to 2^63 - 1, which are strings of digits on this page, and in JSON from 2^53.

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
