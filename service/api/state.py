"""What the routes share: made when the app starts, found through the request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.errors import NotReady
from service.settings import Settings
from service.streaming import Stage
from service.synthesis import Synthesizer


@dataclass
class State:
    """One running service."""

    settings: Settings
    synthesizer: Synthesizer
    stage: Stage
    obstacle: str | None = "The models are being warmed up."
    """Why the service cannot be used yet, or None."""


def service_state(request: Request) -> State:
    """The state of the app that serves ``request``."""
    state = request.app.state.service
    assert isinstance(state, State)
    return state


Service = Annotated[State, Depends(service_state)]


def ready_state(state: Service) -> State:
    """The same, once it can be used.

    Raises:
        NotReady: it cannot.
    """
    if state.obstacle is not None:
        raise NotReady(state.obstacle)
    return state


ReadyService = Annotated[State, Depends(ready_state)]
