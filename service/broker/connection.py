"""A connection to Redis: scripts, replies with a time limit, and the exceptions that mean that Redis is unavailable."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar, cast

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection, ConnectionPool, DefaultParser
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.commands.core import AsyncScript

from ancestral.service.broker.job import Job, Status
from ancestral.service.broker.keys import SHARED, Keys


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


async def execute(pipe: redis.client.Pipeline) -> list[Any]:
    """The replies to all commands of a pipeline; raises as :func:`with_timeout` does."""
    return await with_timeout(pipe.execute())


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


@dataclass(frozen=True)
class Script:
    """A Lua script, whose text has its keys and arguments as local variables. All arguments are strings there."""

    name: str
    """As metrics report it."""
    keys: str
    """The names of its keys, separated by spaces: kinds of keys.py, or else given by the caller."""
    args: str
    """The names of its arguments, separated by spaces."""
    body: str
    rest: str = ""
    """The name of a table of any number of further arguments."""

    @cached_property
    def _names(self) -> tuple[list[str], list[str], frozenset[str]]:
        """Keys, arguments, and what a call may give."""
        keys, args = self.keys.split(), self.args.split()
        return keys, args, frozenset([*keys, *args, self.rest])

    @property
    def source(self) -> str:
        """The Lua text."""
        keys, args, _ = self._names
        lines = [_locals(keys, "KEYS"), _locals(args, "ARGV")]
        if self.rest:
            lines.append(f"local {self.rest} = {{}}")
            lines.append(f"for i = {len(args) + 1}, #ARGV do {self.rest}[i - {len(args)}] = ARGV[i] end")
        return "\n".join([*lines, self.body])

    def bind(self, keys: Keys, given: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
        """KEYS and ARGV of a call: what is given by name, and ``keys`` for the names of keys that are not."""
        names, args, known = self._names
        assert given.keys() <= known, f"{self.name} has no {given.keys() - known}"
        values = [given[name] for name in args] + (list(given[self.rest]) if self.rest else [])
        return [given[name] if name in given else keys[name] for name in names], values


def _locals(names: Sequence[str], table: str) -> str:
    values = ", ".join(f"{table}[{number}]" for number in range(1, len(names) + 1))
    return f"local {', '.join(names)} = {values}" if names else ""


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
        self._registered: dict[str, AsyncScript] = {}

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose(close_connection_pool=True)

    async def run(self, script: Script, keys: Keys = SHARED, /, **given: Any) -> Any:
        """Run a script.

        Args:
            script: to run.
            keys: that it names.
            given: its arguments, by name.
        """
        registered = self._registered.get(script.name)
        if registered is None:
            registered = self._registered[script.name] = self.redis.register_script(script.source)
        names, args = script.bind(keys, given)
        begun = time.perf_counter()
        try:
            reply = await with_timeout(registered(keys=names, args=args))
        except UNAVAILABLE:
            self.hooks.unanswered()
            raise
        self.hooks.replied(script.name, time.perf_counter() - begun)
        return reply
