"""A connection to Redis: scripts and replies, within bounds of time, and what it means that Redis is away."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.connection import DefaultParser
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from service.broker import scripts
from service.broker.job import Job, Priority, Status
from service.broker.pool import IdleLimitedPool
from service.broker.queue import Queue


class Unwritable(exceptions.ResponseError):
    """Redis keeps nothing of what it is given: its disk is full, or too few replicas are there."""


# redis-py has no classes of its own for these; whoever uses it in this process, SAQ too, gets ours.
DefaultParser.EXCEPTION_CLASSES.update(MISCONF=Unwritable, NOREPLICAS=Unwritable)

PREFIX: Final = "ancestral:"
UNAVAILABLE: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    Unwritable,
    exceptions.NoScriptError,
)
"""What a call raises while Redis cannot be reached or takes nothing, because it is full or not the first of several, or
has been started again in the instant between the loading of a script and its use."""

LIFE_SECONDS: Final = 2 * 86400
"""Keys of a job that never ends are dropped after this long."""
ALIVE_SECONDS: Final = 6
"""A worker that has not announced itself for so long is taken for dead."""
BLOCK_MS: Final = 2000
REPLY_SECONDS: Final = 10
PATIENCE_SECONDS: Final = 120.0
"""For which Redis may be away while somebody listens."""

_T = TypeVar("_T")


class BrokerHooks:
    """Told of what passes the door, so that it can be counted; this one does not care."""

    def replied(self, operation: str, seconds: float) -> None:
        """Redis has answered a script."""

    def unanswered(self) -> None:
        """Redis has not, or could not."""

    def ended(self, job: Job, status: Status) -> None:
        """This process has ended a job."""


async def replied(value: Awaitable[_T] | _T) -> _T:
    """The reply, within a while. (redis-py types its commands as perhaps awaitable; ours are.)"""
    async with asyncio.timeout(REPLY_SECONDS):
        return await cast("Awaitable[_T]", value)


async def sent(pipe: redis.client.Pipeline) -> list[Any]:
    """The replies to everything in a pipeline."""
    async with asyncio.timeout(REPLY_SECONDS):
        return await pipe.execute()


async def patiently(work: Callable[[], Awaitable[_T]], seconds: float = math.inf) -> _T:
    """Do it, once Redis is there.

    Args:
        work: may be begun any number of times.
        seconds: for which Redis may be away.

    Raises:
        Exception: one of :data:`UNAVAILABLE`, if it stays away for longer.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return await work()
        except UNAVAILABLE:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.1)


class Connection:
    """Redis, and the operations that have to do with no job. One per process and event loop."""

    def __init__(self, url: str, hooks: BrokerHooks | None = None) -> None:
        self._hooks = hooks or BrokerHooks()
        retry = Retry(ExponentialBackoff(cap=0.5, base=0.02), 4)
        # No socket_timeout: with one, redis-py 7 sends through asyncio.wait_for, which in Python 3.11 can lose the
        # cancellation of its task (a client that left kept its slot). Replies are waited for in `replied`.
        options = {} if url.startswith("unix:") else {"socket_keepalive": True}
        pool = IdleLimitedPool.from_url(url, retry=retry, socket_connect_timeout=5, **options)
        self.redis = redis.Redis.from_pool(pool)
        self.queues = {priority: Queue(self.redis, name=priority.value) for priority in Priority}
        self._scripts = {
            name: self.redis.register_script(text) for name, text in vars(scripts).items() if name.isupper()
        }

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose(close_connection_pool=True)

    async def ping(self) -> None:
        """Raise one of :data:`UNAVAILABLE` if Redis does not answer."""
        async with asyncio.timeout(2):
            await replied(self.redis.ping())

    async def run(self, script: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run one of service/broker/scripts.py; keys without the prefix."""
        begun = time.perf_counter()
        try:
            reply = await replied(self._scripts[script](keys=[PREFIX + key for key in keys], args=list(args)))
        except UNAVAILABLE:
            self._hooks.unanswered()
            raise
        self._hooks.replied(script, time.perf_counter() - begun)
        return reply

    async def info(self) -> tuple[Mapping[str, Any], int]:
        """What Redis says of itself, and how many keys it holds."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.info()
            pipe.dbsize()
            figures, keys = await sent(pipe)
        return figures, int(keys)
