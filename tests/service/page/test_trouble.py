"""The page when something is wrong: no connection, a limit, a wrong key. And for people who see or type otherwise."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from tests.service.page.conftest import Visiting
from tests.service.support import Server, running

pytestmark = pytest.mark.slow

Serve = Callable[..., AbstractContextManager[Server]]
SPEAK = "#speak?model=tiny&voice=ann&seed=9&text=The%20birch%20canoe%20slid."
VIEWS = {"speak": SPEAK, "draw": "#draw?model=park&n=2", "score": "#score", "jobs": "#jobs", "models": "#models"}


def test_a_server_that_dies_and_comes_back(environment: dict[str, str], serve: Serve, visit: Visiting) -> None:
    with serve() as server, visit(server) as page:
        page.open(SPEAK.replace("slid.", "slid.%20" * 150))
        page.page.click("button.primary")
        page.page.wait_for_selector("button:text-is('Pause')")
        server.process.kill()
        page.page.wait_for_selector(".problem:has-text('No connection')")
        page.page.wait_for_selector("#health[data-state=away]")
        with running(environment, "--port", str(server.port)) as again:
            assert again.port == server.port
            page.page.wait_for_selector("#health[data-state=here]")
            page.page.fill("textarea", "The birch canoe slid.")
            page.page.click(".problem button:text-is('Try again')")
            page.page.wait_for_selector(".stats[data-sha256]", state="attached")
            assert page.page.locator(".problem").count() == 0


def test_offline(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.open(SPEAK)
        page.page.context.set_offline(True)
        page.page.click("button.primary")
        page.page.wait_for_selector(".problem:has-text('The server does not answer')")
        page.page.context.set_offline(False)
        page.page.click(".problem button:text-is('Try again')")
        page.page.wait_for_selector(".stats[data-sha256]", state="attached")


def test_a_limit_is_told_with_a_countdown(shared: Callable[..., Server], visit: Visiting) -> None:
    server = shared(requests_per_minute=1)
    with visit(server) as page:
        page.open(SPEAK)
        page.speak()
        page.page.click("button.primary")
        page.page.wait_for_selector(".problem:has-text('1 requests a minute')")
        assert page.page.is_disabled(".problem button")
        first = int(page.page.inner_text(".seconds").split()[3])
        page.page.wait_for_timeout(2500)
        assert int(page.page.inner_text(".seconds").split()[3]) < first <= 60


def test_keys(keyed: Server, keys: dict[str, str], visit: Visiting) -> None:
    mine = keys["browser"]
    with visit(keyed) as page:
        page.page.goto(keyed.url)
        page.page.wait_for_selector(".problem:has-text('needs an API key')")
        for key in ("wrong", mine):
            page.page.click("#key")
            page.page.fill("#key-value", key)
            page.page.click("dialog button.primary")
            page.page.wait_for_selector("main h1" if key == mine else ".problem:has-text('not one of this server')")
        page.open("#draw?model=park&prompt=owl&n=1&seed=4")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:not(.growing)")
        page.open(SPEAK)
        page.speak()
        page.page.click("summary:text-is('The request')")
        assert mine not in page.page.content()
        assert not [url for url in page.requests if mine in url]
    assert mine not in str(keyed.log)


def test_an_error_stands_beside_its_field(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.open(SPEAK)
        page.page.fill("textarea", "…")
        page.page.click("button.primary")
        page.page.wait_for_selector("[data-param=input] .wrong:not(:empty)")
        assert page.page.get_attribute("textarea", "aria-invalid") == "true"
        page.page.fill("input[inputmode=numeric]", "9999999999999999999")
        page.page.fill("textarea", "Yes.")
        page.page.click("button.primary")
        page.page.wait_for_selector("[data-param=seed] .wrong:not(:empty)")


def test_the_keyboard_is_enough(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.open(SPEAK)
        page.page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        reached = set()
        for _ in range(60):
            page.page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.textContent || document.activeElement.type || ''"))
        assert {"Speak", "Draw", "Jobs", "API key", "textarea", "radio", "range", "Copy link"} <= reached
        page.page.focus("textarea")
        page.page.keyboard.press("Control+Enter")
        page.page.wait_for_selector(".stats[data-sha256]", state="attached")
        page.played()
        page.page.focus("input.position")
        page.page.keyboard.press("Home")
        page.page.keyboard.press("ArrowRight")
        page.page.wait_for_timeout(200)
        assert float(page.page.inner_text(".time").split()[0]) < 0.1


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core (MPL-2.0), from npm: for this test only, and not kept."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("axe")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "tests/service/page" / name, folder)
    words = ["npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False, env=os.environ)
    if done.returncode:
        pytest.skip(f"axe-core cannot be installed: {done.stderr[-200:]}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(server: Server, visit: Visiting, axe: str, scheme: str, width: int) -> None:
    with visit(server, color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        for view, link in VIEWS.items():
            page.open(link)
            if view == "speak":
                page.speak()
            if view == "draw":
                page.page.click("button.primary")
                page.page.wait_for_selector(".shot:nth-child(2):not(.growing)")
            page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
            page.page.wait_for_timeout(500)
            page.evaluate(axe)
            found: dict[str, Any] = page.evaluate("axe.run()")
            problems = [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]]
            assert problems == [], (view, json.dumps(problems, indent=1))


def test_the_lock_file_names_axe_alone() -> None:
    lock = json.loads(Path(ROOT / "tests/service/page/package-lock.json").read_text())
    assert [name for name in lock["packages"] if name] == ["node_modules/axe-core"]
