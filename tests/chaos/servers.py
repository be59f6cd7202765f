"""The Redis of a deployment: one server, a cluster, or a master with sentinels. Tests do not know which."""

from __future__ import annotations

import os
import signal
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self

from redis import Redis
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot
from redis.exceptions import RedisError

from ancestral_service.broker.connection import CLUSTER_SHARDS
from ancestral_service.broker.job import key, tag
from ancestral_service.cli.local.embedded import EmbeddedRedis
from tests.service.redis_servers import Node, RealRedis, cluster, sentinels
from tests.waiting import eventually

PRIORITIES: Final = ("interactive", "batch")


class Servers:
    """All servers of a deployment's Redis, which can be signalled, and what they have."""

    url: str
    settings: Mapping[str, str] = {}
    """Settings of every process that uses these servers."""
    shards = 1
    client: Any
    """Client for commands on one key."""

    @abstractmethod
    def pids(self) -> list[int]:
        """Process ids."""

    @abstractmethod
    def clients(self) -> Sequence[Redis]:
        """A client of each server."""

    @abstractmethod
    def outage(self, number: int) -> AbstractContextManager[None]:
        """A signal ends all, and they are started again at the end of the block."""

    @abstractmethod
    def start_ended(self) -> None:
        """Start again each server that has ended by itself, as an orchestrator does."""

    @abstractmethod
    def folders(self) -> list[Path]:
        """Where each keeps its data."""

    @abstractmethod
    def close(self) -> None:
        """End all."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: Any) -> None:
        self.close()

    def answer(self) -> bool:
        """Whether they can be used."""
        try:
            return all(client.ping() for client in self.clients())
        except RedisError:
            return False

    def each(self, act: Callable[[Redis], Any]) -> None:
        """Do something with each server."""
        for client in self.clients():
            act(client)

    def logs(self) -> list[Path]:
        """The files to which each now appends what is written."""
        found = [sorted((folder / "appendonlydir").glob("*.incr.aof"), key=_number) for folder in self.folders()]
        return [files[-1] for files in found]

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Stop all servers without ending them (SIGSTOP)."""
        pids = self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    # What they have

    def names(self, kind: str, *ids: str) -> list[str]:
        """The keys of a kind, one of each shard."""
        return [key(kind, *ids, shard=shard) for shard in range(self.shards)]

    def count(self, kind: str, *ids: str) -> int:
        """The members of a sorted set, over all shards."""
        return sum(self.client.zcard(name) for name in self.names(kind, *ids))

    def members(self, kind: str, *ids: str) -> list[str]:
        """Members of a sorted set, over all shards."""
        return [member.decode() for name in self.names(kind, *ids) for member in self.client.zrange(name, 0, -1)]


def _number(file: Path) -> int:
    return int(file.name.split(".")[-3])


