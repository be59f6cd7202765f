"""What jobs that make or score sound are to do; :mod:`ancestral.service.jobs.payload` says how payloads travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from ancestral.models.library import Sampling
from ancestral.models.text import InputFormat, Sentence
from ancestral.models.text.phonemes import PLAIN
from ancestral.service.jobs.payload import Payload, SampledPayload

PHONEMES_PER_SECOND = 13.0
"""Of running speech, at speed 1."""

Sentences = tuple[Annotated[Sentence, PlainValidator(Sentence.from_json), PlainSerializer(Sentence.as_json)], ...]
"""A text as its sentences, with the words and their phonemes."""

Entries = Annotated[
    tuple[tuple[str, str], ...],
    PlainValidator(lambda entries: tuple(entries.items())),
    PlainSerializer(dict),
]
"""Words and their phonemes. In JSON they are one object."""


@dataclass(frozen=True, kw_only=True)
class AudioPayload(SampledPayload):
    """Sound of one voice in one format."""

    voice: str
    response_format: str
    sample_rate: int | None
    """Of the encoded bytes, in hertz; None is the format's default."""
    sampling: Sampling
    """Of the voice."""
    deemphasis_state: float = 0.0
    """The last value of the recording that the first symbols continue; 0 after silence."""

    @property
    def input_tokens(self) -> int:
        """What the request is charged for its input."""
        return 0


@dataclass(frozen=True, kw_only=True)
class SpeechPayload(AudioPayload):
    """A text to speak. Each sentence is a stream of its own, with its own seed."""

    input: str
    """The text, for the manifest; workers read :attr:`sentences`."""
    plain_input: str | None
    """The text without directives and tags; None if it has none."""
    input_format: InputFormat
    pronunciations: Entries
    """The entries of lexicons that the text uses, those of the deployment too, so that a manifest says all."""
    speed: float
    pitch: float
    """Semitones by which F0 is higher than the model predicts."""
    intonation: float
    """Factor of the distance of log-F0 from its mean."""
    sentences: Sentences

    @property
    def input_tokens(self) -> int:
        """Phonemes of all sentences."""
        return sum(len(sentence.phones) for sentence in self.sentences)

    @property
    def seconds(self) -> float:
        """The approximate duration of the sound."""
        controls = [
            control for sentence in self.sentences for control in sentence.controls or (PLAIN,) * len(sentence.phones)
        ]
        pauses = sum(control.seconds for control in controls if control.seconds is not None)
        phonemes = sum(1.0 / control.rate for control in controls if control.seconds is None)
        return phonemes / PHONEMES_PER_SECOND / self.speed + pauses

    @property
    def written(self) -> str:
        """The text as captions show it, in which the spans of the words count."""
        return self.input if self.plain_input is None else self.plain_input


@dataclass(frozen=True, kw_only=True)
class GenerationPayload(AudioPayload):
    """Sound without text, from silence or from the end of the recording that is the job's upload."""

    duration: float
    """As requested, in seconds."""
    samples: int
    """The same in symbols."""


@dataclass(frozen=True, kw_only=True)
class SpeechLikelihoodPayload(Payload):
    """A recording to score. The job's upload holds its symbols or, for a model with linear prediction, 16-bit sound."""

    voice: str
    sentences: Sentences
    """What is said in it; empty for a model without text."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of all sentences, as they are read."""
        return tuple(word.text for sentence in self.sentences for word in sentence.words)
