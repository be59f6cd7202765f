"""An EPUB 2 or 3: what is in the file, in which order it is read, and which chapters it has.

Nothing is unpacked to a disk. What is refused is named: files that are no EPUB, are encrypted (DRM), have a fixed
layout, name files outside of the archive, or become too large.
"""

from __future__ import annotations

import posixpath
import stat
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import SplitResult, unquote, urlsplit

from ancestral.books import xhtml
from ancestral.books.parts import BookError
from ancestral.books.xhtml import MAX_CHAPTERS
from ancestral.codecs.ffmpeg import MAX_COVER_BYTES
from ancestral_models.text import UnsupportedText
from ancestral_models.text.languages.language import primary

MAX_FILES: Final = 20_000
MAX_BYTES: Final = 1 << 30
"""Largest archive: all files, unpacked."""
MAX_TEXT_BYTES: Final = 64 << 20
"""Most bytes of the documents that are read, unpacked; the longest novels have a tenth of that."""
_MAX_RATIO: Final = 200
"""Highest ratio of a file of more than :data:`_RATIO_BYTES`; a novel has 3."""
_RATIO_BYTES: Final = 1 << 20
_FONT_OBFUSCATION: Final = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""Fonts that are scrambled this way can be read without a key."""
_NO_LANGUAGE: Final = ("und", "mul", "zxx")
_DOCUMENTS: Final = ("application/xhtml+xml", "text/html")
"""The second one is what some books call XHTML."""
_ENTRY: Final = b"PK\x01\x02"
"""How an entry of an archive's directory begins."""
_BETWEEN: Final = " – "
"""Between the titles of lines that point to one place."""
_PIECE_BYTES: Final = 1 << 16
_CONTAINER: Final = "META-INF/container.xml"
_IBOOKS: Final = "META-INF/com.apple.ibooks.display-options.xml"
DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
"""What reading a file of a damaged archive raises."""


@dataclass(frozen=True)
class Item:
    """A file of the manifest."""

    id: str
    path: str
    media_type: str
    properties: tuple[str, ...]
    element: xhtml.Element


@dataclass(frozen=True)
class Entry:
    """A line of the table of contents."""

    path: str
    fragment: str
    title: str
    depth: int


