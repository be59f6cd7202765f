"""The view Speak: what is heard, when, and what can be done with it; and books of `ancestral read -o spoken.epub`, of
which a reader lights each word while it is said."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import time
import wave
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from ancestral.catalog.seeds import part_seed
from tests.service.cli.epubs import write_epub
from tests.service.page.browser import SECONDS, hosted
from tests.service.page.conftest import Visiting
from tests.service.servers import Server
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TEXT = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background."
SPEAK = f"#speak?model=wavenet-en&voice=joe&seed=7&temperature=1&speed=1&text={quote(TEXT)}"
CANOE = "The birch canoe slid."
TINY = f"#speak?model=tiny&voice=ann&seed=9&text={quote(CANOE)}"


def pcm(server: Server, **changes: Any) -> bytes:
    """What the HTTP route gives."""
    body = {"model": "tiny", "voice": "ann", "input": CANOE, "response_format": "pcm", "seed": 9}
    return httpx.post(f"{server.url}/v1/audio/speech", json=body | changes, timeout=240.0).content


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_speech_in_chromium_has_the_bytes_of_http(server: Server, visit: Visiting) -> None:
    with visit(server, f"{TINY}&pitch=3&intonation=0.5") as page:
        found = page.speak()
        page.played()
        assert found == sha256(pcm(server, pitch=3, intonation=0.5))
        assert "underruns" in page.inner_text(".figures").lower()
        assert page.inner_text(".words").split() == CANOE.split()
        assert f"sha={found[:16]}" in page.url


def test_a_sound_stays_that_of_its_request(server: Server, visit: Visiting) -> None:
    """Whatever the form says while it is sampled, or then; and only the link's own request is compared with it."""
    edit = "document.execCommand('selectAll'); document.execCommand('insertText', false, 'Yes.')"
    with visit(server, TINY) as page:
        page.focus("textarea")
        page.evaluate(f"document.querySelector('button.primary').click(); {edit}")
        page.wait_for_selector(".stats[data-sha256]", state="attached")
        found = page.get_attribute(".stats", "data-sha256")
        assert found == sha256(pcm(server))
        page.fill("input[inputmode=numeric]", "10")
        page.press(".skip", "Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        assert page.url.endswith(f"{quote('The birch canoe slid.').replace('%20', '+')}&sha={found[:16]}")
        page.select_option("select[aria-label='Format of the download']", "flac")
        download = page.download(".joined button")
        assert download.suggested_filename == "tiny-ann-9.flac"
        assert download.path().read_bytes() == pcm(server, response_format="flac")
        page.reload()
        page.fill("textarea", "Yes.")
        assert page.speak() == sha256(pcm(server, input="Yes."))
        assert page.inner_text(".tick") == ""
        page.fill("textarea", CANOE)
        assert page.speak() == found
        assert page.inner_text(".tick") == "✓ The same bytes as in the link"


@pytest.mark.slow
def test_a_long_text_a_pause_and_a_mix(server: Server, visit: Visiting) -> None:
    """More than a request takes: a request for each paragraph, played as one sound, with one file of captions."""
    with visit(server, "#speak?model=tiny&voice=ann%282%29%2Bbob%281%29&seed=9&text=One.") as page:
        assert page.locator(".card input:checked").count() == 0
        page.click("button:text-is('+ Pause')")
        page.keyboard.type("0.2")
        text = page.input_value("textarea")
        assert text == "One. [pause:0.2s] "
        page.fill("textarea", text + "\n" * 4100 + "Two.")
        assert page.inner_text("[data-param=input] output") == "4,122 characters, 2 parts"
        found = page.speak()
        parts = (("One. [pause:0.2s]", 9), ("Two.", part_seed(9, 4096)))
        expected = [pcm(server, voice="ann(2)+bob(1)", input=part, seed=seed) for part, seed in parts]
        assert found == sha256(bytes(24000).join(expected))
        assert page.inner_text(".words").split() == ["One.", "Two."]
        page.select_option("select[aria-label='Format of the download']", "srt")
        first, second = page.download(".joined button").path().read_text().strip().split("\n\n")
        assert (first[:2], second[:2]) == ("1\n", "2\n")
        at = float(second.split()[1].replace(",", ".").rpartition(":")[2])
        assert at >= len(expected[0]) / 48000 + 0.5
        page.click("button:text-is('Verify')")
        page.wait_for_selector(".tick[data-good=true]")
        page.click("label:has-text('Bob')")
        assert page.inner_text(".mix summary") == "Mix voices"
        page.fill("textarea", "One. " * 4001)
        page.click("button.primary")
        page.wait_for_selector("[data-param=input] .wrong:has-text('At most 20,000 characters here')")


@pytest.mark.slow
def test_every_sample_is_played_once(server: Server, visit: Visiting) -> None:
    """The capture starts with the second sound: its own module loads while the first one begins."""
    with visit(server, TINY, capture=True) as page:
        page.speak()
        page.played()
        page.evaluate("window.heard = []")
        page.click("button[aria-label='Keep this seed'][aria-pressed=true]")
        page.fill("input[inputmode=numeric]", "10")
        page.speak()
        page.played()
        page.wait_for_timeout(300)
        assert page.heard() == np.trim_zeros(np.frombuffer(pcm(server, seed=10), "<i2")).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["known in time", "known late"])
