"""The script of the synthetic voices: in English, example sentences of WordNet (Debian's wordnet-base), of varied
length, and remarks between them; in other languages sentences of our own (sentences_es.txt and its siblings), then
those of Debian's manual pages and fortunes. And voices whose sound exists or is made elsewhere, to be aligned with its
text: Asterisk's prompts and flite."""

from __future__ import annotations

import gzip
import random
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral_training.corpora.packages import table

WORDNET = Path("/usr/share/wordnet")
HELD_OUT = 100
"""Sentences at the head of the list that every voice reads and that are held out."""

_ITALIAN: Final = ("adams", "computer", "formiche", "italia", "jackfr", "leggi", "luke", "norm", "zuse")
_DEBIAN: Final = {
    "es": ("fortunes-es manpages-es", ("games/fortunes/es/*", "man/es/man*/*.gz")),
    "fr": ("manpages-fr", ("man/fr/man*/*.gz",)),
    "it": ("fortunes-it manpages-it", (*(f"games/fortunes/{name}" for name in _ITALIAN), "man/it/man*/*.gz")),
    "pt": ("fortunes-br manpages-pt-br", ("games/fortunes/brasil", "man/pt_BR/man*/*.gz")),
}
"""Packages, and their files below /usr/share."""
_SENTENCE: Final = re.compile(r"(?:^|(?<=[.!?] ))([A-ZÀ-ÖØ-Þ¿¡][^.!?\0]{10,160}[.!?])(?= |$)")
_SPOKEN: Final = re.compile(r"[¿¡]?[A-ZÀ-ÖØ-Þ][^\W\d_]*(?:(?:[,;:]? |'|-)[^\W\d_]+)*[.!?]")
_FOREIGN: Final = re.compile(r"\b[A-ZÀ-Þ]{2,}\b|[kwKW]|[aeiouAEIOU]'(?:\W|$)|th|sh|oo|ee|ing\b")
"""Names in capitals, English, and accents that are written as apostrophes."""
_BREAK: Final = re.compile(r"\.(PP|TP|IP|SH|SS|P|LP|br|RE|RS|nf|fi|EE|EX|sp|HP)\b")
_ESCAPE: Final = re.compile(r"\\f[A-Z]|\\f\(..|\\f\[[^\]]*\]|\\&|\\/|\\,|\\c$", re.MULTILINE)

_EXAMPLE = re.compile(r'"([^"]+)"')
_PLAIN = re.compile(r"[A-Za-z' ,;\-]+")


def wordnet_sentences() -> list[str]:
    """All example sentences of 5 to 14 plain words in WordNet's files, in one fixed shuffled order.

    Raises:
        FileNotFoundError: WordNet is not installed; the message says how to get it.
    """
    files = [WORDNET / f"data.{part}" for part in ("noun", "verb", "adj", "adv")]
    if missing := [f for f in files if not f.exists()]:
        raise FileNotFoundError(f"{missing[0]} is missing: apt-get install wordnet-base")
    found: set[str] = set()
    for file in files:
        for line in file.read_text("latin1").splitlines():
            if not line.startswith("  ") and "|" in line:
                found.update(s.strip() for s in _EXAMPLE.findall(line.split("|", 1)[1]))
    plain = sorted(s for s in found if _PLAIN.fullmatch(s) and 5 <= len(s.split()) <= 14)
    random.Random(0).shuffle(plain)
    return [s[0].upper() + s[1:].rstrip(" ,;").replace(";", ",") + "." for s in plain]


def script(offset: int, count: int, remark_every: int = 0, held_out: int | None = None) -> list[tuple[str, str]]:
    """``(suffix, text)`` for one voice: the held-out sentences as ``s0000`` …, then its own ones as ``u0000`` ….

    Of its own, some become questions and exclamations, some are cut to two or three words and some joined to long
    ones, since people type all of these.

    Args:
        offset: of its first own sentence in the list.
        count: of its own lines.
        remark_every: one line in so many is a remark instead (:func:`remark`); 0 is for a voice that reads figures
            in its own way.
        held_out: how many of the held-out sentences it reads; None is all.
    """
    sentences = wordnet_sentences()
    own = sentences[HELD_OUT:]
    rng, chat = random.Random(offset), random.Random(offset + 1)
    lines = [(f"s{i:04d}", text) for i, text in enumerate(sentences[:HELD_OUT][:held_out])]
    for i in range(count):
        text, after = own[(offset + i) % len(own)], own[(offset + i + 1) % len(own)]
        draw = rng.random()
        if draw < 0.08:
            text = text[:-1] + "?"
        elif draw < 0.13:
            text = text[:-1] + "!"
        elif draw < 0.20:
            text = " ".join(text[:-1].split()[: rng.randint(1, 3)]).rstrip(",") + "."
        elif draw < 0.27:
            text = text[:-1] + ", " + after[0].lower() + after[1:]
        if remark_every and (i + 1) % remark_every == 0:
            text = remark(chat)
        lines.append((f"u{i:04d}", text))
    return lines


