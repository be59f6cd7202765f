"""A voice of a loaded model, and the texts that it speaks: their sound while it is sampled, and their words in time."""

from __future__ import annotations

import base64
import json
import queue
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import numpy as np

from ancestral import codecs, formats
from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import SpeechModel
from ancestral.catalog.seeds import seed_as_json
from ancestral.catalog.voices import VoiceMix
from ancestral.codecs import NO_TAGS, Rewrite, Tags
from ancestral.errors import InvalidRequest, check_choice, interrupts_deferred
from ancestral.requests import CONTROLS, Speak, checked
from ancestral.speech.sampler import (
    AudioDecoder,
    RecordingScorer,
    SampleSpan,
    SentencePart,
    SpeechResampler,
    SpeechSampler,
    TimedText,
    TimedWord,
    Wave,
    recording_bytes,
    render,
)
from ancestral.speech.utterance import NO_NAMES, SoundPlan, Utterance, cast_of, read_text, utterance
from ancestral_models.audio.resampler import resampled_length
from ancestral_models.scheduler import Chunk, End, Scheduler
from ancestral_models.text import InputFormat, Sentence
from ancestral_models.text.phonemes import viseme_of
from ancestral_models.text.script import Cast

if TYPE_CHECKING:
    from ancestral.formats import AudioFormat
    from ancestral.provenance.c2pa import Signer


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
        self._parts, self._chunks, self._complete = list(parts), list(chunks), sampled is not None
        self._begin()

    def _begin(self) -> None:
        """Plan and sample from here on: what is known already is made again, and is the same."""
        self._planning = self._sampler.parts(self.utterance, len(self._parts))
        self._sampling = islice(render(self._sampler, self.utterance, self._plan()), len(self._chunks), None)

    def _add(self, known: list[Any], more: Iterator[Any]) -> bool:
        """Add what comes next; returns whether there was anything. Ctrl-C and the like end a generator for good."""
        count = len(known)
        try:
            known += () if self._complete else islice(more, 1)
        except BaseException:
            self._begin()
            raise
        return len(known) > count

    def __repr__(self) -> str:
        return f"<Speech {self.text!r}, {self.utterance.voice}, seed {self.seed}>"

    def __iter__(self) -> Iterator[Wave]:
        """The sound from its beginning, sampled as far as it is read."""
        index = 0
        while index < len(self._chunks) or self._add(self._chunks, self._sampling):
            yield self._chunks[index]
            index += 1

    def _plan(self) -> Iterator[SentencePart]:
        """Every sentence with its frames, made when it is needed."""
        index = 0
        while index < len(self._parts) or self._add(self._parts, self._planning):
            yield self._parts[index]
            index += 1

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
        """The phonemes (ARPAbet, and IPA for sounds that English lacks) and when they are said; pauses are left out."""
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
        check_choice("form", form, formats.MEDIA_TYPES)
        encoder = self._encoder(form, sample_rate)
        data = b"".join(self._encoded(encoder))
        return codecs.rewritten(data, encoder.rewrites())

    def stream(self, form: AudioFormat, sample_rate: int | None = None) -> Iterator[bytes]:
        """The bytes of :meth:`encode` while the sound is sampled, the length in their header."""
        length = sum(part.request.length for part in self._plan())
        return self._encoded(self._encoder(form, sample_rate, length))

    def _encoder(self, form: AudioFormat, sample_rate: int | None, length: int = 0) -> SoundEncoder:
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
        from ancestral.provenance.c2pa import Claim, write_file

        path, model = Path(path), self._sampler.model
        form = formats.format_of(path, formats.SUFFIXES)
        claim = Claim(recipe_of(self.utterance, model))
        write_file(path, self.encode(form, sample_rate), formats.MEDIA_TYPES[form], claim, signer)

    def _repr_html_(self) -> str:
        """A player, in a notebook."""
        data = base64.b64encode(self.encode("flac")).decode()
        return f'<audio controls src="data:audio/flac;base64,{data}"></audio>'


