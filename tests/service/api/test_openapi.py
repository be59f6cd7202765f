"""The documentation: it is complete, and what it says is what the server does. test_fuzz.py looks for a difference."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from tests.service.servers import Server

BODY_ERRORS = {"400", "401", "404", "413", "415", "429", "500", "503"}
"""What every route that takes a body may answer."""
Operation = dict[str, Any]


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    """What `/openapi.json` says."""
    with server.client() as client:
        found: dict[str, Any] = client.get("/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> dict[str, Operation]:
    """The routes, by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def errors(operation: Operation) -> Iterator[tuple[int, dict[str, Any]]]:
    """The errors that a route documents, by status."""
    for status, response in operation["responses"].items():
        if status.isdecimal() and int(status) >= 400:
            yield int(status), response


def test_every_route_is_documented(operations: dict[str, Operation]) -> None:
    assert sorted(operations) == Path(__file__).parents[1].joinpath("routes.txt").read_text().splitlines()
    for name, operation in operations.items():
        for part in ("summary", "description", "tags"):
            assert operation[part], f"{name}: {part}"
        for parameter in operation.get("parameters", []):
            assert parameter["in"] == "path" or parameter["schema"].get("description") or parameter.get("description")
    assert len({operation["summary"] for operation in operations.values()}) == len(operations)


def test_every_error_has_both_shapes(operations: dict[str, Operation]) -> None:
    count = 0
    for operation in operations.values():
        for status, response in errors(operation):
            count += 1
            schemas = {kind: media["schema"]["$ref"].rpartition("/")[2] for kind, media in response["content"].items()}
            assert schemas == {"application/json": "ErrorEnvelope", "application/problem+json": "Problem"}
            assert (status in (429, 503)) == ("Retry-After" in response.get("headers", {}))
    assert count > 60


def test_every_example_keeps_to_its_schema(document: dict[str, Any]) -> None:
    """tests/service/test_documentation.py sends those of bodies."""
    shown = 0
    for name, schema in document["components"]["schemas"].items():
        fields = schema.get("properties", {}).values()
        for part in (schema, *fields):
            for example in part.get("examples", ()):
                shown += 1
                validator = jsonschema.Draft202012Validator(document | part)
                assert not list(validator.iter_errors(example)), (name, example)
    assert shown >= 20


def test_the_errors_of_a_route_are_those_it_can_give(operations: dict[str, Operation]) -> None:
    for name, operation in operations.items():
        documented = {str(status) for status, _ in errors(operation)}
        names = {parameter["name"].lower() for parameter in operation.get("parameters", [])}
        open_to_all = (
            not re.search("/v[12]/", name) or "/v1/images/files/" in name
        )  # health, and what a URL's token opens
        assert ("401" in documented) != open_to_all, name
        assert ("422" in documented) == ("idempotency-key" in names), name
        assert ("202" in operation["responses"]) == ("prefer" in names), name
        assert documented >= BODY_ERRORS or "requestBody" not in operation, name
        assert "404" in documented or "{" not in name, name


def test_every_route_that_says_so_needs_a_key(keyed: Server, operations: dict[str, Operation]) -> None:
    for name, operation in operations.items():
        method, path = name.split()
        needs_one = httpx.request(method, keyed.url + path).status_code == 401
        assert needs_one == ("401" in operation["responses"]), name


def references(part: Any) -> Iterator[str]:
    """Every reference of the document, wherever it is."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert found >= {f"#/components/schemas/{name}" for name in ("SpeechAudioDelta", "ImagePartial", "JobEvent")}
    assert found <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert "$defs" not in str(document)


EVENTS = {
    "SpeechAudioDelta", "SpeechAudioDone", "SpeechAudioTimestamps", "ImagePartial", "ImageCompleted", "EditPartial",
    "EditCompleted", "JobEvent",
}  # fmt: skip


def test_events_have_the_examples_of_their_schemas(document: dict[str, Any], operations: dict[str, Operation]) -> None:
    shown = set()
    for operation in operations.values():
        content = operation["responses"].get("200", {}).get("content", {})
        for name, example in content.get("text/event-stream", {}).get("examples", {}).items():
            shown.add(name)
            assert json.loads(example["value"]["data"]) == document["components"]["schemas"][name]["examples"][0]
    assert shown == EVENTS


def test_a_wrong_method_is_told_the_right_ones(server: Server, operations: dict[str, Operation]) -> None:
    for path in {name.split()[1] for name in operations}:
        named = (name.split() for name in operations)
        right = {method for method, route in named if re.fullmatch(re.sub(r"{[^}]*}", "[^/]+", route), path)}
        response = httpx.put(server.url + path)
        assert response.status_code == 405
        assert set(response.headers["allow"].split(", ")) - {"HEAD"} == right


def test_an_unknown_parameter_is_refused_everywhere(server: Server, operations: dict[str, Operation]) -> None:
    """With the paths' own parameters left as they are: the query is checked first, or nothing has such a name."""
    for name, operation in operations.items():
        method, path = name.split()
        media = next(iter(operation.get("requestBody", {"content": {"": None}})["content"]))
        body = {"application/json": {"json": {}}, "multipart/form-data": {"files": {"file": b""}}}.get(media, {})
        for parameters in ({"frog": "1"}, {"x": "1", "frog": "2"}):
            response = httpx.request(method, server.url + path, params=parameters, **body)
            error = response.json()["error"]
            assert (response.status_code, error["param"]) == (400, next(iter(parameters))), name
            assert "400" in operation["responses"], name


def test_a_repeated_parameter_is_refused(server: Server) -> None:
    error = httpx.get(f"{server.url}/v1/jobs?limit=1&limit=2").json()["error"]
    assert (error["param"], error["code"]) == ("limit", "duplicate_parameter")
