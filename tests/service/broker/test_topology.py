"""What URLs name, and a master that sentinels name, on real servers."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis

from ancestral.service.broker.connection import retry_while_unavailable
from ancestral.service.broker.topology import UrlError, check_url
from ancestral.service.cli.local.embedded import _binary
from ancestral.service.telemetry.logging import without_password
from tests.service.broker.support import WORKER, Broker, begun, job, run
from tests.service.redis_cluster import RealRedis, eventually, free_ports


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:1/2", "unix:///tmp/x", "rediss+cluster://u:p%40w@a:1,b", "redis+cluster://[::1]:7000",
        "redis+sentinel://:secret@a,b:3/mine/4", "rediss+sentinel://a/mine",
    ],
)  # fmt: skip
def test_urls_that_name_a_redis(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://host", "scheme"), ("redis+x://host", "must begin"), ("redis+cluster://", "at least one host"),
        ("redis+cluster://a,,b", "between two commas"), ("redis+cluster://a/1", "no databases"),
        ("redis+cluster://a:x", "a:x"), ("redis+sentinel://a", "name-of-the-master"),
        ("redis+sentinel://a/b/c", "database"), ("redis+cluster://a?db=1", "query"),
    ],
)  # fmt: skip
def test_urls_that_name_nothing(url: str, message: str) -> None:
    with pytest.raises(UrlError, match=f"ANCESTRAL_REDIS_URL.*{message}"):
        check_url(url)


def test_no_password_is_logged() -> None:
    assert without_password("redis+cluster://u:p@a:1,b") == "redis+cluster://u:***@a:1,b"


@contextmanager
def sentinels(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]], list[Redis]]]:
    """A master, its replica and a sentinel: the URL, and processes and clients in that order."""
    ports = free_ports(3)
    file = folder / "sentinel.conf"
    file.write_text(
        f"sentinel monitor mine 127.0.0.1 {ports[0]} 1\nsentinel down-after-milliseconds mine 1000\n"
        "sentinel failover-timeout mine 3000\n"
    )
    words = [[], ["--replicaof", f"127.0.0.1 {ports[0]}"], ["--sentinel"]]
    with ExitStack() as stack:
        processes, clients = list[subprocess.Popen[bytes]](), list[Redis]()
        for port, more in zip(ports, words, strict=True):
            first = [str(_binary()), *([str(file)] if more == ["--sentinel"] else [])]
            command = [*first, "--port", str(port), "--dir", str(folder), "--save", "", *more]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
            clients.append(stack.enter_context(Redis(port=port)))
            eventually(clients[-1].ping)
        eventually(lambda: clients[1].info("replication")["master_link_status"] == "up")  # type: ignore[index]
        eventually(lambda: clients[2].sentinel_slaves("mine"))  # type: ignore[no-untyped-call]
        yield f"redis+sentinel://127.0.0.1:{ports[2]}/mine", processes, clients


@pytest.mark.slow
def test_a_new_master_has_the_jobs_of_the_old_one() -> None:
    async def act(broker: Broker) -> None:
        broker.connection.replicas = 1
        made = await broker.clients.submit(job(), queue=1)
        processes[0].kill()
        broker.connection.replicas = 0
        await retry_while_unavailable(lambda: broker.workers.announce(WORKER, [0]), 30)
        assert await begun(broker, made) == 1
        await broker.clients.submit(job(), queue=1)
        assert await asyncio.to_thread(clients[1].dbsize) > 0

    with tempfile.TemporaryDirectory() as folder, sentinels(Path(folder)) as (url, processes, clients):
        run(RealRedis(url), act)