class Epub:
    """An open file; a context manager.

    Args:
        path: of the file.

    Raises:
        BookError: it cannot be read, or is refused.
    """

    def __init__(self, path: Path) -> None:
        try:
            _check_entries(path)
            self.archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            raise BookError(f"a damaged ZIP file: {error}") from error
        self._text_bytes = 0
        try:
            self._check_archive()
            self._check_protection()
            container = self.xml(_CONTAINER)
            roots = [found.attributes.get("full-path", "") for found in container.all("rootfile")]
            if not roots:
                raise BookError(f"{_CONTAINER}: it names no package document")
            self.package_path = self._path("", roots[0])
            self.package = self.xml(self.package_path)
            self.version = self.package.attributes.get("version", "2.0")
            self.items = {item.id: item for item in self._manifest()}
            self._check_layout()
        except BaseException:
            self.archive.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.close()

    def read(self, name: str) -> bytes:
        """A document, unpacked."""
        data = self._unpacked(name, MAX_TEXT_BYTES)
        self._text_bytes += len(data)  # again, if it is read again: the spine may name it a thousand times
        if self._text_bytes > MAX_TEXT_BYTES:
            raise BookError(f"{name}: its documents have more than {MAX_TEXT_BYTES >> 20} MiB: a ZIP bomb?")
        return data

    def _unpacked(self, name: str, most: int) -> bytes:
        """A file; of one with more than ``most`` bytes, so many and one more."""
        try:
            with self.archive.open(name) as file:
                return file.read(most + 1)
        except KeyError as error:
            raise BookError(f"{name}: it is missing") from error
        except DAMAGED as error:
            raise BookError(f"{name}: damaged: {error}") from error

    def xml(self, name: str) -> xhtml.Element:
        """The root element of a document."""
        try:
            return xhtml.read_xml(self.read(name))
        except xhtml.XmlError as error:
            raise BookError(f"{name}: {error}") from error

    def content(self, item: Item) -> xhtml.Content:
        """What is read aloud of a content document."""
        try:
            return xhtml.read_content(self.read(item.path))
        except xhtml.XmlError as error:
            raise BookError(f"{item.path}: {error}") from error

    @property
    def spine(self) -> Iterator[Item]:
        """The documents that are read, in order."""
        return (item for item, unread in self._linear() if not unread)

    @property
    def unread(self) -> Counter[str]:
        """What is not read of the spine, by kind."""
        return Counter(unread for _, unread in self._linear() if unread)

    def _linear(self) -> Iterator[tuple[Item, str]]:
        """The spine, and what the notes call an item that is not read."""
        for reference in self.package.all("itemref"):
            item = self.items.get(reference.attributes.get("idref", ""))
            if item is None:
                raise BookError(f"{self.package_path}: the spine has an item that the manifest has not")
            if reference.attributes.get("linear") == "no":
                continue
            if "rendition:layout-pre-paginated" in reference.attributes.get("properties", "").split():
                yield item, "pages of a fixed layout"
            else:
                yield item, "" if item.media_type in _DOCUMENTS else f"files of type {item.media_type[:80]!r}"

    def metadata(self, local: str) -> str | None:
        """The first value of ``dc:title``, ``dc:creator`` or ``dc:language``, if there is one."""
        found = (element.text(local) for element in self.package.all(local))
        return next(filter(None, found), None)

    @property
    def cover(self) -> bytes | None:
        """The picture of the cover, if it is in the file and not too large."""
        named = {e.attributes.get("content") for e in self.package.all("meta") if e.attributes.get("name") == "cover"}
        items = self.items.values()
        found = next((item for item in items if "cover-image" in item.properties or item.id in named), None)
        if found is None or found.path not in self.archive.namelist():
            return None
        data = self._unpacked(found.path, MAX_COVER_BYTES)
        return None if len(data) > MAX_COVER_BYTES else data

    def contents(self) -> list[Entry]:
        """The table of contents, of the navigation document or, in EPUB 2, the NCX; empty if there is none."""
        for item in self.items.values():
            if "nav" in item.properties:
                for nav in self.xml(item.path).all("nav"):
                    if "toc" in nav.attributes.get("epub:type", "").split():
                        return list(self._lines(nav, item.path, "li", "a", "href", 0))
        for item in self.items.values():
            if item.media_type == "application/x-dtbncx+xml":
                return list(self._lines(self.xml(item.path), item.path, "navPoint", "content", "src", 0))
        return []

    def _lines(
        self, around: xhtml.Element, path: str, line: str, link: str, attribute: str, depth: int
    ) -> Iterator[Entry]:
        for child in around.children:
            if child.local != line:
                yield from self._lines(child, path, line, link, attribute, depth)
                continue
            target = next((e for e in child.children if e.local == link and attribute in e.attributes), None)
            if target is not None:
                label = next((e for e in child.children if e.local == "navLabel"), target)
                url, title = self._url(path, target.attributes[attribute]), label.text(line)
                if not url.scheme:  # else it is in the web
                    yield Entry(self._path(path, url.path) if url.path else path, unquote(url.fragment), title, depth)
            yield from self._lines(child, path, line, link, attribute, depth + 1)

    def _manifest(self) -> Iterator[Item]:
        manifest = next(self.package.all("manifest"), None)
        if manifest is None:
            raise BookError(f"{self.package_path}: it has no manifest")
        for element in manifest.all("item"):
            given = element.attributes
            if not self._url(self.package_path, given.get("href", "")).scheme:
                path = self._path(self.package_path, given.get("href", ""))
                properties = tuple(given.get("properties", "").split())
                yield Item(given.get("id", ""), path, given.get("media-type", ""), properties, element)

    def _url(self, base: str, href: str) -> SplitResult:
        """What a document links to."""
        try:
            return urlsplit(href)
        except ValueError as error:
            raise BookError(f"{base or _CONTAINER}: {href[:80]!r} is no address") from error

    def _path(self, base: str, href: str) -> str:
        """The path in the archive that a document names."""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(self._url(base, href).path)))
        if path.startswith(("/", "../")) or path == "..":
            raise BookError(f"{base or _CONTAINER}: {href[:80]!r} is outside of the archive")
        return path

    def _check_archive(self) -> None:
        files = self.archive.infolist()
        names = {file.filename for file in files}
        if _CONTAINER not in names:
            raise BookError(f"a ZIP file without {_CONTAINER}, and so no EPUB")
        if len(names) < len(files):
            raise BookError("several of its files have one name")
        for file in files:
            name = file.filename
            if name.startswith("/") or "\\" in name or ".." in name.split("/") or ":" in name.split("/")[0]:
                raise BookError(f"{name[:80]!r}: a path outside of the archive")
            if stat.S_ISLNK(file.external_attr >> 16):
                raise BookError(f"{name[:80]!r}: a link")
            if file.flag_bits & 1:
                raise BookError(f"{name[:80]!r}: encrypted")
            if file.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without a limit
                raise BookError(f"{name[:80]!r}: neither stored nor deflated, as files of an EPUB are")
            if file.file_size > max(_RATIO_BYTES, _MAX_RATIO * file.compress_size):
                raise BookError(f"{name[:80]!r}: {file.file_size} bytes in {file.compress_size}: a ZIP bomb?")
        if sum(file.file_size for file in files) > MAX_BYTES:
            raise BookError(f"more than {MAX_BYTES >> 20} MiB unpacked: a ZIP bomb?")

    def _check_protection(self) -> None:
        names = set(self.archive.namelist())
        for name in ("META-INF/rights.xml", "META-INF/license.lcpl", "META-INF/sinf.xml"):
            if name in names:
                raise BookError(f"encrypted (DRM): it has {name}")
        if "META-INF/encryption.xml" in names:
            for data in self.xml("META-INF/encryption.xml").all("EncryptedData"):
                methods = [method.attributes.get("Algorithm", "") for method in data.all("EncryptionMethod")]
                if not set(methods[:1]) & set(_FONT_OBFUSCATION):
                    raise BookError(
                        f"encrypted (DRM): META-INF/encryption.xml names {', '.join(methods) or 'no method'}"
                    )

    def _check_layout(self) -> None:
        metas = list(self.package.all("meta"))
        layouts = [meta.text("meta") for meta in metas if meta.attributes.get("property") == "rendition:layout"]
        options = [(meta.attributes.get("name"), meta.attributes.get("content")) for meta in metas]
        if _IBOOKS in self.archive.namelist():
            found = self.xml(_IBOOKS).all("option")
            options += [(option.attributes.get("name"), option.text("option")) for option in found]
        if "pre-paginated" in layouts or ("fixed-layout", "true") in options:
            raise BookError("a fixed layout: its pages are pictures, or text in places of its own")


