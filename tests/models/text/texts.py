"""Texts for the tests of the front-end."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

_ESCAPE = re.compile(r"\\(n|t|u[0-9a-f]{4})")
_SOUND = re.compile(r"([\w']+)\{([^}]*)\}")


class Example(NamedTuple):
    section: str
    written: str
    spoken: str
    sounds: list[tuple[str, str]]


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(match[1]) or chr(int(match[1][1:], 16))


def _plain(word: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(char))


def examples(language: str = "en") -> list[Example]:
    file = "everyday.txt" if language == "en" else f"everyday_{language}.txt"
    as_token = _plain if language == "en" else str.lower
    found, section, written = [], "", ""
    for line in Path(__file__).with_name(file).read_text("utf-8").splitlines():
        if line.startswith("=== "):
            section = line.removeprefix("=== ")
        elif line.startswith("  "):
            sounds = [(as_token(word), phones) for word, phones in _SOUND.findall(written)]
            found.append(Example(section, _ESCAPE.sub(_unescape, _SOUND.sub(r"\1", written)), line.strip(), sounds))
        elif line:
            written = line
    return found


EXAMPLES = examples()


POOLS = [
    [chr(i) for i in range(0x20, 0x7F)],
    [chr(i) for i in range(0x250)],
    [chr(i) for i in range(0x2000, 0x2C00)],
    [chr(i) for i in range(0x1F000, 0x1FB00)],
    [chr(i) for i in range(0x300, 0x1100)],
    list("0123456789.,-/:$%^eE+ xX'\"#@&\n"),
    ["Dr.", "St. ", "U.S. ", "A", "I ", "the ", "$5", "1/2", "10:30", " 5 pm", "etc. ", "e.g. ", "\u200d", "\ufe0f",
     "♀", "№", "km", " IV", "…", "www.", "@", "http://", ".com", "'s", "n't", "µ", "²", "\x01"],
    ["l'", "L'A", "c'", "h", "-t-", "14h", "1er", " XXe ", " XIL'", "12,5 ", "-6 °C", "3 €/kg", "les ", "vingt ", "œ",
     "ç", "Sr. ", "1.º ", "São ", "ñ", "ão", "gli", "zz", "SNCF", "qu", "ent ", "10.30", "à", "é", "1 234"],
]  # fmt: skip
