"""``ancestral wyoming``, asked by the protocol's own client."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

import ancestral
from tests.service.cli.child_processes import SECONDS, eventually
from tests.service.servers import Server, command
from tests.service.toys import SPEECH

T = TypeVar("T")
FIRST, SECOND = str(SPEECH["input"]), "Glue the sheet to the dark blue background."
ANN, BOB = SynthesizeVoice(name="ann"), SynthesizeVoice(name="bob")


@pytest.fixture(scope="module", params=["here", "by a server"])
def port(request: pytest.FixtureRequest, environment: dict[str, str], server: Server) -> Iterator[int]:
    """Of a running ``ancestral wyoming``, which ends with exit code 0."""
    sampler = [] if request.param == "here" else ["--url", server.url]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    line = command("wyoming", "--model", "tiny", "--uri", f"tcp://127.0.0.1:{number}", *sampler)
    warnings = environment["PYTHONWARNINGS"] + ",ignore:'audioop' is deprecated:DeprecationWarning"
    with subprocess.Popen(line, env=environment | {"PYTHONWARNINGS": warnings}) as process:
        try:
            eventually(lambda: _listens(number) or process.poll() is not None)
            yield number
        finally:
            process.terminate()
        assert process.wait(SECONDS) == 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def talk(port: int, act: Callable[[AsyncTcpClient], Awaitable[T]]) -> T:
    """What a client does with a connection of its own."""

    async def connected() -> T:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            async with asyncio.timeout(SECONDS):
                return await act(client)

    return asyncio.run(connected())


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


@pytest.mark.parametrize(
    ("voice", "name"), [(None, "ann"), (ANN, "ann"), (BOB, "bob"), (SynthesizeVoice(language="EN"), "ann")]
)
def test_a_text_is_spoken(port: int, zoo: Path, voice: SynthesizeVoice | None, name: str) -> None:
    events = talk(port, lambda client: ask(client, Synthesize(FIRST, voice=voice), until=AudioStop.is_type))
    assert samples(events) == [length(zoo, FIRST, name)]


def test_a_document_is_spoken(port: int, zoo: Path) -> None:
    document = f"<speak>{FIRST}<break time='700ms'/></speak>"
    asked = Synthesize(document, voice=ANN, text_format="ssml")
    events = talk(port, lambda client: ask(client, asked, until=AudioStop.is_type))
    assert samples(events)[0] > length(zoo, FIRST)


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
        pieces = [SynthesizeChunk(f"{word} ") for word in f"{FIRST} [voice:{name}] {SECOND} {FIRST}".split()]
        return await ask(client, SynthesizeStart(voice=ANN), *pieces, SynthesizeStop(), until=SynthesizeStopped.is_type)

    events = talk(port, streamed)
    if name == "bob":
        assert samples(events) == [length(zoo, FIRST), length(zoo, SECOND, "bob"), length(zoo, FIRST, "bob")]
    else:
        assert samples(events) == [length(zoo, FIRST)]
        assert "'[voice:zoe]' (a voice, at position 0): tiny has no such voice" in Error.from_event(events[-1]).text


def test_what_cannot_be_spoken_is_an_error_and_the_connection_goes_on(port: int, zoo: Path) -> None:
    wrong: list[tuple[Eventable, str]] = [
        (Synthesize(FIRST, voice=SynthesizeVoice(name="zoe")), "no such voice; it has ann, bob"),
        (Synthesize(FIRST, voice=SynthesizeVoice(language="fi")), "language"),
        (Synthesize(FIRST, voice=SynthesizeVoice(name="ann", speaker="2")), "speaker"),
        (Synthesize(FIRST, text_format="markdown"), "text_format"),
        (Synthesize("..."), "text"),
        (SynthesizeChunk("a"), "synthesize-start"),
        (SynthesizeStop(), "synthesize-start"),
    ]

    async def act(client: AsyncTcpClient) -> list[Event]:
        for asked, named in wrong:
            (event,) = await ask(client, asked, until=AudioStop.is_type)
            assert named in Error.from_event(event).text
        await client.write_event(Event("synthesize", {}))
        (event,) = await ask(client, until=AudioStop.is_type)
        assert "text" in Error.from_event(event).text
        return await ask(client, Synthesize(FIRST), until=AudioStop.is_type)

    assert samples(talk(port, act)) == [length(zoo, FIRST)]


def test_a_client_that_leaves_ends_its_request_alone(port: int, zoo: Path) -> None:
    async def leave(client: AsyncTcpClient) -> None:
        await ask(client, Synthesize(" ".join([FIRST] * 40)), until=AudioChunk.is_type)

    talk(port, leave)
    events = talk(port, lambda client: ask(client, Synthesize(FIRST, voice=ANN), until=AudioStop.is_type))
    assert samples(events) == [length(zoo, FIRST)]
