"""HTTP to a server: requests that are tried again, streams that go on where they broke, jobs that are awaited."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx2

from ancestral.errors import AncestralError, InvalidRequest, NotFound, ServerError

ATTEMPTS: Final = 12
"""Attempts at one request if the server cannot be reached or has no room: together about two minutes."""
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 30.0
_TIMEOUT: Final = 60.0
"""Seconds of silence after which a connection counts as lost."""
_QUEUE_TIMEOUT: Final = 600.0
"""The same, where the answer begins when a job has had its turn."""
_MAKES_BYTES: Final = ("x-seed", "x-model-sha256", "x-engine")
"""Headers that say what the bytes of an answer were made from."""
KEY: Final = "idempotency-key"
_NO_HEADERS: Final[Mapping[str, str]] = {}


class Connection:
    """A server.

    Args:
        url: of the server, such as ``http://localhost:8000``.
        api_key: None if the server needs none.

    Raises:
        InvalidRequest: it is no URL, or the key cannot be sent.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        try:
            address = httpx2.URL(url)
            address.raw_host.decode().encode("idna")  # as it will be looked up
        except (httpx2.InvalidURL, TypeError, UnicodeError):
            address = httpx2.URL()
        # Of a port that has more than 16 bits the system takes the lower ones, and connects to another.
        if address.scheme not in ("http", "https") or not address.host or (address.port or 0) >= 1 << 16:
            message = f"{url}: not the URL of a server, such as http://localhost:8000"
            raise InvalidRequest(message, param="url", code="invalid_value")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise InvalidRequest("api_key: only printable ASCII", param="api_key", code="invalid_value")
        self.url = url.rstrip("/")
        headers = {"accept-encoding": "identity"} | ({"authorization": f"Bearer {api_key}"} if api_key else {})
        self.http = httpx2.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT)
        self.closed = threading.Event()
        """Stops further attempts once set."""

    def close(self) -> None:
        self.closed.set()
        self.http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, Any] | None = None,
        file: bytes | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        attempts: int = ATTEMPTS,
    ) -> httpx2.Response:
        """An answer, tried again where that can help. So a request that makes a job needs an idempotency key.

        Args:
            method: of HTTP.
            path: with the query.
            json: the body.
            form: fields of a form, in the place of a body.
            file: bytes of a file, the field of this name in the form.
            headers: of the request.
            attempts: how often to try.

        Raises:
            NotFound: 404.
            InvalidRequest: the request can never succeed as it is.
            ServerError: any other answer, or none.
        """
        retry, sent = Retry(self, attempts), dict(headers)
        files = None if file is None else {"file": ("file", file)}
        timeout = in_queue() if KEY in sent and "prefer" not in sent else _TIMEOUT
        while True:
            try:
                answer = self.http.request(
                    method, path, json=json, data=form, files=files, headers=sent, timeout=timeout
                )
            except httpx2.TransportError as error:
                retry.lost(error)
                continue
            if answer.is_success:
                return answer
            retry.refused(answer)

    def get(self, path: str, attempts: int = ATTEMPTS) -> Any:
        """The JSON of an answer; raises as :meth:`request`."""
        return parsed(self.request("GET", path, attempts=attempts))

    def submit(self, path: str, body: Mapping[str, Any], key: str | None = None) -> str:
        """The id of a job that a request has become.

        Args:
            path: of the route.
            body: the request.
            key: an idempotency key, with which the same request is the same job; a new one if None.

        Raises:
            AncestralError: as :meth:`request`.
        """
        headers = {"prefer": "respond-async", KEY: key or new_key()}
        return str(parsed(self.request("POST", path, json=body, headers=headers))["id"])

    def figures(self, path: str, form: Mapping[str, Any], file: bytes) -> dict[str, Any]:
        """What the server computes of a file, with which it answers at once or as a job, which is awaited.

        Args:
            path: of the route.
            form: the other fields.
            file: its bytes.

        Raises:
            AncestralError: as :meth:`request` and :meth:`output`.
        """
        answer = self.request("POST", path, form=form, file=file, headers={KEY: new_key()})
        found: dict[str, Any] = parsed(answer)
        return found if answer.status_code != httpx2.codes.ACCEPTED else json.loads(self.output(found["id"])[0])

    def running(self, job: str) -> bool:
        """Whether a job has yet to end; raises as :meth:`output` if it came to nothing."""
        found = self.get(f"/v1/jobs/{job}")
        if found["status"] in ("failed", "cancelled"):
            error = found["error"] or {"message": f"the job is {found['status']}"}
            named = {"param": error.get("param"), "code": error.get("code")}
            if named["param"] is not None:
                raise InvalidRequest(error["message"], **named)
            raise ServerError(f"{self.url}: {error['message']}", **named)
        return bool(found["status"] != "completed")

    def output(self, job: str) -> tuple[bytes, Mapping[str, str]]:
        """The output of a job, when it is complete, and the headers that say what made it. Where the connection breaks,
        the rest is asked for.

        Raises:
            NotFound: it has expired, or somebody has deleted it.
            InvalidRequest: it has failed because of a field of its request.
            ServerError: it has failed or has been cancelled, or the server does not answer.
        """
        while self.running(job):
            if self.closed.is_set():
                raise ServerError(f"{self.url}: interrupted")
            self.request("GET", f"/v1/jobs/{job}/events")  # ends with the job
        data, retry, differing = bytearray(), Retry(self), Retry(self, 2)  # some bytes are progress, not all of them
        while True:
            sent = {"range": f"bytes={len(data)}-"} if data else {}
            try:
                with self.http.stream("GET", f"/v1/jobs/{job}/content", headers=sent) as answer:
                    if not answer.is_success:
                        answer.read()
                        retry.refused(answer)
                        continue
                    if answer.status_code != httpx2.codes.PARTIAL_CONTENT:
                        data.clear()
                    for piece in answer.iter_bytes():
                        data += piece
                        retry.progress()
            except httpx2.TransportError as error:
                del data[-1:]  # asked for again: the range after the last one would be refused
                retry.lost(error)
                continue
            if answer.headers.get("etag") == f'"{hashlib.sha256(data).hexdigest()}"':
                return bytes(data), answer.headers
            data.clear()
            differing.wait("the output differs from its hash")

    def cancel(self, job: str) -> None:
        """Stop a job, if it has not ended."""
        try:
            self.request("POST", f"/v1/jobs/{job}/cancel", attempts=1)
        except AncestralError as error:
            if not isinstance(error, NotFound) and error.code != "job_ended":
                raise


