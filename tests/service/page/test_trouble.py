"""The page when something is wrong: no connection, a limit, a full queue, a wrong key."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from websockets.sync.client import ClientConnection, connect

from ancestral.catalog.seeds import part_seed, seed_of_text
from tests.paths import ROOT
from tests.service.images.pictures import draw, noise
from tests.service.node import with_packages
from tests.service.page.browser import FIRST_SOUND, Visit
from tests.service.page.conftest import Visiting
from tests.service.servers import Serve, ServeProcess, Server
from tests.service.shaky import cut_proxy, reading_slowly
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


def test_a_player_that_was_not_loaded_is_loaded_again(serve: Serve, visit: Visiting) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serve())
        with visit(server, SPEAK, quiet=False) as page:
            stack.close()
            page.click("button.primary")
            page.wait_for_selector(".problem")
            with serve(port=server.port):
                page.click(".problem button")
                page.wait_for_selector("button:text-is('Pause')")
                page.played()


def test_a_limit_is_told_with_a_countdown(shared: Callable[..., Server], visit: Visiting) -> None:
    server = shared(requests_per_minute=1)
    with visit(server, SPEAK, quiet=False) as page:
        page.speak()
        page.click("button.primary")
        page.wait_for_selector(".problem:has-text('1 requests a minute')")
        assert page.is_disabled(".problem button")
        first = seconds_left(page)
        eventually(lambda: seconds_left(page) < first <= 60)


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
        page.open("#jobs")
        page.wait_for_selector("main h1:text-is('Jobs')")
        page.evaluate("sessionStorage.clear()")
        page.focus(".problem button")
        page.wait_for_timeout(4000)  # it is asked again, and its message stays
        assert page.evaluate("document.activeElement.textContent") == "Enter the key"
    assert mine not in str(keyed.log)


def test_an_error_stands_beside_its_field(server: Server, visit: Visiting) -> None:
    with visit(server, SPEAK, quiet=False) as page:
        found = page.speak()
        page.fill("textarea", "…")
        page.click("button.primary")
        page.wait_for_selector("[data-param=input] .wrong:not(:empty)")
        assert page.get_attribute("textarea", "aria-invalid") == "true"
        assert page.get_attribute(".stats", "data-sha256") == found, "the sound before is still there"
        assert page.inner_text(".words") == "The birch canoe slid."


def test_a_long_text_goes_on_after_what_cannot_be_said(server: Server, visit: Visiting) -> None:
    """A paragraph without words, another in letters that are not read; the seed is a name."""
    with visit(server, SPEAK, quiet=False) as page:
        page.fill("textarea", "One.\n\n* * *" + "\n" * 4100 + "独木舟。\n\nTwo.")
        page.fill("input[inputmode=numeric]", "alice")
        found = page.speak()
        page.wait_for_selector(".message .hint:has-text('nothing in it that is read: 独木舟。')")
    parts = (("One.\n\n* * *", "alice"), ("Two.", part_seed(seed_of_text("alice"), 2 * 4096)))
    sounds = [server.speak(input=text, seed=seed, response_format="pcm").content for text, seed in parts]
    assert found == hashlib.sha256(bytes(24000).join(sounds)).hexdigest()


# The page for people who see or type otherwise, or have a small screen.


LONG = "The birch canoe slid on the smooth planks. Incomprehensibilities."


def test_the_keyboard_is_enough(server: Server, visit: Visiting) -> None:
    with visit(server, SPEAK) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.textContent || document.activeElement.type || ''"))
        assert {"Speak", "Draw", "Jobs", "API key", "textarea", "radio", "range", "Copy link"} <= reached
        page.focus("textarea")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".stats[data-sha256]", state="attached")
        page.played()
        page.focus("input.position")
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        eventually(lambda: float(page.inner_text(".time").split()[0]) < 0.1)


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core (MPL-2.0), from npm: for this test only, and not kept."""
    folder = with_packages(ROOT / "tests/service/page", tmp_path_factory.mktemp("axe"))
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