def _check_entries(path: Path) -> None:
    """Raise :class:`BookError` if an archive has too many files, before anything is made of its directory, which may
    say another number."""
    count, before = 0, b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            count += (before + piece).count(_ENTRY)
            before = piece[1 - len(_ENTRY) :]
    if count > MAX_FILES:
        raise BookError(f"{count} files; a book may have {MAX_FILES}")


def read_epub(path: Path) -> xhtml.Book:
    """The chapters of an EPUB.

    Raises:
        BookError: it cannot be read, is refused, or is in a language that no voice reads.
    """
    with Epub(path) as epub:
        language = _language(epub.metadata("language"))
        left_out, other = epub.unread, Counter[str]()
        contents = _Contents(_chapter_lines(epub.contents()))
        found: list[tuple[str, list[xhtml.Paragraph]]] = []
        for item in epub.spine:
            content = epub.content(item)
            left_out += content.left_out
            contents.begin(item.path)
            for number, block in enumerate(content.blocks):
                title = contents.title(*([""] if number == 0 else []), *block.ids)
                if title is None and not contents.lines and number == 0:
                    title = block.text if block.heading else ""
                if title is not None or not found:
                    found.append((title or "", []))
                spoken_in = _spoken_language(block.language, language, other)
                found[-1][1].append(xhtml.Paragraph(block.text, number, block.heading, item.path, spoken_in))
            if content.blocks or (found and content.pictures):  # a picture before all text is a cover
                contents.wait("", *content.ids)
        if len(found) > MAX_CHAPTERS:
            raise BookError(f"it has {len(found)} chapters; a file can have {MAX_CHAPTERS}")
        references = left_out.pop("references", 0)
        if left_out["notes"]:  # as many as are referred to, where a single element has all of them
            left_out["notes"] = max(left_out["notes"], references)
        left_out["lines of the table of contents, at which nothing is read"] = len(contents.left)
        other += Counter({f"left out: {kind}": count for kind, count in left_out.items()})
        return xhtml.Book(
            tuple(xhtml.Chapter(title, tuple(paragraphs)) for title, paragraphs in found),
            epub.metadata("title"),
            epub.metadata("creator"),
            language=language,
            cover=epub.cover,
            notes=tuple(f"{kind} ({count})" for kind, count in sorted(other.items())),
        )


