"""How a server reads a book: the voice that it has, and the parts that become its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.mix import VoiceMix
from ancestral.catalog.models import SpeechModel
from ancestral.models.text import Pronunciations
from ancestral.models.text.script import Cast
from ancestral.service.books.output import open_book
from ancestral.service.books.parts import BookError, Part, distinct, notes_of, parts_of
from ancestral.service.books.speaker import Reading, default_voice
from ancestral.service.books.text import Book
from ancestral.speech.utterance import cast_of

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


def plan_book(
    catalog: Catalog,
    path: Path,
    *,
    form: str,
    model: str | None,
    voice: str | None,
    voices: Mapping[str, str],
    pronunciations: Pronunciations,
    speed: float,
    seed: int,
    max_characters: int,
) -> Plan:
    """Plan a book, as ``ancestral read`` does. Takes seconds for a long one.

    Args:
        catalog: of the models.
        path: of the file.
        form: that it is to become.
        model: an id or an alias; the first one that has the voice if None.
        voice: an id, an alias or a mix; the model's first one that speaks the book's language if None.
        voices: names of the text for voices.
        pronunciations: words that are read otherwise, beside those of the catalog.
        speed: above 1 is faster.
        seed: of the book.
        max_characters: of its text.

    Raises:
        BookError: the file cannot be read, is refused, or has nothing to speak.
        AncestralError: there is no such model or voice, or the model does not speak.
    """
    book = open_book(path, form, MAX_TEXT_BYTES)
    characters = sum(len(paragraph.text) for chapter in book.chapters for paragraph in chapter.paragraphs)
    if characters > max_characters:
        raise BookError(f"{characters} characters; this server reads books of up to {max_characters}")
    reading = Reading(voice, book.language, speed, voices)
    found, mix = _model_and_voice(catalog, model, reading)
    find = partial(catalog.voice, found)

    @cache
    def cast(language: str | None) -> Cast:
        return cast_of(find, mix, language or mix.language, voices)

    cast(None)  # names are checked before the text is
    made_from = reading.made_from(found.entry.id, found.sha256, mix.id)
    parts, unspoken = parts_of(book, catalog.pronunciations | pronunciations, seed, made_from, cast)
    return Plan(book, found, mix, parts, notes_of(book, unspoken), made_from)


def _model_and_voice(catalog: Catalog, model: str | None, reading: Reading) -> tuple[SpeechModel, VoiceMix]:
    if reading.voice is not None:
        return catalog.model_and_voice(model, reading.voice)
    speaking = (found for found in catalog.speech_models if "speech" in found.capabilities)
    found = next(speaking, None) if model is None else catalog.speech_model(model, "speech")
    if found is None:
        raise BookError("no model of this server speaks")
    return found, catalog.voice(found, default_voice(found.entry.voices, reading.language))
