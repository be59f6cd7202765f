"""What every route that has something sampled hears besides its body: who asks, and how the answer should come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from service.api.state import Counted, Service, State
from service.auth import Caller
from service.intake import Order, accept
from service.jobs import Job

Prefer = Annotated[
    str | None,
    Header(description="`respond-async` answers 202 with a job instead of what is asked for.", max_length=256),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="The same key and body within 24 hours are the same job; another body is refused (422).",
        json_schema_extra={"pattern": "^[!-~]{1,255}$"},
    ),
]


@dataclass(frozen=True)
class Asking:
    """One request for something to be sampled."""

    request: Request
    service: State
    caller: Caller
    prefer: str | None
    """The ``Prefer`` header."""
    key: str | None
    """The idempotency key."""

    async def accept(self, order: Order) -> Job:
        """Make a job of it; raises as :func:`service.intake.accept` does."""
        return await accept(self.service, self.caller, order, prefer=self.prefer, key=self.key)

    @property
    def keep(self) -> bool:
        """The client may come back for it: if it leaves, the job is parked and not cancelled."""
        return self.key is not None


async def _asking(
    request: Request, service: Service, caller: Counted, prefer: Prefer = None, idempotency_key: IdempotencyKey = None
) -> Asking:
    return Asking(request, service, caller, prefer, idempotency_key)


Asked = Annotated[Asking, Depends(_asking)]
