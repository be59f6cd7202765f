"""What schemathesis (contract.toml) is told besides: checks of our own, and recordings where files are asked for."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import schemathesis

REASONS = {
    400: {
        "voice_not_found",
        "model_not_capable",
        "unsupported_text",
        "unsupported_sample_rate",
        "unknown_parameter",
        "invalid_base64",
        "invalid_audio",
        "missing_parameter",
        "inconsistent_manifest",
    },
}
"""Why a request that keeps to the schema may be refused with 400: what a schema cannot say."""


def _recording() -> str:
    """A WAV file whose bytes are all ASCII: to schemathesis a file is text."""
    count, rate = 832, 8000
    sound = bytes(64 + round(60 * math.sin(0.3 * n)) for n in range(count))
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + count, b"WAVEfmt ", 16, 1, 1, rate, rate, 1, 8, b"data", count)
    return (head + sound).decode("ascii")


RECORDING = _recording()
MANIFESTS: list[dict[str, Any]] = []
"""Of jobs that have been made."""


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case, arguments: dict[str, Any]) -> None:
    """Three of four forms and manifests that keep to the schema, which says little of files and less of digests, become
    what can be scored and verified.
    """
    valid = case.meta is not None and case.meta.generation.mode.is_positive and isinstance(case.body, dict)
    if not valid or zlib.crc32(repr(case.body).encode(errors="replace")) % 4 == 0:
        return
    if case.path == "/v1/audio/likelihood":
        case.body.update(file=RECORDING, model="free", voice="ann")
        case.body.pop("text", None)
    elif case.path == "/v1/verify" and MANIFESTS:
        case.body.clear()
        case.body.update(MANIFESTS[-1])


@schemathesis.hook
def after_call(context: Any, case: schemathesis.Case, response: schemathesis.Response) -> None:
    """Remember manifests."""
    if case.path.endswith("/manifest") and response.status_code == 200:
        MANIFESTS.append(response.json())


@schemathesis.check
def documented(context: Any, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """Every status but that of an unknown method is documented by its number, not as any other."""
    known = case.operation.definition.raw["responses"]
    assert response.status_code == 405 or str(response.status_code) in known, "a status that is not documented"


@schemathesis.check
def refused_for_a_reason(context: Any, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """An error has our shape; a request that keeps to the schema is refused for what a schema cannot say."""
    if response.status_code < 400:
        return
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}, "not our envelope"
    valid = case.meta is not None and all(part.mode.is_positive for part in case.meta.components.values())
    if valid and case.method == case.operation.method.upper():
        allowed = REASONS.get(response.status_code, {error["code"]})
        assert error["code"] in allowed, f"{error['code']}: the schema could have said so"
