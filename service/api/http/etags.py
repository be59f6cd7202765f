"""``If-None-Match``, of clients that have a file already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Header
from fastapi.responses import Response

IfNoneMatch = Annotated[str | None, Header(description="Answer 304 if the file has this ETag.")]


def not_modified(if_none_match: str | None, headers: Mapping[str, str]) -> Response | None:
    """The answer 304 with these headers, if the client has what their ``etag`` names. Weak tags count as the strong
    ones that they contain."""
    wanted = {part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")}
    if wanted.isdisjoint({"*", headers["etag"].removeprefix("W/")}):
        return None
    return Response(status_code=304, headers=dict(headers))
