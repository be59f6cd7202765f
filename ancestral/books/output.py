"""A book's file: opened to be read, and made of its finished parts."""

from __future__ import annotations

import json
import posixpath
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, groupby
from pathlib import Path
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from ancestral.books.epub import DAMAGED, Epub, Item, read_epub
from ancestral.books.parts import BookError, Part, PartsFolder
from ancestral.books.xhtml import Block, Book, Content, Place, codec_of, read_book
from ancestral.catalog.seeds import seed_as_json
from ancestral.codecs.ffmpeg import COVERED, MEDIA_TYPES, BookWriter, Chapter, check_cover
from ancestral.errors import InvalidRequest
from ancestral.provenance.c2pa import Signer, sign_in_place
from ancestral.speech.sampler import SampleSpan
from ancestral.speech.timestamps import CaptionFormat, SentenceTimes, TextPart, captions, written_parts
from ancestral.speech.utterance import spoken
from ancestral_models.text import Script, Sentence
from ancestral_models.text.script import Pronounced, Text

# An EPUB 3 with media overlays by the word: the book that was read, its sound, and when each word is said.
#
# Around each word of the documents stands ``<span id>``, and their heads link to the style of the word that is said;
# nothing else in them changes. A document with sound has a SMIL file with one ``<par>`` a word, and one file of sound,
# which it plays from the beginning to the end.

_DATE: Final = (1980, 1, 1, 0, 0, 0)
"""Date of new files: the same book has the same bytes at any time."""
_SMIL: Final = "application/smil+xml"
_SOUND: Final = "audio/mp4"
EPUB: Final = "application/epub+zip"
_ACTIVE: Final = "-epub-media-overlay-active"
"""The class of the word that is said: of a package that names none, foliate-js and others show no word."""
_STYLESHEET: Final = "word.css"
_STYLE: Final = f"""\
.{_ACTIVE} {{ background-color: #ffd54f; color: #000; }}
.{_ACTIVE} img {{ outline: 0.2em solid #ffd54f; }}
"""


@dataclass(frozen=True)
class Mark:
    """A word in a document, and when it is said in the document's sound."""

    place: Place
    start: int
    """Start in samples."""


@dataclass
class _Overlay:
    """Additions to one document."""

    item: Item
    text: bytes
    """The document with its marks."""
    smil: str
    samples: int


def check_overlays(epub: Epub) -> None:
    """Raise :class:`BookError` if a book cannot get overlays."""
    if not epub.version.startswith("3"):
        raise BookError(
            f"EPUB {epub.version} has no media overlays, as EPUB 3 has; .m4b and the like can be made of it"
        )
    if any("media-overlay" in item.element.attributes for item in epub.items.values()):
        raise BookError("it has media overlays already")
    if "META-INF/signatures.xml" in epub.archive.namelist():
        raise BookError("it is signed (META-INF/signatures.xml), and marks would break the signature")
    if next(epub.package.all("metadata"), None) is None:
        raise BookError(f"{epub.package_path}: it has no metadata")
    spine = [item.path for item in epub.spine]
    if len(set(spine)) < len(spine):
        raise BookError(f"{epub.package_path}: the spine has an item twice, which can have one sound alone")
    try:  # all of it is copied in the end
        damaged = epub.archive.testzip()
    except DAMAGED as error:
        raise BookError(f"damaged: {error}") from error
    if damaged is not None:
        raise BookError(f"{damaged}: damaged")


def write_overlays(source: Path, output: Path, parts: Sequence[Part], folder: PartsFolder, narrator: str) -> None:
    """Write the book.

    Args:
        source: the EPUB that was read, and that :func:`open_book` has checked.
        output: the file.
        parts: all of them, in order.
        folder: that has their sound and their words.
        narrator: who speaks.
    """
    spoken: defaultdict[str, list[Part]] = defaultdict(list)
    for part in parts:
        spoken[part.paragraph.document].append(part)
    with Epub(source) as epub, zipfile.ZipFile(output, "w") as archive:
        base = posixpath.dirname(epub.package_path)
        names = epub.archive.namelist()
        homes = (posixpath.join(base, f"spoken{number or ''}") for number in count())
        home = next(path for path in homes if not any(name.startswith(f"{path}/") for name in names))
        overlays: list[_Overlay] = []
        for item in epub.spine:
            if (own := spoken.get(item.path)) is None:
                continue
            content = epub.content(item)
            if marks := list(_marks(content, own, folder)):
                stem = posixpath.join(home, f"{len(overlays) + 1:04d}")
                samples = sum(folder.samples_with_pause(part) for part in own)
                overlays.append(_overlay(item, content, marks, samples, folder.sample_rate, stem))
        changed = {overlay.item.path: overlay.text for overlay in overlays}
        changed[epub.package_path] = _package(epub, overlays, folder.sample_rate, home, narrator)
        _copy(epub, archive, changed)
        archive.writestr(_info(posixpath.join(home, _STYLESHEET)), _STYLE)
        for number, overlay in enumerate(overlays, 1):
            stem = posixpath.join(home, f"{number:04d}")
            sound = _sound(spoken[overlay.item.path], folder, number)
            archive.writestr(_info(f"{stem}.smil"), overlay.smil)
            info = _info(f"{stem}.m4a", zipfile.ZIP_STORED)
            info.file_size = sound.stat().st_size
            with sound.open("rb") as read, archive.open(info, "w") as written:
                shutil.copyfileobj(read, written)
            sound.unlink()


