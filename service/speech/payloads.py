"""What jobs that make or score sound are to do; :mod:`ancestral.service.jobs.payload` says how payloads travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from ancestral.catalog.models import SpeechModel
from ancestral.models.text import Sentence
from ancestral.service.jobs.payload import Payload, SampledPayload
from ancestral.speech.tags import recipe_of
from ancestral.speech.utterance import Generation, SoundRequest, Utterance

Sentences = tuple[Annotated[Sentence, PlainValidator(Sentence.from_json), PlainSerializer(Sentence.as_json)], ...]
"""A text as its sentences, with the words and their phonemes."""

SHORT_TEXT_PHONEMES = 600
"""About 45 s of speech, whose length is predicted in 50 ms."""

Entries = Annotated[
    tuple[tuple[str, str], ...], PlainValidator(lambda entries: tuple(entries.items())), PlainSerializer(dict)
]
"""Words and their phonemes, or names and their voices. In JSON they are one object."""


@dataclass(frozen=True, kw_only=True)
class AudioPayload(SampledPayload, SoundRequest):
    """Sound of one voice in one format."""

    response_format: str
    sample_rate: int | None
    """Rate of the encoded bytes, in hertz; None is the format's default."""
    deemphasis_state: float = 0.0
    """The last value of the recording that the first symbols continue; 0 after silence."""

    @property
    def input_tokens(self) -> int:
        """What the request is charged for its input."""
        return 0

    def recipe_of(self, model: SpeechModel, index: int) -> dict[str, Any]:
        return recipe_of(self, model)


@dataclass(frozen=True, kw_only=True)
class SpeechPayload(AudioPayload, Utterance):
    """A text to speak."""

    pronunciations: Entries
    sentences: Sentences
    voices: Entries = ()
    times_first: bool = False
    """Whether its client waits for the times of all sentences before it sends anything, as a session does."""

    @property
    def excerpt(self) -> str:
        return self.input

    @property
    def input_tokens(self) -> int:
        """Phonemes of all sentences."""
        return sum(len(sentence.phones) for sentence in self.sentences)

    @property
    def total_first(self) -> bool:
        """True of a short text; the first byte of a long one does not wait."""
        return self.input_tokens <= SHORT_TEXT_PHONEMES


@dataclass(frozen=True, kw_only=True)
class GenerationPayload(AudioPayload, Generation):
    """Sound without text, from silence or from the end of the recording that is the job's upload."""

    duration: float
    """Requested seconds."""


@dataclass(frozen=True, kw_only=True)
class SpeechLikelihoodPayload(Payload):
    """A recording to score. The job's upload holds its symbols or, for a model with linear prediction, 16-bit sound."""

    voice: str
    sentences: Sentences
    """What is said in it; empty for a model without text."""

    @property
    def excerpt(self) -> str | None:
        return " ".join(self.words) or None

    @property
    def words(self) -> tuple[str, ...]:
        """The words of all sentences, as they are read."""
        return tuple(word.text for sentence in self.sentences for word in sentence.words)
