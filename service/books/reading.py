"""How a book is read: what its sound depends on, who speaks it (this process, or a server), its plan on a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import SpeechModel
from ancestral.catalog.voices import VoiceMix
from ancestral.models.entries import Voice, speaks
from ancestral.models.text import Pronunciations
from ancestral.models.text.script import Cast
from ancestral.service.books.output import open_book
from ancestral.service.books.parts import BookError, Part, TimedSpan, distinct, notes_of, parts_of
from ancestral.service.books.xhtml import Book
from ancestral.speech.utterance import cast_of


@dataclass(frozen=True)
class Spoken:
    """A finished part."""

    part: Part
    flac: bytes
    words: Sequence[TimedSpan]
    engine: str
    """Name of the engine that sampled it."""


def default_voice(voices: Sequence[Voice], language: str | None) -> str:
    """The first voice that speaks a language, or the first of all."""
    return next((voice for voice in voices if speaks([voice], language)), voices[0]).id


@dataclass(frozen=True)
class Reading:
    """How a book is to be read."""

    voice: str | None
    """A voice of the model, by its id or an alias, or a mix; its first one that speaks the language if None."""
    language: str | None
    speed: float
    """Faster above 1."""
    voices: Mapping[str, str]
    """Names of the text for voices."""

    def made_from(self, model: str, model_sha256: str, voice: str) -> dict[str, Any]:
        """What the sound depends on besides the text and the seed; the file's tags say it, too.

        Args:
            model: its id.
            model_sha256: of its weights.
            voice: the canonical form of the one that reads.
        """
        found: dict[str, Any] = {"model": model, "model_sha256": model_sha256, "voice": voice, "speed": self.speed}
        return found | ({"voices": dict(self.voices)} if self.voices else {})


class Speaker(Protocol):
    """A voice of a model at a speed, and who else can speak. These, with text and seed, determine the sound."""

    model: str
    model_sha256: str
    voice: str
    sample_rate: int
    """Hertz."""

    def cast(self, language: str | None) -> Cast:
        """The speakers of a text whose language the voice speaks; None is the voice's own."""

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        """Speak parts, several at a time; they come in the order in which they are finished."""


MAX_TEXT_BYTES = 8 << 20
"""Most bytes of the documents in an EPUB, with their tags; a reader has sixteen bytes in memory for each character."""


@dataclass(frozen=True)
class Plan:
    """What is to be spoken, and by whom."""

    book: Book
    model: SpeechModel
    voice: VoiceMix
    parts: list[Part]
    notes: list[str]
    """Remarks on what is left out."""
    made_from: Mapping[str, Any]
    """All else that the sound depends on."""

    @property
    def requests(self) -> list[Part]:
        """The parts that become jobs."""
        return distinct(self.parts)


def plan_book(catalog: Catalog, path: Path, wanted: Mapping[str, Any], max_characters: int) -> Plan:
    """Plan a book, as ``ancestral read`` does. Takes seconds for a long one.

    Args:
        catalog: of the models.
        path: of the file.
        wanted: what it is to become: ``form``; ``model``, an id or an alias, the first one that has the voice if None;
            ``voice``, an id, an alias or a mix, the model's first one that speaks the book's language if None;
            ``voices``, names of the text for voices; ``pronunciations``, words that are read otherwise, beside those of
            the catalog; ``speed``, above 1 is faster; ``seed``, of the book; others are not looked at.
        max_characters: of its text.

    Raises:
        BookError: the file cannot be read, is refused, or has nothing to speak.
        AncestralError: there is no such model or voice, or the model does not speak.
    """
    book, voices = open_book(path, wanted["form"], MAX_TEXT_BYTES), wanted["voices"]
    characters = sum(len(paragraph.text) for chapter in book.chapters for paragraph in chapter.paragraphs)
    if characters > max_characters:
        raise BookError(f"{characters} characters; this server reads books of up to {max_characters}")
    reading = Reading(wanted["voice"], book.language, wanted["speed"], voices)
    found, mix = _model_and_voice(catalog, wanted["model"], reading)
    find = partial(catalog.voice, found)

    @cache
    def cast(language: str | None) -> Cast:
        return cast_of(find, mix, language or mix.language, voices)

    cast(None)  # names are checked before the text is
    made_from = reading.made_from(found.entry.id, found.sha256, mix.id)
    lexicon = catalog.pronunciations | Pronunciations(wanted["pronunciations"])
    parts, unspoken = parts_of(book, lexicon, wanted["seed"], made_from, cast)
    return Plan(book, found, mix, parts, notes_of(book, unspoken), made_from)


def _model_and_voice(catalog: Catalog, model: str | None, reading: Reading) -> tuple[SpeechModel, VoiceMix]:
    if reading.voice is not None:
        return catalog.model_and_voice(model, reading.voice)
    speaking = [found for found in catalog.speech_models if "speech" in found.capabilities]
    if not speaking:
        raise BookError("no model of this server speaks")
    if model is not None:
        found = catalog.speech_model(model, "speech")
    else:
        found = next((each for each in speaking if speaks(each.entry.voices, reading.language)), speaking[0])
    return found, catalog.voice(found, default_voice(found.entry.voices, reading.language))
