"""The fenced examples of a Markdown file, run as a reader runs them: in one shell, from top to bottom.

A ``bash`` or ``python`` block is an example, and so are indented lines, but for what installs something or serves. A
``json`` or ``text`` block after it is what the example prints.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$|(?<=\n\n)((?: {4}[^\n]+\n)+)", re.MULTILINE | re.DOTALL)
_SETUP: Final = re.compile(r"git clone .*|make .*|\S*pip install -e '\S+'( && )?")
_EXACT: Final = frozenset({"code", "param", "object", "title", "message", "detail"})
"""Strings that must be as shown; "…" stands for anything."""
_ADDRESS: Final = "localhost:8000"


@dataclass(frozen=True)
class Example:
    """One example, and what the document says that it prints."""

    line: int
    language: str
    code: str
    shown: str


def examples_of(path: Path, *, indented: bool = False) -> list[Example]:
    """The examples of a document, in its order; those that are ``indented``, too."""
    text, found = path.read_text(), []
    for match in _BLOCK.finditer(text):
        language, code, lines = match.groups()
        if lines is not None:
            language, code = "bash", "".join(_SETUP.sub("", line) for line in dedent(lines).splitlines(True))
            if not indented or not code.strip():
                continue
        if language in ("bash", "python"):
            found.append(Example(text[: match.start()].count("\n") + 1, language, code, ""))
        elif language in ("json", "text"):
            last = found.pop()
            assert not last.shown, f"{path.name}:{last.line}: two outputs"
            found.append(Example(last.line, last.language, last.code, code))
    return found


def run_examples(examples: list[Example], directory: Path, address: str) -> list[str]:
    """Run all examples in one shell. Returns what each has printed.

    Args:
        examples: to run.
        directory: an empty one, which they may fill.
        address: of the server, as ``HOST:PORT``; the document says localhost:8000.
    """
    assert shutil.which("curl") is not None, "the examples need curl; install it (Debian: apt-get install curl)"
    (directory / ".curlrc").write_text("fail-with-body\nshow-error\n")  # so that the status decides, not only curl
    script = ["set -euo pipefail"]
    for number, example in enumerate(examples):
        code = example.code.replace(_ADDRESS, address)
        if example.language == "python":
            (directory / f"example_{number}.py").write_text(code)
            code = f"{sys.executable} example_{number}.py\n"
        home = "/nonexistent" if shows_error(example) or "curl -f" in code else directory
        script += [f"export CURL_HOME={home}", "{", code.rstrip("\n"), f"}} >{number}.out 2>{number}.err"]
    (directory / "examples.sh").write_text("\n".join(script) + "\n")
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(["bash", "examples.sh"], cwd=directory, env=environment, timeout=900, check=False)
    outputs = sorted(directory.glob("*.out"), key=lambda file: int(file.stem))
    last = examples[len(outputs) - 1]
    said = outputs[-1].read_text() + outputs[-1].with_suffix(".err").read_text()
    assert done.returncode == 0, f"the example in line {last.line} fails: {said}"
    return [output.read_text() for output in outputs]


def shows_error(example: Example) -> bool:
    """Whether the document says that the server refuses this."""
    shown = json.loads(example.shown) if example.shown.startswith("{") else {}
    return isinstance(shown.get("error"), dict) or "detail" in shown


def differences(shown: str, printed: str) -> list[str]:
    """Where an output differs from what the document shows: in names of fields, types of values, or exact words."""
    if shown.startswith("{"):
        return list(_compare(json.loads(shown), json.loads(printed), ""))
    found = {event.get("type"): event for event in _events(printed)}
    differing: list[str] = []
    for event in _events(shown):
        kind = event.get("type")
        real = found.get(kind)
        differing += [f"no {kind}"] if real is None else _compare(event, real, f"{kind}")
    return differing


def _events(text: str) -> list[dict[str, Any]]:
    """The data of server-sent events."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def _compare(shown: Any, real: Any, path: str) -> Iterator[str]:
    if isinstance(shown, dict) and isinstance(real, dict):
        for name in sorted(set(shown) ^ set(real)):
            yield f"{path}.{name}: only {'shown' if name in shown else 'real'}"
        for name in set(shown) & set(real):
            yield from _compare(shown[name], real[name], f"{path}.{name}")
    elif isinstance(shown, list) and isinstance(real, list):
        if shown and real:
            yield from _compare(shown[0], real[0], f"{path}[0]")
    elif isinstance(shown, str) and path.rpartition(".")[2] in _EXACT:
        if not isinstance(real, str) or not fnmatchcase(real, re.sub(r"([\[?*])", r"[\1]", shown).replace("…", "*")):
            yield f"{path}: {shown!r} is shown, {real!r} is real"
    elif shown is not None and real is not None and _kind(shown) != _kind(real):
        yield f"{path}: {shown!r} is shown, {real!r} is real"


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
