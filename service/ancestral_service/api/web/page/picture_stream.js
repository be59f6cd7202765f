// Pictures over the websocket, row by row.

import { ApiError, errorOf, write } from "./ancestral.js";
import { BASE, key } from "./api.js";

const ENDS = ["image.done", "image.cancelled", "error"];
const cancelled = () => new DOMException("cancelled", "AbortError");

/**
 * Requests pictures. `onstart(start)` is called before the first row, `oncoarse(pixels, start)` with the coarse scale of
 * models that have one, `onrows(first, pixels, start)` with rows of all pictures: the first row of each, then the second …
 * Resolves with the message `image.done`; throws ApiError, or an AbortError if `signal` cancelled it.
 */
export function streamPictures(fields, { onstart, oncoarse, onrows, signal }) {
  const address = new URL("v1/images/stream", BASE);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  const message = { type: "image.generate", ...fields, coarse: true, ...(key.get() ? { api_key: key.get() } : {}) };
  let start = null;
  let coarse = new Uint8Array(0); // all of it, in however many frames it comes
  let received = 0;
  let rows = 0;
  return new Promise((resolve, reject) => {
    const end = (settle, value) => {
      settle(value);
      socket.close();
    };
    signal.addEventListener("abort", () => {
      if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"image.cancel"}');
      else end(reject, cancelled());
    });
    socket.onopen = () => socket.send(write(message));
    socket.onclose = () =>
      reject(new ApiError(start ? "The connection was lost before the end." : "The server does not answer."));
    socket.onmessage = ({ data }) => {
      if (signal.aborted) {
        if (typeof data === "string" && ENDS.includes(JSON.parse(data).type)) end(reject, cancelled());
        return; // what the server had sent before it heard of that
      }
      if (typeof data !== "string") {
        const bytes = new Uint8Array(data);
        if (received < coarse.length) {
          coarse.set(bytes, received);
          received += bytes.length;
          if (received === coarse.length) oncoarse(coarse, start);
          return;
        }
        onrows(rows, bytes, start);
        rows += bytes.length / (start.n * start.width * start.channels);
        return;
      }
      const event = JSON.parse(data);
      if (event.type === "image.start") {
        start = event;
        onstart(event);
      } else if (event.type === "image.coarse") {
        coarse = new Uint8Array(event.width * event.height * start.channels * start.n);
        start = { ...start, coarse: event };
      } else if (event.type === "image.done") {
        end(resolve, event);
      } else if (event.type === "image.cancelled") {
        end(reject, cancelled());
      } else if (event.type === "error") {
        const { code } = event.error;
        end(reject, errorOf(event, code === "invalid_api_key" ? 401 : event.error.retry_after ? 429 : 400));
      }
    };
  });
}

/** The rows of picture `index` among `pixels`: rows of `n` pictures side by side. */
export function rowsOf(pixels, index, n, rowBytes) {
  const rows = pixels.length / (n * rowBytes);
  const out = new Uint8Array(rows * rowBytes);
  for (let row = 0; row < rows; row++) {
    const from = (row * n + index) * rowBytes;
    out.set(pixels.subarray(from, from + rowBytes), row * rowBytes);
  }
  return out;
}
