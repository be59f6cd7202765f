"""`ancestral serve` as its operator sees it: lines and a banner on a terminal, quiet probes, Ctrl-C twice."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ancestral.catalog.catalog import Catalog, CatalogConfig, load_catalog
from ancestral.service.cli.local.banner import address_of, banner
from tests.service.servers import ServeProcess, Server, command
from tests.service.toys import SPEECH

SECONDS = 480.0
"""Kernels may have to be compiled first, on a busy machine."""


class Terminal:
    """A process with a terminal for its standard error, and the text that it has shown."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process = process
        self.text = ""
        self._descriptor = descriptor
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                self.text += os.read(self._descriptor, 65536).decode(errors="replace").replace("\r\n", "\n")
            except OSError:  # EIO: nobody has the other end open any more
                return

    def shows(self, words: str) -> None:
        deadline = time.monotonic() + SECONDS
        while words not in self.text:
            assert time.monotonic() < deadline, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.05)

    def close(self) -> None:
        self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        os.close(self._descriptor)


@contextmanager
def on_a_terminal(environment: dict[str, str], data: Path, **settings: str) -> Iterator[Terminal]:
    """`ancestral serve` on a free port with a terminal, until the block ends."""
    ours, theirs = pty.openpty()
    own = {"ANCESTRAL_DATA_DIR": str(data), "TERM": "xterm"} | settings
    process = subprocess.Popen(command("serve", "--port", "0"), env=environment | own, stderr=theirs)
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        process.terminate()
        terminal.close()


def test_a_terminal_shows_lines_and_a_banner(environment: dict[str, str], tmp_path: Path) -> None:
    with on_a_terminal(environment, tmp_path) as terminal:
        terminal.shows("Ctrl-C stops the server.")
        plain = re.sub(r"\x1b\[\d+m", "", terminal.text)
        assert re.search(r"\d\d  info     worker ready ", plain)  # the worker logs text, too
        address = re.search(r"Ancestral is ready: (http://127\.0\.0\.1:\d+)\n", plain)
        assert address is not None
        example = re.search(r"  curl (.*?) \\\n(.*)\n", plain)
        assert example is not None
        url, _, output, _, header, _, body = shlex.split(f"{example[1]} {example[2]}")
        assert (url, output) == (f"{address[1]}/v1/audio/speech", "hello.wav")
        made = httpx.post(url, content=body, headers=[tuple(header.split(": "))], timeout=60.0)
        assert made.status_code == 200
        assert made.content.startswith(b"RIFF")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(60) == 0
    assert "Traceback" not in terminal.text


def test_json_on_a_terminal(environment: dict[str, str], tmp_path: Path) -> None:
    with on_a_terminal(environment, tmp_path, ANCESTRAL_LOG_FORMAT="json") as terminal:
        terminal.shows('"message": "ready"}\n')
    lines = [json.loads(line) for line in terminal.text.splitlines()]  # so there is no banner
    assert {"listening", "worker ready", "ready", "stopped"} <= {line["message"] for line in lines}


def test_no_access_lines_of_probes(server: Server) -> None:
    before = len(server.log)
    with server.client() as client:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert client.get(path, headers={"x-request-id": "a-probe"}).status_code == 200
        assert client.get("/v1/models", headers={"x-request-id": "no-probe"}).status_code == 200
    deadline = time.monotonic() + SECONDS
    while not (logged := {line.get("request_id") for line in server.log[before:]}) >= {"no-probe"}:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "a-probe" not in logged


