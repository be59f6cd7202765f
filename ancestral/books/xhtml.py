"""Text of books: from XHTML, Markdown and plain text to chapters and paragraphs."""

from __future__ import annotations

import html.entities
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, groupby
from typing import Any, Final, NoReturn
from xml.parsers import expat

# What is read aloud of a content document of an EPUB, and where each of its characters stands in the file.
#
# Elements and positions come from expat, which expands nothing here: a document that declares entities is refused, and
# those of HTML are looked up.

MAX_DEPTH: Final = 256
MAX_ELEMENTS: Final = 200_000
"""Most elements of a package document or table of contents; more than any book has would need much memory."""
_BLOCKS: Final = frozenset(
    (
        "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "figcaption",
        "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "li", "main", "ol", "p",
        "pre", "section", "summary", "ul",
    )
)  # fmt: skip
_HEADINGS: Final = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_UNSPOKEN: Final = frozenset(
    (
        "audio", "form", "head", "iframe", "nav", "object", "rp", "rt", "script", "select", "style", "template",
        "video",
    )
)  # fmt: skip
"""Elements that are left out without a word."""
_LEFT_OUT: Final = {"table": "tables", "svg": "drawings", "math": "formulas"}
_TYPES: Final = {
    **dict.fromkeys(("footnote", "footnotes", "endnote", "endnotes", "rearnote", "rearnotes", "note"), "notes"),
    **dict.fromkeys(("pagebreak", "page-list", "toc", "landmarks", "index", "cover", "loi", "lot", "backlink"), ""),
    "noteref": "references",
}
"""Values of epub:type, and of role after ``doc-``; the note that is made of them, if one is."""
_CLASSES: Final = {
    **dict.fromkeys(("footnote", "footnotes", "endnote", "endnotes"), "notes"),
    **dict.fromkeys(("footnote-ref", "noteref"), "references"),
}
"""What pandoc and Calibre call notes."""

_SPACE: Final = re.compile(r"[ \t\r\n\f]+")

Place = tuple[int, int]
"""Where something stands in a document: its first byte, and the first one after it."""


class Places:
    """The places of the characters of a text; a tuple of tuples would have eight times the size.

    Args:
        edges: the first byte of each, and the first one after it.
    """

    def __init__(self, edges: array[int]) -> None:
        self._edges = edges

    def __getitem__(self, index: int) -> Place:
        return self._edges[2 * index], self._edges[2 * index + 1]


class XmlError(Exception):
    """A document that cannot be read; the message says why."""


@dataclass(frozen=True)
class Block:
    """A paragraph, a heading, a line of a list: text without others in it."""

    text: str
    """White space is collapsed; the alternative text of pictures is in it."""
    places: Places
    """The place of each character. Those of a picture's text have the picture's; an empty one cannot be marked."""
    heading: bool
    language: str | None
    """A tag of BCP 47, if the document says it."""
    ids: tuple[str, ...]
    """Ids of the elements that begin in it, or between the block before and it."""


@dataclass(frozen=True)
class Content:
    """What is read aloud of a content document."""

    blocks: list[Block]
    ids: tuple[str, ...]
    """Ids of the elements that begin behind the last block."""
    left_out: Counter[str]
    """How much is left out, by kind; ``references`` are those to notes."""
    pictures: bool
    """Whether there are pictures in it, with or without a text."""
    root: str
    """Name of the root element, with its prefix."""
    head_end: int
    """The byte at which the end tag of the head begins, or behind the tag of an empty one; 0 if there is no head."""
    data: bytes
    """The document."""


@dataclass(slots=True)
class Element:
    """An element of a document that is not read aloud."""

    name: str
    """Name with its prefix, if it has one."""
    attributes: Mapping[str, str]
    start: int
    """Byte at which it begins."""
    end: int = 0
    """The byte at which its end tag begins."""
    content: list[str | Element] = field(default_factory=list)
    """The texts and the elements in it. A text is kept once, however many elements are around it."""

    @property
    def children(self) -> list[Element]:
        """The elements in it."""
        return [found for found in self.content if isinstance(found, Element)]

    @property
    def local(self) -> str:
        """The name without a prefix."""
        return self.name.rpartition(":")[2]

    def all(self, local: str) -> Iterator[Element]:
        """The elements in it with this name, in order."""
        for child in self.children:
            if child.local == local:
                yield child
            yield from child.all(local)

    def text(self, without: str = "") -> str:
        """Text of the element and of all in it, with white space collapsed, without that of elements of a name."""
        return " ".join("".join(self._texts(without)).split())

    def _texts(self, without: str) -> Iterator[str]:
        for found in self.content:
            if isinstance(found, str):
                yield found
            elif found.local != without:
                yield from found._texts(without)


