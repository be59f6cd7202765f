"""The view Speak in a browser, against a real server: what is heard, when, and what can be done with it."""

from __future__ import annotations

import hashlib
import re
import time
import wave
from typing import Any

import httpx
import numpy as np
import pytest

from tests.service.page.browser import Visit
from tests.service.page.conftest import Visiting
from tests.service.servers import Server

pytestmark = pytest.mark.slow

TEXT = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background."
SPEAK = "#speak?model=wavenet-en&voice=joe&seed=7&temperature=1&speed=1&text=" + TEXT.replace(" ", "%20")
LIT = """() => {
  window.soundAt = null;
  window.lit = [];
  window.known = [];
  const line = document.querySelector(".words");
  const known = () => {
    while (window.known.length < line.querySelectorAll("span").length) window.known.push(performance.now());
  };
  known();
  new MutationObserver(known).observe(line, { childList: true });
  new MutationObserver(() => {
    const index = [...line.children].findIndex((word) => word.classList.contains("lit"));
    if (index >= 0 && index !== window.lit.at(-1)?.[0]) window.lit.push([index, performance.now()]);
  }).observe(line, { subtree: true, attributes: true });
}"""
"""Notes when the time of each word is known, and when it is lit."""


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


class Heard:
    """When words were lit, against when the AnalyserNode heard them; in seconds."""

    def __init__(self, page: Visit, server: Server, data: bytes) -> None:
        self.page = page
        found = httpx.get(f"{server.url}/v1/jobs/{server.newest()}/timestamps").json()
        rate = found["sample_rate"]
        self.times = [(word["start"] / rate, word["end"] / rate) for word in found["words"]]
        samples = np.frombuffer(data, "<i2") / 32768
        self.first = float(np.argmax(np.abs(samples) > 1e-4)) / 24000
        """The first sample that the AnalyserNode takes for sound."""

    def check(self, *, late: bool = False) -> None:
        """Every word was lit, in order, and at most 0.1 s from its time.

        Args:
            late: the sound began before its words were known. They may be lit as soon as they are known, and not at all
                if they were over then.
        """
        order = self.page.evaluate("window.lit")
        lit = dict(order)
        assert [index for index, _ in order] == [index for index in range(len(self.times)) if index in lit]
        known = self.page.evaluate("window.known") if late else [0.0] * len(self.times)
        began = self.page.evaluate("window.soundAt + 1000 * (window.device.outputLatency || 0)")
        for index, (start, end) in enumerate(self.times):
            at, until = (began + 1000 * (seconds - self.first) for seconds in (start, end))
            if index in lit:
                assert -100 <= lit[index] - max(at, known[index]) <= 100, (index, lit[index], at, known[index])
            else:
                assert known[index] > until - 100, f"word {index} was not lit"


SHAPES = """() => {
  const inside = document.querySelector(".mouth .inside");
  window.shapes = new Set([inside.getAttribute("d")]);
  new MutationObserver(() => window.shapes.add(inside.getAttribute("d"))).observe(inside, { attributes: true });
}"""
"""Keeps every shape that the mouth has."""


@pytest.mark.parametrize("late", [False, True], ids=["known in time", "known late"])
def test_words_are_lit_while_they_are_sampled(server: Server, visit: Visiting, late: bool) -> None:
    """The sound does not wait long for the times of its words."""

    def held_back(route: Any) -> None:
        time.sleep(0.5)
        route.continue_()

    text = "The birch canoe slid on the smooth planks."
    with visit(server) as page:
        page.open(f"#speak?model=tiny&voice=ann&seed=9&speed=0.5&text={text.replace(' ', '%20')}")
        page.evaluate(LIT)
        if late:
            page.page.route("**/timestamps", held_back)
        page.speak()
        page.played()
        assert page.evaluate("window.known[0] > window.soundAt") or not late
        Heard(page, server, pcm(server, model="tiny", voice="ann", input=text, seed=9, speed=0.5)).check(late=late)
        page.check()


def test_words_are_lit_when_they_are_heard_again(real: Server, visit: Visiting) -> None:
    with visit(real) as page:
        page.open(SPEAK)
        page.speak()
        page.played()
        assert page.page.inner_text(".words").split() == TEXT.split()
        heard = Heard(page, real, pcm(real))
        page.page.wait_for_timeout(1500)  # the AnalyserNode remembers 1.4 s
        page.evaluate(LIT)
        page.page.click("button:text-is('Play')")
        page.page.wait_for_selector("button:text-is('Pause')")
        page.played()
        heard.check()
        page.check()


def test_several_voices_and_a_mouth_that_moves(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.open("#speak?model=tiny&voice=ann&seed=9&speed=0.5&text=No!%20The%20birch%20canoe%20slid.")
        page.page.focus("textarea")
        page.evaluate("document.activeElement.setSelectionRange(4, 4)")
        page.page.select_option("select[aria-label='Another voice from here on']", "bob")
        text = page.page.input_value("textarea")
        assert text == "No! [voice:bob] The birch canoe slid."
        assert page.evaluate("document.activeElement.selectionStart") == text.index("The")
        page.evaluate(SHAPES)
        sha256 = page.speak()
        page.played()
        expected = pcm(server, model="tiny", voice="ann", input=text, seed=9, speed=0.5)
        assert sha256 == hashlib.sha256(expected).hexdigest()
        assert page.page.locator(".words .speaker").all_inner_texts() == ["ann", "bob"]
        shapes = page.evaluate("[...window.shapes]")
        assert len(shapes) > 5, "it moves"
        page.page.wait_for_timeout(300)
        assert page.page.get_attribute(".mouth .inside", "d") == shapes[0], "and comes to rest"
        page.check()


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


def test_the_voices_of_a_language(real: Server, visit: Visiting) -> None:
    with visit(real) as page:
        page.open("#speak?model=wavenet-multilingual&voice=dora")
        names = page.page.locator(".voices .card strong")
        assert names.all_inner_texts() == ["Dora", "Alex"]
        assert page.page.input_value("textarea").startswith("La canoa de abedul")
        page.page.select_option("select[aria-label=Language]", "fr")
        assert names.all_inner_texts() == ["Siwis"]
        assert page.page.input_value("textarea").startswith("Le canot de bouleau")
        assert page.page.inner_text(".field:has(textarea) .hint") == "French. Ctrl + Enter speaks."
        page.page.fill("textarea", "Bonjour.")
        page.speak()
        page.played()
        newest = real.newest()
        assert newest is not None
        assert (real.ended(newest)["model"], real.ended(newest)["voice"]) == ("wavenet-multilingual", "siwis")
        page.page.select_option("select[aria-label=Language]", "en")
        assert page.page.input_value("textarea") == "Bonjour.", "a text of one's own stays"
        assert names.count() == 13
        assert page.page.locator(".voices h3").all_inner_texts() == ["American English", "British English"]
        page.check()
