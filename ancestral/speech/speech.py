"""A text that is being spoken: its sound, chunk by chunk while it is sampled, and its words in time."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ancestral.errors import check_choice
from ancestral.formats import format_of
from ancestral.models.text import Sentence
from ancestral.models.text.visemes import viseme_of
from ancestral.speech.decoder import Wave
from ancestral.speech.sampler import SentencePart, SpeechSampler, render
from ancestral.speech.tags import recipe_of, tags_of
from ancestral.speech.timed import TimedText, TimedWord
from ancestral.speech.timing import SampleSpan
from ancestral.speech.utterance import Utterance

if TYPE_CHECKING:
    from ancestral.formats import AudioFormat
    from ancestral.provenance.signer import Signer
    from ancestral.speech.encoder import SoundEncoder


class Speech:
    """An utterance. Nothing is sampled before it is asked for; what has been sampled is kept.

    Iterate over it to get chunks, ``float32 [T]`` in [-1, 1]: the first ones have 20 and 40 ms, later ones 50.

    Args:
        sampler: of the model.
        utterance: what is said.
        sampled: every sentence, and all of the sound, if they have been made already.
    """

    def __init__(
        self,
        sampler: SpeechSampler,
        utterance: Utterance,
        sampled: tuple[Sequence[SentencePart], Sequence[Wave]] | None = None,
    ) -> None:
        self.utterance = utterance
        self.text = utterance.written
        """What is said, as it was written, without directives and tags."""
        self.sample_rate = sampler.model.spec.sample_rate
        """Hertz."""
        self.seed = utterance.seed
        """The same seed gives the same sound."""
        self._sampler = sampler
        parts, chunks = sampled or ((), ())
        self._parts, self._chunks = list(parts), list(chunks)
        self._planning = iter(()) if sampled else sampler.parts(utterance)
        self._sampling = iter(()) if sampled else render(sampler, utterance, self._plan())

    def __repr__(self) -> str:
        return f"<Speech {self.text!r}, {self.utterance.voice}, seed {self.seed}>"

    def __iter__(self) -> Iterator[Wave]:
        """The sound from its beginning, sampled as far as it is read."""
        index = 0
        while index < len(self._chunks) or self._sample():
            yield self._chunks[index]
            index += 1

    def _sample(self) -> bool:
        """Sample one more chunk; returns whether there was one."""
        wave = next(self._sampling, None)
        if wave is not None:
            self._chunks.append(wave)
        return wave is not None

    def _plan(self) -> Iterator[SentencePart]:
        """Every sentence with its frames, made when it is needed."""
        index = 0
        while index < len(self._parts) or self._plan_sentence():
            yield self._parts[index]
            index += 1

    def _plan_sentence(self) -> bool:
        part = next(self._planning, None)
        if part is not None:
            self._parts.append(part)
        return part is not None

    @property
    def samples(self) -> Wave:
        """All of the sound ``[T]``."""
        return np.concatenate(list(self))

    @property
    def duration(self) -> float:
        """Seconds of sound, known before anything is sampled."""
        return sum(part.request.length for part in self._plan()) / self.sample_rate

    @property
    def words(self) -> list[TimedWord]:
        """The words, as they are read, and when they are said. Known before anything is sampled."""
        return [
            TimedWord(word.text, *self._in_seconds(span, offset), word.span, self.utterance.turn(index).speaker)
            for index, (part, sentence, offset) in enumerate(self._timed())
            for word, span in zip(sentence.words, part.timing.words(sentence), strict=True)
        ]

    @property
    def phonemes(self) -> list[TimedText]:
        """The phonemes (ARPAbet) and when they are said; pauses are left out."""
        return [
            TimedText(name, *self._in_seconds(span, offset))
            for part, sentence, offset in self._timed()
            for name, span in part.timing.phonemes(sentence)
        ]

    @property
    def visemes(self) -> list[TimedText]:
        """The mouth shapes (Oculus' names) and when the mouth has them; it is at rest in between."""
        return [replace(timed, text=viseme_of(timed.text).oculus) for timed in self.phonemes]

    def _timed(self) -> Iterator[tuple[SentencePart, Sentence, int]]:
        """Every sentence, planned, and the samples before it."""
        offset = 0
        for part, sentence in zip(self._plan(), self.utterance.sentences, strict=True):
            yield part, sentence, offset
            offset += part.timing.length

    def _in_seconds(self, span: SampleSpan, offset: int) -> tuple[float, float]:
        start, end = span
        return (offset + start) / self.sample_rate, (offset + end) / self.sample_rate

    def encode(self, form: AudioFormat, sample_rate: int | None = None) -> bytes:
        """A file of this sound, with what made it in its tags where the format has any.

        Args:
            form: ``wav``, ``flac``, ``mp3``, ``opus``, ``aac`` or ``pcm``.
            sample_rate: in hertz; 24000 by default, or the model's own if its voices have nothing above.

        Raises:
            InvalidRequest: there is no such format, or it does not support the rate.
        """
        from ancestral.codecs import MEDIA_TYPES, rewritten

        check_choice("form", form, MEDIA_TYPES)
        encoder = self._encoder(form, sample_rate)
        data = b"".join(self._encoded(encoder))
        return rewritten(data, encoder.rewrites())

    def stream(self, form: AudioFormat, sample_rate: int | None = None) -> Iterator[bytes]:
        """The bytes of :meth:`encode` while the sound is sampled, the length in their header."""
        length = sum(part.request.length for part in self._plan())
        return self._encoded(self._encoder(form, sample_rate, length))

    def _encoder(self, form: AudioFormat, sample_rate: int | None, length: int = 0) -> SoundEncoder:
        from ancestral.speech.encoder import SoundEncoder

        model = self._sampler.model
        tags = tags_of(self.utterance, model)
        return SoundEncoder(model, self.utterance, form, sample_rate, length, tags)

    def _encoded(self, encoder: SoundEncoder) -> Iterator[bytes]:
        """The bytes of all of the sound."""
        waves = iter(self)
        for index, part in enumerate(self._plan()):
            left = part.request.length
            while left:
                wave = next(waves)
                left -= len(wave)
                yield encoder.feed(index, wave)
        yield encoder.finish()

    def save(self, path: str | Path, sample_rate: int | None = None, signer: Signer | None = None) -> None:
        """Write a file; its suffix, ``.wav``, ``.flac``, ``.mp3``, ``.opus`` or ``.aac``, is the format.

        Args:
            path: of the file.
            sample_rate: in hertz; see :meth:`encode`.
            signer: signs it (docs/provenance.md).

        Raises:
            InvalidRequest: it has another suffix, or the format does not support the rate.
            SigningError: it cannot be signed.
        """
        from ancestral import codecs
        from ancestral.provenance.files import write_file

        path, model = Path(path), self._sampler.model
        form = format_of(path, codecs.SUFFIXES)
        recipe = recipe_of(self.utterance, model)
        write_file(path, self.encode(form, sample_rate), codecs.MEDIA_TYPES[form], recipe, signer)

    def _repr_html_(self) -> str:
        """A player, in a notebook."""
        data = base64.b64encode(self.encode("flac")).decode()
        return f'<audio controls src="data:audio/flac;base64,{data}"></audio>'
