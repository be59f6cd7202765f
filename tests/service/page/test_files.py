"""The files of the page over HTTP and in the wheel, its modules in Node, and `ancestral serve --open`."""

from __future__ import annotations

import gzip
import io
import re
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import APIRouter, FastAPI

from ancestral.catalog.catalog import Catalog
from ancestral_service.api.app import create_app
from ancestral_service.api.http.auth import Keys
from ancestral_service.api.routes import page as routes
from ancestral_service.settings import Settings
from tests.paths import ROOT
from tests.service.images.pictures import draw, files, noise, post
from tests.service.node import run_node
from tests.service.page.conftest import Visiting
from tests.service.servers import Server
from tests.waiting import eventually

PAGE = ROOT / "service/ancestral_service/api/web/page"
FILES = sorted(path.name for path in PAGE.iterdir())
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
MOST_BYTES = 150_000


def test_the_files_need_no_key_and_are_small_together(keyed: Server) -> None:
    total = 0
    with keyed.client() as client:
        for name in FILES:
            path = "/" if name == "index.html" else f"/page/{name}"
            found = client.get(path, headers={"accept-encoding": "gzip;q=0, identity"})
            assert "content-encoding" not in found.headers
            assert (found.status_code, found.content) == (200, (PAGE / name).read_bytes()), name
            assert found.headers["content-type"].split(";")[0] == TYPES.get(Path(name).suffix, "text/html")
            assert found.headers["content-security-policy"] == POLICY
            assert found.headers["x-content-type-options"] == "nosniff"
            assert found.headers["cache-control"] == "no-cache"
            with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as response:
                assert (response.headers["content-encoding"], response.headers["vary"]) == ("gzip", "accept-encoding")
                sent = b"".join(response.iter_raw())
            assert gzip.decompress(sent) == found.content
            total += len(sent)
    assert total <= MOST_BYTES


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(server: Server) -> None:
    html = httpx.get(server.url).text
    assert not re.search(r"<style|\bstyle=|\bon\w+=", html)
    assert all(not content.strip() for content in re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL))
    for name in FILES:
        text = (PAGE / name).read_text()
        hosts = set(re.findall(r"https?://[\w.-]+", text))
        assert hosts <= {"http://www.w3.org", "http://localhost"}, name  # a namespace, and the address without a page
    for name in re.findall(r'(?:href|src)="page/([\w.]+)"', html):
        assert name in FILES


def test_there_is_no_other_file(server: Server) -> None:
    for path in ("page/index.html", "page/nothing.js", "page/..%2f..%2fapp.py", "page/", "page"):
        assert httpx.get(f"{server.url}/{path}").status_code == 404
    assert httpx.get(f"{server.url}/?frog=1").json()["error"]["param"] == "frog"


@pytest.mark.parametrize("switched", ["on", "off"])
def test_it_can_be_switched_off(catalog: Catalog, monkeypatch: pytest.MonkeyPatch, switched: Any) -> None:
    included = list[APIRouter]()
    monkeypatch.setattr(FastAPI, "include_router", lambda _, router, **options: included.append(router))
    create_app(Settings(page=switched), catalog, Keys(None), "redis://", None)
    assert any(each is routes.router for each in included) == (switched == "on")


@pytest.mark.slow
def test_it_is_in_the_wheel(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=300)
    if "No matching distribution found" in done.stderr:
        pytest.skip("hatchling cannot be installed: PyPI is out of reach")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"ancestral_service/api/web/page/{name}" for name in FILES} <= names


def test_the_page_modules_pass_their_node_tests() -> None:
    version = run_node("--version").strip()
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < (20, 19):
        pytest.skip(f"Node {version} cannot import modules from .js files: 20.19 can")
    run_node("--test", Path(__file__).with_name("modules.test.mjs"), PAGE=f"{PAGE.as_uri()}/")