_MAX_DECLARED: Final = 256


def codec_of(data: bytes) -> str:
    """The encoding of a document; of those that EPUB allows, without a mark of its own."""
    return {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(data[:2], "utf-8")


def parse(data: bytes, handler: Any) -> None:
    """Parse a document with the methods ``start``, ``end``, ``text``, ``cdata`` and ``other`` of a handler, which has a
    ``parser``, too, and says whether text may come in long pieces (``buffered``), whose positions are not known.

    Raises:
        XmlError: it is not well-formed, or declares entities, or attributes with a default or more than
            :data:`_MAX_DECLARED`.
    """
    codec = codec_of(data)
    parser = expat.ParserCreate("utf-16" if codec.startswith("utf-16") else "utf-8")
    parser.buffer_text = handler.buffered
    parser.UseForeignDTD(True)  # so that entities of HTML are not errors
    parser.EntityDeclHandler = lambda name, *_: _refuse("an entity", name)
    declared = count(1)

    def attribute(_: str, name: str, __: str, default: str | None, ___: bool) -> None:
        # Each element would get all that have a default, and takes time for the others.
        if default is not None or next(declared) > _MAX_DECLARED:
            _refuse("an attribute", name)

    parser.AttlistDeclHandler = attribute
    parser.StartElementHandler, parser.EndElementHandler = handler.start, handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartCdataSectionHandler = lambda: handler.cdata(True)
    parser.EndCdataSectionHandler = lambda: handler.cdata(False)
    parser.SkippedEntityHandler = lambda name, _: handler.text(html.entities.html5.get(f"{name};", ""))
    parser.DefaultHandler = lambda _: handler.other()  # without which no entity is skipped
    handler.parser = parser
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise XmlError(f"line {error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}") from error
    finally:
        handler.parser = None


def _refuse(what: str, name: str) -> NoReturn:
    raise XmlError(f"it declares {what} of its own, {name[:40]!r}")


class _Tree:
    """Makes the elements of a document."""

    parser: expat.XMLParserType
    buffered: Final = True

    def __init__(self) -> None:
        self.root = Element("", {}, 0)
        self._open, self._count = [self.root], 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > MAX_DEPTH:
            raise XmlError(f"elements are nested more than {MAX_DEPTH} deep")
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise XmlError(f"more than {MAX_ELEMENTS} elements")
        element = Element(name, attributes, self.parser.CurrentByteIndex)
        self._open[-1].content.append(element)
        self._open.append(element)

    def end(self, name: str) -> None:
        self._open.pop().end = self.parser.CurrentByteIndex

    def text(self, data: str) -> None:
        self._open[-1].content.append(data)

    def cdata(self, begins: bool) -> None:
        """Add the text of a CDATA section."""

    def other(self) -> None:
        """Leave comments and the like out."""


def read_xml(data: bytes) -> Element:
    """The root element of a document; raises as :func:`parse`."""
    tree = _Tree()
    parse(data, tree)
    return tree.root.children[0]


class _Reader:
    """Makes the blocks of a content document."""

    parser: expat.XMLParserType
    buffered: Final = False

    def __init__(self, data: bytes) -> None:
        self.blocks: list[Block] = []
        self.left_out: Counter[str] = Counter()
        self._data, self._codec = data, codec_of(data)
        self._open: list[tuple[str, str | None]] = []
        """Names and languages of the elements around."""
        self._unspoken = 0
        """The depth at which what is left out began; 0 if nothing is."""
        self._in_cdata = self._in_picture = self.pictures = False
        self._apart = False
        """Whether the last picture has a text of several characters, behind which stands no space yet."""
        self.root, self.head_end = "", 0
        self.ids: list[str] = []
        self._chars: list[str] = []
        self._edges = array("q")
        self._languages: set[str | None] = set()
        """Those of its letters."""
        self._around: str | None = None
        """The language of the block that they stand in."""
        self._unknown = 0
        """How many places, the last ones, have no end yet: of a picture, or of an entity."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.other()
        if len(self._open) >= MAX_DEPTH:
            raise XmlError(f"elements are nested more than {MAX_DEPTH} deep")
        self.root = self.root or name
        local = name.rpartition(":")[2].lower()
        language = attributes.get("xml:lang", attributes.get("lang", self._open[-1][1] if self._open else None))
        around = [element for element, _ in self._open]
        self._open.append((local, language))
        if self._unspoken:
            return
        if local in _BLOCKS:
            self._flush(heading=False)
        reason = _reason(local, attributes, around)
        if (identifier := attributes.get("id")) is not None and reason != "notes":
            self.ids.append(identifier)
        self.pictures |= local in ("img", "svg")
        if reason is not None:
            self._unspoken = len(self._open)
            if reason:
                self.left_out[reason] += 1
        elif local == "br":
            self._add("\n")
        elif local == "hr":
            self._add("* * *")
            self._flush(heading=False)
        elif local == "img" and (alt := " ".join(attributes.get("alt", "").split())):
            self._apart = len(alt) > 1  # else it is an initial, and a part of its word
            self._add(" " if self._apart else "")
            self._unknown = self._add(alt)
            self._in_picture, self._unspoken = True, len(self._open)

    def end(self, name: str) -> None:
        self.other()
        local, _ = self._open.pop()
        if local == "head" and not self.head_end:
            self.head_end = self.parser.CurrentByteIndex
        if self._unspoken:
            if len(self._open) < self._unspoken:
                self._in_picture, self._unspoken = False, 0
        elif local in _BLOCKS:
            self._flush(heading=local in _HEADINGS)

    def text(self, data: str) -> None:
        """Text between tags, or a part of it: an entity is one."""
        self.other()
        if self._unspoken or not self._open:
            return
        at, encoded = self.parser.CurrentByteIndex, data.encode(self._codec)
        if self._in_cdata:  # no mark may stand there
            self._add(_SPACE.sub(" ", data))
        elif data == "&" or self._data[at : at + len(encoded)] != encoded:
            self._unknown = self._add(_SPACE.sub(" ", data))
        else:
            for char in data:
                size = len(char.encode(self._codec))
                self._add(_SPACE.sub(" ", char), at, size)
                at += size

    def cdata(self, begins: bool) -> None:
        self.other()
        self._in_cdata = begins

    def other(self) -> None:
        """Anything else: what came before has ended, a picture with its end tag."""
        if self._unknown and not self._in_picture:
            for index in range(len(self._edges) - 2 * self._unknown + 1, len(self._edges), 2):
                self._edges[index] = self.parser.CurrentByteIndex
            self._unknown = 0
            self._add(" " if self._apart else "")
            self._apart = False

    def _add(self, text: str, at: int | None = None, size: int = 0) -> int:
        """Add characters that stand at one place; returns how many have been added."""
        before = len(self._chars)
        start = self.parser.CurrentByteIndex if at is None else at
        for char in text:
            if char in " \n" and (not self._chars or self._chars[-1] in " \n"):
                continue
            if not self._chars:
                self._around = next((language for local, language in reversed(self._open) if local in _BLOCKS), None)
            if char.isalpha():
                self._languages.add(self._open[-1][1])
            self._chars.append(char)
            self._edges.extend((start, start + size))
        return len(self._chars) - before

    def _flush(self, heading: bool) -> None:
        while self._chars and self._chars[-1] in " \n":
            self._chars.pop()
        if self._chars:
            places = Places(self._edges[: 2 * len(self._chars)])
            language = next(iter(self._languages)) if len(self._languages) == 1 else self._around
            self.blocks.append(Block("".join(self._chars), places, heading, language, tuple(self.ids)))
            self.ids = []
        self._chars, self._edges, self._languages = [], array("q"), set()


def _reason(local: str, attributes: Mapping[str, str], around: list[str]) -> str | None:
    """Why an element is left out: what the notes call it, or an empty string; None if it is read."""
    if local in _UNSPOKEN or attributes.get("aria-hidden") == "true":
        return ""
    roles = [role.removeprefix("doc-") for role in attributes.get("role", "").split() if role.startswith("doc-")]
    for kind in (*attributes.get("epub:type", "").split(), *roles):
        if kind in _TYPES:
            return _TYPES[kind]
    for kind in attributes.get("class", "").split():
        if kind in _CLASSES:
            return _CLASSES[kind]
    if (local == "sup" and "a" in around) or (local == "a" and "sup" in around):
        return "references"  # in EPUB 2, which has no types
    return "" if "hidden" in attributes else _LEFT_OUT.get(local)


def read_content(data: bytes) -> Content:
    """What is read aloud of a content document; raises as :func:`parse`."""
    reader = _Reader(data)
    parse(data, reader)
    ids, root, head_end = tuple(reader.ids), reader.root, reader.head_end
    return Content(reader.blocks, ids, reader.left_out, reader.pictures, root, head_end, data)


# A text file, as people have them (plain text, Markdown, Project Gutenberg), to chapters and paragraphs.
#
# docs/reading.md says what begins a chapter, and why.

MAX_CHAPTERS: Final = 255
"""ID3's table of contents counts them in one byte, and so does the chapter list of MP4."""
_TITLE_CHARACTERS: Final = 60
"""Length of a title that is the beginning of a text."""
_HEADING_CHARACTERS: Final = 120
_SECTION_LINES: Final = 2
"""Blank lines between two sections; one stands between two paragraphs."""

_MARKDOWN: Final = re.compile(r" {0,3}(#{1,6})\s+(.*)")
_FENCE: Final = re.compile(r" {0,3}(`{3,})([^`]*)")
"""A line around code in Markdown, in which a number sign begins no heading."""
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
_GUTENBERG_FIELD: Final = re.compile(r"^(Title|Author):[ \t]*(\S.*)$", re.MULTILINE)


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
    headings: frozenset[int]
    """Indices of lines that are headings in Markdown."""


def read_book(text: str) -> Book:
    """The chapters of a text, whose lines end in ``\\n``.

    Raises:
        ValueError: there are more than :data:`MAX_CHAPTERS` of them.
    """
    fields: dict[str, str] = {}
    first_line, notes = 1, tuple[str, ...]()
    start = _GUTENBERG_START.search(text)
    end = _GUTENBERG_END.search(text, start.end()) if start else None
    if start and end:
        notes = ("header and licence of Project Gutenberg are left out.",)
        found = _GUTENBERG_FIELD.findall(text[: start.start()])
        fields = {name: value.rstrip() for name, value in reversed(found)}
        first_line += text.count("\n", 0, start.end())
        text = text[start.end() : end.start()]
    blocks = list(_blocks(text, first_line))
    chapters = _by_headings(blocks)
    if chapters is None:
        chapters = _by_sections(blocks)
    elif len(chapters) > MAX_CHAPTERS:
        raise ValueError(f"it has {len(chapters)} headings; a file can have {MAX_CHAPTERS} chapters")
    return Book(tuple(chapters), fields.get("Title"), fields.get("Author"), notes=notes)


def _blocks(text: str, first_line: int) -> Iterator[_Block]:
    lines, headings, fence = list[str](), set[int](), ""
    blank = blank_before = 0
    for number, line in enumerate([*text.split("\n"), ""], first_line):
        if line.strip():
            if not lines:
                blank_before, blank = blank, 0
            if found := _FENCE.fullmatch(line):
                fence = _fence_after(fence, *found.groups())
            elif not fence and _markdown(line)[1]:
                headings.add(len(lines))
            lines.append(line)
        else:
            blank += 1
            if lines:
                yield _Block(tuple(lines), number - len(lines), blank_before, frozenset(headings))
                lines, headings = [], set()


def _fence_after(fence: str, marks: str, rest: str) -> str:
    """The line that began the code in which the next line stands, or nothing: after such a line in code, or in none."""
    if not fence:
        return marks
    return "" if marks.startswith(fence) and not rest.strip() else fence


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
    last = {key: index for index, key in enumerate(keys)}
    chapters = [found[0]]
    for index, (title, paragraphs) in enumerate(found[1:], 1):
        # A heading without text whose title comes again is a line of the table of contents.
        if len(paragraphs) == 1 and last[keys[index]] > index:
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
        sections[-1] += [paragraph for paragraph, _ in _paragraphs(block)]
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
    for is_heading, group in groupby(enumerate(block.lines), lambda pair: pair[0] in block.headings):
        (first, *_), lines = zip(*group, strict=True)
        if is_heading:
            for line, (level, title) in enumerate(map(_markdown, lines), block.line + first):
                yield Paragraph(title, line, heading=True), title if level <= _CHAPTER_LEVEL else None
        else:
            yield from _text_paragraphs(lines, block.line + first)


def _text_paragraphs(lines: Sequence[str], line: int) -> Iterator[tuple[Paragraph, str | None]]:
    """Those of lines between headings in Markdown."""
    if count := _heading_lines(lines):
        title = " ".join(" ".join(lines[:count]).split())
        yield Paragraph(title, line, heading=True), title
        lines, line = lines[count:], line + count
    if lines:
        yield Paragraph("\n".join(lines), line), None


def _markdown(line: str) -> tuple[int, str]:
    """The level and the title of a heading in Markdown; no title if the line is none."""
    found = _MARKDOWN.fullmatch(line)
    if found is None:
        return 0, ""
    title = found[2].rstrip()
    bare = title.rstrip("#")
    return len(found[1]), title if bare and not bare[-1].isspace() else bare.rstrip()


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
