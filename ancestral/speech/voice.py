"""A voice of a loaded model."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

import numpy as np

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.mix import VoiceMix
from ancestral.interrupts import interrupts_deferred
from ancestral.models.scheduler import Chunk, End, Scheduler
from ancestral.models.text import InputFormat
from ancestral.models.text.script import Cast
from ancestral.speech.cast import cast_of
from ancestral.speech.decoder import AudioDecoder, Wave, recording_bytes
from ancestral.speech.sampler import RecordingScorer, SpeechSampler
from ancestral.speech.speech import Speech
from ancestral.speech.utterance import Utterance, read_text, utterance

MAX_SECONDS: Final = 600.0
"""Longest recording that is scored."""
_CHUNK_MS: Final = 200
"""Sound sampled between two decisions of the scheduler: nobody listens."""
_SPARE: Final = 2
"""Streams beyond those that the kernel takes at once: they fill the lanes of streams that end."""

_NO_NAMES: Final[Mapping[str, str]] = {}


class SpeakArguments(TypedDict, total=False):
    """How a text is spoken."""

    seed: int | str | None
    """A number or a text such as a name, drawn if None; the same seed gives the same sound."""
    speed: float
    """2 is twice as fast; 0.25 to 4."""
    pitch: float
    """Semitones by which the voice is higher; -12 to 12."""
    intonation: float
    """How far the pitch moves around its mean: 0, monotone, to 2."""
    temperature: float | None
    """The model's own by default."""
    input_format: InputFormat
    """``ssml`` if the text is an SSML document."""
    language: str | None
    """Language of the text, as a tag of BCP 47; the voice's by default. Another one is spoken with the voice's
    sounds."""
    pronunciations: Mapping[str, str]
    """Words and their phonemes, in ARPAbet or IPA."""
    voices: Mapping[str, str]
    """Names for voices of the same model: ``{"ANNA": "emma"}`` has emma say the lines that begin with ``ANNA:``."""


class Voice:
    """A voice, or a mix of voices, of a model that speaks text.

    Args:
        sampler: of the model.
        mix: of its voices.
        catalog: of the model; it has other names of voices, and a lexicon.
    """

    def __init__(self, sampler: SpeechSampler, mix: VoiceMix, catalog: Catalog) -> None:
        self.id = mix.id
        """The canonical form: of one voice its id."""
        self.name = mix.name
        self.language = mix.language
        """A tag of BCP 47."""
        self.sample_rate = sampler.model.spec.sample_rate
        """Hertz."""
        self.engine = sampler.engine.name
        self._sampler, self._mix, self._catalog = sampler, mix, catalog

    def __repr__(self) -> str:
        return f"<Voice {self.id}, {self.sample_rate} Hz>"

    def speak(self, text: str, **options: Unpack[SpeakArguments]) -> Speech:
        """Speak a text. Sampling begins when the sound is read.

        Args:
            text: of any length; each sentence is sampled as a whole.
            options: of :class:`SpeakArguments`.

        Raises:
            InvalidRequest: the text cannot be spoken, an argument is out of its range, or the model's pitch cannot be
                changed.
        """
        return Speech(self._sampler, self.utterance(text, **options))

    def utterance(self, text: str, **options: Unpack[SpeakArguments]) -> Utterance:
        """A text as phonemes, with everything else that its sound depends on; arguments as of :meth:`speak`."""
        return utterance(self._catalog, self._sampler.model, self._mix, text, param="text", **options)

    def cast(self, voices: Mapping[str, str] = _NO_NAMES, language: str | None = None) -> Cast:
        """Who can speak in a text of this voice: all voices of the model, also by the names that ``voices`` gives them.
        What this voice says is in ``language``, by default in its own.

        Raises:
            InvalidRequest: a name cannot be used, or there is no such voice.
        """
        find = partial(self._catalog.voice, self._sampler.model)
        return cast_of(find, self._mix, language or self.language, voices)

    def speak_many(self, utterances: Iterable[Utterance], threads: int = 1) -> Iterator[tuple[int, Speech]]:
        """Speak many texts, several in each call of the kernel: the fastest way, if nobody listens.

        Args:
            utterances: from :meth:`utterance` of any voice of this model; taken as they are needed.
            threads: that sample.

        Yields:
            The number of an utterance and its speech, sampled, in the order in which they are finished.
        """
        finished: queue.SimpleQueue[tuple[int, Speech] | Exception] = queue.SimpleQueue()
        waiting, running = enumerate(utterances), 0
        most = threads * self._sampler.engine.lanes + _SPARE
        with ExitStack() as stack:
            with interrupts_deferred():
                scheduler = Scheduler(threads, chunk_ms=_CHUNK_MS)
                stack.callback(_close, scheduler)
            while True:
                while running < most and (new := next(waiting, None)) is not None:
                    with interrupts_deferred():
                        self._begin(scheduler, *new, finished)
                    running += 1
                if not running:
                    return
                found = finished.get()
                if isinstance(found, Exception):
                    raise found
                running -= 1
                yield found

    def _begin(
        self,
        scheduler: Scheduler,
        number: int,
        said: Utterance,
        finished: queue.SimpleQueue[tuple[int, Speech] | Exception],
    ) -> None:
        decode, waves = AudioDecoder(self._sampler.model.spec), list[Wave]()
        parts = list(self._sampler.parts(said))

        def take(chunk: Chunk) -> None:
            if chunk.end is End.FAILED:
                finished.put(chunk.error or AssertionError("a slot failed without an error"))
                return
            if len(chunk.symbols):
                waves.append(decode(chunk.index, chunk.symbols))
            if chunk.end is End.COMPLETED:
                finished.put((number, Speech(self._sampler, said, (parts, waves))))

        slot = scheduler.open(self._sampler.engine, self.sample_rate, take, realtime=False)
        for part in parts:
            slot.feed(self._sampler.open(part))
        slot.finish()

    def score(self, recording: str | Path | bytes | Wave, text: str) -> dict[str, Any]:
        """The exact likelihood of a recording.

        Args:
            recording: a WAV, FLAC, Ogg or MP3 file, its bytes, or ``float32 [T]`` in [-1, 1] at the model's rate.
            text: what is said in it.

        Returns:
            ``bits_per_sample``, ``nats``, ``samples``, ``curve`` (bits of every 10 ms), and ``words``: of each
            ``word``, ``start``, ``end`` (samples) and ``bits``.

        Raises:
            InvalidRequest: the file cannot be read, or the text does not fit it.
        """
        _, sentences = read_text(text, self._catalog.pronunciations, "text", self.language)
        wave = recording if isinstance(recording, np.ndarray) else self._decode(recording)
        data = recording_bytes(wave, self._sampler.model.spec)
        scorer = RecordingScorer(self._sampler, self.id, sentences, data, param="recording")
        for _ in scorer.blocks():
            pass
        return scorer.report()

    def _decode(self, recording: str | Path | bytes) -> Wave:
        from ancestral.codecs.decoding import decode_upload

        data = recording if isinstance(recording, bytes) else Path(recording).read_bytes()
        return decode_upload(data, sample_rate=self.sample_rate, max_seconds=MAX_SECONDS, param="recording")


def _close(scheduler: Scheduler) -> None:
    with interrupts_deferred():
        scheduler.close()
