"""Who a request is from, and what it may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """Whom a request is from, and what is allowed to them; None leaves it to the server's settings."""

    name: str
    requests_per_minute: int | None = None
    concurrent_streams: int | None = None


ANONYMOUS = Caller("anonymous")
