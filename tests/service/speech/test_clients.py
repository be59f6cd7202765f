"""The clients that people have, unchanged, on a real server: OpenAI's for Python and JavaScript, and Twilio's calls."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from ancestral.codecs import MEDIA_TYPES
from tests.paths import ROOT
from tests.service.servers import Serve, Server
from tests.service.slow_reader import reading_slowly
from tests.service.toys import SPEECH
from tests.waiting import eventually

SAME: dict[str, Any] = {"model": "tiny", "voice": "ann", "input": SPEECH["input"], "extra_body": {"seed": 7}}
"""What `Server.speak` sends, in the words of OpenAI's client; the format is not among them."""
JS = Path(__file__).parent / "js"
UNREACHABLE = ("EAI_AGAIN", "ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ENETUNREACH", "ETIMEDOUT")


def client_of(server: Server, *, key: str = "unused", max_retries: int = 0) -> openai.OpenAI:
    """OpenAI's client, pointed at us."""
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=max_retries)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """A client that tries once."""
    with client_of(server) as made:
        yield made


@pytest.fixture(scope="session")
def models(zoo: Path) -> list[str]:
    """The ids of all models."""
    return sorted(path.name for path in zoo.iterdir())


def test_openai_lists_models(client: openai.OpenAI, models: list[str]) -> None:
    assert sorted(model.id for model in client.models.list()) == models
    found = client.models.retrieve("tiny")
    assert (found.id, found.object, found.owned_by, found.created) == ("tiny", "model", "tests", 1_700_000_000)


@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_openai_gets_every_format(client: openai.OpenAI, server: Server, form: Any) -> None:
    sound = client.audio.speech.create(response_format=form, **SAME)
    assert sound.response.headers["content-type"] == MEDIA_TYPES[form]
    assert len(sound.content) > 1000
    assert sound.content == server.speak(response_format=form).content


def test_openai_streams(client: openai.OpenAI, server: Server, tmp_path: Path) -> None:
    with client.audio.speech.with_streaming_response.create(**SAME) as response:
        assert (response.headers["x-seed"], response.headers["content-type"]) == ("7", "audio/mpeg")
        response.stream_to_file(tmp_path / "a.mp3")
    assert (tmp_path / "a.mp3").read_bytes() == server.speak(response_format="mp3").content
    with client.audio.speech.with_streaming_response.create(response_format="pcm", **SAME) as response:
        pieces = list(response.iter_bytes(1024))
    assert len(pieces) > 1
    whole = server.speak(response_format="pcm").content
    assert b"".join(pieces) == whole
    events = {"response_format": "pcm", "stream_format": "sse", **SAME}
    with client.audio.speech.with_streaming_response.create(**events) as response:
        streamed = list(response.iter_lines())
    for lines in (list(client.audio.speech.create(**events).iter_lines()), streamed):
        told = [json.loads(line.removeprefix("data: ")) for line in lines if line]
        assert [event["type"] for event in told[:-1]] == ["speech.audio.delta"] * (len(told) - 1)
        assert told[-1]["type"] == "speech.audio.done"
        assert set(told[-1]["usage"]) == {"input_tokens", "output_tokens", "total_tokens"}
        assert b"".join(base64.b64decode(event["audio"]) for event in told[:-1]) == whole


def test_openai_speaks_asynchronously(server: Server, models: list[str]) -> None:
    async def speak() -> list[bytes]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client:
            assert sorted([model.id async for model in client.models.list()]) == models
            whole = [client.audio.speech.create(response_format=form, **SAME) for form in ("wav", "flac")]
            found = [sound.content for sound in await asyncio.gather(*whole)]
            async with client.audio.speech.with_streaming_response.create(**SAME) as response:
                found.append(b"".join([piece async for piece in response.iter_bytes()]))
            with pytest.raises(openai.BadRequestError):
                await client.audio.speech.create(model="tiny", voice="alloy", input="Hello.")
            return found

    assert asyncio.run(speak()) == [server.speak(response_format=form).content for form in ("wav", "flac", "mp3")]


@pytest.mark.parametrize(
    ("changes", "kind", "param", "code"),
    [
        ({"voice": "alloy"}, openai.BadRequestError, "voice", "voice_not_found"),
        ({"instructions": "Like a pirate."}, openai.BadRequestError, "instructions", "unsupported_parameter"),
        ({"model": "gpt-4o-mini-tts"}, openai.NotFoundError, "model", "model_not_found"),
    ],
)
def test_openai_sees_what_was_wrong(
    client: openai.OpenAI, changes: dict[str, Any], kind: type[openai.APIStatusError], param: str, code: str
) -> None:
    with pytest.raises(kind) as caught:
        client.audio.speech.create(**SAME | changes)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    assert "ann, bob" in str(caught.value) or param != "voice"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o-mini-tts")


def test_openai_needs_a_key_where_there_are_keys(keyed: Server, keys: dict[str, str], models: list[str]) -> None:
    with client_of(keyed, key="wrong") as stranger:
        for attempt in (stranger.models.list, lambda: stranger.audio.speech.create(**SAME)):
            with pytest.raises(openai.AuthenticationError) as caught:
                attempt()
            assert (caught.value.code, caught.value.param) == ("invalid_api_key", None)
    with client_of(keyed, key=keys["openai"]) as known:
        assert sorted(model.id for model in known.models.list()) == models
        assert len(known.audio.speech.create(**SAME).content) > 1000