MAX_SECONDS: Final = 600.0
"""Longest recording that is scored."""
_CHUNK_MS: Final = 200
"""Sound sampled between two decisions of the scheduler: nobody listens."""
_SPARE: Final = 2
"""Streams beyond those that the kernel takes at once: they fill the lanes of streams that end."""


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
    sentence_pause: float | None
    """Seconds of silence after each sentence; 0.25, divided by ``speed``, by default."""
    lead_in: int | None
    """Milliseconds of silence before the first word, up to 2000; the voice's own by default."""
    tail: int | None
    """Milliseconds of silence after the last word, up to 2000; the pause after a sentence by default."""
    instructions: str
    """How it is said, in words of tags such as slow, quiet, excited, whisper."""
    temperature: float | None
    """The model's own by default."""
    input_format: InputFormat
    """``ssml`` or ``markdown`` if the text is such a document."""
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
            text: of up to 32 768 phonemes, 42 minutes; each sentence is sampled as a whole.
            options: of :class:`SpeakArguments`.

        Raises:
            InvalidRequest: the text cannot be spoken, or an argument is out of its range.
        """
        return Speech(self._sampler, self.utterance(text, **options))

    def utterance(self, text: str, **options: Unpack[SpeakArguments]) -> Utterance:
        """A text as phonemes, with everything else that its sound depends on; arguments as of :meth:`speak`."""
        return utterance(self._catalog, self._sampler.model, self._mix, text, checked(Speak, options), "text")

    def cast(self, voices: Mapping[str, str] = NO_NAMES, language: str | None = None) -> Cast:
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
                stack.callback(interrupts_deferred()(scheduler.close))
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
        wave = self._wave(recording)
        data = recording_bytes(wave, self._sampler.model.spec)
        scorer = RecordingScorer(self._sampler, self.id, sentences, data, param="recording")
        for _ in scorer.blocks():
            pass
        return scorer.report()

    def _wave(self, recording: str | Path | bytes | Wave) -> Wave:
        if not isinstance(recording, np.ndarray):
            from ancestral.codecs.decoding import decode_upload  # which is not there in a browser

            data = formats.file_bytes(recording)
            return decode_upload(data, sample_rate=self.sample_rate, max_seconds=MAX_SECONDS, param="recording")
        sound = recording.ndim == 1 and recording.dtype.kind == "f" and np.isfinite(recording).all()
        if not sound or not 0 < len(recording) <= MAX_SECONDS * self.sample_rate:
            message = f"recording: must be floats [T] in [-1, 1], up to {MAX_SECONDS:g} s at {self.sample_rate} Hz"
            raise InvalidRequest(message, param="recording", code="invalid_audio")
        return recording


# Sound to bytes, each sentence with the band of its voice above 8 kHz; the tags say what a file was made from.


def recipe_of(request: SoundPlan, model: SpeechModel) -> dict[str, Any]:
    """What a sound is made from, as JSON values with the names of a request: all but the text, and what is as usual."""
    made_by = {"model": model.entry.id, "model_sha256": model.sha256, "voice": request.voice}
    recipe = {**made_by, "seed": seed_as_json(request.seed), "temperature": request.temperature}
    if isinstance(request, Utterance):
        usual = {name: Speak.model_fields[name].default for name in CONTROLS}
        usual["language"] = model.mix(request.voice).language
        said = {name: getattr(request, name) for name in CONTROLS}
        said |= {name: dict(said[name]) for name in ("pronunciations", "voices")}
        recipe |= {name: value for name, value in said.items() if value != usual[name]}
    return recipe


def tags_of(request: SoundPlan, model: SpeechModel) -> Mapping[str, str]:
    """A title for people, and as the comment the recipe as JSON, like that of PNG files."""
    return {"title": f"{request.voice}, seed {request.seed}", "comment": json.dumps(recipe_of(request, model))}


class SoundEncoder:
    """An encoder of the sound that a model samples.

    Args:
        model: that samples.
        said: whose voice each sentence has.
        form: a key of :data:`ancestral.formats.MEDIA_TYPES`.
        sample_rate: of the bytes; that of the format, or of what is heard of the model, if None.
        length: samples that will be fed; 0 if not known.
        tags: of the file.

    Raises:
        InvalidRequest: the format does not support the rate.
    """

    def __init__(
        self, model: SpeechModel, said: SoundPlan, form: str, sample_rate: int | None,
        length: int = 0, tags: Tags = NO_TAGS,
    ) -> None:  # fmt: skip
        rate = formats.rate_of(form, model.sound_rate, sample_rate)
        length = resampled_length(length, model.spec.sample_rate, rate)
        self._encoder = codecs.encoder(form, rate, length, tags)
        self._resampler = SpeechResampler(model, said, rate)

    def feed(self, index: int, wave: Wave) -> bytes:
        """Encode the next chunk, of sentence number ``index``. Returns the bytes that are ready."""
        return self._encoder.feed(self._resampler.feed(index, wave))

    def finish(self) -> bytes:
        """The remaining bytes."""
        return self._encoder.feed(self._resampler.finish()) + self._encoder.finish()

    def rewrites(self) -> list[Rewrite]:
        """Changes to the header that make a file of the stream."""
        return self._encoder.rewrites()
