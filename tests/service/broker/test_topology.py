"""What URLs name, a master that sentinels name, and how many connections stay open."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from ancestral_service.broker.connection import UNAVAILABLE, UrlError, check_url, open_topology, retry_while_unavailable
from tests.service.broker.support import WORKER, Broker, fails, job
from tests.service.redis_servers import SLOTS, Node, RealRedis, sentinels
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
        *((url, "not a valid URL") for url in ("redis://:qx/y@host", "redis://u:1#qx@host")),
        *((url, "not a valid URL") for url in ("redis://u:1/qx@host", "redis+cluster://u:qx", "redis+cluster://[qx")),
        *((url, "must begin") for url in ("http://host", "localhost:6379", "redis+x://host")),
        ("redis+cluster://", "at least one host"),
        ("redis+cluster://a,,b", "between two commas"), ("redis+cluster://a/1", "no databases"),
        ("redis+sentinel://a", "name-of-the-master"),
        ("redis+sentinel://a/b/c", "database"), ("redis+cluster://a?db=1", "query"),
    ],
)  # fmt: skip
def test_urls_that_name_nothing(url: str, message: str) -> None:
    with pytest.raises(UrlError, match=f"ANCESTRAL_REDIS_URL.*{message}") as raised:
        check_url(url)
    assert "qx" not in str(raised.value), "it may be a part of the password"


async def test_a_cluster_is_found_again(tmp_path: Path) -> None:
    """One that has no slots yet, or not all; and by the names in the URL, when all addresses have changed."""
    node = Node(tmp_path, {"cluster-enabled": "yes"})
    topology = open_topology(f"redis+cluster://127.0.0.1:{node.port}")
    slot = key_slot(b"a")

    async def reached() -> int:
        client = await topology.client("a")
        return int(client.connection_pool.connection_kwargs["port"])

    try:
        await asyncio.to_thread(eventually, node.client.ping)
        for first, last in ((0, slot - 1), (slot + 1, SLOTS - 1), (slot, slot)):
            await fails(UNAVAILABLE, reached())
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
        for port in (node.port, 1, node.port):
            node.client.config_set("cluster-announce-port", port)
            topology.outdated()
            assert await reached() == port
    finally:
        await topology.close()
        node.close()


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
