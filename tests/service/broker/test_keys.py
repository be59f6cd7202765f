"""The list of Redis keys in the broker's docstring is complete, and true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import httpx
from redis import Redis
from redis.exceptions import RedisError

from ancestral_service import broker
from ancestral_service.broker import job
from tests.service.redis_servers import lone_server
from tests.service.servers import Serve
from tests.service.speech.sounds import recording
from tests.service.toys import ASYNC
from tests.service.ws_client import begun
from tests.waiting import eventually

KEY = r"ancestral:(?:\{\d+\}:)?(\w+)"
LIST = (broker.__doc__ or "").partition("The life of a job")[0]
LISTED = {
    kind: (of_type, life)
    for kind, of_type, life in re.findall(r"^    (\w+)\S*\s+([a-z ]+)(?:, ([^:]+))?: ", LIST, re.MULTILINE)
}
"""The type and the lifetime of each kind of key."""
SECONDS = {"two days": 172_800, "with the job": 172_800, "a day": 86_400, "a minute": 60, "15 s": 15, "6 s": 6}
WITHOUT_END = ("while in use", "for ever")
OF_A_CLUSTER = {"enrolled", "enrolled_until"}
STAYING = LISTED.keys() - OF_A_CLUSTER - {"control", "draft", "drafting", "ingredient", "input", "waiting"}
"""What can be looked at; the others are there for a moment, or not at all."""


@contextmanager
def monitored(redis: Redis) -> Iterator[set[str]]:
    """The kinds of keys that Redis is asked for meanwhile."""
    seen = set[str]()

    def listen() -> None:
        with suppress(RedisError, OSError, ValueError):  # until the connection is closed
            for command in monitor.listen():
                seen.update(re.findall(KEY, command["command"]))

    with redis.monitor() as monitor:
        Thread(target=listen, daemon=True).start()
        yield seen


def kept(redis: Redis) -> dict[str, tuple[str, int]]:
    """The type and the seconds to live of a key of each kind, of those that are there."""
    found = {}
    for name in redis.scan_iter():
        if match := re.match(KEY, name.decode()):
            found[match[1]] = redis.type(name).decode().replace("zset", "sorted set"), redis.ttl(name)
    return found


def test_every_kind_of_key_is_listed() -> None:
    assert LISTED.keys() == {*job._OWNED_BY, *job._SHARED, "session", "seeds"}


def test_keys_are_what_the_list_says(serve: Serve) -> None:
    with (
        lone_server() as (url, _),
        Redis.from_url(url) as redis,
        monitored(redis) as seen,
        serve(redis_url=url, provenance_key="k" * 32, requests_per_minute=1000) as server,
    ):
        job = server.speak({"idempotency-key": "k"}).headers["x-job-id"]
        assert httpx.get(f"{server.url}/v1/jobs/{job}/content").is_success
        server.speak(ASYNC, input="It was late. " * 300)
        form = {"data": {"model": "free", "voice": "ann"}, "files": {"file": ("a.wav", recording(20.0))}}
        httpx.post(f"{server.url}/v1/audio/likelihood", headers=ASYNC, **form, timeout=60)
        found = dict[str, tuple[str, int]]()
        with begun(server):
            eventually(lambda: found.update(kept(redis)) or found.keys() >= STAYING)
        assert seen == LISTED.keys() - OF_A_CLUSTER
    for kind, (of_type, seconds) in found.items():
        listed, life = LISTED[kind]
        assert of_type == listed, kind
        assert (seconds == -1) == life.startswith(WITHOUT_END), (kind, seconds)
        longest = [most for name, most in SECONDS.items() if life.startswith(name)]
        assert not longest or seconds <= longest[0], (kind, seconds)
