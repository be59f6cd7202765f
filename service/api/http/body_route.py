"""The class of routes: it authenticates a request with a body, reads the body once, and says what is wrong with it.

FastAPI reads the body of a request before it resolves dependencies, and answers every body that is not JSON with the
same message. This class checks the key before anything is read, and hands FastAPI the parsed body.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any, Final

from fastapi import Form, Request, Response, params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from ancestral.errors import InvalidRequest
from ancestral.requests import parse_json
from ancestral.service.api.http.auth import caller_of
from ancestral.service.errors import UnsupportedMedia

_MAX_FIELDS: Final = 16
"""Fields, and files, of a form."""

MULTIPART: Final[Any] = Form(media_type="multipart/form-data")
"""What all fields of a form are annotated with."""
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


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