@contextmanager
def trying_again(server: Server, status: int, code: str, expected: bytes) -> Iterator[None]:
    """A client that tries once is told to wait, and one that tries again gets what is expected after this block."""
    with client_of(server) as impatient, client_of(server, max_retries=20) as patient, ThreadPoolExecutor(1) as pool:
        with pytest.raises(openai.APIStatusError) as caught:
            impatient.audio.speech.create(**SAME)
        assert (caught.value.status_code, caught.value.code) == (status, code)
        assert int(caught.value.response.headers["retry-after"]) >= 1
        trial = pool.submit(patient.audio.speech.with_raw_response.create, response_format="wav", **SAME)
        eventually(lambda: [line.get("status") for line in server.log].count(status) >= 2)
        yield
        answer = trial.result(timeout=60)
        assert answer.retries_taken >= 1
        assert answer.parse().content == expected


def test_openai_is_told_of_overload_and_tries_again(serve: Serve) -> None:
    with serve(interactive_slots=1, max_queued_streams=0) as server:
        expected, slow = server.speak().content, ExitStack()
        slow.enter_context(reading_slowly(server))
        with trying_again(server, 429, "overloaded", expected):
            slow.close()


def test_openai_tries_again_until_there_is_a_worker(serve: Serve, server: Server) -> None:
    expected = server.speak().content
    with (
        serve(worker=False, until="not ready yet") as lone,
        ExitStack() as later,
        trying_again(lone, 503, "not_ready", expected),
    ):
        later.enter_context(serve(redis_url=lone.redis_url))


@pytest.fixture(scope="session")
def openai_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script, with the pinned client that it needs, fetched from npm's cache or from the registry."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("js")
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(JS / name, folder)
    options = ("--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
    done = subprocess.run(["npm", "ci", *options], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if any(f"code {reason}" in done.stderr for reason in UNREACHABLE):
        pytest.skip("npm's registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder / "client.mjs"


def test_openai_js(server: Server, openai_js: Path, models: list[str]) -> None:
    words = ["node", str(openai_js), f"{server.url}/v1", "tiny", "ann", "7"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wav, mp3 = (server.speak(response_format=form).content for form in ("wav", "mp3"))
    sounds = [base64.b64decode(found[name]["audio"]) for name in ("whole", "events", "streamed")]
    assert (sounds, found["whole"]["type"], found["streamed"]["pieces"] >= 1) == ([wav, wav, mp3], "audio/wav", True)
    *deltas, last = found["events"]["kinds"]
    assert (set(deltas), last) == ({"speech.audio.delta"}, "speech.audio.done")
    usage = found["events"]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert (sorted(found["models"]), found["owner"]) == (models, "tests")
    assert [[row[key] for key in ("asked", "kind", "status", "param", "code")] for row in found["refusals"]] == [
        ["voice", "BadRequestError", 400, "voice", "voice_not_found"],
        ["speed", "BadRequestError", 400, "speed", "less_than_equal"],
        ["model", "NotFoundError", 404, "model", "model_not_found"],
    ]
    assert all(row["named"] and row["type"] == "invalid_request_error" for row in found["refusals"])


def test_a_call_of_twilios_hears_the_program_of_the_docs(server: Server, tmp_path: Path) -> None:
    blocks = re.findall("```python\n(.*?)```", (ROOT / "docs/integrations.md").read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "streamSid" in block)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = code.replace("localhost:8000", f"127.0.0.1:{server.port}").replace("8080", str(port))
    code = code.replace("wavenet-en", "tiny").replace("heart", "ann").replace('"ulaw_8000"', '"ulaw_8000", "seed": 7')
    program = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    try:
        while True:
            with suppress(ConnectionRefusedError), connect(f"ws://127.0.0.1:{port}/", proxy=None) as call:
                heard = played(call)
                break
            assert program.poll() is None
            time.sleep(0.1)
    finally:
        program.terminate()
        program.wait()
    text = "Thank you for calling."
    assert heard == server.speak(input=text, response_format="ulaw_8000").content


def played(call: ClientConnection) -> bytes:
    """What a caller hears until the mark: Twilio's part of a call."""
    media = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    start = {"streamSid": "MZ1", "tracks": ["inbound"], "mediaFormat": media}
    call.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
    call.send(json.dumps({"event": "start", "sequenceNumber": "1", "start": start, "streamSid": "MZ1"}))
    heard = b""
    while (message := json.loads(call.recv(timeout=30)))["event"] == "media":
        assert message["streamSid"] == "MZ1"
        heard += base64.b64decode(message["media"]["payload"])
        call.send(json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": "/////w=="}}))
    assert message == {"event": "mark", "streamSid": "MZ1", "mark": {"name": "spoken"}}
    call.send(json.dumps(message))
    with pytest.raises(ConnectionClosedOK):
        call.recv(timeout=30)
    return heard
