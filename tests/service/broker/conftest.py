"""A broker for each test, on a real Valkey: alone, and as a cluster of three."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.service.broker.support import Broker, on_empty
from tests.service.redis_servers import RealRedis, cluster, lone_server


@pytest.fixture(scope="package", params=["one", "cluster"])
def valkey(request: pytest.FixtureRequest) -> Iterator[RealRedis]:
    """Every test runs on one server and on a cluster. It is emptied before each test."""
    if request.param == "cluster":
        with tempfile.TemporaryDirectory() as folder, cluster(Path(folder)) as servers:
            yield servers
    else:
        with lone_server() as (url, _):
            yield RealRedis(url)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def broker(valkey: RealRedis, anyio_backend: str) -> AsyncIterator[Broker]:
    async with on_empty(valkey) as broker:
        yield broker
