"""Responses about the server itself: models, health, errors."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class ModelObject(BaseModel):
    """A model as ``GET /v1/models`` lists it."""

    id: str
    aliases: list[str] = Field(description="Other names that a request may use for it.")
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    description: str
    kind: str
    capabilities: list[str]
    sample_rate: int | None = Field(default=None, description="In hertz; audio models only.")
    size: str | None = Field(default=None, description="`WIDTHxHEIGHT` of a picture; image models only.")
    sha256: str
    receptive_field: int = Field(
        description="Number of past samples that the next one depends on; for a picture, of rows above."
    )
    parameters: int
    temperature: float = Field(description="The default of requests.")
    guidance: float | None = Field(default=None, description="The default of requests; image models only.")


class ModelList(BaseModel):
    """Every model that is loaded."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class SpeechModelList(BaseModel):
    """The models that speak, under both names that clients look for."""

    object: Literal["list"] = "list"
    models: list[ModelObject]
    data: list[ModelObject]


class Health(BaseModel):
    """``GET /healthz``."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """``GET /readyz`` when the service can be used."""

    status: Literal["ready"]
    engines: dict[str, list[str]] = Field(description="The engines that sample each model, of all workers.")


class KServeServer(BaseModel):
    """``GET /v2``: the server as KServe's protocol describes it."""

    name: Literal["ancestral"] = "ancestral"
    version: str
    extensions: list[str] = []


class KServeLive(BaseModel):
    """Whether the process is alive."""

    live: bool


class KServeReady(BaseModel):
    """Whether the server, or a model, can be used."""

    ready: bool


Datatype = Literal["BYTES", "FP32", "INT16", "INT64", "UINT8"]


class KServeTensor(BaseModel):
    """An input or output of a model; a dimension of -1 has any size."""

    name: str
    datatype: Datatype
    shape: list[int]


class KServeModel(BaseModel):
    """``GET /v2/models/{id}``: a model as KServe's protocol describes it."""

    name: str
    versions: list[str] = Field(description="One: the SHA-256 of the weights.")
    platform: str
    inputs: list[KServeTensor] = Field(description="Fields of the request, at `/v1/audio` or `/v1/images`.")
    outputs: list[KServeTensor]


class ErrorBody(BaseModel):
    """An error; all four keys are always present."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """Every error response."""

    error: ErrorBody


class Problem(BaseModel):
    """Every error response, for clients that accept ``application/problem+json`` (RFC 9457)."""

    type: Literal["about:blank"]
    title: str = Field(description="The status in words.")
    status: int
    detail: str
    param: str | None
    code: str | None
