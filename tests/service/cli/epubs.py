"""EPUBs for tests, made by hand."""

from __future__ import annotations

import zipfile
from pathlib import Path

CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:2b0d5c6e-7c1e-4c0e-9d0a-000000000001</dc:identifier>
<dc:title>The Canoe</dc:title><dc:creator>N. N.</dc:creator><dc:language>en</dc:language>
<meta property="dcterms:modified">2026-11-28T00:00:00Z</meta>
</metadata>
<manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="one" href="text/one.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="text/two%20parts.xhtml" media-type="application/xhtml+xml"/>
<item id="end" href="text/notes.xhtml" media-type="application/xhtml+xml"/>
<item id="map" href="images/map.png" media-type="image/png" properties="cover-image"/>
</manifest>
<spine><itemref idref="nav" linear="no"/><itemref idref="one"/><itemref idref="two"/><itemref idref="end"/></spine>
</package>
"""
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" xml:lang="en" lang="en">
<head><title>Not spoken</title></head>
<body>
{body}
</body>
</html>
"""
NAV = PAGE.format(
    body="""<nav epub:type="toc" id="toc"><ol>
<li><a href="text/one.xhtml">The Planks</a></li>
<li><a href="text/two%20parts.xhtml">Two Parts</a><ol>
<li><a href="text/two%20parts.xhtml#second">The Second</a></li></ol></li>
</ol></nav>"""
)
ONE = PAGE.format(
    body="""<h1 id="h">The <i>Planks</i></h1>
<p class="first">The birch&#160;canoe <em>sl</em>id on the
   smooth planks&#8212;at 5&#xA0;km/h &amp; more<a epub:type="noteref" href="notes.xhtml#n1">1</a>.<!-- no --></p>
<hr/>
<p>It was <span class="x">easy</span>.<br/>It was late.</p>
<figure><img src="../images/map.png" alt="A map of the lake."/></figure>
<table><tr><td>12</td></tr></table>
<p xml:lang="es" lang="es">Son las 3.</p>
<p xml:lang="de" lang="de">So it is.</p>
<p><![CDATA[No <one>]]> came.</p>"""
)
TWO = PAGE.format(
    body="""<section><h2>Two Parts</h2><p>I.</p></section>
<section id="second"><h2>The Second</h2><p>"Is it late?" "No!" Caf&#233;.</p></section>"""
)
NOTES = PAGE.format(body='<aside epub:type="footnote" id="n1"><p>A note.</p></aside><p>The end.</p>')
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63606060f80f0001040100"
    "5fe5c34b0000000049454e44ae426082"
)
FILES: dict[str, str | bytes] = {
    "mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER, "OEBPS/book.opf": PACKAGE,
    "OEBPS/nav.xhtml": NAV, "OEBPS/text/one.xhtml": ONE, "OEBPS/text/two parts.xhtml": TWO,
    "OEBPS/text/notes.xhtml": NOTES, "OEBPS/images/map.png": PNG,
}  # fmt: skip


def write_epub(path: Path, **changed: str | bytes | None) -> Path:
    """A book, with some files changed or, as None, left out; the names of those are given as ``FILES`` has them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (FILES | changed).items():
            if data is not None:
                kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
                archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, kind)
    return path
