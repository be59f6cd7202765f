"""`ancestral serve --open`: a browser gets the address of the page, once the server is ready."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.service.servers import command, running

SECONDS = 60.0


def test_a_browser_is_opened(environment: dict[str, str], tmp_path: Path) -> None:
    """`BROWSER` names a command that stands for it."""
    script, opened = tmp_path / "browser.py", tmp_path / "opened"
    script.write_text(f"import pathlib, sys\npathlib.Path({str(opened)!r}).write_text(sys.argv[1])\n")
    browser = f"{shlex.join([sys.executable, str(script)])} %s"
    with running(environment | {"BROWSER": browser}, "--open") as server:
        deadline = time.monotonic() + SECONDS
        while not opened.exists() or not opened.read_text():
            assert time.monotonic() < deadline, server.log
            time.sleep(0.05)
        assert opened.read_text() == f"{server.url}/"
        assert "<title>Ancestral</title>" in httpx.get(opened.read_text()).text


def test_without_a_page_there_is_nothing_to_open(environment: dict[str, str]) -> None:
    own = environment | {"ANCESTRAL_PAGE": "off"}
    done = subprocess.run(
        command("serve", "--open", "--port", "0"), env=own, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "ANCESTRAL_PAGE is off" in done.stderr
