"""The view Draw: each way to draw, the pixels of HTTP, what can be done with pictures, and sheets that are played."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import pytest

from ancestral.catalog.seeds import part_seed
from tests.service.images.pictures import Pixels, decode, draw, files, noise, post, recipe_of, same, shown
from tests.service.page.browser import Visit
from tests.service.page.conftest import Visiting
from tests.service.servers import Server


def test_pictures_in_chromium_have_the_pixels_of_http(server: Server, visit: Visiting) -> None:
    with visit(server, "#draw?model=subclasses&prompt=owl&n=3&seed=4&temperature=0.9&guidance=1") as page:
        page.draw(3)
        drawn = page.pixels(".shot canvas")
    expected = draw(server, model="subclasses", prompt="owl", n=3, seed=4, temperature=0.9, guidance=1)
    assert np.array_equal([picture[..., :3] for picture in drawn], expected)


def test_a_result_stays_until_there_is_another(server: Server, visit: Visiting) -> None:
    """Pictures of a request that is refused take no place, and those that were cancelled are gone."""
    with visit(server, "#draw?model=subclasses&prompt=owl&n=2&seed=4") as page:
        page.draw(2)
        page.fill("[data-param=seed] input", "9999999999999999999")
        page.click("summary:text-is('Settings')")
        page.click("button.primary")
        page.wait_for_selector("[data-param=seed] .wrong:not(:empty)")
        assert page.locator(".shot:not(.growing)").count() == 2
        download = page.download(".shot:nth-child(1) button[aria-label='Download PNG']")
        assert re.fullmatch(r"subclasses-.*owl.*-4\.png", download.suggested_filename)
        assert recipe_of(download.path().read_bytes())["seed"] == 4
        page.evaluate("cancelWhenItGrows()")
        page.click(".shot:nth-child(2) button[aria-label='More like this']")
        page.wait_for_selector(".status:text-is('Cancelled.')")
        assert page.locator(".shot").count() == 2
        page.wait_for_selector(".joined button")
        page.click(".shot:nth-child(2) button[aria-label='More like this']")
        page.wait_for_selector(".shot:nth-child(4):not(.growing)")
        page.select_option("select[aria-label='What to download of all pictures']", "json")
        frames = json.loads(page.download(".joined button").path().read_text())["frames"].values()
    first = part_seed(4, 1)
    assert [one["seed"] for one in frames] == [4, first, part_seed(first, 2), part_seed(part_seed(first, 2), 1)]


def test_ways_to_draw(server: Server, visit: Visiting) -> None:
    """Each lists the models that know it, no attribute is chosen beforehand; all pictures make a sheet."""
    with visit(server, "#draw?mode=complete&model=subclasses&n=2&seed=4") as page:
        assert page.input_value(".chips input:checked >> nth=0") == "any"
        page.upload(np.full((480, 640, 3), 99, np.uint8))
        page.wait_for_selector(".hint:has-text('640 × 426 of its 640 × 480 pixels, averaged to the model')")
        page.draw(2)
        page.select_option("select[aria-label='What to download of all pictures']", "json")
        atlas = json.loads(page.download(".joined button").path().read_text())
        assert (atlas["meta"]["image"], atlas["meta"]["size"]) == ("subclasses-4.png", {"w": 192, "h": 64})
        sprites = [(one["frame"]["x"], one["seed"]) for one in atlas["frames"].values()]
        assert sprites == [(0, 4), (96, part_seed(4, 1))]
        page.click("label:text-is('From a picture')")
        assert page.locator("[data-param=model] option").all_inner_texts() == ["portraits", "autoencoder"]
        page.click("label:text-is('Draw')")
        assert page.input_value("[data-param=model] select") == "subclasses"


def test_draw_from_a_picture(server: Server, visit: Visiting) -> None:
    """A link with a model that cannot draw without one opens this way."""
    with visit(server, "#draw?model=autoencoder&n=2&seed=4&temperature=0.9") as page:
        assert page.get_attribute(".segmented input:checked", "value") == "picture"
        page.click("button.primary")
        page.wait_for_selector(".drop .wrong:has-text('Choose a picture first')")
        page.upload(noise("autoencoder"))
        page.wait_for_selector(".kept canvas")
        page.draw(2)
        given, *drawn = page.pixels(".kept canvas, .shot canvas")
    assert np.array_equal(given[..., :1], noise("autoencoder"))
    expected = shown(post(server, "reconstructions", n=2, seed=4, temperature=0.9))
    assert np.array_equal([picture[..., :1] for picture in drawn], expected)


@pytest.mark.slow
def test_complete_a_picture(real: Server, visit: Visiting) -> None:
    (seven,) = files(post(real, "generations", model="pixelcnn-digits", prompt="7", size="280x280"))
    rows = "[data-param=rows] input"
    with visit(real, "#draw?mode=complete&model=pixelcnn-digits&prompt=7&n=2&seed=5") as page:
        page.upload(seven)
        page.wait_for_selector(".kept canvas")
        page.drag(".kept >> visible=true", (0.5, 0.02), (0.5, 20 / 28))
        assert page.input_value(rows) == "20"
        page.draw(2)
        kept, drawn, _ = page.pixels(".kept canvas, .shot canvas")
        assert np.array_equal(kept[:20], drawn[:20])
        link = page.url
    with visit(real, link) as page:
        page.upload(seven)
        page.wait_for_selector(".kept canvas")
        assert page.input_value(rows) == "20"
        page.draw(2)
        assert np.array_equal(page.pixels(".shot canvas")[0], drawn)


@pytest.mark.slow
def test_edit_a_picture(server: Server, visit: Visiting) -> None:
    with visit(server, "#draw?mode=edit&model=palette&prompt=axe&n=2&seed=5") as page:
        rows = len(noise("palette"))
        page.upload(noise("palette"))
        page.wait_for_selector(".kept .mask")
        page.click("button.primary")
        page.wait_for_selector(".view:has-text('paint over the picture')")
        page.drag(".kept .mask", (0.3, 0.5), (0.7, 0.5))
        outline, kept = page.locator(".kept .brush"), page.locator(".kept >> visible=true")
        tops = []
        for key in (*["ArrowDown"] * 2, " "):
            page.press(".kept .mask", key)
            tops.append(outline.bounding_box()["y"] / kept.bounding_box()["height"])
        assert np.diff(tops) == pytest.approx([1 / rows, 0], abs=0.01)
        page.draw(2)
        painted, before, after = (page.pixels(one)[0] for one in (".mask", ".kept .picture", ".shot .picture"))
    drawn = painted[..., 3] > 0
    assert 0.2 < drawn.mean() < 0.8
    assert np.array_equal(after[~drawn], before[~drawn])
    assert not np.array_equal(after[drawn], before[drawn])


@pytest.mark.slow
def test_interpolate(real: Server, visit: Visiting) -> None:
    def interpolated(page: Visit) -> Pixels:
        page.click("button.primary")
        page.wait_for_selector(".shot:nth-child(5)")
        page.fill(".stagebox input[type=range]", "4")
        *drawn, last = page.pixels(".shot canvas")
        assert np.array_equal(page.pixels(".stage")[0][:28, :28], last)
        return np.stack([*drawn, last])

    with visit(real, "#draw?mode=interpolate&model=pixelcnn-digits&seed=5") as page:
        page.select_option("[data-param=from] select", "3")
        page.select_option("[data-param=to] select", "9")
        page.fill("[data-param=steps] input", "5")
        drawn, link = interpolated(page), page.url
    with visit(real, link) as page:
        assert np.array_equal(interpolated(page), drawn)
        page.open("#draw?mode=interpolate&from=elf%2C+robe&to=orc%2C+axe&steps=3&model=pixelcnn-sprites&seed=5")
        ends = [page.input_value(f"[data-param={end}] input") for end in ("from", "to", "steps")]
        assert ends == ["elf, robe", "orc, axe", "3"]
        page.open("#draw?model=pixelcnn-sprites")
        for mode, guidance in (("Draw", "1.5"), ("Edit", "3"), ("Interpolate", "1.5")):
            page.click(f".segmented label:text-is('{mode}')")
            assert page.input_value("[data-param=guidance] input") == guidance
        page.open("#draw?mode=nonsense&model=pixelcnn-digits")
        assert page.get_attribute(".segmented input:checked", "value") == "draw"


# Sheets

SHEET: dict[str, Any] = {
    "model": "palette", "prompt": "orc", "sheet": "arms", "seed": 5, "temperature": 1, "guidance": 1,
}  # fmt: skip
LINK = "#draw?" + "&".join(f"{name}={value}" for name, value in SHEET.items())
SIDE = 8
"""Pixels of a frame."""
TIMES = "swing robe", "swing mail", "rest robe", "rest mail"
"""The animations in the order of the list: the longest come first."""


def frames_of(server: Server) -> tuple[dict[str, list[Pixels]], dict[str, Any]]:
    """The frames of each animation over HTTP, and the answer."""
    answer = post(server, "generations", **SHEET).json()
    sheet, atlas = decode(base64.b64decode(answer["data"][0]["b64_json"])), answer["atlas"]

    def cut(name: str) -> Pixels:
        place = atlas["frames"][name]["frame"]
        return sheet[place["y"] : place["y"] + SIDE, place["x"] : place["x"] + SIDE]

    return {name: [cut(one) for one in names] for name, names in atlas["animations"].items()}, answer


def draw_sheet(page: Visit) -> None:
    """Draw the sheet, and stop the page's clock."""
    page.clock.install()
    page.open(LINK)
    page.click("button.primary")
    page.wait_for_selector(".player")
    page.clock.pause_at(page.evaluate("Date.now() + 1000"))
    page.evaluate("recordPlayer()")


