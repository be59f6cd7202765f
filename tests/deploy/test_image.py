"""The Dockerfile and what it copies, as far as that can be seen without building it."""

import json
import re
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ancestral.service.settings import PREFIX
from tests.deploy.support import ROOT, UID, run_tool, settings

PROBE = ROOT / "deploy" / "container" / "probe.py"


def instructions(stage):
    """The instructions of one stage of the Dockerfile: word and arguments."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line.strip().partition(" ") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    own, found = False, []
    for word, _, rest in lines:
        if word == "FROM":
            own = rest.endswith(f" AS {stage}")
        elif own:
            found.append((word, rest.strip()))
    assert found, stage
    return found


def environment(stage):
    """The variables that a stage sets."""
    words = [word for name, rest in instructions(stage) if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def is_sent(path):
    """Whether .dockerignore lets a path at the top through, whatever it says of what lies deeper."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert patterns[0] == "*"
    kept = [pattern[1:].rstrip("/") for pattern in patterns if pattern[0] == "!"]
    return any(path == name or path.startswith(f"{name}/") for name in kept)


def test_hadolint_has_no_complaint():
    result = run_tool("hadolint", "Dockerfile")
    assert result.returncode == 0, result.stdout


def test_it_does_not_run_as_root():
    runtime = instructions("runtime")
    assert ("USER", f"{UID}:{UID}") in runtime
    after = runtime[runtime.index(("USER", f"{UID}:{UID}")) + 1 :] + instructions("cpu") + instructions("gpu")
    assert not {"RUN", "USER"} & {word for word, _ in after}


def test_what_it_copies_is_there_and_is_sent_to_the_builder():
    for stage in ("build", "runtime"):
        for word, rest in instructions(stage):
            if word == "COPY":
                sources = [source for source in rest.split()[:-1] if not source.startswith("--")]
                assert sources
                for source in sources:
                    assert (ROOT / source).exists(), source
                    assert is_sent(source.rstrip("/")), source


def test_nothing_else_is_sent():
    for path in (".git", ".venv", "data", "shared", "tests", "docs"):
        assert not is_sent(path)


def test_its_environment_means_something():
    variables = environment("runtime")
    own = settings({name: value for name, value in variables.items() if name.startswith(PREFIX)})
    assert own.host == "0.0.0.0"
    assert ("EXPOSE", str(own.port)) in instructions("runtime")
    (volumes,) = [json.loads(rest) for word, rest in instructions("runtime") if word == "VOLUME"]
    assert {str(own.data_dir), variables["NUMBA_CACHE_DIR"]} == set(volumes)


def test_its_locks_are_there():
    for kind in ("cpu", "gpu"):
        assert ("RUN", f"assemble {kind}") in instructions(f"build-{kind}")
        assert (ROOT / "requirements" / f"{kind}.txt").exists()


class Answering(BaseHTTPRequestHandler):
    """Is well on one path alone."""

    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def port():
    """Of a server that answers."""
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


def probe(*arguments, **environment):
    command = [sys.executable, str(PROBE), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, timeout=30).returncode


def test_the_probe_tells_well_from_unwell(port):
    assert probe("/healthz", str(port)) == 0
    assert probe("/healthz", ANCESTRAL_PORT=str(port)) == 0
    assert probe("/readyz", str(port)) == 1


def test_the_probe_tells_that_nobody_answers():
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        closed = server.server_port
    assert probe("/healthz", str(closed)) == 1
