"""The parts of a book, a paragraph each (a long one is several), and the folder that keeps those that are finished.

A part depends on nothing but the speaker, its own words and the book's seed. So whoever reads the book again after an
interruption, or after a correction, samples only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from ancestral.books.xhtml import Book, Paragraph
from ancestral.catalog.seeds import digest_seed
from ancestral.speech.sentences import lead_after, pieces_of, with_lead
from ancestral.speech.utterance import spoken
from ancestral_models.text import Pronunciations, Script, UnsupportedText, parse_text
from ancestral_models.text.characters import NothingToSpeak
from ancestral_models.text.frontend import skipped
from ancestral_models.text.languages.language import primary
from ancestral_models.text.script import TAG, Cast, Speaker

PARAGRAPH_SECONDS: Final = 0.5
HEADING_SECONDS: Final = 1.0
BREAK_SECONDS: Final = 1.5
"""Silence in place of a paragraph that has only marks, such as ``* * *``."""
CHAPTER_SECONDS: Final = 2.0
_MOST_PROBLEMS: Final = 10
"""Most problems of a text in one message."""
_ENGINE: Final = "engine"
_OURS: Final = re.compile(r"engine|[0-9a-f]{32}\.(flac|json)|document-\d+\.m4a|(engine|[0-9a-f]{32})\.\d+\.tmp")
TimedSpan = tuple[int, int, int, int]
"""A word: where it is in :attr:`Script.written` of its part, and when it is said, in samples; firsts and ends."""


class BookError(Exception):
    """A book that cannot be read; the message names the place."""


@dataclass(frozen=True)
class Part:
    """Text that is spoken as one request."""

    chapter: int
    """The number of its chapter, from 0."""
    text: str
    sentences: int
    pronunciations: Mapping[str, str]
    """The entries of the lexicon that it uses."""
    seed: int
    name: str
    """Name of its file: a digest of all that its sound depends on."""
    paragraph: Paragraph
    begin: int
    """Place in its paragraph."""
    lead: str
    """What of the text comes before that: who speaks, and how."""
    language: str | None
    """Language of the text; None is the voice's own."""
    script: Script
    """The script of the text."""
    speaker: Speaker
    """The speaker of all that nobody else is named for."""
    pause: float = 0.0
    """Seconds of silence after it."""


def distinct(parts: Sequence[Part]) -> list[Part]:
    """The parts that are different: what occurs twice sounds the same."""
    found: dict[str, Part] = {}
    for part in parts:
        found.setdefault(part.name, part)
    return list(found.values())


def notes_of(book: Book, unspoken: Sequence[str]) -> list[str]:
    """What of a book is left out, and what of it :func:`parts_of` could not speak."""
    return [*_first(list(book.notes)), *(f"not read: {place}" for place in unspoken)]


def parts_of(
    book: Book, lexicon: Pronunciations, seed: int, speaker: Mapping[str, Any], cast_in: Callable[[str | None], Cast]
) -> tuple[list[Part], list[str]]:
    """Everything that is to be spoken, in order; and the places of what is not said: words in other scripts, and of an
    EPUB, what cannot be spoken.

    Args:
        book: to read.
        lexicon: words that are read otherwise.
        seed: of the book. That of a part is a digest of it and of the part's text.
        speaker: what else the sound depends on: model, voice, speed.
        cast_in: who can speak in it, if what the default voice says is in a language; None is the voice's own. A
            heading is the default voice's, and so is what follows it.

    Raises:
        BookError: there is nothing to speak, or text of a file that can be corrected cannot be spoken; the
            message has the lines of the first places.
    """
    found: list[Part] = []
    problems: list[str] = []
    left_out: list[str] = []
    lead = ""
    for number, chapter in enumerate(book.chapters):
        before = len(found)
        for paragraph in chapter.paragraphs:
            lead = "" if paragraph.heading else lead
            language = paragraph.language or book.language
            if language is not None and primary(language) == primary(cast_in(None).default.language):
                language = None
            cast = cast_in(language)
            pieces = list(pieces_of(paragraph.text, cast, lead))
            # A tag ends with its paragraph: in a printed play, it is about one line.
            lead = TAG.sub("", lead_after(lead, f"{paragraph.text}\n", cast))
            made: list[Part | None] = []
            for piece in pieces:
                try:
                    made.append(_part(number, paragraph, *piece, lexicon, seed, speaker, cast, language))
                except UnsupportedText as error:
                    problems.append(f"{paragraph.place}: {error}")
            if words := [word for part in made if part is not None for word in skipped(part.script, part.text)]:
                left_out.append(f"{paragraph.place}: {', '.join(dict.fromkeys(words))}")
            found += [part for part in made if part is not None]
            if made and len(found) > before:
                spoke = any(part is not None for part in made)
                pause = BREAK_SECONDS if not spoke else HEADING_SECONDS if paragraph.heading else PARAGRAPH_SECONDS
                found[-1] = replace(found[-1], pause=pause)
        if len(found) > before:
            found[-1] = replace(found[-1], pause=CHAPTER_SECONDS)
    if problems and not (found and found[0].paragraph.document):
        raise BookError("\n".join(_first(problems)))
    if not found:
        raise BookError("there is nothing to speak in it")
    return found, _first([*problems, *left_out])