def test_words_are_lit_in_order_and_none_before_it_is_said(server: Server, visit: Visiting, late: bool) -> None:
    """The sound does not wait long for the times of its words."""

    def held_back(route: Any) -> None:
        time.sleep(0.5)
        route.continue_()

    text = "The birch canoe slid on the smooth planks."
    with visit(server, f"#speak?model=tiny&voice=ann&seed=9&speed=0.5&text={quote(text)}") as page:
        page.evaluate("recordWords()")
        if late:
            page.route("**/timestamps", held_back)
        page.speak()
        page.played()
        assert page.evaluate("window.known > window.soundTime") or not late
        lit, began = page.evaluate("[window.lit, window.soundTime + 1000 * (window.device.outputLatency || 0)]")
    found = httpx.get(f"{server.url}/v1/jobs/{server.newest()}/timestamps").json()
    starts = [1000 * word["start"] / found["sample_rate"] for word in found["words"]]
    heard = np.abs(np.frombuffer(pcm(server, input=text, speed=0.5), "<i2") / 32768) > 1e-4
    before = 1000 * float(np.argmax(heard)) / 24000  # of what the AnalyserNode takes for sound
    assert [index for index, _ in lit] == sorted({index for index, _ in lit})
    assert len(lit) > 1
    assert all(began + starts[index] - before - 100 <= at for index, at in lit)


@pytest.mark.slow
def test_several_voices_and_a_mouth_that_moves(server: Server, visit: Visiting) -> None:
    with visit(server, "#speak?model=tiny&voice=ann&seed=9&speed=0.5&text=No!%20The%20birch%20canoe%20slid.") as page:
        page.focus("textarea")
        page.evaluate("document.activeElement.setSelectionRange(4, 4)")
        page.select_option("select[aria-label='Another voice from here on']", "bob")
        text = page.input_value("textarea")
        assert text == "No! [voice:bob] The birch canoe slid."
        assert page.evaluate("document.activeElement.selectionStart") == text.index("The")
        page.evaluate("recordMouth()")
        found = page.speak()
        page.played()
        assert found == sha256(pcm(server, input=text, speed=0.5))
        assert page.locator(".words .speaker").all_inner_texts() == ["ann", "bob"]
        shapes = page.evaluate("[...window.shapes]")
        assert len(shapes) > 5, "it moves"
        eventually(lambda: page.get_attribute(".mouth .inside", "d") == shapes[0])  # and comes to rest


@pytest.mark.slow
def test_stop_seek_voice_and_download(real: Server, visit: Visiting) -> None:
    with visit(real, SPEAK.replace("planks.", "planks. " * 120)) as page:
        page.click("button.primary")
        page.wait_for_selector("button:text-is('Pause')")
        page.wait_for_timeout(500)
        page.click("button.primary:text-is('Stop')")
        page.wait_for_selector("button:text-is('Play')")
        assert real.ended(str(real.newest()))["status"] == "cancelled"
        page.click("button:text-is('Play')")
        page.wait_for_selector("button:text-is('Pause')")
        page.played()
        asked = [url for url in page.requests if url.endswith("timestamps")]
        page.wait_for_timeout(1000)
        assert [url for url in page.requests if url.endswith("timestamps")] == asked
        page.fill("textarea", TEXT)
        page.click("label:has-text('Heart')")
        page.speak()
        page.played()
        page.drag("canvas.scope", (0.5, 0.3), (0.5, 0.3))
        page.wait_for_timeout(300)
        now, whole = map(float, re.findall(r"[\d.]+", page.inner_text(".time")))
        assert abs(now / whole - 0.5) < 0.05
        seed = page.input_value("input[inputmode=numeric]")
        download = page.download("button:text-is('Download')")
        assert download.suggested_filename == f"wavenet-en-heart-{seed}.wav"
        with wave.open(str(download.path())) as file:
            found = file.readframes(file.getnframes())
        assert found == pcm(real, model="wavenet-en", voice="heart", input=TEXT, seed=int(seed), temperature=1)


# Books

CHAPTERS = (
    [
        "The", "Planks", "The", "birch", "canoe", "sl", "on", "the", "smooth", "planks", "at", "5\xa0km/h", "&", "more",
        "It", "was", "easy", "It", "was", "late", "A map of the lake.", "Son", "las", "3", "So", "it", "is",
    ],
    ["Two", "Parts", "I", "The", "Second", "Is", "it", "late", "No", "Café"],
    ["The", "end"],
)  # fmt: skip


@pytest.fixture(scope="module")
def reader(
    browser: Browser,
    ancestral: Callable[..., subprocess.CompletedProcess[bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Page]:
    """The reader, with the book; nothing is said on the console."""
    folder = tmp_path_factory.mktemp("book")
    source, spoken, unpacked = write_epub(folder / "a.epub"), folder / "spoken.epub", folder / "unpacked"
    done = ancestral("read", str(source), "-o", str(spoken), "--model", "tiny", "--seed", "7")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(spoken) as archive:
        archive.extractall(unpacked)
    shutil.copy(Path(__file__).with_name("reader.html"), unpacked)
    said: list[str] = []
    with hosted(unpacked) as url:
        page = browser.new_page(viewport={"width": 800, "height": 600})
        page.set_default_timeout(SECONDS)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{url}/reader.html")
        page.wait_for_function("window.chapters")
        yield page
        page.close()
    assert said == []


@pytest.mark.parametrize("number", range(len(CHAPTERS)))
def test_each_word_is_lit_alone_in_the_middle_of_its_clip(reader: Page, number: int) -> None:
    assert reader.evaluate("window.chapters") == len(CHAPTERS)
    clips = reader.evaluate(f"window.open_chapter({number})")
    assert reader.evaluate("litWords()") == []
    lit = []
    for begin, end in clips:
        reader.evaluate(f"window.seek({(begin + end) / 2})")
        lit.append(reader.evaluate("litWords()"))
    assert lit == [[word] for word in CHAPTERS[number]]
