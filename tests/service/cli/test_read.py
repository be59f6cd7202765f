"""`ancestral read`: files with chapters, here and by a server, interrupted and corrected."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from ancestral.catalog.seeds import part_seed
from ancestral.codecs.book import COVERED, FORMATS
from tests.service.cli.child_processes import killed
from tests.service.servers import Server, command
from tests.service.shaky import shaky_proxy

Run = Callable[..., subprocess.CompletedProcess[bytes]]
RATE = 16000
TEXT = """Chapter 1

The birch canoe slid on the smooth planks.

* * *

Glue the sheet to the dark blue background. It was easy.

Chapter 2: Größe

These days a chicken leg is a rare dish.
"""
TITLES = ["Chapter 1", "Chapter 2: Größe"]
SPOKEN = [
    ("Chapter 1", 1.0), ("The birch canoe slid on the smooth planks.", 1.5),
    ("Glue the sheet to the dark blue background. It was easy.", 2.0), ("Chapter 2: Größe", 1.0),
    ("These days a chicken leg is a rare dish.", 2.0),
]  # fmt: skip
"""The parts, and the seconds of silence after each."""
LONG = "\n\n".join(f"Chapter {c}\n\n" + f"It was day {c} of the long journey home. " * 8 for c in range(1, 49))


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """The text in a file."""
    path = tmp_path / "book.txt"
    path.write_text(TEXT)
    return path


def _read(run: Run, text: Path, output: Path, *options: str) -> bytes:
    done = run("read", str(text), "-o", str(output), "--model", "tiny", "--seed", "7", *options)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    return output.read_bytes()


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"7\n{text}".encode()).digest()[:8]) >> 11


def _length(server: Server, text: str) -> int:
    samples, _ = soundfile.read(io.BytesIO(server.speak(input=text, seed=_seed(text)).content), dtype="int16")
    return len(samples)


def test_the_sound_is_that_of_its_paragraphs(ancestral: Run, server: Server, book: Path, tmp_path: Path) -> None:
    _read(ancestral, book, tmp_path / "a.wav")
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    pieces: list[np.ndarray] = []
    for text, seconds in SPOKEN:
        content = server.speak(input=text, seed=_seed(text)).content
        pieces += [soundfile.read(io.BytesIO(content), dtype="int16")[0], np.zeros(int(seconds * RATE), np.int16)]
    assert rate == RATE
    assert np.array_equal(samples, np.concatenate(pieces))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "book.txt"]


@pytest.mark.parametrize("form", FORMATS)
def test_files_have_tags_chapters_and_a_cover(
    ancestral: Run, server: Server, book: Path, tmp_path: Path, form: str
) -> None:
    options = ["--title", "A Tale", "--author", "N. N."]
    if form in COVERED:
        Image.new("RGB", (40, 30), (9, 99, 200)).save(tmp_path / "cover.png")
        options += ["--cover", str(tmp_path / "cover.png")]
    first = _read(ancestral, book, tmp_path / f"a.{form}", *options)
    assert _read(ancestral, book, tmp_path / f"b.{form}", *options) == first
    ends = np.cumsum([_length(server, text) / RATE + seconds for text, seconds in SPOKEN])
    with av.open(str(tmp_path / f"a.{form}")) as container:
        tags = container.metadata | container.streams.audio[0].metadata
        chapters = [(c["metadata"]["title"], float(c["start"] * (c["time_base"] or 0))) for c in container.chapters()]
        pictures = [packet for packet in container.demux(video=0) if packet.size] if form in COVERED else []
        assert container.duration == pytest.approx(ends[-1] * av.time_base, rel=0.02)
    names = {name.lower(): value for name, value in tags.items()}
    assert (names["title"], names["album"], names["artist"]) == ("A Tale", "A Tale", "N. N.")
    assert json.loads(names["comment"]) | {"model": "tiny", "voice": "ann", "speed": 1.0, "seed": 7} == json.loads(
        names["comment"]
    )
    if form == "wav":
        assert chapters == []
    else:
        assert [title for title, _ in chapters] == TITLES
        assert [start for _, start in chapters] == pytest.approx([0.0, ends[2]], abs=0.002)
    if form in COVERED:
        assert bytes(pictures[0]) == (tmp_path / "cover.png").read_bytes()


def test_a_file_a_chapter_with_its_captions(ancestral: Run, book: Path, tmp_path: Path) -> None:
    options = ("--author", "N. N.", "--captions", "vtt", "--captions", "srt")
    assert _read(ancestral, book, tmp_path / "a.wav", *options)
    done = ancestral(
        "read", str(book), "-o", str(tmp_path / "b.wav"), "--model", "tiny", "--seed", "7", "--split", *options
    )
    assert done.returncode == 0, done.stderr
    chapters = [soundfile.read(tmp_path / f"b-0{n}.wav", dtype="int16")[0] for n in (1, 2)]
    whole, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert np.array_equal(np.concatenate(chapters), whole)
    for number, title in enumerate(TITLES, 1):
        with av.open(str(tmp_path / f"b-0{number}.wav")) as container:
            tags = {name.lower(): value for name, value in container.metadata.items()}
        assert (tags["title"], tags["album"], tags["track"]) == (title, "book", f"{number}/2")
    shown = [(tmp_path / f"{name}.srt").read_text().split("\n\n") for name in ("a", "b-01", "b-02")]
    texts = [[block.split("\n", 2)[2].strip() for block in blocks] for blocks in shown]
    assert texts[0] == texts[1] + texts[2]
    assert texts[2] == [TITLES[1], "These days a chicken leg is a rare dish."]
    blocks = (tmp_path / "b-01.vtt").read_text().split("\n\n")
    assert [blocks[0], *(block.split("\n", 1)[1].strip() for block in blocks[1:])] == ["WEBVTT", *texts[1]]
    # The captions of the second chapter are those of the whole, earlier by the length of the first.
    late, early = (_seconds(blocks[at].split("\n")[1]) for blocks, at in ((shown[0], len(texts[1])), (shown[2], 0)))
    assert late - early == pytest.approx(len(chapters[0]) / RATE, abs=0.002)


def _seconds(line: str) -> float:
    """When a caption begins."""
    hours, minutes, seconds = line.split(" ")[0].replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def test_a_server_makes_the_same_file(ancestral: Run, server: Server, book: Path, tmp_path: Path) -> None:
    options = ("--speed", "1.5", "--voice", "bob")
    here = _read(ancestral, book, tmp_path / "a.flac", *options)
    assert _read(ancestral, book, tmp_path / "b.flac", *options, "--url", server.url) == here


def test_a_play_is_said_by_its_voices(ancestral: Run, server: Server, tmp_path: Path) -> None:
    text = tmp_path / "play.txt"
    text.write_text("No!\n\nBEN: It was late.\n\nIs it?\nCARA: Yes.\n\n# Two\n\nGo.\n")
    options = ("--voices", "BEN=bob", "--voices", "CARA=bob+ann")
    here = _read(ancestral, text, tmp_path / "a.wav", *options)
    said = [
        ("No!", [("ann", "No!")], 0.5),
        ("BEN: It was late.", [("bob", "It was late.")], 0.5),
        ("[voice:BEN]\nIs it?\nCARA: Yes.", [("bob", "Is it?"), ("bob+ann", "Yes.")], 2.0),
        ("Two", [("ann", "Two")], 1.0),
        ("[voice:ann]\nGo.", [("ann", "Go.")], 2.0),
    ]
    pieces: list[np.ndarray] = []
    for part, turns, seconds in said:
        for index, (voice, line) in enumerate(turns):
            content = server.speak(input=line, voice=voice, seed=part_seed(_seed(part), index)).content
            pieces.append(soundfile.read(io.BytesIO(content), dtype="int16")[0])
        pieces.append(np.zeros(int(seconds * RATE), np.int16))
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="int16")[0], np.concatenate(pieces))
    assert _read(ancestral, text, tmp_path / "b.wav", *options, "--url", server.url) == here


def test_a_server_that_needs_a_key(ancestral: Run, keyed: Server, keys: dict[str, str], book: Path) -> None:
    output, key = book.with_name("a.mp3"), book.with_name("key")
    key.write_text(f"{keys['files']}\n")
    done = ancestral("read", str(book), "-o", str(output), "--url", keyed.url)
    assert (done.returncode, b"API key" in done.stderr) == (1, True)
    assert _read(ancestral, book, output, "--url", keyed.url, "--api-key-file", str(key))


@pytest.fixture
def shaky(server: Server) -> Iterator[str]:
    """The URL of a server whose connections break."""
    with shaky_proxy(server.port, 300) as url:
        yield url


def test_a_broken_connection_is_tried_again(ancestral: Run, shaky: str, book: Path, tmp_path: Path) -> None:
    here = _read(ancestral, book, tmp_path / "a.flac")
    assert _read(ancestral, book, tmp_path / "b.flac", "--url", shaky) == here


@pytest.mark.slow
@pytest.mark.parametrize("where", ["here", "by a server"])
def test_a_reader_that_is_killed_goes_on(
    environment: dict[str, str], ancestral: Run, server: Server, tmp_path: Path, where: str
) -> None:
    text, parts, output = tmp_path / "book.txt", tmp_path / "a.m4b.parts", tmp_path / "a.m4b"
    text.write_text(LONG)
    options = [] if where == "here" else ["--url", server.url]
    line = command("read", str(text), "-o", str(output), "--model", "tiny", "--seed", "7", *options)
    assert killed(line, environment, parts, 3, signal.SIGKILL) == -signal.SIGKILL
    finished = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.flac")}
    assert killed(line, environment, parts, len(finished) + 4, signal.SIGKILL) == -signal.SIGKILL
    assert killed(line, environment, parts, len(finished) + 12, signal.SIGINT) == 130
    now = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.flac")}
    assert finished.items() < now.items()  # nothing is sampled twice
    assert not output.exists()
    resumed = _read(ancestral, text, output, *options)
    assert not parts.exists()
    assert resumed == _read(ancestral, text, tmp_path / "b.m4b")


def test_a_corrected_text_costs_what_has_changed(ancestral: Run, book: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    _read(ancestral, book, tmp_path / "a.flac", "--parts", str(parts))
    before = {path.name: path.stat().st_mtime_ns for path in parts.iterdir()}
    book.write_text(TEXT.replace("chicken", "turkey"))
    changed = _read(ancestral, book, tmp_path / "b.flac", "--parts", str(parts))
    after = {path.name: path.stat().st_mtime_ns for path in parts.iterdir()}
    assert before.items() < after.items()
    assert len(after) == len(before) + 2  # sound and times
    assert changed == _read(ancestral, book, tmp_path / "c.flac")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["-o", "a.ogg"], 2, b"must end in .m4b, .mp3, .flac, .opus, .wav, .epub"),
        (["-o", "/nowhere/a.mp3"], 1, b"there is no directory /nowhere"),
        (["-o", "a.mp3", "--voice", "nobody"], 1, b"voice: tiny has no such voice; it has ann, bob"),
        (["-o", "a.mp3", "--voices", "ANNA=nobody"], 1, b"voices: ANNA: tiny has no such voice; it has ann, bob"),
        (["-o", "a.mp3", "--voices", "ANNA"], 2, b"'ANNA' is not like ANNA=emma"),
        (["-o", "a.mp3", "--model", "free"], 1, b"model: free is not made for speech"),
        (["-o", "a.mp3", "--model", "other"], 1, b"no such model"),
        (["-o", "a.wav", "--cover", "book.txt"], 2, b"--cover: a .wav file has none; .m4b, .mp3, .flac have"),
        (["-o", "a.mp3", "--cover", "book.txt"], 1, b"cover: neither a PNG nor a JPEG"),
        (["-o", "a.mp3", "--api-key-file", "book.txt"], 2, b"--api-key-file is for --url"),
        (["-o", "a.mp3", "--url", "ftp://x"], 1, b"ftp://x: not the URL of a server"),
        (["-o", "a.mp3", "--url", "http://127.0.0.1:1"], 1, b"http://127.0.0.1:1: the server does not answer"),
        (["-o", "a.mp3", "--speed", "9"], 2, b"--speed"),
        (["-o", "a.epub", "--split"], 2, b"an .epub shows its words itself"),
        (["-o", "a.mp3", "--captions", "ass"], 2, b"--captions"),
    ],
)
def test_refusals(
    ancestral: Run, book: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, message: bytes
) -> None:
    monkeypatch.chdir(book.parent)
    done = ancestral("read", "book.txt", *(options if "--model" in options else [*options, "--model", "tiny"]))
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert [path.name for path in book.parent.iterdir()] == ["book.txt"]


def test_refusals_of_a_server(ancestral: Run, server: Server, book: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "a.mp3")
    for options, message in (
        (["--model", "other"], b"no such model"),
        (["--model", "free"], b"free is not made for speech"),
        (["--model", "tiny", "--voice", "nobody"], b"voice: tiny has no such voice"),
    ):
        done = ancestral("read", str(book), "-o", output, "--url", server.url, *options)
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("Größe".encode("latin-1"), b"not UTF-8 at byte 2; iconv"),
        (b"PK\x03\x04\x14\x00mimetypeapplication/epub+zip", b"book.txt: a damaged ZIP file"),
        (b"Chapter 1\n\nYes.\n\nNo <b>.\n", b"line 5: "),
        (b"Yes.\n\n[voice:zoe] No.\n", b"line 3: '[voice:zoe]' (a voice, at position 0): tiny has no such voice"),
        (b"", b"there is nothing to speak in it"),
        ("".join(f"Chapter {n}\n\n" for n in range(256)).encode(), b"has 256 headings"),
    ],
)
def test_texts_that_are_refused(ancestral: Run, tmp_path: Path, data: bytes, message: bytes) -> None:
    (tmp_path / "book.txt").write_bytes(data)
    done = ancestral("read", str(tmp_path / "book.txt"), "-o", str(tmp_path / "a.mp3"), "--model", "tiny")
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr


def test_parts_of_another_engine_or_damaged(ancestral: Run, book: Path, tmp_path: Path) -> None:
    parts, options = tmp_path / "parts", ("-o", str(tmp_path / "a.mp3"), "--model", "tiny", "--seed", "7", "--parts")
    _read(ancestral, book, tmp_path / "a.mp3", "--parts", str(parts))
    (broken := sorted(parts.glob("*.flac"))[0]).write_bytes(b"no sound")
    done = ancestral("read", str(book), *options, str(parts))
    assert (done.returncode, f"{broken}: damaged".encode() in done.stderr) == (1, True)
    broken.unlink()
    (parts / "engine").write_text("abacus")
    done = ancestral("read", str(book), *options, str(parts))
    assert (done.returncode, b"the engine abacus sampled its parts, and this is native" in done.stderr) == (1, True)
