"""``GET /v1/jobs/{id}/manifest`` and ``POST /v1/verify``: what a job's output depends on, and its verification."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from ancestral.catalog.models import Model
from ancestral.errors import InvalidRequest
from ancestral.service.api.deps import ContextDep, Service
from ancestral.service.api.http.json_route import JsonRoute
from ancestral.service.api.http.openapi import documented
from ancestral.service.api.responses import ACCEPTED, accepted, completed
from ancestral.service.api.routes.jobs import OwnJob
from ancestral.service.broker.job import Job
from ancestral.service.errors import Conflict
from ancestral.service.jobs.manifest import manifest_of, output_of
from ancestral.service.jobs.payload import Payload, SampledPayload
from ancestral.service.jobs.schemas import Manifest, Output, Verification
from ancestral.service.jobs.state import AppState
from ancestral.service.jobs.submit import wants_job
from ancestral.service.jobs.tasks import JobSpec, ManifestRule
from ancestral.service.jobs.validation import from_validation

router = APIRouter(prefix="/v1", tags=["jobs"], route_class=JsonRoute)

_LINKED: dict[int | str, dict[str, Any]] = {
    200: {"links": {"verify": {"operationRef": "#/paths/~1v1~1verify/post", "requestBody": "$response.body"}}}
}


@router.get(
    "/jobs/{job_id}/manifest",
    summary="Get the manifest of a job",
    responses=_LINKED | documented(400, 401, 404, 409, 500, 503),
)
async def get_manifest(job: OwnJob, service: Service) -> Manifest:
    """Everything that a job's output depends on, and its SHA-256. A likelihood has no manifest: nothing was sampled."""
    if service.tasks.get(job).manifest is None:
        raise Conflict("Nothing was sampled for this job.", code="no_manifest")
    return manifest_of(service.tasks, job, await service.artifacts.info(job))


@router.post(
    "/verify",
    summary="Verify a manifest",
    response_model=Verification,
    responses=ACCEPTED | documented(400, 401, 404, 408, 409, 413, 415, 422, 429, 500, 503),
)
async def verify(manifest: Manifest, context: ContextDep) -> Response:
    """Run what a manifest says as a job of its own, and compare.

    With ``Prefer: respond-async`` the answer is that job; its own manifest is what to compare then. The manifest of a
    continuation needs its recording put back, as ``request.prompt_audio``.
    """
    service = context.service
    job_spec = await asyncio.to_thread(_job_of, service, manifest)
    job = await dataclasses.replace(context, prefer="respond-async").submit(job_spec)
    if wants_job(context.prefer):
        return await accepted(service, job)
    ended = await completed(context, job)
    info = await service.artifacts.info(ended)
    differs = _differences(manifest, ended, output_of(info))
    verification = Verification(
        equal=not differs,
        differs=differs,
        symbols_equal=info.symbols_sha256 == manifest.output.symbols_sha256,
        expected_sha256=manifest.output.sha256,
        actual_sha256=info.sha256,
        model_sha256=ended.sha256,
        engine=ended.engine or "",
        job=ended.id,
    )
    return JSONResponse(verification.model_dump(), headers={"x-job-id": ended.id})


def _differences(manifest: Manifest, job: Job, output: Output) -> list[str]:
    """The fields of a manifest that differ from the job's. Its other fields have been checked at admission."""
    claimed, found = manifest.output.model_dump(), output.model_dump()
    differs = ["engine"] if manifest.engine != job.engine else []
    return differs + [f"output.{name}" for name, value in found.items() if claimed[name] != value]


def _job_of(service: AppState, manifest: Manifest) -> JobSpec[Payload, Model]:
    """The job that a manifest describes, checked like a new request."""
    model = service.catalog.model(manifest.model)
    requested = manifest.request.get("model")
    if isinstance(requested, str) and requested != manifest.model:
        raise _inconsistent("model")  # first: the schema that the request is checked with depends on the model
    rule = service.tasks.manifest_rule(model, manifest.request)
    if manifest.prompt_sha256 is not None and rule.upload is not None and rule.upload not in manifest.request:
        param = f"request.{rule.upload}"
        message = f"{param}: required; a manifest does not contain what the request uploaded: add it"
        raise InvalidRequest(message, param=param, code="missing_parameter")
    try:
        request = rule.schema.model_validate(manifest.request)
    except ValidationError as error:
        first = error.errors()[0]
        raise from_validation([{**first, "loc": ("request", *first["loc"])}]) from None
    if getattr(request, "seed", None) != manifest.seed:
        raise _inconsistent("seed")
    if model.sha256 != manifest.model_sha256:
        message = f"model_sha256: this server has other weights of {manifest.model}"
        raise Conflict(message, param="model_sha256", code="model_changed")
    job_spec = rule.builder()(service.catalog, service.settings, request)
    _check_prompt(rule, manifest, job_spec.payload)
    return dataclasses.replace(job_spec, body=manifest.model_dump())


def _inconsistent(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: differs from request.{name}", param=name, code="inconsistent_manifest")


def _check_prompt(rule: ManifestRule, manifest: Manifest, payload: Payload) -> None:
    assert isinstance(payload, SampledPayload)
    if payload.prompt_sha256 != manifest.prompt_sha256:
        param = "prompt_sha256" if rule.upload is None else f"request.{rule.upload}"
        raise InvalidRequest(
            f"{param}: differs from what the manifest was made with (its prompt_sha256)",
            param=param,
            code="prompt_differs",
        )
