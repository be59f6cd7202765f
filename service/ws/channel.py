"""What a websocket route exchanges: the models that its code validates with, for ``/asyncapi.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel


@dataclass(frozen=True)
class Channel:
    """One websocket route."""

    id: str
    path: str
    """As the router has it, with parameters in braces."""
    summary: str
    description: str
    query: type[BaseModel]
    """The parameters of the URL."""
    client: tuple[type[BaseModel], ...]
    """The messages that a client may send."""
    server: tuple[type[BaseModel], ...]
    """The messages that the server may send."""
    frames: str | None = None
    """What the binary frames hold that the server sends; None if it sends none."""
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    """Descriptions of the parameters in the path."""
