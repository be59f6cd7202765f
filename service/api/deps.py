"""Dependencies of every route that submits a job: who sent the request, and how it is to be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from ancestral.service.api.state import Counted, Service
from ancestral.service.broker.job import Job
from ancestral.service.catalog.models import Model
from ancestral.service.jobs.caller import Caller
from ancestral.service.jobs.payload import Payload
from ancestral.service.jobs.state import State
from ancestral.service.jobs.submit import JobSpec, submit_job

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
    service: State
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
        """Whether the job is parked, and not cancelled, when the client disconnects: it may send the request again."""
        return self.key is not None


async def _request_context(
    request: Request, service: Service, caller: Counted, prefer: Prefer = None, idempotency_key: IdempotencyKey = None
) -> RequestContext:
    return RequestContext(request, service, caller, prefer, idempotency_key)


ContextDep = Annotated[RequestContext, Depends(_request_context)]
