// Long texts in passages, each of which is one request; captions of several passages as one file; the language of a text.

/** Characters of one request, counted as the server counts them. */
const MOST = 4096;
/** Who says what follows, and the most characters that this may have. */
const VOICES = /\[voice:[^\]\n]{1,190}\]/g;
const LEAD = 200;
/** Where a text may be cut: best after a sentence, or else after a word. */
const CUTS = [/^.*[.!?…।॥]["'”’)]*(?=\s)/s, /^.*\S(?=\s)/s];

/** What is said: a text without it is refused, so that it goes with the paragraph before it, or the next. */
const SAID = /[\p{L}\p{N}]/u;
const MARK = /\[[^\]\n]*\]/g;

/** Characters as the server counts them. */
export const lengthOf = (text) => [...text].length;

/** A text that one request can take is one passage; of a longer one every paragraph is, cut at the ends of sentences, and said by whom was named last. */
export function passagesOf(text) {
  if (lengthOf(text) <= MOST) return [text];
  const paragraphs = joinUnsaid(text.split(/\n\s*\n/).map((part) => part.trim()));
  let speaker = null;
  const most = text.search(VOICES) >= 0 ? MOST - LEAD : MOST;
  return paragraphs.flatMap((paragraph) => cut(paragraph, most)).map((part) => {
    const led = speaker && !part.startsWith("[voice:") ? `${speaker} ${part}` : part;
    speaker = part.match(VOICES)?.at(-1) ?? speaker;
    return led;
  });
}

/** Paragraphs, of which each has something to say unless none has. */
function joinUnsaid(paragraphs) {
  const said = (text) => SAID.test(text.replace(MARK, ""));
  const found = [];
  for (const paragraph of paragraphs.filter(Boolean)) {
    if (found.length && !(said(paragraph) && said(found.at(-1)))) found.push(`${found.pop()}\n\n${paragraph}`);
    else found.push(paragraph);
  }
  return found;
}

/** Frequent words that tell the languages apart. */
const FREQUENT = {
  en: "the and of to is was it you that with for are this have",
  es: "el los las y es una con por del pero está lo más como",
  fr: "le les des et est une dans du je pas vous il qui sur",
  hi: "है हैं के का की को से में और पर यह नहीं था थी मैं",
  it: "il lo gli di che è una per della sono non ho mi si",
  pt: "o os as e é uma não com do da em um você para",
};

/** The language of a text by its frequent words; null where two are as likely. */
export function languageOf(text) {
  const words = text.toLowerCase().match(/[\p{L}\p{M}]+/gu) ?? [];
  const counts = Object.entries(FREQUENT).map(([language, frequent]) => {
    const known = new Set(frequent.split(" "));
    return [words.filter((word) => known.has(word)).length, language];
  });
  const [[most, language], [next]] = counts.sort(([a], [b]) => b - a);
  return most > 1 && most > next ? language : null;
}

function cut(paragraph, most) {
  const parts = [];
  let rest = [...paragraph];
  while (rest.length > most) {
    const head = rest.slice(0, most).join("");
    const part = CUTS.map((cut) => cut.exec(head)?.[0]).find(Boolean) ?? head;
    parts.push(part);
    rest = rest.slice(lengthOf(part));
    while (rest[0]?.trim() === "") rest.shift();
  }
  return [...parts, rest.join("")];
}

const TIME = /(\d+):(\d\d):(\d\d)([.,])(\d{3})/g;

/** Captions (`vtt` or `srt`) of passages `{text, at}` as one file; `at` are the seconds before a passage. */
export function joinCaptions(passages, format) {
  const blocks = passages.flatMap(({ text, at }) => {
    const cues = text.replace("WEBVTT\n\n", "").split("\n\n");
    return cues.map((cue) =>
      cue.trim().replace(/^\d+\n/, "").replace(/^.* --> .*$/m, (line) => line.replace(TIME, (...time) => later(time, at))));
  });
  if (format === "vtt") return ["WEBVTT", ...blocks].join("\n\n") + "\n";
  return blocks.map((cue, index) => `${index + 1}\n${cue}\n`).join("\n");
}

function later([, hours, minutes, seconds, point, milliseconds], at) {
  const all = Math.round(1000 * at) + Number(milliseconds) + 1000 * (Number(seconds) + 60 * (Number(minutes) + 60 * hours));
  const part = (value, digits = 2) => String(value).padStart(digits, "0");
  const whole = Math.floor(all / 1000);
  return `${part(Math.floor(whole / 3600))}:${part(Math.floor(whole / 60) % 60)}:${part(whole % 60)}${point}${part(all % 1000, 3)}`;
}
