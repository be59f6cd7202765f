"""Debian's Firefox, by WebDriver BiDi: Playwright drives only a Firefox that it has patched itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.sync.client import ClientConnection, connect

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
        self._window = self._ask("browsingContext.getTree")["contexts"][0]["context"]

    def open(self, url: str, hook: str = "") -> None:
        """Load a page; `hook` is run before its scripts."""
        if hook:
            self._ask("script.addPreloadScript", functionDeclaration=f"() => {{ {hook} }}")
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


@contextmanager
def firefox() -> Iterator[Firefox]:
    """A browser; the test is skipped where there is none."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        pytest.skip("Firefox is not installed: apt-get install firefox-esr")
    with tempfile.TemporaryDirectory(prefix="anc-", ignore_cleanup_errors=True) as profile:
        # A sound device that stands for the missing one: without any, Firefox never starts an AudioContext.
        Path(profile, "user.js").write_text('user_pref("media.cubeb.force_mock_context", true);\n')
        words = [path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            try:
                assert process.stderr is not None
                address = next(line for line in process.stderr if line.startswith(_READY)).removeprefix(_READY)
                with connect(f"{address.strip()}/session", max_size=None) as socket:
                    yield Firefox(socket)
            finally:
                process.kill()