def _first(problems: list[str]) -> list[str]:
    more = len(problems) - _MOST_PROBLEMS
    return [*problems[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]


def _part(
    chapter: int,
    paragraph: Paragraph,
    lead: str,
    piece: str,
    begin: int,
    lexicon: Pronunciations,
    seed: int,
    speaker: Mapping[str, Any],
    cast: Cast,
    language: str | None,
) -> Part | None:
    """A part, with no pause after it; None if there is nothing to speak in it."""
    text = with_lead(lead, piece, cast)
    script = parse_text(text, "text", lexicon, cast=cast)
    try:
        sentences = sum(len(turn) for _, turn in spoken(script, cast.default))
    except NothingToSpeak:
        return None
    part_seed = digest_seed(seed, text)
    pronunciations = lexicon.only(script.entries)
    made_from = {**speaker, "text": text, "pronunciations": pronunciations, "seed": part_seed}
    if language is not None:
        made_from["language"] = language
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    name = f"{digest[:32]}.flac"
    who = text[: len(text) - len(piece)]
    return Part(
        chapter, text, sentences, pronunciations, part_seed, name, paragraph, begin, who, language, script, cast.default
    )


class PartsFolder:
    """The finished parts, a FLAC and the times of its words each, and the name of the engine that sampled them.

    Args:
        path: of the folder, which is made if it does not exist.
        sample_rate: of the parts, in hertz.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        self.path = path
        self.sample_rate = sample_rate
        path.mkdir(parents=True, exist_ok=True)

    def has(self, part: Part) -> bool:
        path = self.path / part.name
        return path.exists() and path.with_suffix(".json").exists()

    def use(self, engine: str) -> None:
        """Note which engine samples.

        Raises:
            BookError: it is not the one that sampled the parts in the folder.
        """
        note = self.path / _ENGINE
        if not note.exists():
            _write(note, engine.encode())
        if (noted := note.read_text()) != engine:
            raise BookError(
                f"{self.path}: the engine {noted} sampled its parts, and this is {engine}; "
                "use the same engine, or delete the folder to begin again"
            )

    def store(self, part: Part, flac: bytes, words: Sequence[TimedSpan]) -> None:
        """Keep a part. After this it is finished, whatever happens to the process or the machine."""
        path = self.path / part.name
        _write(path.with_suffix(".json"), json.dumps(words).encode())
        _write(path, flac)

    def words(self, part: Part) -> list[TimedSpan]:
        """The words of a finished part.

        Raises:
            BookError: the file is damaged.
        """
        path = (self.path / part.name).with_suffix(".json")
        try:
            return [(int(a), int(b), int(start), int(end)) for a, b, start, end in json.loads(path.read_bytes())]
        except (OSError, ValueError, TypeError) as error:
            raise BookError(f"{path}: damaged; delete it and read again") from error

    def samples(self, part: Part) -> int:
        """How long a finished part is, in samples, without the pause after it.

        Raises:
            BookError: the file is damaged.
        """
        path = self.path / part.name
        try:
            info = soundfile.info(path)
        except soundfile.LibsndfileError as error:
            raise BookError(f"{path}: damaged; delete it and read again") from error
        assert info.samplerate == self.sample_rate
        return int(info.frames)

    def samples_with_pause(self, part: Part) -> int:
        """Samples of a finished part and of the pause after it; raises as :meth:`samples`."""
        return self.samples(part) + self._silence(part)

    def _silence(self, part: Part) -> int:
        return round(part.pause * self.sample_rate)

    def sound(self, part: Part) -> NDArray[np.int16]:
        """A finished part and the pause after it, ``[T]``."""
        samples, _ = soundfile.read(self.path / part.name, dtype="int16")
        return np.pad(np.asarray(samples, np.int16), (0, self._silence(part)))

    def remove(self) -> None:
        """Delete the parts, those of earlier versions of the text too, and the folder if nothing else is in it."""
        for path in self.path.iterdir():
            if _OURS.fullmatch(path.name):
                path.unlink()
        with suppress(OSError):
            self.path.rmdir()


def _write(path: Path, data: bytes) -> None:
    """Write a file that is whole as soon as it has its name."""
    unfinished = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
