"""Has a server speak a book's parts, as batch jobs, which give way to listeners of the server."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import partial
from http.client import HTTPException, HTTPMessage
from typing import Any, Final, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from ancestral.catalog.mix import VoiceMix
from ancestral.catalog.models import mix_of
from ancestral.errors import InvalidRequest
from ancestral.models.entries import Voice
from ancestral.models.text.script import Cast
from ancestral.service.cli.book.parts import BookError, Part
from ancestral.service.cli.book.speaker import Reading, Spoken, default_voice
from ancestral.speech.cast import cast_of

T = TypeVar("T")
PARALLEL: Final = 4
"""Jobs at a time: a server samples as many as it has batch slots, and the next ones wait in its queue."""
ATTEMPTS: Final = 12
"""Of one request, to a server that does not answer or has no room: together about three minutes."""
_LONGEST_WAIT: Final = 30.0
_TIMEOUT: Final = 60.0
"""Seconds of silence after which a connection counts as lost."""
_NO_HEADERS: Final[Mapping[str, str]] = {}


class RemoteSpeaker:
    """A voice of a model of a server.

    Args:
        url: of the server, without a path.
        key: the API key; None if the server needs none.
        model_id: an id or an alias; the first model that has the voice if None.
        reading: how it speaks.

    Raises:
        BookError: the server does not answer, or has no such model, or the model cannot speak.
        InvalidRequest: there is no such voice.
    """

    def __init__(self, url: str, key: str | None, model_id: str | None, reading: Reading) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BookError(f"{url}: not the URL of a server, such as http://localhost:8000")
        self._url = url.rstrip("/")
        self._key = key
        self._reading = reading
        self._listed: dict[str, tuple[list[Voice], dict[str, str]]] = {}
        self._stopped = threading.Event()
        model, found = self._chosen(model_id, reading.voice)
        self.model: str = model["id"]
        self.model_sha256: str = model["sha256"]
        self.sample_rate: int = model["sample_rate"]
        self.voice = found.id
        self._found = found
        self._casts: dict[str | None, Cast] = {}
        self.cast(None)  # names are checked before the text is

    def cast(self, language: str | None) -> Cast:
        """See :class:`ancestral.service.cli.book.speaker.Speaker`."""
        if language not in self._casts:
            find = partial(self._voice, self.model)
            self._casts[language] = cast_of(find, self._found, language or self._found.language, self._reading.voices)
        return self._casts[language]

    def _chosen(self, model_id: str | None, voice: str | None) -> tuple[dict[str, Any], VoiceMix]:
        """The model, and its voice in the canonical form."""
        if model_id is None:
            models = [m for m in self._json("/v1/models", attempts=1)["data"] if "speech" in m["capabilities"]]
        else:
            models = [self._json(f"/v1/models/{quote(model_id, safe='')}", attempts=1)]
        refused: InvalidRequest | None = None
        for model in models:
            if "speech" not in model["capabilities"]:
                raise BookError(f"{model['id']} is not made for speech")
            try:
                return model, self._voice(model["id"], voice)
            except InvalidRequest as error:
                if error.code != "voice_not_found":
                    raise
                refused = refused or error
        raise refused or BookError("the server has no model of speech")

    def _voice(self, model_id: str, text: str | None) -> VoiceMix:
        """The canonical form of a voice or mix: what a part is made from must not depend on how it was written."""
        if model_id not in self._listed:
            listed = self._json(f"/v1/audio/voices?model={quote(model_id, safe='')}")["voices"]
            names = [field.name for field in fields(Voice) if field.name != "sampling"]
            self._listed[model_id] = (
                [Voice(**{name: voice[name] for name in names}) for voice in listed],
                {alias: voice["id"] for voice in listed for alias in voice["aliases"]},
            )
        voices, aliases = self._listed[model_id]
        wanted = default_voice(voices, self._reading.language) if text is None else text
        return mix_of(model_id, voices, wanted, aliases)

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        """See :class:`ancestral.service.cli.book.speaker.Speaker`."""
        waiting: queue.SimpleQueue[Part] = queue.SimpleQueue()
        finished: queue.SimpleQueue[Spoken | Exception] = queue.SimpleQueue()
        for part in parts:
            waiting.put(part)
        for _ in range(PARALLEL):  # daemons, so that Ctrl-C need not wait for the server
            threading.Thread(target=self._work, args=(waiting, finished), daemon=True).start()
        try:
            for _ in parts:
                spoken = finished.get()
                if isinstance(spoken, Exception):
                    raise spoken
                yield spoken
        finally:
            self._stopped.set()

    def _work(self, waiting: queue.SimpleQueue[Part], finished: queue.SimpleQueue[Spoken | Exception]) -> None:
        while not self._stopped.is_set():
            try:
                finished.put(self._speak(waiting.get_nowait()))
            except queue.Empty:
                return
            except Exception as error:  # noqa: BLE001 - raised where the parts are awaited
                finished.put(error)
                return

    def _speak(self, part: Part) -> Spoken:
        body = {
            "model": self.model, "voice": self.voice, "input": part.text, "pronunciations": dict(part.pronunciations),
            "seed": part.seed, "speed": self._reading.speed, "response_format": "flac",
            "voices": dict(self._reading.voices), "language": part.language,
        }  # fmt: skip
        # With the key a part that was in progress when this program ended, or the connection, is found again.
        submit = {"prefer": "respond-async", "idempotency-key": part.name, "content-type": "application/json"}
        while not self._stopped.is_set():
            job = self._request("POST", "/v1/audio/speech", _parsed, submit, json.dumps(body).encode())
            path = f"/v1/jobs/{job['id']}"
            try:
                while job["status"] in ("queued", "in_progress") and not self._stopped.is_set():
                    self._request("GET", f"{path}/events", _nothing)  # until the job has ended
                    job = self._json(path)
                if job["status"] == "failed":
                    raise BookError(f"{self._url}: {job['error']['message']}")
                flac, engine = self._request("GET", f"{path}/content", _file)
                words = [
                    (word["text_start"], word["text_end"], word["start"], word["end"])
                    for word in self._json(f"{path}/timestamps")["words"]
                ]
            except _Gone:  # it has expired, or somebody has deleted it
                continue
            with suppress(_Gone):  # the first attempt may have succeeded without an answer
                self._request("DELETE", path, _nothing)
            return Spoken(part, flac, words, engine)
        raise BookError("interrupted")

    def _json(self, path: str, attempts: int = ATTEMPTS) -> Any:
        return self._request("GET", path, _parsed, attempts=attempts)

    def _request(
        self,
        method: str,
        path: str,
        read: Callable[[bytes, HTTPMessage], T],
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes | None = None,
        attempts: int = ATTEMPTS,
    ) -> T:
        """An answer; tries again where that can help.

        Args:
            method: of HTTP.
            path: with the query.
            read: makes something of the body and the headers of the answer; raises ValueError if they are incomplete.
            headers: of the request.
            body: of the request.
            attempts: how often to try.

        Raises:
            _Gone: 404.
            BookError: any other error.
        """
        sent = dict(headers) | ({"authorization": f"Bearer {self._key}"} if self._key else {})
        for attempt in range(1, attempts + 1):
            pause = min(2.0**attempt / 4, _LONGEST_WAIT)
            try:
                request = Request(self._url + path, body, sent, method=method)  # noqa: S310 - http or https
                with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
                    return read(answer.read(), answer.headers)
            except HTTPError as error:
                problem = _message(error)
                if error.code == 404:
                    raise _Gone(f"{self._url}: {problem}") from error
                retry = error.headers.get("retry-after")
                if retry is None and error.code < 500:
                    raise BookError(f"{self._url}: {problem}") from error
                if retry is not None and retry.isdigit():
                    pause = max(pause, min(float(retry), _LONGEST_WAIT))
            except (URLError, HTTPException, OSError, ValueError) as error:
                reason = error.reason if isinstance(error, URLError) else error
                problem = f"the server does not answer: {reason.strerror if isinstance(reason, OSError) else reason}"
            if attempt == attempts or self._stopped.wait(pause):
                raise BookError(f"{self._url}: {problem}")
        raise AssertionError("unreachable")


def _parsed(body: bytes, _headers: HTTPMessage) -> Any:
    """What an answer says."""
    return json.loads(body)


def _file(body: bytes, headers: HTTPMessage) -> tuple[bytes, str]:
    """A job's output, and the engine that sampled it. A connection that breaks within the headers goes unnoticed."""
    if headers["etag"] != f'"{hashlib.sha256(body).hexdigest()}"' or not headers["x-engine"]:
        raise ValueError("the answer is incomplete")
    return body, headers["x-engine"]


def _nothing(_body: bytes, _headers: HTTPMessage) -> None:
    """An answer that only has to end."""


class _Gone(BookError):
    """What was asked for does not exist."""


def _message(error: HTTPError) -> str:
    """What the server says of an error."""
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError, HTTPException):
        return f"HTTP {error.code} {error.reason}"
