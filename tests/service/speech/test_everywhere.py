"""Given phonemes, pauses, lexicons, SSML and mixed voices: every route and command reads them as HTTP does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.service.servers import Server
from tests.service.speech.elevenlabs.support import FIRST, PCM, Listener, open_stream, rest, say, spoken
from tests.service.ws_client import speak, talking, whole

Run = Callable[..., subprocess.CompletedProcess[bytes]]
NGINX = {"Nginx": "EH1 N JH IH0 N EH1 K S"}
MIX = "bob(2)+ann(4)"
TEXT = "Nginx is [[kˈæt]]. [pause:300ms] Is it late? "
DOCUMENT = (
    "<speak>One <break time='200ms'/> <prosody rate='50%' pitch='+2st'>two</prosody> "
    "<phoneme alphabet='x-arpabet' ph='K AE1 T'>dog</phoneme>.</speak>"
)


@pytest.mark.parametrize("voice", [MIX, {"bob": 2, "ann": 4}])
def test_the_websocket_mixes_voices_and_reads_phonemes_and_pauses(server: Server, voice: str | dict[str, int]) -> None:
    with talking(server) as talk:
        speak(talk, TEXT[:20], TEXT[20:], voice=voice, pronunciations=NGINX)
    assert talk.sound == whole(server, TEXT, voice="ann(2)+bob(1)", pronunciations=NGINX)
    assert talk.sound != whole(server, TEXT, voice="ann(2)+bob(1)")


def test_the_websocket_reads_documents(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, *(DOCUMENT[start : start + 30] for start in range(0, len(DOCUMENT), 30)), input_format="ssml")
    assert talk.sound == whole(server, DOCUMENT, input_format="ssml")


@pytest.mark.parametrize("path", ["", "/stream"])
def test_elevenlabs_over_http(server: Server, path: str) -> None:
    url = f"{server.url}/v1/text-to-speech/{MIX}{path}?output_format=pcm_16000"
    response = httpx.post(url, json={"text": TEXT, "model_id": "tiny", "seed": 7}, timeout=60)
    assert response.headers["x-voice"] == "ann(2)+bob(1)"
    assert response.content == whole(server, TEXT, voice=MIX)


def test_elevenlabs_over_the_websocket(server: Server) -> None:
    with open_stream(server, voice=MIX) as connection:
        say(connection, FIRST, {"text": TEXT}, {"text": ""})
        assert rest(connection) == whole(server, TEXT, voice=MIX)
    with open_stream(server, f"{PCM}&enable_ssml_parsing=true", voice=MIX) as connection:
        say(connection, FIRST, {"text": DOCUMENT}, {"text": ""})
        heard = spoken(connection)
    assert heard.sound == whole(server, DOCUMENT, voice=MIX, input_format="ssml")
    assert heard.text("alignment").split() == ["One", "two", "dog."]


def test_contexts_mix_voices_and_read_phonemes(server: Server) -> None:
    with open_stream(server, f"{PCM}&enable_ssml_parsing=true", voice=MIX, route="multi-stream-input") as connection:
        listener = Listener(connection)
        for name in ("a", "b"):
            say(connection, {"text": DOCUMENT, "context_id": name}, {"context_id": name, "close_context": True})
        listener.until("a", "b")
    expected = whole(server, DOCUMENT, voice=MIX, input_format="ssml")
    assert (listener.sound("a"), listener.sound("b")) == (expected, expected)


def test_say_writes_the_bytes_of_the_server(ancestral: Run, server: Server, tmp_path: Path) -> None:
    lexicon, output = tmp_path / "lexicon.json", tmp_path / "a.wav"
    lexicon.write_text(json.dumps(NGINX))
    line = ("--model", "tiny", "--voice", MIX, "--seed", "7", "-o", str(output))
    assert ancestral("say", TEXT, *line, "--pronunciations", str(lexicon)).returncode == 0
    spoken_here = output.read_bytes()[-20000:]  # what comes before has the tags of the command
    assert server.speak(input=TEXT, voice=MIX, pronunciations=NGINX).content.endswith(spoken_here)
    assert ancestral("say", DOCUMENT, *line, "--ssml").returncode == 0
    assert server.speak(input=DOCUMENT, voice=MIX, input_format="ssml").content.endswith(output.read_bytes()[-20000:])


def test_a_book_has_the_same_bytes_however_the_mix_is_written(ancestral: Run, server: Server, tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("Chapter 1\n\nNginx slid [pause:300ms] on.\n")
    (tmp_path / "lexicon.json").write_text(json.dumps(NGINX))
    files: list[bytes] = []
    for number, options in enumerate((["--voice", MIX], ["--voice", MIX, "--url", server.url])):
        output = tmp_path / f"{number}.flac"
        line = ("--model", "tiny", "--seed", "7", "--pronunciations", str(tmp_path / "lexicon.json"), "-o", str(output))
        done = ancestral("read", str(tmp_path / "book.txt"), *line, *options)
        assert done.returncode == 0, done.stderr
        files.append(output.read_bytes())
    assert files[0] == files[1]
