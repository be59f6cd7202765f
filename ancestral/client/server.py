"""A server, its models, and what they speak and draw: what :func:`ancestral.connect` gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, Unpack
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ancestral import formats
from ancestral.catalog.palettes import check_palette
from ancestral.catalog.seeds import seed_or_drawn
from ancestral.catalog.voices import VoiceMix, find_voice, first_with_voice
from ancestral.client.connection import Connection, Stream
from ancestral.client.pictures import RemotePicture, RemotePictures
from ancestral.errors import InvalidRequest, ServerError, check_range, check_type
from ancestral.formats import AudioFormat, file_bytes, format_of
from ancestral.requests import MAX_PICTURES
from ancestral.speech.sampler import TimedText, TimedWord
from ancestral.speech.utterance import NO_NAMES, cast_of
from ancestral_models.audio.mu_law import from_int16
from ancestral_models.entries import Voice, speaks
from ancestral_models.text.script import Cast

if TYPE_CHECKING:
    from ancestral.model import DrawArguments
    from ancestral.speech.voice import SpeakArguments


_SPEECH: Final = "/v1/audio/speech"
_NOT_THE_SERVERS: Final = {"input_format": "text", "lead_in": None, "tail": None}
"""Fields of which a server may have defaults of its own."""
_SAMPLE_BYTES: Final = 2


class RemoteVoice:
    """A voice, or a mix of voices, of a model of a server.

    Args:
        connection: to the server.
        model: id of the model.
        mix: of its voices.
        sample_rate: of the model, in hertz.
        find: a voice or mix of the model by what a request calls it.
    """

    def __init__(
        self, connection: Connection, model: str, mix: VoiceMix, sample_rate: int, find: Callable[[str], VoiceMix]
    ) -> None:
        self.id = mix.id
        """The canonical form: of one voice its id."""
        self.name = mix.name
        self.language = mix.language
        """A tag of BCP 47."""
        self.model = model
        self.sample_rate = sample_rate
        """Hertz."""
        self._connection, self._mix, self._find = connection, mix, find

    def __repr__(self) -> str:
        return f"<RemoteVoice {self.id}, {self.sample_rate} Hz, {self._connection.url}>"

    def speak(self, text: str, **options: Unpack[SpeakArguments]) -> RemoteSpeech:
        """Speak a text. Nothing is sent before the sound, or something else of it, is read.

        Args:
            text: up to 4096 characters.
            options: of :class:`ancestral.speech.voice.SpeakArguments`.
        """
        check_type("text", text, str, "a text")
        given = {name: value for name, value in options.items() if value is not None}
        body = {"model": self.model, "voice": self.id, "input": text} | _NOT_THE_SERVERS | given
        return RemoteSpeech(self._connection, body, self.sample_rate)

    def cast(self, voices: Mapping[str, str] = NO_NAMES, language: str | None = None) -> Cast:
        """Who can speak in a text of this voice; see :meth:`ancestral.speech.voice.Voice.cast`."""
        return cast_of(self._find, self._mix, language or self.language, voices)

    def score(self, recording: str | Path | bytes, text: str) -> dict[str, Any]:
        """The exact likelihood of a recording.

        Args:
            recording: a WAV, FLAC, Ogg or MP3 file, or its bytes.
            text: what is said in it.

        Returns:
            ``bits_per_sample``, ``nats``, ``samples``, ``curve`` (bits of every 10 ms), and ``words``: of each
            ``word``, ``start``, ``end`` (samples) and ``bits``.

        Raises:
            InvalidRequest: the file cannot be read, or the text does not fit it.
            ServerError: the server refuses, fails or does not answer.
        """
        check_type("text", text, str, "a text")
        form = {"model": self.model, "voice": self.id, "text": text}
        return self._connection.figures("/v1/audio/likelihood", form, file_bytes(recording))


class RemoteSpeech:
    """An utterance that a server samples while it is read; what has been read is kept.

    Iterate over it to get chunks, ``float32 [T]`` in [-1, 1], as they come. Where the connection breaks, the sound goes
    on at the byte where it broke. All that is read raises ``InvalidRequest`` if the text cannot be spoken, ``NotFound``
    if there is no such model, and ``ServerError``.

    Args:
        connection: to the server.
        body: of the request, without the format.
        sample_rate: of the model, in hertz.
    """

    def __init__(self, connection: Connection, body: Mapping[str, Any], sample_rate: int) -> None:
        self.sample_rate = sample_rate
        """Hertz."""
        self._connection, self._body = connection, dict(body)
        self._chunks: list[NDArray[np.float32]] = []
        self._rest = b""
        self._times: Mapping[str, Any] | None = None
        self._job: str | None = None
        """The job that makes a file."""
        self._cancelled = False
        self._stream: Stream | None = None
        self._bytes: Iterator[bytes] = iter(())

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """The sound from its beginning, sampled while it is read."""
        index = 0
        while index < len(self._chunks) or self._read():
            yield self._chunks[index]
            index += 1

    def _open(self) -> Stream:
        """The sound's stream; nothing is sent before it is read."""
        if self._stream is None:
            sound = self._body | {"response_format": "pcm", "sample_rate": self.sample_rate}
            self._stream = Stream(self._connection, _SPEECH, sound)
            self._bytes = self._stream.after(0)
        return self._stream

    def _read(self) -> bool:
        """Read one more chunk; returns whether there was one. After an error the next call asks for what is missing."""
        stream = self._open()
        try:
            for piece in self._bytes:
                data = self._rest + piece
                whole = len(data) - len(data) % _SAMPLE_BYTES
                self._rest = data[whole:]
                if whole:
                    self._chunks.append(from_int16(np.frombuffer(data[:whole], "<i2")))
                    return True
        except BaseException:  # KeyboardInterrupt, too
            self._bytes, self._rest = stream.after(_SAMPLE_BYTES * sum(map(len, self._chunks))), b""
            raise
        return False

    def cancel(self) -> None:
        """Stop sampling: whoever iterates, in any thread, gets no more sound, and a file that is made fails."""
        self._cancelled = True
        self._open().cancel()
        if self._job is not None:
            self._connection.cancel(self._job)

    @property
    def samples(self) -> NDArray[np.float32]:
        """All of the sound ``[T]``."""
        return np.concatenate(list(self))

    @property
    def duration(self) -> float:
        """Seconds of sound; all of it is read."""
        return sum(map(len, self)) / self.sample_rate

    @property
    def seed(self) -> int:
        """The same request with this seed gives the same sound."""
        if "seed" in self._body:
            return seed_or_drawn(self._body["seed"])
        return int(self._header("x-seed"))

    @property
    def job(self) -> str:
        """The id of the server's job."""
        return self._job or self._open().job or self._header("x-job-id")

    @property
    def engine(self) -> str:
        """The engine that samples it."""
        return self._header("x-engine")

    def _header(self, name: str) -> str:
        stream = self._open()
        if not stream.headers:
            self._read()
        if name not in stream.headers:
            raise ServerError("the text was cancelled before any of it was sampled")
        return stream.headers[name]

    @property
    def text(self) -> str:
        """What is said, as it was written, without directives and tags."""
        return str(self._timed()["text"])

    @property
    def words(self) -> list[TimedWord]:
        """The words, as they are read, and when they are said. Exact, and known a little before they are sampled: of a
        long text some of the sound is read first. Asked for until two minutes after the end of the sound."""
        voice = self._body["voice"]
        return [
            TimedWord(w["word"], *self._in_seconds(w), (w["text_start"], w["text_end"]), w.get("speaker", voice))
            for w in self._timed()["words"]
        ]

    @property
    def phonemes(self) -> list[TimedText]:
        """The phonemes (ARPAbet, and IPA for sounds that English lacks) and when they are said; pauses are left out."""
        return [TimedText(found["phoneme"], *self._in_seconds(found)) for found in self._timed()["phonemes"]]

    @property
    def visemes(self) -> list[TimedText]:
        """The mouth shapes (Oculus' names) and when the mouth has them; it is at rest in between."""
        return [TimedText(found["viseme"], *self._in_seconds(found)) for found in self._timed()["visemes"]]

    def _timed(self) -> Mapping[str, Any]:
        """Texts in time, of all sentences."""
        while self._times is None:
            found = self._connection.get(f"/v1/jobs/{quote(self.job)}/timestamps")
            if found["complete"]:
                self._times = found
            elif not sum(self._read() for _ in range(8)):  # sentences are planned as the sound before them is read
                raise ServerError(f"{self._connection.url}: the sound has ended before all of it was planned")
        return self._times

    def _in_seconds(self, found: Mapping[str, int]) -> tuple[float, float]:
        return found["start"] / self.sample_rate, found["end"] / self.sample_rate

    def encode(self, form: AudioFormat, sample_rate: int | None = None) -> bytes:
        """A file of this sound, made (and signed, where it signs) by the server: a job of its own, with the same seed.

        Args:
            form: ``wav``, ``flac``, ``mp3``, ``opus``, ``aac`` or ``pcm``.
            sample_rate: in hertz; 24000 by default, or the model's own if its voices have nothing above.

        Raises:
            InvalidRequest: there is no such format, it does not support the rate, or the text cannot be spoken.
            ServerError: the server refuses, fails or does not answer.
        """
        body = self._body | {"response_format": form}
        if sample_rate is not None:
            body["sample_rate"] = sample_rate
        if self._stream is not None:
            body["seed"] = self.seed
        self._job = self._connection.submit(_SPEECH, body)
        if self._cancelled:
            self._connection.cancel(self._job)
        data, headers = self._connection.output(self._job)
        self._body["seed"] = int(headers["x-seed"])
        return data

    def save(self, path: str | Path, sample_rate: int | None = None) -> None:
        """Write a file; its suffix, ``.wav``, ``.flac``, ``.mp3``, ``.opus`` or ``.aac``, is the format.

        Args:
            path: of the file.
            sample_rate: in hertz; see :meth:`encode`.

        Raises:
            InvalidRequest: it has another suffix; and as :meth:`encode`.
            ServerError: as :meth:`encode`.
        """
        form = format_of(Path(path), formats.SUFFIXES)
        Path(path).write_bytes(self.encode(form, sample_rate))


