"""`ancestral speech-dispatcher`: its protocol and its installation."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ancestral as library
from ancestral import codecs
from ancestral.model import Model
from ancestral_integrations import speech_dispatcher
from ancestral_models.entries import Voice
from ancestral_models.text.script import Cast
from tests.service.cli.conftest import Run
from tests.service.servers import Server

LONG = "It was a long day. " * 1000
SPELLED = '<say-as interpret-as="characters">{}</say-as>'


@pytest.fixture(scope="module")
def model(zoo: Path) -> Model:
    """The tiny model, whose voices are noise from the first sample on."""
    return library.load("tiny", directory=zoo)


def pcm(model: Model, text: str, voice: str = "ann", **options: float) -> bytes:
    """The sound of a text, as the module sends it."""
    speech = model.voice(voice).speak(f"<speak>{text}</speak>", input_format="ssml", seed=0, **options)  # type: ignore[arg-type]
    wave, rate = speech.samples, speech.sample_rate
    start = max(0, int(np.flatnonzero(np.abs(wave) > 0.004)[0]) - round(0.003 * rate))
    return codecs.encoder("pcm", rate).feed(wave[start:])


# The protocol


class Pipes:
    """A module in this process, at the other end of two pipes."""

    def __init__(self, model: Model) -> None:
        commands, self._in = os.pipe()
        self._out, replies = os.pipe()
        self.source, self.target = os.fdopen(commands, "rb"), os.fdopen(replies, "wb")
        voices = model.description.entry.voices
        module = speech_dispatcher.Module(model, voices, "ann", self.source, self.target)
        self.thread = threading.Thread(target=module.run, daemon=True)
        self.thread.start()
        self._lines = os.fdopen(self._out, "rb")

    def send(self, *lines: str | bytes) -> None:
        for line in lines:
            os.write(self._in, (line if isinstance(line, bytes) else line.encode()) + b"\n")

    def line(self) -> str:
        """The next line that is no part of a sound."""
        while (line := self._lines.readline()).startswith(b"705"):
            pass
        return line.decode().rstrip("\n")

    def sound(self) -> tuple[bytes, str]:
        """All sound up to the next event, and that event."""
        found = b""
        while (line := self._lines.readline()).startswith(b"705"):
            if line.startswith(b"705-AUDIO\0"):
                body = line[len(b"705-AUDIO\0") : -1]
                pieces = body.split(b"}")
                found += pieces[0] + b"".join(bytes([piece[0] ^ 32]) + piece[1:] for piece in pieces[1:])
        return found, line.decode().rstrip("\n")

    def exchange(self, *lines: str | bytes, replies: int = 1) -> list[str]:
        self.send(*lines)
        return [self.line() for _ in range(replies)]

    def close(self) -> None:
        os.close(self._in)
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.target.close()
        self._lines.close()
        self.source.close()


@pytest.fixture
def pipes(model: Model) -> Iterator[Pipes]:
    found = Pipes(model)
    yield found
    found.close()


def begin(pipes: Pipes, text: str, command: str = "SPEAK") -> None:
    text = f"<speak>{text}</speak>" if command == "SPEAK" else text
    assert pipes.exchange(command, text, ".", replies=3) == ["202 OK RECEIVING MESSAGE", "200 OK SPEAKING", "701 BEGIN"]


def speaks_again(pipes: Pipes) -> None:
    begin(pipes, "No.")
    assert pipes.sound()[1] == "702 END"


def set_to(pipes: Pipes, *settings: str) -> None:
    replies = pipes.exchange("SET", *settings, ".", replies=2)
    assert replies == ["207 OK RECEIVING SETTINGS", "203 OK SETTINGS RECEIVED"]


def test_it_begins_lists_its_voices_and_ends(pipes: Pipes) -> None:
    assert pipes.exchange("INIT", replies=2)[1] == "299 OK LOADED SUCCESSFULLY"
    audio = ["AUDIO", "audio_output_method=server", "."]
    assert pipes.exchange(*audio, replies=2)[1] == "203 OK AUDIO INITIALIZED"
    other = ["AUDIO", "audio_output_method=pulse", "audio_pulse_device=x", "."]
    assert pipes.exchange(*other, replies=2)[1] == "303 ERROR INVALID PARAMETER OR VALUE"
    assert pipes.exchange("LOGLEVEL", "log_level=3", ".", replies=2)[1] == "203 OK LOGLEVEL SET"
    listed = ["200-ann\ten\tnone", "200-bob\ten\tnone", "200 OK VOICE LIST SENT"]
    assert pipes.exchange("LIST VOICES", replies=3) == listed
    assert pipes.exchange("LIST VOICES en_US none", replies=3) == listed
    assert pipes.exchange("LIST VOICES fr") == ["304 CANT LIST VOICES"]
    assert pipes.exchange("QUIT") == ["210 OK QUIT"]


def test_a_message_is_the_sound_of_its_text(pipes: Pipes, model: Model) -> None:
    begin(pipes, 'It was late.<mark name="__spd_0"/> Dr.<mark name="__spd_1"/> No came &lt;b&gt;.')
    sound, event = pipes.sound()
    assert (event, pipes.line()) == ("700-__spd_0", "700 INDEX MARK")
    assert sound == pcm(model, "It was late.")
    sound, event = pipes.sound()  # a mark within a sentence is reached with its end
    assert (event, pipes.line()) == ("700-__spd_1", "700 INDEX MARK")
    whole = model.voice("ann").speak("<speak> Dr. No came &lt;b&gt;.</speak>", input_format="ssml", seed=0)
    assert sound == codecs.encoder("pcm", 16000).feed(whole.samples)
    assert pipes.line() == "702 END"


def test_a_long_message_comes_in_pieces() -> None:
    pieces = list(speech_dispatcher.sentences_of([(LONG, "a"), ("End.", None)], Cast.of_one("en")))
    assert "".join(piece for piece, _ in pieces) == f"{LONG}End."
    assert all(len(piece) <= 1000 for piece, _ in pieces)
    assert [number for number, (_, marks) in enumerate(pieces) if marks] == [len(pieces) - 2]
    endless = list(speech_dispatcher.sentences_of([("a < b & c " * 500, None)], Cast.of_one("en")))
    assert max(len(piece) for piece, _ in endless) <= 4000, "without an end of a sentence, too"
    for count in (0, 1, 40, 41, 80, 81):
        words = [f"a{number}" for number in range(count)]
        *before, (last, marks) = speech_dispatcher.spelled_pieces(" ".join(words), ["b"])
        assert ", ".join([*(piece for piece, _ in before), last]) == speech_dispatcher.spelled(" ".join(words))
        assert (marks, len(before)) == (["b"], max(0, count - 1) // 40)
    for word in ("&" * 1000, f"{'a' * 250} {'b' * 250}"):
        spelled_words = [piece for piece, _ in speech_dispatcher.spelled_pieces(word, [])]
        assert "".join(speech_dispatcher.plain(piece) for piece in spelled_words) == word.replace(" ", "")
        assert max(len(speech_dispatcher.plain(piece)) for piece in spelled_words) <= 300


@pytest.mark.parametrize(
    ("settings", "command", "text", "spoken", "voice", "options"),
    [
        (["rate=100"], "SPEAK", "It was late.", "It was late.", "ann", {"speed": 4.0}),
        (["rate=-50"], "SPEAK", "It was late.", "It was late.", "ann", {"speed": 0.5}),
        (["pitch=50", "pitch_range=-100"], "SPEAK", "It.", "It.", "ann", {"pitch": 6.0, "intonation": 0.0}),
        (["synthesis_voice=bob"], "SPEAK", "It was late.", "It was late.", "bob", {}),
        (["punctuation_mode=all", "other=1"], "SPEAK", "It was late.", "It was late.", "ann", {}),
        (["spelling_mode=on"], "SPEAK", "No 1", f"{SPELLED.format('No')}, {SPELLED.format('1')}", "ann", {}),
        ([], "CHAR", "?", SPELLED.format("?"), "ann", {}),
        ([], "CHAR", "space", "space", "ann", {}),
        (["cap_let_recogn=spell"], "CHAR", "A", f"capital {SPELLED.format('A')}", "ann", {}),
        ([], "KEY", "shift_a", f"shift {SPELLED.format('a')}", "ann", {}),
        ([], "KEY", "_", SPELLED.format("_"), "ann", {}),
        ([], "SOUND_ICON", "message-new", "message new", "ann", {}),
        ([], "SPEAK", "It [voice:bob] is.", "It  voice:bob  is.", "ann", {}),
        ([], "SPEAK", "Hello \u65e5\u672c\x01 there.", "Hello \u65e5\u672c  there.", "ann", {}),
    ],
)  # fmt: skip
def test_settings_and_kinds_of_messages(
    pipes: Pipes, model: Model, settings: list[str], command: str, text: str, spoken: str, voice: str,
    options: dict[str, float],
) -> None:  # fmt: skip
    if settings:
        set_to(pipes, *settings)
    begin(pipes, text, command)
    assert pipes.sound() == (pcm(model, spoken, voice, **options), "702 END")


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        ({}, "eve"), ({"voice": "male2"}, "bob"), ({"voice": "male3"}, "tom"), ({"voice": "female1"}, "ann"),
        ({"voice": "child_female", "language": "en-GB"}, "ann"), ({"voice": "female1", "language": "fr"}, "eve"),
        ({"language": "fr_FR"}, "eve"), ({"language": "en"}, "ann"), ({"language": "c"}, "eve"),
        ({"voice": "female1", "synthesis_voice": "tom"}, "tom"), ({"synthesis_voice": "nobody"}, "eve"),
    ],
)  # fmt: skip
def test_the_voice_of_a_message(settings: dict[str, str], chosen: str) -> None:
    listed = (("ann", "en-US", "female"), ("tom", "en-US", "male"), ("bob", "en-GB", "male"), ("eve", "fr", "female"))
    voices = [Voice(name, name, language, gender, "", "") for name, language, gender in listed]
    wanted = speech_dispatcher.Settings()
    for name, value in settings.items():
        wanted.set(name, value)
    assert wanted.chosen(voices, "eve") == chosen


def test_stop_ends_a_message_at_once(pipes: Pipes) -> None:
    pipes.send("STOP")  # nothing is spoken: no answer
    begin(pipes, LONG)
    assert pipes.exchange("STOP") == ["703 STOP"]
    speaks_again(pipes)


def test_pause_ends_a_message_with_its_next_mark(pipes: Pipes) -> None:
    marked = "".join(f'It was late.<mark name="__spd_{n}"/> ' for n in range(20))
    begin(pipes, marked)
    pipes.send("PAUSE")
    events = []
    while (line := pipes.line()) != "704 PAUSE":
        events.append(line)
    assert events[-1] == "700 INDEX MARK"
    assert len(events) < 40
    speaks_again(pipes)


@pytest.mark.parametrize(
    "lines",
    [
        ["SPEAK", "."],
        ["SPEAK", "<speak>It was.", "."],
        ["SPEAK", '<!DOCTYPE speak [<!ENTITY a "b">]><speak>&a;</speak>', "."],
        ["SPEAK", b"<speak>" + b"x" * 1000 + b"</speak>\n" + b"y" * 500 + b"\n" + b"z" * ((1 << 20) + 2), "."],
    ],
)
def test_what_is_refused(pipes: Pipes, lines: list[str | bytes]) -> None:
    sending = threading.Thread(target=pipes.send, args=lines)
    sending.start()
    assert [pipes.line(), pipes.line()] == ["202 OK RECEIVING MESSAGE", "301 ERROR CANT SPEAK"]
    sending.join()
    speaks_again(pipes)


def test_what_is_no_command(pipes: Pipes) -> None:
    assert pipes.exchange("SING", b"\xff\x00", replies=2) == ["300 ERR UNKNOWN COMMAND"] * 2
    assert pipes.exchange("SET", "rate=fast", ".", replies=2)[1] == "303 ERROR INVALID PARAMETER OR VALUE"
    assert pipes.exchange("SET", "rate", ".", replies=2)[1] == "303 ERROR INVALID PARAMETER OR VALUE"
    set_to(pipes, "rate=9999999999")
    begin(pipes, "\u65e5\u672c")  # nothing of it can be spoken
    assert pipes.line() == "702 END"


# Its installation


def test_a_server_can_speak(server: Server, process: Run, tmp_path: Path) -> None:
    words = ("speech-dispatcher", "--install", "--url", server.url, "--voice", "bob")
    done = process(*words, HOME=str(tmp_path), ANCESTRAL_DATA_DIR="here")
    assert done.returncode == 0, done.stderr
    script = tmp_path / ".local/libexec/speech-dispatcher-modules/sd_ancestral"
    assert script.stat().st_mode & 0o777 == 0o700
    assert f"export ANCESTRAL_DATA_DIR={Path.cwd()}/here\n" in script.read_text()
    with subprocess.Popen([script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)) as run:
        run.stdin.write(b"INIT\nSPEAK\n<speak>It was late.</speak>\n.\n")
        run.stdin.flush()
        lines = list(iter(run.stdout.readline, b"702 END\n"))
        run.stdin.close()
        assert run.wait(30) == 0
    assert lines[1] == b"299 OK LOADED SUCCESSFULLY\n"
    assert b"701 BEGIN\n" in lines
