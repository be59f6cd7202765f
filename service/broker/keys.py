"""The names of all keys in Redis, which are made here and nowhere else, and their time to live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from ancestral.service.broker.job import Job, Priority

PREFIX: Final = "ancestral:"
LIFE_SECONDS: Final = 2 * 86400
"""Time to live of the keys of a job that never ends."""
PARKED_SECONDS: Final = 3600
"""Time to live of a job that waits for its reader, from the reader's last sign of life."""

DATA: Final = ("stream", "events", "snapshot", "input")
"""The keys of a job besides its record, until it has a file."""
_OWNED_BY: Final[Mapping[str, str]] = {
    **dict.fromkeys(("job", *DATA, "content", "drafting"), "job_id"),
    **dict.fromkeys(("waiting", "running", "idle", "reclaimed", "durations"), "priority"),
    **dict.fromkeys(("jobs", "unfinished"), "owner"),
}
"""What there is a key of each kind for."""
_SHARED: Final = ("counter", "owners", "workers", "worker_info")


def key(kind: str, *ids: str) -> str:
    """The name of a key. An empty id gives what all keys of a kind begin with."""
    return PREFIX + ":".join((kind, *ids))


@dataclass(frozen=True)
class Keys:
    """The keys of a job, a priority, an owner: ``Keys.for_job(job)["waiting"]`` is the queue that a job waits in."""

    job_id: str | None = None
    priority: Priority | None = None
    owner: str | None = None

    @classmethod
    def for_job(cls, job: Job) -> Self:
        """The keys of a job, of its queue and of its owner."""
        return cls(job.id, job.priority, job.owner)

    def __getitem__(self, kind: str) -> str:
        """The name of a key."""
        if kind in _SHARED:
            return key(kind)
        owner = getattr(self, _OWNED_BY[kind])
        assert owner is not None, f"{kind}: needs a {_OWNED_BY[kind]}"
        return key(kind, owner)

    def data_keys(self) -> list[str]:
        """The keys of a job besides its record."""
        return [self[kind] for kind in DATA]


SHARED: Final = Keys()
"""The keys of the whole deployment."""