def played(page: Visit, milliseconds: int = 0) -> Pixels:
    """The frames ``[N, H, W, 4]`` that the player has shown since the last call, after so much more time."""
    if milliseconds:
        page.clock.run_for(milliseconds)
    found = page.evaluate("window.shown.splice(0)")
    return np.array(found, np.uint8).reshape(-1, SIDE, SIDE, 4)


def assert_played(found: Pixels, frames: list[Pixels], count: int) -> None:
    """So many frames were shown, one after another, from any of them on."""
    turned = [frames[first:] + frames[:first] for first in range(len(frames))]
    assert any(same(list(found), (one * count)[:count]) for one in turned)


def test_the_animations_play(server: Server, visit: Visiting) -> None:
    """At the atlas's 8 frames a second, then at others; stopped; each animation by the list and the arrow keys."""
    frames, _ = frames_of(server)
    assert len({frame.tobytes() for name in ("swing robe", "swing mail") for frame in frames[name]}) == 4
    with visit(server) as page:
        draw_sheet(page)
        rate, pause, choice = (page.locator(f".player {one}") for one in ("[type=range]", "button >> nth=0", "select"))
        assert choice.locator("option").all_inner_texts() == list(TIMES)
        assert rate.input_value() == "8"
        assert_played(played(page, 1000), frames["swing robe"], 8)
        rate.fill("20")
        assert_played(played(page, 1000), frames["swing robe"], 20)
        pause.click()
        assert pause.inner_text() == "Play"
        assert len(played(page, 5000)) == 0
        for name in (*TIMES[1:], TIMES[0]):
            pause.press("ArrowRight")
            assert choice.input_value() == name
            assert_played(played(page), frames[name], 1)
        pause.press("ArrowLeft")
        assert choice.input_value() == "rest mail"
        choice.select_option("swing mail")
        pause.press("Enter")
        played(page)
        assert_played(played(page, 200), frames["swing mail"], 4)
        page.click("nav a[href='#models']")
        page.wait_for_selector("main h1:text-is('Models')")
        assert len(played(page, 1000)) == 0


