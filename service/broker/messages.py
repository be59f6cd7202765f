"""What goes through the door: symbols and marks on their way to readers, what workers say of themselves, refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from service.broker.job import Failure, Status


@dataclass(frozen=True)
class Begin:
    """An attempt at a job starts, or takes over."""

    attempt: int
    engine: str
    sha256: str


@dataclass(frozen=True)
class Piece:
    """Symbols ``start`` … of the job, all of its stream (its sentence) number ``index``."""

    index: int
    start: int
    symbols: bytes


@dataclass(frozen=True)
class Ended:
    """The last entry."""

    status: Status
    error: Failure | None


Entry = Begin | Piece | Ended


@dataclass(frozen=True)
class Snapshot:
    """A sampler's state: of stream ``index``, after ``position`` symbols of the whole job."""

    index: int
    position: int
    state: bytes


@dataclass(frozen=True)
class Resume:
    """Where an attempt goes on."""

    published: int
    """Symbols that readers have been given."""
    read: int
    """Symbols that have been read."""
    snapshot: Snapshot | None
    """To go on from, if there is one that is of use."""


@dataclass(frozen=True)
class Signals:
    """What a worker has to know of a job in hand, whether or not a message got lost."""

    attempt: int
    status: Status
    read: int
    park: bool


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker says of itself."""

    id: str
    ready: bool
    engines: Mapping[str, str]
    """What really samples each model, by id."""
    models: Mapping[str, str]
    """SHA-256 of the sampled weights, by id."""
    slots: Mapping[str, int]
    """By priority."""
    problem: str | None = None


class QueueFull(Exception):
    """No room for another job; ``retry_after`` seconds from the measured pace."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the priority is full")
        self.retry_after = retry_after


class TooMany(QueueFull):
    """The owner has as many unfinished jobs as allowed."""


class Gone(LookupError):
    """The job, or its sound, is no longer kept."""


class Overtaken(Exception):
    """The job is in other hands by now, or has ended."""


class Lost(Exception):
    """Redis has forgotten symbols that it had taken: it was killed, or restored."""


def parsed(fields: Mapping[bytes, bytes]) -> Entry:
    """The entry of a stream that has these fields."""
    kind = fields[b"k"]
    if kind == b"piece":
        return Piece(int(fields[b"i"]), int(fields[b"p"]), fields[b"s"])
    if kind == b"begin":
        return Begin(int(fields[b"attempt"]), fields[b"engine"].decode(), fields[b"sha256"].decode())
    error = Failure(**json.loads(fields[b"error"])) if fields[b"error"] else None
    return Ended(Status(fields[b"status"].decode()), error)
