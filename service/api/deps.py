"""Dependencies of routes: the state of the app, who sent the request, and how it is to be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from starlette.requests import HTTPConnection

from ancestral.catalog.models import Model
from ancestral.service.api.http.auth import caller_of
from ancestral.service.broker.job import Job
from ancestral.service.jobs.caller import Caller
from ancestral.service.jobs.payload import Payload
from ancestral.service.jobs.rate_limit import count_request
from ancestral.service.jobs.state import AppState
from ancestral.service.jobs.submit import submit_job
from ancestral.service.jobs.tasks import JobSpec


def service_state(connection: HTTPConnection) -> AppState:
    """The state of the app that serves a request or a websocket."""
    state = connection.app.state.service
    assert isinstance(state, AppState)
    return state


Service = Annotated[AppState, Depends(service_state)]
CallerDep = Annotated[Caller, Depends(caller_of)]
"""The caller."""


async def counted_caller(connection: HTTPConnection, service: Service, caller: CallerDep) -> Caller:
    """Dependency of routes whose requests count against the rate limit.

    Raises:
        Unauthorized: the request has no key, or an unknown one.
        Overloaded: the caller has reached the limit.
        NotReady: Redis is unavailable.
    """
    connection.state.ratelimit = await count_request(service, caller)
    return caller


RateLimitedCaller = Annotated[Caller, Depends(counted_caller)]
"""The caller, on routes whose requests count against the rate limit."""

Prefer = Annotated[
    str | None,
    Header(description="`respond-async` answers 202 with a job instead of the result.", max_length=256),
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
    service: AppState
    caller: Caller
    prefer: str | None
    """The ``Prefer`` header."""
    key: str | None
    """The idempotency key."""

    async def submit(self, job_spec: JobSpec[Payload, Model]) -> Job:
        """Submit the job; raises as :func:`ancestral.service.jobs.submit.submit_job` does."""
        return await submit_job(self.service, self.caller, job_spec, prefer=self.prefer, key=self.key)

    @property
    def keep(self) -> bool:
        """Whether the job is suspended, not cancelled, when the client disconnects: it may send the request again."""
        return self.key is not None


async def _request_context(
    request: Request,
    service: Service,
    caller: RateLimitedCaller,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
) -> RequestContext:
    return RequestContext(request, service, caller, prefer, idempotency_key)


ContextDep = Annotated[RequestContext, Depends(_request_context)]
