"""What schemathesis (contract.toml) is told besides: checks of our own, and recordings where files are asked for."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import schemathesis
import soundfile
from hypothesis import strategies as st

REASONS = {
    400: {
        "voice_not_found",
        "model_not_capable",
        "unsupported_text",
        "missing_parameter",
    },
}
"""Why a request that keeps to the schema may be refused with 400: what a schema cannot say."""


def _recording() -> bytes:
    file = io.BytesIO()
    tone = 0.3 * np.sin(np.arange(1600) * 0.1)
    soundfile.write(file, tone, 16000, format="WAV", subtype="PCM_16")
    return file.getvalue()


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    print(context.operation.label, type(body))
    return body


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
    if case.meta is not None and case.meta.generation.mode.is_positive:
        allowed = REASONS.get(response.status_code, {error["code"]})
        assert error["code"] in allowed, f"{error['code']}: the schema could have said so"
