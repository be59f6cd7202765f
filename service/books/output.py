"""A book's file: opened to be read, and made of its finished parts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from ancestral.codecs.book import COVERED, MEDIA_TYPES, BookWriter, Chapter, check_cover
from ancestral.errors import InvalidRequest
from ancestral.provenance.files import sign_in_place
from ancestral.provenance.signer import Signer
from ancestral.service.books.captions import book_captions
from ancestral.service.books.epub import MAX_TEXT_BYTES, Epub, EpubError, read_epub
from ancestral.service.books.overlays import EPUB, check_overlays, write_overlays
from ancestral.service.books.parts import BookError, Part, PartsFolder
from ancestral.service.books.text import Book, read_book
from ancestral.service.speech.captions import CaptionFormat

MEDIA: Final[Mapping[str, str]] = {**MEDIA_TYPES, "epub": EPUB}
"""The media types of the formats that a book can become."""
_MAX_BYTES: Final = 16 << 20
"""Largest text; the longest novels have a quarter of that."""
_MAX_EPUB_BYTES: Final = 1 << 30


def open_book(path: Path, form: str, max_text_bytes: int = MAX_TEXT_BYTES) -> Book:
    """Read a file, an EPUB or a text in UTF-8.

    Args:
        path: of the file.
        form: that it is to become, of :data:`MEDIA`.
        max_text_bytes: of its documents, or of the text.

    Raises:
        BookError: it cannot be read, is refused, or cannot become that.
    """
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
    most = _MAX_EPUB_BYTES if is_zip else min(_MAX_BYTES, max_text_bytes)
    if path.stat().st_size > most:
        raise BookError(f"more than {most >> 20} MiB")
    if is_zip:
        try:
            if form == "epub":
                with Epub(path) as epub:
                    check_overlays(epub)
            return read_epub(path, max_text_bytes)
        except EpubError as error:
            raise BookError(str(error)) from error
    if form == "epub":
        raise BookError("no EPUB, of which alone an .epub can be made")
    try:
        book = read_book(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BookError(f"not UTF-8 at byte {error.start}; iconv -f CP1252 -t UTF-8 may help") from error
    except ValueError as error:
        raise BookError(str(error)) from error
    return replace(book, notes=("header and licence of Project Gutenberg are left out.",)) if book.framed else book


def cover_of(book: Book, form: str) -> bytes | None:
    """The book's own cover, if the format has one and it is a PNG or JPEG."""
    if form in COVERED and book.cover is not None:
        with suppress(InvalidRequest):
            check_cover(book.cover)
            return book.cover
    return None


def tags_of(title: str, author: str | None, recipe: Mapping[str, object]) -> dict[str, str]:
    """The tags of the file; the comment says, as JSON, what its sound was made from, like that of other files."""
    named = {} if author is None else {"artist": author, "album_artist": author}
    return {"title": title, "album": title, **named, "genre": "Audiobook", "comment": json.dumps(recipe)}


def chapter_marks(book: Book, parts: Sequence[Part], folder: PartsFolder, title: str) -> list[Chapter]:
    """Where the chapters are in the sound. One without a heading has the title of the book."""
    found: list[Chapter] = []
    end, before = 0, None
    for part in parts:
        start, end = end, end + folder.samples(part) + folder.silence(part)
        if part.chapter != before:
            found.append(Chapter(book.chapters[part.chapter].title or title, start, end))
        found[-1] = Chapter(found[-1].title, found[-1].start, end)
        before = part.chapter
    return found


def write_captions(output: Path, parts: Sequence[Part], folder: PartsFolder, forms: Sequence[CaptionFormat]) -> None:
    """Write files of captions for the sound in a file, beside it."""
    for form in forms:
        output.with_suffix(f".{form}").write_text(book_captions(parts, folder, form), "utf-8")


@dataclass(frozen=True)
class BookFile:
    """What the file of a book, or the file of each chapter, is made from."""

    source: Path
    form: str
    """The format, of :data:`MEDIA`."""
    tags: Mapping[str, str]
    """The tags that :func:`tags_of` made."""
    folder: PartsFolder
    cover: bytes | None
    """A PNG or JPEG."""
    signer: Signer | None
    """Signs it; None leaves it unsigned."""

    def write(self, output: Path, parts: Sequence[Part], chapters: Sequence[Chapter]) -> None:
        """Assemble the file. It has its name as soon as it is whole, and signed.

        Args:
            output: the file to write.
            parts: what it has, in order.
            chapters: from :func:`chapter_marks`.
        """
        unfinished, recipe = output.with_name(f"{output.name}.unfinished"), json.loads(self.tags["comment"])
        if self.form == "epub":
            write_overlays(self.source, unfinished, parts, self.folder, recipe["voice"])
        else:
            rate = self.folder.sample_rate
            with BookWriter(unfinished, self.form, rate, self.tags, chapters, self.cover) as writer:
                for part in parts:
                    writer.feed(self.folder.sound(part))
                    writer.feed(np.zeros(self.folder.silence(part), np.int16))
                writer.finish()
        if self.signer is not None:
            sign_in_place(unfinished, output, MEDIA[self.form], recipe, self.signer)
        unfinished.replace(output)

    def write_chapters(
        self, output: Path, parts: Sequence[Part], chapters: Sequence[Chapter], captions: Sequence[CaptionFormat]
    ) -> None:
        """Write a file a chapter, ``NAME-01.mp3`` and so on, if ``output`` is ``NAME.mp3``, and files of captions
        beside each; arguments as of :meth:`write`."""
        groups = groupby(parts, key=lambda part: part.chapter)
        for number, ((_, own), chapter) in enumerate(zip(groups, chapters, strict=True), 1):
            path = output.with_name(f"{output.stem}-{number:0{max(2, len(str(len(chapters))))}}{output.suffix}")
            spoken, track = list(own), {"title": chapter.title, "track": f"{number}/{len(chapters)}"}
            replace(self, tags={**self.tags, **track}).write(path, spoken, ())
            write_captions(path, spoken, self.folder, captions)
