"""A first look at the page in a browser: it speaks and draws, and asks nobody else for anything."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
import pytest
from PIL import Image

from ancestral.catalog.seeds import part_seed
from tests.service.images.pictures import draw, noise, shown, written
from tests.service.page.conftest import Visiting
from tests.service.servers import Server


def test_speech_in_chromium_has_the_bytes_of_http(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.open("#speak?model=tiny&voice=bob&seed=9&text=The%20birch%20canoe%20slid.")
        sha256 = page.speak()
        page.played()
        body = {"model": "tiny", "voice": "bob", "input": "The birch canoe slid.", "response_format": "pcm", "seed": 9}
        expected = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60.0).content
        assert sha256 == hashlib.sha256(expected).hexdigest()
        assert "underruns" in page.page.inner_text(".figures").lower()
        assert page.page.inner_text(".words").split() == ["The", "birch", "canoe", "slid."]
        assert f"sha={sha256[:16]}" in page.page.url
        page.check()


@pytest.mark.slow
def test_a_long_text_a_pause_and_a_mix(server: Server, visit: Visiting) -> None:
    """More than a request takes: a request for each paragraph, played as one sound, with one file of captions."""
    with visit(server) as page:
        page.open("#speak?model=tiny&voice=ann%282%29%2Bbob%281%29&seed=9&text=One.")
        assert page.page.locator(".card input:checked").count() == 0
        page.page.click("button:text-is('+ Pause')")
        page.page.keyboard.type("0.2")
        text = page.page.input_value("textarea")
        assert text == "One. [pause:0.2s] "
        page.page.fill("textarea", text + "\n" * 4100 + "Two.")
        assert page.page.inner_text("[data-param=input] output") == "4,122 characters, 2 parts"
        sha256 = page.speak()
        bodies = [("One. [pause:0.2s]", 9), ("Two.", part_seed(9, 4096))]
        expected = [
            server.speak(voice="ann(2)+bob(1)", input=part, seed=seed, response_format="pcm").content
            for part, seed in bodies
        ]
        assert sha256 == hashlib.sha256(bytes(24000).join(expected)).hexdigest()
        assert page.page.inner_text(".words").split() == ["One.", "Two."]
        page.page.select_option("select[aria-label='Format of the download']", "srt")
        with page.page.expect_download() as download:
            page.page.click(".joined button")
        first, second = download.value.path().read_text().strip().split("\n\n")
        assert (first[:2], second[:2]) == ("1\n", "2\n")
        at = float(second.split()[1].replace(",", ".").rpartition(":")[2])
        assert at >= len(expected[0]) / 48000 + 0.5
        page.page.click("button:text-is('Verify')")
        page.page.wait_for_selector(".tick[data-good=true]")
        page.page.click("label:has-text('Bob')")
        assert page.page.inner_text(".mix summary") == "Mix voices"
        page.page.fill("textarea", "One. " * 4001)
        page.page.click("button.primary")
        page.page.wait_for_selector("[data-param=input] .wrong:has-text('At most 20,000 characters here')")
        page.check()


def test_words_are_shown_as_they_were_written(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.open("#speak?model=tiny&voice=bob&seed=9&text=%F0%9F%98%80%205-10%20km%2Fh%2C%20%22e.g.%22%20API!")
        page.speak()
        page.played()
        assert page.page.inner_text(".words") == '😀 5-10 km/h, "e.g." API!'
        assert page.page.locator(".words span").all_inner_texts() == ["😀", "5", "-", "10 km/h", "e.g.", "API"]
        page.check()


def test_pictures_in_chromium_have_the_pixels_of_http(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.open("#draw?model=subclasses&prompt=owl&n=3&seed=4&temperature=0.9&guidance=1")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(3):not(.growing)")
        colours = page.evaluate(
            "Array.from(document.querySelector('.shot canvas').getContext('2d').getImageData(0, 0, 12, 8).data)"
        )
        body = {"model": "subclasses", "prompt": "owl", "seed": 4, "temperature": 0.9, "guidance": 1}
        (expected,) = draw(server, **body)
        pixels = [colours[i : i + 3] for i in range(0, len(colours), 4)]
        assert pixels == expected.reshape(-1, 3).tolist()
        page.check()


_COLOURS = """selector => Array.from(document.querySelectorAll(selector), canvas => {
  const { width, height } = canvas;
  return Array.from(canvas.getContext("2d").getImageData(0, 0, width, height).data).filter((_, i) => i % 4 === 0);
})"""
"""The red values of some canvases."""


def test_ways_to_draw(server: Server, visit: Visiting, tmp_path: Path) -> None:
    """Each lists the models that know it, no attribute is chosen beforehand; all pictures make a sheet."""
    Image.new("RGB", (640, 480), "teal").save(tmp_path / "photo.png")
    with visit(server) as page:
        page.open("#draw?mode=complete&model=subclasses&n=2&seed=4")
        assert page.page.input_value(".chips input:checked >> nth=0") == "any"
        page.page.set_input_files("input[type=file] >> visible=true", tmp_path / "photo.png")
        page.page.wait_for_selector(".hint:has-text('640 × 426 of its 640 × 480 pixels, averaged to the model')")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(2):not(.growing)")
        page.page.select_option("select[aria-label='What to download of all pictures']", "json")
        with page.page.expect_download() as download:
            page.page.click(".joined button")
        atlas = json.loads(download.value.path().read_text())
        assert (atlas["meta"]["image"], atlas["meta"]["size"]) == ("subclasses-4.png", {"w": 192, "h": 64})
        sprites = [(one["frame"]["x"], one["seed"]) for one in atlas["frames"].values()]
        assert sprites == [(0, 4), (96, part_seed(4, 1))]
        page.page.click("label:text-is('From a picture')")
        listed = page.page.locator("[data-param=model] option").all_inner_texts()
        assert listed == ["portraits", "autoencoder"]
        page.page.click("label:text-is('Draw')")
        assert page.page.input_value("[data-param=model] select") == "subclasses"
        page.check()


def test_draw_from_a_picture(server: Server, visit: Visiting, tmp_path: Path) -> None:
    """A link with a model that cannot draw without one opens this way."""
    pixels = noise("autoencoder")
    (tmp_path / "mine.png").write_bytes(written(pixels))
    with visit(server) as page:
        page.open("#draw?model=autoencoder&n=2&seed=4&temperature=0.9")
        assert page.page.locator(".segmented input:checked").get_attribute("value") == "picture"
        page.page.click("button.primary")
        page.page.wait_for_selector(".drop .wrong:has-text('Choose a picture first')")
        page.page.set_input_files("input[type=file] >> visible=true", tmp_path / "mine.png")
        page.page.wait_for_selector(".kept canvas")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(2):not(.growing)")
        (given,) = page.evaluate(_COLOURS, ".kept canvas")
        drawn = page.evaluate(_COLOURS, ".shot canvas")
        page.check()
    assert given == pixels.ravel().tolist()
    form = {"model": "autoencoder", "n": "2", "seed": "4", "temperature": "0.9", "response_format": "b64_json"}
    files = {"image": ("mine.png", written(pixels))}
    expected = shown(httpx.post(f"{server.url}/v1/images/reconstructions", data=form, files=files, timeout=60.0))
    assert drawn == [picture[..., 0].ravel().tolist() for picture in expected]


def test_jobs_say_what_they_are(server: Server, visit: Visiting) -> None:
    """Text, voice, prompt and pictures; what is scored has no manifest, and the page's own comparisons are gone."""
    server.speak(voice="bob", input="The birch canoe slid.")
    draw(server, model="subclasses", prompt="owl", n=3)
    files = {"file": ("mine.png", written(noise("subclasses")))}
    httpx.post(f"{server.url}/v1/images/likelihood", data={"model": "subclasses"}, files=files, timeout=60.0)
    with visit(server) as page:
        page.open("#jobs")
        page.page.wait_for_selector(".job:nth-child(2) .thumbnails img >> nth=2")
        scored, drawn, spoken = (page.page.locator(f".job:nth-child({row})") for row in (1, 2, 3))
        spoken.locator("button:text-is('Verify')").wait_for()
        assert not scored.locator("button:text-is('Verify')").is_visible()
        assert (drawn.locator(".few").inner_text(), spoken.locator(".few").inner_text()) == (
            "owl",
            "The birch canoe slid.",
        )
        assert "tiny · bob" in spoken.inner_text()
        page.check()


def test_every_view_opens(server: Server, visit: Visiting) -> None:
    with visit(server, viewport={"width": 390, "height": 844}) as page:
        for view in ("speak", "draw", "score", "prove", "jobs", "models"):
            page.open(f"#{view}")
            page.page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
        page.check()
