"""Messages to a worker, over a channel of its own: what clients want of the jobs that it runs, and that a job waits.

The channels are sharded (``SSUBSCRIBE``), so that in a cluster only the shard of the job has to do with a message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import asyncio as redis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from ancestral.service.broker.connection import Connection
from ancestral.service.broker.keys import key

_CHECK_SECONDS: Final = 1.0
"""Interval at which is checked whether other servers have the channels now."""


@dataclass(frozen=True)
class Message:
    verb: str
    """``cancel`` | ``suspend`` | ``read``, with the id of a job; ``wake``, with a priority."""
    subject: str
    value: int = 0
    """The symbols read; the shard in which a job waits."""


class Control:
    """The channels of a worker, one in each shard."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def messages(self, worker: str) -> AsyncIterator[Message]:
        """What is sent to a worker from now on.

        Raises:
            Exception: one of :data:`UNAVAILABLE`; it may be called again.
        """
        servers = await self._servers(worker)
        heard: asyncio.Queue[Message | None] = asyncio.Queue()
        listening = [asyncio.create_task(_listen(server, names, heard)) for server, names in servers.items()]
        for task in listening:
            task.add_done_callback(lambda _: heard.put_nowait(None))
        checked_at = time.monotonic()
        try:
            while True:
                try:
                    async with asyncio.timeout(_CHECK_SECONDS):
                        message = await heard.get()
                except TimeoutError:
                    pass
                else:
                    if message is None:
                        break
                    yield message
                if time.monotonic() - checked_at >= _CHECK_SECONDS:
                    checked_at = time.monotonic()
                    if await self._servers(worker) != servers:
                        raise exceptions.ConnectionError("a channel has moved to another server")
            for task in listening:
                if task.done():
                    task.result()
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    async def _servers(self, worker: str) -> dict[redis.Redis, list[str]]:
        """The channels, by the server that has them."""
        servers: dict[redis.Redis, list[str]] = {}
        for shard in range(self._connection.shards):
            name = key("control", worker, shard=shard)
            servers.setdefault(await self._connection.client(name), []).append(name)
        return servers


async def _listen(server: redis.Redis, names: Sequence[str], heard: asyncio.Queue[Message | None]) -> None:
    """Put messages from one server into a queue, until its connection breaks."""
    pool = server.connection_pool
    connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]
    try:
        for name in names:  # one command could not have channels of several shards
            await connection.send_command("SSUBSCRIBE", name)
        while True:
            kind, _, data = await connection.read_response()
            if kind == b"smessage":
                heard.put_nowait(_parse(data))
            elif kind != b"ssubscribe":
                raise exceptions.ConnectionError("a channel has moved to another server")
    finally:
        await connection.disconnect(nowait=True)
        await pool.release(connection)


def _parse(data: Any) -> Message:
    verb, subject, *value = data.decode().split(" ")
    return Message(verb, subject, *map(int, value))