def test_a_browser_is_opened(
    ancestral: Callable[..., subprocess.CompletedProcess[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("ancestral_service.api.server.serve", lambda app, settings, listener, on_ready: on_ready())
    done = ancestral("serve", "--open", "--no-worker", "--port", "0", ANCESTRAL_REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", *opened)


# The views Score, Prove, Jobs and Models, and `/docs`.


TEXT = "The birch canoe slid on the smooth planks."
SEVEN: dict[str, Any] = {"model": "pixelcnn-digits", "prompt": "7", "seed": 5}


def spoken(real: Server, form: str) -> bytes:
    """A sentence, by a bundled model."""
    body = {"model": "wavenet-en", "voice": "joe", "input": TEXT, "response_format": form, "seed": 7}
    return httpx.post(f"{real.url}/v1/audio/speech", json=body, timeout=120.0).content


def test_views_that_were_left_are_not_kept(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.open("#speak")
        devtools = page.context.new_cdp_session(page.page)
        nodes = []
        for _ in range(6):
            for view in ("jobs", "models", "draw", "score", "prove", "speak"):
                page.evaluate(f"show({view!r})")  # what Playwright waits for it would keep
            page.wait_for_timeout(300)
            devtools.send("HeapProfiler.collectGarbage")
            nodes.append(devtools.send("Memory.getDOMCounters")["nodes"])
        assert nodes[-1] < 1.2 * nodes[1], nodes


def test_jobs_say_what_they_are(server: Server, visit: Visiting) -> None:
    """Text, voice, prompt and pictures; what is scored has no manifest, and the page's own comparisons are gone."""
    server.speak(voice="bob", input="The birch canoe slid.")
    draw(server, model="subclasses", prompt="owl", n=3)
    post(server, "likelihood", model="subclasses")
    with visit(server) as page:
        page.add_init_script("recordAddresses()")
        page.open("#jobs")
        page.wait_for_selector(".job:nth-child(2) .thumbnails img >> nth=2")
        eventually(lambda: page.evaluate("window.addresses.size") == 0)  # their files are let go
        scored, drawn, said = (page.locator(f".job:nth-child({row})") for row in (1, 2, 3))
        said.locator("button:text-is('Verify')").wait_for()
        assert not scored.locator("button:text-is('Verify')").is_visible()
        assert (drawn.locator(".few").inner_text(), said.locator(".few").inner_text()) == (
            "owl",
            "The birch canoe slid.",
        )
        assert "tiny · bob" in said.inner_text()


@pytest.mark.slow
def test_more_jobs_than_one_answer_lists(server: Server, visit: Visiting) -> None:
    for _ in range(101):
        server.speak(voice="bob", input="A.")
    with visit(server, "#jobs") as page:
        for count in (30, 80, 101):
            page.wait_for_selector(f".job >> nth={count - 1}")
            if count < 101:
                page.click("button:text-is('Show more')")


@pytest.mark.slow
def test_a_score_is_of_what_is_chosen(server: Server, visit: Visiting) -> None:
    """Another model or voice is another score, and so is the same file once more; of a long sound a part is scored."""
    sound = server.speak(input="No.", response_format="wav", sample_rate=8000).content[44:]
    file = io.BytesIO()
    with wave.open(file, "wb") as long:
        long.setparams((1, 2, 8000, 0, "NONE", ""))
        long.writeframes((sound * (61 * 16_000 // len(sound) + 1))[: 61 * 16_000])
    with visit(server, "#score") as page:

        def scored(act: Callable[[], object]) -> list[str]:
            page.evaluate("document.querySelector('.scores').replaceChildren()")
            act()
            page.wait_for_selector(".score:nth-child(3) .bits")
            return page.locator(".bits").all_inner_texts()

        page.select_option("[data-param=model] select", "subclasses")
        before = scored(lambda: page.upload(noise("subclasses")))
        assert page.input_value("input[type=file]") == ""
        assert page.locator(".score img").count() == 3
        assert scored(lambda: page.select_option("[data-param=model] select", "palette"))[0] != before[0]
        page.click("label:text-is('A sound')")
        page.select_option("[data-param=model] select", "free")
        before = scored(lambda: page.upload(file.getvalue(), name="long.wav"))
        page.wait_for_selector(".hint:has-text('Only its first 60 seconds are scored')")
        assert page.locator("svg.curve.wave").count() == page.locator("svg.curve:not(.wave)").count() == 3
        assert scored(lambda: page.select_option("[data-param=voice] select", "bob"))[0] != before[0]


@pytest.mark.slow
def test_one_preview_is_heard(real: Server, visit: Visiting) -> None:
    """That which was asked for last, until the view is left."""
    with visit(real) as page:
        page.add_init_script("recordPreviews()")
        page.open("#speak?model=wavenet-en")
        page.evaluate("document.querySelectorAll('.preview').forEach((button) => button.click())")
        eventually(lambda: page.evaluate("window.previews.length"))
        page.wait_for_selector(".preview.busy", state="detached")
        page.click("nav a[href='#jobs']")
        page.wait_for_selector("main h1:text-is('Jobs')")
        assert page.evaluate("window.previews.map((one) => one.paused)") == [True]


@pytest.mark.slow
def test_prove_a_picture_a_sound_and_a_stranger(real: Server, visit: Visiting) -> None:
    """Of real models: the verdict, the evidence, and where the file agrees with its seed."""
    with visit(real, "#prove") as page:
        page.upload(*files(post(real, "generations", **SEVEN, size="224x224")))
        page.wait_for_selector("[data-verdict=made_with_model]")
        rows = page.locator(".evidence tr").all_inner_texts()
        assert [row.split("\t")[:2] for row in rows[1:3]] == [["Recipe", "equal"], ["Seed", "found"]]
        assert "784 of 784 pixels" in rows[1]
        assert "Seed 5;" in rows[2]
        assert page.locator(".proof canvas").count() == 2
        page.upload(spoken(real, "flac"), name="sound.flac")
        page.wait_for_selector(".proof svg.curve.wave")
        page.wait_for_selector("[data-verdict=made_with_model]")
        assert page.locator(".proof svg.curve").count() == 2
        page.upload(spoken(real, "flac"), name="sound")  # of a kind that the browser does not know
        page.wait_for_selector(".proof:empty", state="attached")
        assert page.get_attribute(".verdict", "data-verdict") == "made_with_model"
        page.select_option("select >> nth=0", "pixelcnn-digits")
        page.fill("[data-param=seed] input", "5")
        page.upload(np.random.default_rng(1).integers(0, 256, (28, 28, 1), np.uint8))
        page.wait_for_selector("[data-verdict=no_evidence]")
        assert page.locator(".proof canvas").count() == 1
