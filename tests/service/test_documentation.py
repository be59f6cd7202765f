"""The examples of docs/api.md, and the bodies in /openapi.json: a server with the bundled models takes them all."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.paths import ROOT
from tests.service.doc_examples import Example, differences, examples_of, run_examples
from tests.service.servers import Server
from tests.service.speech.sounds import recording

DOCUMENT = ROOT / "docs/api.md"
EXAMPLES = examples_of(DOCUMENT)
WEBSOCKETS = {
    "/v1/audio/speech/stream",
    "/v1/images/stream",
    "/v1/realtime",
    "/v1/text-to-speech/{voice_id}/multi-stream-input",
    "/v1/text-to-speech/{voice_id}/stream-input",
}


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
@pytest.mark.parametrize(
    ("page", "made", "said"),
    [
        ("agents.md", "agent.wav", r"audio\.cancelled: (1\.\d|2\.0) s of speech, the first after "),
        ("openai.md", "said.wav", '"equal":true'),
        ("sprites.md", "sprites.png", "orc-11 192 128 64 "),
        ("reading.md", "fables.m4b", ""),
        ("batch.md", "sprites/part-000000.tar", ""),
        ("mcp.md", "", ""),
        ("pictures.md", "elves.png", ""),
        ("provenance.md", "signing/cert.pem", ""),
        ("security.md", "", "anc_"),
        ("text.md", "", "three dollars"),
    ],
)
def test_a_page_begins_with_a_program_that_runs(
    bundled: Server, tmp_path: Path, page: str, made: str, said: str
) -> None:
    printed = run_in_checkout(examples_of(ROOT / "docs" / page, indented=True)[:1], tmp_path, bundled)
    assert re.search(said, printed[0])
    assert (tmp_path / made).stat().st_size > 100


@pytest.mark.slow
def test_all_of_the_readme_runs(bundled: Server, tmp_path: Path) -> None:
    run_in_checkout(examples_of(ROOT / "README.md", indented=True), tmp_path, bundled)
    made = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    names = ("a.wav", "a.flac", "elf.png", "bonjour.wav", "fables.m4b", "hero.png", "hero.webp", "out", "a.mp3")
    assert not [name for name in names if made.get(name, 0) < 100], made


def run_in_checkout(examples: list[Example], directory: Path, server: Server) -> list[str]:
    """What examples print that are run in a checkout: with ``.venv`` and ``docs``."""
    (directory / ".venv").symlink_to(sys.prefix)
    (directory / "docs").symlink_to(ROOT / "docs")
    return run_examples(examples, directory, f"127.0.0.1:{server.port}")


SERVICE = ROOT / "service/ancestral_service"
UNSENT = {"forbidden", "unprocessable", "unknown_column", "unreadable"}
"""Codes that no client sees: of base classes, which have others when they are raised, and of rows of a batch."""


def test_every_error_code_is_listed() -> None:
    """Of those that the source names as ``code="…"``."""
    files = [SERVICE / "errors.py", SERVICE / "ws.py", *(ROOT / "ancestral").rglob("*.py")]
    files += [path for name in ("api", "broker", "jobs", "speech") for path in (SERVICE / name).rglob("*.py")]
    codes = set(re.findall(r'\bcode(?: = |=)"([a-z_]+)"', "".join(map(Path.read_text, files))))
    listed = DOCUMENT.read_text().partition("All codes")[2].partition("**Seeds.**")[0]
    assert {code for code in codes if f"`{code}`" not in listed} == UNSENT


NEEDS_A_SIGNER = {"GET /v1/jobs/{job_id}/manifest.c2pa"}
"""Routes that a server without a signing certificate has nothing for."""


@pytest.mark.slow
def test_the_examples_use_every_route_and_every_websocket(bundled: Server, printed: list[str]) -> None:
    document: dict[str, Any] = httpx.get(f"{bundled.url}/openapi.json").json()
    routes = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    requests = [line for line in bundled.log if line["message"] == "request" and 200 <= line["status"] < 300]
    assert routes - NEEDS_A_SIGNER <= {f"{line['method']} {line['route']}" for line in requests}
    closed = {line["route"]: line["code"] for line in bundled.log if line["message"] == "websocket"}
    assert closed == dict.fromkeys(WEBSOCKETS, 1000)


@pytest.mark.slow
def test_the_bodies_that_openapi_shows_are_accepted(bundled: Server) -> None:
    document: dict[str, Any] = httpx.get(f"{bundled.url}/openapi.json").json()
    listed = {model["id"]: model for model in httpx.get(f"{bundled.url}/v1/models").json()["data"]}
    sent = set[str]()
    for path, methods in document["paths"].items():
        if "requestBody" not in methods.get("post", {}):
            continue
        media, body = example_body(document, methods["post"])
        url = bundled.url + path.replace("{voice_id}", "joe")
        if media == "application/json":
            if "model_sha256" in body:
                body["model_sha256"] = listed[body["model"]]["sha256"]  # the example cannot know today's weights
            response = httpx.post(url, json=body, timeout=60.0)
        else:
            if path.endswith("/portraits"):
                body["model"] = "pixelcnn-portraits"
            upload = recording(0.1) if path.startswith("/v1/audio") else picture(listed[body["model"]]["size"])
            files = {"file" if path.endswith(("/likelihood", "/detect")) else "image": upload}
            if path.endswith("/edits"):
                files["mask"] = picture(listed[body["model"]]["size"], clear=True)
            response = httpx.post(url, data=body, files=files, timeout=60.0)
        assert response.status_code == 200, (path, response.text)
        sent.add(path)
    assert len(sent) == 21


def example_body(document: dict[str, Any], operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The media type of a route's body, and the example of its schema, or those of its fields."""
    ((kind, media),) = operation["requestBody"]["content"].items()
    found = document["components"]["schemas"][media["schema"]["$ref"].rpartition("/")[2]]
    if kind == "application/json":
        return kind, dict(found["examples"][0])
    shown = {name: field["examples"][0] for name, field in found["properties"].items() if "examples" in field}
    return kind, shown


def picture(size: str, *, clear: bool = False) -> bytes:
    """A PNG file of `WIDTHxHEIGHT` pixels, all black, or black on the right and transparent on the left."""
    file, (width, height) = io.BytesIO(), map(int, size.split("x"))
    image = Image.new("RGBA" if clear else "L", (width, height), "black")
    if clear:
        image.paste((0, 0, 0, 0), (0, 0, width // 2, height))
    image.save(file, "PNG")
    return file.getvalue()
