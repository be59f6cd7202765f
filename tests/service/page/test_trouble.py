"""The page when something is wrong: no connection, a limit, a full queue, a wrong key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest

from tests.service.page.browser import Visit
from tests.service.page.conftest import Visiting
from tests.service.servers import Serve, ServeProcess, Server
from tests.service.shaky import cut_proxy
from tests.service.slow_reader import reading_slowly
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SPEAK = "#speak?model=tiny&voice=ann&seed=9&text=The%20birch%20canoe%20slid."
VIEWS = {"speak": SPEAK, "draw": "#draw?model=subclasses&n=2"}


def test_a_server_that_dies_and_comes_back(serve_process: ServeProcess, serve: Serve, visit: Visiting) -> None:
    """It is killed: one that is told to stop sends what it has begun."""
    link = SPEAK.replace("slid.", "slid.%20" * 180) + "&speed=0.25"
    with serve_process() as server, visit(server, link, quiet=False) as page:
        page.click("button.primary")
        page.wait_for_selector("button:text-is('Pause')")
        server.process.kill()
        server.wait()
        page.wait_for_selector(".problem:has-text('No connection')")
        page.wait_for_selector("#health[data-state=away]")
        with serve(port=server.port):
            page.wait_for_selector("#health[data-state=here]")
            page.fill("textarea", "The birch canoe slid.")
            page.click(".problem button:text-is('Try again')")
            page.wait_for_selector(".stats[data-sha256]", state="attached")
            assert page.locator(".problem").count() == 0


def test_a_sound_goes_on_where_the_connection_broke(server: Server, visit: Visiting) -> None:
    text = "The birch canoe slid." + " The birch canoe slid." * 150
    whole = server.speak(input=text, seed=9, speed=0.5, response_format="pcm").content
    link = f"{SPEAK}{quote(text.removeprefix('The birch canoe slid.'))}&speed=0.5"
    with cut_proxy(server.port) as (url, cut), visit(replace(server, url=url), link, quiet=False) as page:
        page.click("button.primary")
        page.wait_for_selector("button:text-is('Pause')")
        assert cut()
        page.wait_for_selector(".stats[data-sha256]", state="attached")
        assert page.get_attribute(".stats", "data-sha256") == hashlib.sha256(whole).hexdigest()
        assert sum(asked.endswith("v1/audio/speech") for asked in page.requests) == 2


def test_offline(server: Server, visit: Visiting) -> None:
    with visit(server, SPEAK, quiet=False) as page:
        page.context.set_offline(True)
        page.click("button.primary")
        page.wait_for_selector(".problem:has-text('The server does not answer')")
        page.context.set_offline(False)
        page.click(".problem button:text-is('Try again')")
        page.wait_for_selector(".stats[data-sha256]", state="attached")


def test_a_limit_is_told_with_a_countdown(shared: Callable[..., Server], visit: Visiting) -> None:
    server = shared(requests_per_minute=1)
    with visit(server, SPEAK, quiet=False) as page:
        page.speak()
        page.click("button.primary")
        page.wait_for_selector(".problem:has-text('1 requests a minute')")
        assert page.is_disabled(".problem button")
        first = seconds_left(page)
        page.wait_for_timeout(2500)
        assert seconds_left(page) < first <= 60


def seconds_left(page: Visit) -> int:
    return int(page.inner_text(".seconds").split()[3])


@pytest.mark.parametrize("view", ["speak", "draw"])
def test_a_full_queue_is_told_with_a_countdown(serve: Serve, visit: Visiting, view: str) -> None:
    """Over HTTP, as for speech, and over the websocket, as for pictures."""
    with serve(interactive_slots=1, max_queued_streams=0) as server, visit(server, VIEWS[view], quiet=False) as page:
        page.wait_for_load_state("networkidle")
        with reading_slowly(server):
            page.click("button.primary")
            for _ in range(2):
                page.wait_for_selector(".problem:has-text('its queue is full')")
                assert page.is_disabled(".problem button")
                assert seconds_left(page) >= 1
                page.wait_for_selector(".seconds:text-is('There may be room now.')")
                page.click(".problem button:text-is('Try again')")
            page.wait_for_selector(".problem:has-text('its queue is full')")
        page.click(".problem button:text-is('Try again')")  # once it can be pressed
        done = ".stats[data-sha256]" if view == "speak" else ".shot:nth-child(2):not(.growing)"
        page.wait_for_selector(done, state="attached")
        assert page.locator(".problem").count() == 0


def test_keys(keyed: Server, keys: dict[str, str], visit: Visiting) -> None:
    mine = keys["browser"]
    with visit(keyed, quiet=False) as page:
        page.goto(keyed.url)
        page.wait_for_selector(".problem:has-text('needs an API key')")
        for key in ("wrong", mine):
            page.click("#key")
            page.fill("#key-value", key)
            page.click("dialog button.primary")
            page.wait_for_selector("main .view" if key == mine else ".problem:has-text('not one of this server')")
        page.open("#draw?model=subclasses&prompt=owl&n=1&seed=4")
        page.draw(1)
        page.open(SPEAK)
        page.speak()
        page.click("summary:text-is('The request')")
        assert mine not in page.content()
        assert not [url for url in page.requests if mine in url]
    assert mine not in str(keyed.log)


def test_an_error_stands_beside_its_field(server: Server, visit: Visiting) -> None:
    with visit(server, SPEAK, quiet=False) as page:
        page.fill("textarea", "…")
        page.click("button.primary")
        page.wait_for_selector("[data-param=input] .wrong:not(:empty)")
        assert page.get_attribute("textarea", "aria-invalid") == "true"
        page.fill("input[inputmode=numeric]", "9999999999999999999")
        page.fill("textarea", "Yes.")
        page.click("button.primary")
        page.wait_for_selector("[data-param=seed] .wrong:not(:empty)")


def test_of_an_expired_output_only_the_record_is_shown(shared: Callable[..., Server], visit: Visiting) -> None:
    server = shared(stream_seconds=1)
    job = server.generate({"idempotency-key": "expired"}).headers["x-job-id"]  # the key keeps the record for a day
    eventually(lambda: httpx.get(f"{server.url}/v1/jobs/{job}/content").status_code == 404)
    with visit(server, "#jobs") as page:
        row = page.locator(f".job:has-text('{job}')")
        row.locator("strong:text-is('Complete')").wait_for()
        # The next poll: whatever a row asks for, it has asked for by then.
        page.wait_for_event("response", lambda answer: "/v1/jobs?" in answer.url)
        assert row.locator("button:visible").all_inner_texts() == [job]
        assert not any(job in url for url in page.requests)