class OneServer(Servers):
    """The bundled Valkey, as `ancestral serve` starts it."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "redis"
        self._valkey = EmbeddedRedis(data)
        self._valkey.start()
        self.url = self._valkey.url
        self.client = Redis.from_url(self.url)

    def close(self) -> None:
        self.client.close()
        self._valkey.stop()

    def pids(self) -> list[int]:
        return [int(self.client.info("server")["process_id"])]

    def clients(self) -> Sequence[Redis]:
        return [self.client]

    def start_ended(self) -> None:
        """Nothing to do: its supervisor starts it."""

    def folders(self) -> list[Path]:
        return [self._folder]

    @contextmanager
    def outage(self, number: int) -> Iterator[None]:
        """See :class:`Servers`."""
        (pid,) = self.pids()
        supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(supervisor, signal.SIGSTOP)  # or it would be back in a moment
        try:
            os.kill(pid, number)
            eventually(lambda: not self.answer())
            yield
        finally:
            os.kill(supervisor, signal.SIGCONT)
        eventually(self.answer)


class ReplicatedServers(Servers):
    """Servers each of whose masters has a replica that takes its place."""

    settings: Mapping[str, str] = {"ANCESTRAL_REDIS_REPLICAS": "1"}
    masters: int
    real: RealRedis
    _stack: ExitStack

    def close(self) -> None:
        self.client.close()
        self._stack.close()

    def pids(self) -> list[int]:
        return [node.process.pid for node in self.real.nodes]

    def clients(self) -> Sequence[Redis]:
        return [node.client for node in self.real.nodes]

    def start_ended(self) -> None:
        """See :class:`Servers`."""
        for node in self.real.nodes:
            if node.process.poll() is not None:
                node.start()

    def folders(self) -> list[Path]:
        return [node.folder for node in self.real.nodes]

    def answer(self) -> bool:
        """Whether they can be used, and every replica has what its master has."""
        try:
            masters = sum(node.is_master for node in self.real.nodes)
            return masters == self.masters and all(self._is_well(node) for node in self.real.nodes)
        except RedisError:
            return False

    def _is_well(self, node: Node) -> bool:
        return node.is_in_step

    @contextmanager
    def outage(self, number: int) -> Iterator[None]:
        """See :class:`Servers`."""
        for node in self.real.nodes:
            node.end(number)
        try:
            yield
        finally:
            for node in self.real.nodes:
                node.start()
        eventually(self.answer)

    # A master goes, and its replica takes its place

    def kill(self) -> None:
        """kill -9 of a master; it comes back as a replica."""
        master = self._any_master()
        master.end()
        eventually(lambda: self._has_another(master))
        master.start()
        eventually(self.answer)

    def hang(self) -> None:
        """SIGSTOP of a master, for longer than it takes to replace it."""
        master = self._any_master()
        os.kill(master.process.pid, signal.SIGSTOP)
        try:
            eventually(lambda: self._has_another(master))
            time.sleep(1)
        finally:
            os.kill(master.process.pid, signal.SIGCONT)
        eventually(lambda: not master.is_master and self.answer())

    @abstractmethod
    def replace(self) -> None:
        """A planned failover."""

    def troubles(self) -> list[Callable[[], None]]:
        """All that may happen to a master."""
        return [self.kill, self.hang, self.replace]

    def _any_master(self) -> Node:
        eventually(self.answer)
        node = self.real.masters()[0]
        self.real.nodes.remove(node)  # so that the next time it is another one
        self.real.nodes.append(node)
        return node

    @abstractmethod
    def _has_another(self, master: Node) -> bool:
        """Whether another server is master in its place."""


class SentinelServers(ReplicatedServers):
    """A master and its replica, watched by three sentinels."""

    masters = 1

    def __init__(self, data: Path) -> None:
        self._stack = ExitStack()
        self.real = self._stack.enter_context(sentinels(data))
        self.url = self.real.url

    @property
    def client(self) -> Redis:  # type: ignore[override]
        """Client of the present master."""
        return self.real.masters()[0].client

    def replace(self) -> None:
        """See :class:`ReplicatedServers`."""
        master = self._any_master()
        port = int(self.url.partition("//")[2].partition(",")[0].rpartition(":")[2])
        with Redis(port=port) as sentinel:
            sentinel.execute_command("SENTINEL FAILOVER", "mine")
        eventually(lambda: self._has_another(master) and not master.is_master)
        eventually(self.answer)

    def _has_another(self, master: Node) -> bool:
        return any(node.is_master for node in self.real.nodes if node is not master)


class ClusterServers(ReplicatedServers):
    """A cluster of three masters, each with a replica."""

    shards = CLUSTER_SHARDS
    masters = 3

    def __init__(self, data: Path) -> None:
        self._stack = ExitStack()
        self.real = self._stack.enter_context(cluster(data, replicas=1))
        self.url = self.real.url
        nodes = [ClusterNode("127.0.0.1", node.port) for node in self.real.nodes]
        self.client = RedisCluster(startup_nodes=nodes, socket_timeout=5)
        self._moved = 0

    def _is_well(self, node: Node) -> bool:
        return node.cluster_is_ok and node.is_in_step

    def replace(self) -> None:
        """See :class:`ReplicatedServers`."""
        master = self._any_master()
        node = next(n for n in self.real.nodes if n.replication.get("master_port") == master.port)
        node.client.execute_command("CLUSTER FAILOVER")
        eventually(lambda: node.is_master and not master.is_master)
        eventually(self.answer)

    def troubles(self) -> list[Callable[[], None]]:
        """See :class:`ReplicatedServers`."""
        return [*super().troubles(), self.move_slots]

    def move_slots(self) -> None:
        """The slots of some shards move to other masters."""
        eventually(self.answer)
        for _ in range(4):
            self.real.move_slot(key_slot(tag(self._moved % self.shards).encode()))
            self._moved += 1

    def _has_another(self, master: Node) -> bool:
        others = [node for node in self.real.nodes if node is not master]
        return all(node.cluster_is_ok for node in others) and sum(node.is_master for node in others) == self.masters


KINDS: Final[Mapping[str, Callable[[Path], Servers]]] = {
    "one": OneServer, "cluster": ClusterServers, "sentinels": SentinelServers,
}  # fmt: skip
"""What a deployment's Redis may be."""
