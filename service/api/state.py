"""Dependencies of routes: the state of the app, and the caller."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from ancestral.service.api.http.auth import caller_of
from ancestral.service.api.http.rate_limit import counted_caller
from ancestral.service.jobs.caller import Caller
from ancestral.service.jobs.state import State


def service_state(connection: HTTPConnection) -> State:
    """The state of the app that serves a request or a websocket."""
    state = connection.app.state.service
    assert isinstance(state, State)
    return state


Service = Annotated[State, Depends(service_state)]


Known = Annotated[Caller, Depends(caller_of)]
"""The caller."""
Counted = Annotated[Caller, Depends(counted_caller)]
"""The caller, on routes whose requests count against the rate limit."""
