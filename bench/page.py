"""How soon the page is painted, and whether it plays without gaps: ``python -m bench.page``.

A real server with the bundled models and Debian's Chromium, by Playwright. All values are wall-clock times: run nothing
else meanwhile. For the last row this script keeps one core busy itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from bench.listeners import TEXTS, serving
from bench.report import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

VISITS = 10
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
_BUSY = "while True: pass"
_TIMEOUT_MS = 3 * 60_000
"""The longest wait for the end of the sound."""


@dataclass(frozen=True)
class Paint:
    """One row of the first table."""

    measurement: str
    visits: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Playback:
    """One row of the second table."""

    measurement: str
    seconds_of_sound: float
    real_time_factor: float
    """Of sampling, as the page shows it."""
    underruns: int


def main() -> None:
    """Measure and print the tables."""
    from playwright.sync_api import sync_playwright

    with serving() as port, sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        address = f"http://127.0.0.1:{port}/"
        painted = _paint(browser, address)
        alone = _play(browser, address, "one listener")
        with _busy_core():
            loaded = _play(browser, address, "one listener, one core busy with something else")
        browser.close()
    report("Paint of the page", [painted])
    report("Playback of the page", [alone, loaded])


def _paint(browser: Browser, address: str) -> Paint:
    painted = []
    for _ in range(VISITS):
        page = browser.new_context().new_page()
        page.goto(address)
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        painted.append(float(page.evaluate(_PAINT)))
        page.context.close()
    p50, p95 = (round(float(np.percentile(painted, share)), 1) for share in (50, 95))
    return Paint("first contentful paint, empty cache", VISITS, p50, p95)


def _play(browser: Browser, address: str, measurement: str) -> Playback:
    """Speak a text and listen to the end."""
    page = browser.new_context().new_page()
    page.goto(f"{address}#speak?model=wavenet-en&voice=joe&seed=7&text={quote(' '.join(TEXTS))}")
    page.click("button.primary")
    page.wait_for_selector(".stats[data-sha256]", state="attached", timeout=_TIMEOUT_MS)
    page.wait_for_selector("button:text-is('Play'):not([disabled])", timeout=_TIMEOUT_MS)
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
def _busy_core() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", _BUSY]) as busy:
        try:
            yield
        finally:
            busy.kill()


if __name__ == "__main__":
    main()
