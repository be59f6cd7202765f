// What the page remembers: the share link in the address, the history in localStorage.

/** A storage of the browser, or where it denies that to the page, one that lasts as long as the page. */
export function storageOf(name) {
  try {
    return globalThis[name];
  } catch {
    const kept = new Map();
    return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  }
}

const local = storageOf("localStorage");
const HISTORY = "ancestral.history";
const MOST = 40;

/** `#view?name=value…` of an address. */
export function readLink(hash) {
  const [view, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  return { view, values: Object.fromEntries(new URLSearchParams(query)) };
}

/** The part of an address that holds these values; empty ones are left out. */
export function writeLink(view, values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `#${view}?${text}` : `#${view}`;
}

/** Earlier requests of a view, newest first. */
export function recall(view, storage = local) {
  try {
    return JSON.parse(storage.getItem(HISTORY) ?? "[]").filter((entry) => entry.view === view);
  } catch {
    return []; // written by something else
  }
}

/** Adds a request to the history; the same one again moves to the front. */
export function remember(view, values, storage = local) {
  let entries = [];
  try {
    entries = JSON.parse(storage.getItem(HISTORY) ?? "[]");
  } catch {
    /* written by something else: replaced */
  }
  const link = writeLink(view, { ...values, sha: "" });
  const others = entries.filter((entry) => writeLink(entry.view, { ...entry.values, sha: "" }) !== link);
  const kept = [{ view, values, at: Date.now() }, ...others].slice(0, MOST);
  try {
    storage.setItem(HISTORY, JSON.stringify(kept));
  } catch {
    /* no room, or private browsing: the history is a convenience */
  }
}

/** Forgets the history of a view. */
export function forget(view, storage = local) {
  const entries = JSON.parse(storage.getItem(HISTORY) ?? "[]");
  storage.setItem(HISTORY, JSON.stringify(entries.filter((entry) => entry.view !== view)));
}