class Stream:
    """The bytes of an answer while they are sampled.

    Where the connection breaks, the request is sent again with its idempotency key: that is the same job, and what has
    been received is skipped. A job that has been cancelled, has failed or is gone is not begun again. A request that
    the server only takes as a job is awaited.

    Args:
        connection: to the server.
        path: of the route.
        body: of the request.
    """

    def __init__(self, connection: Connection, path: str, body: Mapping[str, Any]) -> None:
        self.headers: Mapping[str, str] = {}
        """Headers of the answer; empty before the first bytes."""
        self.job: str | None = None
        """The id of the job, once it is known."""
        self._connection, self._path, self._body = connection, path, body
        self._key = new_key()
        self._cancelled = threading.Event()

    def after(self, have: int) -> Iterator[bytes]:
        """The bytes after the first ``have``.

        Raises:
            AncestralError: as :meth:`Connection.request` and :meth:`Connection.output`.
        """
        connection, retry = self._connection, Retry(self._connection)
        while not self._cancelled.is_set():
            seen = 0
            try:
                if self.job is not None:
                    connection.running(self.job)  # one that came to nothing would be made again
                with connection.http.stream(
                    "POST", self._path, json=self._body, headers={KEY: self._key}, timeout=in_queue()
                ) as answer:
                    if not answer.is_success:
                        answer.read()
                        retry.refused(answer)
                        continue
                    if answer.status_code == httpx2.codes.ACCEPTED:
                        answer.read()
                        self._begin(job := str(parsed(answer)["id"]))
                        data, headers = connection.output(job)
                        self._take(headers)
                        if (rest := data[have:]) and not self._cancelled.is_set():
                            yield rest
                        return
                    self._take(answer.headers)
                    answer.request.extensions["timeout"]["read"] = _TIMEOUT  # the body has begun
                    for piece in answer.iter_bytes():
                        if self._cancelled.is_set():
                            return
                        new, seen = piece[max(0, have - seen) :], seen + len(piece)
                        if new:
                            have += len(new)
                            retry.progress()
                            yield new
                return
            except httpx2.TransportError as error:
                if not self._cancelled.is_set():
                    retry.lost(error)
            except AncestralError:
                if not self._cancelled.is_set():
                    raise

    def _take(self, headers: Mapping[str, str]) -> None:
        if self.headers and any(headers.get(name) != self.headers.get(name) for name in _MAKES_BYTES):
            raise ServerError(f"{self._connection.url}: the rest would come from another engine or model")
        self.headers = headers
        self._begin(headers.get("x-job-id", self.job))

    def _begin(self, job: str | None) -> None:
        self.job = job
        if self._cancelled.is_set():
            self.cancel()

    def cancel(self) -> None:
        """Stop sampling. Another thread that waits for bytes gets no more."""
        self._cancelled.set()
        if self.job is not None:
            self._connection.cancel(self.job)


