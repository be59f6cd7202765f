"""The views Score, Prove, Jobs and Models, and `/docs`."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from tests.service.images.pictures import decode, draw, files, post
from tests.service.page.conftest import Visiting
from tests.service.servers import Server

TEXT = "The birch canoe slid on the smooth planks."
SEVEN: dict[str, Any] = {"model": "pixelcnn-digits", "prompt": "7", "seed": 5}


def spoken(real: Server, form: str) -> bytes:
    """A sentence, by a bundled model."""
    body = {"model": "wavenet-en", "voice": "joe", "input": TEXT, "response_format": form, "seed": 7}
    return httpx.post(f"{real.url}/v1/audio/speech", json=body, timeout=120.0).content


def test_every_view_opens_on_a_phone(server: Server, visit: Visiting) -> None:
    with visit(server, viewport={"width": 390, "height": 844}) as page:
        for view in ("speak", "draw", "score", "prove", "jobs", "models"):
            page.open(f"#{view}")
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, view


def test_jobs_say_what_they_are(server: Server, visit: Visiting) -> None:
    """Text, voice, prompt and pictures; what is scored has no manifest, and the page's own comparisons are gone."""
    server.speak(voice="bob", input="The birch canoe slid.")
    draw(server, model="subclasses", prompt="owl", n=3)
    post(server, "likelihood", model="subclasses")
    with visit(server, "#jobs") as page:
        page.wait_for_selector(".job:nth-child(2) .thumbnails img >> nth=2")
        scored, drawn, said = (page.locator(f".job:nth-child({row})") for row in (1, 2, 3))
        said.locator("button:text-is('Verify')").wait_for()
        assert not scored.locator("button:text-is('Verify')").is_visible()
        assert (drawn.locator(".few").inner_text(), said.locator(".few").inner_text()) == (
            "owl",
            "The birch canoe slid.",
        )
        assert "tiny · bob" in said.inner_text()


@pytest.mark.slow
def test_jobs_and_models(real: Server, visit: Visiting) -> None:
    body = {"model": "wavenet-babble", "voice": "joe", "duration": 600}
    long = httpx.post(f"{real.url}/v1/audio/generations", json=body, headers={"prefer": "respond-async"}).json()["id"]
    with visit(real, "#jobs") as page:
        row = page.locator(f".job:has-text('{long}')")
        row.locator("button:text-is('Cancel')").click()
        row.locator("strong:text-is('Cancelled')").wait_for()
        done = post(real, "generations", **SEVEN, response_format="url").headers["x-job-id"]
        row = page.locator(f".job:has-text('{done}')")
        row.locator("button:text-is('Verify')").click()
        row.locator(".tick:has-text('The same bytes')").wait_for()
        download = page.download(f".job:has-text('{done}') button:text-is('Download')")
        assert decode(download.path().read_bytes()).shape == (28, 28, 1)
        page.open("#models")
        page.click("li:has(h2:text-is('wavenet-en')) summary")
        page.wait_for_selector(".card-text :text('Allison Smith')")


@pytest.mark.slow
def test_score_a_picture_and_a_sound(real: Server, visit: Visiting) -> None:
    with visit(real, "#score") as page:
        page.select_option("select >> nth=0", "pixelcnn-digits")
        page.upload(*files(post(real, "generations", **SEVEN, size="280x280")))
        page.wait_for_selector(".score:nth-child(3) .bits")
        own, shuffled, random = (float(text) for text in page.locator(".bits strong").all_inner_texts())
        assert own < shuffled < random
        assert page.locator(".score img").count() == 3
        page.click("label:text-is('A sound')")
        page.select_option("select >> nth=0", "wavenet-babble")
        page.upload(spoken(real, "wav"), name="sound.wav")
        page.wait_for_selector(".score:nth-child(3) .bits")
        own, *others = (float(text) for text in page.locator(".bits strong").all_inner_texts())
        assert all(own < other for other in others)
        assert page.locator("svg.curve.wave").count() == page.locator("svg.curve:not(.wave)").count() == 3


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
        page.select_option("select >> nth=0", "pixelcnn-digits")
        page.fill("[data-param=seed] input", "5")
        page.upload(np.random.default_rng(1).integers(0, 256, (28, 28, 1), np.uint8))
        page.wait_for_selector("[data-verdict=no_evidence]")
        assert page.locator(".proof canvas").count() == 1


@pytest.mark.slow
def test_a_request_is_tried_in_the_reference(server: Server, visit: Visiting) -> None:
    with visit(server) as page:
        page.goto(f"{server.url}/docs")
        route = page.locator(".opblock:has([data-path='/v1/models'])")
        route.locator(".opblock-summary-control").click()
        route.locator("button:text-is('Execute')").click()
        route.locator(".live-responses-table .response-col_status:has-text('200')").wait_for()
        assert '"tiny"' in route.locator(".live-responses-table .highlight-code").first.inner_text()
        assert {url.removeprefix(server.url) for url in page.requests} >= {"/docs", "/openapi.json", "/v1/models"}
