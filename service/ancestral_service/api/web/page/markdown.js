// The little Markdown of model cards: headings, tables, lists, paragraphs, code and emphasis. Never HTML.

import { h } from "./dom.js";

const INLINE = /(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s][^*]*\*|!?\[[^\]]*\]\([^)]*\))/;

/** The spans of one line. Links and pictures become their text: a card's files are not served. */
export function spans(text) {
  return text
    .split(INLINE)
    .filter(Boolean)
    .map((part) => {
      if (part.startsWith("`")) return { code: part.slice(1, -1) };
      if (part.startsWith("**")) return { strong: part.slice(2, -2) };
      if (part.startsWith("![")) return { text: "" };
      if (part.startsWith("[")) return { text: part.slice(1, part.indexOf("]")) };
      if (part.startsWith("*") && part.length > 2) return { em: part.slice(1, -1) };
      return { text: part };
    });
}

/** The blocks of a text: `{heading, level}`, `{table: rows}`, `{items, ordered}`, `{code}`, `{paragraph}`. */
export function blocks(text) {
  const found = [];
  let last = null;
  const push = (block) => found.push((last = block));
  let fence = null;
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) {
      fence = fence ? null : push({ code: "" }) && last;
      if (!fence) last = null;
    } else if (fence) {
      fence.code += `${line}\n`;
    } else if (!line.trim()) {
      last = null;
    } else if (/^#+ /.test(line)) {
      push({ heading: line.replace(/^#+ /, ""), level: line.indexOf(" ") });
      last = null;
    } else if (line.startsWith("|")) {
      const cells = line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim());
      if (last?.table) last.table.push(cells);
      else push({ table: [cells] });
    } else if (/^([-*]|\d+\.) /.test(line)) {
      const item = line.replace(/^\S+ /, "");
      if (last?.items) last.items.push(item);
      else push({ items: [item], ordered: /^\d/.test(line) });
    } else if (last?.items) {
      last.items[last.items.length - 1] += ` ${line.trim()}`;
    } else if (last?.paragraph) {
      last.paragraph += ` ${line.trim()}`;
    } else {
      push({ paragraph: line.trim() });
    }
  }
  return found;
}

const inline = (text) =>
  spans(text).map(({ code, strong, em, text: plain }) => {
    if (code) return h("code", {}, code);
    if (strong) return h("strong", {}, strong);
    return em ? h("em", {}, em) : plain;
  });

/** The elements of a card. Its headings start two levels down: the page and the model have theirs. */
export function markdown(text) {
  return blocks(text).map((block) => {
    if (block.heading) return h(`h${Math.min(6, block.level + 2)}`, {}, inline(block.heading));
    if (block.table) return table(block.table);
    if (block.items)
      return h(
        block.ordered ? "ol" : "ul",
        {},
        block.items.map((item) => h("li", {}, inline(item))),
      );
    if (block.code !== undefined)
      return h("pre", { tabindex: "0", role: "region", "aria-label": "Code" }, h("code", {}, block.code));
    return h("p", {}, inline(block.paragraph));
  });
}

function table([head, , ...rows]) {
  const cells = (row, tag) =>
    h(
      "tr",
      {},
      row.map((cell) => h(tag, {}, inline(cell))),
    );
  const named = head.some(Boolean);
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    h(
      "table",
      {},
      named && h("thead", {}, cells(head, "th")),
      h(
        "tbody",
        {},
        rows.map((row) => cells(row, "td")),
      ),
    ),
  );
}
