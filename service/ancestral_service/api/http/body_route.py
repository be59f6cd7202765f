"""Routes that read their bodies themselves, and answers that are files."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Any, Final

from fastapi import Depends, Form, Header, Request, Response, params
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from pydantic import ConfigDict
from starlette.exceptions import HTTPException

from ancestral.errors import InvalidRequest
from ancestral.requests import Described, parse_json
from ancestral_service.api.http.auth import caller_of
from ancestral_service.errors import RangeNotSatisfiable, UnsupportedMedia

# The class of routes: it authenticates a request with a body, reads the body once, and says what is wrong with it.
#
# FastAPI reads the body of a request before it resolves dependencies, and answers every body that is not JSON with the
# same message. This class checks the key before anything is read, and hands FastAPI the parsed body.

_MAX_FIELDS: Final = 32
"""Fields, and files, of a form."""

MULTIPART: Final[Any] = Form(media_type="multipart/form-data")
"""What all fields of a form are annotated with."""
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class FormFields(Described):
    """The base of the fields of forms: there are no others."""

    model_config = ConfigDict(extra="forbid")


class JsonRequest(Request):
    """A request whose JSON is parsed by :func:`parse_json`, once."""

    async def json(self) -> Any:
        """The parsed body.

        Raises:
            InvalidRequest: it is not UTF-8, or :func:`parse_json` refuses it.
        """
        if not hasattr(self, "_json"):
            try:
                text = (await self.body()).decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise InvalidRequest("The body is not UTF-8.", code="json_invalid") from error
            self._json = parse_json(text, "The body")
        return self._json


class BodyRoute(APIRoute):
    """A route whose body, if it has one, is JSON or, where its handler declares a form, multipart."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, called with the body parsed."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        parse = _with_form if isinstance(self.body_field.field_info, params.Form) else _with_json

        async def checked(request: Request) -> Response:
            await caller_of(request)
            return await handle(await parse(request))

        return checked


async def _with_json(request: Request) -> Request:
    content_type = _check_content_type(request, "application/json")
    if content_type.get_content_charset("utf-8") not in ("utf-8", "utf8"):
        raise UnsupportedMedia("The body must be JSON in UTF-8, the only charset that JSON has.")
    json_request = JsonRequest(request.scope, request.receive)
    await json_request.json()
    return json_request


async def _with_form(request: Request) -> Request:
    _check_content_type(request, "multipart/form-data")
    try:
        form = await request.form(max_files=_MAX_FIELDS, max_fields=_MAX_FIELDS)
    except HTTPException as error:
        raise InvalidRequest(f"The body is no form: {error.detail}", code="form_invalid") from error
    names = [name for name, _ in form.multi_items()]
    if twice := next((name for name in names if names.count(name) > 1), None):
        await form.close()  # FastAPI closes the forms that it is given
        raise InvalidRequest(f"{twice}: given twice", param=twice, code="duplicate_parameter")
    return request


_WANTED: Final = {
    "application/json": "The body must be JSON, sent with Content-Type: application/json.",
    "multipart/form-data": "The body must be a form, sent with Content-Type: multipart/form-data.",
}


def _check_content_type(request: Request, media_type: str) -> Message:
    """The ``Content-Type`` header, which must be of this type, of a body that must not be compressed."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        name = "Content-Encoding"
        raise UnsupportedMedia(f"{name}: send the body without compression", param=name)
    found = Message()
    found["content-type"] = request.headers.get("content-type", "")
    if found.get_content_type() != media_type:
        raise UnsupportedMedia(_WANTED[media_type])
    return found


# A file that is kept somewhere else, sent whole or in part, or not at all to a client that has it (RFC 9110).

# ``If-None-Match``, of clients that have a file already.

IfNoneMatch = Annotated[str | None, Header(description="Answer 304 if the file has this ETag.")]


def not_modified(if_none_match: str | None, headers: Mapping[str, str]) -> Response | None:
    """The answer 304 with these headers, if the client has what their ``etag`` names. Weak tags count as the strong
    ones that they contain."""
    wanted = {part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")}
    if wanted.isdisjoint({"*", headers["etag"].removeprefix("W/")}):
        return None
    return Response(status_code=304, headers=dict(headers))


_RANGE: Final = re.compile(r"\s*bytes\s*=\s*(\d{0,1000})\s*-\s*(\d{0,1000})\s*", re.IGNORECASE)


def binary(*media_types: str) -> dict[str, Any]:
    """The content of a response that has the bytes of a file, for OpenAPI."""
    return {media: {"schema": {"type": "string", "format": "binary"}} for media in media_types}


def file_responses(description: str, content: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route that answers with :func:`file_response`: the file, and the media types it may have."""
    return {
        200: {"description": description, "content": content},
        206: {"description": "The requested range.", "content": content},
        304: {"description": "The file has the given ETag."},
    }


@dataclass(frozen=True)
class Conditions:
    """What of a file a client wants, and what it has."""

    ranges: Annotated[str | None, Header(alias="Range", description="`bytes=FIRST-LAST`: a part of the file.")] = None
    if_range: Annotated[str | None, Header(description="Send the range only if the file has this ETag.")] = None
    if_none_match: IfNoneMatch = None


ConditionsDep = Annotated[Conditions, Depends()]


def file_response(
    read: Callable[[int, int], AsyncIterator[bytes]],
    size: int,
    tag: str,
    media_type: str,
    conditions: Conditions,
    headers: Mapping[str, str],
) -> Response:
    """A file, or the part of it that is wanted, or 304.

    Args:
        read: gives the bytes from a position to another.
        size: of the file in bytes.
        tag: for its ETag: a hash that says which bytes it has.
        media_type: of the file.
        conditions: of the request.
        headers: other ones.

    Raises:
        RangeNotSatisfiable: the wanted range lies outside.
    """
    etag = f'"{tag}"'
    own = {"accept-ranges": "bytes", "cache-control": "private, no-cache", "etag": etag, **headers}
    if (unchanged := not_modified(conditions.if_none_match, own)) is not None:
        return unchanged
    part = byte_range(conditions.ranges, size) if conditions.if_range in (None, etag) else None
    start, stop = part or (0, size)
    if part is not None:
        own["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    own["content-length"] = str(stop - start)
    return StreamingResponse(read(start, stop), 200 if part is None else 206, own, media_type=media_type)


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The first byte that a ``Range`` header names and the one after the last; None for the whole file.

    A malformed header, another unit and several ranges are ignored, as the RFC allows.

    Raises:
        RangeNotSatisfiable: the range lies outside.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or not any(found.groups()):
        return None
    first, last = (int(digits) if digits else None for digits in found.groups())
    if first is None:  # the last so many bytes
        start, stop = max(0, size - (last or 0)), size
    else:
        if last is not None and last < first:
            return None
        start, stop = first, size if last is None else min(last + 1, size)
    if start >= stop:
        message = f"Range: the content has {size} bytes"
        raise RangeNotSatisfiable(message, param="Range", headers={"content-range": f"bytes */{size}"})
    return start, stop
