"""Routes that answer only when a job has ended, and end it when the client does not wait for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi.responses import JSONResponse, Response

from service.api.asking import Asking
from service.api.delivery import accepted
from service.broker import Broker
from service.errors import NotFound
from service.intake import Order
from service.jobs import Job, Lane
from service.streaming import check_end, while_listened_to


async def figures(asking: Asking, order: Order, told: Callable[[Job], Mapping[str, Any] | None]) -> Response:
    """Have an order done that gives figures, and answer with them, or with the job that it has become.

    Args:
        asking: who asks, and how.
        order: what was made of the request.
        told: what the client is told of the finished job.

    Raises:
        ClientLeft: before the answer.
        ServiceError: it was not accepted, or failed.
    """
    job = await asking.accept(order)
    if job.lane is Lane.BATCH:
        return await accepted(asking.service, job)
    ended = await completed(asking, job)
    headers = {"x-job-id": ended.id, "x-model-sha256": ended.sha256, "x-engine": ended.engine or ""}
    return JSONResponse(told(ended), headers=headers)


async def completed(asking: Asking, job: Job) -> Job:
    """A job as it is once it has completed.

    Args:
        asking: who waits for it.
        job: accepted.

    Raises:
        ClientLeft: before that.
        ServiceError: the job failed, was cancelled or is gone.
    """
    broker = asking.service.broker
    ended = await while_listened_to(_end(broker, job), asking.request.receive, broker, job, keep=asking.keep)
    check_end(ended.status, ended.error)
    return ended


async def _end(broker: Broker, job: Job) -> Job:
    last = "0-0"
    while True:
        now = await broker.job(job.id)
        if now is None:
            raise NotFound("The job is gone.", code="job_not_found")
        if now.status.terminal:
            return now
        if news := await broker.events(job.id, last):
            last = news[-1][0]
