"""What URLs name, and a master that sentinels name, on real servers."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from pathlib import Path

import pytest

from ancestral.service.broker.connection import retry_while_unavailable
from ancestral.service.broker.topology import SentinelTopology, UrlError, check_url, open_topology
from ancestral.service.telemetry.logging import without_password
from tests.service.broker.support import WORKER, Broker, begun, job, run
from tests.service.redis_servers import sentinels
from tests.waiting import eventually


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


@pytest.mark.slow
def test_a_new_master_has_the_jobs_of_the_old_one() -> None:
    async def act(broker: Broker) -> None:
        broker.connection.replicas = 1
        made = await broker.clients.submit(job(), queue=1)
        servers.nodes[0].end()
        broker.connection.replicas = 0
        await retry_while_unavailable(lambda: broker.workers.announce("w", WORKER, [0]), 30)
        assert await begun(broker, made) == 1
        await broker.clients.submit(job(), queue=1)
        assert await asyncio.to_thread(servers.nodes[1].client.dbsize) > 0

    with tempfile.TemporaryDirectory() as folder, sentinels(Path(folder)) as servers:
        run(servers, act)


@pytest.mark.slow
def test_no_sentinel_is_forgotten_when_many_connect_at_once() -> None:
    """The first of the sentinels cannot be reached, so that the list is put in another order."""

    async def connect(url: str) -> None:
        topology = open_topology(url)
        assert isinstance(topology, SentinelTopology)
        await asyncio.gather(*(topology.manager.discover_master("mine") for _ in range(20)))
        ports = [each.connection_pool.connection_kwargs["port"] for each in topology.manager.sentinels]
        await topology.close()
        assert len({*ports}) == len(ports) == 4

    with tempfile.TemporaryDirectory() as folder, sentinels(Path(folder)) as servers:
        asyncio.run(connect(servers.url.replace("//", "//127.0.0.1:1,")))


@pytest.mark.slow
def test_a_master_that_hung_and_goes_on_is_not_asked() -> None:
    """For some seconds it does not know of the new master, and knows nothing of that one's jobs."""

    async def act(broker: Broker) -> None:
        old, new = servers.nodes
        other = Broker(servers.url)
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

    with tempfile.TemporaryDirectory() as folder, sentinels(Path(folder)) as servers:
        run(servers, act)
