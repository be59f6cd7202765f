"""EPUBs: what is read of them, what is refused, and books with media overlays."""

from __future__ import annotations

import io
import json
import re
import shutil
import stat
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import av
import httpx
import pytest

from ancestral.books import epub
from ancestral.books.epub import Epub, read_epub
from ancestral.books.output import check_overlays, cover_of
from ancestral.books.parts import BookError, notes_of
from ancestral.books.xhtml import Book, read_content
from ancestral.catalog.seeds import digest_seed
from tests.pngs import chunk, png
from tests.service.cli.conftest import Run, read_aloud
from tests.service.cli.epubs import CONTAINER, FILES, NAV, ONE, PACKAGE, PAGE, write_epub
from tests.service.servers import Server

Files = dict[str, str | bytes | None]
RATE = 16000
SMIL = {"s": "http://www.w3.org/ns/SMIL"}
LINK = b'<link rel="stylesheet" type="text/css" href="../spoken/word.css"/>'
MARK = re.compile(rb'<span id="w-\d+">(.*?)</span>', re.DOTALL)

# In a process of its own: here servers of other tests have threads that allocate meanwhile.
MEMORY = """
import pathlib, sys, tracemalloc
from ancestral.books import epub
from ancestral.books.output import BookError, open_book
path = pathlib.Path(sys.argv[1])
tracemalloc.start()
assert open_book(path, "m4b").chapters[0].title.count("canoe") == 20_000
print(tracemalloc.get_traced_memory()[1])
tracemalloc.reset_peak()
before = tracemalloc.get_traced_memory()[0]
epub.MAX_TEXT_BYTES = 1 << 14
try:
    open_book(path, "epub")
except BookError as error:
    assert "documents have more than" in str(error), error
    print(tracemalloc.get_traced_memory()[1] - before)
"""


def body(text: str) -> dict[str, str]:
    """The first document with another content."""
    return {"OEBPS/text/one.xhtml": PAGE.format(body=text)}


def package(before: str, after: str) -> dict[str, str]:
    """The package document, changed."""
    assert before in PACKAGE
    return {"OEBPS/book.opf": PACKAGE.replace(before, after)}


def test_chapters_and_paragraphs(tmp_path: Path) -> None:
    book = read_epub(write_epub(tmp_path / "a.epub"))
    assert [(c.title, [p.text for p in c.paragraphs]) for c in book.chapters] == [
        ("The Planks", [
            "The Planks", "The birch\xa0canoe slid on the smooth planks—at 5\xa0km/h & more.", "* * *",
            "It was easy.\nIt was late.", "A map of the lake.", "Son las 3.", "So it is.", "No <one> came.",
        ]),
        ("Two Parts", ["Two Parts", "I."]),
        ("The Second", ["The Second", '"Is it late?" "No!" Café.', "The end."]),
    ]  # fmt: skip
    assert (book.title, book.author, book.language) == ("The Canoe", "N. N.", "en")
    assert book.cover == FILES["OEBPS/images/map.png"]
    assert book.notes == (
        "left out: notes (1)", "left out: tables (1)",
        "paragraphs in de, which no rules here read, are read as the rest (1)",
    )  # fmt: skip
    languages = [None] * 5 + ["es", None, None]
    heads = list(zip([True] + [False] * 7, languages, strict=True))
    assert [(paragraph.heading, paragraph.language) for paragraph in book.chapters[0].paragraphs] == heads


def test_places_are_those_of_the_characters() -> None:
    pictures = '<img src="i" alt="T"/>he<![CDATA[<x]]>.<img alt="U"><!-- --></img>'
    data = PAGE.format(body=f"<p>a&eacute;&#x20AC;<b>é</b>&amp;\r\n b {pictures}</p>").encode()
    (block,) = read_content(data).blocks
    assert block.text == "aé€é& b The<x.U"
    assert [data[start:end].decode() for start, end in block.places] == [
        "a", "&eacute;", "&#x20AC;", "é", "&amp;", "\r\n", "b", " ", '<img src="i" alt="T"/>', "h", "e", "", "", ".",
        '<img alt="U"><!-- --></img>',
    ]  # fmt: skip


