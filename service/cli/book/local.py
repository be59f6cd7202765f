"""Speaks a book's parts in this process: several at a time, on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ancestral import codecs
from ancestral.model import Model
from ancestral.models.text.script import Cast
from ancestral.service.cli.book.parts import Part
from ancestral.service.cli.book.speaker import Spoken, default_voice


class LocalSpeaker:
    """A model that is loaded here.

    Args:
        model: that speaks.
        voice: one of its voices, or a mix; its first one that speaks the language if None.
        language: of the text.
        speed: above 1 is faster.
        threads: that sample.
        voices: names of the text for voices.

    Raises:
        InvalidRequest: it does not speak, or has no such voice.
    """

    def __init__(
        self,
        model: Model,
        voice: str | None,
        language: str | None,
        speed: float,
        threads: int,
        voices: Mapping[str, str],
    ) -> None:
        model.description.require("speech")
        self._voice = model.voice(voice or default_voice(model.description.entry.voices, language))
        self._speed, self._threads = speed, threads
        self.model, self.model_sha256 = model.id, model.description.sha256
        self.voice, self.sample_rate = self._voice.id, self._voice.sample_rate
        self._voices = voices
        self._casts: dict[str | None, Cast] = {}
        self.cast(None)  # names are checked before the text is

    def cast(self, language: str | None) -> Cast:
        """See :class:`ancestral.service.cli.book.speaker.Speaker`."""
        if language not in self._casts:
            self._casts[language] = self._voice.cast(self._voices, language)
        return self._casts[language]

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        """See :class:`ancestral.service.cli.book.speaker.Speaker`."""
        utterances = (
            self._voice.utterance(
                part.text,
                seed=part.seed,
                pronunciations=part.pronunciations,
                speed=self._speed,
                voices=self._voices,
                language=part.language,
            )
            for part in parts
        )
        for number, speech in self._voice.speak_many(utterances, self._threads):
            flac = codecs.encode_file(speech, "flac", self.sample_rate)  # without the tags of a file
            words = [
                (*word.span, round(word.start * self.sample_rate), round(word.end * self.sample_rate))
                for word in speech.words
            ]
            yield Spoken(parts[number], flac, words, self._voice.engine)