def states(page: Visit, server: Server) -> Iterator[str]:
    """Goes through the views and their states, and says the name of each one that is reached."""
    sound = server.speak(model="tiny", voice="ann").content
    page.open(f"{SPEAK}%20{quote(LONG)}")
    page.speak()
    yield "speak"
    page.fill("textarea", "…")
    page.click("button.primary")
    page.wait_for_selector("[data-param=input] .wrong:not(:empty)")
    yield "an error at its field"
    page.click("#key")
    page.wait_for_selector("dialog[open]")
    yield "the key"
    page.keyboard.press("Escape")
    page.open("#draw?model=subclasses&n=2&seed=5")
    page.draw(2)
    yield "draw"
    page.click(".frame >> nth=0")
    page.wait_for_selector("dialog[open]")
    yield "a picture, enlarged"
    page.click("dialog button:text-is('Complete it')")
    page.draw(2)
    yield "a completion"
    page.click(".segmented label:text-is('Interpolate')")
    page.click("button.primary")
    page.wait_for_selector(".stage")
    yield "an interpolation"
    page.open("#score")
    for label, model, file in (("A picture", "subclasses", noise("subclasses")), ("A sound", "free", sound)):
        page.click(f"label:text-is('{label}')")
        page.select_option("[data-param=model] select", model)
        page.upload(file, name=f"mine.{'wav' if file is sound else 'png'}")
        page.wait_for_selector(".score:nth-child(3) .bits, .score:nth-child(3) .hint")
        yield f"score {label.lower()}"
    page.open("#jobs")
    yield "jobs"
    page.open("#models")
    yield "models"
    page.context.set_offline(True)
    page.click("nav a[href='#jobs']")
    page.wait_for_selector(".problem")
    yield "offline"
    page.context.set_offline(False)


