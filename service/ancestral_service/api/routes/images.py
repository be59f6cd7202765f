"""The routes under ``/v1/images``: generation, completion, interpolation, and the list of classes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from pydantic import ConfigDict, Field

from ancestral.catalog.descriptions import ImageModel, Plan
from ancestral.catalog.seeds import digest_seed
from ancestral.errors import NotFound
from ancestral.images.drawing import Drawing
from ancestral.images.files import MEDIA_TYPES
from ancestral.requests import (
    NO_EFFECT,
    PALETTE_NAME,
    PROMPT_OF_EDIT,
    CompletionRequest,
    DecodingRequest,
    EditRequest,
    Growing,
    ImageFormat,
    ImageRequest,
    InterpolationRequest,
    PictureRequest,
    PortraitRequest,
    ReconstructionRequest,
)
from ancestral_models.spec import STYLE
from ancestral_service.api.deps import ContextDep, RateLimitedCaller, RequestContext, Service, base_url
from ancestral_service.api.http.body_route import (
    MULTIPART,
    BodyRoute,
    ConditionsDep,
    FormFields,
    IfNoneMatch,
    binary,
    file_response,
    file_responses,
    not_modified,
)
from ancestral_service.api.http.openapi import event_stream
from ancestral_service.api.responses import (
    ACCEPTED,
    EVENTS,
    StreamedResponse,
    accepted,
    disposition,
    figures,
    headers_of_samples,
    sample_headers,
)
from ancestral_service.broker.clients import IDEMPOTENCY_SECONDS
from ancestral_service.broker.job import Priority, Status
from ancestral_service.errors import Conflict
from ancestral_service.images.answers import ImageReader, as_events, finished_file, images_object, signed_files
from ancestral_service.images.schemas import (
    AvatarQuery,
    ClassesQuery,
    ClassList,
    ClassObject,
    EditCompleted,
    EditPartial,
    EncodingList,
    ImageCompleted,
    ImageLikelihood,
    ImagePartial,
    ImagesObject,
)
from ancestral_service.jobs.planning import encoding_job, image_job, picture_job
from ancestral_service.jobs.plans import plan_of
from ancestral_service.jobs.schemas import JOB_EXAMPLE, JOB_ID

router = APIRouter(prefix="/v1", tags=["images"], route_class=BodyRoute)

PICTURES: dict[str, Any] = {"description": "The pictures.", "headers": headers_of_samples("pictures")}
_DRAWN: dict[str, Any] = {"response_model": ImagesObject, "response_model_exclude_none": True}
GROWING = PICTURES | {"content": {"text/event-stream": event_stream(ImagePartial, ImageCompleted)}}


@router.post(
    "/images/generations", summary="Generate pictures of a class", responses=ACCEPTED | {200: GROWING}, **_DRAWN
)
async def create_image(body: ImageRequest, context: ContextDep) -> Response:
    """Sample ``n`` pictures of what the prompt names, row by row; the same ``seed`` gives the same pictures."""
    return await draw_pictures(context, body)


@router.post("/images/completions", summary="Complete a picture", responses=ACCEPTED | {200: GROWING}, **_DRAWN)
async def complete_image(body: CompletionRequest, context: ContextDep) -> Response:
    """Keep the first ``rows`` rows of ``image`` unchanged and sample the rest, ``n`` times."""
    return await draw_pictures(context, body)


@router.post(
    "/images/interpolations",
    summary="Interpolate between two prompts or pictures",
    responses=ACCEPTED | {200: PICTURES},
    **_DRAWN,
)
async def interpolate_images(body: InterpolationRequest, context: ContextDep) -> Response:
    """One picture per step, from one seed, interpolating from ``from`` to ``to``."""
    return await draw_pictures(context, body)


@router.get(
    "/images/classes",
    summary="List what can be asked for: the values of all attributes",
    response_model=ClassList,
    response_model_exclude_none=True,
)
def list_classes(request: Request, query: Annotated[ClassesQuery, Query()], service: Service) -> ClassList:
    """The values of all attributes of every image model, attribute by attribute."""
    models = service.catalog.image_models
    if query.model is not None:
        wanted = service.catalog.model(query.model)
        models = [model for model in models if model is wanted]
    found = [entry for model in models for entry in _classes(model, base_url(request))]
    if not query.embeddings:
        found = [entry.model_copy(update={"embedding": None}) for entry in found]
    return ClassList(data=found)


def _classes(model: ImageModel, root: str) -> list[ClassObject]:
    found, first, spec = [], 0, model.spec
    starts = {}
    for attribute, names in spec.attributes:
        starts[attribute] = first
        first += len(names) + 1
    subject = next((attribute for attribute in spec.named if attribute != STYLE), STYLE)
    for attribute, names in spec.attributes:
        start = starts[attribute]
        parent, belongs = model.parents.get(attribute, (subject, {}))
        for index, name in enumerate(names):
            # On the wire a subclass is called a kind.
            label = "kind" if attribute == "subclass" else attribute
            query = urlencode({"model": model.entry.id, "class": name})
            fields: dict[str, Any] = {"id": name, "object": label, "model": model.entry.id}
            if model.entry.preview(f"{name}.png").is_file():
                fields["thumbnail_url"] = f"{root}v1/images/classes/thumbnail?{query}"
            if index in belongs:
                fields["class"] = spec.named[parent][belongs[index]]
            vector = model.embedding[start + index]
            if attribute not in (subject, STYLE):
                # In the place of a value of the first attribute, relative to the vector for nothing of this one.
                general = model.embedding[starts[subject] + belongs.get(index, len(spec.named[subject]))]
                terms = zip(general, vector, model.embedding[start + len(names)], strict=True)
                vector = tuple(one + special - none for one, special, none in terms)
            found.append(ClassObject.model_validate(fields | {"embedding": list(vector)}))
    return found


async def draw_pictures(context: RequestContext, request: PictureRequest) -> Response:
    """Submit a job, and answer with its pictures, with events while they grow, or with the job."""
    service = context.service
    job_spec = await asyncio.to_thread(image_job, service.catalog, service.settings, request)
    job = await context.submit(job_spec)
    if job.priority is Priority.BACKGROUND:
        return await accepted(service, job)
    reader = ImageReader(service.broker, job, job_spec.plan_of(job), job_spec.model)
    if isinstance(request, Growing) and request.stream:
        return StreamedResponse(context, reader, as_events(service, reader, request.partial_images), EVENTS)
    await context.while_connected(reader.read_all(), job)
    signed = await signed_files(service, reader)
    answer = await asyncio.to_thread(images_object, reader, base_url(context.request), signed)
    return JSONResponse(answer.model_dump(exclude_none=True), headers=sample_headers(job, reader.plan, reader.engine))


# The routes under ``/v1/images`` that take a picture to draw from: reconstructions, portraits, and its vector.

EDITED = PICTURES | {"content": {"text/event-stream": event_stream(EditPartial, EditCompleted)}}
_FILE = "A PNG, WebP or JPEG file of the model's size or a whole multiple of it."
_MODEL = "The id of a model that `/v1/models` lists."
_EXAMPLE = "pixelcnn-autoencoder-digits"


def _without_null(schema: dict[str, Any]) -> None:
    """A field of a form is there or not: it cannot be null."""
    for field in schema["properties"].values():
        kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            del field["anyOf"]
            field |= kinds[0] | field


class ReconstructionForm(DecodingRequest):
    """The fields of the form, which are text."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True, json_schema_extra=_without_null)

    image: UploadFile = Field(description=_FILE)
    model: str = Field(min_length=1, max_length=256, description=_MODEL, examples=[_EXAMPLE, "pixelcnn-portraits"])
    palette: str | None = Field(default=None, min_length=1, max_length=64, description=PALETTE_NAME)

    async def request(self, kind: type[ReconstructionRequest]) -> ReconstructionRequest:
        """The request with the file as text. The form's fields have been validated; the file has not."""
        fields: dict[str, Any] = self.model_dump(exclude={"image"}) | {"seed": self.seed}  # which JSON may have as text
        return kind.model_construct(**fields, image=base64.b64encode(await self.image.read()).decode())


