"""What a client gets of a job of pictures: JSON, server-sent events, URLs, and rows over a websocket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.descriptions import ImageModel
from ancestral.errors import AncestralError, InvalidRequest
from ancestral.images.drawing import ClassDrawing, Drawing, Edit
from ancestral.images.files import Pixels, atlas_fields, decoder_of, file_of, laid_out, layout_of
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import UNAVAILABLE
from ancestral_service.broker.job import Job
from ancestral_service.errors import error_headers
from ancestral_service.images.schemas import (
    IMAGE_MESSAGES,
    AttributeShown,
    EditCompleted,
    EditPartial,
    ImageCancel,
    ImageCancelled,
    ImageCoarse,
    ImageCompleted,
    ImageDone,
    ImageGenerate,
    ImageObject,
    ImagePartial,
    ImagesObject,
    ImageStart,
    ImageUsage,
    TokenDetails,
)
from ancestral_service.jobs.admission import submit_job
from ancestral_service.jobs.job_reader import JobReader, event, job_end, redis_errors
from ancestral_service.jobs.planning import image_job
from ancestral_service.jobs.plans import plan_of
from ancestral_service.jobs.state import AppState
from ancestral_service.ws import (
    FRAME_BYTES,
    BoundedWebSocket,
    CloseConnection,
    Credentials,
    Disconnected,
    EventConnection,
    parse_message,
    wrong_order,
)


class ImageReader(JobReader):
    """One client that watches a job's pictures grow."""

    plan: Drawing

    def __init__(self, broker: Clients, job: Job, plan: Drawing, model: ImageModel) -> None:
        super().__init__(broker, job, plan)
        self.batch = decoder_of(plan, model)
        self.model = model
        self.on_coarse: Callable[[NDArray[np.uint8]], Awaitable[None]] | None = None
        """Called once with the pixels of the coarse scale ``[pictures, rows, columns, C]``, of a model that has one."""

    async def _preview(self, data: bytes) -> None:
        if self.on_coarse is not None:
            show, self.on_coarse = self.on_coarse, None
            await show(self.batch.coarse(data))

    def _on_end(self, result: Mapping[str, Any] | None) -> None:
        self.plan = self.plan.with_result(result)

    async def read_all(self) -> None:
        """Read until every row has been sampled; raises as :meth:`JobReader.symbols` does."""
        async for _, symbols in self.symbols():
            self.batch(symbols)


def usage_of(plan: Drawing, samples: int) -> ImageUsage:
    """What a job cost.

    Args:
        plan: of the job.
        samples: symbols of the pictures, those of uploaded rows included.
    """
    image_tokens, text_tokens = plan.image_tokens, plan.text_tokens
    output_tokens = samples - plan.prompt_symbols * plan.count
    return ImageUsage(
        input_tokens=image_tokens + text_tokens,
        output_tokens=output_tokens,
        total_tokens=image_tokens + text_tokens + output_tokens,
        input_tokens_details=TokenDetails(image_tokens=image_tokens, text_tokens=text_tokens),
    )


async def signed_files(state: AppState, reader: ImageReader) -> list[bytes] | None:
    """The signed files of a job that has been read, which are those of its URLs; None if files are not signed, or the
    answer has none."""
    if state.signer is None or reader.plan.response_format == "url":
        return None
    return await state.artifacts.files(await job_end(state.broker, reader.job))


def images_object(reader: ImageReader, base_url: str, signed: list[bytes] | None) -> ImagesObject:
    """The answer to a request for pictures, once they are complete.

    Args:
        reader: of the job.
        base_url: of this server, as the client sees it; ends with a slash.
        signed: from :func:`signed_files`.
    """
    plan, data = reader.plan, []
    for index, (candidate, attributes) in enumerate(zip(plan.returned, shown_attributes(plan), strict=True)):
        if plan.response_format == "url":
            # It contains the job's secret: anyone who has the URL may see the picture.
            file = f"{reader.job.id}/{index}.{plan.output_format}"
            content = {"url": f"{base_url}v1/images/files/{file}?token={plan.token}"}
        else:
            content = {"b64_json": _base64(finished_file(reader, index, signed))}
        revised, seed = plan.revised_prompts[candidate], plan.seeds[candidate]
        data.append(ImageObject(**content, revised_prompt=revised, seed=seed, attributes=attributes))
    return ImagesObject(
        created=int(reader.job.created_at),
        data=data,
        output_format=plan.output_format,  # type: ignore[arg-type]  # a string of the schema's
        size=plan.size,
        drawn_size=_drawn_size(reader),
        usage=usage_of(plan, reader.samples),
        palette_distance=plan.palette_error,
        atlas=_atlas(reader),
    )


