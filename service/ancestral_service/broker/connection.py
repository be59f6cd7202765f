"""Connections to Redis: one server or a cluster, and what every process may do there."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast
from urllib.parse import SplitResult, unquote, urlsplit

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, ConnectionPool, DefaultParser
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff
from redis.crc import key_slot

from ancestral_service.broker.job import SHARED, Job, Keys, Status
from ancestral_service.broker.scripts import Script

# Which server of Redis has a key: one server, the master that sentinels name, or the masters of a cluster.

CLUSTER_SHARDS: Final = 32
"""Queues in a cluster, if nothing else is said. Elsewhere there is one."""
MAX_IDLE: Final = 128
"""Connections to a server that stay open while nothing uses them."""
_NO_LIMIT: Final = 1 << 31
_DISCOVERY_SECONDS: Final = 2
"""Time for which a server or a sentinel may take to say where the masters are."""
_MASTER_SECONDS: Final = 1.0
"""Time for which the sentinels' answer holds."""
_PROTOCOL: Final[Mapping[str, Any]] = {"protocol": 2}
"""RESP2: replies have the shapes that the scripts' callers know, and messages of a channel come in order with them."""
SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_UNKNOWN: Final = f"ANCESTRAL_REDIS_URL: must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}"
_INVALID: Final = "ANCESTRAL_REDIS_URL: not a valid URL; / # ? @ in a password are written %2F %23 %3F %40"


class UrlError(ValueError):
    """A setting that names no Redis; the message says why."""


class IdleLimitedPool(ConnectionPool):
    """Connections to a server. The pool closes one on its return when :data:`MAX_IDLE` are idle already.

    redis-py's own pool keeps as many as were ever in use at once. Its blocking pool limits those in use instead, which
    would make readers wait for each other: every listener holds a connection while it waits for symbols.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **(options | {"max_connections": _NO_LIMIT}))  # 100 by default
        self._idle: set[AbstractConnection] = set()

    async def get_connection(self, *args: Any, **options: Any) -> AbstractConnection:
        connection: AbstractConnection = await super().get_connection(*args, **options)
        self._idle.discard(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        if len(self._idle) < MAX_IDLE:
            self._idle.add(connection)
        else:
            await connection.disconnect(nowait=True)  # without waiting, it cannot be cancelled halfway
        await super().release(connection)


class IdleLimitedSentinelPool(IdleLimitedPool, SentinelConnectionPool):
    """Connections to the master that sentinels name."""

    async def release(self, connection: AbstractConnection) -> None:
        """Connections to a former master are closed."""
        if self.master_address not in (None, (getattr(connection, "host", None), getattr(connection, "port", None))):
            await connection.disconnect(nowait=True)
        await super().release(connection)


class _Sentinels(Sentinel):
    """Asked by one caller at a time: redis-py moves the one that answers to the front of its list, and of two callers
    that do this at once the second overwrites another sentinel, which is then neither asked again nor closed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._asking = asyncio.Lock()

    async def discover_master(self, service_name: str) -> Any:
        async with self._asking:
            return await super().discover_master(service_name)


