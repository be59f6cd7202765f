"""A book of `ancestral read -o spoken.epub` in a reader: each word is lit while it is said."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.service.cli.epubs import write_epub
from tests.service.page.browser import SECONDS, hosted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHAPTERS = (
    [
        "The", "Planks", "The", "birch", "canoe", "sl", "on", "the", "smooth", "planks", "at", "5\xa0km/h", "&", "more",
        "It", "was", "easy", "It", "was", "late", "A map of the lake.", "Son", "las", "3", "So", "it", "is",
    ],
    ["Two", "Parts", "I", "The", "Second", "Is", "it", "late", "No", "Café"],
    ["The", "end"],
)  # fmt: skip
YELLOW = (255, 213, 79)
SHOWN = """() => {
  const { document, getComputedStyle } = window.frames[0];
  return [...document.querySelectorAll("*")]
    .filter((element) => getComputedStyle(element).backgroundColor === "rgb(255, 213, 79)")
    .map((element) => element.textContent || element.querySelector("img").alt);
}"""
"""The words that somebody sees lit: by their colour, whatever their classes are."""


@pytest.fixture(scope="module")
def reader(
    browser: Browser,
    ancestral: Callable[..., subprocess.CompletedProcess[bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Page]:
    """The reader, with the book; nothing is said on the console."""
    folder = tmp_path_factory.mktemp("book")
    source, spoken, unpacked = write_epub(folder / "a.epub"), folder / "spoken.epub", folder / "unpacked"
    done = ancestral("read", str(source), "-o", str(spoken), "--model", "tiny", "--seed", "7")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(spoken) as archive:
        archive.extractall(unpacked)
    shutil.copy(Path(__file__).with_name("reader.html"), unpacked)
    said: list[str] = []
    with hosted(unpacked) as url:
        page = browser.new_page(viewport={"width": 800, "height": 600})
        page.set_default_timeout(SECONDS)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{url}/reader.html")
        page.wait_for_function("window.chapters")
        yield page
        page.close()
    assert said == []


@pytest.mark.parametrize("number", range(len(CHAPTERS)))
def test_each_word_is_lit_alone_in_the_middle_of_its_clip(reader: Page, number: int) -> None:
    assert reader.evaluate("window.chapters") == len(CHAPTERS)
    clips = reader.evaluate(f"window.open_chapter({number})")
    assert reader.evaluate(SHOWN) == []
    lit = []
    for begin, end in clips:
        reader.evaluate(f"window.seek({(begin + end) / 2})")
        lit.append(reader.evaluate(SHOWN))
    assert lit == [[word] for word in CHAPTERS[number]]


def test_words_are_lit_in_order_while_the_sound_plays(reader: Page) -> None:
    reader.evaluate("window.open_chapter(1)")
    reader.evaluate(f"window.seen = []; window.play(() => window.seen.push(({SHOWN})()))")
    seen = [words for words in reader.evaluate("window.seen") if words]
    shown = [words for at, words in enumerate(seen) if at == 0 or words != seen[at - 1]]
    words = iter(CHAPTERS[1])  # a busy machine may draw no frame during a word; none comes twice or too early
    assert all(len(found) == 1 and found[0] in words for found in shown), shown
    assert shown[-1] == ["Café"]
    assert reader.evaluate(SHOWN) == []


def test_a_lit_word_can_be_seen(reader: Page, tmp_path: Path) -> None:
    begin, end = reader.evaluate("window.open_chapter(0)")[4]
    reader.evaluate(f"window.seek({(begin + end) / 2})")
    reader.screenshot(path=tmp_path / "word.png")
    with Image.open(tmp_path / "word.png") as picture:
        pixels = picture.convert("RGB")
    yellow = [(x, y) for x in range(pixels.width) for y in range(pixels.height) if pixels.getpixel((x, y)) == YELLOW]
    (left, top), (right, bottom) = map(min, zip(*yellow, strict=True)), map(max, zip(*yellow, strict=True))
    box = reader.frames[1].locator("p.first span").nth(2).bounding_box()
    assert box is not None
    assert (left, top) == pytest.approx((box["x"], box["y"]), abs=1)
    assert (right + 1, bottom + 1) == pytest.approx((box["x"] + box["width"], box["y"] + box["height"]), abs=1)
