"""``ancestral mcp``, asked by the SDK's own client."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
import httpx2
import numpy as np
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import AudioContent, CallToolResult, ImageContent, TextContent
from PIL import Image

import ancestral
from tests.service.cli.child_processes import SECONDS, eventually
from tests.service.servers import Server, command
from tests.service.toys import SPEECH

T = TypeVar("T")
TEXT = str(SPEECH["input"])
SAY = {"text": TEXT, "voice": "ann", "model": "tiny", "seed": 7}
ENDLESS = {"text": "The birch canoe slid on. " * 160, "speed": 0.25, "voice": "ann", "model": "tiny"}
"""Far longer than any test."""


@contextmanager
def listening(environment: dict[str, str], *options: str) -> Iterator[str]:
    """The URL of an ``ancestral mcp --http``, which ends with exit code 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with subprocess.Popen(command("mcp", "--http", address, *options), env=environment) as process:
        try:
            eventually(lambda: _answers(address) or process.poll() is not None)
            yield f"http://{address}/mcp"
        finally:
            process.terminate()
        assert process.wait(SECONDS) == 0


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.fixture(scope="module", params=["here", "by a server"])
def where(request: pytest.FixtureRequest, server: Server) -> list[str]:
    """The options that say who samples."""
    return [] if request.param == "here" else ["--url", server.url]


@pytest.fixture(scope="module")
def url(environment: dict[str, str], where: list[str]) -> Iterator[str]:
    with listening(environment, *where) as found:
        yield found


def ask(target: Any, act: Callable[[Client], Awaitable[T]], **options: Any) -> T:
    """What a client does with a connection of its own."""

    async def connected() -> T:
        async with Client(target, **options) as client:
            async with asyncio.timeout(SECONDS):
                return await act(client)

    return asyncio.run(connected())


def call(target: Any, tool: str, **arguments: Any) -> CallToolResult:
    return ask(target, lambda client: client.call_tool(tool, arguments))


def told(result: CallToolResult, index: int = -1) -> Any:
    """The JSON of a text in a result."""
    content = result.content[index]
    assert not result.is_error, content
    assert isinstance(content, TextContent)
    return json.loads(content.text)


def refused(result: CallToolResult) -> str:
    assert result.is_error
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def test_tools_are_described(url: str) -> None:
    tools = ask(url, lambda client: client.list_tools()).tools
    assert [tool.name for tool in tools] == ["say", "draw", "score", "detect", "list_voices", "list_pictures"]
    assert all(tool.description for tool in tools)
    assert tools[0].input_schema["required"] == ["text"]
    assert all("description" in field for tool in tools for field in tool.input_schema["properties"].values())


@pytest.mark.parametrize("form", ["mp3", "wav"])
def test_say_is_what_the_library_says(url: str, zoo: Path, form: str) -> None:
    result = call(url, "say", **SAY, form=form)
    speech = ancestral.load("tiny", directory=zoo, engine="native").voice("ann").speak(TEXT, seed=7)
    sound = result.content[0]
    assert isinstance(sound, AudioContent)
    assert sound.mime_type == {"mp3": "audio/mpeg", "wav": "audio/wav"}[form]
    assert base64.b64decode(sound.data) == speech.encode(form)  # type: ignore[arg-type]
    assert told(result) == {"voice": "ann", "seed": 7, "seconds": round(speech.words[-1].end, 2)}


def test_a_seed_that_was_drawn_is_told(url: str) -> None:
    first = call(url, "say", text=TEXT, model="tiny", form="wav")
    again = call(url, "say", text=TEXT, model="tiny", form="wav", seed=told(first)["seed"])
    assert first.content[0] == again.content[0]


def test_draw_is_what_the_library_draws(url: str, zoo: Path) -> None:
    result = call(url, "draw", prompt="elf", model="palette", n=2, seed=7)
    near = ancestral.load("palette", directory=zoo, engine="native").draw_many("elf", 2, seed=7)
    for index, picture in enumerate(near):
        content = result.content[2 * index]
        assert isinstance(content, ImageContent)
        image = Image.open(io.BytesIO(base64.b64decode(content.data)))
        assert (content.mime_type, image.size) == ("image/png", (256, 256))
        assert np.array_equal(np.asarray(image.convert("RGBA"))[::32, ::32], picture.array)
        said = told(result, 2 * index + 1)
        assert (said["model"], said["seed"]) == ("palette", picture.seed)
        assert set(said["prompt"].split(", ")) == set(picture.attributes.values())
    assert told(call(url, "draw", prompt="orc, axe", seed=7))["model"] == "palette"


def test_score_and_detect(url: str, zoo: Path) -> None:
    here = ancestral.load("tiny", directory=zoo, engine="native").voice("ann")
    wav = here.speak(TEXT, seed=7).encode("wav")
    found = told(call(url, "score", data=base64.b64encode(wav).decode(), model="tiny", voice="ann", text=TEXT))
    assert found["bits_per_sample"] == pytest.approx(here.score(wav, TEXT)["bits_per_sample"], abs=1e-4)
    assert [word["word"] for word in found["words"]] == ["the", "birch", "canoe", "slid"]
    model = ancestral.load("rgb", directory=zoo, engine="native")
    png = model.draw_many("cat, oil", 1, seed=7).file(0, "png")
    data = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    found = told(call(url, "score", data=data, model="rgb", prompt="cat, oil"))
    assert found["nats"] == pytest.approx(model.score(png, "cat, oil")["nats"], abs=1e-2)
    assert "bits" not in found
    assert told(call(url, "detect", data=data))["recipe"]["status"] == "equal"


