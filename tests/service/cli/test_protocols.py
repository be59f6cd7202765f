"""`ancestral mcp` and `ancestral wyoming`, asked by the clients of their protocols."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import httpx2
import numpy as np
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult
from PIL import Image
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

import ancestral
from tests.service.cli.conftest import listening
from tests.service.redis_servers import free_ports
from tests.service.servers import Server, command
from tests.service.toys import SPEECH

# ``ancestral mcp``, asked by the SDK's own client.


TEXT = str(SPEECH["input"])
SAY = {"text": TEXT, "voice": "ann", "model": "tiny", "seed": 7}
ENDLESS = {"text": "The birch canoe slid on. " * 160, "speed": 0.25, "voice": "ann", "model": "tiny"}
"""Far longer than any test."""


@pytest.fixture(scope="module")
def url(environment: dict[str, str], where: list[str]) -> Iterator[str]:
    with serving(environment, *where) as found:
        yield found


@contextmanager
def serving(environment: dict[str, str], *options: str) -> Iterator[str]:
    """The URL of an ``ancestral mcp --http``."""
    address = f"127.0.0.1:{(port := free_ports(1)[0])}"
    with listening(environment, port, "mcp", "--http", address, *options):
        yield f"http://{address}/mcp"


def with_client(client: AbstractAsyncContextManager[Any], act: Callable[[Any], Awaitable[Any]]) -> Any:
    """What a client does with a connection of its own."""

    async def connected() -> Any:
        async with client as opened, asyncio.timeout(60):
            return await act(opened)

    return asyncio.run(connected())


def call(target: Any, tool: str, **arguments: Any) -> CallToolResult:
    return with_client(Client(target), lambda client: client.call_tool(tool, arguments))


def told(result: CallToolResult, index: int = -1) -> Any:
    """The JSON of a text in a result."""
    assert not result.is_error, result.content
    return json.loads(result.content[index].text)


def refused(result: CallToolResult) -> str:
    assert result.is_error
    return result.content[0].text


@pytest.fixture(scope="module")
def load(zoo: Path) -> Callable[[str], Any]:
    """A model of the library."""
    return partial(ancestral.load, directory=zoo, engine="native")


@pytest.mark.parametrize(("form", "mime", "seed"), [("mp3", "audio/mpeg", 7), ("wav", "audio/wav", "9007199254740992")])
def test_say_is_the_librarys(url: str, load: Callable[[str], Any], form: str, mime: str, seed: int | str) -> None:
    result = call(url, "say", **SAY | {"seed": seed}, form=form)
    speech = load("tiny").voice("ann").speak(TEXT, seed=seed)
    assert (result.content[0].mime_type, base64.b64decode(result.content[0].data)) == (mime, speech.encode(form))
    assert told(result) == {"voice": "ann", "seed": seed, "seconds": round(speech.words[-1].end, 2)}


def test_draw_is_what_the_library_draws(url: str, load: Callable[[str], Any]) -> None:
    result = call(url, "draw", prompt="elf", model="palette", n=2, seed=7)
    for index, picture in enumerate(load("palette").draw_many("elf", 2, seed=7)):
        content = result.content[2 * index]
        image = Image.open(io.BytesIO(base64.b64decode(content.data)))
        assert (content.mime_type, image.size) == ("image/png", (256, 256))
        assert np.array_equal(np.asarray(image.convert("RGBA"))[::32, ::32], picture.array)
        said = told(result, 2 * index + 1)
        assert (said["model"], said["seed"]) == ("palette", picture.seed)
        assert set(said["prompt"].split(", ")) == set(picture.attributes.values())
    assert told(call(url, "draw", prompt="orc, axe", seed=7))["model"] == "palette"


def test_score_and_detect(url: str, load: Callable[[str], Any]) -> None:
    here, model = load("tiny").voice("ann"), load("rgb")
    wav, png = here.speak(TEXT, seed=7).encode("wav"), model.draw_many("cat, oil", 1, seed=7).file(0, "png")
    found = told(call(url, "score", data=base64.b64encode(wav).decode(), model="tiny", voice="ann", text=TEXT))
    assert found["bits_per_sample"] == pytest.approx(here.score(wav, TEXT)["bits_per_sample"], abs=1e-4)
    assert [word["word"] for word in found["words"]] == ["the", "birch", "canoe", "slid"]
    data = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    found = told(call(url, "score", data=data, model="rgb", prompt="cat, oil"))
    assert found["nats"] == pytest.approx(model.score(png, "cat, oil")["nats"], abs=1e-2)
    assert "bits" not in found
    assert told(call(url, "detect", data=data))["recipe"]["status"] == "equal"


def test_lists(url: str) -> None:
    tools = with_client(Client(url), lambda client: client.list_tools()).tools
    assert [tool.name for tool in tools] == ["say", "draw", "score", "detect", "list_voices", "list_pictures"]
    assert all(tool.description for tool in tools)
    assert tools[0].input_schema["required"] == ["text"]
    assert all("description" in field for tool in tools for field in tool.input_schema["properties"].values())
    voices = told(call(url, "list_voices"))
    assert {"voice": "ann", "language": "en", "gender": "none"}.items() <= voices[0].items()
    assert len({voice["voice"] for voice in voices}) == len(voices)
    assert told(call(url, "list_pictures"))["rgb"] == {"class": ["cat", "dog", "cow"], "style": ["oil", "crayon"]}


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("say", {"text": TEXT, "voice": "nobody", "model": "tiny"}, "tiny has no such voice; it has ann, bob"),
        ("say", {"text": "a" * 4097}, "text"),
        ("say", {"text": TEXT, "form": "exe"}, "form"),
        ("draw", {"prompt": "a unicorn on the moon"}, "prompt"),
        ("draw", {"prompt": "cat", "n": 11}, "n"),
        ("score", {}, "either path or data"),
        ("score", {"data": "AAAA", "path": "/etc/hostname"}, "either path or data"),
        ("score", {"path": "/etc/hostname"}, "this server reads no files"),
        ("score", {"data": "no base64!"}, "not base64"),
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

    result, job = with_client(Client(url), act)
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
        asked = {"path": said["file"], "model": "tiny", "voice": "ann", "text": TEXT}
        assert told(await client.call_tool("score", asked))["samples"] > 1000
        for path in ("/dev/zero", str(tmp_path), str(tmp_path / "nothing")):
            assert "no such file" in refused(await client.call_tool("score", {"path": path}))
        (tmp_path / "large").write_bytes(b"")
        os.truncate(tmp_path / "large", (32 << 20) + 1)
        assert "more than 32 MiB" in refused(await client.call_tool("detect", {"path": str(tmp_path / "large")}))

    with_client(Client(target, mode=mode), act)
    assert [path.suffix for path in folder.iterdir()] == [".wav"]


def test_a_token_is_needed(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a secret\n")
    with serving(environment, "--token-file", str(tmp_path / "token")) as url:
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


# ``ancestral wyoming``, asked by the protocol's own client.


FIRST, SECOND = str(SPEECH["input"]), "Glue the sheet to the dark blue background."
ANN, BOB = SynthesizeVoice(name="ann"), SynthesizeVoice(name="bob")


@contextmanager
def wyoming(environment: dict[str, str], *options: str) -> Iterator[int]:
    """The port of a running ``ancestral wyoming``."""
    (number,) = free_ports(1)
    warnings = environment["PYTHONWARNINGS"] + ",ignore:'audioop' is deprecated:DeprecationWarning"
    line = ("wyoming", "--model", "tiny", "--uri", f"tcp://127.0.0.1:{number}", *options)
    with listening(environment | {"PYTHONWARNINGS": warnings}, number, *line):
        yield number


@pytest.fixture(scope="module")
def port(environment: dict[str, str], where: list[str]) -> Iterator[int]:
    with wyoming(environment, *where) as number:
        yield number


def talk(port: int, act: Callable[[AsyncTcpClient], Awaitable[Any]]) -> Any:
    return with_client(AsyncTcpClient("127.0.0.1", port), act)


async def ask(client: AsyncTcpClient, *asked: Eventable, until: Callable[[str], bool]) -> list[Event]:
    """Send events; everything that comes back, up to an event of the kind that ends it, or an error."""
    for one in asked:
        await client.write_event(one.event())
    found: list[Event] = []
    while not found or not (until(found[-1].type) or Error.is_type(found[-1].type)):
        event = await client.read_event()
        assert event is not None
        found.append(event)
    return found


def samples(events: list[Event]) -> list[int]:
    """How many each stretch of sound has, from its start to its stop."""
    lengths: list[int] = []
    for event in events:
        if AudioStart.is_type(event.type):
            assert AudioStart.from_event(event) == AudioStart(16000, 2, 1)
            lengths.append(0)
        elif AudioChunk.is_type(event.type):
            lengths[-1] += len(AudioChunk.from_event(event).audio) // 2
    return lengths


def length(zoo: Path, text: str, voice: str = "ann") -> int:
    """In samples, of a text; the same for every seed."""
    speech = ancestral.load("tiny", directory=zoo).voice(voice).speak(text)
    return round(speech.duration * speech.sample_rate)


def test_the_voices_are_described(port: int) -> None:
    (event,) = talk(port, lambda client: ask(client, Describe(), until=Info.is_type))
    (program,) = Info.from_event(event).tts
    assert program.supports_synthesize_streaming
    assert {voice.name: voice.languages for voice in program.voices} == {"ann": ["en"], "bob": ["en"]}
    (event,) = talk(port, lambda client: ask(client, Ping(text="a"), until=Pong.is_type))
    assert Pong.from_event(event).text == "a"


def spoken(port: int, text: str, **options: Any) -> list[int]:
    """How many samples each stretch of sound of a text has."""
    return samples(talk(port, lambda client: ask(client, Synthesize(text, **options), until=AudioStop.is_type)))


@pytest.mark.parametrize(
    ("voice", "name"), [(None, "ann"), (ANN, "ann"), (BOB, "bob"), (SynthesizeVoice(language="EN"), "ann")]
)
def test_a_text_is_spoken(port: int, zoo: Path, voice: SynthesizeVoice | None, name: str) -> None:
    assert spoken(port, FIRST, voice=voice) == [length(zoo, FIRST, name)]


def test_a_document_is_spoken(port: int, zoo: Path) -> None:
    document = f"<speak>{FIRST}<break time='700ms'/></speak>"
    assert spoken(port, document, voice=ANN, text_format="ssml")[0] > length(zoo, FIRST)


def test_a_long_text_is_one_stretch_of_sound(port: int, zoo: Path) -> None:
    assert spoken(port, f"One.{' ' * 4200}Two. {' ' * 2000}…") == [length(zoo, "One.") + length(zoo, "Two.")]


def test_silence_around_a_request(environment: dict[str, str], where: list[str], zoo: Path) -> None:
    async def streamed(client: AsyncTcpClient) -> list[Event]:
        pieces = [SynthesizeChunk(f"{FIRST} "), SynthesizeChunk(f"{SECOND} ")]
        return await ask(client, SynthesizeStart(voice=ANN), *pieces, SynthesizeStop(), until=SynthesizeStopped.is_type)

    with wyoming(environment, "--lead-in", "500", "--tail", "1000", *where) as port:
        assert spoken(port, FIRST) == [8000 + length(zoo, FIRST) + 16000]
        assert samples(talk(port, streamed)) == [8000 + length(zoo, FIRST), length(zoo, SECOND), 16000]


def test_sentences_are_spoken_as_they_are_complete(port: int, zoo: Path) -> None:
    async def streamed(client: AsyncTcpClient) -> tuple[list[Event], list[Event]]:
        pieces = [SynthesizeChunk(f"{word} ") for word in f"{FIRST} {SECOND}".split()]
        early = await ask(client, SynthesizeStart(voice=ANN), *pieces, until=AudioStop.is_type)
        whole = Synthesize(f"{FIRST} {SECOND}", voice=ANN)
        return early, await ask(client, whole, SynthesizeStop(), until=SynthesizeStopped.is_type)

    early, rest = talk(port, streamed)
    assert samples(early) == [length(zoo, FIRST)], "before the text has ended"
    assert samples(rest) == [length(zoo, SECOND)]


@pytest.mark.parametrize("name", ["bob", "zoe"])
def test_a_text_names_voices(port: int, zoo: Path, name: str) -> None:
    async def streamed(client: AsyncTcpClient) -> list[Event]:
        text = f"{FIRST} [voice:{name}] {SECOND} [voice:ann] {FIRST} …"
        pieces = [SynthesizeChunk(f"{word} ") for word in text.split()]
        events = await ask(client, SynthesizeStart(voice=ANN), *pieces, SynthesizeStop(), until=AudioStop.is_type)
        while not SynthesizeStopped.is_type(events[-1].type):
            events += await ask(client, until=SynthesizeStopped.is_type)
        return events

    events = talk(port, streamed)
    errors = [Error.from_event(event).text for event in events if Error.is_type(event.type)]
    if name == "bob":
        assert samples(events) == [length(zoo, FIRST), length(zoo, SECOND, "bob"), length(zoo, FIRST)]
        assert not errors
    else:  # what she says is refused, and nothing else
        assert samples(events) == [length(zoo, FIRST)] * 2
        (error,) = errors
        assert "'[voice:zoe]' (a voice, at position 0): tiny has no such voice" in error


@pytest.mark.parametrize(
    ("voice", "piece"), [(SynthesizeVoice(name="zoe"), FIRST), (ANN, "a" * 70_000)], ids=["voice", "sentence"]
)
def test_a_request_in_pieces_fails_once(port: int, zoo: Path, voice: SynthesizeVoice, piece: str) -> None:
    asked = [SynthesizeStart(voice=voice), SynthesizeChunk(piece), SynthesizeChunk(f"{SECOND} "), Synthesize(SECOND)]

    async def act(client: AsyncTcpClient) -> tuple[list[Event], list[Event]]:
        failed = await ask(client, *asked, SynthesizeStop(), until=SynthesizeStopped.is_type)
        failed += await ask(client, until=SynthesizeStopped.is_type)
        await ask(client, *asked, until=Error.is_type)  # without a stop: what is not its text again is spoken
        return failed, await ask(client, Synthesize(FIRST), until=AudioStop.is_type)

    failed, then = talk(port, act)
    assert [event.type for event in failed] == ["error", "synthesize-stopped"]
    assert samples(then) == [length(zoo, FIRST)]


def test_what_cannot_be_spoken_is_an_error_and_the_connection_goes_on(port: int, zoo: Path) -> None:
    wrong: list[tuple[Any, str]] = [
        (Synthesize(FIRST, voice=SynthesizeVoice(name="zoe")), "no such voice; it has ann, bob"),
        (Synthesize(FIRST, voice=SynthesizeVoice(language="fi")), "language"),
        (Synthesize(FIRST, voice=SynthesizeVoice(name="ann", speaker="2")), "speaker"),
        (Synthesize(FIRST, text_format="markdown"), "text_format"),
        (Synthesize("..."), "text"),
        (SynthesizeChunk("a"), "synthesize-start"),
        (SimpleNamespace(event=lambda: Event("synthesize", {})), "text"),
    ]

    async def act(client: AsyncTcpClient) -> list[Event]:
        for asked, named in wrong:
            (event,) = await ask(client, asked, until=AudioStop.is_type)
            assert named in Error.from_event(event).text
        (error,) = await ask(client, SynthesizeStop(), until=SynthesizeStopped.is_type)
        assert "synthesize-start" in Error.from_event(error).text
        (_,) = await ask(client, until=SynthesizeStopped.is_type)
        return await ask(client, Synthesize(FIRST), until=AudioStop.is_type)

    assert samples(talk(port, act)) == [length(zoo, FIRST)]


def test_a_client_that_leaves_ends_its_request_alone(port: int, zoo: Path) -> None:
    async def leave(client: AsyncTcpClient) -> None:
        await ask(client, Synthesize(" ".join([FIRST] * 40)), until=AudioChunk.is_type)

    talk(port, leave)
    assert spoken(port, FIRST, voice=ANN) == [length(zoo, FIRST)]
