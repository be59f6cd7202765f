"""How soon the page is painted: ``python -m bench.page``.

A real server with the bundled models and Debian's Chromium, by Playwright. All values are wall-clock times: run nothing
else meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.listeners import serving
from bench.report import report

VISITS = 10
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    measurement: str
    visits: int
    p50_ms: float
    p95_ms: float


def main() -> None:
    """Measure and print the table."""
    from playwright.sync_api import sync_playwright

    with serving() as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        painted = []
        for _ in range(VISITS):
            page = browser.new_context().new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            painted.append(float(page.evaluate(_PAINT)))
            page.context.close()
        browser.close()
    p50, p95 = (round(float(np.percentile(painted, share)), 1) for share in (50, 95))
    report("The page", [Row("first contentful paint, empty cache", VISITS, p50, p95)])


if __name__ == "__main__":
    main()
