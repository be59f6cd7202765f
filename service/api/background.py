"""Carries out what takes hours, batches and books: their parts become batch jobs of the owner, a few at a time.

Every API process looks for work without a driver and leases some. A process that dies is followed by another, which
finds the jobs of unfinished parts again by their idempotency keys. So every part has one result, which only a part that
is finished has.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from itertools import count, islice
from typing import Any, Final, Protocol, TypeVar

from ancestral.errors import NotFound
from ancestral.service.broker.batches import Kind
from ancestral.service.broker.connection import UNAVAILABLE, cancel_all
from ancestral.service.broker.job import LIFE_SECONDS, Job
from ancestral.service.errors import NotReady, Overloaded, ServiceError, error_headers
from ancestral.service.jobs.admission import submit_job
from ancestral.service.jobs.plans import JobSpec
from ancestral.service.jobs.state import AppState, Caller
from ancestral.service.telemetry.logging import RedisOutage

LOOK_SECONDS: Final = 1.0
"""Interval of the search for work without a driver."""
MAX_DRIVEN: Final = 8
"""Batches and books of one process at a time."""
PARALLEL: Final = 8
"""Parts of a batch or book that are jobs at a time."""
GONE: Final = ("job_not_found", "content_expired")
"""Codes of the errors that say that a job is gone."""
_LONGEST_WAIT: Final = 5.0

P = TypeVar("P")
log = logging.getLogger(__name__)


class Work(Protocol):
    """A kind of work. Its documents have ``id`` and ``expires_at``."""

    def carry_out(self, document: Mapping[str, Any], jobs: dict[int, Job], /) -> Coroutine[Any, Any, Mapping[str, Any]]:
        """Carry out the parts that have no result yet; ``jobs`` has those of parts in progress. Returns what is to be
        written into the document. May be cancelled, and begun again by another process."""
        ...

    async def end(self, document: dict[str, Any], status: str, found: Mapping[str, Any], /) -> None:
        """End a document that is ``completed``, with what was found, ``cancelled`` or ``expired``."""
        ...

    async def tidy(self, document: Mapping[str, Any], /) -> None:
        """Delete what is not needed once the end is stored. May be called again."""
        ...


class Background:
    """The work that one API process drives.

    Args:
        state: of the process.
        kinds: of work; a document's id begins with its kind.
        redis: says in the log when it cannot be reached.
    """

    def __init__(self, state: AppState, kinds: Mapping[Kind, Work], redis: RedisOutage) -> None:
        self._state, self._store, self._kinds, self._redis = state, state.broker.batches, kinds, redis
        self._holder = secrets.token_hex(8)
        self._driven: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Drive what there is until this is cancelled; another process goes on with it."""
        try:
            while True:
                try:
                    with self._redis.tolerated():
                        await self._look()
                except Exception:
                    log.exception("batches and books wait")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await cancel_all(*self._driven.values())

    async def _look(self) -> None:
        self._driven = {name: task for name, task in self._driven.items() if not task.done()}
        for name in await self._store.active():
            has_room = name not in self._driven and len(self._driven) < MAX_DRIVEN
            if has_room and await self._store.claim(name, self._holder):
                self._driven[name] = asyncio.create_task(self._drive(name))

    async def _drive(self, name: str) -> None:
        try:
            kind, work = next((kind, work) for kind, work in self._kinds.items() if name.startswith(f"{kind}_"))
            document = await self._store.get(kind, name) or {"id": name, "owner": "", "status": "deleted"}
            if document["status"] != "in_progress":  # whoever stored its end was killed then, or Redis was away
                await work.tidy(document)
                await self._store.retire(name)
                return
            jobs: dict[int, Job] = {}
            carrying_out = asyncio.create_task(work.carry_out(document, jobs))
            try:
                status = await self._watch(document, carrying_out)
            finally:
                await cancel_all(carrying_out)
            if status is None:
                await self._leave(kind, name, jobs)
            else:
                await delete_parts(self._state, document, jobs.values())
                await work.end(document, status, carrying_out.result() if status == "completed" else {})
                await work.tidy(document)
                await self._store.retire(name)
        except UNAVAILABLE:
            log.warning("Redis is unavailable; a batch or book waits", extra={"batch": name})
        except Exception:
            log.exception("a batch or book failed", extra={"batch": name})

    async def _leave(self, kind: Kind, name: str, jobs: Mapping[int, Job]) -> None:
        """Delete the jobs of parts that nobody will look for: of a book those that have a result, which of a batch may
        be the job's files; and those that have none if it was cancelled or deleted, where another process may have
        looked for them before they were submitted here."""
        ends = await self._store.cancelling(name) is not None
        done = await self._store.finished_lines(name)
        needless = [job for number, job in jobs.items() if (kind == "book" if number in done else ends)]
        for job in needless:
            await self._state.broker.delete(job)

    async def _watch(self, document: Mapping[str, Any], carrying_out: asyncio.Task[Mapping[str, Any]]) -> str | None:
        """Renew the lease until the work ends, and say how; None if another process has it."""
        name = document["id"]
        while not carrying_out.done():
            await asyncio.wait({carrying_out}, timeout=LOOK_SECONDS)
            if not await self._store.renew(name, self._holder):
                return None
            if not carrying_out.done() and await self._store.cancelling(name) is not None:
                return "cancelled"
            if not carrying_out.done() and time.time() > document["expires_at"]:
                return "expired"
        carrying_out.result()
        return "completed"