def test_utf_16_and_prefixes() -> None:
    page = PAGE.format(body="<p>é x</p>").replace("utf-8", "utf-16")
    data = page.encode("utf-16")
    (block,) = read_content(data).blocks
    assert [data[start:end].decode("utf-16-le") for start, end in block.places] == list("é x")
    prefixed = '<h:html xmlns:h="http://www.w3.org/1999/xhtml"><h:body><h:h2>A <h:i>b</h:i></h:h2></h:body></h:html>'
    (block,) = read_content(prefixed.encode()).blocks
    assert (block.text, block.heading) == ("A b", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<div>A<p>b</p>c<br/>d<hr/></div><ul><li>e</li></ul>', ["A", "b", "c\nd", "* * *", "e"]),
        ('<p>A <img src="x" alt=" a  map "/>b <img src="y" alt=""/>c</p>', ["A a map b c"]),
        ('<p>A<sup><a href="#n">1</a></sup> b<a href="#n"><sup>2</sup></a></p>', ["A b"]),
        ('<p>A<i epub:type="pagebreak">2</i> b</p><section role="doc-endnotes"><p>n</p></section>', ["A b"]),
        ('<p>A<a class="footnote-ref x" href="#n">1</a> b</p><div class="footnotes"><p>n</p></div>', ["A b"]),
        ("<p>A <math><mi>x</mi></math> b<script>s()</script><style>p {}</style></p>", ["A b"]),
        ("<p aria-hidden='true'>A</p><p>漢<ruby>字<rt>ji</rt></ruby></p><pre>a\n b</pre>", ["漢字", "a b"]),
        ('<p>A<img src="x" alt="map"> <b>c</b></img>d</p><p hidden="hidden">e</p>', ["A map d"]),
        ("<p>A<!-- b --><?c d?> e</p><nav><ol><li>f</li></ol></nav>", ["A e"]),
    ],
)  # fmt: skip
def test_what_is_read_of_a_document(text: str, expected: list[str]) -> None:
    blocks = read_content(PAGE.format(body=text).encode()).blocks
    assert [block.text for block in blocks] == expected


def test_the_language_of_a_paragraph_is_that_of_all_its_letters_or_of_its_block() -> None:
    of_one, of_two = '<p>“<i lang="fr">Oui</i>”</p>', '<p lang="it"><i lang="fr">Mon Dieu</i>, disse.</p>'
    blocks = read_content(PAGE.format(body=of_one + of_two).encode()).blocks
    assert [block.language for block in blocks] == ["fr", "it"]


def test_an_epub_2_has_its_chapters_from_the_ncx(tmp_path: Path) -> None:
    ncx = """<?xml version="1.0"?><!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN"
 "http://www.daisy.org/z3986/2005/ncx-2005-1.dtd"><ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>
<navPoint><navLabel><text>One  and
only</text></navLabel><content src="text/one.xhtml#h"/>
<navPoint><navLabel><text>Inner</text></navLabel><content src="text/two%20parts.xhtml"/></navPoint></navPoint>
</navMap></ncx>"""
    opf = PACKAGE.replace('version="3.0"', 'version="2.0"').replace(
        'id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"',
        'id="nav" href="toc.ncx" media-type="application/x-dtbncx+xml"',
    )
    page = ONE.replace("<!DOCTYPE html>", '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "xhtml11.dtd">')
    changed = {
        "OEBPS/book.opf": opf, "OEBPS/toc.ncx": ncx, "OEBPS/nav.xhtml": None,
        "OEBPS/text/one.xhtml": page.replace("&#160;", "&nbsp;"),
    }  # fmt: skip
    book = read_epub(write_epub(tmp_path / "a.epub", **changed))
    assert [(c.title, len(c.paragraphs)) for c in book.chapters] == [("One and only", 8), ("Inner", 5)]
    assert "birch\xa0canoe" in book.chapters[0].paragraphs[1].text


ONE_, TWO_, END_ = "text/one.xhtml", "text/two%20parts.xhtml", "text/notes.xhtml"
NOTE = '<aside epub:type="footnote"><p>n</p></aside>'
FIRST = '<itemref idref="one"/>'
REFERENCE = '<sup><a href="#n">1</a></sup>'
TYPED = 'id="one" href="text/one.xhtml" media-type="application/xhtml+xml"'


