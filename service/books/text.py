"""A text file, as people have them (plain text, Markdown, Project Gutenberg), to chapters and paragraphs.

docs/reading.md says what begins a chapter, and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

MAX_CHAPTERS: Final = 255
"""ID3's table of contents counts them in one byte, and so does the chapter list of MP4."""
_TITLE_CHARACTERS: Final = 60
"""Length of a title that is the beginning of a text."""
_HEADING_CHARACTERS: Final = 120
_SECTION_LINES: Final = 2
"""Blank lines between two sections; one stands between two paragraphs."""

_MARKDOWN: Final = re.compile(r" {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*")
_CHAPTER_LEVEL: Final = 2
"""Markdown headings below this level stay in their chapter."""
_UNITS: Final = (
    "one|two|three|four|five|six|seven|eight|nine|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth"
)
_TEENS: Final = (
    "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|tenth|eleventh|twelfth|"
    "thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth"
)
_TENS: Final = (
    "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|twentieth|thirtieth|fortieth|fiftieth|sixtieth|seventieth"
)
_WORDS: Final = rf"(?:(?:{_TENS})(?:[-\s](?:{_UNITS}))?|{_TEENS}|{_UNITS}|last)"
_ROMAN: Final = r"(?-i:(?=[CLXVI])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))"
_NUMBERED: Final = re.compile(
    rf"(?i:(?:chapter|part|book|volume|canto|stave|letter|act)\s+(?:the\s+)?(?:\d{{1,3}}|{_ROMAN}|{_WORDS}))(?<=\w)\b(.*)"
)
_NAMED: Final = re.compile(
    r"(?i:prologue|epilogue|preface|foreword|introduction|interlude|afterword|conclusion|appendix(?:\s+\w{1,2})?)"
    r"(?=\W|$)(?=\s*(?:$|[.:—–-]))(.*)"
)
_NUMBER_ALONE: Final = re.compile(rf"{_ROMAN}(?<=\w)(\.?)")
_TITLE_FOLLOWS: Final = re.compile(r"\s*[.:—–-]+\s*\w")
_SENTENCE_ENDS: Final = (".", "?", "!")

