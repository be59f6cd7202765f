"""The processes that a server has started, as the kernel lists them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.cluster import ClusterNode, RedisCluster

from tests.service.support import Server


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]


def command_line(pid: int) -> list[str]:
    """What a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def process_of(server: Server, word: str) -> int:
    """The pid of what `serve` brought along: `worker`, or `valkey`."""
    for pid in descendants(server.process.pid):
        words = command_line(pid)
        if "ancestral.service.cli.local.supervisor" not in words and any(word in part for part in words):
            return pid
    raise AssertionError(f"no {word}")


def redis_of(server: Server) -> Any:
    """A connection to the Redis of a server: the one that it brought along, or a cluster."""
    variables = Path(f"/proc/{server.process.pid}/environ").read_text().split("\0")
    for variable in variables:
        name, _, url = variable.partition("=")
        if name == "ANCESTRAL_REDIS_URL":
            nodes = [host.rpartition(":") for host in url.partition("//")[2].split(",")]
            return RedisCluster(startup_nodes=[ClusterNode(host, int(port)) for host, _, port in nodes])
    for pid in descendants(server.process.pid):
        words = command_line(pid)
        if "--unixsocket" in words:  # its supervisor; Valkey itself writes over its own
            return Redis(unix_socket_path=words[words.index("--unixsocket") + 1])
    raise AssertionError("no Redis of its own")


@dataclass(frozen=True)
class Holdings:
    """What a process holds."""

    memory_kb: int
    files: int


def holdings(server: Server) -> dict[str, Holdings]:
    """Of the process that answers and of the one that samples."""
    found = {}
    for name, pid in (("api", server.process.pid), ("worker", process_of(server, "worker"))):
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        found[name] = Holdings(int(lines["VmRSS"].split()[0]), files)
    return found