class Retry:
    """How long one request is tried.

    Args:
        connection: that sends it.
        attempts: without any progress.
    """

    def __init__(self, connection: Connection, attempts: int = ATTEMPTS) -> None:
        self._connection, self._attempts = connection, attempts
        self._failed = 0

    def progress(self) -> None:
        """Start counting again, because something has come."""
        self._failed = 0

    def lost(self, error: httpx2.TransportError) -> None:
        """No answer, or a part of one; raises as :meth:`wait`."""
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        reason = cause and cause.strerror
        self.wait(f"the server does not answer: {reason or str(error) or type(error).__name__}")

    def refused(self, answer: httpx2.Response) -> None:
        """An answer that is an error: wait, if the same request may succeed later.

        Raises:
            AncestralError: it may not, or not soon; see :meth:`Connection.request`.
        """
        error, status = _error_of(answer), answer.status_code
        message = str(error.get("message", f"HTTP {status} {answer.reason_phrase}"))
        named = {"param": error.get("param"), "code": error.get("code")}
        if status == httpx2.codes.NOT_FOUND:
            raise NotFound(message, **named)
        retry_after = answer.headers.get("retry-after", "")
        may_pass = retry_after or status >= httpx2.codes.INTERNAL_SERVER_ERROR
        if may_pass and answer.headers.get("x-should-retry") != "false":
            self.wait(message, float(retry_after) if retry_after.isdecimal() else 0.0, status)
        elif status in (400, 413, 415, 422):
            raise InvalidRequest(message, **named)
        else:
            raise ServerError(f"{self._connection.url}: {message}", status=status, **named)

    def wait(self, problem: str, seconds: float = 0.0, status: int | None = None) -> None:
        """Wait before the next attempt.

        Args:
            problem: with this one.
            seconds: to wait, at least.
            status: of the answer.

        Raises:
            ServerError: it was the last one, or the connection has been closed.
        """
        self._failed += 1
        pause = min(max(_FIRST_WAIT * 2.0 ** (self._failed - 1), seconds), _LONGEST_WAIT)
        if self._failed >= self._attempts or self._connection.closed.wait(pause):
            raise ServerError(f"{self._connection.url}: {problem}", status=status)


def new_key() -> str:
    """An idempotency key."""
    return uuid.uuid4().hex


def in_queue() -> httpx2.Timeout:
    """The timeouts of a request whose answer waits until a job has had its turn."""
    return httpx2.Timeout(_TIMEOUT, read=_QUEUE_TIMEOUT)


def parsed(answer: httpx2.Response) -> Any:
    """The JSON of an answer.

    Raises:
        ServerError: it is none.
    """
    try:
        return answer.json()
    except ValueError as error:
        raise ServerError(f"{answer.url}: the answer is not JSON", status=answer.status_code) from error


def _error_of(answer: httpx2.Response) -> Mapping[str, Any]:
    """What the server says of an error; empty if it is another's answer, such as a proxy's."""
    try:
        found = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