_FIRST_ATTEMPTS: Final = 4
"""Attempts at the first request: a wrong address is reported at once."""


class RemoteModel:
    """A model of a server. What it can do is in :attr:`capabilities`; anything else raises ``InvalidRequest``.

    Args:
        connection: to the server.
        description: of the model, as ``GET /v1/models/{id}`` gives it.
    """

    def __init__(self, connection: Connection, description: Mapping[str, Any]) -> None:
        self.description = description
        """The answer of ``GET /v1/models/{id}``."""
        self._connection = connection

    def __repr__(self) -> str:
        return f"<RemoteModel {self.id}: {', '.join(self.capabilities)}, {self._connection.url}>"

    @property
    def id(self) -> str:
        """The model's id."""
        return str(self.description["id"])

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it can do."""
        return tuple(self.description["capabilities"])

    @property
    def voices(self) -> list[str]:
        """The ids of its voices."""
        return [voice.id for voice in self.described_voices]

    @property
    def described_voices(self) -> tuple[Voice, ...]:
        """Its voices with their names, languages and licences."""
        return self._listed[0]

    @cached_property
    def _listed(self) -> tuple[tuple[Voice, ...], dict[str, str]]:
        """Its voices, and their ids by alias."""
        listed = self._connection.get(f"/v1/audio/voices?model={quote(self.id, safe='')}")["voices"]
        names = [field.name for field in fields(Voice) if field.name not in ("sampling", "network")]
        voices = tuple(Voice(**{name: voice[name] for name in names}) for voice in listed)
        return voices, {alias: voice["id"] for voice in listed for alias in voice["aliases"]}

    @cached_property
    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        """What its pictures can be asked to show: the values of every attribute. Empty for a model of sound."""
        if "sample_rate" in self.description:
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for value in self._connection.get(f"/v1/images/classes?model={quote(self.id, safe='')}")["data"]:
            found[value["object"]] = (*found.get(value["object"], ()), value["id"])
        return found

    def mix(self, voice: str) -> VoiceMix:
        """A voice or a mix of voices in its canonical form; raises as :meth:`voice`."""
        self._require("speech")
        check_type("voice", voice, str, "an id, an alias or a mix")
        voices, aliases = self._listed
        return find_voice(self.id, voices, voice, aliases)

    def voice(self, voice: str | None = None) -> RemoteVoice:
        """A voice.

        Args:
            voice: its id or an alias, or a mix such as ``heart(2)+joe(1)``; the model's first voice if None.

        Raises:
            InvalidRequest: the model does not speak, or has no such voice.
            ServerError: the server does not answer.
        """
        self._require("speech")
        mix = self.mix(self.voices[0] if voice is None else voice)
        return RemoteVoice(self._connection, self.id, mix, self.description["sample_rate"], self.mix)

    def draw(self, prompt: str | None = None, **options: Unpack[DrawArguments]) -> RemotePicture:
        """One picture; as :meth:`draw_many`."""
        return self.draw_many(prompt, 1, **options)[0]

    def draw_many(self, prompt: str | None = None, n: int = 1, **options: Unpack[DrawArguments]) -> RemotePictures:
        """Pictures of a class, or of other attributes.

        Args:
            prompt: names of :attr:`attributes`' values, separated by commas, or ``any``; the seed draws what is not
                named. None for a model without attributes.
            n: pictures, up to 10; each has a seed of its own, made from the request's.
            options: of :class:`ancestral.model.DrawArguments`.

        Raises:
            InvalidRequest: the model draws no pictures of classes, or not so many at once.
        """
        self._require("image_generation")
        check_range("n", n, 1, MAX_PICTURES)
        given: dict[str, Any] = {"prompt": prompt} | options
        if (palette := options.get("palette")) is not None:
            given["palette"] = check_palette(palette)
        body = {"model": self.id} | {name: value for name, value in given.items() if value is not None}
        width, height = map(int, self.description["size"].split("x"))
        return RemotePictures(self._connection, body, n, (width, height))

    def score(self, image: str | Path | bytes, prompt: str = "any", style: str | None = None) -> dict[str, Any]:
        """The exact likelihood of a picture, given what it shows. Recordings are scored by :meth:`RemoteVoice.score`.

        Args:
            image: a PNG, WebP or JPEG file, or its bytes.
            prompt: as of :meth:`draw_many`.
            style: likewise, of a model with styles.

        Returns:
            ``bits_per_dim``, ``nats``, ``dims`` (sub-pixels).

        Raises:
            InvalidRequest: the file cannot be read, or the model has no such values.
            ServerError: the server refuses, fails or does not answer.
        """
        self._require("image_likelihood")
        form = {"model": self.id, "class": prompt} | ({"style": style} if style else {})
        return self._connection.figures("/v1/images/likelihood", form, file_bytes(image))

    def _require(self, capability: str) -> None:
        if capability not in self.capabilities:
            message = f"model: {self.id} is not made for {capability}"
            raise InvalidRequest(message, param="model", code="model_not_capable")


class Server:
    """A server. Close it, or use it in ``with``, to close its connections; it may be used in several threads.

    Args:
        connection: to it.
        listed: its models, as ``GET /v1/models`` lists them.
    """

    def __init__(self, connection: Connection, listed: list[dict[str, Any]]) -> None:
        self.url = connection.url
        """The address, without a slash at its end."""
        self.connection = connection
        """Sends requests that have no method here."""
        self._listed = listed

    def __repr__(self) -> str:
        return f"<Server {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; nothing is tried again."""
        self.connection.close()

    @property
    def models(self) -> list[str]:
        """The ids of its models; the ones that aliases stand for are first."""
        return [model["id"] for model in self._listed]

    def load(self, model: str) -> RemoteModel:
        """A model.

        Args:
            model: its id or an alias.

        Raises:
            NotFound: there is no such model.
            ServerError: the server does not answer.
        """
        return RemoteModel(self.connection, self.connection.get(f"/v1/models/{quote(model, safe='')}"))

    def model_that_speaks(self, voice: str | None = None, language: str | None = None) -> RemoteModel:
        """The first model that speaks, and has this voice or else, if there is one, a voice of this language.

        Raises:
            InvalidRequest: there is none.
        """
        models = sorted(self._models("speech"), key=lambda model: not speaks(model.described_voices, language))
        return first_with_voice(models, lambda model: voice is None or model.mix(voice))[0]

    def model_that_draws(self, prompt: str | None = None) -> RemoteModel:
        """The first model that draws this: names of values of its attributes, or anything if None.

        Raises:
            InvalidRequest: there is none.
        """
        names = {name.strip().lower() for name in (prompt or "any").split(",")} - {"any", ""}
        for model in self._models("image_generation"):
            known = {value.lower() for values in model.attributes.values() for value in values}
            if names <= known and (prompt is None or known):
                return model
        raise InvalidRequest(f"prompt: no model draws {prompt}", param="prompt", code="model_not_capable")

    def _models(self, capability: str) -> list[RemoteModel]:
        return [RemoteModel(self.connection, m) for m in self._listed if capability in m["capabilities"]]

    def voice(self, voice: str | None = None) -> RemoteVoice:
        """A voice of the first model that has it; raises as :meth:`RemoteModel.voice`."""
        return self.model_that_speaks(voice).voice(voice)

    def draw(self, prompt: str, **options: Unpack[DrawArguments]) -> RemotePicture:
        """One picture of the first model that draws this; as :meth:`RemoteModel.draw`."""
        return self.model_that_draws(prompt).draw(prompt, **options)

    def score(self, image: str | Path | bytes, prompt: str) -> dict[str, Any]:
        """The exact likelihood of a picture under the first model that draws this; as :meth:`RemoteModel.score`."""
        return self.model_that_draws(prompt).score(image, prompt)

    def detect(
        self,
        file: str | Path | bytes,
        *,
        model: str | None = None,
        seed: int | str | None = None,
        recipe: Mapping[str, Any] | None = None,
        voice: str | None = None,
        text: str | None = None,
    ) -> dict[str, Any]:
        """Whether a file was made by a model of the server, and the evidence; see
        :meth:`ancestral.detection.local.Detector.detect`."""
        given = {"model": model, "seed": seed, "voice": voice, "text": text}
        form = {name: str(value) for name, value in given.items() if value is not None}
        if recipe is not None:
            form["recipe"] = json.dumps(recipe)
        return self.connection.figures("/v1/detect", form, file_bytes(file))


def connect(url: str, api_key: str | None = None) -> Server:
    """Connect to a server.

    Args:
        url: of the server, such as ``http://localhost:8000``.
        api_key: None if the server needs none.

    Raises:
        InvalidRequest: it is no URL.
        ServerError: the server does not answer, or needs another key.
    """
    connection = Connection(url, api_key)
    try:
        return Server(connection, connection.get("/v1/models", attempts=_FIRST_ATTEMPTS)["data"])
    except BaseException:
        connection.close()
        raise
