"""Which server of Redis has a key: one server, the master that sentinels name, or the masters of a cluster."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff
from redis.crc import key_slot

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


class UrlError(ValueError):
    """A setting that names no Redis; the message says why."""


class _IdleLimited(ConnectionPool):
    """A pool that closes a connection on its return when :data:`MAX_IDLE` are idle already.

    redis-py's own pool keeps as many as were ever in use at once. Its blocking pool limits those in use instead, which
    would make readers wait for each other: every listener holds a connection while it waits for symbols.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **(options | {"max_connections": _NO_LIMIT}))  # 100 by default
        self._idle: set[AbstractConnection] = set()

    async def get_connection(self, *args: Any, **options: Any) -> AbstractConnection:
        connection: AbstractConnection = await super().get_connection(*args, **options)  # type: ignore[no-untyped-call]
        self._idle.discard(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        if len(self._idle) < MAX_IDLE:
            self._idle.add(connection)
        else:
            await connection.disconnect(nowait=True)  # without waiting, it cannot be cancelled halfway
        await super().release(connection)


class IdleLimitedPool(_IdleLimited):
    """Connections to a server with an address."""


class IdleLimitedSentinelPool(_IdleLimited, SentinelConnectionPool):
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
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
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
                await self._pool.get_master_address()  # type: ignore[no-untyped-call]
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
        self._clients: dict[tuple[str, int], redis.Redis] = {}
        self._known = False
        self._discovering = asyncio.Lock()

    async def client(self, key: str) -> redis.Redis:
        """The client of the node that holds a key.

        Raises:
            Exception: one of ``UNAVAILABLE`` (connection.py): no server of the cluster answers, or nobody has the key.
        """
        async with self._discovering:
            if not self._known:
                await self._discover()
        node = self._cluster.nodes_manager.get_node_from_slot(key_slot(key.encode()))
        address = (str(node.host), int(node.port))
        if address not in self._clients:
            pool = IdleLimitedPool(host=address[0], port=address[1], **self._options)
            self._clients[address] = redis.Redis.from_pool(pool)
        return self._clients[address]

    async def _discover(self) -> None:
        known = [*self._cluster.nodes_manager.startup_nodes.values()]
        try:
            if self._cluster._initialize:
                await self._cluster.initialize()
            else:
                await self._cluster.nodes_manager.initialize()
        except exceptions.RedisClusterException as error:
            raise exceptions.ConnectionError(str(error)) from error
        finally:  # it is asked seldom
            manager = self._cluster.nodes_manager
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
    scheme, _, kind = url.partition(":")[0].partition("+")
    if not kind:
        try:
            return Topology(redis.Redis.from_pool(IdleLimitedPool.from_url(url, **options)))
        except ValueError as error:
            raise UrlError(f"ANCESTRAL_REDIS_URL: {error}") from error
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    if credentials:
        user, _, password = credentials.partition(":")
        options |= {name: unquote(text) for name, text in (("username", user), ("password", password)) if text}
    tls = scheme == "rediss"
    path = [unquote(part) for part in parts.path.split("/") if part]
    if parts.query or parts.fragment or scheme not in ("redis", "rediss") or kind not in ("sentinel", "cluster"):
        known = ", ".join(f"{name}://" for name in SCHEMES)
        raise UrlError(f"ANCESTRAL_REDIS_URL: must begin with one of {known}, without a query")
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
        except ValueError as error:
            raise UrlError(f"ANCESTRAL_REDIS_URL: {each}: {error}") from error
    if not all(host for host, _ in found):
        raise UrlError("ANCESTRAL_REDIS_URL: at least one host is needed, and a name between two commas")
    return found
