"""What a client gets of a job of pictures: JSON, server-sent events, URLs; likelihoods."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import ImageModel
from ancestral.images.atlas import atlas_fields
from ancestral.images.drawing import ClassDrawing
from ancestral.images.files import decoder_of
from ancestral.images.pixels import MEDIA_TYPES, encode
from ancestral.images.sheet import file_of, laid_out, layout_of
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.job import Job
from ancestral.service.images.payloads import EditPayload, EncodingPayload, ImageLikelihoodPayload, PicturesPayload
from ancestral.service.images.schemas import (
    AttributeShown,
    EditCompleted,
    EditPartial,
    ImageCompleted,
    ImageObject,
    ImagePartial,
    ImagesObject,
    ImageUsage,
    TokenDetails,
)
from ancestral.service.images.source_schemas import Encoding, EncodingList, EncodingUsage
from ancestral.service.jobs.archive import ZIP, write_archive
from ancestral.service.jobs.encoder import Encoder
from ancestral.service.jobs.events import event
from ancestral.service.jobs.payload import PayloadError
from ancestral.service.jobs.state import AppState
from ancestral.service.jobs.stream import JobReader, job_end

# The file of a finished job of pictures: one picture, or a ZIP archive of several.


class ImageEncoder(Encoder):
    """Symbols to a file. The same pictures always give the same bytes."""

    def __init__(self, payload: PicturesPayload, model: ImageModel) -> None:
        super().__init__()
        self.media_type = MEDIA_TYPES[payload.output_format] if payload.file_count == 1 else ZIP
        self.batch_symbols = model.spec.dims
        self._payload = payload
        self._model = model
        self._decode = decoder_of(payload, model)
        self._entries: list[tuple[int, int]] = []

    def encode(self, index: int, symbols: NDArray[np.uint8]) -> bytes:
        self._decode(symbols)
        return b""

    def finish(self) -> bytes:
        payload, model = self._payload, self._model
        pictures = [file_of(payload, model, index, self._decode) for index in payload.returned]
        if len(pictures) == 1:
            self._entries = [(0, len(pictures[0]))]
            return pictures[0]
        archive = io.BytesIO()
        self._entries = write_archive(archive, pictures, payload.output_format)
        return archive.getvalue()

    def entries(self) -> Sequence[tuple[int, int]]:
        return self._entries


_EVENTS: Final = (ImagePartial, ImageCompleted)
_EVENTS_OF_EDITS: Final = (EditPartial, EditCompleted)


class ImageReader(JobReader):
    """One client that watches a job's pictures grow."""

    payload: PicturesPayload

    def __init__(self, broker: Clients, job: Job, payload: PicturesPayload, model: ImageModel) -> None:
        super().__init__(broker, job, payload)
        self.batch = decoder_of(payload, model)
        self.model = model
        self.on_coarse: Callable[[NDArray[np.uint8]], Awaitable[None]] | None = None
        """Called once with the pixels of the coarse scale ``[pictures, rows, columns, C]``, of a model that has one."""

    async def _preview(self, data: bytes) -> None:
        if self.on_coarse is not None:
            show, self.on_coarse = self.on_coarse, None
            await show(self.batch.coarse(data))

    def _on_end(self, result: Mapping[str, Any] | None) -> None:
        self.payload = self.payload.with_result(result)
        if self.payload.best_of > 1 and not self.payload.chosen:
            raise PayloadError("The worker is of an earlier version, which chooses no candidates.")

    async def read_all(self) -> None:
        """Read until every row has been sampled; raises as :meth:`JobReader.symbols` does."""
        async for _, symbols in self.symbols():
            self.batch(symbols)


def usage_of(payload: PicturesPayload, samples: int) -> ImageUsage:
    """What a job cost.

    Args:
        payload: of the job.
        samples: symbols of the pictures, those of uploaded rows included.
    """
    image_tokens, text_tokens = payload.image_tokens, payload.text_tokens
    output_tokens = samples - payload.prompt_symbols * payload.count
    return ImageUsage(
        input_tokens=image_tokens + text_tokens,
        output_tokens=output_tokens,
        total_tokens=image_tokens + text_tokens + output_tokens,
        input_tokens_details=TokenDetails(image_tokens=image_tokens, text_tokens=text_tokens),
    )


async def signed_files(state: AppState, reader: ImageReader) -> list[bytes] | None:
    """The signed files of a job that has been read, which are those of its URLs; None if files are not signed, or the
    answer has none."""
    if state.signer is None or reader.payload.response_format == "url":
        return None
    return await state.artifacts.files(await job_end(state.broker, reader.job))


