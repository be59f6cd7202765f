"""``examples/many.py`` against a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.paths import ROOT
from tests.service.servers import Server
from tests.waiting import eventually

ROWS = [
    {"id": f"{n}/{n}", "model": "tiny", "voice": "ann", "input": "It was late. " * (60 if n > 3 else 1)}
    | {"response_format": "wav" if n % 2 else "flac"}
    for n in range(12)
]
"""The last ones take seconds. More than are requested at a time."""


def many(server: Server, rows: list[dict[str, Any]], folder: Path) -> subprocess.Popen[str]:
    (file := folder.with_suffix(".jsonl")).write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, str(ROOT / "examples/many.py"), str(file), str(folder), server.url]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".part"}


def test_many_rows_survive_a_kill_with_the_same_bytes(server: Server, tmp_path: Path) -> None:
    folder, before = tmp_path / "rows", len(server.log)
    with many(server, ROWS, folder) as first:
        eventually(lambda: folder.exists() and files(folder))
        first.kill()
    assert 0 < len(files(folder)) < len(ROWS)
    with many(server, ROWS, folder) as second:
        assert second.wait(240) == 0
    assert files(folder).keys() == {f"{n}%2F{n}.{'wav' if n % 2 else 'flac'}" for n in range(12)}

    def submissions() -> list[str]:
        requests = [line for line in server.log[before:] if line["message"] == "request"]
        return [line["job"] for line in requests if line["route"] == "/v1/audio/speech"]

    jobs = submissions()
    assert len(set(jobs)) == len(ROWS) < len(jobs)  # what was in progress has been found again
    assert {httpx.get(f"{server.url}/v1/jobs/{job}").status_code for job in jobs} == {404}
    with many(server, ROWS, tmp_path / "again") as third:
        assert third.wait(240) == 0
    assert len({*submissions()}) == 2 * len(ROWS)
    assert files(tmp_path / "again") == files(folder)


def test_a_row_that_is_refused_is_named_and_stops_no_other(server: Server, tmp_path: Path) -> None:
    rows = [ROWS[0], ROWS[1] | {"voice": "nobody"}, ROWS[2]]
    with many(server, rows, tmp_path / "rows") as process:
        _, said = process.communicate(timeout=240)
    assert process.returncode == 1
    assert said.startswith('1/1: {"error":{"message":"voice: ')
    assert files(tmp_path / "rows").keys() == {"0%2F0.flac", "2%2F2.flac"}
    with many(server, [ROWS[0], ROWS[0]], tmp_path / "rows") as process:
        assert process.wait(60) == 1
