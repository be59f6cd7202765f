"""Which lines of a text begin a chapter, and what its parts are."""

from __future__ import annotations

import pytest

from ancestral.models.text import Pronunciations
from ancestral.models.text.script import Cast
from ancestral.service.books.parts import (
    BREAK_SECONDS,
    CHAPTER_SECONDS,
    HEADING_SECONDS,
    PARAGRAPH_SECONDS,
    BookError,
    Part,
    parts_of,
)
from ancestral.service.books.text import MAX_CHAPTERS, Book, read_book

ALICE = """The Project Gutenberg eBook of Alice

Title: Alice
Author: Lewis Carroll

*** START OF THE PROJECT GUTENBERG EBOOK ALICE ***

CONTENTS

CHAPTER I. Down the Rabbit-Hole
CHAPTER II. The Pool of Tears

CHAPTER I.
Down the Rabbit-Hole

Alice was beginning to get very tired
of sitting by her sister.

* * *

Down, down, down.

CHAPTER II.
The Pool of Tears

Curiouser and curiouser!

*** END OF THE PROJECT GUTENBERG EBOOK ALICE ***

The licence.
"""


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


def test_a_text_of_project_gutenberg() -> None:
    book = read_book(ALICE)
    assert (book.title, book.author, book.framed) == ("Alice", "Lewis Carroll", True)
    titles = ["", "CHAPTER I. Down the Rabbit-Hole", "CHAPTER II. The Pool of Tears"]
    assert [chapter.title for chapter in book.chapters] == titles
    assert book.chapters[1].paragraphs[1].line == 16
    assert "licence" not in repr(book)


def test_lines_of_contents_are_no_chapters() -> None:
    book = read_book("Chapter 1\n\nChapter 2\n\nChapter 1\n\nOne.\n\nChapter 2\n\nTwo.\n")
    assert [len(chapter.paragraphs) for chapter in book.chapters] == [2, 2, 2]
    assert [chapter.title for chapter in book.chapters] == ["", "Chapter 1", "Chapter 2"]


def test_sections_where_there_are_no_headings() -> None:
    text = (
        "One day the birch canoe slid on the smooth planks of the old jetty again.\n\nMore.\n\n\nThen.\r\n\r\n\r\nEnd."
    )
    titles = ["One day the birch canoe slid on the smooth planks of the…", "Then.", "End."]
    assert [chapter.title for chapter in read_book(text).chapters] == titles
    assert [chapter.title for chapter in read_book("One.\n\nTwo.").chapters] == [""]
    assert len(read_book("Line.\n\n\n" * (MAX_CHAPTERS + 1)).chapters) == 1  # a text with wide spacing


def test_too_many_chapters() -> None:
    with pytest.raises(ValueError, match="it has 256 headings; a file can have 255 chapters"):
        read_book("".join(f"Chapter {number}\n\nText.\n\n" for number in range(256)))


def test_paragraphs_and_chapters_are_followed_by_pauses() -> None:
    pauses = [part.pause for part in _parts(ALICE)]
    paragraph, heading, chapter = PARAGRAPH_SECONDS, HEADING_SECONDS, CHAPTER_SECONDS
    assert pauses == [paragraph, chapter, heading, BREAK_SECONDS, chapter, heading, chapter]


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
    endless = _parts("word " * 3000)
    assert [len(part.text) for part in endless[:-1]] == [4095] * (len(endless) - 1)


def test_what_cannot_be_spoken_is_told_with_its_line() -> None:
    with pytest.raises(BookError) as caught:
        _parts("One.\n\nTwo <b>bold</b>.\n\nThree.\nThe word 你好.\n")
    first, second = str(caught.value).split("\n")
    assert first.startswith("line 3: ")
    assert second.startswith("line 5: ")
    with pytest.raises(BookError, match="and 5 more"):
        _parts("你好\n\n" * 15)
    with pytest.raises(BookError, match="nothing to speak"):
        parts_of(Book(()), Pronunciations({}), 7, {}, one_voice)
