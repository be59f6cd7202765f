"""``ancestral speech-dispatcher``: voices for Orca and other clients of speech-dispatcher."""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import re
import shlex
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape

import click
import numpy as np
from numpy.typing import NDArray

from ancestral import codecs
from ancestral.command_line import chosen_model, click_errors, server_options
from ancestral.errors import AncestralError, InvalidRequest
from ancestral.local import FAILURES
from ancestral.model import Model
from ancestral.settings import PREFIX, ModelSettings, read_settings
from ancestral.speech.sentences import PIECE_CHARACTERS, Sentences, pieces_of
from ancestral.speech.voice import Voice
from ancestral_models.entries import MAX_INTONATION, MAX_PITCH, SPEEDS
from ancestral_models.entries import Voice as VoiceEntry
from ancestral_models.text.languages.language import language_of
from ancestral_models.text.script import Cast

if TYPE_CHECKING:
    from ancestral.client.server import RemoteModel, RemoteVoice


# An output module of speech-dispatcher, which screen readers such as Orca speak through.
#
# speech-dispatcher writes commands to the module's standard input and reads replies, events and sound from its standard
# output, as "Communication Protocol for Output Modules" in its manual says. It plays the sound itself; so the module
# does not know a sound device, and what was heard is known without it.

_VOICE_TYPE: Final = re.compile(r"(child_)?(male|female)([123])?")
_FIRST_TYPE: Final = "male1"
"""The type of voice that speech-dispatcher names where its user has chosen none."""


@dataclass
class Settings:
    """What ``SET`` has set, as speech-dispatcher names it. Numbers are -100 to 100; 0 is normal."""

    rate: int = 0
    pitch: int = 0
    pitch_range: int = 0
    volume: int = 100
    spelling_mode: str = "off"
    cap_let_recogn: str = "none"
    voice: str = _FIRST_TYPE
    language: str = "NULL"
    synthesis_voice: str = "NULL"

    def set(self, name: str, value: str) -> None:
        """Set one; others, such as the punctuation, are speech-dispatcher's own business.

        Raises:
            ValueError: it is no number.
        """
        if isinstance(old := getattr(self, name, None), int):
            setattr(self, name, max(-100, min(100, int(value))))
        elif old is not None:
            setattr(self, name, value)

    @property
    def options(self) -> dict[str, Any]:
        """How a voice speaks; what is normal is left out."""
        share = self.rate / 100
        speed = SPEEDS[1] ** share if share > 0 else SPEEDS[0] ** -share
        found = {"speed": speed, "pitch": MAX_PITCH * self.pitch / 100}
        found["intonation"] = max(0.0, min(MAX_INTONATION, 1 + self.pitch_range / 100))
        normal = {"speed": 1.0, "pitch": 0.0, "intonation": 1.0}
        return {name: value for name, value in found.items() if value != normal[name]}

    def chosen(self, voices: Sequence[VoiceEntry], default: str) -> str:
        """The id of the voice that is chosen: by its id, by the language, or by its type among those of the language.

        Args:
            voices: of the model.
            default: a voice, or a mix of voices, of users who have chosen none.
        """
        if self.synthesis_voice in {voice.id for voice in voices}:
            return self.synthesis_voice
        spoken = [
            voice
            for voice in voices
            if self.language == "NULL" or language_of(voice.language) == language_of(self.language)
        ] or voices
        kind = _VOICE_TYPE.fullmatch(self.voice)
        if kind is not None and self.voice != _FIRST_TYPE:
            fitting = [voice for voice in spoken if voice.gender == kind[2]]
            if fitting:
                return fitting[(int(kind[3] or 1) - 1) % len(fitting)].id
        speaks_another = default in {voice.id for voice in voices} - {voice.id for voice in spoken}
        return spoken[0].id if speaks_another else default


# What speech-dispatcher sends, as pieces of SSML that a voice can speak.

_SPELLED_WORDS: Final = 40
"""Words in a piece of a text that is spelled: about 2500 characters of SSML."""
_SPELLED_LETTERS: Final = 300
"""Most letters of such a piece: about a minute of sound. With their markup they are no more than a server takes."""
_UNSPOKEN: Final = frozenset({"Cc", "Cs", "Co", "Cn"})
"""Categories of characters that no text has: they become spaces."""


