"""The script of the synthetic voices: in English, example sentences of WordNet (Debian's wordnet-base), of varied
length, and remarks between them; in other languages sentences of our own (sentences_es.txt and its siblings), then
those of Debian's manual pages and fortunes."""

from __future__ import annotations

import gzip
import random
import re
from pathlib import Path
from typing import Final

from ancestral.training.corpora.remarks import remark

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


def wordnet_sentences(directory: Path | None = None) -> list[str]:
    """All example sentences of 5 to 14 plain words in WordNet's files, in one fixed shuffled order.

    Raises:
        FileNotFoundError: WordNet is not installed; the message says how to get it.
    """
    files = [(directory or WORDNET) / f"data.{part}" for part in ("noun", "verb", "adj", "adv")]
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
        remark_every: one line in so many is a remark instead (remarks.py); 0 is for a voice that reads figures in its
            own way.
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
        language: `es`, `fr`, `it` or `pt`.
        offset: of its first sentence in either list, which begins again at its end.
        count: of its own lines.
        held_out: how many of our sentences, at the head of the list, are held out.

    Raises:
        FileNotFoundError: Debian's texts are needed and not installed; the message says how to get them.
    """
    sentences = Path(__file__).with_name(f"sentences_{language}.txt").read_text("utf-8").splitlines()
    own = sentences[held_out:]
    texts = [own[(offset + i) % len(own)] for i in range(min(count, len(own)))]
    if missing := count - len(texts):
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