def _sound(parts: Sequence[Part], folder: PartsFolder, number: int) -> Path:
    """The sound of a document, as a file."""
    path = folder.path / f"document-{number}.m4a"
    with BookWriter(path, "m4b", folder.sample_rate, {}, ()) as writer:
        for part in parts:
            writer.feed(folder.sound(part))
        writer.finish()
    return path


def _marks(content: Content, parts: Sequence[Part], folder: PartsFolder) -> Iterator[Mark]:
    """The words of a document that can be marked, in order; none stands within another."""
    before, last = 0, 0
    for part in parts:
        block = content.blocks[part.paragraph.line]
        origins = list(_origins(part.script))
        for first, end, start, _ in folder.words(part):
            indices = [
                origin + part.begin - len(part.lead) for origin in origins[first:end] if origin >= len(part.lead)
            ]
            place = _longest(block, indices, content.data)
            if place is not None and place[0] >= last:
                yield Mark(place, before + start)
                last = place[1]
        before += folder.samples_with_pause(part)


def _origins(script: Script) -> Iterator[int]:
    """Where each character of :attr:`Script.written` stands in the text of the part; -1 if it stands for phonemes."""
    at = 0
    for piece, shown, _ in script.placed():
        if isinstance(piece, Text):
            at = piece.start
        if isinstance(piece, Text) or (isinstance(piece, Pronounced) and piece.entry is not None):
            yield from range(at, at + len(shown))
            at += len(shown)
        else:
            yield from [-1] * len(shown)


def _longest(block: Block, indices: Sequence[int], data: bytes) -> Place | None:
    """The longest stretch of characters with no tag in between."""
    runs: list[Place] = []
    for index in indices:
        start, end = block.places[index]
        if start == end:
            continue
        if runs and (start == runs[-1][1] or (start, end) == runs[-1] or data[runs[-1][1] : start].isspace()):
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return max(runs, key=lambda run: run[1] - run[0], default=None)


def _overlay(item: Item, content: Content, marks: Sequence[Mark], samples: int, rate: int, stem: str) -> _Overlay:
    data, codec = content.data, codec_of(content.data)
    colon = content.root[: content.root.rindex(":") + 1] if ":" in content.root else ""
    prefix = next(name for name in (f"w{n or ''}-" for n in count()) if name.encode(codec) not in data)
    pieces, done = list[bytes](), 0
    if data.startswith(f"</{colon}head".encode(codec), content.head_end):  # an empty one may have no end tag
        style = posixpath.join(posixpath.dirname(stem), _STYLESHEET)
        href = quote(posixpath.relpath(style, posixpath.dirname(item.path) or "."))
        link = f'<{colon}link rel="stylesheet" type="text/css" href="{href}"/>'
        pieces, done = [data[: content.head_end], link.encode(codec)], content.head_end
    for number, mark in enumerate(marks, 1):
        start, end = mark.place
        pieces += [
            data[done:start],
            f'<{colon}span id="{prefix}{number}">'.encode(codec),
            data[start:end],
            f"</{colon}span>".encode(codec),
        ]
        done = end
    pieces.append(data[done:])
    text = quote(posixpath.relpath(item.path, posixpath.dirname(stem)))
    sound = quote(f"{posixpath.basename(stem)}.m4a")
    # A word lasts until the next one begins: a player plays clips, and would leave out what is between them.
    edges = [0, *(mark.start for mark in marks[1:]), samples]
    pars = "".join(
        f'<par id="p{number}"><text src="{text}#{prefix}{number}"/>'
        f'<audio src="{sound}" clipBegin="{_clock(edges[number - 1], rate)}" clipEnd="{_clock(edges[number], rate)}"/>'
        "</par>\n"
        for number in range(1, len(marks) + 1)
    )
    smil = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<smil xmlns="http://www.w3.org/ns/SMIL" version="3.0">\n<body>\n{pars}</body>\n</smil>\n'
    )
    return _Overlay(item, b"".join(pieces), smil, samples)