@pytest.mark.parametrize(
    ("page", "lines", "titles", "note"),
    [
        ('<p>a</p><p id="b"><img src="../images/map.png" alt=""/></p>', {"I": ONE_, "B": f"{ONE_}#b", "A": TWO_},
         ["I", "B – A"], ""),
        ('<p>a</p><a id="e"/>', {"A": ONE_, "B": f"{ONE_}#e", "C": f"{TWO_}#second"}, ["A", "B", "C"], ""),
        ('<h1 id="a">a</h1>', {"I": ONE_, "A": f"{ONE_}#a", " A": ONE_, "B": TWO_}, ["I – A", "B"], ""),
        ('<p>a</p><p id="b">b</p>', {"A": ONE_, "B": f"{ONE_}#b", "N": END_}, ["A", "B", "N"], ""),
        (NOTE, {"N": ONE_, "A": TWO_}, ["A"], "(1)"),
        ("<svg/>", {"Cover": ONE_, "A": TWO_}, ["A"], "(1)"),
        ("<nav><p>A</p></nav>", {"Contents": ONE_, "A": TWO_}, ["A"], "(1)"),
        ("<p>a</p>", {"A": ONE_, "none": f"{ONE_}#none", "web": "https://a.b/", "B": TWO_}, ["A", "B"], "(1)"),
        (f'<p>a</p><div id="n" role="doc-endnotes">{NOTE}</div>', {"A": ONE_, "N": f"{ONE_}#n"}, ["A"], "(1)"),
    ],
)  # fmt: skip
def test_lines_of_the_contents(tmp_path: Path, page: str, lines: dict[str, str], titles: list[str], note: str) -> None:
    """Lines that point to one place, or to where nothing is read but something could be, are the next chapter's."""
    items = "".join(f'<li><a href="{href}">{title}</a></li>' for title, href in lines.items())
    nav = PAGE.format(body=f'<nav epub:type="toc"><ol>{items}</ol></nav>')
    book = read_epub(write_epub(tmp_path / "a.epub", **body(page), **{"OEBPS/nav.xhtml": nav}))
    assert [chapter.title for chapter in book.chapters] == titles
    known = "left out: lines of the table of contents, at which nothing is read "
    assert [text.removeprefix(known) for text in book.notes if text.startswith(known)] == [note] * bool(note)


