"""Text to sentences of phonemes, and the checks of a request to speak it. Needs no weights."""

from __future__ import annotations

from dataclasses import dataclass

from models.library import Voice
from models.text import Sentence, UnsupportedText, phonemize
from service.catalog.catalog import Catalog
from service.catalog.models import SpeechModel
from service.errors import InvalidRequest

PHONEMES_PER_SECOND = 13.0
"""Of running speech, at speed 1."""


@dataclass(frozen=True)
class Utterance:
    """A request that has passed every check: what to say, by whom, from which seed."""

    model: SpeechModel
    voice: Voice
    sentences: tuple[Sentence, ...]
    seed: int
    temperature: float
    speed: float

    @property
    def phonemes(self) -> int:
        """In all sentences together."""
        return sum(len(sentence.phones) for sentence in self.sentences)

    @property
    def seconds(self) -> float:
        """About how long it will be."""
        return self.phonemes / PHONEMES_PER_SECOND / self.speed


def prepare(
    catalog: Catalog,
    model_id: str,
    voice_id: str,
    text: str,
    seed: int,
    *,
    temperature: float | None = None,
    speed: float = 1.0,
) -> Utterance:
    """Check a request and turn its text into phonemes: all that can be refused is refused here.

    Without a temperature, the model's own is taken.

    Raises:
        NotFound: no such model.
        InvalidRequest: a model that does not speak text, no such voice, or a text that cannot be spoken.
    """
    model = catalog.speech_model(model_id, "speech")
    voice = model.voice(voice_id)
    sentences = read_text(text, "input")
    chosen = model.entry.temperature if temperature is None else temperature
    return Utterance(model, voice, sentences, seed, chosen, speed)


def read_text(text: str, param: str) -> tuple[Sentence, ...]:
    """Sentences of phonemes.

    Raises:
        InvalidRequest: the text cannot be spoken; ``param`` is the field that it came in.
    """
    try:
        sentences = tuple(phonemize(text))
    except UnsupportedText as error:
        raise InvalidRequest(f"{param}: {error}", param=param, code="unsupported_text") from error
    if not sentences:
        raise InvalidRequest(f"{param}: there is nothing to say in it", param=param, code="unsupported_text")
    return sentences
