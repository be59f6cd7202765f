"""Books of text: their chapters and parts; `ancestral read`, here and by a server, interrupted and corrected."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from ancestral.books import parts as book_parts
from ancestral.books.parts import BookError, Part, parts_of
from ancestral.books.reading import Reading
from ancestral.books.xhtml import MAX_CHAPTERS, Book, Chapter, Paragraph, read_book
from ancestral.catalog.seeds import digest_seed, part_seed
from ancestral.codecs.ffmpeg import COVERED, FORMATS, BookWriter
from ancestral_models.text import Pronunciations
from ancestral_models.text.script import Cast
from ancestral_service.cli.read import RemoteSpeaker
from tests.service.cli.conftest import Run, killed, read_aloud
from tests.service.servers import Server, command
from tests.service.shaky import shaky_proxy

ALICE = "\n\n".join((
    "The Project Gutenberg eBook of Alice", "Title: Alice\nAuthor: Lewis Carroll",
    "*** START OF THE PROJECT GUTENBERG EBOOK ALICE ***", "CONTENTS",
    "CHAPTER I. Down the Rabbit-Hole\nCHAPTER II. The Pool of Tears", "CHAPTER I.\nDown the Rabbit-Hole",
    "Alice was beginning to get very tired\nof sitting by her sister.", "* * *", "Down, down, down.",
    "CHAPTER II.\nThe Pool of Tears", "Curiouser and curiouser!", "*** END OF THE PROJECT GUTENBERG EBOOK ALICE ***",
    "The licence.\n",
))  # fmt: skip


def one_voice(language: str | None) -> Cast:
    """Who can speak: one voice."""
    return Cast.of_one(language or "en")


def _parts(text: str, **changes: str) -> list[Part]:
    lexicon = Pronunciations({"alice": "AE1 L AX S"})
    return parts_of(read_book(text), lexicon, 7, {"model": "tiny"} | changes, one_voice)[0]


@pytest.mark.parametrize(
    "heading",
    [
        "CHAPTER I.", "Chapter 12: The End", "Chapter 3 The Boy Who Lived", "CHAPTER TWENTY-ONE", "Chapter the First",
        "PART TWO", "Book Third", "STAVE ONE.  MARLEY'S GHOST", "Letter 4", "Act III. Scene 1.", "XIV", "I.",
        "Prologue", "EPILOGUE.", "Introduction: Why", "Appendix B", "CHAPTER I.\nDown the Rabbit-Hole",
        "# A title", "## Deeper ##",
    ],
)  # fmt: skip
def test_headings_begin_chapters(heading: str) -> None:
    book = read_book(f"Before.\n\n{heading}\n\nText.\n")
    title = " ".join(heading.strip("# ").split())
    assert [chapter.title for chapter in book.chapters] == ["", title]
    assert book.chapters[1].paragraphs[0].heading


@pytest.mark.parametrize(
    "line",
    [
        "Chapter one of his life was over.", "Chapter Important things", "Part of the crew left", "Book lovers", "12",
        "Introduction to law", "CIVIL", "#hashtag", "### Deeper", "Chapter 1 began well. It did not end so.",
        "CHAPTER I\nCHAPTER II", "A line that mentions Chapter 3",
    ],
)  # fmt: skip
def test_lines_that_begin_no_chapter(line: str) -> None:
    assert [chapter.title for chapter in read_book(f"Before.\n\n{line}\n\nText.\n").chapters] == [""]


@pytest.mark.parametrize(
    ("text", "chapters"),
    [
        ("Intro.\n# A\nBody a.\nMore.\n## B ##\n### C\nBody c.",
         [[(1, "Intro.")], [(2, "A"), (3, "Body a.\nMore.")], [(5, "B"), (6, "C"), (7, "Body c.")]]),
        ("Intro.\n```\n# a\n\n# b\n~~~\n# c\n```\n# D",
         [[(1, "Intro.\n```\n# a"), (5, "# b\n~~~\n# c\n```")], [(9, "D")]]),
        ("# A\n\n~~~\n\n# B", [[(1, "A"), (3, "~~~")], [(5, "B")]]),
        ("Intro.\n### C\nBody c.\n\n\nEnd.", [[(1, "Intro."), (2, "C"), (3, "Body c.")], [(6, "End.")]]),
    ],
)  # fmt: skip
def test_headings_in_markdown_need_no_blank_lines(text: str, chapters: list[list[tuple[int, str]]]) -> None:
    found = [[(each.line, each.text) for each in chapter.paragraphs] for chapter in read_book(text).chapters]
    assert found == chapters


def test_a_text_of_project_gutenberg() -> None:
    book = read_book(ALICE)
    notes = ("header and licence of Project Gutenberg are left out.",)
    assert (book.title, book.author, book.notes) == ("Alice", "Lewis Carroll", notes)
    titles = ["", "CHAPTER I. Down the Rabbit-Hole", "CHAPTER II. The Pool of Tears"]
    assert [chapter.title for chapter in book.chapters] == titles
    assert book.chapters[1].paragraphs[1].line == 16
    assert "licence" not in repr(book.chapters)


def test_lines_of_contents_are_no_chapters() -> None:
    book = read_book("Chapter 1\n\nChapter 2\n\nChapter 1\n\nOne.\n\nChapter 2\n\nTwo.\n")
    assert [len(chapter.paragraphs) for chapter in book.chapters] == [2, 2, 2]
    assert [chapter.title for chapter in book.chapters] == ["", "Chapter 1", "Chapter 2"]


def test_long_lines_and_many_headings_take_no_time() -> None:
    heading = f"a{' ' * 300_000}b"
    (chapter,) = read_book(f"# {heading} ##\n" + "### c\n" * 50_000 + "Text.\n").chapters
    assert (chapter.title, len(chapter.paragraphs)) == (heading, 50_002)


def test_sections_where_there_are_no_headings() -> None:
    first = "One day the birch canoe slid on the smooth planks of the old jetty again."
    text = f"{first}\n\nMore.\n\n\nThen.\n\n\nEnd."
    titles = ["One day the birch canoe slid on the smooth planks of the…", "Then.", "End."]
    assert [chapter.title for chapter in read_book(text).chapters] == titles
    assert [chapter.title for chapter in read_book("One.\n\nTwo.").chapters] == [""]
    assert len(read_book("Line.\n\n\n" * (MAX_CHAPTERS + 1)).chapters) == 1  # a text with wide spacing


def test_paragraphs_and_chapters_are_followed_by_pauses() -> None:
    pauses = [part.pause for part in _parts(ALICE)]
    kinds = ("PARAGRAPH", "CHAPTER", "HEADING", "BREAK", "CHAPTER", "HEADING", "CHAPTER")
    assert pauses == [getattr(book_parts, f"{kind}_SECONDS") for kind in kinds]


def test_a_part_depends_on_its_own_words_alone() -> None:
    parts, changed = _parts(ALICE), _parts(ALICE.replace("Down, down", "New.\n\nDown, down"))
    assert {part.name for part in changed} - {part.name for part in parts} == {changed[4].name}
    assert {part.name for part in parts} < {part.name for part in changed}
    assert not {part.name for part in parts} & {part.name for part in _parts(ALICE, model="other")}
    assert [part.pronunciations for part in parts].count({"alice": "AE1 L AX S"}) == 1


def test_long_paragraphs_are_cut_between_sentences() -> None:
    text = "Dr. Smith saw the birch canoe slide on the smooth planks. " * 100
    parts = _parts(text)
    assert "".join(part.text for part in parts).strip() == text.strip()
    assert all(len(part.text) <= 1000 and part.text.rstrip().endswith("planks.") for part in parts)
    assert [part.pause for part in parts[:-1]] == [0.0] * (len(parts) - 1)
    *whispered, plain = _parts(f"[whispers] {text}\n\n{text[:58]}")
    assert [part.text[:13] for part in whispered] == ["[whispers] Dr", *["[whispers]Dr."] * (len(parts) - 1)]
    assert plain.text == text[:58]
    endless = _parts("word " * 3000)
    assert [len(part.text) for part in endless[:-1]] == [4095] * (len(endless) - 1)


def test_what_cannot_be_spoken_is_told_with_its_line() -> None:
    with pytest.raises(BookError) as caught:
        _parts("One.\n\nTwo <b>bold</b>.\n\n你好\n")
    assert [line[:8] for line in str(caught.value).split("\n")] == ["line 3: ", "line 5: "]
    text = "One.\n\nThe words 你好, 世界 and 你好.\n\nΛόγος is a word.\n"
    parts, left_out = parts_of(read_book(text), Pronunciations({}), 7, {}, one_voice)
    assert (len(parts), left_out) == (3, ["line 3: 你好, 世界", "line 5: Λόγος"])
    long = Paragraph(f"{'The planks. ' * 90}{'世界 ' * 2000}. {'The planks. ' * 90}", 0, document="a.xhtml")
    parts, left_out = parts_of(Book((Chapter("", (long,)),)), Pronunciations({}), 7, {}, one_voice)
    assert sum(part.text.count("planks") for part in parts) == 180
    assert len(left_out) == 2
    assert left_out[1] == "a.xhtml, paragraph 1: 世界"
    with pytest.raises(BookError, match="and 5 more"):
        _parts("你好\n\n" * 15)


# The command


RATE = 16000
TEXT = "\n\n".join((
    "# I. The Square", "The birch canoe slid on the smooth planks.", "* * *",
    "Glue the sheet to the dark blue background. It was easy.", "Chapter 2: Größe",
    "These days a chicken leg is a rare dish.\n",
))  # fmt: skip
TITLES = ["I. The Square", "Chapter 2: Größe"]
SPOKEN = [
    ("I. The Square", 1.0), ("The birch canoe slid on the smooth planks.", 1.5),
    ("Glue the sheet to the dark blue background. It was easy.", 2.0), ("Chapter 2: Größe", 1.0),
    ("These days a chicken leg is a rare dish.", 2.0),
]  # fmt: skip
"""The parts, and the seconds of silence after each."""
LONG = "\n\n".join(f"Chapter {c}\n\n" + f"It was day {c} of the long journey home. " * 8 for c in range(1, 49))


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """The text in a file of Windows."""
    path = tmp_path / "book.txt"
    path.write_text(TEXT, newline="\r\n")
    return path


def _sound(server: Server, text: str, **changes: object) -> np.ndarray:
    content = server.speak(**{"input": text, "seed": digest_seed(7, text)} | changes).content
    return soundfile.read(io.BytesIO(content), dtype="int16")[0]


PLAY = "No!\n\nBEN: It was late.\n\nIs it?\nCARA: Yes.\n\n# Two\n\nGo.\n"
TURNS = [
    ("No!", [("ann", "No!")], 0.5), ("BEN: It was late.", [("bob", "It was late.")], 0.5),
    ("[voice:BEN]\nIs it?\nCARA: Yes.", [("bob", "Is it?"), ("bob+ann", "Yes.")], 2.0),
    ("Two", [("ann", "Two")], 1.0), ("[voice:ann]\nGo.", [("ann", "Go.")], 2.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "options", "parts"),
    [
        (TEXT, (), [(part, [("ann", part)], seconds) for part, seconds in SPOKEN]),
        (PLAY, ("--voices", "BEN=bob", "--voices", "CARA=bob+ann"), TURNS),
    ],
)
def test_the_sound_is_that_of_its_paragraphs(
    ok: Run, server: Server, book: Path, tmp_path: Path, text: str, options: tuple[str, ...], parts: list[Any]
) -> None:
    book.write_text(text)
    here = read_aloud(ok, book, tmp_path / "a.wav", *options)
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    pieces: list[np.ndarray] = []
    for part, turns, seconds in parts:
        for index, (voice, line) in enumerate(turns):
            pieces.append(_sound(server, line, voice=voice, seed=part_seed(digest_seed(7, part), index)))
        pieces.append(np.zeros(int(seconds * RATE), np.int16))
    assert rate == RATE
    assert np.array_equal(samples, np.concatenate(pieces))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "book.txt"]
    assert read_aloud(ok, book, tmp_path / "b.wav", *options, "--url", server.url) == here


@pytest.mark.parametrize("form", FORMATS)
def test_files_have_tags_chapters_and_a_cover(ok: Run, server: Server, book: Path, tmp_path: Path, form: str) -> None:
    options = ["--title", "A Tale", "--author", "N. N."]
    if form in COVERED:
        Image.new("RGB", (40, 30), (9, 99, 200)).save(tmp_path / "cover.png")
        options += ["--cover", str(tmp_path / "cover.png")]
    first = read_aloud(ok, book, tmp_path / f"a.{form}", *options)
    assert read_aloud(ok, book, tmp_path / f"b.{form}", *options) == first
    ends = np.cumsum([len(_sound(server, text)) / RATE + seconds for text, seconds in SPOKEN])
    with av.open(str(tmp_path / f"a.{form}")) as container:
        tags = container.metadata | container.streams.audio[0].metadata
        chapters = [(c["metadata"]["title"], float(c["start"] * (c["time_base"] or 0))) for c in container.chapters()]
        pictures = [packet for packet in container.demux(video=0) if packet.size] if form in COVERED else []
        assert container.duration == pytest.approx(ends[-1] * av.time_base, rel=0.02)
    names = {name.lower(): value for name, value in tags.items()}
    assert (names["title"], names["album"], names["artist"]) == ("A Tale", "A Tale", "N. N.")
    recipe = {"model": "tiny", "voice": "ann", "speed": 1.0, "seed": 7}
    assert recipe.items() <= json.loads(names["comment"]).items()
    assert [title for title, _ in chapters] == ([] if form == "wav" else TITLES)
    assert form == "wav" or [start for _, start in chapters] == pytest.approx([0.0, ends[2]], abs=0.002)
    if form in COVERED:
        assert bytes(pictures[0]) == (tmp_path / "cover.png").read_bytes()


@pytest.mark.parametrize(("samples", "chunk"), [(RATE, b"fmt "), (1 << 31, b"JUNK")])
def test_a_wav_has_room_for_the_length_of_an_rf64_where_it_needs_it(tmp_path: Path, samples: int, chunk: bytes) -> None:
    with BookWriter(tmp_path / "a.wav", "wav", RATE, {}, (), samples=samples) as writer:
        writer.feed(np.zeros(RATE, np.int16))
        writer.finish()
    assert (tmp_path / "a.wav").read_bytes()[12:16] == chunk


def test_a_file_a_chapter_with_its_captions(ok: Run, book: Path, tmp_path: Path) -> None:
    options = ("--author", "N. N.", "--captions", "vtt", "--captions", "srt")
    assert read_aloud(ok, book, tmp_path / "a.wav", *options)
    ok("read", book, "-o", tmp_path / "b.wav", "--model", "tiny", "--seed", 7, "--split", *options)
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
    assert texts[1][0] == TITLES[0]
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


def test_a_server_makes_the_same_file(ok: Run, server: Server, book: Path, tmp_path: Path) -> None:
    """Also if its connections break."""
    options = ("--speed", "1.5", "--voice", "bob")
    here = read_aloud(ok, book, tmp_path / "a.flac", *options)
    with shaky_proxy(server.port, 300) as url:
        assert read_aloud(ok, book, tmp_path / "b.flac", *options, "--url", url) == here


def test_the_job_of_a_part_is_deleted_after_the_part_is_kept() -> None:
    server = Mock()
    server.connection.closed = threading.Event()
    server.connection.output.return_value = b"fLaC", {"x-engine": "native"}
    server.connection.get.return_value = {"sample_rate": RATE, "words": []}
    server.load.return_value.description = {"sha256": "0", "default_sample_rate": RATE}
    speaker = RemoteSpeaker(server, "tiny", Reading("ann", None, 1.0, {}))
    spoken = speaker.speak(_parts("One.\n\nTwo."))
    for deleted in range(3):
        next(spoken, None)
        assert server.connection.request.call_count == deleted


@pytest.mark.slow
def test_killed_readers_go_on(environment: dict[str, str], ok: Run, where: list[str], tmp_path: Path) -> None:
    text, parts, output = tmp_path / "book.txt", tmp_path / "a.m4b.parts", tmp_path / "a.m4b"
    text.write_text(LONG)
    line = command("read", str(text), "-o", str(output), "--model", "tiny", "--seed", "7", *where)
    assert killed(line, environment, parts, 3, signal.SIGKILL) == -signal.SIGKILL
    finished = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.flac")}
    assert killed(line, environment, parts, len(finished) + 4, signal.SIGKILL) == -signal.SIGKILL
    assert killed(line, environment, parts, len(finished) + 12, signal.SIGINT) == 130
    now = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.flac")}
    assert finished.items() < now.items()  # nothing is sampled twice
    assert not output.exists()
    resumed = read_aloud(ok, text, output, *where)
    assert not parts.exists()
    assert resumed == read_aloud(ok, text, tmp_path / "b.m4b")


def test_a_corrected_text_costs_what_has_changed(ok: Run, book: Path, tmp_path: Path) -> None:
    parts = tmp_path / "deep" / "parts"
    read_aloud(ok, book, tmp_path / "a.flac", "--parts", str(parts))
    before = {path.name: path.stat().st_mtime_ns for path in parts.iterdir()}
    book.write_text(TEXT.replace("chicken", "turkey"))
    changed = read_aloud(ok, book, tmp_path / "b.flac", "--parts", str(parts))
    after = {path.name: path.stat().st_mtime_ns for path in parts.iterdir()}
    assert before.items() < after.items()
    assert len(after) == len(before) + 2  # sound and times
    named = book.rename(os.fsdecode(bytes(tmp_path) + b"/gr\xfc\xdfe.txt"))  # its name is no UTF-8
    assert changed != read_aloud(ok, named, tmp_path / "c.flac", "--parts", str(parts))
    assert changed == read_aloud(ok, named, tmp_path / "d.flac", "--title", "book")


def test_parts_of_another_engine_or_damaged(ancestral: Run, ok: Run, book: Path, tmp_path: Path) -> None:
    parts, options = tmp_path / "parts", ("-o", str(tmp_path / "a.mp3"), "--model", "tiny", "--seed", "7", "--parts")
    read_aloud(ok, book, tmp_path / "a.mp3", "--parts", str(parts))
    broken = sorted(parts.glob("*.flac"))[0]
    for damaged, data, message in (
        (broken, b"no sound", f"{broken}: damaged"),
        (parts / "engine", b"abacus", "the engine abacus sampled its parts, and this is native"),
    ):
        damaged.write_bytes(data)
        done = ancestral("read", str(book), *options, str(parts))
        assert (done.returncode, message in done.stderr.decode()) == (1, True)
        damaged.unlink()
