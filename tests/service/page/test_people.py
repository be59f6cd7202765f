"""The page for people who see or type otherwise, or have a small screen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.paths import ROOT
from tests.service.images.pictures import noise, written
from tests.service.page.browser import Visit
from tests.service.page.conftest import Visiting
from tests.service.servers import Server

pytestmark = pytest.mark.slow

SPEAK = "#speak?model=tiny&voice=ann&seed=9&text=The%20birch%20canoe%20slid."
LONG = "The birch canoe slid on the smooth planks. Incomprehensibilities."


class Models(NamedTuple):
    """Those of a server that the views are shown with."""

    speech: str
    voice: str
    pictures: str
    sounds: str


TINY = Models("tiny", "ann", "subclasses", "free")
REAL = Models("wavenet-en", "joe", "pixelcnn-sprites", "wavenet-babble")


def tab_to(page: Visit, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def go_to(page: Visit, view: str) -> None:
    """Open a view from the navigation, by the keyboard."""
    page.focus("nav a")
    tab_to(page, f"nav a[href='#{view.lower()}']")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"main h1:text-is('{view}')")


def test_the_keyboard_is_enough(server: Server, visit: Visiting) -> None:
    with visit(server, SPEAK) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.textContent || document.activeElement.type || ''"))
        assert {"Speak", "Draw", "Jobs", "API key", "textarea", "radio", "range", "Copy link"} <= reached
        page.focus("textarea")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".stats[data-sha256]", state="attached")
        page.played()
        page.focus("input.position")
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(200)
        assert float(page.inner_text(".time").split()[0]) < 0.1


def test_the_keyboard_draws(server: Server, visit: Visiting) -> None:
    with visit(server, "#draw?model=subclasses&n=2&seed=4&prompt=Birds") as page:
        tab_to(page, ".chip input")
        page.keyboard.press("ArrowRight")
        assert page.input_value(".chips input:checked >> nth=0") == "Beasts"
        tab_to(page, "button.primary")
        page.keyboard.press("Enter")
        page.wait_for_selector(".shot:nth-child(2):not(.growing)")
        tab_to(page, ".frame")
        page.keyboard.press("Enter")
        tab_to(page, "dialog button:nth-of-type(3)")
        assert page.evaluate("document.activeElement.textContent") == "Complete it"
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog", state="detached")
        tab_to(page, "[data-param=rows] input")
        page.keyboard.press("End")
        assert page.input_value("[data-param=rows] input") == "7"
        tab_to(page, "button.primary")
        page.keyboard.press("Space")
        page.wait_for_selector(".shot:nth-child(2):not(.growing)")


def test_the_keyboard_scores_verifies_and_reads(server: Server, visit: Visiting) -> None:
    with visit(server, "#score") as page:
        page.wait_for_load_state("networkidle")  # then nothing takes the focus away
        with page.expect_file_chooser() as chooser:
            tab_to(page, ".file")
            page.keyboard.press("Space")
        picture = written(noise("subclasses"))
        chooser.value.set_files({"name": "mine.png", "mimeType": "image/png", "buffer": picture})
        page.wait_for_selector(".score:nth-child(3) .bits")
        assert server.speak().status_code == 200
        go_to(page, "Jobs")
        tab_to(page, "button[aria-label^=Verify]")
        page.keyboard.press("Enter")
        page.wait_for_selector(".tick:has-text('The same bytes')")
        go_to(page, "Models")
        tab_to(page, "summary")
        page.keyboard.press("Enter")
        page.wait_for_selector(".card-text :text('Random weights')")


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


def states(page: Visit, server: Server, models: Models) -> Iterator[str]:
    """Goes through the views and their states, and says the name of each one that is reached."""
    sound = server.speak(model=models.speech, voice=models.voice).content
    page.open(f"#speak?model={models.speech}&voice={models.voice}&seed=9&text={quote(LONG)}")
    page.speak()
    yield "speak"
    page.fill("textarea", "…")
    page.click("button.primary")
    page.wait_for_selector("[data-param=input] .wrong:not(:empty)")
    yield "an error at its field"
    page.click("#key")
    page.wait_for_selector("dialog[open]")
    yield "the key"
    page.keyboard.press("Escape")
    page.open(f"#draw?model={models.pictures}&n=2&seed=5")
    page.draw(2)
    yield "draw"
    page.click(".frame >> nth=0")
    page.wait_for_selector("dialog[open]")
    yield "a picture, enlarged"
    page.click("dialog button:text-is('Complete it')")
    page.draw(2)
    yield "a completion"
    page.click(".segmented label:text-is('Interpolate')")
    page.click("button.primary")
    page.wait_for_selector(".stage")
    yield "an interpolation"
    page.open("#score")
    for label, model, file in (("A picture", models.pictures, noise("subclasses")), ("A sound", models.sounds, sound)):
        page.click(f"label:text-is('{label}')")
        page.select_option("[data-param=model] select", model)
        page.upload(file, name=f"mine.{'wav' if file is sound else 'png'}")
        page.wait_for_selector(".score:nth-child(3) .bits, .score:nth-child(3) .hint")
        yield f"score {label.lower()}"
    page.open("#jobs")
    yield "jobs"
    page.open("#models")
    yield "models"
    page.context.set_offline(True)
    page.click("nav a[href='#jobs']")
    page.wait_for_selector(".problem")
    yield "offline"
    page.context.set_offline(False)


def open_panels(page: Visit) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.wait_for_timeout(500)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing(server: Server, visit: Visiting, axe: str, scheme: str, width: int) -> None:
    with visit(server, quiet=False, color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        for state in states(page, server, TINY):
            open_panels(page)
            page.evaluate(axe)
            found: dict[str, Any] = page.evaluate("axe.run()")
            problems = [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]]
            assert problems == [], (state, json.dumps(problems, indent=1))


def test_nothing_is_cut_on_a_phone(real: Server, visit: Visiting) -> None:
    with visit(real, quiet=False, viewport={"width": 390, "height": 844}) as page:
        for state in states(page, real, REAL):
            open_panels(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, state
            assert page.evaluate("cut()") == [], state


def test_the_lock_file_names_axe_alone() -> None:
    lock = json.loads((ROOT / "tests/service/page/package-lock.json").read_text())
    assert [name for name in lock["packages"] if name] == ["node_modules/axe-core"]