async def submit_part(
    state: AppState, document: Mapping[str, Any], number: int, spec: JobSpec[Any, Any], jobs: dict[int, Job]
) -> Job:
    """Submit the job of part ``number`` of a batch or book for its owner, or find the one that another process has
    submitted, and put it into ``jobs``. Raises as :func:`submit_job` does.
    """
    caller = Caller(document["owner"], concurrent_streams=document["concurrent_streams"])
    key = _key(document, number)
    submission = submit_job(state, caller, spec, prefer="respond-async", key=key, kept_seconds=LIFE_SECONDS)
    return await submitted(jobs, number, submission)


async def delete_parts(state: AppState, document: Mapping[str, Any], known: Iterable[Job] = ()) -> None:
    """Delete the jobs of the parts in progress of a batch or book: those ``known``, and those that a process which died
    has submitted. Parts begin in their order, so they are among the first that have no result.
    """
    broker, owner = state.broker, document["owner"]
    done = await broker.batches.finished_lines(document["id"])
    unfinished = islice((number for number in count() if number not in done), PARALLEL)
    found = [await broker.bound(owner, _key(document, number)) for number in unfinished]
    for job in (*known, *filter(None, found)):
        await broker.delete(job)


def _key(document: Mapping[str, Any], number: int) -> str:
    """The idempotency key of a part's job."""
    return f"{document['id']}-{number}"


async def submitted(jobs: dict[int, Job], number: int, submission: Coroutine[Any, Any, Job]) -> Job:
    """Submit the job of a part, and put it into ``jobs`` even if the work is cancelled meanwhile: Redis may have the
    job by then, which nobody else would cancel.
    """
    task = asyncio.create_task(submission)
    try:
        job = jobs[number] = await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if task.exception() is None:
            jobs[number] = task.result()
        raise
    return job


async def carry_out_parts(parts: Iterable[tuple[int, P]], attempt: Callable[[int, P], Awaitable[None]]) -> None:
    """Carry out parts, each by its number, :data:`PARALLEL` at a time. An attempt at one is tried again while there is
    no room for its job, or Redis is unavailable: the next attempt finds the same job. So it is when that is gone: it
    has expired, or was deleted, or Redis has lost it. The first other error ends all.
    """
    room = asyncio.Semaphore(PARALLEL)

    async def carry_out(number: int, part: P) -> None:
        async with room:
            await _until_accepted(lambda: attempt(number, part))

    try:
        async with asyncio.TaskGroup() as group:
            for number, part in parts:
                group.create_task(carry_out(number, part))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors


async def _until_accepted(attempt: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await attempt()
        except (NotFound, Overloaded, NotReady, *UNAVAILABLE) as error:
            if isinstance(error, NotFound) and error.code not in GONE:
                raise
            seconds = float(error_headers(error).get("retry-after", 1)) if isinstance(error, ServiceError) else 1.0
            await asyncio.sleep(min(seconds, _LONGEST_WAIT))