def _clock(samples: int, rate: int) -> str:
    """A time as SMIL has it, exactly: a sample at 16 kHz lasts 0.0000625 s."""
    seconds, rest = divmod(samples, rate)
    return f"{seconds}{f'{rest / rate:.7f}'[1:].rstrip('0').rstrip('.')}s"


def _package(epub: Epub, overlays: Sequence[_Overlay], rate: int, home: str, narrator: str) -> bytes:
    """The package document with what has been added."""
    data = epub.read(epub.package_path)
    codec, root = codec_of(data), epub.package
    manifest, metadata = next(root.all("manifest")), next(root.all("metadata"))
    colon = manifest.name[: manifest.name.rindex(":") + 1] if ":" in manifest.name else ""
    prefix = next(name for name in (f"spoken{n or ''}-" for n in count()) if name.encode(codec) not in data)
    folder = quote(posixpath.relpath(home, posixpath.dirname(epub.package_path) or "."))
    metas, inserted = "", list[tuple[int, str]]()
    items = f'<{colon}item id="{prefix}style" href="{folder}/{_STYLESHEET}" media-type="text/css"/>\n'
    for number, overlay in enumerate(overlays, 1):
        name, seconds = f"{prefix}{number}", _clock(overlay.samples, rate)
        metas += f'<{colon}meta property="media:duration" refines="#{name}">{seconds}</{colon}meta>\n'
        for identifier, suffix, kind in ((name, "smil", _SMIL), (f"{name}-sound", "m4a", _SOUND)):
            items += f'<{colon}item id="{identifier}" href="{folder}/{number:04d}.{suffix}" media-type="{kind}"/>\n'
        at = overlay.item.element.start + len(f"<{overlay.item.element.name}".encode(codec))
        inserted.append((at, f" media-overlay={quoteattr(name)}"))
    total = _clock(sum(overlay.samples for overlay in overlays), rate)
    metas += f'<{colon}meta property="media:duration">{total}</{colon}meta>\n'
    metas += f'<{colon}meta property="media:active-class">{_ACTIVE}</{colon}meta>\n'
    metas += f'<{colon}meta property="media:narrator">{escape(narrator)}</{colon}meta>\n'
    for at, text in sorted([*inserted, (metadata.end, metas), (manifest.end, items)], reverse=True):
        data = data[:at] + text.encode(codec) + data[at:]
    return data


def _copy(epub: Epub, archive: zipfile.ZipFile, changed: Mapping[str, bytes]) -> None:
    """The files of the book, in their order; the type of the archive is the first, as it has to be."""
    archive.writestr(_info("mimetype", zipfile.ZIP_STORED), EPUB)
    for info in epub.archive.infolist():
        if info.filename == "mimetype":
            continue
        new = zipfile.ZipInfo(info.filename, max(info.date_time, _DATE))
        stored = info.compress_type == zipfile.ZIP_STORED
        new.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        new.external_attr = info.external_attr
        if info.filename in changed:
            archive.writestr(new, changed[info.filename])
            continue
        with epub.archive.open(info) as source, archive.open(new, "w") as target:
            shutil.copyfileobj(source, target)


