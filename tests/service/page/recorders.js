// What tests keep of what the page does: each function starts to, or looks.

// When the times of words are known, and when each is lit: in milliseconds of the sound device, whose clock the words
// follow, and which a busy machine delays.
function recordWords() {
  window.soundAt = null;
  window.lit = [];
  window.known = null;
  const now = () => (window.device ? 1000 * window.device.currentTime : 0);
  const line = document.querySelector(".words");
  const known = () => {
    if (line.querySelector("span")) window.known ??= now();
  };
  known();
  new MutationObserver(known).observe(line, { childList: true });
  new MutationObserver(() => {
    const index = [...line.children].findIndex((word) => word.classList.contains("lit"));
    if (index >= 0 && index !== window.lit.at(-1)?.[0]) window.lit.push([index, now()]);
  }).observe(line, { subtree: true, attributes: true });
}

// Every shape that the mouth has.
function recordMouth() {
  const inside = document.querySelector(".mouth .inside");
  window.shapes = new Set([inside.getAttribute("d")]);
  new MutationObserver(() => window.shapes.add(inside.getAttribute("d"))).observe(inside, { attributes: true });
}

// What the player of a sheet with frames of 8 x 8 pixels shows.
function recordPlayer() {
  window.shown = [];
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...given) {
    draw.apply(this, given);
    if (!this.canvas.classList.contains("stage")) return;
    const copy = new OffscreenCanvas(8, 8).getContext("2d");
    copy.drawImage(this.canvas, 0, 0);
    window.shown.push(Array.from(copy.getImageData(0, 0, 8, 8).data));
  };
}

// The height, the width and the colours of canvases.
function colours(selector) {
  return Array.from(document.querySelectorAll(selector), (canvas) => {
    const { width, height } = canvas;
    return [height, width, Array.from(canvas.getContext("2d").getImageData(0, 0, width, height).data)];
  });
}

// What stands beyond the edge of the window, or is wider than its own box.
function cut() {
  const scrolls = (one) => /auto|scroll/.test(getComputedStyle(one).overflowX);
  const hidden = (one) => one.closest(".hidden, .skip, [hidden]") || !one.getClientRects().length;
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    if (hidden(one)) continue;
    let above = one.parentElement;
    while (above && !scrolls(above)) above = above.parentElement;
    const beyond = !above && one.getBoundingClientRect().right > innerWidth + 0.5;
    const narrow = one.matches("button, label, a, h1, h2, dd, legend") && one.scrollWidth > one.clientWidth + 1;
    if (beyond || (narrow && one.clientWidth)) found.push(one.outerHTML.slice(0, 90));
  }
  return found;
}

// What the sound device gets: `capture` is called by first_sound.js. Its module needs a visit without the page's policy,
// which lets no such script in.
function captureSound() {
  const processor = `registerProcessor("capture", class extends AudioWorkletProcessor {
    process([[input]]) {
      if (input) this.port.postMessage(input.slice());
      return true;
    }
  })`;
  window.heard = [];
  window.capture = async (source, connect) => {
    const module = new Blob([processor], { type: "text/javascript" });
    await source.context.audioWorklet.addModule(URL.createObjectURL(module));
    const node = new AudioWorkletNode(source.context, "capture", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => window.heard.push(data);
    connect.call(source, node);
  };
}

// Presses the button that cancels as soon as a picture grows.
function cancelWhenItGrows() {
  const observer = new MutationObserver(() => {
    if (!document.querySelector(".growing")) return;
    observer.disconnect();
    document.querySelector("button.primary").click();
  });
  observer.observe(document.querySelector(".gallery"), { childList: true });
}

// The addresses of files that are kept for them.
function recordAddresses() {
  window.addresses = new Set();
  const { createObjectURL, revokeObjectURL } = URL;
  URL.createObjectURL = (file) => {
    const made = createObjectURL(file);
    window.addresses.add(made);
    return made;
  };
  URL.revokeObjectURL = (made) => {
    window.addresses.delete(made);
    revokeObjectURL(made);
  };
}

// Opens a view, and waits for its heading.
async function show(view) {
  const shown = () => document.querySelector("main h1")?.textContent.toLowerCase() === view;
  location.hash = view;
  for (let tries = 0; tries < 6000 && !shown(); tries++) await new Promise((done) => setTimeout(done, 10));
}

// The sounds of previews.
function recordPreviews() {
  window.previews = [];
  window.Audio = class extends Audio {
    constructor(address) {
      super(address);
      window.previews.push(this);
    }
  };
}

Object.assign(window, { cancelWhenItGrows, recordAddresses, recordPreviews, recordWords, recordMouth, recordPlayer, show, colours, cut });
