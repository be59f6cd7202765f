"""The page in Debian's Firefox: the same bytes, the same pictures, sound, and nothing on the console."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.service.images.pictures import draw
from tests.service.page.browser import FIRST_SOUND
from tests.service.page.firefox import Firefox, firefox
from tests.service.servers import Server

pytestmark = pytest.mark.slow

SHOWN = "document.querySelector('main h1')?.textContent"
PIXELS = "Array.from(document.querySelector('.shot canvas').getContext('2d').getImageData(0, 0, 12, 8).data)"


@pytest.fixture
def window(server: Server) -> Iterator[Firefox]:
    """Nothing is asked of another host, and nothing is said on the console."""
    with firefox() as found:
        yield found
        own = [url for url in found.requests if not url.startswith(("blob:", "data:", "about:"))]
        assert all(url.startswith(server.url) for url in own), own
        assert found.messages == []


def test_speech_in_firefox_has_the_bytes_of_http(server: Server, window: Firefox) -> None:
    text = "The birch canoe slid. " * 6
    window.open(f"{server.url}/#speak?model=tiny&voice=bob&seed=9&text={text.strip().replace(' ', '%20')}", FIRST_SOUND)
    window.until(f"{SHOWN} === 'Speak'")
    window.click("button.primary")
    sha256 = window.until("document.querySelector('.stats[data-sha256]')?.dataset.sha256")
    window.until("window.soundAt")
    window.until("[...document.querySelectorAll('button')].some((one) => one.textContent === 'Play')")
    body = {"model": "tiny", "voice": "bob", "input": text.strip(), "response_format": "pcm", "seed": 9}
    expected = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60.0).content
    assert sha256 == hashlib.sha256(expected).hexdigest()
    assert re.search(r"Underruns\s*0\b", window.evaluate("document.querySelector('.figures').innerText"))


def test_pictures_in_firefox_have_the_pixels_of_http(server: Server, window: Firefox) -> None:
    window.open(f"{server.url}/#draw?model=subclasses&prompt=owl&n=3&seed=4&temperature=0.9&guidance=1")
    window.until(f"{SHOWN} === 'Draw'")
    window.click("button.primary")
    window.until("document.querySelector('.shot:nth-child(3):not(.growing)') !== null")
    colours = window.evaluate(PIXELS)
    (expected,) = draw(server, model="subclasses", prompt="owl", seed=4, temperature=0.9, guidance=1)
    assert [colours[i : i + 3] for i in range(0, len(colours), 4)] == expected.reshape(-1, 3).tolist()


def test_every_view_opens(server: Server, window: Firefox) -> None:
    for view in ("Speak", "Draw", "Score", "Jobs", "Models"):
        window.open(f"{server.url}/#{view.lower()}")
        window.until(f"{SHOWN} === '{view}'")
