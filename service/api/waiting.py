"""Routes that answer only when a job has ended, and end it when the client does not wait for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from service.api.delivery import accepted
from service.api.state import State
from service.auth import Caller
from service.broker import Broker
from service.errors import NotFound
from service.intake import Order, accept
from service.jobs import Job, Lane
from service.streaming import check_end, while_listened_to


async def figures(
    service: State,
    caller: Caller,
    order: Order,
    request: Request,
    told: Callable[[Job], Mapping[str, Any] | None],
    *,
    prefer: str | None,
    key: str | None,
) -> Response:
    """Have an order done that gives figures, and answer with them, or with the job that it has become.

    Args:
        service: that serves it.
        caller: who asks.
        order: what was made of the request.
        request: whose client waits; its body has been read.
        told: what the client is told of the finished job.
        prefer: the ``Prefer`` header.
        key: the idempotency key, if the request can be repeated with one.

    Raises:
        ClientLeft: before the answer.
        ServiceError: it was not accepted, or failed.
    """
    job = await accept(service, caller, order, prefer=prefer, key=key)
    if job.lane is Lane.BATCH:
        return await accepted(service, job)
    ended = await completed(request, service.broker, job, keep=key is not None)
    headers = {"x-job-id": ended.id, "x-model-sha256": ended.sha256, "x-engine": ended.engine or ""}
    return JSONResponse(told(ended), headers=headers)


async def completed(request: Request, broker: Broker, job: Job, *, keep: bool) -> Job:
    """The job as it is once it has completed.

    Args:
        request: whose client waits; its body has been read.
        broker: of the job.
        job: accepted.
        keep: the client may come back for it: if it leaves, the job is parked and not cancelled.

    Raises:
        ClientLeft: before that.
        ServiceError: the job failed, was cancelled or is gone.
    """
    ended = await while_listened_to(_end(broker, job), request.receive, broker, job, keep=keep)
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