class EditForm(ImageRequest):
    """The fields of the form, which are text."""

    model_config = ConfigDict(extra="forbid", strict=False, frozen=True, json_schema_extra=_without_null)

    image: UploadFile = Field(description=_FILE)
    mask: UploadFile
    """A PNG or WebP file of such a size: transparent where the picture is drawn anew. All else is kept."""
    model: str = Field(min_length=1, max_length=256, description=_MODEL, examples=["pixelcnn-sprites"])
    prompt: str | None = Field(
        default=None, min_length=1, max_length=4096, description=PROMPT_OF_EDIT, examples=["axe"]
    )
    palette: str | None = Field(default=None, min_length=1, max_length=64, description=PALETTE_NAME)
    input_fidelity: Literal["high", "low"] | None = Field(default=None, description=NO_EFFECT)

    async def request(self) -> EditRequest:
        """The request with the files as text. The form's fields have been validated; the files have not."""
        fields: dict[str, Any] = self.model_dump(exclude={"image", "mask"}) | {"seed": self.seed}
        image, mask = [base64.b64encode(await file.read()).decode() for file in (self.image, self.mask)]
        return EditRequest.model_construct(**fields, image=image, mask=mask)


class EncodingForm(FormFields):
    """The fields of the form."""

    image: UploadFile = Field(description=_FILE)
    model: str = Field(min_length=1, max_length=256, description=_MODEL, examples=[_EXAMPLE])


