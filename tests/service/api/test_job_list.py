"""`GET /v1/jobs`: every caller's own jobs, in pages."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.service.api.envelope import check_envelope
from tests.service.api.job_requests import FIELDS, NOBODY, url
from tests.service.servers import Server
from tests.service.toys import ASYNC, GENERATION


def test_each_caller_has_jobs_of_their_own(keyed: Server, keys: dict[str, str]) -> None:
    ann, bob = ({"authorization": f"Bearer {keys[name]}"} for name in ("jobs-ann", "jobs-bob"))
    made = [submit_as(keyed, ann, duration=0.1) for _ in range(5)]
    theirs = submit_as(keyed, bob)
    for job in (*made, theirs):
        keyed.ended(job, headers=bob if job == theirs else ann)
    assert pages(keyed, ann, 2) == [made[:2:-1], made[2:0:-1], made[:1]]
    assert pages(keyed, bob, 100) == [[theirs]]
    for method, part in (
        ("GET", ""), ("GET", "/content"), ("HEAD", "/content"), ("GET", "/events"), ("GET", "/manifest"),
        ("POST", "/cancel"), ("DELETE", ""),
    ):  # fmt: skip
        response = httpx.request(method, url(keyed, theirs, part), headers=ann)
        assert response.status_code == 404
        assert httpx.request(method, url(keyed, theirs, part)).status_code == 401
    assert httpx.get(f"{keyed.url}/v1/jobs").status_code == 401
    listing = httpx.get(f"{keyed.url}/v1/jobs", params={"after": theirs}, headers=ann)
    check_envelope(listing, 404, "after")
    assert httpx.get(url(keyed, theirs), headers=bob).json()["status"] == "completed"


def submit_as(server: Server, headers: dict[str, str], **changes: Any) -> str:
    response = httpx.post(
        f"{server.url}/v1/audio/generations", json=GENERATION | changes, headers=headers | ASYNC, timeout=60
    )
    job: str = response.json()["id"]
    return job


def pages(server: Server, headers: dict[str, str], limit: int) -> list[list[str]]:
    """The ids of every page of the list."""
    found, after = [], None
    while True:
        params = {"limit": limit} | ({"after": after} if after else {})
        page = httpx.get(f"{server.url}/v1/jobs", params=params, headers=headers).json()
        assert page["object"] == "list"
        ids = [job["id"] for job in page["data"]]
        assert (page["first_id"], page["last_id"]) == (ids[0], ids[-1])
        assert all(set(job) == FIELDS for job in page["data"])
        found.append(ids)
        after = page["last_id"]
        if not page["has_more"]:
            return found


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ("limit=0", 400, "limit"),
        ("limit=101", 400, "limit"),
        ("limit=many", 400, "limit"),
        ("after=x", 400, "after"),
        (f"after={NOBODY}", 404, "after"),
        ("limt=1", 400, "limt"),
    ],
)
def test_a_wrong_question_about_the_list(server: Server, query: str, status: int, param: str) -> None:
    check_envelope(httpx.get(f"{server.url}/v1/jobs?{query}"), status, param)
