"""A connection to Redis: scripts, replies with a time limit, and the exceptions that mean that Redis is unavailable."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection, ConnectionPool, DefaultParser
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from ancestral.service.broker.job import Job, Status
from ancestral.service.broker.keys import SHARED, Keys
from ancestral.service.broker.lua import Script


class Unwritable(exceptions.ResponseError):
    """Redis accepts no writes: its disk is full, or too few replicas are connected."""


# redis-py has no classes of its own for these.
DefaultParser.EXCEPTION_CLASSES.update(MISCONF=Unwritable, NOREPLICAS=Unwritable)

UNAVAILABLE: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    Unwritable,
    exceptions.NoScriptError,
)
"""What a call raises while Redis is unreachable or accepts no writes (out of memory, a replica, :class:`Unwritable`),
or was restarted between the loading of a script and its use."""

REPLY_SECONDS: Final = 10
PATIENCE_SECONDS: Final = 120.0
"""For which streaming requests wait for Redis to come back."""

MAX_IDLE: Final = 32
"""Connections that stay open while nothing uses them."""

_T = TypeVar("_T")


class BrokerHooks:
    """Called for what metrics count; this base class does nothing."""

    def replied(self, operation: str, seconds: float) -> None:
        """Redis has replied to a script."""

    def unanswered(self) -> None:
        """Redis has not replied to a script."""

    def ended(self, job: Job, status: Status) -> None:
        """This process has ended a job."""


async def with_timeout(reply: Awaitable[_T] | _T) -> _T:
    """The reply to a command.

    redis-py types its commands as perhaps awaitable; on an asynchronous client all of them are.

    Raises:
        TimeoutError: it has not come within :data:`REPLY_SECONDS`.
    """
    async with asyncio.timeout(REPLY_SECONDS):
        return await cast("Awaitable[_T]", reply)


async def execute(pipe: redis.client.Pipeline, *, raise_on_error: bool = True) -> list[Any]:
    """The replies to all commands of a pipeline, or else errors; raises as :func:`with_timeout` does."""
    return await with_timeout(pipe.execute(raise_on_error))


async def retry_while_unavailable(work: Callable[[], Awaitable[_T]], seconds: float = math.inf) -> _T:
    """Call ``work``, again and again while Redis is unavailable.

    Args:
        work: may be called any number of times.
        seconds: to keep trying for.

    Raises:
        Exception: one of :data:`UNAVAILABLE`, after that time.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return await work()
        except UNAVAILABLE:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.1)


class IdleLimitedPool(ConnectionPool):
    """A pool that closes a connection on its return when :data:`MAX_IDLE` are idle already.

    redis-py's own pool keeps as many as were ever in use at once. Its blocking pool limits those in use instead, which
    would make readers wait for each other: every listener holds a connection while it waits for symbols.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._idle: set[AbstractConnection] = set()

    async def get_connection(self, *args: Any, **options: Any) -> AbstractConnection:
        """See :class:`ConnectionPool`."""
        connection: AbstractConnection = await super().get_connection(*args, **options)  # type: ignore[no-untyped-call]
        self._idle.discard(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """See :class:`ConnectionPool`."""
        if len(self._idle) < MAX_IDLE:
            self._idle.add(connection)
        else:
            await connection.disconnect(nowait=True)  # without waiting, it cannot be cancelled halfway
        await super().release(connection)


@dataclass
class _Call:
    """One call of a script that waits to be sent, or for its reply."""

    script: Script
    words: Sequence[Any]
    """What follows the script's name: the number of keys, keys, arguments."""
    reply: asyncio.Future[Any]


class Connection:
    """A client of Redis. One per process and event loop."""

    def __init__(self, url: str, hooks: BrokerHooks | None = None) -> None:
        self.hooks = hooks or BrokerHooks()
        retry = Retry(ExponentialBackoff(cap=0.5, base=0.02), 4)
        # No socket_timeout: with one, redis-py 7 sends through asyncio.wait_for, which in Python 3.11 can lose the
        # cancellation of its task, so that a client that left kept its slot. `with_timeout` limits the time instead.
        options = {} if url.startswith("unix:") else {"socket_keepalive": True}
        pool = IdleLimitedPool.from_url(url, retry=retry, socket_connect_timeout=5, **options)
        self.redis = redis.Redis.from_pool(pool)
        self._calls: list[_Call] = []
        self._sending: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Close every connection."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self.redis.aclose(close_connection_pool=True)

    async def run(self, script: Script, keys: Keys = SHARED, /, **given: Any) -> Any:
        """Run a script. Calls of one turn of the event loop, and those made before the replies to earlier ones have
        come, go to Redis together.

        Args:
            script: to run.
            keys: that it names.
            given: its arguments, by name.
        """
        names, args = script.bind(keys, given)
        call = _Call(script, (len(names), *names, *args), asyncio.get_running_loop().create_future())
        self._calls.append(call)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        begun = time.perf_counter()
        try:
            reply = await with_timeout(call.reply)
        except UNAVAILABLE:
            self.hooks.unanswered()
            raise
        self.hooks.replied(script.name, time.perf_counter() - begun)
        return reply

    async def _send(self) -> None:
        """Send what waits, until nothing does."""
        try:
            while calls := [call for call in self._calls if not call.reply.done()]:
                self._calls = []
                await self._exchange(calls)
        finally:
            self._sending = None

    async def _exchange(self, calls: Sequence[_Call]) -> None:
        """Send calls in one round trip, and in a second one the texts of the scripts that Redis did not know."""
        replies = await self._replies(calls, "EVALSHA", lambda script: script.sha1)
        if unknown := [i for i, reply in enumerate(replies) if isinstance(reply, exceptions.NoScriptError)]:
            texts = await self._replies([calls[i] for i in unknown], "EVAL", lambda script: script.source)
            for i, reply in zip(unknown, texts, strict=True):
                replies[i] = reply
        for call, reply in zip(calls, replies, strict=True):
            if call.reply.done():  # whoever made it has gone
                continue
            if isinstance(reply, Exception):
                call.reply.set_exception(reply)
            else:
                call.reply.set_result(reply)

    async def _replies(self, calls: Sequence[_Call], command: str, name: Callable[[Script], str]) -> list[Any]:
        """The reply, or the error, of each call."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command(command, name(call.script), *call.words)
            try:
                return await execute(pipe, raise_on_error=False)
            except Exception as error:  # noqa: BLE001 - it is raised where the calls were made
                return [error] * len(calls)