def _atlas(reader: ImageReader) -> dict[str, Any] | None:
    """The atlas of a sheet that the model lays out."""
    plan, model = reader.plan, reader.model
    layout = layout_of(plan, model)
    if layout is None or not isinstance(plan, ClassDrawing):
        return None
    return atlas_fields(plan, model, laid_out(plan, model, layout), f"{plan.sheet}.{plan.output_format}")


def finished_file(reader: ImageReader, index: int, signed: list[bytes] | None) -> bytes:
    """The file of one of the pictures that are returned, of a job that has been read; ``signed`` from
    :func:`signed_files`."""
    if signed is not None:
        return signed[index]
    return file_of(reader.plan, reader.model, reader.plan.returned[index], reader.batch)


def shown_attributes(plan: Drawing) -> Sequence[dict[str, AttributeShown] | None]:
    """What each of the pictures that are returned shows; None of a model without a classifier, and of a sheet."""
    if len(plan.shown) != plan.file_count:
        return [None] * len(plan.returned)
    return [
        {name: AttributeShown(value=value, probability=round(p, 3)) for name, (value, p) in one.items()}
        for one in plan.shown
    ]


async def as_events(state: AppState, reader: ImageReader, partial_images: int) -> AsyncGenerator[bytes, None]:
    """OpenAI's events: every picture unfinished ``partial_images`` times, then finished. Added here: which of several
    pictures it is (``index``), and its ``seed``."""
    is_edit = isinstance(reader.plan, Edit)
    partial, completed = (EditPartial, EditCompleted) if is_edit else (ImagePartial, ImageCompleted)
    batch = reader.batch
    height = batch.pixels.shape[1]
    due = [height * (number + 1) // (partial_images + 1) for number in range(partial_images)]
    shown = 0
    async for _, symbols in reader.symbols():
        batch(symbols)
        while shown < partial_images and batch.rows >= due[shown]:
            for index in range(len(batch.pixels)):
                fields = await asyncio.to_thread(_fields, reader, index, None)
                yield event(partial(**fields, partial_image_index=shown))
            shown += 1
    plan, signed = reader.plan, await signed_files(state, reader)
    usage, apart = usage_of(plan, reader.samples), plan.palette_error
    for index, attributes in enumerate(shown_attributes(plan)):
        fields = await asyncio.to_thread(_fields, reader, index, signed)
        yield event(completed(**fields, usage=usage, attributes=attributes, palette_distance=apart))


def _fields(reader: ImageReader, index: int, signed: list[bytes] | None) -> dict[str, Any]:
    """The fields of :class:`ancestral_service.images.schemas.ImageEvent`, of one of the pictures that are returned."""
    plan = reader.plan
    candidate = plan.returned[index]
    return {
        "b64_json": _base64(finished_file(reader, index, signed)),
        "created_at": int(reader.job.created_at),
        "size": plan.size,
        "drawn_size": _drawn_size(reader),
        "output_format": plan.output_format,
        "index": index,
        "seed": plan.seeds[candidate],
        "background": plan.background,
        "revised_prompt": plan.revised_prompts[candidate],
    }


def _drawn_size(reader: ImageReader) -> str | None:
    """``WIDTHxHEIGHT`` of the picture in a padded file; None if the file has no edge."""
    plan, spec = reader.plan, reader.model.spec
    return f"{spec.width * plan.scale}x{spec.height * plan.scale}" if plan.fit == "pad" else None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PATH: Final = "/v1/images/stream"


class ImageConnection(EventConnection):
    """One connection."""

    def __init__(self, state: AppState, websocket: BoundedWebSocket, credentials: Credentials) -> None:
        super().__init__(state, websocket, credentials)
        self._job: Job | None = None
        self._shutting_down = False

    @property
    def is_busy(self) -> bool:
        return self._job is not None

    def on_shutdown(self) -> None:
        """Pictures that have been started are sent to their end."""
        self._shutting_down = True
        if self._job is None:
            super().on_shutdown()

    async def on_disconnect(self, end: CloseConnection | Disconnected) -> None:
        if self._job is not None:
            with suppress(*UNAVAILABLE):
                await self._state.broker.cancel(self._job)

    async def handle_message(self, fields: dict[str, Any]) -> None:
        message = parse_message(fields, IMAGE_MESSAGES)
        with redis_errors():
            if isinstance(message, ImageGenerate):
                await self._generate(message)
            elif isinstance(message, ImageCancel):
                if self._job is None:
                    raise wrong_order("nothing is being drawn")
                await self._state.broker.cancel(self._job)
            else:
                raise CloseConnection(1000, "")

    async def _generate(self, message: ImageGenerate) -> None:
        if self._job is not None:
            raise wrong_order("one request at a time; image.cancel ends it")
        caller = await self.check_key(message.api_key)
        if message.coarse and message.best_of > 1:
            said = "coarse: which picture is the best is known only at the end, so none can be shown before"
            raise InvalidRequest(said, param="coarse", code="conflict")
        job_spec = await asyncio.to_thread(image_job, self._state.catalog, self._state.settings, message.request())
        await self._state.count_request(caller)
        self._job = await submit_job(self._state, caller, job_spec, prefer=None, key=None)
        self.start(self._send_pictures(self._job, job_spec.model, coarse=message.coarse))

    async def _send_pictures(self, job: Job, model: ImageModel, *, coarse: bool) -> None:
        reader = ImageReader(self._state.broker, job, plan_of(job, Drawing), model)
        if coarse:
            reader.on_coarse = self._send_coarse
        try:
            rows, digest = await self._send_rows(reader)
        except AncestralError as error:
            self._job = None
            if error.code == "job_cancelled":
                await self.send(ImageCancelled())
            else:
                await self.failed(error)
        else:
            self._job = None  # before `image.done` is sent: the client may send the next request at once
            done, shown = ImageDone(rows=rows, sha256=digest), shown_attributes(reader.plan)
            await self.send(done if None in shown else done.model_copy(update={"attributes": shown}))
        if self._shutting_down:
            self.on_shutdown()

    async def _send_coarse(self, pixels: Pixels) -> None:
        _, height, width, _ = pixels.shape
        await self.send(ImageCoarse(width=width, height=height))
        data = pixels.tobytes()
        for start in range(0, len(data), FRAME_BYTES):
            await self._websocket.send_bytes(data[start : start + FRAME_BYTES])

    async def _send_rows(self, reader: ImageReader) -> tuple[int, str]:
        """Send the pictures. Returns the number of their rows, and the hash of all bytes."""
        digest = hashlib.sha256()
        if reader.plan.best_of > 1:
            await reader.read_all()
            await self._send_start(reader)
            chosen = reader.batch.pixels[list(reader.plan.returned)]
            await self._send_frames(chosen.swapaxes(0, 1), digest.update)
        else:
            await self._send_start(reader)
            async for _, symbols in reader.symbols():
                await self._send_frames(reader.batch(symbols), digest.update)
        return reader.batch.rows, digest.hexdigest()

    async def _send_start(self, reader: ImageReader) -> None:
        job, plan, spec = reader.job, reader.plan, reader.model.spec
        start = ImageStart(
            job=job.id,
            model=job.model,
            width=spec.width,
            height=spec.height,
            channels=reader.batch.channels,
            n=len(plan.returned),
            seed=plan.seed,
            seeds=[plan.seeds[candidate] for candidate in plan.returned],
        )
        revised = [plan.revised_prompts[candidate] for candidate in plan.returned]
        await self.send(start.model_copy(update={"revised_prompts": revised}) if any(revised) else start)

    async def _send_frames(self, rows: Pixels, hash_bytes: Callable[[bytes], object]) -> None:
        """Send rows ``[rows, pictures, W, C]``, and add them to the hash of all bytes."""
        rows_per_frame = max(1, FRAME_BYTES // rows[0].size)
        for first in range(0, len(rows), rows_per_frame):
            frame = rows[first : first + rows_per_frame].tobytes()
            hash_bytes(frame)
            await self._websocket.send_bytes(frame)

    async def failed(self, error: AncestralError, retry_after: int | None = None) -> None:
        seconds = error_headers(error).get("retry-after", retry_after)
        await super().failed(error, None if seconds is None else int(seconds))