def _info(name: str, compression: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    """The entry of a new file."""
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type, info.external_attr = compression, 0o644 << 16
    return info


# WebVTT and SubRip of a book, from the times of its words.


def _sentences(parts: Sequence[Part], folder: PartsFolder) -> Iterator[SentenceTimes]:
    before = 0
    for part in parts:
        turns = spoken(part.script, part.speaker)
        others = any(speaker != part.speaker for speaker, _ in turns)
        said = [(speaker.name if others else None, sentence) for speaker, turn in turns for sentence in turn]
        spans = iter([(before + start, before + end) for _, _, start, end in folder.words(part)])
        shown = written_parts(part.script.written, [sentence for _, sentence in said])
        found: list[SentenceTimes] = []
        for (name, sentence), written in zip(said, shown, strict=True):
            words = tuple(next(spans) for _ in sentence.words)
            whole = (words[0][0], words[-1][1]) if words else (before, before)
            found.append(SentenceTimes(sentence, written, whole, words, (), name))
        yield from [_together(found)] if part.paragraph.heading and not others else found
        before += folder.samples_with_pause(part)


def _together(sentences: Sequence[SentenceTimes]) -> SentenceTimes:
    """Sentences as one: a heading, such as "I. The Square", is one caption."""
    written, spans = list[TextPart](), list[SampleSpan]()
    for sentence in sentences:
        before = len(spans)
        written += [replace(part, first=part.first + before, last=part.last + before) for part in sentence.written]
        spans += sentence.word_spans
    items = tuple(item for each in sentences for item in each.sentence.items)
    whole = sentences[0].span[0], sentences[-1].span[1]
    return SentenceTimes(Sentence(items), written, whole, tuple(spans), ())


MEDIA: Final[Mapping[str, str]] = {**MEDIA_TYPES, "epub": EPUB}
"""The media types of the formats that a book can become."""
_MAX_BYTES: Final = 16 << 20
"""Largest text; the longest novels have a quarter of that."""
_MAX_EPUB_BYTES: Final = 1 << 30
_OTHERS: Final = {
    b"%pdf": "a PDF", b"{\\rtf": "RTF", b"<!doctype html": "HTML", b"<html": "HTML", b"<?xml": "XML",
    b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip
"""What people take for a text: how it begins, in lower case."""


def open_book(path: Path, form: str) -> Book:
    """Read a file, an EPUB or a text in UTF-8.

    Args:
        path: of the file; what is named ``.epub`` has to be one.
        form: that it is to become, of :data:`MEDIA`.

    Raises:
        BookError: it cannot be read, is refused, or cannot become that.
    """
    with path.open("rb") as file:
        head = file.read(64).lower()
    is_zip = head.startswith(b"pk\x03\x04")
    most = _MAX_EPUB_BYTES if is_zip else _MAX_BYTES
    if path.stat().st_size > most:
        raise BookError(f"more than {most >> 20} MiB")
    if is_zip:
        if form == "epub":
            with Epub(path) as epub:
                check_overlays(epub)
        return read_epub(path)
    if path.suffix.lower() == ".epub":
        raise BookError("no EPUB, as its name says; is it damaged?")
    begin = head.lstrip(b"\xef\xbb\xbf \r\n")
    if other := next((name for known, name in _OTHERS.items() if begin.startswith(known)), None):
        raise BookError(f"it is {other}, not an EPUB or a text in UTF-8")
    if form == "epub":
        raise BookError("no EPUB, of which alone an .epub can be made")
    try:
        return read_book(path.read_text("utf-8").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise BookError(f"not UTF-8 at byte {error.start}; iconv -f CP1252 -t UTF-8 may help") from error
    except ValueError as error:
        raise BookError(str(error)) from error


def cover_of(book: Book, form: str) -> bytes | None:
    """The book's own cover, if the format has one and it is a PNG or JPEG."""
    if form in COVERED and book.cover is not None:
        with suppress(InvalidRequest):
            check_cover(book.cover)
            return book.cover
    return None


def tags_of(title: str, author: str | None, recipe: Mapping[str, object], seed: int) -> dict[str, str]:
    """The tags of the file; the comment says, as JSON, what its sound was made from, like that of other files."""
    recipe = {**recipe, "seed": seed_as_json(seed)}
    named = {} if author is None else {"artist": author, "album_artist": author}
    return {"title": title, "album": title, **named, "genre": "Audiobook", "comment": json.dumps(recipe)}


def chapter_marks(book: Book, parts: Sequence[Part], folder: PartsFolder, title: str) -> list[Chapter]:
    """Where the chapters are in the sound. One without a heading has the title of the book."""
    found: list[Chapter] = []
    end = 0
    for number, own in groupby(parts, key=lambda part: part.chapter):
        start, end = end, end + sum(map(folder.samples_with_pause, own))
        found.append(Chapter(book.chapters[number].title or title, start, end))
    return found


def write_captions(output: Path, parts: Sequence[Part], folder: PartsFolder, forms: Sequence[CaptionFormat]) -> None:
    """Write files of captions for the sound in a file, beside it. All parts are in the folder."""
    for form in forms:
        text = captions(list(_sentences(parts, folder)), folder.sample_rate, form)
        output.with_suffix(f".{form}").write_text(text, "utf-8")


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
            rate, samples = self.folder.sample_rate, sum(map(self.folder.samples_with_pause, parts))
            with BookWriter(unfinished, self.form, rate, self.tags, chapters, self.cover, samples) as writer:
                for part in parts:
                    writer.feed(self.folder.sound(part))
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
