"""Speaks a book's parts in this process: several at a time, on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial

from ancestral.model import Model
from ancestral.service.books.parts import Part
from ancestral.service.books.speaker import Reading, Spoken, default_voice


class LocalSpeaker:
    """A model that is loaded here.

    Args:
        model: that speaks.
        reading: how it speaks.
        threads: that sample.

    Raises:
        InvalidRequest: it does not speak, or has no such voice.
    """

    def __init__(self, model: Model, reading: Reading, threads: int) -> None:
        model.description.require("speech")
        voices = model.description.entry.voices
        self._voice = model.voice(reading.voice or default_voice(voices, reading.language))
        self._reading, self._threads = reading, threads
        self.model, self.model_sha256 = model.id, model.description.sha256
        self.voice, self.sample_rate = self._voice.id, model.speech_sampler.model.sound_rate
        self.cast = cache(partial(self._voice.cast, reading.voices))
        self.cast(None)  # names are checked before the text is

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        utterances = (
            self._voice.utterance(
                part.text,
                seed=part.seed,
                pronunciations=part.pronunciations,
                speed=self._reading.speed,
                voices=self._reading.voices,
                language=part.language,
            )
            for part in parts
        )
        for number, speech in self._voice.speak_many(utterances, self._threads):
            flac = speech.encode("flac", self.sample_rate)
            words = [
                (*word.span, round(word.start * self.sample_rate), round(word.end * self.sample_rate))
                for word in speech.words
            ]
            yield Spoken(parts[number], flac, words, self._voice.engine)