def test_lists(url: str) -> None:
    voices = told(call(url, "list_voices"))
    assert {"voice": "ann", "language": "en", "gender": "none"}.items() <= voices[0].items()
    assert len({voice["voice"] for voice in voices}) == len(voices)
    assert told(call(url, "list_pictures"))["rgb"] == {"class": ["cat", "dog", "cow"], "style": ["oil", "crayon"]}


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("say", {"text": TEXT, "voice": "nobody", "model": "tiny"}, "tiny has no such voice; it has ann, bob"),
        ("say", {"text": TEXT, "model": "other"}, "no such model"),
        ("say", {"text": TEXT, "model": "rgb"}, "model"),
        ("say", {"text": ""}, "text"),
        ("say", {"text": "a" * 4097}, "text"),
        ("say", {"text": "\u4f60", "model": "tiny"}, "cannot speak"),
        ("say", {"text": TEXT, "speed": 9}, "speed"),
        ("say", {"text": TEXT, "form": "exe"}, "form"),
        ("draw", {"prompt": "a unicorn on the moon"}, "prompt"),
        ("draw", {"prompt": "cat", "n": 11}, "n"),
        ("score", {}, "either path or data"),
        ("score", {"data": "AAAA", "path": "/etc/hostname"}, "either path or data"),
        ("score", {"path": "/etc/hostname"}, "this server reads no files"),
        ("score", {"data": "no base64!"}, "not base64"),
        ("score", {"data": "AAAA"}, "file"),
        ("detect", {"data": base64.b64encode(b"RIFF1234WAVEjunk").decode()}, "file"),
    ],
)
def test_what_cannot_be_done_is_told(url: str, tool: str, arguments: dict[str, Any], message: str) -> None:
    text = refused(call(url, tool, **arguments))
    assert message in text
    assert "Traceback" not in text


def test_cancelled_calls_free_their_places(url: str, where: list[str], server: Server) -> None:
    places = 1 if where else os.cpu_count() or 1

    async def act(client: Client) -> tuple[CallToolResult, str | None]:
        before, began = server.newest() if where else None, anyio.Semaphore(0)

        async def progress(*_: object) -> None:
            began.release()

        async with anyio.create_task_group() as group:
            for _ in range(places):
                group.start_soon(partial(client.call_tool, "say", ENDLESS, progress_callback=progress))
            job = await anyio.to_thread.run_sync(server.newest, before) if where else None
            for _ in range(0 if where else places):
                await began.acquire()
            group.cancel_scope.cancel()
        return await client.call_tool("say", SAY), job

    result, job = ask(url, act)
    assert not result.is_error
    if job is not None:
        assert server.ended(job)["status"] == "cancelled"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_standard_input_and_files(environment: dict[str, str], where: list[str], tmp_path: Path, mode: str) -> None:
    folder, first = tmp_path / "made", command("mcp", "--folder", str(tmp_path / "made"), *where)
    target = StdioServerParameters(command=first[0], args=first[1:], env=environment)

    async def act(client: Client) -> None:
        said = told(await client.call_tool("say", SAY | {"form": "wav"}))
        assert Path(said["file"]).parent == folder
        scored = told(
            await client.call_tool("score", {"path": said["file"], "model": "tiny", "voice": "ann", "text": TEXT})
        )
        assert scored["samples"] > 1000
        for path in ("/dev/zero", str(tmp_path), str(tmp_path / "nothing")):
            assert "no such file" in refused(await client.call_tool("score", {"path": path}))
        (tmp_path / "large").write_bytes(b"")
        os.truncate(tmp_path / "large", (32 << 20) + 1)
        assert "more than 32 MiB" in refused(await client.call_tool("detect", {"path": str(tmp_path / "large")}))

    ask(target, act, mode=mode)
    assert [path.suffix for path in folder.iterdir()] == [".wav"]


def test_a_token_is_needed(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a secret\n")
    with listening(environment, "--token-file", str(tmp_path / "token")) as url:
        for headers in ({}, {"authorization": "Bearer a secre"}, {"authorization": "a secret"}):
            assert httpx.post(url, json={}, headers=headers).status_code == 401

        async def act() -> int:
            async with (
                httpx2.AsyncClient(headers={"authorization": "Bearer a secret"}) as http,
                Client(streamable_http_client(url, http_client=http)) as client,
            ):
                return len((await client.list_tools()).tools)

        assert asyncio.run(act()) == 6


def test_other_hosts_and_origins_are_refused(url: str) -> None:
    assert httpx.post(url, json={}, headers={"host": "evil.example"}).status_code == 421
    assert httpx.post(url, json={}, headers={"origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--http", "8090"], b"is not like 127.0.0.1:8090"),
        (["--http", "127.0.0.1:99999"], b"is not like 127.0.0.1:8090"),
        (["--http", "0.0.0.0:8090"], b"--token-file is needed"),
        (["--http", "example.org:8090"], b"--token-file is needed"),
        (["--token-file", __file__], b"--token-file is for --http"),
        (["--api-key-file", __file__], b"--api-key-file is for --url"),
        (["--url", "http://127.0.0.1:1"], b"the server does not answer"),
    ],
)
def test_refusals(
    ancestral: Callable[..., subprocess.CompletedProcess[bytes]], options: list[str], message: bytes
) -> None:
    done = ancestral("mcp", *options)
    assert (done.returncode != 0, message in done.stderr) == (True, True), done.stderr
