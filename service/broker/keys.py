"""The names of all keys in Redis, which are made here and nowhere else, and their time to live.

Jobs are spread over shards, each a queue with all that belongs to it. All keys of a shard have the same hash tag, so
that in a cluster one server has them: scripts use several of them together. The id of a job names its shard.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Final, Self

from redis.crc import key_slot

from ancestral.service.broker.job import Job, Priority, shard_of

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
    "counter",
    "owners",
    "workers",
    "worker_info",
    "capacity",
    "control",
    "idempotency",
    "rate",
    "enrolled",
    "enrolled_until",
)
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

    def prefix(self, kind: str) -> str:
        """What the names of all keys of a kind begin with, in this shard."""
        return key(kind, "", shard=self.shard)

    def data_keys(self) -> list[str]:
        """The keys of a job besides its record."""
        return [self[kind] for kind in DATA]


SHARED: Final = Keys()
"""The keys of the first shard."""
