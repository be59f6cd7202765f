"""Responses about the server itself: models, health, errors."""

from __future__ import annotations

from typing import Literal

from ancestral.service.jobs.schemas import Described


class ModelObject(Described):
    """A model as ``GET /v1/models`` lists it."""

    id: str
    aliases: list[str]
    """Other names that a request may use for it."""
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    description: str
    paper: str | None = None
    """Of models that are there to show a paper's network: its title. They are listed last, paper by paper."""
    kind: str
    capabilities: list[str]
    sample_rate: int | None = None
    """Of what the network samples, in hertz; audio models only."""
    default_sample_rate: int | None = None
    """Of files, unless a request says another; audio models only."""
    size: str | None = None
    """`WIDTHxHEIGHT` of a picture; image models only."""
    sha256: str
    receptive_field: int
    """Number of past samples that the next one depends on; for a picture, of rows above."""
    parameters: int
    temperature: float
    """The default of requests."""
    guidance: float | None = None
    """The default of requests; image models only."""
    sheets: list[str] | None = None
    """What `sheet` of a request for pictures may be; models that lay out sheets only."""
    sheet_attributes: dict[str, list[str]] | None = None
    """The attributes that the frames of each sheet set: its prompt can name none of them."""


class ModelList(Described):
    """Every model that is loaded."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class SpeechModelList(Described):
    """The models that speak, under both names that clients look for."""

    object: Literal["list"] = "list"
    models: list[ModelObject]
    data: list[ModelObject]


class Health(Described):
    """``GET /healthz``."""

    status: Literal["ok"]


class Readiness(Described):
    """``GET /readyz`` when the service can be used."""

    status: Literal["ready"]
    engines: dict[str, list[str]]
    """The engines that sample each model, of all workers."""


class ErrorBody(Described):
    """An error; all four keys are always present."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(Described):
    """Every error response."""

    error: ErrorBody


class Problem(Described):
    """Every error response, for clients that accept ``application/problem+json`` (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    """The status in words."""
    status: int
    detail: str
    param: str | None
    code: str | None
