"""Texts for the tests of the front-end, and sentences as text, for comparisons: ``sil _DH AX0 _K AE1 T .``"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from ancestral_models.text import Sentence
from ancestral_models.text.phonemes import PLAIN, Control

_ESCAPE = re.compile(r"\\(\\|-|n|t|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_SOUND = re.compile(r"([\w'\u0900-\u097f]+)\{([^}]*)\}")


class Example(NamedTuple):
    section: str
    written: str
    spoken: str
    sounds: list[tuple[str, str]]
    known_wrong: bool


def _unescape(match: re.Match[str]) -> str:
    plain = {"\\": "\\", "-": "", "n": "\n", "t": "\t"}
    return plain[match[1]] if match[1] in plain else chr(int(match[1][1:], 16))


def _plain(word: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", word.lower()) if not unicodedata.combining(char))


def read_examples(file: str) -> list[Example]:
    """The texts of a file, beside this one or anywhere, and what is expected of them: see test_readings.py."""
    as_token = str.lower if "_" in file else _plain
    found, section, written = [], "", ""
    for line in (Path(__file__).parent / file).read_text("utf-8").splitlines():
        if line.startswith("=== "):
            section = line.removeprefix("=== ")
        elif line.startswith("  "):
            expected = line.strip().removeprefix("≠ ")
            sounds = _SOUND.findall(written) if file.startswith("everyday") else []
            text = _SOUND.sub(r"\1", written) if sounds else written
            said = [(as_token(word), phones) for word, phones in sounds]
            text, spoken = (_ESCAPE.sub(_unescape, part) for part in (text, expected))
            found.append(Example(section, text, spoken, said, "≠ " in line[:4]))
        elif line:
            written = line
    return found


def examples(language: str = "en") -> list[Example]:
    return read_examples("everyday.txt" if language == "en" else f"everyday_{language}.txt")


EXAMPLES = examples()


def sequence(sentence: Sentence) -> str:
    """The phonemes; ``_`` begins a word, and a control follows: ``,:1.5`` (seconds), ``_K*0.8^2.0@-4.0~`` (whisper)."""
    controls = sentence.controls or (PLAIN,) * len(sentence.phones)
    triples = zip(sentence.phones, sentence.word_starts, controls, strict=True)
    return " ".join(f"{'_' if starts else ''}{phone}{_shown(control)}" for phone, starts, control in triples)


def _shown(control: Control) -> str:
    seconds = "" if control.seconds is None else f":{control.seconds:.3f}"
    named = {"*": (control.rate, 1.0), "^": (control.semitones, 0.0), "@": (control.decibels, 0.0)}
    changed = [f"{sign}{value}" for sign, (value, plain) in named.items() if value != plain]
    return seconds + "".join(changed) + "~" * control.whispered


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
