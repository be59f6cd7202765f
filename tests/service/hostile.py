"""What the fuzz tests send, and what they expect of every answer.

A request or message is valid but for a few changes. The schemas of ``/openapi.json`` and of the websockets' messages
are the oracle: what they do not allow must be refused, and a refusal names a field that was sent or is missing.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import httpx
from hypothesis import strategies as st

NO_FIELD: Final = frozenset(
    {
        "json_invalid",  # the message says where
        "form_invalid",
        "invalid_type",  # no JSON object
        "unsupported_media_type",
        "payload_too_large",
        "not_found",  # no such route
        "method_not_allowed",
        "job_ended",
        "job_not_completed",
        "job_cancelled",
        "no_manifest",
        "content_expired",
        "picture_not_found",  # says no more: a URL is a secret
        "message_too_large",
        "overloaded",
    }
)
"""The codes of refusals for which no single field is to blame."""
SCALARS: Final = (
    None, True, False, 0, -1, 1, 7.0, 0.5, -0.0, 2**31, 2**53 + 1, 2**63, -(2**63), 2**70, 1e400, -1e400, math.nan,
    "", " ", "0", "1", "true", "null", "any", "ann", "tiny", "x" * 300, "x" * 5000, "\0", "\ud800", "🙂", "../tiny",
    "%00", "{}", "<b>", "é", "\u202e", "job_000000000000000000000000",
)  # fmt: skip
VALUES: Final = (
    st.sampled_from(SCALARS)
    | st.text(max_size=12)
    | st.integers()
    | st.floats()
    | st.lists(st.sampled_from(SCALARS), max_size=3)
    | st.dictionaries(st.text(max_size=5), st.sampled_from(SCALARS), max_size=2)
)
NAMES: Final = st.sampled_from(("frog", "", "Seed", "seed ", "__proto__", "instructions", "\ud800", "type", "a" * 300))


@st.composite
def changed(draw: st.DrawFn, valid: dict[str, st.SearchStrategy[Any]], required: frozenset[str]) -> dict[str, Any]:
    """A body: some of the fields, valid, then up to two changes.

    Args:
        draw: of Hypothesis.
        valid: a strategy for valid values of every field.
        required: the fields that are always there before the changes.
    """
    optional = draw(st.sets(st.sampled_from(sorted(set(valid) - required)))) if set(valid) - required else set()
    body = {name: draw(valid[name]) for name in sorted(required | optional)}
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 1, 1, 2, 2)))):
        kind = draw(st.sampled_from(("value", "value", "value", "name", "drop")))
        if kind == "name":
            body[draw(NAMES)] = draw(VALUES)
        elif kind == "drop" and body:
            del body[draw(st.sampled_from(sorted(body)))]
        else:
            body[draw(st.sampled_from(sorted(valid)))] = draw(VALUES)
    return body


def shown(name: str) -> str:
    """A name as errors have it."""
    text = name.encode(errors="backslashreplace").decode()
    return text if len(text) <= 256 else f"{text[:256]}…"


def check_error(error: dict[str, Any], sent: set[str], known: set[str]) -> None:
    """A refusal names a field, or says why there is none.

    Args:
        error: the object in the envelope.
        sent: the names that were sent.
        known: the names that the route knows.
    """
    assert set(error) >= {"message", "type", "param", "code"}, error
    assert error["message"], error
    assert error["code"], error
    sent = {shown(name) for name in sent}
    if error["param"] is None:
        assert error["code"] in NO_FIELD, error
        return
    assert error["param"].split(".")[0] in sent | known or error["param"] in sent, error
    assert error["param"] in error["message"], error


def check_refusal(response: httpx.Response, sent: set[str], known: set[str]) -> None:
    """The same for a response over HTTP."""
    assert 400 <= response.status_code < 500 or response.status_code == 503, (response.status_code, response.text[:300])
    answer = response.json()
    assert set(answer) == {"error"}, answer
    check_error(answer["error"], sent, known)


def encoded(body: Any) -> bytes:
    """JSON of anything: NaN and lone surrogates, too."""
    return json.dumps(body).encode()
