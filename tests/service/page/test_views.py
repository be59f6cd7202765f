"""The page in a browser, view by view, against a real server with the bundled models."""

from __future__ import annotations

import hashlib
import io
import re
import wave
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.paths import ROOT
from tests.service.images.pictures import noise, shown, written
from tests.service.page.conftest import Visiting
from tests.service.support import Server

pytestmark = pytest.mark.slow

PIXELS = """([selector, rows]) => {
  const paint = document.querySelector(selector).getContext("2d");
  return Array.from(paint.getImageData(0, 0, 28, rows).data);
}"""
"""The colours of the first rows of a canvas of 28 columns."""
TEXT = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background."
SPEAK = "#speak?model=wavenet-en&voice=joe&seed=7&temperature=1&speed=1&text=" + TEXT.replace(" ", "%20")
PNG = ROOT / "models/zoo/pixelcnn-digits/pixelcnn/sheet.png"


def pcm(server: Server, **changes: Any) -> bytes:
    """What the HTTP route gives."""
    body = {"model": "wavenet-en", "voice": "joe", "input": TEXT, "response_format": "pcm", "seed": 7, "temperature": 1}
    return httpx.post(f"{server.url}/v1/audio/speech", json=body | changes, timeout=240.0).content


def silence_cut(data: bytes) -> bytes:
    samples = np.trim_zeros(np.frombuffer(data, "<i2"))
    return samples.tobytes()


def test_what_is_heard_are_the_bytes_of_http(server: Server, visit: Visiting) -> None:
    text = "The birch canoe slid. " * 6
    with visit(server) as page:
        page.open(f"#speak?model=tiny&voice=ann&seed=9&text={text.strip().replace(' ', '%20')}")
        page.evaluate("addEventListener('click', () => (window.clicked = performance.now()), { capture: true })")
        sha256 = page.speak()
        page.played()
        page.page.wait_for_timeout(300)
        expected = pcm(server, model="tiny", voice="ann", input=text.strip(), seed=9)
        assert sha256 == hashlib.sha256(expected).hexdigest()
        assert re.search(r"Underruns\s+0\b", page.page.inner_text(".figures"))
        assert page.evaluate("window.soundAt - window.clicked") <= 500
        page.check()


def test_the_worklet_plays_every_sample_once(server: Server, visit: Visiting) -> None:
    """The capture starts with the second sound: its own module loads while the first one begins."""
    with visit(server, capture=True) as page:
        page.open("#speak?model=tiny&voice=ann&seed=9&text=The%20birch%20canoe%20slid.")
        page.speak()
        page.played()
        page.evaluate("window.heard = []")
        page.page.click("button[aria-label='Keep this seed'][aria-pressed=true]")
        page.page.fill("input[inputmode=numeric]", "10")
        page.speak()
        page.played()
        page.page.wait_for_timeout(300)
        expected = pcm(server, model="tiny", voice="ann", input="The birch canoe slid.", seed=10)
        assert page.heard() == silence_cut(expected)


@pytest.mark.parametrize("changes", [{}, {"pitch": 3, "intonation": 0.5}])
def test_a_link_gives_the_same_bytes(real: Server, visit: Visiting, changes: dict[str, float]) -> None:
    with visit(real) as page:
        page.open(SPEAK + "".join(f"&{name}={value}" for name, value in changes.items()))
        sha256 = page.speak()
        link = page.page.url
        page.page.click("button:text-is('Verify')")
        page.page.wait_for_selector(".tick[data-good=true]:has-text('Sampled again: the same bytes')")
        page.check()
    with visit(real) as page:
        page.page.goto(link)
        page.page.wait_for_selector("main h1")
        assert page.page.input_value("textarea") == TEXT
        assert page.speak() == sha256 == hashlib.sha256(pcm(real, **changes)).hexdigest()
        assert page.page.inner_text(".tick") == "✓ The same bytes as in the link"


