"""The processes that a server has started, as the kernel lists them."""

from __future__ import annotations

from pathlib import Path

from redis import Redis

from tests.service.support import Server


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]


def command_line(pid: int) -> list[str]:
    """What a process was started with."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def redis_of(server: Server) -> Redis:
    """A connection to the Redis that the server brought along."""
    for pid in descendants(server.process.pid):
        words = command_line(pid)
        if "--unixsocket" in words:  # its supervisor; Valkey itself writes over its own
            return Redis(unix_socket_path=words[words.index("--unixsocket") + 1])
    raise AssertionError("no Redis of its own")