def images_object(reader: ImageReader, base_url: str, signed: list[bytes] | None) -> ImagesObject:
    """The answer to a request for pictures, once they are complete.

    Args:
        reader: of the job.
        base_url: of this server, as the client sees it; ends with a slash.
        signed: from :func:`signed_files`.
    """
    payload, data = reader.payload, []
    attributes = shown_attributes(payload)
    for index, candidate in enumerate(payload.returned):
        if payload.response_format == "url":
            content = {"url": base_url + path_of(reader.job, payload, index).lstrip("/")}
        else:
            content = {"b64_json": _base64(finished_file(reader, index, signed))}
        revised, seed = payload.revised_prompts[candidate], payload.seeds[candidate]
        data.append(
            ImageObject(
                **content,
                revised_prompt=revised,
                seed=seed,
                attributes=None if attributes is None else attributes[index],
            )
        )
    return ImagesObject(
        created=int(reader.job.created_at),
        data=data,
        output_format=payload.output_format,  # type: ignore[arg-type]  # a string of the schema's
        size=payload.size,
        drawn_size=_drawn_size(reader),
        usage=usage_of(payload, reader.samples),
        palette_distance=payload.palette_error,
        atlas=_atlas(reader),
    )


def _atlas(reader: ImageReader) -> dict[str, Any] | None:
    """The atlas of a sheet that the model lays out."""
    payload, model = reader.payload, reader.model
    layout = layout_of(payload, model)
    if layout is None or not isinstance(payload, ClassDrawing):
        return None
    return atlas_fields(payload, model, laid_out(payload, model, layout), f"{payload.sheet}.{payload.output_format}")


def path_of(job: Job, payload: PicturesPayload, index: int) -> str:
    """The path of one picture's URL. It contains the job's secret: anyone who has the path may see the picture."""
    return f"/v1/images/files/{job.id}/{index}.{payload.output_format}?token={payload.token}"


def finished_file(reader: ImageReader, index: int, signed: list[bytes] | None) -> bytes:
    """The file of one of the pictures that are returned, of a job that has been read; ``signed`` from
    :func:`signed_files`."""
    if signed is not None:
        return signed[index]
    return file_of(reader.payload, reader.model, reader.payload.returned[index], reader.batch)


def shown_attributes(payload: PicturesPayload) -> list[dict[str, AttributeShown]] | None:
    """What each of the pictures that are returned shows; None of a model without a classifier, and of a sheet."""
    if len(payload.shown) != payload.file_count:
        return None
    return [
        {name: AttributeShown(value=value, probability=round(p, 3)) for name, (value, p) in one.items()}
        for one in payload.shown
    ]


async def as_events(state: AppState, reader: ImageReader, partial_images: int) -> AsyncGenerator[bytes, None]:
    """OpenAI's events: every picture unfinished ``partial_images`` times, then finished. Added here: which of several
    pictures it is (``index``), and its ``seed``."""
    partial, completed = _EVENTS_OF_EDITS if isinstance(reader.payload, EditPayload) else _EVENTS
    batch = reader.batch
    height = batch.pixels.shape[1]
    due = [height * (number + 1) // (partial_images + 1) for number in range(partial_images)]
    shown = 0
    async for _, symbols in reader.symbols():
        batch(symbols)
        while shown < partial_images and batch.rows >= due[shown]:
            for index in range(len(batch.pixels)):
                yield event(partial(**_fields(reader, index, None), partial_image_index=shown))
            shown += 1
    payload, signed = reader.payload, await signed_files(state, reader)
    attributes = shown_attributes(payload)
    for index in range(len(payload.returned)):
        yield event(
            completed(
                **_fields(reader, index, signed),
                usage=usage_of(payload, reader.samples),
                attributes=None if attributes is None else attributes[index],
                palette_distance=payload.palette_error,
            )
        )


def _fields(reader: ImageReader, index: int, signed: list[bytes] | None) -> dict[str, Any]:
    """The fields of :class:`ImageEvent`, of one of the pictures that are returned."""
    payload = reader.payload
    candidate = payload.returned[index]
    return {
        "b64_json": _base64(finished_file(reader, index, signed)),
        "created_at": int(reader.job.created_at),
        "size": payload.size,
        "drawn_size": _drawn_size(reader),
        "output_format": payload.output_format,
        "index": index,
        "seed": payload.seeds[candidate],
        "background": payload.background,
        "revised_prompt": payload.revised_prompts[candidate],
    }


def _drawn_size(reader: ImageReader) -> str | None:
    spec = reader.model.spec
    return reader.payload.drawn_size(spec.width, spec.height)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def likelihood(job: Job, payload: ImageLikelihoodPayload) -> dict[str, Any]:
    """The answer to a request for a picture's likelihood."""
    assert job.result is not None
    figures = {name: value for name, value in job.result.items() if name != "bits"}
    if payload.palette_error is not None:
        figures["palette_distance"] = payload.palette_error
    if not payload.map:
        return figures
    bits = np.array(job.result["bits"])  # per pixel, [H, W]
    white = payload.white_bits * figures["dims"] / bits.size
    brightness = np.round(np.clip(bits / white, 0.0, 1.0) * 255.0).astype(np.uint8)
    return figures | {"map": _base64(encode(brightness[..., None], "png"))}


def encoding(job: Job, payload: EncodingPayload) -> dict[str, Any]:
    """The answer to a request for a picture's vector."""
    assert job.result is not None
    tokens = job.result["dims"]
    answer = EncodingList(
        data=[Encoding(index=0, embedding=job.result["embedding"])],
        model=job.model,
        usage=EncodingUsage(prompt_tokens=tokens, total_tokens=tokens),
        palette_distance=payload.palette_error,
    )
    return answer.model_dump(exclude_none=True)