def test_words_are_lit_when_they_are_heard(real: Server, visit: Visiting) -> None:
    with visit(real) as page:
        page.open(SPEAK)
        page.speak()
        page.played()
        job = real.newest()
        words = httpx.get(f"{real.url}/v1/jobs/{job}/timestamps").json()["words"]
        assert page.page.inner_text(".words").split() == TEXT.split()
        page.evaluate(
            """() => { window.lit = []; const span = () => document.querySelector('.words .lit');
            const time = () => document.querySelector('.time').textContent;
            new MutationObserver(() => span() && window.lit.push([span().textContent, time()]))
              .observe(document.querySelector('.words'), { subtree: true, attributes: true }); }"""
        )
        page.page.click("button:text-is('Play')")
        page.page.wait_for_timeout(500)
        page.played()
        lit: list[tuple[str, str]] = [tuple(entry) for entry in page.evaluate("window.lit")]
        seen = dict.fromkeys(name for name, _ in lit)
        assert len(seen) >= len(set(TEXT.split())) - 1
        for name, shown in lit:
            at = float(shown.split(" / ")[0])
            spans = [
                (w["start"] / 16000, w["end"] / 16000)
                for w, text in zip(words, TEXT.split(), strict=True)
                if text == name
            ]
            assert any(start - 0.15 <= at <= end + 0.15 for start, end in spans), (
                name,
                at,
                spans,
            )  # 0.05 s are rounding


def test_stop_seek_voice_and_download(real: Server, visit: Visiting) -> None:
    with visit(real) as page:
        page.open(SPEAK.replace("planks.", "planks. " * 12))
        page.page.click("button.primary")
        page.page.wait_for_selector("button:text-is('Pause')")
        page.page.wait_for_timeout(500)
        page.page.click("button.primary:text-is('Stop')")
        page.page.wait_for_selector("button:text-is('Play')")
        newest = real.newest()
        assert newest is not None
        assert real.ended(newest)["status"] == "cancelled"
        page.page.fill("textarea", TEXT)
        page.page.click("label:has-text('Heart')")
        page.speak()
        page.played()
        box = page.page.locator("canvas.scope").bounding_box()
        assert box is not None
        page.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
        page.page.wait_for_timeout(300)
        now, whole = map(float, re.findall(r"[\d.]+", page.page.inner_text(".time")))
        assert abs(now / whole - 0.5) < 0.05
        seed = page.page.input_value("input[inputmode=numeric]")
        with page.page.expect_download() as download:
            page.page.click("button:text-is('Download')")
        assert download.value.suggested_filename == f"wavenet-en-heart-{seed}.wav"
        with wave.open(str(download.value.path())) as file:
            found = file.readframes(file.getnframes())
        assert found == pcm(real, voice="heart", seed=int(seed))
        page.check()


def test_draw_cancel_and_more(real: Server, visit: Visiting) -> None:
    with visit(real) as page:
        page.open("#draw?model=pixelcnn-avatars-rgb&prompt=micah&n=10&seed=5")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot.growing")
        page.page.click("button.primary:text-is('Cancel')")
        page.page.wait_for_selector(".status:has-text('Cancelled')")
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
        page.page.fill("input[type=range][max='27']", "20")
        page.page.click("button.primary")
        page.page.wait_for_selector(".shot:nth-child(2):not(.growing)")
        assert page.evaluate(PIXELS, [".kept canvas", 20]) == page.evaluate(PIXELS, [".shot canvas", 20])
        page.check()


def test_interpolate(real: Server, visit: Visiting) -> None:
    with visit(real) as page:
        page.open("#draw?mode=interpolate&model=pixelcnn-digits&seed=5")
        page.page.click("button.primary")
        page.page.wait_for_selector(".stage")
        page.page.wait_for_selector(".shot:nth-child(8)")
        page.page.fill(".stagebox input[type=range]", "7")
        assert page.evaluate(PIXELS, [".stage", 28]) == page.evaluate(PIXELS, [".shot:nth-child(8) canvas", 28])
        page.check()


def test_interpolate_between_two_pictures(server: Server, visit: Visiting, tmp_path: Path) -> None:
    pixels = noise("mirror"), 255 - noise("mirror")
    vectors = []
    for number, picture in enumerate(pixels):
        path = tmp_path / f"{number}.png"
        path.write_bytes(written(picture))
        form, files = {"model": "mirror"}, {"image": path.read_bytes()}
        answer = httpx.post(f"{server.url}/v1/images/encodings", data=form, files=files, timeout=60.0)
        vectors.append(answer.json()["data"][0]["embedding"])
    with visit(server) as page:
        page.open("#draw?mode=interpolate&model=mirror&seed=5&temperature=1")
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
    body = {"model": "mirror", "from": vectors[0], "to": vectors[1], "steps": 8, "seed": 5, "temperature": 1}
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
        assert page.page.locator("svg.curve").count() == 3
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
