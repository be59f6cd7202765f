"""The text front-end runs in API processes only: workers get phonemes."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.service.servers import ServeProcess, process_of
from tests.service.speech.likelihood_requests import recording

_GUESSER = "pycrfsuite"
"""The compiled module that guesses how words sound that are not in the lexicon."""


def _maps(pid: int, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()


def test_a_worker_does_not_load_the_lexicon(
    serve_process: ServeProcess,
) -> None:
    words = "Zyxquoth brillig slithyish toves."
    with serve_process() as server:
        assert server.speak(input=words).status_code == 200
        form = {"model": "tiny", "voice": "ann", "text": words}
        httpx.post(f"{server.url}/v1/audio/likelihood", data=form, files={"file": ("a.wav", recording())}, timeout=60)
        assert _maps(server.process.pid, _GUESSER), "the words had to be guessed"
        assert not _maps(process_of(server, "worker"), _GUESSER)
