"""Routes that check a JSON body or a form before anything looks into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from service.api.http.auth import caller_of
from service.errors import InvalidRequest, UnsupportedMedia

_MAX_FIELDS = 16


class JsonRoute(APIRoute):
    """A route that says precisely what is wrong with a body that is not JSON, before anything looks into it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the check."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def checked(request: Request) -> Response:
            await caller_of(request)  # nobody without a key gets a body read
            await _check_json(request)
            return await handle(request)

        return checked


async def _check_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMedia("The body must be JSON, sent with Content-Type: application/json.")
    body = await request.body()
    try:
        json.loads(body)
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not UTF-8.", code="json_invalid") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The body is not JSON: {error.msg} at {where}.", code="json_invalid") from error
    except (RecursionError, ValueError) as error:  # nested too deep; an integer of thousands of digits
        raise InvalidRequest("The body is JSON that no request needs.", code="json_invalid") from error


class FormRoute(APIRoute):
    """A route that says precisely what is wrong with a body that is no form, before anything looks into it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the check."""
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            await caller_of(request)  # nobody without a key gets a body read
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type != "multipart/form-data":
                raise UnsupportedMedia("The body must be a form, sent with Content-Type: multipart/form-data.")
            try:
                form = await request.form(max_files=1, max_fields=_MAX_FIELDS)
            except HTTPException as error:
                raise InvalidRequest(f"The body is no form: {error.detail}", code="form_invalid") from error
            names = [name for name, _ in form.multi_items()]
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise InvalidRequest(f"{twice}: given twice", param=twice, code="duplicate_parameter")
            return await handle(request)

        return checked
