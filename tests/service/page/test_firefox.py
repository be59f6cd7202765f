"""The page in Debian's Firefox: the bytes and the pixels of HTTP, sound, and nothing on the console. It is driven by
WebDriver BiDi: Playwright drives only a Firefox that it has patched itself."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.service.images.pictures import draw
from tests.service.page.browser import FIRST_SOUND
from tests.service.servers import Server

pytestmark = pytest.mark.slow

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

    def until(self, expression: str) -> Any:
        """The value of an expression, once it is true."""
        deadline = time.monotonic() + SECONDS
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


@pytest.fixture
def window(server: Server, tmp_path: Path) -> Iterator[Firefox]:
    """Nothing is asked of another host, and nothing is said on the console."""
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
    assert all(url.startswith(server.url) for url in own), own
    assert found.messages == []


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
