"""Two hundred requests, sixteen at a time: each gets what it would have got alone, and all of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ancestral.codecs import MEDIA_TYPES
from tests.service.servers import Serve
from tests.service.toys import SPEECH, VOICES

REQUESTS, AT_A_TIME = 200, 16
_ENDS = ("slid.", "slid on. And off!", "slid past a rather long row of houses.", "did not slide; it was late.")


def order(number: int) -> dict[str, Any]:
    """No two of the requests are the same."""
    return SPEECH | {
        "input": f"Canoe number {number} {_ENDS[number % len(_ENDS)]}",
        "voice": VOICES[number // 2 % len(VOICES)],
        "seed": number // 3,
        "response_format": list(MEDIA_TYPES)[number % len(MEDIA_TYPES)],
        "speed": (1.0, 0.5, 2.0)[number // 5 % 3],
    }


@pytest.mark.slow
def test_nobody_gets_anything_of_anybody_else(serve: Serve) -> None:
    orders = [order(number) for number in range(REQUESTS)]
    with serve(interactive_slots=AT_A_TIME, max_queued_streams=AT_A_TIME) as server, server.client() as client:

        def body(wanted: dict[str, Any]) -> bytes:
            response = client.post("/v1/audio/speech", json=wanted)
            assert response.status_code == 200, response.text
            return response.content

        alone = [body(wanted) for wanted in orders]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            together = list(pool.map(body, orders))
        again = body(orders[0])
    assert len(set(alone)) == REQUESTS
    assert [number for number in range(REQUESTS) if together[number] != alone[number]] == []
    assert again == alone[0]