@pytest.mark.parametrize(
    ("changed", "paragraphs", "note"),
    [
        (package(TYPED, TYPED.replace("application/xhtml+xml", "text/html")), 13, None),
        (package(TYPED, TYPED.replace("application/xhtml+xml", "image/png")), 5, "files of type 'image/png' (1)"),
        (package('ref="one"', 'ref="one" properties="rendition:layout-pre-paginated"'), 5,
         "pages of a fixed layout (1)"),
        (body(f"<p>a{REFERENCE}</p><p id='n'>1. b</p>"), 7, None),
        (body(f"<p>a{REFERENCE}b{REFERENCE}</p><ol class='footnotes'><li>c</li><li>d</li></ol>"), 6, "notes (2)"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_noted(tmp_path: Path, changed: Files, paragraphs: int, note: str | None) -> None:
    book = read_epub(write_epub(tmp_path / "a.epub", **changed))
    assert sum(len(chapter.paragraphs) for chapter in book.chapters) == paragraphs
    assert note is None or f"left out: {note}" in book.notes


def test_elements_around_a_text_take_no_copies_of_it(tmp_path: Path) -> None:
    """Nor do the lines of a table of contents around one, and a package document is read only so far."""
    text, deep = "birch canoe\n" * 20_000, 200
    packages = PACKAGE.replace("<manifest>", "<a>x" * deep + text + "</a>" * deep + "<manifest>")
    inner = '<li>x<a href="text/one.xhtml">' * (deep // 2) + text + "</a></li>" * (deep // 2)
    nav = NAV.replace('<li><a href="text/one.xhtml">The Planks</a></li>', inner)
    path = write_epub(tmp_path / "a.epub", **{"OEBPS/book.opf": packages, "OEBPS/nav.xhtml": nav})
    most, least = map(int, subprocess.check_output([sys.executable, "-c", MEMORY, path]).split())
    assert (most < 20 * len(text), least < len(text)) == (True, True)


def test_a_book_without_contents_has_a_chapter_a_document(tmp_path: Path) -> None:
    book = read_epub(write_epub(tmp_path / "a.epub", **package(' properties="nav"', "")))
    assert [chapter.title for chapter in book.chapters] == ["The Planks", "Two Parts", ""]


def test_more_lines_than_a_file_has_chapters_are_those_of_the_upper_levels(tmp_path: Path) -> None:
    items = "".join(f'<li><a href="text/one.xhtml#i{n}">{n}</a></li>' for n in range(300))
    nested = NAV.replace(
        '<li><a href="text/one.xhtml">The Planks</a>', f'<li><a href="text/one.xhtml">A</a><ol>{items}</ol>'
    )
    paragraphs = "".join(f'<p id="i{n}">It was {n}.</p>' for n in range(300))
    book = read_epub(write_epub(tmp_path / "a.epub", **body(paragraphs), **{"OEBPS/nav.xhtml": nested}))
    assert [chapter.title for chapter in book.chapters] == ["A", "Two Parts"]
    flat = NAV.replace('<li><a href="text/one.xhtml">The Planks</a></li>', items)
    with pytest.raises(BookError, match="301 chapters; a file can have 255"):
        read_epub(write_epub(tmp_path / "b.epub", **body(paragraphs), **{"OEBPS/nav.xhtml": flat}))


def test_scrambled_fonts_are_no_encryption(tmp_path: Path) -> None:
    fonts = {"META-INF/encryption.xml": encryption("http://www.idpf.org/2008/embedding")}
    assert read_epub(write_epub(tmp_path / "a.epub", **fonts))


def encryption(algorithm: str) -> str:
    return (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:e="http://www.w3.org/2001/04/xmlenc#">'
        f'<e:EncryptedData><e:EncryptionMethod Algorithm="{algorithm}"/><e:CipherData>'
        '<e:CipherReference URI="OEBPS/text/one.xhtml"/></e:CipherData></e:EncryptedData></encryption>'
    )


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def declares(*attributes: str) -> dict[str, str]:
    """A document that declares attributes."""
    declarations = "".join(f"<!ATTLIST {attribute}>" for attribute in attributes)
    return {"OEBPS/text/one.xhtml": ONE.replace(" html>", f" html [{declarations}]>")}


def test_attributes_without_a_default_may_be_declared(tmp_path: Path) -> None:
    changed = declares("p id ID #IMPLIED", "br x CDATA #REQUIRED")
    plain, declared = write_epub(tmp_path / "a.epub"), write_epub(tmp_path / "b.epub", **changed)
    assert read_epub(declared).chapters == read_epub(plain).chapters


FIXED = '<meta property="rendition:layout">pre-paginated</meta></metadata>'
IBOOKS = '<display_options><platform name="*"><option name="fixed-layout">true</option></platform></display_options>'


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"../evil.txt": "x"}, "'../evil.txt': a path outside of the archive"),
        ({"/etc/evil": "x"}, "'/etc/evil': a path outside"),
        ({"C:\\evil": "x"}, "a path outside"),
        ({"META-INF/container.xml": CONTAINER.replace("OEBPS/", "../../")}, "'../../book.opf' is outside"),
        (package("text/one.xhtml", "../../../etc/passwd"), "'../../../etc/passwd' is outside of the archive"),
        (package("text/one.xhtml", "http://[x/"), "'http://[x/' is no address"),
        (package("text/one.xhtml", "%2e%2e/%2e%2e/passwd"), "is outside of the archive"),
        ({"OEBPS/bomb.css": b"\0" * (32 << 20)}, "a ZIP bomb?"),
        ({"META-INF/encryption.xml": encryption("http://www.w3.org/2001/04/xmlenc#aes128-cbc")}, "encrypted (DRM)"),
        ({"META-INF/rights.xml": "<rights/>"}, "encrypted (DRM): it has META-INF/rights.xml"),
        ({"META-INF/license.lcpl": "{}"}, "encrypted (DRM)"),
        (package("</metadata>", FIXED), "a fixed layout"),
        ({"META-INF/com.apple.ibooks.display-options.xml": IBOOKS}, "a fixed layout"),
        ({"OEBPS/book.opf": PACKAGE.replace("<package", f"{LAUGHS}<package")}, "declares an entity of its own, 'a'"),
        ({"OEBPS/text/one.xhtml": ONE.replace("<!DOCTYPE html>", LAUGHS)}, "declares an entity of its own, 'a'"),
        (declares("p x CDATA 'A'"), "declares an attribute of its own, 'x'"),
        (declares("p x CDATA #FIXED ''"), "an attribute of its own"),
        (declares(*(f"p x{number} ID #IMPLIED" for number in range(257))), "an attribute of its own, 'x256'"),
        (body("<div>" * 300 + "</div>" * 300), "elements are nested more than 256 deep"),
        ({"OEBPS/nav.xhtml": f"<a><b c='1'/>{'<b/>' * 200_000}</a>"}, "more than 200000 elements"),
        (body("<p>A<p>"), "OEBPS/text/one.xhtml: line 7: not well-formed XML: mismatched tag"),
        ({"OEBPS/text/one.xhtml": ONE.encode("utf-8").replace(b"easy", b"\xff")}, "not well-formed"),
        ({"META-INF/container.xml": None}, "a ZIP file without META-INF/container.xml, and so no EPUB"),
        ({"META-INF/container.xml": "<container/>"}, "names no package document"),
        ({"OEBPS/text/one.xhtml": None}, "OEBPS/text/one.xhtml: it is missing"),
        ({"OEBPS/book.opf": "<package/>"}, "it has no manifest"),
        (package('idref="one"', 'idref="none"'), "the spine has an item that the manifest has not"),
        (package("<dc:language>en<", "<dc:language>de-AT<"), "language 'de-AT' is not read; there are en"),
    ],
)  # fmt: skip
def test_books_that_are_refused(tmp_path: Path, changed: Files, reason: str) -> None:
    with pytest.raises(BookError, match=re.escape(reason)):
        read_epub(write_epub(tmp_path / "a.epub", **changed))


