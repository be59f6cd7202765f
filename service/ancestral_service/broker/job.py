"""Jobs as Redis has them, and the names of its keys."""

from __future__ import annotations

import dataclasses
import json
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import count
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from redis.crc import key_slot

# What the broker takes and returns: jobs and their states, entries of a job's stream, snapshots, descriptions of
# workers, exceptions.

MAX_DEATHS = 3
"""A job fails when this many workers in a row have died while running it, without progress in between."""


def new_job_id(shard: int = 0) -> str:
    """The id of a new job, of which the first two digits name its shard."""
    return f"job_{shard:02x}{secrets.token_hex(11)}"


def shard_of(job_id: str) -> int:
    """The shard of a job, 0 … 255; 0 for what is not the id of one."""
    try:
        return int(job_id[4:6], 16)
    except ValueError:
        return 0


class Status(StrEnum):
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


class Priority(StrEnum):
    """The two queues."""

    INTERACTIVE = "interactive"
    """The client is listening."""
    BACKGROUND = "batch"
    """The result is fetched later: of requests with `Prefer: respond-async` and of long ones, whose answer is 202.
    Settings and metrics call it `batch`."""


@dataclass(frozen=True)
class Failure:
    """Why a job failed, as reported to the client."""

    message: str
    code: str
    param: str | None = None
    """The field of the request that is wrong; None if the server failed."""


@dataclass(frozen=True)
class Job:
    """One job as it is stored: a flat record of strings and numbers."""

    kind: str
    """A key of the kinds of plans (ancestral_service/jobs/plans.py)."""
    priority: Priority
    model: str
    sha256: str
    """Hash of the weights it was accepted for."""
    owner: str
    """The name of the API key that made it; only this key sees it."""
    payload: str
    """What is to be done, the JSON text of its plan (ancestral_service/jobs/plans.py)."""
    created_at: float = 0.0
    """When it was submitted: seconds since 1970 by the clock of Redis, as all times here."""
    voice: str | None = None
    """Voice of a job of sound."""
    excerpt: str | None = None
    """The beginning of the text, or of the prompt, by which a list shows it."""
    request_id: str = ""
    """The ``x-request-id`` that it came with, for the logs of all processes that work on it."""
    trace: str = ""
    """The trace that it belongs to (W3C's ``traceparent``), if one is kept."""
    paced: bool = False
    """A client is listening: the sampler stays at most a few seconds ahead of what has been read."""
    retention: int = 3600
    """Seconds that its output is kept after its end."""
    record_retention: int = 3600
    """Seconds that its record is kept after its end, no less."""
    limit: int = 0
    """How many unfinished jobs its owner may have; 0 for any number."""
    id: str = dataclasses.field(default_factory=new_job_id)
    status: Status = Status.QUEUED
    started_at: float | None = None
    completed_at: float | None = None
    samples_done: int = 0
    samples_total: int | None = None
    """Known once every sentence has its durations."""
    deaths: int = 0
    """Workers in a row that died while they ran it, since it last made progress."""
    engine: str | None = None
    error: Failure | None = None
    result: Mapping[str, Any] | None = None
    """Figures, of a job that answers with them; what pictures show, of a model with a classifier."""

    @property
    def expires_at(self) -> float | None:
        """When its output expires; None until it has ended."""
        return None if self.completed_at is None else self.completed_at + self.retention

    @property
    def progress(self) -> float:
        """0 … 1; 1 only when completed."""
        if self.status is Status.COMPLETED:
            return 1.0
        return min(0.999, self.samples_done / self.samples_total) if self.samples_total else 0.0

    def at(self, event: Mapping[str, str]) -> Self:
        """The job as it was when one of its events happened (``add_event`` in ancestral_service/broker/scripts.py)."""
        kind = event["type"].removeprefix("job.")
        status = Status.IN_PROGRESS if kind == "progress" else Status(kind)
        figures = {name: json.loads(event.get(name, "null")) for name in ("samples_total", "started_at")}
        job = replace(self, status=status, samples_done=json.loads(event.get("samples_done", "0")), **figures)
        return job if status.terminal else replace(job, completed_at=None, error=None, result=None)

    def fields(self) -> dict[str, str]:
        """The record; what is None is left out."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return {name: value if name == "payload" else encode_field(value) for name, value in given.items()}

    @classmethod
    def parse(cls, record: Mapping[str, str]) -> Self:
        """What :meth:`fields` wrote; fields of the broker's own are passed over."""
        known = {field.name for field in dataclasses.fields(cls)} - {"payload"}
        values: dict[str, Any] = {name: json.loads(text) for name, text in record.items() if name in known}
        values["payload"] = record["payload"]
        values["priority"], values["status"] = Priority(values["priority"]), Status(values["status"])
        if values.get("error") is not None:
            values["error"] = Failure(**values["error"])
        return cls(**values)