def test_somebody_who_wants_less_motion_starts_it_and_it_fits_on_a_phone(server: Server, visit: Visiting) -> None:
    with visit(server, reduced_motion="reduce", viewport={"width": 390, "height": 844}) as page:
        draw_sheet(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert len(played(page, 2000)) == 0
        page.click(".player button:text-is('Play')")
        assert len(played(page, 1000)) == 8


def test_the_sheet_is_shown_in_whole_squares_and_downloaded_with_its_atlas(server: Server, visit: Visiting) -> None:
    frames, answer = frames_of(server)
    with visit(server) as page:
        draw_sheet(page)
        for selector, columns in ((".stage", SIDE), (".player > canvas", 3 * SIDE)):
            box = page.locator(selector).bounding_box()
            assert box["width"] % columns == 0
            assert box["width"] >= 2 * columns
            style = f"getComputedStyle(document.querySelector('{selector}'))"
            assert page.evaluate(f"{style}.imageRendering") == "pixelated"
            assert "conic-gradient" in page.evaluate(f"{style}.backgroundImage")
        ground = page.locator("button:text-is('Checkered ground')")
        ground.click()
        assert ground.get_attribute("aria-pressed") == "false"
        assert page.evaluate(f"{style}.backgroundImage") == "none"
        saved = {}
        for form in ("png", "json"):
            page.select_option("select[aria-label='What to download of all pictures']", form)
            download = page.download(".joined button")
            assert download.suggested_filename == f"palette-5.{form}"
            saved[form] = download.path().read_bytes()
    expected = answer["atlas"] | {"meta": answer["atlas"]["meta"] | {"image": "palette-5.png"}}
    assert json.loads(saved["json"]) == expected
    rest, swing = frames["rest robe"], frames["swing robe"]
    assert np.array_equal(decode(saved["png"])[:SIDE], np.concatenate(rest + swing, axis=1))
    assert recipe_of(saved["png"])["sheet"] == "arms"
