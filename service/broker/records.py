"""The records of jobs, as API processes and workers both read and end them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from ancestral.service.broker.connection import Connection
from ancestral.service.broker.job import Failure, Job, Status, encode_field
from ancestral.service.broker.keys import Keys
from ancestral.service.broker.messages import SymbolsLost
from ancestral.service.broker.queue_scripts import END


async def read_jobs(connection: Connection, ids: Sequence[str]) -> list[Job | None]:
    """The records of jobs; None for each that does not exist."""
    by_shard: dict[int, list[str]] = {}
    for job_id in ids:
        by_shard.setdefault(Keys(job_id).shard, []).append(job_id)

    async def read(group: Sequence[str]) -> list[Mapping[bytes, bytes]]:
        names = [Keys(job_id)["job"] for job_id in group]
        return await connection.commands(names[0], *(["HGETALL", name] for name in names))

    found = chain.from_iterable(await asyncio.gather(*map(read, by_shard.values())))
    records = dict(zip(chain.from_iterable(by_shard.values()), map(decoded, found), strict=True))
    return [Job.parse(records[job_id]) if "kind" in records[job_id] else None for job_id in ids]


def parse_reply(fields: Sequence[bytes]) -> Job:
    """The record that a script has returned: names and values in turn."""
    return Job.parse(decoded(dict(zip(fields[::2], fields[1::2], strict=True))))


async def end_job(
    connection: Connection,
    job: Job,
    status: Status,
    *,
    attempt: int | None = None,
    error: Failure | None = None,
    result: Mapping[str, Any] | None = None,
    symbols: int | None = None,
) -> bool:
    """End a job.

    Args:
        connection: to Redis.
        job: that may have ended already.
        status: in which it ends.
        attempt: that must be the current one; None for any, and the worker that runs the job is told.
        error: why it failed.
        result: its result, besides symbols.
        symbols: how many must have been published.

    Returns:
        False if it had ended before, or another attempt is current.

    Raises:
        SymbolsLost: symbols are missing because Redis was killed; they have to be sampled again.
    """
    ended = await connection.run(
        END,
        Keys.for_job(job),
        id=job.id,
        attempt="" if attempt is None else attempt,
        status=status.value,
        retention=job.retention,
        record_retention=job.record_retention,
        error="" if error is None else encode_field(error),
        result="" if result is None else encode_field(result),
        symbols="" if symbols is None else symbols,
    )
    if ended < 0:
        raise SymbolsLost(job.id)
    if ended:
        connection.hooks.ended(job, status)
    return bool(ended)


def decoded(record: Mapping[bytes, bytes]) -> dict[str, str]:
    """Fields of a hash or of a stream's entry as text."""
    return {key.decode(): value.decode() for key, value in record.items()}