def own_script(language: str, offset: int, count: int, held_out: int) -> list[tuple[str, str]]:
    """``(suffix, text)`` for one voice of another language than English, as :func:`script` has them: first the
    sentences of our own, then Debian's.

    Args:
        language: `es`, `fr`, `hi`, `it` or `pt`.
        offset: of its first sentence in either list, which begins again at its end.
        count: of its own lines.
        held_out: how many of our sentences, at the head of the list, are held out.

    Raises:
        FileNotFoundError: Debian's texts are needed and not installed; the message says how to get them.
        ValueError: they are needed, and Debian has none.
    """
    sentences = Path(__file__).with_name(f"sentences_{language}.txt").read_text("utf-8").splitlines()
    own = sentences[held_out:]
    texts = [own[(offset + i) % len(own)] for i in range(min(count, len(own)))]
    if missing := count - len(texts):
        if language not in _DEBIAN:
            raise ValueError(f"count: there are {len(own)} sentences in this language ({language})")
        more = debian_sentences(language)
        texts += [more[(offset + i) % len(more)] for i in range(min(missing, len(more)))]
    lines = [(f"s{i:04d}", text) for i, text in enumerate(sentences[:held_out])]
    return lines + [(f"u{i:04d}", text) for i, text in enumerate(texts)]


def debian_sentences(language: str, root: Path = Path("/usr/share")) -> list[str]:
    """Whole sentences of 3 to 20 words without figures or commands in Debian's manual pages and fortunes, in one fixed
    shuffled order.

    Raises:
        FileNotFoundError: they are not installed.
    """
    packages, patterns = _DEBIAN[language]
    found_files = {file for pattern in patterns for file in root.glob(pattern) if file.is_file()}
    files = sorted(file for file in found_files if file.suffix not in (".dat", ".u8"))  # indices, second copies
    if not files:
        raise FileNotFoundError(f"{root / patterns[0]} is missing: apt-get install {packages}")
    found = set[str]()
    for file in files:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        for paragraph in _paragraphs(text) if file.suffix == ".gz" else re.split(r"(?m)^%.*$|\n\s*(?:--|—)", text):
            words = " ".join(paragraph.replace("’", "'").split())
            found.update(s for s in _SENTENCE.findall(words) if _SPOKEN.fullmatch(s) and 3 <= len(s.split()) <= 20)
    plain = sorted(s for s in found if not _FOREIGN.search(s))
    random.Random(0).shuffle(plain)
    return plain


def _paragraphs(page: str) -> list[str]:
    """The running text of a manual page in roff; a request that is no paragraph's stands as a NUL, so that no sentence
    goes across it."""
    lines = [("" if _BREAK.match(line) else "\0") if line[:1] in (".", "'") else line for line in page.splitlines()]
    text = "\n".join(lines)
    for escape, character in (("\\(aq", "'"), ("\\-", "-"), ("\\~", " ")):
        text = text.replace(escape, character)
    return re.split(r"\n\s*\n", _ESCAPE.sub("", text))


_TABLE: Final[Mapping[str, tuple[str, ...]]] = table("remarks")
_ASKED, _MONTHS, _DAYS, _THINGS = (_TABLE[name] for name in ("asked", "months", "days", "things"))


def remark(rng: random.Random) -> str:
    """A short answer, a question, a list, a date, a number or a quotation, as it would be written.

    WordNet's examples are whole statements of 5 to 14 words without a figure in them. A voice that has read nothing
    else mumbles "Okay.".
    """
    return rng.choice(_KINDS)(rng)


def _answer(rng: random.Random) -> str:
    end = rng.choice((".", ".", ".", "!"))
    return rng.choice(_TABLE["answers"]) + (", " + rng.choice(_TABLE["asides"]) if rng.random() < 0.4 else "") + end


def _question(rng: random.Random) -> str:
    return rng.choice(_TABLE["short"]) if rng.random() < 0.3 else rng.choice(_ASKED).format(rng.choice(_THINGS))


def _list(rng: random.Random) -> str:
    *first, last = rng.sample(_THINGS, rng.randint(3, 5))
    return f"{rng.choice(_TABLE['listed'])} {', '.join(first)}{rng.choice((',', ''))} and {last}."