_LOCAL = b"PK\x03\x04\x14\0"
"""How the header of a file of the archive begins; flags follow."""
_ENTRY = b"PK\x01\x02\x14\x03\x14\x00"
"""How an entry of the archive's directory begins; flags follow."""


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[: len(data) // 2], "a damaged ZIP file"),
        (lambda data: data.replace(_ENTRY + bytes(2), _ENTRY + b"\x01\0"), "encrypted"),
        (lambda data: data[:50] + _ENTRY * 20_000 + data[50:], "20008 files; a book may have 20000"),
        (lambda data: data[:1000] + bytes(40) + data[1040:], "damaged"),
        (lambda data: data.replace(b"nav.xhtml", b"book.opf\0"), "one name|damaged|missing"),
        (lambda data: data.replace(_ENTRY + b"\0\0\x08", _ENTRY + b"\0\0\x0c"),
         "'META-INF/container.xml': neither stored nor deflated"),
        (lambda data: data.replace(_LOCAL + b"\0\0", _LOCAL + b"\0\x08").replace(b"nav.x", b"nav.\xff", 1),
         "nav.xhtml: damaged: 'utf-8' codec"),
    ],
)  # fmt: skip
def test_archives_that_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes], reason: str) -> None:
    path = write_epub(tmp_path / "a.epub")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BookError, match=reason):
        read_epub(path)


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [("OEBPS/link", stat.S_IFLNK, "a link"), ("OEBPS/nav.xhtml", 0, "several of its files have one name")],
)
def test_links_and_equal_names_are_refused(tmp_path: Path, name: str, mode: int, reason: str) -> None:
    path, entry = write_epub(tmp_path / "a.epub"), zipfile.ZipInfo(name)
    entry.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(BookError, match=reason):
        read_epub(path)


@pytest.mark.parametrize(("times", "most"), [(1, 3000), (40, 20_000)])
def test_documents_are_read_only_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, most: int) -> None:
    """Also one that the spine names many times."""
    monkeypatch.setattr(epub, "MAX_TEXT_BYTES", most)
    path = write_epub(tmp_path / "a.epub", **package(FIRST, FIRST * times))
    with pytest.raises(BookError, match="documents have more than"):
        read_epub(path)


def test_a_line_of_the_contents_begins_one_chapter(tmp_path: Path) -> None:
    book = read_epub(write_epub(tmp_path / "a.epub", **package(FIRST, FIRST * 2)))
    chapters = [("The Planks", 16), ("Two Parts", 2), ("The Second", 3)]
    assert [(chapter.title, len(chapter.paragraphs)) for chapter in book.chapters] == chapters


def test_notes_are_short_and_few(tmp_path: Path) -> None:
    text = "".join(f"<p xml:lang='x{n}-{'y' * 99}'>It was {n}.</p>" for n in range(30))
    notes = notes_of(read_epub(write_epub(tmp_path / "a.epub", **body(text))), [])
    assert (len(notes), max(map(len, notes)) < 120, notes[-1]) == (11, True, "and 21 more")


