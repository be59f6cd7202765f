"""Speak many rows with a server, a file each: ``python many.py rows.jsonl folder http://localhost:8000``.

A row is the body of a request to ``/v1/audio/speech``, and an ``id`` that names its file. After an interruption, even
``kill -9``, the same command goes on: it skips rows that have a file, and by the idempotency key of a row the server
finds the job that it has already. Needs ``pip install httpx2``; the environment's ``API_KEY`` is sent.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

IN_FLIGHT = 8


def answer(client: httpx2.Client, method: str, path: str, **request: Any) -> httpx2.Response:
    """The answer of the server, once it is there and has room, and the job has ended."""
    while True:
        try:
            found = client.request(method, path, **request)
            if (seconds := found.headers.get("retry-after")) is None:
                return found
        except httpx2.TransportError as error:
            print(f"{client.base_url}: {error!r}, trying again", file=sys.stderr)
            seconds = "2"
        time.sleep(float(seconds))


def save(client: httpx2.Client, folder: Path, row: dict[str, Any]) -> bool:
    """Write the file of a row, unless it exists; False if the row is refused."""
    path = folder / f"{quote(str(row['id']), safe='')}.{row.get('response_format', 'mp3')}"
    if path.exists():
        return True
    key = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()
    body = {"seed": int(key[:12], 16), **{name: value for name, value in row.items() if name != "id"}}
    headers = {"prefer": "respond-async", "idempotency-key": key}
    while (found := answer(client, "POST", "/v1/audio/speech", json=body, headers=headers)).is_success:
        job = found.headers["location"]
        found = answer(client, "GET", f"{job}/content")
        if found.status_code != httpx2.codes.NOT_FOUND:  # else it has expired, or was lost with a Redis
            break
    if not found.is_success:
        print(f"{row['id']}: {found.text}", file=sys.stderr)
        return False
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(found.content)
    part.replace(path)
    answer(client, "DELETE", job)
    return True


if __name__ == "__main__":
    rows, folder = [*map(json.loads, Path(sys.argv[1]).read_bytes().splitlines())], Path(sys.argv[2])
    if len({str(row["id"]) for row in rows}) < len(rows):
        sys.exit("Two rows have one id.")
    folder.mkdir(parents=True, exist_ok=True)
    key = {"authorization": f"Bearer {os.environ.get('API_KEY', 'unused')}"}
    with httpx2.Client(base_url=sys.argv[3], headers=key, timeout=60) as client, ThreadPoolExecutor(IN_FLIGHT) as pool:
        sys.exit(not all([*pool.map(partial(save, client, folder), rows)]))