@router.post("/images/edits", summary="Edit a picture", responses=ACCEPTED | {200: EDITED}, **_DRAWN)
async def edit_image(form: Annotated[EditForm, MULTIPART], context: ContextDep) -> Response:
    """Draw ``image`` anew where ``mask`` is transparent, ``n`` times, and keep every other pixel as it is."""
    return await draw_pictures(context, await form.request())


@router.post(
    "/images/reconstructions", summary="Draw again what a picture shows", responses=ACCEPTED | {200: GROWING}, **_DRAWN
)
async def reconstruct_image(form: Annotated[ReconstructionForm, MULTIPART], context: ContextDep) -> Response:
    """Sample ``n`` pictures from the vector of ``image``: what the model has kept of it, each time drawn anew."""
    return await draw_pictures(context, await form.request(ReconstructionRequest))


@router.post("/images/portraits", summary="Draw portraits of a person", responses=ACCEPTED | {200: GROWING}, **_DRAWN)
async def draw_portraits(form: Annotated[ReconstructionForm, MULTIPART], context: ContextDep) -> Response:
    """Sample ``n`` new pictures of the person on ``image``, who need not be among those that the model has seen."""
    return await draw_pictures(context, await form.request(PortraitRequest))


@router.post(
    "/images/encodings",
    summary="Get the vector of a picture",
    response_model=EncodingList,
    response_model_exclude_none=True,
    responses=ACCEPTED,
)
async def encode_image(form: Annotated[EncodingForm, MULTIPART], context: ContextDep) -> Response:
    """The vector that a model draws from; interpolations take two of them, and so go from one picture to another."""
    data, service = await form.image.read(), context.service
    body = form.model_dump(exclude={"image"})
    return await figures(context, await asyncio.to_thread(encoding_job, service.catalog, body, data))


# ``POST /v1/images/likelihood``: the exact likelihood of a picture under a model (1601.06759, equation 1).


class ImageLikelihoodForm(FormFields):
    """The fields of the form."""

    file: UploadFile
    """A PNG, WebP or JPEG file of the model's size or a whole multiple of it."""
    model: str = Field(min_length=1, max_length=256, examples=["pixelcnn-digits"])
    """The id of a model that `/v1/models` lists."""
    asked_class: str = Field(default="any", alias="class", min_length=1, max_length=256, examples=["7"])
    """The class; `any`: unconditional."""
    style: str | None = Field(default=None, min_length=1, max_length=256)
    """The style of the picture."""
    map: bool = False
    """Also return a picture that shows how likely each pixel was."""


@router.post(
    "/images/likelihood",
    summary="Score a picture",
    response_model=ImageLikelihood,
    response_model_exclude_none=True,
    responses=ACCEPTED,
)
async def score_picture(form: Annotated[ImageLikelihoodForm, MULTIPART], context: ContextDep) -> Response:
    """The likelihood of a picture under a model, after conversion to the model's size and levels."""
    data = await form.file.read()
    body, service = form.model_dump(exclude={"file"}, by_alias=True), context.service
    return await figures(context, await asyncio.to_thread(picture_job, service.catalog, body, data))


# ``GET /v1/avatars/{name}.png``: the picture of a name, the same for ever, for the address of an ``<img>``.
#
# The name is the seed. Each process remembers pictures that were asked for lately. For others the picture's job, found
# again by a key made of the request, is the cache: within a day, a name is sampled once, and later it gives the same
# bytes again.

_FOR_EVER: Final = "public, max-age=31536000, immutable"
_AVATAR: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "headers": headers_of_samples("picture"),
        "content": binary(*MEDIA_TYPES.values()),
    },
    304: {"description": "You have it already."},
}