def encode_field(value: object) -> str:
    if isinstance(value, Failure):
        value = dataclasses.asdict(value)
    return json.dumps(value)


@dataclass(frozen=True)
class QueuePosition:
    """A job's position in its queue, and when it is likely to end."""

    position: int | None = None
    """How many jobs are before it; None if it does not wait."""
    eta: float | None = None
    """Seconds until it is likely to end, from the measured pace; None if unknown or ended."""


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
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """SHA-256 of the weights of each model that they cannot sample, by id."""

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


# The names of all keys in Redis, which are made here and nowhere else, and their time to live.
#
# Jobs are spread over shards, each a queue with all that belongs to it. All keys of a shard have the same hash tag, so
# that in a cluster one server has them: scripts use several of them together. The id of a job names its shard.

PREFIX: Final = "ancestral:"
LIFE_SECONDS: Final = 2 * 86400
"""Time to live of the keys of a job that never ends."""
PARKED_SECONDS: Final = 3600
"""Time to live of a job that waits for its reader, from the reader's last sign of life."""

DATA: Final = ("stream", "events", "snapshot", "input", "ingredient")
"""The keys of a job besides its record, until it has a file."""
_OWNED_BY: Final[Mapping[str, str]] = {
    **dict.fromkeys(("job", *DATA, "content", "drafting", "draft"), "job_id"),
    **dict.fromkeys(("waiting", "running", "idle", "reclaimed", "durations"), "priority"),
    **dict.fromkeys(("jobs", "unfinished"), "owner"),
}
"""What there is a key of each kind for."""
_SHARED: Final = (
    "counter", "owners", "workers", "worker_info", "capacity", "claimed", "control", "idempotency", "rate", "enrolled",
    "enrolled_until",
)  # fmt: skip
"""The other keys of a shard."""
_SLOTS: Final = 16384
_MOST_SHARDS: Final = 256


@cache
def tag(shard: int) -> str:
    """The hash tag of a shard: those of consecutive shards lie evenly over the slots of a cluster."""
    spread = int(f"{shard % _MOST_SHARDS:08b}"[::-1], 2)  # as far from those before it as possible
    width = _SLOTS // _MOST_SHARDS
    return next(name for name in map(str, count()) if key_slot(name.encode()) // width == spread)


def key(kind: str, *ids: str, shard: int = 0) -> str:
    """The name of a key: in the shard of its job, if it is a job's. An empty id gives what all keys of a kind begin
    with."""
    if _OWNED_BY.get(kind) == "job_id" and ids[0]:
        shard = shard_of(ids[0])
    if kind in _OWNED_BY or kind in _SHARED:
        return f"{PREFIX}{{{tag(shard)}}}:{':'.join((kind, *ids))}"
    return PREFIX + ":".join((kind, *ids))


def shard_for(name: str, shards: int) -> int:
    """The shard that a name always has."""
    return zlib.crc32(name.encode()) % shards


@dataclass(frozen=True)
class Keys:
    """The keys of a job, a priority, an owner: ``Keys.for_job(job)["waiting"]`` is the queue that a job waits in."""

    job_id: str | None = None
    priority: Priority | None = None
    owner: str | None = None
    in_shard: int = 0
    """The shard, where no job has one."""

    @classmethod
    def for_job(cls, job: Job) -> Self:
        """The keys of a job, of its queue and of its owner."""
        return cls(job.id, job.priority, job.owner)

    @property
    def shard(self) -> int:
        return self.in_shard if self.job_id is None else shard_of(self.job_id)

    def __getitem__(self, kind: str) -> str:
        if kind in _SHARED:
            return key(kind, shard=self.shard)
        owner = getattr(self, _OWNED_BY[kind])
        assert owner is not None, f"{kind}: needs a {_OWNED_BY[kind]}"
        return key(kind, owner, shard=self.shard)


SHARED: Final = Keys()
"""The keys of the first shard."""