def test_a_probe_that_fails_is_logged(environment: dict[str, str], tmp_path: Path) -> None:
    settings = environment | {"ANCESTRAL_REDIS_URL": f"unix://bob:secret@{tmp_path}/nowhere"}
    line = command("serve", "--no-worker", "--port", "0")
    with subprocess.Popen(line, env=settings, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = (json.loads(line) for line in process.stderr)
        port = next(line["port"] for line in lines if line["message"] == "listening")
        waiting = next(line for line in lines if line["message"] == "not ready yet")
        assert waiting["reason"] == "Redis is unavailable."
        assert waiting["redis"] == f"unix://bob:***@{tmp_path}/nowhere"
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60.0).status_code == 503
        request = next(line for line in lines if line["message"] == "request")
        assert (request["route"], request["status"]) == ("/readyz", 503)
        process.terminate()
        assert not [line for line in lines if "traceback" in line]
    assert process.returncode == 0


def test_a_second_ctrl_c_cancels_requests(serve_process: ServeProcess) -> None:
    endless = SPEECH | {"input": "The birch canoe slid on. " * 160, "speed": 0.25, "sample_rate": 48000}
    with serve_process(shutdown_seconds=600) as server, server.client() as client:
        with client.stream("POST", "/v1/audio/speech", json=endless) as response:
            assert response.status_code == 200
            body = response.iter_raw()
            next(body)
            server.process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + SECONDS
            while not any(line["message"] == "stopping" for line in server.log):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert server.process.poll() is None
            assert server.stop(signal.SIGINT) == 0
            with pytest.raises(httpx.TransportError):
                for _ in body:
                    pass
        deadline = time.monotonic() + SECONDS
        while not any(line["message"] == "worker stopping" for line in server.log):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert not [line for line in server.log if "traceback" in line or "Traceback" in line["message"]]


def test_a_busy_port_names_its_setting(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command("serve"), env=environment | {"ANCESTRAL_PORT": port}, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"port {port}: Address already in use; ANCESTRAL_PORT takes another" in done.stderr


@pytest.fixture(scope="module")
def catalog(zoo: Path) -> Catalog:
    return load_catalog(CatalogConfig((zoo,)))


def show(
    catalog: Catalog,
    *names: str,
    host: str = "127.0.0.1",
    page: bool = True,
    keys: bool = False,
    colours: bool = False,
) -> str:
    chosen = Catalog({name: catalog.models[name] for name in names})
    return banner(chosen, address_of(host, 8000), page=page, keys=keys, colours=colours)


def test_a_banner_lists_the_models(catalog: Catalog) -> None:
    text = show(catalog, "tiny", "free", "grey")
    assert "  tiny  speech, voices ann, bob\n" in text
    assert "  free  sound without text, voices ann, bob\n" in text
    assert "  grey  pictures, 5x6 pixels\n" in text
    assert "http://127.0.0.1:8000/docs" in text
    assert "\x1b" not in text
    assert "\x1b[1mAncestral is ready" in show(catalog, "tiny", colours=True)


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"), ("10.1.2.3", "http://10.1.2.3:8000")],
)
def test_a_banner_has_an_address_that_can_be_opened(catalog: Catalog, host: str, url: str) -> None:
    assert f"is ready: {url}\n" in show(catalog, "tiny", host=host)


def test_a_banner_has_the_address_of_the_page(catalog: Catalog) -> None:
    assert "  Page               http://127.0.0.1:8000/\n" in show(catalog, "tiny")
    assert "Page" not in show(catalog, "tiny", page=False)


def test_a_banner_says_where_the_key_goes(catalog: Catalog) -> None:
    assert 'authorization: Bearer $KEY"' in show(catalog, "tiny", keys=True)
    assert "authorization" not in show(catalog, "tiny")


@pytest.mark.parametrize("name", ["free", "subclasses", "grey"])
def test_the_example_of_a_banner_works(catalog: Catalog, server: Server, name: str) -> None:
    example = re.search(r"  curl (.*?) \\\n(.*)\n", show(catalog, name))
    assert example is not None
    url, *_, body = shlex.split(f"{example[1]} {example[2]}")
    path = url.removeprefix("http://127.0.0.1:8000")
    answer = httpx.post(server.url + path, content=body, headers={"content-type": "application/json"}, timeout=60.0)
    assert answer.status_code == 200, answer.text
