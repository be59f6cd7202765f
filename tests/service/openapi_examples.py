"""Plays the exchanges of service/api/http/examples.json against real servers, and records their answers anew.

``python -m tests.service.openapi_examples`` starts the servers and rewrites the file. It is needed after a change of
messages, fields or bundled models.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from ancestral import models
from ancestral.service.api.http.auth import digest, new_key
from ancestral.service.api.http.examples import EXAMPLES_FILE, Exchange
from tests.service.processes import redis_of
from tests.service.support import Server, running

BUNDLED: Final = Path(models.__file__).with_name("zoo")
BACKGROUND: Final = "As a job of many minutes"
"""The exchange whose job nobody waits for."""
_LONGEST_TEXT: Final = 1000
"""What is longer is cut."""
_KEYS: Final = {name: new_key() for name in ("free", "limited")}
_KEY_OF: Final = {429: "limited", 503: "free"}
"""The key that a request needs to be refused so."""
_CONTENT: Final = {
    413: ("application/json", {"content": b" " * 300_000}),
    415: ("text/plain", {"content": b"Hello."}),
}
"""Content type and body that are refused so."""


@dataclass(frozen=True)
class Servers:
    """The servers that an exchange may need."""

    bundled: str
    """With the bundled models."""
    refusing: str
    """Needs a key, and has no worker."""
    away: str
    """Has no Redis."""

    def url(self, status: int, operation: str) -> str:
        """The server that answers with this status."""
        if status in (401, 429) or (status == 503 and "/v1/jobs" not in operation and "/files/" not in operation):
            return self.refusing
        return self.away if status == 503 else self.bundled


@contextmanager
def bundled_server(environment: Mapping[str, str]) -> Iterator[Server]:
    """With the bundled models and small limits; it logs probes as well."""
    settings = {"max_body_bytes": 100_000, "max_upload_bytes": 200_000, "log_level": "debug"}
    with running(dict(environment), models_dir=str(BUNDLED), **settings) as server:
        yield server


@contextmanager
def all_servers(environment: Mapping[str, str], bundled: Server) -> Iterator[Servers]:
    """The two servers that refuse, beside one that has been started."""
    with TemporaryDirectory() as directory, ExitStack() as stack:
        keys = Path(directory) / "keys"
        limits = {"free": "", "limited": "requests_per_minute=1"}
        keys.write_text("".join(f"{name} {digest(key).hex()} {limits[name]}\n" for name, key in _KEYS.items()))
        path = redis_of(bundled).connection_pool.connection_kwargs["path"]
        urls = [bundled.url]
        for settings in (
            {"redis_url": f"unix://{path}?db=1", "api_keys_file": str(keys)},  # a database without a worker
            {"redis_url": "redis://127.0.0.1:1/0"},
        ):
            server = running(
                dict(environment), "--no-worker", until="not ready yet", models_dir=str(BUNDLED), **settings
            )
            urls.append(stack.enter_context(server).url)
        yield Servers(*urls)


class Player:
    """Sends exchanges in order; ids and tokens that were recorded are replaced by those of this run."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._first: dict[str, Exchange] = {}
        self._live: dict[str, str] = {}
        """What has taken the place of a recorded id or token."""

    def play(self, exchange: Exchange) -> httpx.Response:
        """Send a request, and remember the ids in its response."""
        first = self._first.setdefault(exchange.operation, exchange)
        method, template = exchange.operation.split(" ")
        url = self._servers.url(exchange.status, exchange.operation) + self._now(template.format(**exchange.path))
        query = {name: self._now(value) for name, value in exchange.query.items()}
        headers, body = dict(exchange.headers), _body(exchange, first)
        if exchange.status in _KEY_OF:
            headers["authorization"] = f"Bearer {_KEYS[_KEY_OF[exchange.status]]}"
        elif exchange.status in _CONTENT:
            headers["content-type"], body = _CONTENT[exchange.status]
        response = httpx.request(method, url, params=query, headers=headers, timeout=60.0, **body)
        if exchange.status == 429:  # the first request within the limit is not refused
            response = httpx.request(method, url, params=query, headers=headers, timeout=60.0, **body)
        if exchange.job is not None:
            self._live[exchange.job] = job_of(response)
        if exchange.token is not None:
            self._live[exchange.token] = token_of(response)
        if response.status_code == 202 and exchange.name != BACKGROUND:
            job = f"{self._servers.bundled}{response.headers['location']}/events"
            assert httpx.get(job, timeout=60.0).status_code == 200
        return response

    def _now(self, text: str) -> str:
        for recorded, live in self._live.items():
            text = text.replace(recorded, live)
        return text


def job_of(response: httpx.Response) -> str:
    """The id of the job of a response."""
    return response.headers["x-job-id"]


def token_of(response: httpx.Response) -> str:
    """The token in the URLs of a response."""
    return response.text.partition("token=")[2].partition('"')[0]


def _body(exchange: Exchange, first: Exchange) -> dict[str, Any]:
    changes, base = (exchange.changes, first) if exchange.changes is not None else ({}, exchange)
    if base.json is not None:
        return {"json": {**base.json, **changes}}
    if base.form is not None:
        return {"data": {**base.form, **changes}, "files": {base.file_field: base64.b64decode(base.file or "")}}
    return {}


def cut(value: Any) -> Any:
    """JSON with long lists and files in base64 cut, to be shown."""
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[:40]}…"
    if isinstance(value, dict):
        return {name: cut(part) for name, part in value.items()}
    return [cut(part) for part in value[:2]] if isinstance(value, list) else value


def is_json(response: httpx.Response) -> bool:
    """Whether the body is JSON."""
    return bool(response.content) and response.headers["content-type"] == "application/json"


def record(servers: Servers) -> None:
    """Play all exchanges, and write down their responses."""
    listed: list[dict[str, Any]] = json.loads(EXAMPLES_FILE.read_text())
    player, manifest = Player(servers), None
    replaced: dict[str, str] = {}
    for fields in listed:
        if fields["operation"] == "POST /v1/verify" and "json" in fields:
            fields["json"] = manifest
        exchange = Exchange(**fields)
        response = player.play(exchange)
        assert response.status_code == exchange.status, (exchange, response.text[:500])
        if exchange.job is not None:
            replaced[exchange.job] = job_of(response)
        if exchange.token is not None:
            replaced[exchange.token] = token_of(response)
        if is_json(response):
            fields["response"] = cut(response.json())
            if exchange.operation.endswith("/manifest") and exchange.status == 200:
                manifest = response.json()
    text = "[\n" + ",\n".join(json.dumps(fields, ensure_ascii=False) for fields in listed) + "\n]\n"
    for recorded, live in replaced.items():
        text = text.replace(recorded, live)
    EXAMPLES_FILE.write_text(text.replace(servers.bundled, "http://localhost:8000"))


if __name__ == "__main__":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANCESTRAL_")}
    with bundled_server(clean) as started, all_servers(clean, started) as servers:
        record(servers)
