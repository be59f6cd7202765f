"""What a server does while its Redis takes nothing."""

from __future__ import annotations

import httpx

from tests.chaos.support import SECONDS, House, order
from tests.service.api.envelope import check_envelope
from tests.service.toys import ASYNC


def check_that_nothing_is_taken(house: House) -> None:
    """What clients hear while Redis is unavailable, or keeps nothing."""
    for api in house.apis:
        assert httpx.get(f"{api.url}/healthz", timeout=SECONDS).status_code == 200
        check_envelope(httpx.get(f"{api.url}/readyz", timeout=SECONDS), 503, None)
        for headers in ({}, ASYNC, {"idempotency-key": "away"}):
            refused = httpx.post(f"{api.url}/v1/audio/speech", json=order(0), headers=headers, timeout=SECONDS)
            check_envelope(refused, 503, None)
            assert int(refused.headers["retry-after"]) >= 1
