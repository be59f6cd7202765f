"""The examples of docs/api.md and of /openapi.json: each is sent to a server with the bundled models, and true."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from ancestral.service.api.http.examples import load_exchanges
from tests.paths import ROOT
from tests.service.doc_examples import differences, examples_of, run_examples
from tests.service.openapi_examples import Player, all_servers, bundled_server, is_json
from tests.service.support import Server

DOCUMENT = ROOT / "docs/api.md"
EXAMPLES = examples_of(DOCUMENT)
WEBSOCKETS = {
    "/v1/audio/speech/stream",
    "/v1/images/stream",
    "/v1/text-to-speech/{voice_id}/multi-stream-input",
    "/v1/text-to-speech/{voice_id}/stream-input",
}


@pytest.fixture(scope="module")
def bundled(environment: dict[str, str]) -> Iterator[Server]:
    """A server with the bundled models."""
    with bundled_server(environment) as server:
        yield server


@pytest.fixture(scope="module")
def printed(bundled: Server, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each example has printed."""
    return run_examples(EXAMPLES, tmp_path_factory.mktemp("examples"), f"127.0.0.1:{bundled.port}")


@pytest.mark.slow
def test_every_example_prints_what_is_shown(printed: list[str]) -> None:
    assert len(printed) == len(EXAMPLES)
    wrong = {example.line: differences(example.shown, out) for example, out in zip(EXAMPLES, printed, strict=True)}
    assert not {line: found for line, found in wrong.items() if found}


@pytest.mark.slow
def test_the_examples_use_every_route_and_every_websocket(bundled: Server, printed: list[str]) -> None:
    document: dict[str, Any] = httpx.get(f"{bundled.url}/openapi.json").json()
    routes = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    requests = [line for line in bundled.log if line["message"] == "request"]
    assert routes <= {f"{line['method']} {line['route']}" for line in requests if 200 <= line["status"] < 300}
    closed = {line["route"]: line["code"] for line in bundled.log if line["message"] == "websocket"}
    assert closed == dict.fromkeys(WEBSOCKETS, 1000)


@pytest.mark.slow
def test_every_example_of_openapi_is_true(environment: dict[str, str], bundled: Server) -> None:
    """Every exchange has the recorded status, answers what was recorded but for ids, times and figures, and keeps to
    the schema that is documented for it.
    """
    document: dict[str, Any] = httpx.get(f"{bundled.url}/openapi.json").json()
    with all_servers(environment, bundled) as servers:
        player = Player(servers)
        for exchange in load_exchanges():
            response = player.play(exchange)
            assert response.status_code == exchange.status, (exchange, response.text[:300])
            if exchange.status >= 400:
                assert masked(response.json()) == masked(exchange.response), exchange
            if not is_json(response):
                assert exchange.response is None, exchange
                continue
            assert not differences(json.dumps(exchange.response), response.text), exchange
            method, path = exchange.operation.split(" ")
            described = document["paths"][path][method.lower()]["responses"][str(exchange.status)]
            schema = described["content"]["application/json"]["schema"]
            jsonschema.validate(response.json(), document | schema, jsonschema.Draft202012Validator)


def masked(answer: Any) -> str:
    """An error without its numbers: limits of the server under test, and sizes of files, are its own."""
    return re.sub(r"\d+", "0", json.dumps(answer))


@pytest.mark.slow
def test_a_failure_of_the_server_is_as_documented(server: Server) -> None:
    """`broken` fails on one phoneme. Its message is the only error that is not recorded."""
    response = server.speak(model="broken", input="A measure of pleasure.")
    assert response.status_code == 500
    document: dict[str, Any] = httpx.get(f"{server.url}/openapi.json").json()
    described = document["paths"]["/v1/audio/speech"]["post"]["responses"]["500"]["content"]["application/json"]
    assert [example["value"] for example in described["examples"].values()] == [response.json()]


def test_every_link_leads_somewhere() -> None:
    text = DOCUMENT.read_text()
    titles = [title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    anchors = {re.sub(r"[^\w-]", "", title) for title in titles}
    for name, anchor in re.findall(r"\]\(([\w./]*)#?([\w-]*)\)", text):
        if name:
            assert (DOCUMENT.parent / name).exists(), name
        else:
            assert anchor in anchors, anchor
