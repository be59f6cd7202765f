"""The registry of tasks: for each kind of job, what an API process and a worker need in order to handle it.

Each modality has its own tasks (``service/speech/tasks.py``, ``service/images/tasks.py``); the application and the
worker have all of them (``service/tasks.py``). What only one of the two processes may import (a worker has no web
framework and no codecs, an API process no compiled kernels) is named by a string, ``"module:name"``, and imported on
first use.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import Model
from ancestral.catalog.seeds import seed_as_json
from ancestral.errors import InvalidRequest
from ancestral.service.broker.job import Job
from ancestral.service.jobs.payload import Payload, PayloadError
from ancestral.service.jobs.schemas import StrictRequest
from ancestral.service.settings import Settings

if TYPE_CHECKING:
    from ancestral.service.jobs.attempt import JobAttempt
    from ancestral.service.jobs.encoder import Encoder
import hashlib
import json

from ancestral.service import __version__
from ancestral.service.jobs.payload import ArtifactInfo, SampledPayload
from ancestral.service.jobs.schemas import Manifest, Output

P_co = TypeVar("P_co", bound=Payload, covariant=True)
M_co = TypeVar("M_co", bound=Model, covariant=True)


@dataclass(frozen=True)
class ManifestRule:
    """How a finished job is described in a manifest, and made again from one."""

    capability: str
    """What a model must be capable of."""
    schema: type[StrictRequest]
    """Schema of the request; the manifest repeats its fields, read from the payload's fields of the same names."""
    build: str
    """``"module:function"``: (catalog, settings, request) → :class:`JobSpec`."""
    upload: str | None = None
    """The field that holds a file. It is not in a manifest; who verifies one puts it back."""
    transport_fields: frozenset[str] = frozenset()
    """Fields that change how the bytes travel, and not what they are."""

    @property
    def fields(self) -> set[str]:
        """The names of the request's fields on the wire."""
        return {field.alias or name for name, field in self.schema.model_fields.items()}

    def builder(self) -> Callable[[Catalog, Settings, Any], JobSpec[Payload, Model]]:
        """The function that :attr:`build` names."""
        function: Callable[[Catalog, Settings, Any], JobSpec[Payload, Model]] = pkgutil.resolve_name(self.build)
        return function

    def request_of(self, job: Job, payload: Payload) -> dict[str, Any]:
        """The body that, sent to the route that the job came from, makes the same bytes."""
        request, values = {}, payload.fields() | {"model": job.model}
        for name, field in self.schema.model_fields.items():
            if name == self.upload or name in self.transport_fields:
                continue
            if values[name] is not None:
                request[field.alias or name] = values[name]
        return request | {"seed": seed_as_json(values["seed"])}


@dataclass(frozen=True)
class Task(Generic[P_co]):
    """One kind of job. It gives either symbols, which an encoder makes a file of, or figures, which a report shows."""

    kind: str
    payload: type[P_co]
    attempt: str
    """``"module:Class"`` of a :class:`ancestral.service.jobs.attempt.JobAttempt`, for workers."""
    encoder: str | None = None
    """``"module:Class"`` of an ``Encoder`` (encoder.py), for API processes: (payload, model) → it."""
    report: str | None = None
    """``"module:function"``: (job, payload) → the JSON object that answers the request."""
    paced: bool = False
    """A client plays the output while it is sampled: sampling stays a few seconds ahead of what has been read."""
    manifest: ManifestRule | None = None
    """None if the job has no manifest."""

    def parse(self, job: Job) -> P_co:
        """The job's payload.

        Raises:
            PayloadError: another version of the server wrote it.
        """
        return self.payload.load(job.payload).with_result(job.result)

    def attempt_class(self) -> type[JobAttempt]:
        """What :attr:`attempt` names."""
        found: type[JobAttempt] = pkgutil.resolve_name(self.attempt)
        return found

    def open_encoder(self, job: Job, model: Model) -> Encoder:
        """An encoder of the job's symbols. Only of a task that has one."""
        assert self.encoder is not None
        encoder: Encoder = pkgutil.resolve_name(self.encoder)(self.parse(job), model)
        return encoder

    def figures(self, job: Job) -> Mapping[str, Any]:
        """The answer to the request of a finished job. Only of a task that has a report."""
        assert self.report is not None
        answer: Mapping[str, Any] = pkgutil.resolve_name(self.report)(job, self.parse(job))
        return answer


@dataclass(frozen=True)
class JobSpec(Generic[P_co, M_co]):
    """A request that has passed every check."""

    task: Task[P_co]
    model: M_co
    body: Mapping[str, Any]
    """The request as the client sent it; an idempotency key is bound to it."""
    payload: P_co
    seconds: float
    """The approximate duration of the sound that it makes."""
    upload: bytes | None = None
    """Symbols that came with the request."""
    kept: bool = False
    """The output is fetched after the request has been answered."""
    ingredient: bytes | None = None
    """The C2PA manifest of the file that was uploaded, if files are signed."""


class Tasks:
    """Every kind of job that this process knows."""

    def __init__(self, *tasks: Task[Payload]) -> None:
        self._tasks = {task.kind: task for task in tasks}
        assert len(self._tasks) == len(tasks), "two tasks of one kind"

    def __iter__(self) -> Iterator[Task[Payload]]:
        return iter(self._tasks.values())

    def get(self, job: Job) -> Task[Payload]:
        """The task of a job.

        Raises:
            PayloadError: there is none of its kind.
        """
        if (task := self._tasks.get(job.kind)) is None:
            raise PayloadError(f"This process knows no jobs of kind {job.kind!r}.")
        return task

    def payload(self, job: Job) -> Payload:
        """A job's payload; raises as :meth:`get` and :meth:`Task.parse` do."""
        return self.get(job).parse(job)

    def manifest_rule(self, model: Model, request: Mapping[str, Any]) -> ManifestRule:
        """The rule for a manifest: of the tasks that its model is capable of, the one whose fields its request has.

        Raises:
            InvalidRequest: the model is capable of none.
        """
        rules = [task.manifest for task in self._tasks.values() if task.manifest is not None]
        fitting = [rule for rule in rules if rule.capability in model.capabilities]
        if not fitting:
            message = f"model: {model.entry.id} makes nothing that has a manifest"
            raise InvalidRequest(message, param="model", code="model_not_capable")
        return min(fitting, key=lambda rule: len(request.keys() - rule.fields))


# The manifest of a job: everything that its output depends on, and the hashes of that output.


def manifest_of(tasks: Tasks, job: Job, info: ArtifactInfo) -> Manifest:
    """The manifest of a finished job, whose file ``info`` describes.
    Only of a job that has sampled something.
    """
    task, payload = tasks.get(job), tasks.payload(job)
    assert task.manifest is not None
    assert isinstance(payload, SampledPayload)
    return Manifest(
        job=job.id,
        created_at=int(job.created_at),
        model=job.model,
        model_sha256=job.sha256,
        engine=job.engine or "",
        seed=payload.seed,
        request=task.manifest.request_of(job, payload),
        prompt_sha256=payload.prompt_sha256,
        output=output_of(info),
        version=__version__,
    )


def output_of(info: ArtifactInfo) -> Output:
    """The hashes of an output: of a signed file those before it was signed, which the same request gives again."""
    size, digest = info.unsigned or (info.bytes, info.sha256)
    return Output(
        sha256=digest, bytes=size, symbols_sha256=info.symbols_sha256, samples=info.samples, media_type=info.media_type
    )


def digest_of(manifest: Manifest) -> str:
    """The SHA-256 of a manifest, as JSON without spaces whose keys are sorted."""
    canonical = json.dumps(manifest.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
