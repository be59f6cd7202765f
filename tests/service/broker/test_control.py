"""Messages to a worker: what clients want of its jobs, over a channel of a real Valkey."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.control import Message
from ancestral.service.broker.job import Priority
from tests.service.broker.support import Broker, begun, job, renewed, run, stored
from tests.service.redis_servers import RealRedis


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def listening_to(broker: Broker, heard: list[Message]) -> asyncio.Task[None]:
    """The task of worker ``w``, once Redis knows that it listens."""

    async def listen() -> None:
        while True:
            with suppress(*UNAVAILABLE):
                async for message in broker.workers.control.messages("w"):
                    heard.append(message)  # noqa: PERF401 - it never ends
            await asyncio.sleep(0.01)

    task = asyncio.create_task(listen())
    while not await broker.redis.pubsub_shardchannels():  # type: ignore[no-untyped-call]
        await asyncio.sleep(0.01)
    return task


def test_what_clients_want_reaches_the_worker(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        made, other, idle = job(), job(priority=Priority.BATCH), job()
        for each in (made, other, idle):
            await broker.clients.submit(each, queue=1)
        for each in (made, other):
            await begun(broker, each)
        heard: list[Message] = []
        listening = await listening_to(broker, heard)
        assert await broker.clients.acknowledge(made, 4000) == "w"
        assert not await broker.clients.acknowledge(idle, 0)  # nobody runs it
        assert await broker.clients.report_read(made, 5000, "w")
        assert not await broker.clients.report_read(made, 5000, "another")
        await broker.clients.suspend(other)
        await broker.clients.cancel(idle)  # no worker has it
        await broker.clients.cancel(made)
        wanted = [Message("read", made.id, 4000), Message("read", made.id, 5000)]
        wanted += [Message("suspend", other.id), Message("cancel", made.id)]
        while len(heard) < len(wanted):
            await asyncio.sleep(0.01)
        await stopped(listening)
        assert heard == wanted
        signals = await renewed(broker, made, 1)
        assert signals is not None
        assert signals.read == 4000
        assert (await stored(broker, made)).status.terminal

    run(valkey, act)


def test_a_worker_hears_its_clients_whenever_its_connection_broke(valkey: RealRedis) -> None:
    async def act(broker: Broker) -> None:
        heard: list[Message] = []
        async with asyncio.timeout(60):
            listening = await listening_to(broker, heard)
            for number in range(40):
                with suppress(*UNAVAILABLE):
                    await broker.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                while not await broker.clients.report_read(job(), number, "w"):
                    await asyncio.sleep(0.005)
                while not heard or heard[-1].value != number:
                    await asyncio.sleep(0.005)
        assert not listening.done()
        await stopped(listening)
        while await broker.redis.pubsub_shardchannels():  # type: ignore[no-untyped-call]
            await asyncio.sleep(0.01)

    run(valkey, act)
