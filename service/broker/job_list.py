"""An owner's jobs, over all shards."""

from __future__ import annotations

import asyncio
import math
from itertools import chain

from ancestral.service.broker.connection import Connection
from ancestral.service.broker.job import Job
from ancestral.service.broker.keys import Keys
from ancestral.service.broker.messages import JobExpired
from ancestral.service.broker.records import read_jobs

_Listed = tuple[float, bytes]
"""When a job was submitted, and its id."""


async def list_jobs(connection: Connection, owner: str, after: str | None, limit: int) -> tuple[list[Job], bool]:
    before: _Listed = (math.inf, b"")
    if after is not None:
        index = Keys(after, owner=owner)["jobs"]
        (score,) = await connection.commands(index, ["ZSCORE", index, after])
        if score is None:
            raise JobExpired(after)
        before = float(score), after.encode()
    found: list[Job] = []
    while len(found) <= limit:
        page = await _ids_before(connection, owner, before, limit + 1)
        records = await read_jobs(connection, [job_id.decode() for _, job_id in page])
        found += [job for job in records if job is not None]
        for (_, job_id), job in zip(page, records, strict=True):
            if job is None:  # it has expired
                name = Keys(job_id.decode(), owner=owner)["jobs"]
                await connection.commands(name, ["ZREM", name, job_id])
        if len(page) <= limit:
            break
        before = page[-1]
    return found[:limit], len(found) > limit


async def _ids_before(connection: Connection, owner: str, before: _Listed, count: int) -> list[_Listed]:
    """Times and ids of an owner's jobs, newest first, over all shards: ``count`` that come after ``before``."""

    async def of_shard(shard: int) -> list[_Listed]:
        name, start = Keys(owner=owner, in_shard=shard)["jobs"], 0
        newest = "+inf" if before[0] == math.inf else repr(before[0])
        found: list[_Listed] = []
        while len(found) < count:
            page = ["LIMIT", start, start + count]
            (reply,) = await connection.commands(name, ["ZREVRANGEBYSCORE", name, newest, "-inf", "WITHSCORES", *page])
            found += [pair for pair in zip(map(float, reply[1::2]), reply[::2], strict=True) if pair < before]
            start += len(reply) // 2
            if len(reply) // 2 < count:
                break
        return found

    shards = await asyncio.gather(*(of_shard(shard) for shard in range(connection.shards)))
    return sorted(chain.from_iterable(shards), reverse=True)[:count]
