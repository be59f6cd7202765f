// A request as curl, Python and JavaScript.

import { write } from "./ancestral.js";

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A JSON value as a Python literal. */
export function python(value, indent = 0) {
  const pad = " ".repeat(indent + 4);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map((part) => python(part, indent + 4)).join(", ")}]`;
  if (typeof value === "object") {
    const lines = Object.entries(value).map(([name, part]) => {
      const literal = name === "seed" && /^\d+$/.test(part) ? String(part) : python(part, indent + 4);
      return `${pad}${JSON.stringify(name)}: ${literal},\n`;
    });
    return `{\n${lines.join("")}${" ".repeat(indent)}}`;
  }
  return JSON.stringify(value);
}

/**
 * A request in three languages.
 * `json` is its body, or `form` the fields of a form, where a value `@NAME` is a file. `output` is the file it is saved in.
 */
export function snippets(url, { json, form, output, needsKey }) {
  return {
    curl: curl(url, { json, form, output, needsKey }),
    Python: pythonOf(url, { json, form, output, needsKey }),
    JavaScript: javascript(url, { json, form, needsKey }),
  };
}

function curl(url, { json, form, output, needsKey }) {
  const lines = [`curl ${quote(url)}`];
  if (needsKey) lines.push('-H "Authorization: Bearer $ANCESTRAL_KEY"');
  if (json) lines.push("-H 'Content-Type: application/json'", `-d ${quote(write(json, 2))}`);
  for (const [name, value] of Object.entries(form ?? {})) lines.push(`-F ${quote(`${name}=${value}`)}`);
  if (output) lines.push(`-o ${quote(output)}`);
  return lines.join(" \\\n  ");
}

function pythonOf(url, { json, form, output, needsKey }) {
  const parts = [`    ${JSON.stringify(url)},\n`];
  if (json) parts.push(`    json=${python(json, 4)},\n`);
  if (form) {
    const files = Object.entries(form).filter(([, value]) => value.startsWith("@"));
    const fields = Object.fromEntries(Object.entries(form).filter(([, value]) => !value.startsWith("@")));
    const opened = files.map(([name, value]) => `${JSON.stringify(name)}: open(${JSON.stringify(value.slice(1))}, "rb")`);
    parts.push(`    files={${opened.join(", ")}},\n`);
    parts.push(`    data=${python(fields, 4)},\n`);
  }
  if (needsKey) parts.push(`    headers={"Authorization": f"Bearer {os.environ['ANCESTRAL_KEY']}"},\n`);
  const end = output ? `open(${JSON.stringify(output)}, "wb").write(response.content)` : "print(response.json())";
  const imports = needsKey ? "import os\n\nimport requests" : "import requests";
  return `${imports}\n\nresponse = requests.post(\n${parts.join("")})\nresponse.raise_for_status()\n${end}`;
}

function javascript(url, { json, form, needsKey }) {
  const headers = [json && '"Content-Type": "application/json"', needsKey && "Authorization: `Bearer ${key}`"].filter(
    Boolean,
  );
  const before = form
    ? `const body = new FormData();\n${Object.entries(form)
        .map(
          ([name, value]) =>
            `body.append(${JSON.stringify(name)}, ${value.startsWith("@") ? name : JSON.stringify(value)});\n`,
        )
        .join("")}`
    : "";
  const body = form ? "body" : `body: JSON.stringify(${write(json, 2).replaceAll("\n", "\n  ")})`;
  const lines = ['method: "POST"', headers.length && `headers: { ${headers.join(", ")} }`, body].filter(Boolean);
  return `${before}const response = await fetch(${JSON.stringify(url)}, {\n  ${lines.join(",\n  ")},\n});`;
}
