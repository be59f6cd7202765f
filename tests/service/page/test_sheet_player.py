"""The view Draw with a model that lays out sheets: the sheet is drawn, and each of its animations is played."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.service.images.pictures import Pixels, decode, post
from tests.service.page.browser import Visit
from tests.service.page.conftest import Visiting
from tests.service.servers import Server

FIELDS: dict[str, Any] = {
    "model": "palette",
    "prompt": "orc",
    "sheet": "arms",
    "seed": 5,
    "temperature": 1,
    "guidance": 1,
}
LINK = "#draw?" + "&".join(f"{name}={value}" for name, value in FIELDS.items())
SIDE = 8
"""Pixels of a frame."""
WATCH = """() => {
  window.shown = [];
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...given) {
    draw.apply(this, given);
    if (!this.canvas.classList.contains("stage")) return;
    const copy = new OffscreenCanvas(8, 8).getContext("2d");
    copy.drawImage(this.canvas, 0, 0);
    window.shown.push(Array.from(copy.getImageData(0, 0, 8, 8).data));
  };
}"""
"""Keeps what the player shows, from now on."""
TIMES = "swing robe", "swing mail", "rest robe", "rest mail"
"""The animations in the order of the list: the longest come first."""


def frames_of(server: Server) -> tuple[dict[str, list[Pixels]], dict[str, Any]]:
    """The frames of each animation over HTTP, and the answer."""
    answer = post(server, "generations", **FIELDS).json()
    sheet, atlas = decode(base64.b64decode(answer["data"][0]["b64_json"])), answer["atlas"]

    def cut(name: str) -> Pixels:
        place = atlas["frames"][name]["frame"]
        return sheet[place["y"] : place["y"] + SIDE, place["x"] : place["x"] + SIDE]

    return {name: [cut(one) for one in names] for name, names in atlas["animations"].items()}, answer


def draw_sheet(page: Visit) -> None:
    """Draw the sheet, and stop the page's clock."""
    page.page.clock.install()
    page.open(LINK)
    page.page.click("button.primary")
    page.page.wait_for_selector(".player")
    page.page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    page.evaluate(WATCH)


def shown(page: Visit, milliseconds: int = 0) -> Pixels:
    """The frames ``[N, H, W, 4]`` that the player has shown since the last call, after so much more time."""
    if milliseconds:
        page.page.clock.run_for(milliseconds)
    found = page.evaluate("window.shown.splice(0)")
    return np.array(found, np.uint8).reshape(-1, SIDE, SIDE, 4)


def assert_played(found: Pixels, frames: list[Pixels], count: int) -> None:
    """So many frames were shown, one after another, from any of them on."""
    assert len(found) == count
    first = next(index for index, frame in enumerate(frames) if np.array_equal(frame, found[0]))
    assert all(np.array_equal(one, frames[(first + index) % len(frames)]) for index, one in enumerate(found))


def test_the_animations_play(server: Server, visit: Visiting) -> None:
    """At the atlas's 8 frames a second, then at others; stopped; each animation by the list and the arrow keys."""
    frames, _ = frames_of(server)
    assert not np.array_equal(*frames["swing robe"])
    assert not np.array_equal(frames["swing robe"][0], frames["swing mail"][0])
    with visit(server) as page:
        draw_sheet(page)
        rate, pause, choice = (
            page.page.locator(f".player {one}") for one in ("[type=range]", "button >> nth=0", "select")
        )
        assert choice.locator("option").all_inner_texts() == list(TIMES)
        assert rate.input_value() == "8"
        assert_played(shown(page, 1000), frames["swing robe"], 8)
        rate.fill("20")
        assert_played(shown(page, 1000), frames["swing robe"], 20)
        pause.click()
        assert pause.inner_text() == "Play"
        assert len(shown(page, 5000)) == 0
        for name in (*TIMES[1:], TIMES[0]):
            pause.press("ArrowRight")
            assert choice.input_value() == name
            assert_played(shown(page), frames[name], 1)
        pause.press("ArrowLeft")
        assert choice.input_value() == "rest mail"
        choice.select_option("swing mail")
        pause.press("Enter")
        shown(page)
        assert_played(shown(page, 200), frames["swing mail"], 4)
        page.page.click("nav a[href='#models']")
        page.page.wait_for_selector("main h1:text-is('Models')")
        assert len(shown(page, 1000)) == 0
        page.check()


