"""What the tests of the page share: Debian's Chromium, driven by Playwright, and what a page may not do."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from tests.service.images.pictures import Pixels, written
from tests.service.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Download, Page

FIRST_SOUND: Final = Path(__file__).with_name("first_sound.js").read_text()
_RECORDERS: Final = Path(__file__).with_name("recorders.js").read_text()
SECONDS: Final = 120_000
"""Playwright counts in milliseconds: the machine may be busy."""
_FLAGS: Final = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
_HEARD: Final = "window.heard.map((part) => Array.from(part, (x) => Math.round(x * 32768)))"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".xhtml": "application/xhtml+xml"}

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def hosted(folder: Path, handler: type[SimpleHTTPRequestHandler] = _Quiet) -> Iterator[str]:
    """The URL of a server that only has these files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass
class Visit:
    """One visit to the page. It has all that Playwright's page has."""

    page: Page
    server: Server
    requests: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.page, name)

    def open(self, link: str) -> None:
        """Open a view."""
        self.page.goto(link if link.startswith(self.server.url) else f"{self.server.url}/{link}")
        self.page.wait_for_selector("main h1")

    def draw(self, count: int) -> None:
        """Press the button, and wait for so many pictures."""
        self.page.click("button.primary")
        self.page.wait_for_selector(f".shot:nth-child({count}):not(.growing)")

    def upload(self, *files: bytes | Pixels, name: str = "mine.png") -> None:
        """Choose files, or pictures, each in its own place."""
        for number, file in enumerate(files):
            data = file if isinstance(file, bytes) else written(file)
            place = self.page.locator(f"input[type=file] >> visible=true >> nth={number}")
            place.set_input_files({"name": name, "mimeType": "", "buffer": data})

    def drag(self, selector: str, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Move the mouse while it is pressed, from one place in a box to another."""
        box = self.page.locator(selector).bounding_box()
        assert box is not None
        for act, (x, y) in ((self.page.mouse.down, begin), (self.page.mouse.up, end)):
            self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
            act()

    def download(self, selector: str) -> Download:
        """Press a button that downloads a file."""
        with self.page.expect_download() as download:
            self.page.click(selector)
        return download.value

    def pixels(self, selector: str) -> list[Pixels]:
        """The colours ``[H, W, 4]`` of canvases. Chromium complains if one is read more than once."""
        found = self.page.evaluate(f"colours({selector!r})")
        return [np.array(colours, np.uint8).reshape(height, width, 4) for height, width, colours in found]

    def speak(self) -> str:
        """Press the button, and wait for the last byte. Returns the hash of all bytes."""
        self.page.evaluate("document.querySelector('.stats').removeAttribute('data-sha256')")
        self.page.click("button.primary")
        self.page.wait_for_selector(".stats[data-sha256]", state="attached")
        found = self.page.get_attribute(".stats", "data-sha256")
        assert found
        return found

    def played(self) -> None:
        """Wait until everything has been heard."""
        self.page.wait_for_selector("button:text-is('Play'):not([disabled])")

    def heard(self) -> bytes:
        """What the sound device got, as 16-bit samples, without the silence before and after."""
        parts: list[list[int]] = self.page.evaluate(_HEARD)
        samples = [sample for part in parts for sample in part]
        first = next(index for index, sample in enumerate(samples) if sample)
        last = next(index for index, sample in enumerate(reversed(samples)) if sample)
        return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples[first : len(samples) - last])


@contextmanager
def visiting(
    browser: Browser, server: Server, link: str = "", *, capture: bool = False, quiet: bool = True, **options: Any
) -> Iterator[Visit]:
    """A visit by somebody who has never been here. No other host is asked, and nothing is said on the console.

    Args:
        browser: for this visit.
        server: that is visited.
        link: what is opened first.
        capture: whether what is heard is kept.
        quiet: False where something is wrong, which the browser says, too.
        options: of the browser's context.
    """
    context: BrowserContext = browser.new_context(bypass_csp=capture, **options)
    context.set_default_timeout(SECONDS)
    context.add_init_script(FIRST_SOUND + _RECORDERS + ("captureSound();" if capture else ""))
    page = context.new_page()
    visit, messages = Visit(page, server), list[str]()
    page.on("request", lambda request: visit.requests.append(request.url))
    page.on("console", lambda said: messages.append(f"{said.type}: {said.text} ({said.location['url']})"))
    page.on("pageerror", lambda error: messages.append(f"error: {error}"))
    try:
        if link:
            visit.open(link)
        yield visit
        assert all(url.startswith((server.url, "blob:", "data:")) for url in visit.requests), visit.requests
        assert messages == [] or not quiet
    finally:
        context.close()
