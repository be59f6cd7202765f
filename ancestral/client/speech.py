"""Voices of a server, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.mix import VoiceMix
from ancestral.catalog.seeds import seed_or_drawn
from ancestral.client.connection import Connection, Stream, parsed
from ancestral.errors import ServerError, check_type
from ancestral.formats import SUFFIXES, AudioFormat, format_of
from ancestral.models.audio.pcm import from_int16
from ancestral.models.text.script import Cast
from ancestral.speech.cast import cast_of
from ancestral.speech.timed import TimedText, TimedWord

if TYPE_CHECKING:
    from ancestral.speech.voice import SpeakArguments

_SPEECH: Final = "/v1/audio/speech"
_SAMPLE_BYTES: Final = 2
_NO_NAMES: Final[Mapping[str, str]] = {}


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
        body = {"model": self.model, "voice": self.id, "input": text} | given
        return RemoteSpeech(self._connection, body, self.sample_rate)

    def cast(self, voices: Mapping[str, str] = _NO_NAMES, language: str | None = None) -> Cast:
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
        form = {"model": self.model, "voice": self.id, "text": text}
        answer = self._connection.request(
            "POST", "/v1/audio/likelihood", form=form, file=("file", file_bytes(recording))
        )
        found: dict[str, Any] = parsed(answer)
        return found


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
            self._bytes = iter(self._stream)
        return self._stream

    def _read(self) -> bool:
        """Read one more chunk; returns whether there was one."""
        self._open()
        for piece in self._bytes:
            data = self._rest + piece
            whole = len(data) - len(data) % _SAMPLE_BYTES
            self._rest = data[whole:]
            if whole:
                self._chunks.append(from_int16(np.frombuffer(data[:whole], "<i2")))
                return True
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
        return self._job or self._header("x-job-id")

    @property
    def engine(self) -> str:
        """The engine that samples it."""
        return self._header("x-engine")

    def _header(self, name: str) -> str:
        stream = self._open()
        if not stream.headers:
            self._read()
        return stream.headers[name]

    @property
    def text(self) -> str:
        """What is said, as it was written, without directives and tags."""
        return str(self._timed()["text"])

    @property
    def words(self) -> list[TimedWord]:
        """The words, as they are read, and when they are said. Exact, and known a little before they are sampled: of a
        long text some of the sound is read first. Asked for until two minutes after the end of the sound."""
        return [
            TimedWord(
                word["word"],
                *self._in_seconds(word),
                (word["text_start"], word["text_end"]),
                word.get("speaker", self._body["voice"]),
            )
            for word in self._timed()["words"]
        ]

    @property
    def phonemes(self) -> list[TimedText]:
        """The phonemes (ARPAbet) and when they are said; pauses are left out."""
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
            elif not any(self._read() for _ in range(8)):  # sentences are planned as the sound before them is read
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
        form = format_of(Path(path), SUFFIXES)
        Path(path).write_bytes(self.encode(form, sample_rate))


def file_bytes(file: str | Path | bytes) -> bytes:
    return file if isinstance(file, bytes) else Path(file).read_bytes()