def _date(rng: random.Random) -> str:
    day, month, year = rng.randint(1, 28), rng.choice(_MONTHS), rng.randint(1850, 2035)
    time = f"{rng.randint(1, 12)}:{rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50)):02d} {rng.choice(('a.m.', 'p.m.'))}"
    forms = (
        f"{month} {day}, {year}.", f"It was on {day} {month} {year}.", f"See you on {rng.choice(_DAYS)} at {time}",
        f"{rng.choice(_DAYS)}, {month} {day}.", f"The train leaves at {time}", f"Since {year}, or earlier.",
    )  # fmt: skip
    return rng.choice(forms)


def _number(rng: random.Random) -> str:
    small, large = rng.randint(0, 99), rng.randint(100, 99_999)
    forms = (
        f"{small}.", f"{large:,} people.", f"It costs ${small}.{rng.randint(10, 99)}.", f"About {small} percent.",
        f"Room {rng.randint(100, 999)}.", f"Call {rng.randint(200, 999)}-{rng.randint(1000, 9999)}.",
        f"{small}.{rng.randint(1, 9)} degrees today.", f"The answer is {large}.", f"Is it {small} or {small + 1}?",
        f"The {rng.randint(4, 20)}th floor, please.", f"{small} miles to go.",
    )  # fmt: skip
    return rng.choice(forms)


def _interjection(rng: random.Random) -> str:
    cry = rng.choice(_TABLE["interjections"])
    if rng.random() < 0.6:
        return f"{cry}, {rng.choice(_TABLE['reactions'])}{rng.choice('.!')}"
    return cry + rng.choice("!!.?")


def _quotation(rng: random.Random) -> str:
    said, by = rng.choice((_answer, _question, _interjection))(rng), rng.choice(_TABLE["speakers"])
    if rng.random() < 0.5:
        return f'{by[0].upper()}{by[1:]}: "{said}"' if not by.startswith("said") else f'"{said}" {by}.'
    return f'"{said[:-1] + "," if said.endswith(".") else said}" {by}.'


_KINDS: Sequence[Callable[[random.Random], str]] = (
    _answer, _answer, _question, _list, _date, _number, _interjection, _quotation
)  # fmt: skip
"""Each as often as the others, answers twice as often."""


Recording = tuple[str, str, NDArray[np.float32]]
"""Clip id, text, mono sound at 16 kHz."""

_SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
_PROMPTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")


def allison() -> Iterator[Recording]:
    """Allison Smith's prompts for Asterisk (Debian's asterisk-core-sounds-en-g722, CC-BY-SA-3.0).

    Every thirteenth prompt of three words or more is held out, up to 40.

    Raises:
        FileNotFoundError: the packages are not installed; the message says how to get them.
    """
    import av

    if not _SOUNDS.exists() or not _PROMPTS.exists():
        raise FileNotFoundError(f"{_SOUNDS}: apt-get install asterisk-core-sounds-en asterisk-core-sounds-en-g722")
    spoken = 0
    for line in gzip.decompress(_PROMPTS.read_bytes()).decode().splitlines():
        name, separator, text = line.partition(":")
        text = re.sub(r"\s+", " ", text).strip()
        file = _SOUNDS / f"{name.strip()}.g722"
        # Bracketed prompts describe a sound instead of spelling it out.
        if line.startswith(";") or not separator or re.search(r"[\[\](){}<>]", text) or not re.search(r"\w", text):
            continue
        if not file.exists():
            continue
        with av.open(str(file), format="g722") as container:
            pieces = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
        if len(text.split()) >= 3:
            spoken += 1
        test = len(text.split()) >= 3 and spoken % 13 == 0 and spoken // 13 <= 40
        suffix = f"s{spoken // 13 - 1:04d}" if test else name.strip().replace("/", "-").replace("_", "-")
        yield f"allison_{suffix}", text, np.concatenate(pieces).astype(np.float32) / 32768.0


def flite(voice: str, offset: int, count: int, scratch: Path) -> Iterator[Recording]:
    """One of flite's voices (Debian's flite, BSD-like) reading the script."""
    import soundfile

    scratch.mkdir(parents=True, exist_ok=True)
    file = scratch / f"{voice}.wav"
    for suffix, text in script(offset, count):
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(file)], check=True, capture_output=True)
        wave, rate = soundfile.read(file, dtype="float32")
        assert rate == 16000
        yield f"{voice}_{suffix}", text, wave
    file.unlink(missing_ok=True)
