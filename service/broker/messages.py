"""What the broker takes and returns: entries of a job's stream, snapshots, descriptions of workers, exceptions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ancestral.service.broker.job import Failure, Status


@dataclass(frozen=True)
class Begin:
    """An attempt at a job begins."""

    attempt: int
    engine: str


@dataclass(frozen=True)
class Piece:
    """Samples of a job from position ``start`` on, all of its stream (sentence, batch of pictures) number ``index``."""

    index: int
    start: int
    data: bytes
    """Symbols, one byte each, or 16-bit sound, little-endian."""
    pcm: bool = False
    """Whether it is sound."""

    @classmethod
    def from_samples(cls, index: int, start: int, samples: NDArray[Any]) -> Self:
        """A piece with ``uint8 [T]`` symbols or ``int16 [T]`` sound."""
        return cls(index, start, samples.tobytes(), samples.dtype == np.int16)

    @property
    def samples(self) -> NDArray[Any]:
        """What :meth:`from_samples` was given."""
        return np.frombuffer(self.data, "<i2" if self.pcm else np.uint8)

    def __len__(self) -> int:
        return len(self.data) // (2 if self.pcm else 1)


@dataclass(frozen=True)
class Preview:
    """What a client may show before the first symbols; later attempts repeat it."""

    data: bytes


@dataclass(frozen=True)
class Ended:
    """The last entry: the job has ended."""

    status: Status
    error: Failure | None
    result: Mapping[str, Any] | None = None
    """What the job has given besides symbols."""


Entry = Begin | Preview | Piece | Ended


@dataclass(frozen=True)
class Snapshot:
    """A sampler's state in stream number ``index``, after ``position`` symbols of the whole job."""

    index: int
    position: int
    state: bytes


@dataclass(frozen=True)
class ResumePoint:
    """Where an attempt resumes."""

    published: int
    """Symbols in the job's stream."""
    read: int
    """Symbols that the client has read."""
    snapshot: Snapshot | None
    """State to resume from; None to start at the beginning."""


@dataclass(frozen=True)
class Signals:
    """Signals for the worker that runs a job, read from the job's record in case a message was lost."""

    attempt: int
    """Number of the current attempt."""
    status: Status
    read: int
    """Symbols that the client has read."""
    suspend: bool
    """The client has disconnected and may come back: release the job."""
    symbols_lost: bool
    """Symbols that this attempt has published are missing: Redis was killed."""
    queued: int
    """How many jobs wait for a slot."""


@dataclass(frozen=True)
class WorkerInfo:
    """A worker, as it describes itself; or several that are alike."""

    ready: bool
    engines: Mapping[str, str]
    """The engine of each model, by id."""
    models: Mapping[str, str]
    """SHA-256 of the weights of each model, by id."""
    slots: Mapping[str, int]
    """Slots by priority, of all jobs together."""
    problem: str | None = None
    """Reason why they are not ready."""
    workers: int = 1
    """Number of workers."""

    def encode(self) -> str:
        """Encode for ``ANNOUNCE``: what can be added up, a line feed, and what workers that are alike share."""
        fields = asdict(self)
        counts = {"workers": fields.pop("workers"), **fields.pop("slots")}
        return f"{json.dumps(counts)}\n{json.dumps(fields, sort_keys=True)}"

    @classmethod
    def decode(cls, kind: bytes, counts: bytes) -> Self:
        """Decode what workers that are alike share, and the sums of their counts."""
        slots = json.loads(counts)
        return cls(**json.loads(kind), workers=slots.pop("workers"), slots=slots)

    def __add__(self, other: Self) -> Self:
        """These workers and others that are like them."""
        slots = {name: count + other.slots[name] for name, count in self.slots.items()}
        return replace(self, slots=slots, workers=self.workers + other.workers)


class JobExpired(LookupError):
    """The job or its symbols have expired."""


class StaleAttempt(Exception):
    """A later attempt has the job, or the job has ended."""


class SymbolsLost(Exception):
    """Redis has lost symbols that it had stored: it was killed, or restored from a backup."""


def parse_entry(fields: Mapping[bytes, bytes]) -> Entry:
    """An entry of a stream from its fields."""
    kind = fields[b"k"]
    if kind in (b"piece", b"pcm"):
        return Piece(int(fields[b"i"]), int(fields[b"p"]), fields[b"s"], kind == b"pcm")
    if kind == b"begin":
        return Begin(int(fields[b"attempt"]), fields[b"engine"].decode())
    if kind == b"preview":
        return Preview(fields[b"d"])
    error = Failure(**json.loads(fields[b"error"])) if fields[b"error"] else None
    result = json.loads(fields.get(b"result") or b"null")
    return Ended(Status(fields[b"status"].decode()), error, result)
