"""Who may use the service: callers with API keys, stored as hashes, and web pages of listed origins.

The key file has one key a line, ``name sha256-hex [requests_per_minute=N] [concurrent_streams=N]``, and comments after
``#``. A key is ``anc_`` and 256 random bits. Slow, salted hashes protect passwords that people invent; 256 random bits
cannot be guessed, so one SHA-256 is enough, and cheap enough for every request.

Browsers ask the server before a page may read across origins over HTTP (CORS), but not before it opens a websocket or
sends a form: there the server has to check ``Origin`` itself. And a page whose name its owner lets resolve to this
server (DNS rebinding) is of the same origin: without keys ``Host`` is checked, too. Other clients are not
concerned, but for those that send ``Accept-Language`` as browsers do (Node, iOS).
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import logging
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection

from ancestral.settings import SettingsError
from ancestral_service.errors import Forbidden, Unauthorized
from ancestral_service.jobs.state import ANONYMOUS, Caller

log = logging.getLogger(__name__)

MOST = 99_999
"""The highest limit that a key may have."""

PUBLIC_LISTS: Final = frozenset(
    {"/v1/models", "/v1/models/{model_id}", "/v1/audio/models", "/v1/audio/voices", "/v1/images/classes", "/v1/voices"}
)
"""The lists that a deployment may open to everybody (``ANCESTRAL_PUBLIC_LISTS``): some clients read them without a key.
They say what the server offers, and nothing of what anybody has requested."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME_RULE = "must be 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first"

_KEY_PROTOCOL: Final = "openai-insecure-api-key."
_FILE_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LIMIT = re.compile(r"(requests_per_minute|concurrent_streams)=([1-9][0-9]{0,4})")
_PRIVATE_HOST = re.compile(r"(\[.*\]|[^.]*|.*\.(localhost|local|internal|lan|svc|[0-9]+))\.?(:[0-9]*)?", re.IGNORECASE)
"""``Host`` headers with an address, or a name that public DNS does not resolve."""


class KeysError(SettingsError):
    """The key file cannot be used. The message names line and field and quotes neither."""


@dataclass(frozen=True)
class Entry:
    """One line of the key file: a caller and the SHA-256 of the caller's key."""

    caller: Caller
    digest: bytes


def new_key() -> str:
    """A new random key."""
    return f"anc_{secrets.token_urlsafe(32)}"


def digest(key: str) -> bytes:
    """The hash of a key, as the key file has it."""
    return hashlib.sha256(key.encode()).digest()


def fields(line: str) -> list[str]:
    """The fields of a line of the key file, without its comment."""
    return line.partition("#")[0].split()


def parse_keys(text: str) -> tuple[Entry, ...]:
    """Parse the text of a key file.

    Raises:
        KeysError: a line is wrong, or repeats the name or the key of an earlier one.
    """
    entries: list[Entry] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not (parts := fields(line)):
            continue
        entry = _parse(parts, f"line {number}")
        if any(entry.caller.name == other.caller.name for other in entries):
            raise KeysError(f"line {number}: name: an earlier line has the same")
        if any(entry.digest == other.digest for other in entries):
            raise KeysError(f"line {number}: sha256: an earlier line has the same key")
        entries.append(entry)
    return tuple(entries)


def _parse(parts: list[str], where: str) -> Entry:
    name, hashed, *options = *parts, *[""] * (2 - len(parts))
    if not NAME.fullmatch(name):
        raise KeysError(f"{where}: name: {NAME_RULE}")
    if not _DIGEST.fullmatch(hashed):
        raise KeysError(f"{where}: sha256: must be the 64 lower-case hexadecimal digits of a key's SHA-256")
    limits: dict[str, int] = {}
    for place, option in enumerate(options, 3):
        found = _LIMIT.fullmatch(option)
        if found is None:
            allowed = f"requests_per_minute=N or concurrent_streams=N, N from 1 to {MOST}"
            raise KeysError(f"{where}: field {place}: must be {allowed}")
        if found[1] in limits:
            raise KeysError(f"{where}: {found[1]}: given twice")
        limits[found[1]] = int(found[2])
    return Entry(Caller(name, **limits), bytes.fromhex(hashed))