def test_a_book_becomes_a_file_with_chapters(ok: Run, tmp_path: Path) -> None:
    done = ok("read", write_epub(tmp_path / "a.epub"), "-o", tmp_path / "a.m4b", "--model", "tiny")
    assert b"left out: tables (1)" in done.stderr
    assert b"not read: OEBPS/text/one.xhtml, paragraph 8: cannot speak '<one>'" in done.stderr
    with av.open(str(tmp_path / "a.m4b")) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["The Planks", "Two Parts", "The Second"]
        assert (container.metadata["title"], container.metadata["artist"]) == ("The Canoe", "N. N.")
        assert bytes(next(container.demux(video=0))) == FILES["OEBPS/images/map.png"]


@pytest.fixture(scope="module")
def spoken(ok: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A book, and the same with overlays."""
    folder = tmp_path_factory.mktemp("overlays")
    read_aloud(ok, write_epub(folder / "a.epub"), folder / "b.epub")
    return folder / "a.epub", folder / "b.epub"


def test_a_book_with_overlays_is_the_book_with_marks(spoken: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(spoken[0]) as before, zipfile.ZipFile(spoken[1]) as after:
        assert after.namelist()[0] == "mimetype"
        assert after.infolist()[0].compress_type == zipfile.ZIP_STORED
        assert [name for name in after.namelist() if "/spoken/" not in name] == before.namelist()
        for name in set(before.namelist()) - {"OEBPS/book.opf"}:
            assert MARK.sub(rb"\1", after.read(name)).replace(LINK, b"") == before.read(name), name
        marked = [match.decode() for match in MARK.findall(after.read("OEBPS/text/one.xhtml"))]
        assert marked == [
            "The", "Planks", "The", "birch", "canoe", "sl", "on", "the", "smooth", "planks", "at", "5&#xA0;km/h",
            "&amp;", "more", "It", "was", "easy", "It", "was", "late",
            '<img src="../images/map.png" alt="A map of the lake."/>', "Son", "las", "3", "So", "it", "is",
        ]  # fmt: skip
        lines, before_lines = after.read("OEBPS/book.opf").decode().splitlines(), PACKAGE.splitlines()
        changed = ('<item id="one"', '<item id="two"', '<item id="end"')
        kept = [line for line in lines if line in before_lines]
        assert kept == [line for line in before_lines if not line.startswith(changed)]
        assert sum('media-overlay="spoken-' in line for line in lines if line not in kept) == 3


def test_each_word_has_its_clip(server: Server, spoken: tuple[Path, Path]) -> None:
    starts, before = [], 0.0
    for text, pause in (("Two Parts", 1.0), ("I.", 2.0), ("The Second", 1.0), ('"Is it late?" "No!" Café.', 0.5)):
        answer = server.speak(input=text, seed=digest_seed(7, text))
        times = httpx.get(f"{server.url}/v1/jobs/{answer.headers['x-job-id']}/timestamps").json()
        starts += [before + word["start"] / RATE for word in times["words"]]
        before += (len(answer.content) - 44) / 2 / RATE + pause
    with zipfile.ZipFile(spoken[1]) as book:
        smil = ElementTree.fromstring(book.read("OEBPS/spoken/0002.smil"))
        sound = book.read("OEBPS/spoken/0002.m4a")
        page = book.read("OEBPS/text/two parts.xhtml")
    clips = [clip.attrib for clip in smil.findall(".//s:par/s:audio", SMIL)]
    begins, ends = ([clip[name] for clip in clips] for name in ("clipBegin", "clipEnd"))
    assert [float(clock.removesuffix("s")) for clock in begins] == pytest.approx([0.0, *starts[1:]], abs=1e-6)
    assert [float(clock.removesuffix("s")) for clock in ends] == pytest.approx([*starts[1:], before], abs=1e-6)
    assert all(clock.endswith("s") for clock in begins + ends)
    texts = [text.attrib["src"].partition("#") for text in smil.findall(".//s:par/s:text", SMIL)]
    assert {path for path, _, _ in texts} == {"../text/two%20parts.xhtml"}
    assert [page.count(f'id="{name}"'.encode()) for _, _, name in texts] == [1] * len(clips)
    with av.open(io.BytesIO(sound)) as container:
        assert float((container.duration or 0) / av.time_base) == pytest.approx(before, abs=0.1)


def test_a_server_makes_the_same_book(ok: Run, server: Server, spoken: tuple[Path, Path], tmp_path: Path) -> None:
    assert read_aloud(ok, spoken[0], tmp_path / "a.epub", "--url", server.url) == spoken[1].read_bytes()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_style_of_the_word_is_linked(ok: Run, tmp_path: Path, encoding: str) -> None:
    """Also by documents with a prefix, in UTF-16, or of many elements; a head without an end tag gets no link."""
    many = "<b/>" * (200_001 if encoding == "utf-8" else 1)
    prefixed = """<?xml version="1.0" encoding="{}"?>
<h:html xmlns:h="http://www.w3.org/1999/xhtml">{}
<h:body><h:p>The <h:img alt="map"></h:img>.</h:p>{}</h:body></h:html>"""
    heads = ("<h:head><h:title>One</h:title></h:head>", "<h:head/>", "<h:head></h:head>")
    pages = [prefixed.format(encoding, head, many).encode(encoding) for head in heads]
    names = ("OEBPS/text/one.xhtml", "OEBPS/text/two parts.xhtml", "OEBPS/text/notes.xhtml")
    source = write_epub(tmp_path / "a.epub", **dict(zip(names, pages, strict=True)))
    read_aloud(ok, source, tmp_path / "b.epub")
    with zipfile.ZipFile(tmp_path / "b.epub") as book:
        written = tuple(book.read(name).decode(encoding).partition("<h:body>")[0] for name in names)
        links = [head.count(LINK.decode().replace("<", "<h:") + "</h:head>") for head in written]
        assert (links, written[1].count("link")) == ([1, 0, 1], 0)
        for name in names:
            marked = [element.get("alt") for element in ElementTree.fromstring(book.read(name)).findall(".//*[@id]/*")]
            assert marked == ["map"]
        assert book.read("OEBPS/spoken/word.css").startswith(b".-epub-media-overlay-active {")
        package = ElementTree.fromstring(book.read("OEBPS/book.opf"))
    active = [meta.text for meta in package.iter() if meta.get("property") == "media:active-class"]
    assert active == ["-epub-media-overlay-active"]


EPUBCHECK = Path("/usr/share/java/epubcheck.jar")


@pytest.mark.slow
@pytest.mark.skipif(
    not EPUBCHECK.exists() or shutil.which("java") is None, reason="epubcheck is not installed (Debian: epubcheck)"
)
def test_epubcheck_finds_nothing_new(spoken: tuple[Path, Path], tmp_path: Path) -> None:
    complaints = []
    for path in spoken:
        line = ["java", "-jar", str(EPUBCHECK), str(path), "--json", str(tmp_path / "report"), "--quiet"]
        subprocess.run(line, capture_output=True, check=False)
        messages = json.loads((tmp_path / "report").read_bytes())["messages"]
        complaints.append([(found["ID"], found["message"]) for found in messages])
    assert [identifier for identifier, _ in complaints[0]] == ["PKG-010"]  # a file name has a space
    assert complaints[1] == complaints[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (package('version="3.0"', 'version="2.0"'), b"EPUB 2.0 has no media overlays"),
        (package('<item id="one"', '<item media-overlay="x" id="one"'), b"it has media overlays already"),
        ({"META-INF/signatures.xml": "<signatures/>"}, b"it is signed"),
        (package(FIRST, FIRST * 2), b"the spine has an item twice"),
    ],
)
def test_books_that_get_no_overlays(ancestral: Run, tmp_path: Path, changed: Files, message: bytes) -> None:
    source = write_epub(tmp_path / "a.epub", **changed)
    done = ancestral("read", str(source), "-o", str(tmp_path / "b.epub"), "--model", "tiny")
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    with Epub(source) as epub:
        assert list(epub.spine)


def test_a_small_file_is_no_cover_of_gigabytes() -> None:
    for side, fits in ((100, True), (9000, False)):
        pixels = chunk(b"IDAT", zlib.compress(bytes((side + 1) * side)))
        cover = png(side, side, pixels, chunk(b"IEND", b""), colour=0)
        assert (cover_of(Book((), cover=cover), "m4b") == cover) == fits


def test_a_damaged_picture_is_found_before_the_book_is_read(tmp_path: Path) -> None:
    path, picture = write_epub(tmp_path / "a.epub"), bytes(FILES["OEBPS/images/map.png"])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("OEBPS/stored.png", picture * 9, zipfile.ZIP_STORED)
    data = path.read_bytes()
    path.write_bytes(data.replace(picture * 9, picture * 8 + bytes(len(picture))))
    with Epub(path) as epub, pytest.raises(BookError, match=r"stored\.png: damaged"):
        check_overlays(epub)
