// The passages of a text, each a request, played as one sound while they are sampled.

import { Samples, Stream } from "./ancestral.js";
import { server } from "./api.js";

/** Attempts of a passage that finds no room. */
const PATIENCE = 60;
/** Attempts to go on where the connection broke: six seconds. */
const RESUMES = 7;
/** Silence between passages, in seconds. */
const PAUSE = 0.5;
/** The longest that sound waits for the times of its words. */
const WORDS_MS = 250;
/** The error of a text in which there is nothing to say. */
const UNREAD = "unsupported_text";

/**
 * Sends the requests `{path, json}` of passages, one after the other, and feeds a SoundPanel with what comes. Resolves
 * with all bytes. `words` says whether there are any, `wanted()` whether they are still wanted; `onbegin()` is called when
 * the first request has been accepted, `onjob(job, headers)` for each passage with its job `{id, at}`, `at` being its
 * start in seconds, `onpiece()` for each piece, and `onunread(text)` for a later passage that cannot be read.
 */
export async function playPassages(panel, requests, { signal, words, wanted, onbegin, onjob, onpiece, onunread }) {
  const { player, rate } = panel;
  const bytes = [];
  const feed = (piece, samples) => {
    bytes.push(piece);
    panel.feed(samples.take(piece));
    onpiece();
  };
  const device = player.open();
  let begun = false;
  for (const { path, json } of requests) {
    // A passage of a text that has begun waits for its turn, where there is a limit.
    const stream = new Stream(server, path, json, { signal, attempts: begun ? PATIENCE : 1, resumes: RESUMES });
    let headers;
    try {
      headers = await stream.open();
    } catch (error) {
      if (!begun || error.code !== UNREAD) throw error;
      onunread(json.input);
      continue;
    }
    const first = !begun;
    begun = true;
    if (first) {
      await device;
      signal.throwIfAborted();
      onbegin();
    } else {
      feed(new Uint8Array(2 * PAUSE * rate), new Samples());
    }
    const job = { id: headers.get("x-job-id"), at: panel.scope.total / rate };
    onjob(job, headers);
    const known = words && panel.words.load(job.id, wanted, job.at);
    if (first) {
      // The first words are to be lit in time, too; but the sound does not wait long for them.
      if (known) await Promise.race([known, new Promise((resolve) => setTimeout(resolve, WORDS_MS))]);
      player.play();
    }
    const samples = new Samples();
    for await (const piece of stream) feed(piece, samples);
  }
  panel.end();
  return bytes;
}
