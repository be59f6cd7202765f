"""Speaks a book's parts in this process: several at a time, on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ancestral import codecs
from ancestral.model import Model
from ancestral.service.cli.book.parts import Part
from ancestral.service.cli.book.speaker import Spoken


class LocalSpeaker:
    """A model that is loaded here.

    Args:
        model: that speaks.
        voice: one of its voices, or a mix; its first one if None.
        speed: above 1 is faster.
        threads: that sample.
        voices: names of the text for voices.

    Raises:
        InvalidRequest: it does not speak, or has no such voice.
    """

    def __init__(self, model: Model, voice: str | None, speed: float, threads: int, voices: Mapping[str, str]) -> None:
        model.description.require("speech")
        self._voice = model.voice(voice)
        self._speed, self._threads = speed, threads
        self.model, self.model_sha256 = model.id, model.description.sha256
        self.voice, self.sample_rate = self._voice.id, self._voice.sample_rate
        self._voices, self.cast = voices, self._voice.cast(voices)

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        """See :class:`ancestral.service.cli.book.speaker.Speaker`."""
        utterances = (
            self._voice.utterance(
                part.text,
                seed=part.seed,
                pronunciations=part.pronunciations,
                speed=self._speed,
                voices=self._voices,
            )
            for part in parts
        )
        for number, speech in self._voice.speak_many(utterances, self._threads):
            flac = codecs.encode_file(speech, "flac", self.sample_rate)  # without the tags of a file
            yield Spoken(parts[number], flac, self._voice.engine)