def test_the_pixels_are_whole_squares_on_either_ground(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        draw_sheet(page)
        for selector, columns in ((".stage", SIDE), (".player > canvas", 3 * SIDE)):
            box = page.page.locator(selector).bounding_box()
            assert box is not None
            assert box["width"] % columns == 0
            assert box["width"] >= 2 * columns
            style = f"getComputedStyle(document.querySelector('{selector}'))"
            assert page.evaluate(f"{style}.imageRendering") == "pixelated"
            assert "conic-gradient" in page.evaluate(f"{style}.backgroundImage")
        ground = page.page.locator("button:text-is('Checkered ground')")
        ground.click()
        assert ground.get_attribute("aria-pressed") == "false"
        assert page.evaluate(f"{style}.backgroundImage") == "none"
        page.check()


def test_somebody_who_wants_less_motion_starts_it(server: Server, visit: Visiting) -> None:
    with visit(server, reduced_motion="reduce") as page:
        draw_sheet(page)
        assert len(shown(page, 2000)) == 0
        page.page.click(".player button:text-is('Play')")
        assert len(shown(page, 1000)) == 8
        page.check()


def test_the_sheet_and_its_atlas_are_downloaded(server: Server, visit: Visiting) -> None:
    frames, answer = frames_of(server)
    with visit(server) as page:
        draw_sheet(page)
        saved = {}
        for form in ("png", "json"):
            page.page.select_option("select[aria-label='What to download of all pictures']", form)
            with page.page.expect_download() as download:
                page.page.click(".joined button")
            assert download.value.suggested_filename == f"palette-5.{form}"
            saved[form] = download.value.path().read_bytes()
        page.check()
    expected = answer["atlas"] | {"meta": answer["atlas"]["meta"] | {"image": "palette-5.png"}}
    assert json.loads(saved["json"]) == expected
    rest, swing = frames["rest robe"], frames["swing robe"]
    assert np.array_equal(decode(saved["png"])[:SIDE], np.concatenate(rest + swing, axis=1))
    with Image.open(io.BytesIO(saved["png"])) as image:
        assert json.loads(image.text["recipe"])["sheet"] == "arms"  # type: ignore[attr-defined]


def test_where_a_sheet_is_offered(server: Server, visit: Visiting) -> None:
    """Of models that lay out one, and where single pictures are drawn; what its frames set cannot be named."""
    with visit(server) as page:
        page.open(LINK.replace("orc", "orc, robe"))
        offered, count = page.page.locator("[data-param=sheet]"), page.page.locator("[data-param=n]")
        assert offered.locator("option").all_inner_texts() == ["Single pictures", "Sheet: arms"]
        assert (offered.is_visible(), count.is_visible()) == (True, False)
        garment = page.page.locator(".field:has(label:text-is('Garment'))")
        assert (garment.is_visible(), garment.locator("select").input_value()) == (False, "robe")
        page.page.click("button.primary")
        page.page.wait_for_selector(".player")
        assert "prompt=orc&" in page.evaluate("location.hash")
        page.page.click("label:text-is('Complete')")
        assert (offered.is_visible(), count.is_visible(), garment.is_visible()) == (False, True, True)
        page.page.click("label:text-is('Draw')")
        assert (offered.is_visible(), count.is_visible()) == (True, False)
        assert not garment.is_visible()
        offered.locator("select").select_option("")
        assert (count.is_visible(), garment.is_visible()) == (True, True)
        page.page.select_option("[data-param=model] select", "subclasses")
        assert not offered.is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits(server: Server, visit: Visiting, width: int) -> None:
    with visit(server, viewport={"width": width, "height": 900}) as page:
        draw_sheet(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.check()