class Topology:
    """One server, or the master of one name.

    Args:
        client: of it.
    """

    shards = 1
    """Number of queues."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    async def client(self, key: str) -> redis.Redis:
        """The server that has a key, as far as is known."""
        del key
        return self._client

    def outdated(self) -> None:
        """A server did not answer, or has sent us to another: what is known may be wrong."""

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose(close_connection_pool=True)


class SentinelTopology(Topology):
    """The master that sentinels name. They are asked again and again: a master that hung and goes on does not know for
    some seconds that another has taken its place, and would answer that there is no such job.

    Args:
        pool: of connections to it.
        manager: its sentinels.
    """

    def __init__(self, pool: IdleLimitedSentinelPool, manager: Sentinel) -> None:
        super().__init__(redis.Redis.from_pool(pool))
        self._pool, self.manager = pool, manager
        self._asked_at = -math.inf

    async def client(self, key: str) -> redis.Redis:
        if time.monotonic() - self._asked_at > _MASTER_SECONDS:
            self._asked_at = time.monotonic()
            with suppress(exceptions.ConnectionError, exceptions.TimeoutError):  # a new connection says so, too
                await self._pool.get_master_address()
        return await super().client(key)

    async def close(self) -> None:
        await super().close()
        for sentinel in self.manager.sentinels:
            await sentinel.aclose(close_connection_pool=True)


class ClusterTopology(Topology):
    """The masters of a cluster. redis-py's client says who they are; ours have pools that limit idle connections.

    Args:
        nodes: some of the servers.
        options: of every connection.
        shards: how many queues there are.
    """

    def __init__(self, nodes: list[tuple[str, int]], options: Mapping[str, Any], shards: int) -> None:
        self.shards = shards
        self._options = options
        self._cluster = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in nodes],
            require_full_coverage=False,
            socket_timeout=_DISCOVERY_SECONDS,
            socket_connect_timeout=_DISCOVERY_SECONDS,
            ssl=options.get("connection_class") is redis.SSLConnection,
            username=options.get("username"),
            password=options.get("password"),
            **_PROTOCOL,
        )
        self._named = dict(self._cluster.nodes_manager.startup_nodes)
        self._clients: dict[tuple[str, int], redis.Redis] = {}
        self._known = False
        self._discovering = asyncio.Lock()

    async def client(self, key: str) -> redis.Redis:
        """The client of the node that holds a key.

        Raises:
            Exception: one of :data:`UNAVAILABLE`: no server of the cluster answers, or nobody has the key.
        """
        async with self._discovering:
            if not self._known:
                await self._discover()
        slot = key_slot(key.encode())
        try:
            node = self._cluster.nodes_manager.get_node_from_slot(slot)
        except (KeyError, exceptions.SlotNotCoveredError) as error:
            self.outdated()
            raise exceptions.ConnectionError(f"no server of the cluster has slot {slot}") from error
        address = (str(node.host), int(node.port))
        if address not in self._clients:
            pool = IdleLimitedPool(host=address[0], port=address[1], **self._options)
            self._clients[address] = redis.Redis.from_pool(pool)
        return self._clients[address]

    async def _discover(self) -> None:
        manager = self._cluster.nodes_manager
        manager.startup_nodes |= self._named  # which redis-py replaces by the addresses that they had
        known = [*manager.startup_nodes.values()]
        try:
            if self._cluster._initialize:
                await self._cluster.initialize()
            else:
                await manager.initialize()
        except (IndexError, exceptions.RedisClusterException) as error:  # the first: no server has any slot
            raise exceptions.ConnectionError(str(error)) from error
        finally:  # it is asked seldom
            for node in {*known, *manager.startup_nodes.values(), *manager.nodes_cache.values()}:
                await node.disconnect()
        self._known = True

    def outdated(self) -> None:
        self._known = False

    async def close(self) -> None:
        await self._cluster.aclose()
        for client in self._clients.values():
            await client.aclose(close_connection_pool=True)


def open_topology(url: str, shards: int = CLUSTER_SHARDS) -> Topology:
    """What a URL names. Nothing is connected yet.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` as redis-py reads them;
            ``redis+sentinel://[user:password@]host[:26379][,host…]/name-of-the-master[/database]``;
            ``redis+cluster://[user:password@]host[:6379][,host…]``; with ``rediss+…`` over TLS.
        shards: how many queues there are if it is a cluster.

    Raises:
        UrlError: it names nothing.
    """
    # No socket_timeout: with one, redis-py sends through asyncio.wait_for, which in Python 3.11 can lose the
    # cancellation of its task, so that a client that left kept its slot. Replies are waited for with a timeout instead.
    options: dict[str, Any] = {
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.02), 4), "socket_connect_timeout": 5,
        "socket_timeout": None, **_PROTOCOL,
    }  # fmt: skip
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    if url.partition(":")[0] not in SCHEMES:
        raise UrlError(_UNKNOWN)
    try:
        parts = urlsplit(url)
        if "+" not in parts.scheme:
            if parts.scheme != "unix" and (parts.fragment or not re.fullmatch("/?[0-9]*/?", parts.path)):
                raise ValueError("the database is no number")
            return Topology(redis.Redis.from_pool(IdleLimitedPool.from_url(url, **options)))
    except ValueError:  # whose message may have a part of the password
        raise UrlError(_INVALID) from None
    return _open_several(parts, options, shards)


def _open_several(parts: SplitResult, options: dict[str, Any], shards: int) -> Topology:
    """What a URL of sentinels or of a cluster names; raises as :func:`open_topology` does."""
    scheme, _, kind = parts.scheme.partition("+")
    credentials, _, hosts = parts.netloc.rpartition("@")
    if credentials:
        user, _, password = credentials.partition(":")
        options |= {name: unquote(text) for name, text in (("username", user), ("password", password)) if text}
    tls = scheme == "rediss"
    path = [unquote(part) for part in parts.path.split("/") if part]
    if parts.query or parts.fragment:
        raise UrlError(f"{_UNKNOWN}, without a query")
    if kind == "cluster":
        if path:
            raise UrlError("ANCESTRAL_REDIS_URL: a cluster has no databases: nothing may follow the hosts")
        if tls:
            options["connection_class"] = redis.SSLConnection
        return ClusterTopology(_addresses(hosts, 6379), options, shards)
    if not 1 <= len(path) <= 2 or (len(path) == 2 and not path[1].isdecimal()):
        raise UrlError(
            "ANCESTRAL_REDIS_URL: the hosts of sentinels are followed by /name-of-the-master, and perhaps by /database"
        )
    database = int(path[1]) if len(path) == 2 else 0
    timeouts = {"socket_timeout": _DISCOVERY_SECONDS, "socket_connect_timeout": _DISCOVERY_SECONDS}
    sentinels = {"ssl": tls, **timeouts, **_PROTOCOL}
    manager = _Sentinels(_addresses(hosts, 26379), sentinel_kwargs=sentinels)
    pool = IdleLimitedSentinelPool(path[0], manager, db=database, ssl=tls, **options)
    return SentinelTopology(pool, manager)


def check_url(url: str) -> None:
    """Raise :class:`UrlError` for a URL that names nothing."""
    open_topology(url)


def _addresses(hosts: str, default_port: int) -> list[tuple[str, int]]:
    found = []
    for each in hosts.split(","):
        try:
            parts = urlsplit(f"//{each}")
            found.append((parts.hostname or "", parts.port or default_port))
        except ValueError:
            raise UrlError(_INVALID) from None
    if not all(host for host, _ in found):
        raise UrlError("ANCESTRAL_REDIS_URL: at least one host is needed, and a name between two commas")
    return found


# A connection to Redis: scripts, replies with a time limit, and the exceptions that mean that Redis is unavailable.


class Unwritable(exceptions.ResponseError):
    """Redis accepts no writes: its disk is full, or too few replicas are connected, or it has become a replica."""


# redis-py has no classes of its own for these. UNBLOCKED ends what a master waited with when it becomes a replica.
DefaultParser.EXCEPTION_CLASSES.update(MISCONF=Unwritable, NOREPLICAS=Unwritable, UNBLOCKED=Unwritable)

REDIRECTED: Final = (
    exceptions.AskError,  # of which MovedError is one
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
)
"""What a server of a cluster raises that has not done what it was asked: the key has moved or is moving, or a new
master is being elected."""
UNAVAILABLE: Final = (
    *REDIRECTED,
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

_NOT_A_MASTER: Final = "WAIT cannot be used with replica instances"
"""Beginning of the error of a server that was a master when the job was written."""
_KEY_IS_MOVING: Final = "access a non local key"
"""Part of the error of a script that uses a key besides those it was given, while the slot of both moves."""
REPLY_SECONDS: Final = 10
PATIENCE_SECONDS: Final = 120.0
"""Time for which streaming requests wait for Redis to come back."""

_REPLICATION_MS: Final = 1000
"""Time for which a job waits to reach replicas."""
_REDIRECTIONS: Final = 10
"""Attempts at one command; together they take about two seconds."""

_T = TypeVar("_T")


class BrokerHooks:
    """Called for what metrics count; this base class does nothing."""

    def replied(self, operation: str, seconds: float) -> None:
        """Called when Redis has replied to a script."""

    def unanswered(self) -> None:
        """Redis has not replied to a script."""

    def ended(self, job: Job, status: Status) -> None:
        """Called when this process has ended a job."""


async def with_timeout(reply: Awaitable[_T] | _T) -> _T:
    """The reply to a command.

    redis-py types its commands as perhaps awaitable; on an asynchronous client all of them are.

    Raises:
        TimeoutError: it has not come within :data:`REPLY_SECONDS`.
    """
    async with asyncio.timeout(REPLY_SECONDS):
        return await cast("Awaitable[_T]", reply)


async def _pipelined(
    client: redis.Redis, commands: Iterable[Sequence[Any]], *, transaction: bool = False, raise_errors: bool = True
) -> list[Any]:
    """The replies to commands that are sent in one round trip: of a ``transaction``, Redis does all or none. The first
    error of a command is raised, or each is returned in the place of a reply; raises also as :func:`with_timeout`."""
    async with client.pipeline(transaction=transaction) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        return await with_timeout(pipe.execute(raise_errors))


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


async def cancel_all(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks, and return when they have ended, with whatever exceptions."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class _Call:
    """One call of a script that waits to be sent, or for its reply."""

    script: Script
    words: Sequence[Any]
    """What follows the script's name: the number of keys, keys, arguments."""
    reply: asyncio.Future[Any]


class _Sender:
    """Sends scripts to one server. Calls of one turn of the event loop, and those made before the replies to earlier
    ones have come, go together."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._calls: list[_Call] = []
        self._sending: asyncio.Task[None] | None = None

    async def run(self, script: Script, names: Sequence[str], args: Sequence[Any]) -> Any:
        """The reply to a script."""
        call = _Call(script, (len(names), *names, *args), asyncio.get_running_loop().create_future())
        self._calls.append(call)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return await with_timeout(call.reply)

    async def close(self) -> None:
        if self._sending is not None:
            await cancel_all(self._sending)

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
        commands = [(command, name(call.script), *call.words) for call in calls]
        try:
            return await _pipelined(self._client, commands, raise_errors=False)
        except Exception as error:  # noqa: BLE001 - it is raised where the calls were made
            return [error] * len(calls)


class Connection:
    """A client of Redis. One per process and event loop.

    Args:
        url: see :func:`open_topology`.
        hooks: for metrics.
        replicas: that must have a job before it counts as submitted.
        shards: how many queues a cluster has.
    """

    def __init__(
        self, url: str, hooks: BrokerHooks | None = None, *, replicas: int = 0, shards: int = CLUSTER_SHARDS
    ) -> None:
        self.hooks = hooks or BrokerHooks()
        self.replicas = replicas
        self._topology = open_topology(url, shards)
        self.shards = self._topology.shards
        """Number of queues."""
        self._senders: dict[redis.Redis, _Sender] = {}

    async def close(self) -> None:
        """Close every connection."""
        for sender in self._senders.values():
            await sender.close()
        await self._topology.close()

    async def client(self, name: str) -> redis.Redis:
        """The server that has a key; raises one of :data:`UNAVAILABLE`."""
        return await with_timeout(self._topology.client(name))

    async def call(self, name: str, work: Callable[[redis.Redis], Any]) -> Any:
        """The reply to a command that ``work`` sends to the server that has a key; raises as :func:`with_timeout`
        does."""
        return await self._redirected(name, lambda client: with_timeout(work(client)))

    async def command(self, *words: Any) -> Any:
        """The reply to a command, whose second word is a key."""
        (reply,) = await self.commands(words)
        return reply

    async def commands(self, *commands: Sequence[Any]) -> list[Any]:
        """The replies to commands on one key, or keys of one shard, of which Redis does all or none. The second word of
        the first one is a key."""
        return await self._redirected(
            commands[0][1], lambda client: _pipelined(client, commands, transaction=len(commands) > 1)
        )

    async def run(self, script: Script, keys: Keys = SHARED, /, **given: Any) -> Any:
        """Run a script.

        Args:
            script: to run.
            keys: that it names.
            given: its arguments, by name.
        """
        names, args = script.bind(keys, given)
        with self._timed(script.name):
            return await self._redirected(names[0], lambda client: self._sender(client).run(script, names, args))

    async def run_replicated(self, script: Script, keys: Keys = SHARED, /, **given: Any) -> tuple[Any, bool]:
        """Run a script; its reply, and whether what it wrote has reached :attr:`replicas` replicas."""
        if not self.replicas:
            return await self.run(script, keys, **given), True
        names, args = script.bind(keys, given)
        # Together, because WAIT means what the same connection has written.
        commands = [["EVAL", script.source, len(names), *names, *args], ["WAIT", self.replicas, _REPLICATION_MS]]
        with self._timed(script.name):
            try:
                reply, reached = await self._redirected(names[0], lambda client: _pipelined(client, commands))
            except exceptions.ResponseError as error:
                if _NOT_A_MASTER not in str(error):
                    raise
                raise Unwritable(str(error)) from error
        return reply, int(reached) >= self.replicas

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        """Tell the hooks how long a script took, or that Redis did not reply."""
        begun = time.perf_counter()
        try:
            yield
        except UNAVAILABLE:
            self.hooks.unanswered()
            raise
        self.hooks.replied(operation, time.perf_counter() - begun)

    def _sender(self, client: redis.Redis) -> _Sender:
        return self._senders.setdefault(client, _Sender(client))

    async def _redirected(self, name: str, work: Callable[[redis.Redis], Awaitable[_T]]) -> _T:
        """Do ``work`` with the server that has a key, again if a cluster's server says that it is another one."""
        for tried in range(_REDIRECTIONS):
            client = await self.client(name)
            try:
                return await work(client)
            except UNAVAILABLE as error:
                self._topology.outdated()
                if not isinstance(error, REDIRECTED) or tried == _REDIRECTIONS - 1:
                    raise
            except exceptions.ResponseError as error:
                if _KEY_IS_MOVING not in str(error):
                    raise
                if tried == _REDIRECTIONS - 1:
                    raise exceptions.TryAgainError(str(error)) from error
            await asyncio.sleep(0.05 * tried)
        raise AssertionError("the last redirection is raised")
