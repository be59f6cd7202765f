"""Dependencies of routes: the state of the app, who sent the request, and how it is to be answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from starlette.requests import HTTPConnection
from starlette.types import Receive

from ancestral.catalog.descriptions import Model, Plan
from ancestral_service.api.http.auth import caller_of, check_again
from ancestral_service.broker.connection import UNAVAILABLE, cancel_all
from ancestral_service.broker.job import Job
from ancestral_service.errors import ClientDisconnected, ResponseAborted, Unauthorized
from ancestral_service.jobs.admission import submit_job
from ancestral_service.jobs.plans import JobSpec
from ancestral_service.jobs.state import AppState, Caller
from ancestral_service.ws import CHECK_SECONDS

_T = TypeVar("_T")
log = logging.getLogger(__name__)


def service_state(connection: HTTPConnection) -> AppState:
    """The state of the app that serves a request or a websocket."""
    state = connection.app.state.service
    assert isinstance(state, AppState)
    return state


Service = Annotated[AppState, Depends(service_state)]


def base_url(connection: HTTPConnection) -> str:
    """The address of this server as clients see it; ends with a slash."""
    public = service_state(connection).settings.public_url
    return str(connection.base_url) if public is None else f"{public}/"


CallerDep = Annotated[Caller, Depends(caller_of)]


async def counted_caller(connection: HTTPConnection, service: Service, caller: CallerDep) -> Caller:
    """Dependency of routes whose requests count against the rate limit.

    Raises:
        Unauthorized: the request has no key, or an unknown one.
        Overloaded: the caller has reached the limit.
        NotReady: Redis is unavailable.
    """
    connection.state.ratelimit = await service.count_request(caller)
    return caller


RateLimitedCaller = Annotated[Caller, Depends(counted_caller)]
"""The caller, on routes whose requests count against the rate limit."""

Prefer = Annotated[
    str | None, Header(description="`respond-async` answers 202 with a job instead of the result.", max_length=256)
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="The same key and body within 24 hours are the same job; another body is refused (422).",
        json_schema_extra={"pattern": "^[!-~]{1,255}$"},
    ),
]


@dataclass(frozen=True)
class RequestContext:
    """One request that submits a job."""

    request: Request
    service: Service
    caller: RateLimitedCaller
    prefer: Prefer = None
    idempotency_key: IdempotencyKey = None

    async def submit(self, job_spec: JobSpec[Plan, Model], kept_seconds: int = 0) -> Job:
        """Submit the job, as :func:`ancestral_service.jobs.admission.submit_job` does, which says what it raises."""
        return await submit_job(
            self.service, self.caller, job_spec, prefer=self.prefer, key=self.idempotency_key, kept_seconds=kept_seconds
        )

    async def while_connected(self, work: Coroutine[Any, Any, _T], job: Job) -> _T:
        """Await the answer to a request that waits for a job. On failure or disconnect the job is cancelled, unless the
        request has an idempotency key, with which the client may send it again: then sound is suspended until it does,
        and other work, for which another client with the key may wait without a connection, goes on. A key of the API
        that is revoked cancels it in any case.

        Args:
            work: produces the answer.
            job: submitted.

        Raises:
            ClientDisconnected: the client disconnected before the answer was complete.
            ResponseAborted: its key was revoked.
            Exception: what ``work`` raises.
        """
        answering, gone = asyncio.create_task(work), asyncio.create_task(_disconnected(self.request.receive))
        revoked = asyncio.create_task(_revoked(self.request))
        try:
            await asyncio.wait((answering, gone, revoked), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ResponseAborted("the API key was revoked") if revoked.done() else ClientDisconnected
            return await answering
        finally:
            await cancel_all(answering, gone, revoked)
            if answering.cancelled() or answering.exception() is not None:
                await asyncio.shield(self._abandon(job, cancel=self.idempotency_key is None or not revoked.cancelled()))

    async def _abandon(self, job: Job, *, cancel: bool) -> None:
        broker = self.service.broker
        try:
            if cancel or job.paced:
                await (broker.cancel(job) if cancel else broker.suspend(job))
        except UNAVAILABLE:  # the worker will notice that nothing is read
            log.warning("Redis is unavailable", extra={"job": job.id})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _revoked(request: Request) -> None:
    """Return once the key of a request is no longer valid."""
    with suppress(Unauthorized):
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            check_again(request)


ContextDep = Annotated[RequestContext, Depends()]
