"""The examples of ``/openapi.json``: exchanges that were recorded from a server with the bundled models.

``examples.json`` lists them in an order in which they can be sent again; a test does so and compares. Its requests are
written by hand, its responses by ``python -m tests.service.openapi_examples``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ancestral.service.api.http.errors import PROBLEM, problem
from ancestral.service.errors import envelope, internal_error

EXAMPLES_FILE: Final = Path(__file__).with_name("examples.json")
_JSON: Final = "application/json"
_FORM: Final = "multipart/form-data"


@dataclass(frozen=True)
class Exchange:
    """One request, and its response."""

    operation: str
    """``METHOD /path``, as the route has it."""
    name: str
    status: int
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    """The body, or None."""
    form: Mapping[str, Any] | None = None
    """The fields of a form, or None."""
    file: str | None = None
    """The file of the form, in base64."""
    file_field: str = "file"
    """Its field."""
    changes: Mapping[str, Any] | None = None
    """The body is that of the operation's first exchange, with these changes."""
    job: str | None = None
    """The id of the job in the response; later exchanges refer to it."""
    token: str | None = None
    """The token in the URLs of the response."""
    response: Any = None
    """Its JSON, with long lists cut; None if it is not JSON."""


def load_exchanges() -> list[Exchange]:
    """All exchanges, in the order in which they can be sent."""
    return [Exchange(**fields) for fields in json.loads(EXAMPLES_FILE.read_text())]


def add_examples(document: dict[str, Any]) -> None:
    """Add the exchanges to the operations of an OpenAPI document.

    Raises:
        KeyError: an exchange has a status that its operation does not document.
    """
    for exchange in load_exchanges():
        method, path = exchange.operation.split(" ")
        operation = document["paths"][path][method.lower()]
        if exchange.status < 300:
            _add_parameters(operation, exchange)
            _add_request(operation, exchange)
        _add_response(operation["responses"][str(exchange.status)], exchange)
    internal = Exchange("", "A failure of the server", 500, response=envelope(internal_error()))
    for operation in (operation for methods in document["paths"].values() for operation in methods.values()):
        if "500" in operation["responses"]:
            _add_response(operation["responses"]["500"], internal)


def _add_parameters(operation: dict[str, Any], exchange: Exchange) -> None:
    given = {**exchange.path, **exchange.query, **exchange.headers}
    for parameter in operation.get("parameters", []):
        if (value := given.get(parameter["name"].lower())) is not None:
            parameter.setdefault("example", json.loads(value) if value.isdecimal() else value)


def _add_request(operation: dict[str, Any], exchange: Exchange) -> None:
    content = operation.get("requestBody", {}).get("content", {})
    if exchange.json is not None:
        content[_JSON].setdefault("examples", {})[exchange.name] = {"value": exchange.json}
    elif exchange.form is not None:
        value = {exchange.file_field: "(the bytes of the file)", **exchange.form}
        content[_FORM].setdefault("examples", {})[exchange.name] = {"value": value}


def _add_response(response: dict[str, Any], exchange: Exchange) -> None:
    if exchange.response is None:
        return
    shapes = {_JSON: exchange.response}
    if exchange.status >= 400:
        shapes[PROBLEM] = problem(exchange.status, exchange.response["error"])
    for media, value in shapes.items():
        response["content"][media].setdefault("examples", {})[exchange.name] = {"value": value}
