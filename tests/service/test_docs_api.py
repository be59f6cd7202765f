"""docs/api.md: every example runs against the bundled models and prints what the document says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import models
from tests.paths import ROOT
from tests.service.doc_examples import differences, examples_of, run_examples
from tests.service.support import Server, running

DOCUMENT = ROOT / "docs/api.md"
BUNDLED = Path(models.__file__).with_name("zoo")
EXAMPLES = examples_of(DOCUMENT)
WEBSOCKETS = {"/v1/audio/speech/stream", "/v1/images/stream", "/v1/text-to-speech/{voice_id}/stream-input"}


@pytest.fixture(scope="module")
def bundled(environment: dict[str, str]) -> Iterator[Server]:
    """A server with the bundled models, which logs probes as well."""
    with running(environment, models_dir=str(BUNDLED), log_level="debug") as server:
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


def test_every_link_leads_somewhere() -> None:
    text = DOCUMENT.read_text()
    titles = [title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
    anchors = {re.sub(r"[^\w-]", "", title) for title in titles}
    for name, anchor in re.findall(r"\]\(([\w./]*)#?([\w-]*)\)", text):
        if name:
            assert (DOCUMENT.parent / name).exists(), name
        else:
            assert anchor in anchors, anchor
