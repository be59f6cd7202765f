"""Clients that are programs of their own: openai-js in Node, and wyoming_openai, by which Home Assistant speaks."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import sys
import time
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING

from bench.clients.result import KEY, TEXT, Result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SCRIPT = Path(__file__).with_name("openai_js.mjs")
START_SECONDS = 60.0


async def _openai_js(url: str, kind: str) -> Result:
    """What the script prints. The package is beside the Python that runs this, in node_modules."""
    result = Result("openai-js")
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), sys.prefix, url, kind, TEXT, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    found = json.loads(printed)
    result.sound += base64.b64decode(found["audio"])
    result.version, result.first_audio = found["version"], found["first"]
    result.words = [(word, start) for word, start in found["words"]]
    return result


async def openai_js_speech(url: str) -> Result:
    """openai-js: speech, streamed."""
    return await _openai_js(url, "speech")


async def openai_js_events(url: str) -> Result:
    """openai-js: server-sent events, with the times of words."""
    return await _openai_js(url, "events")


async def openai_js_images(url: str) -> Result:
    """openai-js: a picture of OpenAI's size."""
    return await _openai_js(url, "images")


@asynccontextmanager
async def _wyoming_server(url: str) -> AsyncIterator[str]:
    """The address of a wyoming_openai that speaks with the server."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wyoming_openai", "--uri", address, "--languages", "en",
        "--tts-openai-url", f"{url}/v1", "--tts-openai-key", KEY, "--tts-models", "tts-1", "--tts-voices", "alloy",
    )  # fmt: skip
    try:
        yield address
    finally:
        process.terminate()
        await process.wait()


async def wyoming_openai(url: str) -> Result:
    """wyoming_openai, asked as Home Assistant asks it: `describe`, then `synthesize`."""
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncTcpClient
    from wyoming.info import Describe, Info
    from wyoming.tts import Synthesize, SynthesizeVoice

    result = Result("wyoming_openai")
    async with _wyoming_server(url) as address:
        host, _, port = address.removeprefix("tcp://").partition(":")
        client = AsyncTcpClient(host, int(port))
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                await client.connect()
                break
            except OSError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
        await client.write_event(Describe().event())
        described = await client.read_event()
        assert described is not None
        voices = [voice.name for program in Info.from_event(described).tts for voice in program.voices]
        assert "alloy" in voices
        result.started = time.perf_counter()
        await client.write_event(Synthesize(TEXT, SynthesizeVoice(name="alloy")).event())
        while (event := await client.read_event()) is not None and not AudioStop.is_type(event.type):
            if AudioStart.is_type(event.type):
                result.rate = AudioStart.from_event(event).rate
            elif AudioChunk.is_type(event.type):
                result.add(AudioChunk.from_event(event).audio)
        await client.disconnect()
    return result
