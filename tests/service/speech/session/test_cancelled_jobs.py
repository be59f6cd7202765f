"""A session whose job was cancelled while nobody was connected."""

from __future__ import annotations

import httpx

from tests.service.scrapes import Scrape
from tests.service.servers import Serve, Server
from tests.service.ws_client import LONG, eventually, small_window, talking

STREAMS = 2


def unfinished(server: Server) -> float:
    """Jobs that count against the limits of their owners."""
    now = Scrape()
    now.add(httpx.get(f"{server.url}/metrics").text)
    return now.of("ancestral_unfinished_jobs")


def test_a_cancelled_job_is_not_revived_when_its_session_is_resumed(serve: Serve) -> None:
    with serve(concurrent_streams=STREAMS) as server:
        for _ in range(STREAMS):
            with talking(server, sock=small_window(server)) as talk:
                talk.configure(speed=0.25)
                talk.say("input.text", text=LONG)
                talk.until_bytes(1000)
                (job,) = [each for each in _jobs(server) if each["status"] == "in_progress"]
                talk.vanish()
            assert eventually(lambda: unfinished(server) == 0)  # it is suspended
            cancelled = httpx.post(f"{server.url}/v1/jobs/{job['id']}/cancel")
            assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
            query = f"?session_id={talk.session['session_id']}&from_sample={len(talk.sound) // 2}"
            with talking(server, query) as talk:
                assert talk.error()["code"]
            assert unfinished(server) == 0
        assert server.speak().status_code == 200


def _jobs(server: Server) -> list[dict[str, str]]:
    found: list[dict[str, str]] = httpx.get(f"{server.url}/v1/jobs").json()["data"]
    return found
