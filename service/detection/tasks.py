"""The task of detection; :mod:`ancestral.service.jobs.tasks` is the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ancestral.catalog.seeds import seed_as_json
from ancestral.detection.verdict import verdict
from ancestral.service.broker.job import Job
from ancestral.service.detection.payloads import DetectionPayload
from ancestral.service.jobs.tasks import Task

DETECTION: Final = Task(
    kind="detection",
    payload=DetectionPayload,
    attempt="ancestral.service.detection.attempts:DetectionAttempt",
    report="ancestral.service.detection.tasks:report",
)
TASKS: Final = (DETECTION,)


def report(job: Job, payload: DetectionPayload) -> Mapping[str, Any]:
    """The answer to a request: what the worker has found, and the signature, which was read at admission."""
    assert job.result is not None
    answer: dict[str, Any] = {"signature": json.loads(payload.signature), **job.result}
    if "seed" in answer["seed"]:
        answer["seed"] = answer["seed"] | {"seed": seed_as_json(answer["seed"]["seed"])}
    return answer | {"verdict": verdict(answer)}
