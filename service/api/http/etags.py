"""``If-None-Match``, of clients that have a file already."""

from __future__ import annotations


def matches(header: str, etag: str) -> bool:
    """Whether an ``If-None-Match`` names this entity tag; weak tags count as the strong ones that they contain."""
    return any(part.strip().removeprefix("W/") in ("*", etag.removeprefix("W/")) for part in header.split(","))