def sentences_of(marked: Sequence[tuple[str, str | None]], cast: Cast) -> Iterator[tuple[str, Sequence[str]]]:
    """The text of a message, as SSML, and the marks after each piece: those within a sentence wait for its end."""
    sentences, said, marks = Sentences(cast=cast), "", list[str]()
    for (text, mark), (after, _) in zip(marked, [*marked[1:], ("", None)], strict=True):
        # Whether a full stop ends a sentence is seen by the space after it, which is after the mark.
        said += sentences.feed(_cleaned(text.lstrip() + after[: after[:1].isspace()]))
        if mark is not None:
            marks.append(mark)
            if not sentences.pending:
                yield from _with_marks(said, marks, cast)
                said, marks = "", []
    said += sentences.flush()
    if said.strip() or marks:
        yield from _with_marks(said, marks, cast)


def _with_marks(text: str, marks: Sequence[str], cast: Cast) -> Iterator[tuple[str, Sequence[str]]]:
    """A text as SSML, in pieces that a server takes; the marks come after the last one."""
    *before, last = [piece for _, piece, _ in pieces_of(text, cast, most=PIECE_CHARACTERS)] or [""]
    yield from ((escape(piece), ()) for piece in before)
    yield escape(last), marks


def marked(document: str) -> list[tuple[str, str | None]]:
    """The text before each mark, with the mark; and after the last one."""
    found: list[tuple[str, str | None]] = []
    text: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "mark":
            found.append(("".join(text), attributes.get("name", "")))
            text.clear()

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.CharacterDataHandler = text.append
    parser.EntityDeclHandler = _refuse_entity
    parser.Parse(_without_controls(document).encode("utf-8", "replace"), True)
    return [*found, ("".join(text), None)]


def _refuse_entity(*_: object) -> None:
    raise expat.ExpatError("it declares an entity")


def spoken_name(text: str) -> list[tuple[str, Sequence[str]]]:
    """The name of a sound, in words."""
    return [(escape(_cleaned(text.replace("_", " ").replace("-", " "))), ())]


def spelled(text: str) -> str:
    words = [f'<say-as interpret-as="characters">{escape(word)}</say-as>' for word in text.split()]
    return ", ".join(words)


