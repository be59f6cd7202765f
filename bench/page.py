"""How soon the page is painted and heard, and whether it plays without gaps: ``python -m bench.page``.

A real server with the bundled models and Debian's Chromium, by Playwright. All values are wall-clock times: run nothing
else meanwhile. For the last two rows this script keeps one core busy itself, at the lowest and at the same priority.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from bench.listeners import TEXTS, serving
from bench.report import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

VISITS = 10
LISTENINGS = 8
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_BUSY = "while True: pass"
_CLICKED = """
window.clicked = null;
addEventListener("click", () => (window.clicked ??= performance.now()), { capture: true });
"""
"""Notes the first click."""
_FIRST_SOUND = Path(__file__).parents[1] / "tests/service/page/first_sound.js"
_TIMEOUT_MS = 3 * 60_000
"""The longest wait for the end of the sound."""


@dataclass(frozen=True)
class Delay:
    """One row of the first table."""

    measurement: str
    times: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Playback:
    """One row of the second table."""

    measurement: str
    seconds_of_sound: float
    real_time_factor: float
    """Real-time factor of sampling, as the page shows it."""
    underruns: int


def main() -> None:
    """Measure and print the tables."""
    from playwright.sync_api import sync_playwright

    with serving() as port, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        address = f"http://127.0.0.1:{port}/"
        painted = _paint(browser, address)
        heard = _hear(browser, address)
        alone = _play(browser, address, "one listener")
        with _busy_core("nice", "-n", "19"):
            beside = _play(browser, address, "one listener, one core busy at the lowest priority")
        with _busy_core():
            loaded = _play(browser, address, "one listener, one core busy with something else")
        browser.close()
    report("Paint and first sound of the page", [painted, heard])
    report("Playback of the page", [alone, beside, loaded])


def _paint(browser: Browser, address: str) -> Delay:
    painted = []
    for _ in range(VISITS):
        page = browser.new_context().new_page()
        page.goto(address)
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        painted.append(float(page.evaluate(_PAINT)))
        page.context.close()
    return _delay("first contentful paint, empty cache", painted)


def _hear(browser: Browser, address: str) -> Delay:
    """From the click to the first sound."""
    heard = []
    for seed in range(LISTENINGS):
        page = browser.new_context().new_page()
        page.add_init_script(_CLICKED + _FIRST_SOUND.read_text())
        _listen(page, address, seed, TEXTS[0])
        heard.append(float(page.evaluate("window.soundAt - window.clicked")))
        page.context.close()
    return _delay("click to first sound", heard)


def _listen(page: Page, address: str, seed: int, text: str) -> None:
    """Have a text spoken, and listen to the end."""
    page.goto(f"{address}#speak?model=wavenet-en&voice=joe&seed={seed}&text={quote(text)}")
    page.click("button.primary")
    page.wait_for_selector(".stats[data-sha256]", state="attached", timeout=_TIMEOUT_MS)
    page.wait_for_selector("button:text-is('Play'):not([disabled])", timeout=_TIMEOUT_MS)


def _delay(measurement: str, milliseconds: list[float]) -> Delay:
    p50, p95 = (round(float(np.percentile(milliseconds, share)), 1) for share in (50, 95))
    return Delay(measurement, len(milliseconds), p50, p95)


def _play(browser: Browser, address: str, measurement: str) -> Playback:
    """Speak a text and listen to the end."""
    page = browser.new_context().new_page()
    _listen(page, address, 7, " ".join(TEXTS))
    shown = page.inner_text(".figures")
    page.context.close()
    return Playback(
        measurement,
        _figure(r"Length\s+([\d.]+)", shown),
        _figure(r"Real-time factor\s+([\d.]+)", shown),
        int(_figure(r"Underruns\s+(\d+)", shown)),
    )


def _figure(pattern: str, shown: str) -> float:
    found = re.search(pattern, shown, re.IGNORECASE)
    assert found is not None, shown
    return float(found[1])


@contextmanager
def _busy_core(*before: str) -> Iterator[None]:
    """Keep one core busy; `before` are words before the command."""
    with subprocess.Popen([*before, sys.executable, "-c", _BUSY]) as busy:
        try:
            yield
        finally:
            busy.kill()


if __name__ == "__main__":
    main()