def read_keys(path: Path) -> tuple[Entry, ...]:
    """Read a key file.

    Raises:
        KeysError: it cannot be read, is larger than 1 MiB or not text, or :func:`parse_keys` refuses it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES + 1)
        if len(data) > _FILE_BYTES:
            raise KeysError(f"larger than {_FILE_BYTES} bytes")
        return parse_keys(data.decode())
    except OSError as error:
        raise KeysError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:  # whose message would quote the file
        raise KeysError(f"{path}: not UTF-8 text") from None
    except KeysError as error:
        raise KeysError(f"{path}: {error}") from error


class Keys:
    """The keys in force. The file is read again when it changes, so a revoked key stops working within a second.

    Args:
        path: of the file; None serves everybody.

    Raises:
        KeysError: the file cannot be used.
    """

    look_seconds = 1.0

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen = None if path is None else _signature(path)
        self._entries = () if path is None else read_keys(path)
        self._next_look = time.monotonic() + self.look_seconds

    @property
    def required(self) -> bool:
        """Whether a request needs a key."""
        return self._path is not None

    def identify(self, headers: Headers) -> Caller:
        """The caller whose key the headers carry, as ``Authorization: Bearer KEY`` or ``xi-api-key: KEY``, or as
        the subprotocol of a websocket in which OpenAI's clients send it in browsers, which cannot set headers.

        Raises:
            Unauthorized: there is no key, more than one, or an unknown one.
        """
        if self._path is None:
            return ANONYMOUS
        self._look(self._path)
        given = set(headers.getlist("xi-api-key"))
        for value in headers.getlist("authorization"):
            scheme, _, key = value.strip().partition(" ")
            if scheme.lower() == "bearer":  # other schemes are for a proxy in front of the server
                given.add(key.strip())
        for value in headers.getlist("sec-websocket-protocol"):
            names = (name.strip() for name in value.split(","))
            given.update(name.removeprefix(_KEY_PROTOCOL) for name in names if name.startswith(_KEY_PROTOCOL))
        if not given:
            raise Unauthorized("This server wants an API key, sent as Authorization: Bearer KEY or as xi-api-key: KEY.")
        if len(given) > 1:
            raise Unauthorized("The request carries more than one API key.")
        hashed, caller = digest(given.pop()), None
        for entry in self._entries:  # all of them: the time taken must not tell which one was close
            if hmac.compare_digest(entry.digest, hashed):
                caller = entry.caller
        if caller is None:
            raise Unauthorized("The API key is not one of this server's.")
        return caller

    def _look(self, path: Path) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + self.look_seconds
        # Taken before the file is read: if it changes in between, the next call reads it again.
        before, self._seen = self._seen, _signature(path)
        if before == self._seen:
            return
        try:
            self._entries = read_keys(path)
        except KeysError as error:
            log.error("API keys not reloaded; the last good ones stay in force", extra={"reason": str(error)})
            if getattr(error.__cause__, "errno", None) in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                self._seen = None  # the next look tries again
        else:
            log.info("API keys reloaded", extra={"keys": len(self._entries)})


def _signature(path: Path) -> tuple[int, ...] | None:
    """Figures that change when the file does, its owner and mode included; None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


async def caller_of(connection: HTTPConnection) -> Caller:
    """Dependency of every route that needs a key, websockets included; reads ``app.state.keys``.

    The key is checked once for a request: routes with a body ask before they read it, their dependencies ask again.

    Raises:
        Unauthorized: the request has no key, or an unknown one.
        Forbidden: no key is needed, and a page sent it that may not use the service.
    """
    state = connection.state
    if not hasattr(state, "caller"):
        keys = connection.app.state.keys
        assert isinstance(keys, Keys)
        if not keys.required:
            await check_origin(connection)
            _check_host(connection)
        state.caller = keys.identify(connection.headers)
    caller = state.caller
    assert isinstance(caller, Caller)
    return caller


def check_again(connection: HTTPConnection) -> None:
    """Check the key of a request that takes long.

    Raises:
        Unauthorized: it was revoked.
    """
    connection.app.state.keys.identify(connection.headers)


async def check_key(connection: HTTPConnection) -> None:
    """Dependency of every route that needs a key; reads ``app.state.public_lists``.

    Raises:
        Unauthorized: the request has no key, or an unknown one, and the route is not a public list.
    """
    if not (connection.app.state.public_lists and connection.scope["route"].path_format in PUBLIC_LISTS):
        await caller_of(connection)


EXPOSED = (
    "content-disposition", "content-range", "etag", "link", "location", "retry-after", "x-engine", "x-job-id",
    "x-model", "x-model-sha256", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests", "x-request-id", "x-seed", "x-should-retry", "x-skipped", "x-voice",
)  # fmt: skip
"""The response headers that a page may read, besides those that every page may."""


def install_cors(app: Starlette, origins: tuple[str, ...]) -> None:
    """Allow pages of these origins to use the app, and no others but its own."""
    app.state.origins = origins
    if origins:
        # Every request header: the origins are trusted, no cookie is involved, and OpenAI's client sends many.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=EXPOSED,
        )


async def check_origin(connection: HTTPConnection) -> None:
    """Dependency of every websocket route; reads ``app.state.origins``.

    Raises:
        Forbidden: the request is of a page whose origin is neither the service's own nor listed.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin in connection.app.state.origins:
        return
    own = origin.lower().partition("://")[2]
    if not own or own != connection.headers.get("host", "").lower():
        raise Forbidden("Origin: pages of this origin may not use the service", param="Origin", code="origin_refused")


def _check_host(connection: HTTPConnection) -> None:
    """Raise Forbidden if a browser uses the service under a name that anybody's DNS may have given it."""
    headers = connection.headers
    host = headers.get("host", "")
    if "accept-language" not in headers or _PRIVATE_HOST.fullmatch(host):  # no page can keep a browser from sending it
        return
    if host.lower() not in {origin.partition("://")[2] for origin in connection.app.state.origins}:
        message = "Host: without API keys, browsers may use a public name only if ANCESTRAL_PUBLIC_URL has it"
        raise Forbidden(message, param="Host", code="host_refused")
