"""`WS /v1/images/stream`: cancelling, one request at a time, overload and lost connections."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.service.images.pictures import draw, same
from tests.service.images.websocket_client import watching
from tests.service.servers import Serve, Server
from tests.service.slow_reader import reading_slowly
from tests.service.ws_client import SECONDS


@pytest.fixture(scope="module")
def narrow(serve: Serve) -> Iterator[Server]:
    """A server whose one slot can be kept busy: what is asked for meanwhile has to wait."""
    with serve(interactive_slots=1, max_queued_streams=1) as own:
        yield own


def status(server: Server, job: str) -> str:
    found: str = httpx.get(f"{server.url}/v1/jobs/{job}").json()["status"]
    return found


def test_it_can_be_cancelled(narrow: Server) -> None:
    with watching(narrow) as watch:
        with reading_slowly(narrow):
            watch.generate(n=10)
            job = watch.told()["job"]
            assert status(narrow, job) == "queued"
            watch.say("image.cancel")
            assert watch.told() == {"type": "image.cancelled"}
            assert status(narrow, job) == "cancelled"
            watch.say("image.cancel")
            assert watch.error()["code"] == "wrong_order"
        watch.generate()
        assert same(watch.pictures(), draw(narrow))


def test_one_request_at_a_time(narrow: Server) -> None:
    with watching(narrow) as watch:
        with reading_slowly(narrow):
            watch.generate()
            assert watch.told()["type"] == "image.start"
            watch.generate(seed=8)
            assert watch.error()["code"] == "wrong_order"
        rows = b""
        while isinstance(message := watch.connection.recv(timeout=SECONDS), bytes):
            rows += message
        assert json.loads(message)["type"] == "image.done"
        assert rows == draw(narrow)[0].tobytes()


def test_somebody_else_cancels_it(narrow: Server) -> None:
    with watching(narrow) as watch, reading_slowly(narrow):
        watch.generate()
        job = watch.told()["job"]
        assert httpx.post(f"{narrow.url}/v1/jobs/{job}/cancel").status_code == 200
        assert watch.told() == {"type": "image.cancelled"}


def test_overload_is_told(narrow: Server) -> None:
    with watching(narrow) as watch, watching(narrow) as other, reading_slowly(narrow):
        watch.generate()
        assert watch.told()["type"] == "image.start"
        other.generate()
        error = other.error()
        assert (error["code"], error["type"]) == ("overloaded", "rate_limit_error")
        assert error["retry_after"] >= 1
        watch.say("image.cancel")
        assert watch.told()["type"] == "image.cancelled"


@pytest.mark.parametrize("how", ["vanish", "close", "session.close", "errors"])
def test_who_leaves_ends_the_job(narrow: Server, how: str) -> None:
    with reading_slowly(narrow), watching(narrow) as watch:
        watch.generate(n=10)
        job = watch.told()["job"]
        assert status(narrow, job) == "queued"
        if how == "vanish":
            watch.vanish()
        elif how == "close":
            watch.connection.close()
        elif how == "session.close":
            watch.say("session.close")
            assert watch.closed() == 1000
        else:
            for _ in range(20):
                watch.connection.send("no")
            assert watch.closed() == 1008
        assert narrow.ended(job)["status"] == "cancelled"
    assert same(draw(narrow, n=2), draw(narrow, n=2))
