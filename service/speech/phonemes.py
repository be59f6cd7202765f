"""What the front-end makes of a text, as ``GET /v1/audio/phonemize`` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import ConfigDict, Field

from ancestral.models.text import InputFormat, Rest, Sentence, Word
from ancestral.service.jobs.schemas import Described
from ancestral.service.speech.schemas import MAX_INPUT_CHARACTERS, LanguageTag


class PhonemizeQuery(Described):
    """The query parameters of ``GET /v1/audio/phonemize``."""

    text: str | None = Field(None, min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """As `input` of `/v1/audio/speech`."""
    input: str | None = Field(None, min_length=1, max_length=MAX_INPUT_CHARACTERS)
    """The same as `text`."""
    input_format: InputFormat = "text"
    """`ssml`: the text is an SSML document."""
    language: LanguageTag | None = None
    """Of the text, a tag of BCP 47; by default the voice's, without a voice `en`."""
    voice: str | None = None
    """A voice or a mix, in whose language and with whose sounds the text is read; by default one of `language`."""


class PhonemizedWord(Described):
    """A word as it is read."""

    type: Literal["word"] = "word"
    text: str
    """As it is read; numbers and abbreviations are written out."""
    phonemes: str
    """Separated by spaces; in English ARPAbet. `[[…]]` around them gives the sounds."""
    rate: float
    """How many times as fast as the rest of the text."""
    pitch: float
    """Semitones by which it is higher."""


class PhonemizedPause(Described):
    """A pause."""

    type: Literal["pause"] = "pause"
    mark: str
    """`,`, `.`, `?`, `!`; `sil` before the first word of a sentence."""
    seconds: float | None
    """Its length, if the text gives it; null if the model decides."""


class PhonemizedSentence(Described):
    """A sentence, which is sampled as a whole."""

    text: str
    """Its words and marks as they are read."""
    phonemes: str
    """All that the model reads, from `sil` on."""
    items: list[PhonemizedWord | PhonemizedPause]


class Phonemized(Described):
    """What the front-end makes of a text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "object": "phonemes",
                    "sentences": [
                        {
                            "text": "hello.",
                            "phonemes": "sil HH EH0 L OW1 .",
                            "items": [
                                {
                                    "type": "word",
                                    "text": "hello",
                                    "phonemes": "HH EH0 L OW1",
                                    "rate": 1.0,
                                    "pitch": 0.0,
                                },
                                {"type": "pause", "mark": ".", "seconds": None},
                            ],
                        }
                    ],
                    "skipped": [],
                }
            ]
        }
    )

    object: Literal["phonemes"] = "phonemes"
    sentences: list[PhonemizedSentence]
    skipped: list[str]
    """Words in other scripts, which are not said; each once."""


def phonemized(sentences: list[Sentence], skipped: Sequence[str]) -> Phonemized:
    return Phonemized(
        skipped=list(skipped),
        sentences=[
            PhonemizedSentence(text=sentence.text, phonemes=" ".join(sentence.phones), items=list(_items(sentence)))
            for sentence in sentences
        ],
    )


def _items(sentence: Sentence) -> Iterator[PhonemizedWord | PhonemizedPause]:
    for item in sentence.items:
        if isinstance(item, Word):
            rate, pitch = item.control.rate, item.control.semitones
            yield PhonemizedWord(text=item.text, phonemes=" ".join(item.phones), rate=rate, pitch=pitch)
        elif isinstance(item, Rest):
            yield PhonemizedPause(mark=item.mark, seconds=item.seconds)
        else:
            yield PhonemizedPause(mark=item, seconds=None)
