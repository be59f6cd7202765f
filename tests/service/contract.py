"""What schemathesis (contract.toml) is told besides: checks of our own, and files where files are asked for."""

from __future__ import annotations

import base64
import math
import re
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
        "unsupported_phonemes",
        "invalid_base64",
        "invalid_audio",
        "invalid_image",
        "invalid_size",
        "invalid_value",
        "invalid_embedding",
        "class_not_found",
        "style_not_found",
        "needs_stream",
        "conflict",
        "missing_parameter",
        "inconsistent_manifest",
    },
}
"""Why a request that keeps to the schema may be refused with 400: what a schema cannot say."""
OF_THE_MODEL = {"pitch", "intonation", "input"}
"""Fields that models differ in: some cannot change the pitch, neither of all nor, by SSML, of a part."""


def _recording() -> str:
    """A WAV file whose bytes are all ASCII: to schemathesis a file is text."""
    count, rate = 832, 8000
    sound = bytes(64 + round(60 * math.sin(0.3 * n)) for n in range(count))
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + count, b"WAVEfmt ", 16, 1, 1, rate, rate, 1, 8, b"data", count)
    return (head + sound).decode("ascii")


RECORDING = _recording()
PICTURE = "RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0/\x07@\x01\0\x07\x10\x11}NDDo\x03"
"""A WebP of the size of `sketch`, `mirror` and `twin`, all of one colour, whose bytes are all ASCII, too."""
SOURCES = {
    "/v1/images/reconstructions": "mirror", "/v1/images/portraits": "twin", "/v1/images/encodings": "mirror",
}  # fmt: skip
"""The routes that draw from a picture, and a model for each."""
MANIFESTS: list[dict[str, Any]] = []
"""Of jobs that have been made, of nothing that would have to be put back."""
SPOKEN: list[str] = []
"""Ids of jobs in which a text is spoken."""
URLS: list[re.Match[str]] = []
"""Of pictures that have been drawn."""
_URL = re.compile(r"/v1/images/files/(\w+)/(\d+)\.(\w+)\?token=([\w-]+)")


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case, arguments: dict[str, Any]) -> None:
    """Three of four requests that keep to the schema, which says little of files and classes, less of digests and
    nothing of tokens, become what can be scored, drawn, verified and fetched.
    """
    valid = case.meta is not None and case.meta.generation.mode.is_positive
    if not valid or zlib.crc32(repr((case.body, case.path_parameters, case.query)).encode(errors="replace")) % 4 == 0:
        return
    if case.path.startswith("/v1/images/files/") and URLS:
        job, index, form, token = URLS[-1].groups()
        case.path_parameters.update(job_id=job, index=int(index), form=form)
        case.query = {**(case.query or {}), "token": token}
    elif case.path.endswith("/timestamps") and SPOKEN:
        case.path_parameters["job_id"] = SPOKEN[-1]
    elif case.path == "/v1/images/classes/thumbnail":
        case.query = {"model": "sketch", "class": "dog"}
    elif isinstance(case.body, dict):
        _adapt(case)


def _adapt(case: schemathesis.Case) -> None:
    if case.path == "/v1/audio/likelihood":
        case.body.update(file=RECORDING, model="free", voice="ann")
        case.body.pop("text", None)
    elif case.path == "/v1/images/likelihood":
        case.body.update(file=PICTURE, model="sketch")
        _forget(case, "class", "style")
    elif case.path in SOURCES:
        case.body.update(image=PICTURE, model=SOURCES[case.path])
        _forget(case, "size", "response_format", "partial_images", "background")
    elif case.path.startswith("/v1/images/"):
        case.body["model"] = "sketch"
        _forget(case, "class", "style", "size")
        if "interpolations" in case.path:
            case.body.update({"from": "cat", "to": [0.0] * 5})
            return
        case.body["prompt"] = "dog"
        if not case.body.get("stream"):
            _forget(case, "partial_images")
        elif case.body.get("response_format") == "url":
            _forget(case, "response_format")
        if "completions" in case.path:
            case.body.update(image=base64.b64encode(PICTURE.encode()).decode(), rows=3)
    elif case.path == "/v1/verify" and MANIFESTS:
        case.body.clear()
        case.body.update(MANIFESTS[-1])


def _forget(case: schemathesis.Case, *names: str) -> None:
    for name in names:
        case.body.pop(name, None)


@schemathesis.hook
def after_call(context: Any, case: schemathesis.Case, response: schemathesis.Response) -> None:
    """Remember manifests, where pictures are, and what was spoken."""
    if case.path == "/v1/audio/speech" and response.status_code in (200, 202):
        SPOKEN.extend(re.findall(r"job_[0-9a-f]{24}", str(response.headers.get("x-job-id"))))
    if response.status_code != 200:
        return
    if case.path.endswith("/manifest") and response.json()["prompt_sha256"] is None:
        MANIFESTS.append(response.json())
    elif case.path.startswith("/v1/images/") and "json" in str(response.headers.get("content-type")):
        URLS.extend(_URL.finditer(response.content.decode()))


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
        if error["code"] == "unsupported_parameter" and error["param"] in OF_THE_MODEL:
            return
        assert error["code"] in allowed, f"{error['code']}: the schema could have said so"