def spelled_pieces(text: str, marks: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """The words of a text letter by letter, as SSML, in pieces that a server takes; the marks come after the last."""
    most, piece = _SPELLED_LETTERS, list[str]()
    for part in (word[at : at + most] for word in text.split() for at in range(0, len(word), most)):
        if len(piece) == _SPELLED_WORDS or sum(map(len, piece)) + len(part) > most:
            yield spelled(" ".join(piece)), ()
            piece = []
        piece.append(part)
    yield spelled(" ".join(piece)), marks


def _without_controls(text: str) -> str:
    return "".join(" " if c not in "\n\t" and unicodedata.category(c) in _UNSPOKEN else c for c in text)


def _cleaned(text: str) -> str:
    """A text without brackets, which are ours for directives."""
    return _without_controls(text).replace("[", " ").replace("]", " ")


def plain(piece: str) -> str:
    """The text of a piece of SSML."""
    return "".join(text for text, _ in marked(f"<speak>{piece}</speak>"))


def latin(text: str) -> str:
    """A text without letters of other scripts."""
    return "".join(c if not c.isalpha() or "LATIN" in unicodedata.name(c, "") else " " for c in text)


MAX_MESSAGE_BYTES: Final = 1 << 20
_ESCAPE: Final = b"}"
"""Stands before a line feed or another escape in sound, whose sixth bit is inverted."""
_ESCAPED: Final = re.compile(rb"[\n}]")
_SILENCE: Final = 0.004
"""Largest sample of silence."""
_ONSET_SECONDS: Final = 0.003
"""Sound before the first louder sample that is kept."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Message:
    """What is to be spoken: pieces of SSML, and the marks that are reached after each."""

    pieces: Iterable[tuple[str, Sequence[str]]]
    voice: Voice | RemoteVoice
    options: dict[str, Any]
    gain: float
    """Volume, 0 to 1."""
    ended: threading.Event = field(default_factory=threading.Event)
    """Nothing more of it may be sent."""
    pausing: threading.Event = field(default_factory=threading.Event)
    """Set to end it with its next mark."""
    begun: threading.Event = field(default_factory=threading.Event)


class Module:
    """The module: :meth:`run` reads commands, and a thread of its own speaks.

    Args:
        model: that speaks.
        voices: of the model.
        default: the voice of users who have chosen none.
        source: of the commands.
        target: of replies, events and sound.
    """

    def __init__(
        self,
        model: Model | RemoteModel,
        voices: Sequence[VoiceEntry],
        default: str,
        source: IO[bytes],
        target: IO[bytes],
    ) -> None:
        self._model, self._voices, self._default = model, voices, default
        self._source, self._target = source, target
        self._settings = Settings()
        self._writing = threading.Lock()
        self._message: Message | None = None
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._refused: set[str] = set()
        """Options that the model has not."""
        self._commands: dict[str, Callable[[], None]] = {
            "INIT": self._init,
            "SPEAK": lambda: self._take(self._text),
            "CHAR": lambda: self._take(self._character),
            "KEY": lambda: self._take(self._key),
            "SOUND_ICON": lambda: self._take(spoken_name),
            "STOP": self._stop,
            "PAUSE": self._pause,
            "SET": lambda: self._read_settings("", "SETTINGS RECEIVED", self._settings.set),
            "AUDIO": lambda: self._read_settings("AUDIO ", "AUDIO INITIALIZED", _check_audio),
            "LOGLEVEL": lambda: self._read_settings("LOGLEVEL ", "LOGLEVEL SET", lambda _name, _value: None),
        }

    def run(self) -> None:
        """Obey until ``QUIT``, or the end of the commands."""
        speaker = threading.Thread(target=self._speak_all, daemon=True)
        speaker.start()
        while (line := self._line()) not in (None, "QUIT"):
            command = str(line)
            if command.startswith("LIST VOICES"):
                self._list_voices(command.split()[2:])
            elif command in self._commands:
                self._commands[command]()
            elif command.startswith("DEBUG"):
                self._send("200 OK DEBUGGING")
            elif command:
                self._send("300 ERR UNKNOWN COMMAND")
        self._stop()
        self._messages.put(None)
        speaker.join()
        if line is not None:
            self._send("210 OK QUIT")

    # Commands

    def _line(self) -> str | None:
        line = self._source.readline(MAX_MESSAGE_BYTES)
        return line.decode("utf-8", "replace").rstrip("\n") if line else None

    def _data(self) -> list[str] | None:
        """The lines up to one that is a dot; None if they have ended, or are too long."""
        found: list[str] = []
        size = 0
        while (line := self._line()) != ".":
            if line is None:
                return None
            size += len(line)
            if size <= MAX_MESSAGE_BYTES:
                found.append(line.removeprefix("."))
        return found if size <= MAX_MESSAGE_BYTES else None

    def _init(self) -> None:
        """Everything is loaded before the first word is asked for."""
        try:
            next(iter(self._model.voice(self._default).speak("Ready.", seed=0)))
        except AncestralError as error:
            self._send(f"399-{' '.join(str(error).split())}", "399 ERR CANT INIT MODULE")
        else:
            self._send("299-Ancestral speaks.", "299 OK LOADED SUCCESSFULLY")

    def _read_settings(self, what: str, done: str, put: Callable[[str, str], None]) -> None:
        self._send(f"207 OK RECEIVING {what}SETTINGS")
        try:
            for line in self._data() or []:
                name, equals, value = line.partition("=")
                if not equals:
                    raise ValueError(line)
                put(name, value)
        except ValueError:
            self._send("303 ERROR INVALID PARAMETER OR VALUE")
        else:
            self._send(f"203 OK {done}")

    def _list_voices(self, wanted: Sequence[str]) -> None:
        language = wanted[0] if wanted and wanted[0] != "none" else None
        found = [
            f"200-{voice.id}\t{voice.language}\tnone"
            for voice in self._voices
            if language is None or language_of(voice.language) == language_of(language)
        ]
        self._send(*(found or []), "200 OK VOICE LIST SENT" if found else "304 CANT LIST VOICES")

    def _take(self, read: Callable[[str], Iterable[tuple[str, Sequence[str]]] | None]) -> None:
        """Receive a message, and have it spoken."""
        self._send("202 OK RECEIVING MESSAGE")
        lines = self._data()
        text = "\n".join(lines or []).strip("\n")
        try:
            voice = self._voice()
            pieces = read(text) if text else None
        except (AncestralError, expat.ExpatError) as error:
            log.warning("refused: %s", error)
            pieces = None
        if pieces is None or self._message is not None:
            self._send("301 ERROR CANT SPEAK")
            return
        if self._settings.spelling_mode == "on":
            pieces = (part for piece, marks in pieces for part in spelled_pieces(plain(piece), marks))
        self._message = Message(pieces, voice, self._settings.options, (self._settings.volume + 100) / 200)
        self._send("200 OK SPEAKING")
        self._messages.put(self._message)

    def _text(self, document: str) -> Iterator[tuple[str, Sequence[str]]]:
        return sentences_of(marked(document), self._voice().cast())

    def _character(self, text: str) -> list[tuple[str, Sequence[str]]]:
        return [(self._named(" " if text == "space" else text[0]), ())]

    def _key(self, text: str) -> list[tuple[str, Sequence[str]]]:
        names = text.split("_") if len(text) > 1 else [text]
        return [(" ".join(self._named(name) if len(name) == 1 else escape(name) for name in names if name), ())]

    def _named(self, character: str) -> str:
        """The name of a character, as SSML."""
        if character.isspace():
            return "space"
        is_capital = character.isupper() and self._settings.cap_let_recogn != "none"
        return f"{'capital ' if is_capital else ''}{spelled(character)}"

    def _stop(self) -> None:
        if (message := self._message) is not None:
            self._end(message, "703 STOP")

    def _pause(self) -> None:
        if (message := self._message) is not None:
            message.pausing.set()

    def _voice(self) -> Voice | RemoteVoice:
        """The voice that the settings choose.

        Raises:
            AncestralError: the model has lost it.
        """
        return self._model.voice(self._settings.chosen(self._voices, self._default))

    # Speaking

    def _speak_all(self) -> None:
        while (message := self._messages.get()) is not None:
            try:
                self._speak(message)
            except AncestralError as error:
                log.warning("not spoken: %s", error)
            except BrokenPipeError:
                return
            except Exception:  # the next message may be spoken
                log.exception("not spoken")
            self._end(message, "702 END")

    def _speak(self, message: Message) -> None:
        for piece, marks in message.pieces:
            for data in self._sound(message, piece):
                if message.ended.is_set():
                    return
                self._send_sound(message, data)
            for mark in marks:
                if not self._event(message, f"700-{mark}\n700 INDEX MARK\n".encode()):
                    return
            if marks and message.pausing.is_set():
                self._end(message, "704 PAUSE")
                return

    def _sound(self, message: Message, piece: str) -> Iterator[bytes]:
        """The sound of a piece of SSML, in bytes of PCM. What cannot be spoken of it is left out."""
        rate = message.voice.sample_rate
        encoder = codecs.encoder("pcm", rate)
        for text in (piece, escape(latin(plain(piece)))):
            try:
                options = {name: value for name, value in message.options.items() if name not in self._refused}
                waves = iter(message.voice.speak(f"<speak>{text}</speak>", input_format="ssml", seed=0, **options))
                for wave in waves if message.begun.is_set() else _audible(waves, rate):
                    yield encoder.feed(np.asarray(wave * message.gain, np.float32))
                return
            except InvalidRequest as error:
                if error.param in ("pitch", "intonation"):
                    self._refused |= {"pitch", "intonation"}
                    yield from self._sound(message, piece)
                    return
                log.info("not spoken: %s", error)

    def _event(self, message: Message, data: bytes) -> bool:
        """Send an event of a message, unless it has ended; returns whether it has been sent."""
        with self._writing:
            if message.ended.is_set():
                return False
            self._begin(message)
            self._write(data)
            return True

    def _send_sound(self, message: Message, data: bytes) -> None:
        if data:
            rate = message.voice.sample_rate
            head = f"705-bits=16\n705-num_channels=1\n705-sample_rate={rate}\n705-num_samples={len(data) // 2}\n"
            body = _ESCAPED.sub(lambda found: _ESCAPE + bytes([found[0][0] ^ 32]), data)
            self._event(message, f"{head}705-big_endian=0\n705-AUDIO\0".encode() + body + b"\n705 AUDIO\n")

    def _begin(self, message: Message) -> None:
        if not message.begun.is_set():
            message.begun.set()
            self._write(b"701 BEGIN\n")

    def _end(self, message: Message, event: str) -> None:
        with self._writing:
            if not message.ended.is_set():
                message.ended.set()
                self._begin(message)
                self._message = None
                self._write(f"{event}\n".encode())

    def _send(self, *lines: str) -> None:
        with self._writing:
            self._write("".join(f"{line}\n" for line in lines).encode())

    def _write(self, data: bytes) -> None:
        self._target.write(data)
        self._target.flush()


def _audible(waves: Iterator[NDArray[np.float32]], rate: int) -> Iterator[NDArray[np.float32]]:
    """Sound without the silence before its first word, about 80 ms, for which a screen reader's user would wait."""
    for wave in waves:
        loud = np.flatnonzero(np.abs(wave) > _SILENCE)
        if len(loud):
            yield wave[max(0, int(loud[0]) - round(_ONSET_SECONDS * rate)) :]
            break
    yield from waves


def _check_audio(name: str, value: str) -> None:
    """speech-dispatcher asks first whether it may play the sound itself, and a module that refuses is told a device."""
    if name != "audio_output_method" or value != "server":
        raise ValueError(name)


_MODULE = "../libexec/speech-dispatcher-modules/sd_ancestral"
"""Where speech-dispatcher finds a user's module ``ancestral``, from the folder of the user's data."""

_PIPE_BYTES = 4096
"""128 ms of sound; speech-dispatcher has a queue of its own."""


@click.command(short_help="Speak for Orca and other clients of speech-dispatcher.")
@click.argument("configuration", required=False, type=click.Path(path_type=Path))
@click.option("--voice", help="For users who have chosen none; the model's first voice by default.")
@click.option("--model", help="A model's id; the first one that has the voice by default.")
@server_options
@click.option("--install", is_flag=True, help="Make speech-dispatcher start this command, with the other options.")
def command(
    configuration: Path | None,
    voice: str | None,
    model: str | None,
    url: str | None,
    api_key_file: Path | None,
    install: bool,
) -> None:
    """An output module of speech-dispatcher, which starts it itself: --install writes a file for that into the home
    directory. Then `spd-say -o ancestral Hello.` speaks (docs/speech-dispatcher.md).

    CONFIGURATION is what speech-dispatcher gives to each module; nothing is read from it.
    """
    output, sys.stdout = sys.stdout, sys.stderr  # only the protocol may write there
    with click_errors(*FAILURES), chosen_model(url, api_key_file, model, voice) as chosen:
        default = chosen.model.voice(voice).id  # refused here if there is none
        if install:
            path = _install(chosen.model.id, default, url, api_key_file)
            click.echo(f"{path}\nspeech-dispatcher finds it when it starts again: pkill speech-dispatch", err=True)
            return
        # After STOP speech-dispatcher reads all that is in the pipe before it falls silent: of 64 KiB, 30 ms later.
        with suppress(OSError):
            fcntl.fcntl(output.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        Module(chosen.model, chosen.voices, default, sys.stdin.buffer, output.buffer).run()


def _install(model: str, voice: str, url: str | None, api_key_file: Path | None) -> Path:
    """Write the module: a script that starts this command."""
    words = [str(Path(sys.executable).with_name("ancestral")), "speech-dispatcher", "--model", model, "--voice", voice]
    words += ["--url", url] if url is not None else []
    words += ["--api-key-file", str(api_key_file.absolute())] if api_key_file is not None else []
    settings = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    for name, value in read_settings(ModelSettings):
        if isinstance(value, Path) and (name == "data_dir" or f"{PREFIX}{name.upper()}" in settings):
            settings[f"{PREFIX}{name.upper()}"] = str(value.absolute())  # speech-dispatcher runs it in another folder
    script = "#!/bin/sh\n" + "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    data.mkdir(parents=True, exist_ok=True)
    path = (data / _MODULE).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(0o700)  # before anything is in it: the settings may have secrets
    path.write_text(f'{script}exec {shlex.join(words)} "$@"\n')
    return path
