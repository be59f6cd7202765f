"""A first look at the page in a browser: it speaks and draws, and asks nobody else for anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx

from tests.service.images.pictures import draw, noise, shown, written
from tests.service.page.conftest import Visiting
from tests.service.support import Server


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


def test_draw_from_a_picture(server: Server, visit: Visiting, tmp_path: Path) -> None:
    """The model cannot draw without one, so the view offers no other way."""
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


def test_every_view_opens(server: Server, visit: Visiting) -> None:
    with visit(server, viewport={"width": 390, "height": 844}) as page:
        for view in ("speak", "draw", "score", "jobs", "models"):
            page.open(f"#{view}")
            page.page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
        page.check()
