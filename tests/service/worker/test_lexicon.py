"""The text front-end runs in API processes only: workers get phonemes."""

from __future__ import annotations

import os
from pathlib import Path

import httpx

from tests.service.speech.likelihood_requests import recording
from tests.service.support import Server

_GUESSER = "pycrfsuite"
"""The compiled module that guesses how words sound that are not in the lexicon."""


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in _descendants(child)]


def _maps(pid: int, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()


def test_a_worker_never_loads_it(server: Server) -> None:
    words = "Zyxquoth brillig slithyish toves."
    assert server.speak(input=words).status_code == 200
    form = {"model": "tiny", "voice": "ann", "text": words}
    httpx.post(f"{server.url}/v1/audio/likelihood", data=form, files={"file": ("a.wav", recording())}, timeout=60)
    below = _descendants(server.process.pid)
    workers = [pid for pid in below if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    assert workers, "the server has a worker"
    assert _maps(server.process.pid, _GUESSER), "the words had to be guessed"
    assert not any(_maps(pid, _GUESSER) for pid in workers if pid != os.getpid())