def open_panels(page: Visit) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.wait_for_timeout(500)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_and_nothing_is_cut(
    server: Server, visit: Visiting, axe: str, scheme: str, width: int
) -> None:
    with visit(server, quiet=False, color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        for state in states(page, server):
            open_panels(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, state
            assert width > 390 or page.evaluate("cut()") == [], state
            page.evaluate(axe)
            found: dict[str, Any] = page.evaluate("axe.run()")
            problems = [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]]
            assert problems == [], (state, json.dumps(problems, indent=1))
        page.open("#prove")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


# The page in Debian's Firefox: the bytes and the pixels of HTTP, sound, and nothing on the console. It is driven by
# WebDriver BiDi: Playwright drives only a Firefox that it has patched itself.


SECONDS: Final = 120.0
"""The machine may be busy."""
_READY: Final = "WebDriver BiDi listening on "


class Firefox:
    """One window, and everything that it has requested and logged."""

    def __init__(self, socket: ClientConnection) -> None:
        self.requests: list[str] = []
        self.messages: list[str] = []
        self._socket = socket
        self._count = 0
        self._ask("session.new", capabilities={})
        self._ask("session.subscribe", events=["network.beforeRequestSent", "log.entryAdded"])
        self._ask("script.addPreloadScript", functionDeclaration=f"() => {{ {FIRST_SOUND} }}")
        self._window = self._ask("browsingContext.getTree")["contexts"][0]["context"]

    def open(self, url: str) -> None:
        """Load a page."""
        self._ask("browsingContext.navigate", context=self._window, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression: a string, a number, or anything else as JSON."""
        target = {"context": self._window}
        script = f"(async () => JSON.stringify(await ({expression}) ?? null))()"
        found = self._ask("script.evaluate", expression=script, target=target, awaitPromise=True)
        assert found["type"] == "success", found
        return json.loads(found["result"]["value"])

    def until(self, expression: str, seconds: float = SECONDS) -> Any:
        """The value of an expression, once it is true."""
        deadline = time.monotonic() + seconds
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)
        return found

    def click(self, selector: str) -> None:
        """A real click, since browsers allow sound only after one."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{found}.scrollIntoView({{ block: 'center' }})")
        x, y = self.evaluate(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({found}.getBoundingClientRect())")
        move = {"type": "pointerMove", "x": round(x), "y": round(y)}
        press = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        actions = [{"type": "pointer", "id": "mouse", "actions": [move, *press]}]
        self._ask("input.performActions", context=self._window, actions=actions)

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._socket.recv(SECONDS))
            if told.get("method") == "network.beforeRequestSent":
                self.requests.append(told["params"]["request"]["url"])
            elif told.get("method") == "log.entryAdded":
                self.messages.append(f"{told['params']['level']}: {told['params']['text']}")
            elif told.get("id") == self._count:
                assert told["type"] == "success", told
                result: dict[str, Any] = told["result"]
                return result


SHOWN = "document.querySelector('main h1')?.textContent"
PIXELS = "Array.from(document.querySelector('.shot canvas').getContext('2d').getImageData(0, 0, 12, 8).data)"


@contextmanager
def firefox(tmp_path: Path, host: str) -> Iterator[Firefox]:
    """A window; nothing is asked of another host, and nothing is said on the console."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("Firefox is not installed: apt-get install firefox-esr")
    # A sound device that stands for the missing one: without any, Firefox never starts an AudioContext.
    (tmp_path / "user.js").write_text('user_pref("media.cubeb.force_mock_context", true);\n')
    words = f"{path} --headless --no-remote --profile {tmp_path} --remote-debugging-port 0 about:blank".split()
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stderr is not None
            address = next(line for line in process.stderr if line.startswith(_READY)).removeprefix(_READY)
            with connect(f"{address.strip()}/session", max_size=None) as socket:
                found = Firefox(socket)
                yield found
        finally:
            process.kill()
    own = [url for url in found.requests if not url.startswith(("blob:", "data:", "about:"))]
    assert all(url.startswith(host) for url in own), own
    assert found.messages == []


@pytest.fixture
def window(server: Server, tmp_path: Path) -> Iterator[Firefox]:
    with firefox(tmp_path, server.url) as found:
        yield found


def test_the_bytes_and_the_pixels_of_http_in_firefox(server: Server, window: Firefox) -> None:
    text = "The birch canoe slid. " * 6
    window.open(f"{server.url}/#speak?model=tiny&voice=bob&seed=9&text={quote(text.strip())}")
    window.until(f"{SHOWN} === 'Speak'")
    window.click("button.primary")
    sha256 = window.until("document.querySelector('.stats[data-sha256]')?.dataset.sha256")
    window.until("window.soundAt")
    window.until("[...document.querySelectorAll('button')].some((one) => one.textContent === 'Play')")
    body = {"model": "tiny", "voice": "bob", "input": text.strip(), "response_format": "pcm", "seed": 9}
    expected = httpx.post(f"{server.url}/v1/audio/speech", json=body, timeout=60.0).content
    assert sha256 == hashlib.sha256(expected).hexdigest()
    assert re.search(r"Underruns\s*0\b", window.evaluate("document.querySelector('.figures').innerText"))
    for view in ("Score", "Jobs", "Models", "Draw"):
        window.open(f"{server.url}/#{view.lower()}?model=subclasses&prompt=owl&n=3&seed=4&temperature=0.9&guidance=1")
        window.until(f"{SHOWN} === '{view}'")
    window.click("button.primary")
    window.until("document.querySelector('.shot:nth-child(3):not(.growing)') !== null")
    colours = np.array(window.evaluate(PIXELS), np.uint8).reshape(8, 12, 4)
    assert np.array_equal(colours[..., :3], *draw(server, model="subclasses", prompt="owl", seed=4, temperature=0.9))
