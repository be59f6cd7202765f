"""A real cluster of the bundled Valkey: masters, each with as many replicas as wanted."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from ancestral.service.cli.local.embedded import _binary

SLOTS = 16384
NODE_TIMEOUT_MS = 2000


def free_ports(count: int) -> list[int]:
    """Different free TCP ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in sockets]


def eventually(true: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until it is true; a server that does not answer is not."""
    until = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except RedisError:
            pass
        assert time.monotonic() < until
        time.sleep(0.05)


@dataclass
class Node:
    """One server."""

    port: int
    bus_port: int
    process: subprocess.Popen[bytes]
    client: Redis


@dataclass
class RealRedis:
    """A Redis that tests use: one server, or a cluster."""

    url: str
    nodes: list[Node] = field(default_factory=list)
    """Of a cluster: first its masters, then their replicas in the same order, until they change places."""

    def masters(self) -> list[Node]:
        """Those that are masters now."""
        return [node for node in self.nodes if node.process.poll() is None and _role(node) == "master"]


def _node(folder: Path, port: int, bus_port: int) -> Node:
    directory = folder / str(port)
    directory.mkdir()
    options = {"port": port, "cluster-enabled": "yes", "cluster-port": bus_port, "dir": directory, "save": ""}
    options |= {"cluster-node-timeout": NODE_TIMEOUT_MS, "appendonly": "yes", "bind": "127.0.0.1"}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([str(_binary()), *words], stdout=log, stderr=log)
    return Node(port, bus_port, process, Redis(port=port, socket_timeout=5))


def _is_ok(node: Node) -> bool:
    return "cluster_state:ok" in str(node.client.execute_command("CLUSTER INFO")).replace("': '", ":")


def _role(node: Node) -> str:
    found: Any = node.client.info("replication")
    return str(found["role"])


def _is_replica(node: Node) -> bool:
    found: Any = node.client.info("replication")
    return bool(found["role"] == "slave" and found["master_link_status"] == "up")


@contextmanager
def cluster(folder: Path, masters: int = 3, replicas: int = 0) -> Iterator[RealRedis]:
    """Run a cluster until the block ends."""
    count = masters * (1 + replicas)
    ports = free_ports(2 * count)
    nodes = [_node(folder, port, bus_port) for port, bus_port in zip(ports[::2], ports[1::2], strict=True)]
    try:
        for node in nodes:
            eventually(node.client.ping)
        for number, node in enumerate(nodes[:masters]):
            first, last = SLOTS * number // masters, SLOTS * (number + 1) // masters - 1
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        for node in nodes[1:]:
            meeting = ("127.0.0.1", nodes[0].port, nodes[0].bus_port)
            node.client.execute_command("CLUSTER MEET", *meeting)
        for node in nodes:
            eventually(partial(_is_ok, node))
        for number, node in enumerate(nodes[masters:]):
            master = nodes[number % masters].client.execute_command("CLUSTER MYID")
            eventually(partial(node.client.execute_command, "CLUSTER REPLICATE", master))
            eventually(partial(_is_replica, node))
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        yield RealRedis(f"redis+cluster://{hosts}", nodes)
    finally:
        for node in nodes:
            node.client.close()
            node.process.kill()
            node.process.wait()