class _Contents:
    """The lines of a table of contents, while what they point to is read.

    Args:
        lines: those that are chapters.
    """

    def __init__(self, lines: Sequence[Entry]) -> None:
        self.lines = lines
        self.left = set(lines)
        """Those that are no chapter so far."""
        self._places: defaultdict[str, dict[str, list[Entry]]] = defaultdict(dict)
        for line in lines:
            self._places[line.path].setdefault(line.fragment, []).append(line)
        self._waiting: list[Entry] = []

    def begin(self, path: str) -> None:
        """Begin a document. Each line begins a chapter once, however often the spine names what it points to."""
        self._here = self._places[path]

    def wait(self, *fragments: str) -> None:
        """Keep the lines that point to these places, at which nothing is read, for what is read next."""
        self._waiting += [line for name in fragments for line in self._here.pop(name, ())]

    def title(self, *fragments: str) -> str | None:
        """The title of the chapter that begins at these places; None if none does."""
        self.wait(*fragments)
        if not self._waiting:
            return None
        titles = dict.fromkeys(line.title for line in self._waiting if line.title)
        self.left -= set(self._waiting)
        self._waiting = []
        return _BETWEEN.join(titles)


def _chapter_lines(lines: list[Entry]) -> list[Entry]:
    """The lines that are chapters: all, or, if those are more than a file can have, those of the upper levels."""
    for depth in range(max((line.depth for line in lines), default=0), -1, -1):
        if len(lines) < MAX_CHAPTERS:
            break
        lines = [line for line in lines if line.depth < depth] or lines
    return lines


def _language(tag: str | None) -> str | None:
    """The language of a book; None if it says none, as ``und`` does."""
    try:
        if tag is None or tag.lower() in _NO_LANGUAGE:
            return None
        primary(tag)
        return tag
    except UnsupportedText as error:
        raise BookError(f"the language of the book: {error}") from error


def _spoken_language(own: str | None, book: str | None, left_out: Counter[str]) -> str | None:
    """The language whose rules read a paragraph: its own, or the book's if that is not read."""
    try:
        return None if own is None or primary(own) == primary(book or "en") else own
    except UnsupportedText:
        left_out[f"paragraphs in {own!s:.40}, which no rules here read, are read as the rest"] += 1
        return None
