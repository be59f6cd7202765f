"""The page in a browser, view by view, against a real server with the bundled models."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service.images.pictures import noise, shown, written
from tests.service.page.browser import Visit
from tests.service.page.conftest import Visiting
from tests.service.servers import Server

pytestmark = pytest.mark.slow

PIXELS = """([selector, rows]) => {
  const paint = document.querySelector(selector).getContext("2d");
  return Array.from(paint.getImageData(0, 0, 28, rows).data);
}"""
"""The colours of the first rows of a canvas of 28 columns. Chromium complains if one is read more than once."""
WHOLE = """(selector) => {
  const canvas = document.querySelector(selector);
  return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
}"""
ROWS = "[data-param=rows] input"
TEXT = "The birch canoe slid on the smooth planks."


GROWTH = """() => {
  window.growth = [];
  const put = CanvasRenderingContext2D.prototype.putImageData;
  CanvasRenderingContext2D.prototype.putImageData = function (image, ...rest) {
    put.call(this, image, ...rest);
    if (this.canvas === document.querySelector(".shot canvas")) window.growth.push(Array.from(image.data));
  };
}"""
"""Keeps every state of the first picture."""
THINNED = 170
"""The opacity of squares of the coarse scale."""


def test_sprites_grow_row_by_row(real: Server, visit: Visiting) -> None:
    with visit(real) as page:
        page.open("#draw?model=pixelcnn-sprites&prompt=elf&n=10&seed=5")
        page.evaluate(GROWTH)
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(10):not(.growing)")
        states = np.array(page.evaluate("window.growth"), np.uint8).reshape(-1, 32, 32, 4)
        page.check()
    squares = [state[..., 3] == THINNED for state in states]
    coarse, *_, last = squares
    assert coarse.any()  # the coarse scale comes first …
    assert np.array_equal(coarse[::2], coarse[1::2])  # … in squares …
    assert np.array_equal(coarse[:, ::2], coarse[:, 1::2])
    assert not last.any()
    done = [sum(not line.any() for line in square) for square in squares]
    assert done == sorted(done)
    assert len(set(done)) >= 8


def test_draw_cancel_and_more(real: Server, visit: Visiting) -> None:
    with visit(real) as page:
        page.open("#draw?model=pixelcnn-avatars-rgb&prompt=micah&n=10&seed=5")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot.growing")
        page.page.click("button.primary:text-is('Cancel')")
        page.page.wait_for_selector(".status:has-text('Cancelled')")
        jobs = httpx.get(f"{real.url}/v1/jobs?limit=30").json()["data"]
        assert ("pixelcnn-avatars-rgb", "cancelled") in [(job["model"], job["status"]) for job in jobs]
        page.open("#draw?model=pixelcnn-digits&prompt=7&n=2&seed=5")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(2):not(.growing)")
        with page.page.expect_download() as download:
            page.page.click(".shot:nth-child(1) button[aria-label='Download PNG']")
        assert download.value.suggested_filename == "pixelcnn-digits-7-5.png"
        with Image.open(download.value.path()) as image:
            assert image.size == (224, 224)
            assert '"seed": 5' in image.text["recipe"]  # type: ignore[attr-defined]
        page.page.click(".shot:nth-child(1) button[aria-label='More like this']")
        page.page.wait_for_selector(".shot:nth-child(4):not(.growing)")
        page.page.click(".shot:nth-child(1) .frame")
        page.page.wait_for_selector("dialog[open]")
        page.page.keyboard.press("Escape")
        page.page.wait_for_selector("dialog", state="detached")
        page.check()


def seven(real: Server, tmp_path: Path) -> Path:
    """A picture file from elsewhere, as it were."""
    body = {"model": "pixelcnn-digits", "prompt": "7", "seed": 3, "size": "280x280"}
    answer = httpx.post(f"{real.url}/v1/images/generations", json=body, timeout=60.0)
    path = tmp_path / "seven.png"
    path.write_bytes(httpx.get(answer.json()["data"][0]["url"]).content)
    return path


def test_complete_a_picture(real: Server, visit: Visiting, tmp_path: Path) -> None:
    with visit(real) as page:
        page.open("#draw?mode=complete&model=pixelcnn-digits&prompt=7&n=2&seed=5")
        page.page.set_input_files("input[type=file]", seven(real, tmp_path))
        page.page.wait_for_selector(".kept canvas")
        drag_the_line(page, 20)
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(2):not(.growing)")
        drawn = page.evaluate(PIXELS, [".shot canvas", 28])
        assert page.evaluate(PIXELS, [".kept canvas", 20]) == drawn[: 4 * 28 * 20]
        link = page.page.url
        page.check()
    with visit(real) as page:
        page.page.goto(link)
        page.page.set_input_files("input[type=file] >> visible=true", seven(real, tmp_path))
        page.page.wait_for_selector(".kept canvas")
        assert page.page.input_value(ROWS) == "20"
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(2):not(.growing)")
        assert page.evaluate(PIXELS, [".shot canvas", 28]) == drawn


def test_edit_a_picture(server: Server, visit: Visiting, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(written(noise("palette")))
    with visit(server) as page:
        page.open("#draw?mode=edit&model=palette&prompt=axe&n=2&seed=5")
        page.page.set_input_files("input[type=file] >> visible=true", tmp_path / "a.png")
        mask = page.page.wait_for_selector(".kept .mask")
        assert mask is not None
        page.page.click("button.primary")
        page.page.wait_for_selector(".view:has-text('paint over the picture')")
        assert "paint over the picture" in page.page.text_content(".view")
        box = mask.bounding_box()
        assert box is not None
        page.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
        page.page.mouse.down()
        page.page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.5 * box["height"], steps=8)
        page.page.mouse.up()
        for key in (*["ArrowDown"] * 2, " "):
            mask.press(key)
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(2):not(.growing)")
        found = [page.evaluate(WHOLE, selector) for selector in (".mask", ".kept .picture", ".shot .picture")]
        page.check()
    painted, before, after = (np.array(pixels, np.uint8).reshape(8, 8, 4) for pixels in found)
    drawn = painted[..., 3] > 0
    assert 0.2 < drawn.mean() < 0.8
    assert np.array_equal(after[~drawn], before[~drawn])
    assert not np.array_equal(after[drawn], before[drawn])


def test_what_is_transparent_stays_so(real: Server, visit: Visiting) -> None:
    """Of a completion, whose partial pictures are grey below; it begins with what its picture shows."""
    with visit(real) as page:
        page.open("#draw?model=pixelcnn-sprites&n=1&seed=4&prompt=elf")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:not(.growing)")
        page.page.click(".frame")
        page.page.click("dialog button:text-is('Complete it')")
        assert page.page.locator(".others select").first.input_value() != "any"
        page.page.click("button.primary")
        page.page.wait_for_selector(".kept canvas")
        page.page.wait_for_selector(".shot:not(.growing)")
        drawn = page.evaluate(
            "Array.from(document.querySelector('.shot canvas').getContext('2d').getImageData(0, 0, 32, 32).data)"
        )
        with page.page.expect_download() as download:
            page.page.click("button[aria-label='Download PNG']")
        with Image.open(download.value.path()) as image:
            scale = image.width // 32
            expected = np.asarray(image.convert("RGBA"))[::scale, ::scale, 3].ravel().tolist()
        assert 0 in expected
        assert drawn[3::4] == expected
        page.check()


def drag_the_line(page: Visit, row: int) -> None:
    box = page.page.locator(".kept >> visible=true").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2
    page.page.mouse.move(middle, box["y"] + 5)
    page.page.mouse.down()
    page.page.mouse.move(middle, box["y"] + box["height"] * row / 28)
    page.page.mouse.up()
    assert page.page.input_value(ROWS) == str(row)


def interpolated(page: Visit, steps: int) -> Any:
    """The pictures, once they are drawn."""
    page.page.click("button.primary")
    page.page.wait_for_selector(f".shot:nth-child({steps})")
    page.page.fill(".stagebox input[type=range]", str(steps - 1))
    drawn = [page.evaluate(PIXELS, [f".shot:nth-child({step + 1}) canvas", 28]) for step in range(steps)]
    assert page.evaluate(PIXELS, [".stage", 28]) == drawn[-1]
    return drawn


def test_interpolate(real: Server, visit: Visiting) -> None:
    with visit(real) as page:
        page.open("#draw?mode=interpolate&model=pixelcnn-digits&seed=5")
        page.page.select_option("[data-param=from] select", "3")
        page.page.select_option("[data-param=to] select", "9")
        page.page.fill("[data-param=steps] input", "5")
        drawn = interpolated(page, 5)
        link = page.page.url
        page.check()
    with visit(real) as page:
        page.page.goto(link)
        page.page.wait_for_selector("main h1")
        assert interpolated(page, 5) == drawn


def test_a_link_restores_ends_that_are_lists(real: Server, visit: Visiting) -> None:
    link = "#draw?mode=interpolate&from=elf%2C+robe&to=orc%2C+axe&steps=3&model=pixelcnn-sprites&seed=5"
    with visit(real) as page:
        page.open(link)
        ends = [page.page.input_value(f"[data-param={end}] input") for end in ("from", "to", "steps")]
        assert ends == ["elf, robe", "orc, axe", "3"]
        page.open("#draw?mode=nonsense&model=pixelcnn-digits")
        assert page.page.locator(".segmented input:checked").get_attribute("value") == "draw"
        page.check()


def test_interpolate_between_two_pictures(server: Server, visit: Visiting, tmp_path: Path) -> None:
    pixels = noise("autoencoder"), 255 - noise("autoencoder")
    vectors = []
    for number, picture in enumerate(pixels):
        path = tmp_path / f"{number}.png"
        path.write_bytes(written(picture))
        form, files = {"model": "autoencoder"}, {"image": path.read_bytes()}
        answer = httpx.post(f"{server.url}/v1/images/encodings", data=form, files=files, timeout=60.0)
        vectors.append(answer.json()["data"][0]["embedding"])
    with visit(server) as page:
        page.open("#draw?mode=interpolate&model=autoencoder&seed=5&temperature=1")
        for number in range(2):
            page.page.set_input_files(f"input[type=file] >> visible=true >> nth={number}", tmp_path / f"{number}.png")
        page.page.wait_for_selector(".kept canvas >> nth=1")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(8)")
        drawn = page.evaluate(
            "Array.from(document.querySelectorAll('.shot canvas'), canvas => Array.from("
            "canvas.getContext('2d').getImageData(0, 0, 8, 6).data).filter((_, i) => i % 4 === 0))"
        )
        page.check()
    body = {"model": "autoencoder", "from": vectors[0], "to": vectors[1], "steps": 8, "seed": 5, "temperature": 1}
    url = f"{server.url}/v1/images/interpolations"
    expected = shown(httpx.post(url, json=body | {"response_format": "b64_json"}, timeout=60.0))
    assert drawn == [picture[..., 0].ravel().tolist() for picture in expected]


def test_score_a_picture_and_a_sound(real: Server, visit: Visiting, tmp_path: Path) -> None:
    with visit(real) as page:
        page.open("#score")
        page.page.select_option("select >> nth=0", "pixelcnn-digits")
        page.page.set_input_files("input[type=file]", seven(real, tmp_path))
        page.page.wait_for_selector(".score:nth-child(3) .bits")
        own, shuffled, noise = (float(text) for text in page.page.locator(".bits strong").all_inner_texts())
        assert own < shuffled < noise
        assert page.page.locator(".score img").count() == 3
        sound = tmp_path / "sound.wav"
        body = {"model": "wavenet-en", "voice": "joe", "input": TEXT, "response_format": "wav", "seed": 7}
        sound.write_bytes(httpx.post(f"{real.url}/v1/audio/speech", json=body, timeout=120.0).content)
        page.page.click("label:text-is('A sound')")
        page.page.select_option("select >> nth=0", "wavenet-babble")
        page.page.set_input_files("input[type=file]", sound)
        page.page.wait_for_selector(".score:nth-child(3) .bits")
        own, *others = (float(text) for text in page.page.locator(".bits strong").all_inner_texts())
        assert all(own < other for other in others)
        assert page.page.locator("svg.curve.wave").count() == page.page.locator("svg.curve:not(.wave)").count() == 3
        page.check()


def test_prove_a_picture_a_sound_and_a_stranger(real: Server, visit: Visiting, tmp_path: Path) -> None:
    """Of real models: the verdict, the evidence, and where the file agrees with its seed."""
    body = {"model": "pixelcnn-digits", "prompt": "7", "seed": 5, "response_format": "b64_json", "size": "224x224"}
    drawn = httpx.post(f"{real.url}/v1/images/generations", json=body, timeout=60.0).json()["data"][0]["b64_json"]
    picture, sound, stranger = (tmp_path / name for name in ("seven.png", "sound.flac", "stranger.png"))
    picture.write_bytes(base64.b64decode(drawn))
    body = {"model": "wavenet-en", "voice": "joe", "input": TEXT, "response_format": "flac", "seed": 7}
    sound.write_bytes(httpx.post(f"{real.url}/v1/audio/speech", json=body, timeout=120.0).content)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)).save(stranger)
    with visit(real) as page:
        page.open("#prove")
        page.page.set_input_files("input[type=file]", picture)
        page.page.wait_for_selector("[data-verdict=made_with_model]", timeout=120_000)
        rows = page.page.locator(".evidence tr").all_inner_texts()
        assert [row.split("\t")[:2] for row in rows[1:3]] == [["Recipe", "equal"], ["Seed", "found"]]
        assert "784 of 784 pixels" in rows[1]
        assert "Seed 5;" in rows[2]
        assert page.page.locator(".proof canvas").count() == 2
        page.page.set_input_files("input[type=file]", sound)
        page.page.wait_for_selector(".proof svg.curve.wave", timeout=120_000)
        page.page.wait_for_selector("[data-verdict=made_with_model]")
        assert page.page.locator(".proof svg.curve").count() == 2
        page.page.select_option("select >> nth=0", "pixelcnn-digits")
        page.page.fill("[data-param=seed] input", "5")
        page.page.set_input_files("input[type=file]", stranger)
        page.page.wait_for_selector("[data-verdict=no_evidence]", timeout=120_000)
        assert page.page.locator(".proof canvas").count() == 1
        page.check()


def test_jobs_and_models(real: Server, visit: Visiting) -> None:
    job = real_job(real)
    with visit(real) as page:
        page.open("#jobs")
        row = page.page.locator(f".job:has-text('{job}')")
        row.locator("button:text-is('Cancel')").click()
        row.locator("strong:text-is('Cancelled')").wait_for()
        done = httpx.post(
            f"{real.url}/v1/images/generations", json={"model": "pixelcnn-digits", "prompt": "1"}, timeout=60.0
        ).headers["x-job-id"]
        row = page.page.locator(f".job:has-text('{done}')")
        row.locator("button:text-is('Verify')").click()
        row.locator(".tick:has-text('The same bytes')").wait_for()
        with page.page.expect_download() as download:
            row.locator("button:text-is('Download')").click()
        assert Image.open(io.BytesIO(Path(download.value.path()).read_bytes())).size == (28, 28)
        page.open("#models")
        page.page.click("li:has(h2:text-is('wavenet-en')) summary")
        page.page.wait_for_selector(".card-text :text('Allison Smith')")
        page.check()


def real_job(real: Server) -> str:
    """A long one."""
    body = {"model": "wavenet-babble", "voice": "joe", "duration": 600}
    headers = {"prefer": "respond-async"}
    job: str = httpx.post(f"{real.url}/v1/audio/generations", json=body, headers=headers).json()["id"]
    return job