_GUTENBERG_START: Final = re.compile(r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG EBOOK.*$", re.MULTILINE)
_GUTENBERG_END: Final = re.compile(r"^\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG EBOOK", re.MULTILINE)
_GUTENBERG_FIELD: Final = re.compile(r"^(Title|Author):[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Paragraph:
    """A block of text, or a heading."""

    text: str
    line: int
    """First line in the file, counted from 1; in a document of an EPUB the paragraph's number, counted from 0."""
    heading: bool = False
    document: str = ""
    """Path in the archive, of an EPUB."""
    language: str | None = None
    """A tag of BCP 47, if it is another than the book's."""

    @property
    def place(self) -> str:
        """The place, for messages."""
        return f"{self.document}, paragraph {self.line + 1}" if self.document else f"line {self.line}"


@dataclass(frozen=True)
class Chapter:
    """A heading, if it has one, and the paragraphs below it."""

    title: str
    """Title; empty for what comes before the first heading, and for a text that has only one chapter."""
    paragraphs: tuple[Paragraph, ...]


@dataclass(frozen=True)
class Book:
    """The text of a book."""

    chapters: tuple[Chapter, ...]
    title: str | None = None
    author: str | None = None
    """Both as the header of Project Gutenberg has them."""
    framed: bool = False
    """Whether header and licence of Project Gutenberg were left out."""
    language: str | None = None
    """A tag of BCP 47, if the file says it."""
    cover: bytes | None = None
    notes: tuple[str, ...] = ()
    """What was left out of the text."""


@dataclass(frozen=True)
class _Block:
    """Lines without a blank one between them."""

    lines: tuple[str, ...]
    line: int
    blank_before: int


def read_book(text: str) -> Book:
    """The chapters of a text.

    Raises:
        ValueError: there are more than :data:`MAX_CHAPTERS` of them.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    fields: dict[str, str] = {}
    first_line, framed = 1, False
    start = _GUTENBERG_START.search(text)
    end = _GUTENBERG_END.search(text, start.end()) if start else None
    if start and end:
        framed = True
        fields = dict(reversed(_GUTENBERG_FIELD.findall(text[: start.start()])))
        first_line += text.count("\n", 0, start.end())
        text = text[start.end() : end.start()]
    blocks = list(_blocks(text, first_line))
    chapters = _by_headings(blocks)
    if chapters is None:
        chapters = _by_sections(blocks)
    elif len(chapters) > MAX_CHAPTERS:
        raise ValueError(f"it has {len(chapters)} headings; a file can have {MAX_CHAPTERS} chapters")
    return Book(tuple(chapters), fields.get("Title"), fields.get("Author"), framed)


def _blocks(text: str, first_line: int) -> Iterator[_Block]:
    lines: list[str] = []
    blank = blank_before = 0
    for number, line in enumerate([*text.split("\n"), ""], first_line):
        if line.strip():
            if not lines:
                blank_before, blank = blank, 0
            lines.append(line)
        else:
            blank += 1
            if lines:
                yield _Block(tuple(lines), number - len(lines), blank_before)
                lines = []


def _by_headings(blocks: Sequence[_Block]) -> list[Chapter] | None:
    """The chapters of a text that has headings; None if it has none."""
    found: list[tuple[str, list[Paragraph]]] = [("", [])]
    for block in blocks:
        for paragraph, title in _paragraphs(block):
            if title is not None:
                found.append((title, []))
            found[-1][1].append(paragraph)
    if len(found) == 1:
        return None
    keys = [_key(title) for title, _ in found]
    chapters = [found[0]]
    for index, (title, paragraphs) in enumerate(found[1:], 1):
        # A heading without text whose title comes again is a line of the table of contents.
        if len(paragraphs) == 1 and keys[index] in keys[index + 1 :]:
            chapters[-1][1].append(replace(paragraphs[0], heading=False))
        else:
            chapters.append((title, paragraphs))
    return [Chapter(title, tuple(paragraphs)) for title, paragraphs in chapters if paragraphs]


def _key(title: str) -> str:
    return "".join(filter(str.isalnum, title)).casefold()


def _by_sections(blocks: Sequence[_Block]) -> list[Chapter]:
    """The sections of a text without headings; one chapter if it has none, or too many to be any."""
    sections: list[list[Paragraph]] = []
    for block in blocks:
        if not sections or block.blank_before >= _SECTION_LINES:
            sections.append([])
        sections[-1].append(Paragraph("\n".join(block.lines), block.line))
    if not 1 < len(sections) <= MAX_CHAPTERS:
        return [Chapter("", tuple(paragraph for section in sections for paragraph in section))] if sections else []
    return [Chapter(_beginning(section[0].text), tuple(section)) for section in sections]


def _beginning(text: str) -> str:
    words = " ".join(text.split())
    if len(words) <= _TITLE_CHARACTERS:
        return words
    end = words.rfind(" ", 0, _TITLE_CHARACTERS)
    return words[: end if end > 0 else _TITLE_CHARACTERS] + "…"


def _paragraphs(block: _Block) -> Iterator[tuple[Paragraph, str | None]]:
    """The paragraphs of a block, each with the title of the chapter that it begins, if it does."""
    lines, line = list(block.lines), block.line
    while lines and (found := _MARKDOWN.fullmatch(lines[0])) and found[2]:
        starts = len(found[1]) <= _CHAPTER_LEVEL
        yield Paragraph(found[2], line, heading=True), found[2] if starts else None
        lines, line = lines[1:], line + 1
    if count := _heading_lines(lines):
        title = " ".join(" ".join(lines[:count]).split())
        yield Paragraph(title, line, heading=True), title
        lines, line = lines[count:], line + count
    if lines:
        yield Paragraph("\n".join(lines), line), None


def _heading_lines(lines: Sequence[str]) -> int:
    """How many lines of a block are the heading of a chapter, at its beginning; 0 if it has none."""
    rests = [_after_number(line) for line in lines]
    if not lines or rests[0] is None or any(rest is not None for rest in rests[1:]):
        return 0  # several are a table of contents
    if not rests[0].strip(" \t.:—–-"):
        subtitle = lines[1].strip() if len(lines) == 2 else ""
        is_subtitle = 0 < len(subtitle) <= _HEADING_CHARACTERS and not subtitle.endswith(_SENTENCE_ENDS)
        return 2 if is_subtitle else 1
    whole = " ".join([rests[0], *lines[1:]]).strip()
    if len(lines) > 2 or len(whole) > _HEADING_CHARACTERS:
        return 0
    # "Chapter one of his life was over." is a sentence.
    return len(lines) if _TITLE_FOLLOWS.match(rests[0]) or not whole.endswith(_SENTENCE_ENDS) else 0


def _after_number(line: str) -> str | None:
    """What follows the number, or the name, with which a heading begins; None if the line begins with none."""
    for form in (_NUMBERED, _NAMED, _NUMBER_ALONE):
        if found := form.fullmatch(line.strip()):
            return found[1]
    return None
