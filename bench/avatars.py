"""What pictures of names cost a server that has drawn them: ``python -m bench.avatars``.

One client asks a real server with the bundled models for the pictures of a hundred names, ten times each over one
connection, and once more with the ETags that it has got. All values are wall-clock times as the client sees them.
"""

from __future__ import annotations

import http.client
import os
import time
from dataclasses import dataclass

import numpy as np

from bench.listeners import serving
from bench.report import Target, report, show

NAMES = [f"{number}@example.org" for number in range(100)]
ROUNDS = 10
TARGET_MS = 2.0


@dataclass(frozen=True)
class Row:
    """How long answers took."""

    requests: str
    count: int
    status: int
    p50_ms: float
    p95_ms: float


def ask(connection: http.client.HTTPConnection, name: str, etag: str | None) -> tuple[float, int, str, bytes]:
    """The picture of a name. Returns milliseconds, the status, the ETag and the bytes."""
    began = time.perf_counter()
    connection.request("GET", f"/v1/avatars/{name}.png", headers={} if etag is None else {"if-none-match": etag})
    response = connection.getresponse()
    data = response.read()
    return 1000 * (time.perf_counter() - began), response.status, response.headers["etag"], data


def main() -> None:
    """Print the table, and whether the target was met."""
    with serving() as port:
        if hasattr(os, "nice"):
            os.nice(5)  # the server is measured, not its client
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        first = [ask(connection, name, None) for name in NAMES]
        later = [ask(connection, name, None) for _ in range(ROUNDS - 1) for name in NAMES]
        unchanged = [ask(connection, name, etag) for name, (_, _, etag, _) in zip(NAMES, first, strict=True)]
        connection.close()
    assert [data for *_, data in later] == [data for *_, data in first] * (ROUNDS - 1), "other bytes"
    assert len({data for *_, data in first}) == len(NAMES), "two names with one picture"
    rows = [
        _row("the first of a name, which is drawn", first),
        _row("later ones", later),
        _row("with If-None-Match", unchanged),
    ]
    report("Pictures of names", rows)
    fits = [Target(row.requests, f"<= {TARGET_MS} ms", row.p50_ms, row.p50_ms <= TARGET_MS) for row in rows[1:]]
    show("Targets, medians", fits, 100)


def _row(requests: str, answers: list[tuple[float, int, str, bytes]]) -> Row:
    (status,) = {status for _, status, _, _ in answers}
    p50, p95 = (round(float(np.percentile([ms for ms, *_ in answers], share)), 2) for share in (50, 95))
    return Row(requests, len(answers), status, p50, p95)


if __name__ == "__main__":
    main()