@router.get(
    "/avatars/{name:path}.{form}", summary="Get the picture of a name", response_class=Response, responses=_AVATAR
)
async def get_avatar(
    name: Annotated[str, Path(min_length=1, max_length=256, examples=["alice@example.org"], description="Any text.")],
    form: Annotated[ImageFormat, Path(examples=["png"])],
    query: Annotated[AvatarQuery, Query()],
    request: Request,
    service: Service,
    caller: RateLimitedCaller,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A picture that follows from the name alone: of `pixelcnn-avatars`, or of another `model`, of any style, or of the
    named one. Every client that asks for it gets the same bytes, as long as the model's weights stay."""
    wanted = ImageRequest(
        model=query.model, prompt=query.prompt, style=query.style, size=query.size, background=query.background,
        palette=query.palette, output_format=form, seed=digest_seed(0, name), response_format="b64_json",
    )  # fmt: skip
    identity = json.dumps([wanted.model_dump(), service.catalog.model(query.model).sha256]).encode()
    digest = hashlib.sha256(identity).hexdigest()[:32]
    tag = f'"{digest}"' if service.signer is None else f'W/"{digest}"'  # tomorrow's file has another signature
    headers = {"cache-control": _FOR_EVER, "etag": tag, "cross-origin-resource-policy": "cross-origin"}
    if (unchanged := not_modified(if_none_match, headers)) is not None:
        return unchanged
    if (cached := service.avatars.get(tag)) is not None:
        return Response(cached[0], headers=dict(cached[1]), media_type=MEDIA_TYPES[form])
    job_spec = await asyncio.to_thread(image_job, service.catalog, service.settings, wanted)
    context = RequestContext(request, service, caller, idempotency_key=f"\u2605avatar-{digest}")
    job = await context.submit(job_spec, kept_seconds=IDEMPOTENCY_SECONDS)
    reader = ImageReader(service.broker, job, job_spec.plan_of(job), job_spec.model)
    await context.while_connected(reader.read_all(), job)
    data = await asyncio.to_thread(finished_file, reader, 0, await signed_files(service, reader))
    headers |= sample_headers(job, reader.plan, reader.engine)
    service.avatars.put(tag, data, headers)
    return Response(data, headers=headers, media_type=MEDIA_TYPES[form])


# ``GET /v1/images/files/…``: the pictures of a job, at the URLs that ``response_format: url`` gives.
#
# The first request for any picture of a job writes the job's file (jobs/artifacts.py); every picture is a
# range of it, so that nothing is decoded again.

files = APIRouter(prefix="/v1/images/files", tags=["images"])

_PICTURE_FILE = file_responses("The picture.", binary(*MEDIA_TYPES.values()))


@files.get("/{job_id}/{index}.{form}", summary="Get a picture", response_class=Response, responses=_PICTURE_FILE)
async def get_picture(
    job_id: Annotated[str, Path(pattern=JOB_ID, examples=[JOB_EXAMPLE["id"]])],
    index: Annotated[int, Path(ge=0, lt=100, examples=[0])],
    form: Annotated[ImageFormat, Path(examples=["png"])],
    token: Annotated[str, Query(max_length=64, description="Part of the URL in the response.")],
    service: Service,
    conditions: ConditionsDep,
) -> Response:
    """A picture of a finished job. It needs no API key: anyone who has the URL may see it, such as a browser."""
    job = await service.broker.job(job_id)
    if job is None or job.status is not Status.COMPLETED:
        raise _not_found()
    plan = plan_of(job, Plan)
    if (
        not isinstance(plan, Drawing)
        or not hmac.compare_digest(plan.token.encode(), token.encode())
        or index >= plan.file_count
        or form != plan.output_format
    ):
        raise _not_found()
    try:
        info = await service.artifacts.info(job)
    except (Conflict, NotFound) as error:
        raise _not_found() from error
    start, size = info.entries[index]
    # A page of another origin may show it: that is what a URL is for.
    headers = {
        "cache-control": "private, max-age=3600",
        "cross-origin-resource-policy": "cross-origin",
        **disposition(job, plan, index),
    }

    def read(first: int, stop: int) -> AsyncIterator[bytes]:
        return service.artifacts.read(job, start + first, start + stop)

    return file_response(read, size, f"{info.sha256}-{index}", MEDIA_TYPES[form], conditions, headers)


def _not_found() -> NotFound:
    return NotFound("There is no such picture, or it has expired.", code="picture_not_found")
