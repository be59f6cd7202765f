"""``WS /v1/images/stream``: pictures while they are sampled, so that a page can show them grow.

The client sends ``image.generate{model, prompt | class, style, n, best_of, seed, temperature, guidance, background,
coarse, api_key}``. The server answers ``image.start{job, model, width, height, channels, n, seed, seeds}``, followed by
binary frames of whole rows from the top down: the bytes of a row of the first picture (0 … 255, ``width * channels``),
of the same row of the second one, and so on. ``image.done{rows, sha256, attributes}`` ends them; the hash is that of
all their bytes. With ``best_of`` all of this comes at the end, when the best are known. After it the next
``image.generate`` may be sent. With ``coarse: true`` a model in two scales sends ``image.coarse{width, height}`` before
the first row, and then, in binary frames, the coarse pixels of one picture after the other. ``image.cancel`` ends the
pictures early and is answered ``image.cancelled``; ``session.close`` ends the connection. An ``error`` affects only the
message that it answers, and has ``retry_after`` (seconds) where another attempt may succeed; after too many errors the
connection is closed with 1008.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any, Final, Protocol

from ancestral.catalog.models import ImageModel
from ancestral.errors import AncestralError, InvalidRequest
from ancestral.images.pixels import Pixels
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import Job
from ancestral.service.errors import Unauthorized, error_headers, redis_unavailable
from ancestral.service.images.events import ImageCancelled, ImageCoarse, ImageDone, ImageStart
from ancestral.service.images.requests import image_job
from ancestral.service.images.schemas import IMAGE_MESSAGES, ImageCancel, ImageGenerate
from ancestral.service.images.stream import ImageReader, shown_attributes
from ancestral.service.images.tasks import IMAGE
from ancestral.service.jobs.state import AppState, submit_job
from ancestral.service.telemetry.metrics import Transport
from ancestral.service.ws.bounded_websocket import FRAME_BYTES, BoundedWebSocket, CloseConnection, Disconnected
from ancestral.service.ws.connection import WsConnection, receive_loop
from ancestral.service.ws.credentials import Credentials
from ancestral.service.ws.messages import parse_message, wrong_order
from ancestral.service.ws.schemas import ServerEvent, error_event

PATH: Final = "/v1/images/stream"


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


class ImageConnection(WsConnection):
    """One connection."""

    def __init__(self, state: AppState, websocket: BoundedWebSocket, credentials: Credentials) -> None:
        super().__init__(websocket, credentials)
        self._state = state
        self._job: Job | None = None
        self._shutting_down = False

    async def receive(self) -> None:
        if self._credentials.caller is None:
            self.start(self._credentials.await_key())
        await receive_loop(
            self._websocket, self._handle_message, self._send_error, lambda: self._job is not None, self._handling
        )

    def on_shutdown(self) -> None:
        """Pictures that have been started are sent to their end."""
        self._shutting_down = True
        if self._job is None:
            super().on_shutdown()

    async def on_disconnect(self, end: CloseConnection | Disconnected) -> None:
        if self._job is not None:
            with suppress(*UNAVAILABLE):
                await self._state.broker.cancel(self._job)

    async def _handle_message(self, fields: dict[str, Any]) -> None:
        message = parse_message(fields, IMAGE_MESSAGES)
        try:
            if isinstance(message, ImageGenerate):
                await self._generate(message)
            elif isinstance(message, ImageCancel):
                if self._job is None:
                    raise wrong_order("nothing is being drawn")
                await self._state.broker.cancel(self._job)
            else:
                raise CloseConnection(1000, "")
        except UNAVAILABLE:
            raise redis_unavailable() from None

    async def _generate(self, message: ImageGenerate) -> None:
        if self._job is not None:
            raise wrong_order("one request at a time; image.cancel ends it")
        try:
            caller = self._credentials.check(message.api_key)
        except Unauthorized as error:
            await self._send_error(error)
            raise CloseConnection(1008, "no valid API key") from None
        if message.coarse and message.best_of > 1:
            said = "coarse: which picture is the best is known only at the end, so none can be shown before"
            raise InvalidRequest(said, param="coarse", code="conflict")
        job_spec = image_job(self._state.catalog, self._state.settings, message.request())
        await self._state.count_request(caller)
        self._job = await submit_job(self._state, caller, job_spec, prefer=None, key=None)
        self.start(self._send_pictures(self._job, job_spec.model, coarse=message.coarse))

    async def _send_pictures(self, job: Job, model: ImageModel, *, coarse: bool) -> None:
        reader = ImageReader(self._state.broker, job, IMAGE.parse(job), model)
        if coarse:
            reader.on_coarse = self._send_coarse
        try:
            rows, digest = await self._send_rows(reader)
        except AncestralError as error:
            self._job = None
            if error.code == "job_cancelled":
                await self._send(ImageCancelled())
            else:
                await self._send_error(error)
        else:
            self._job = None  # before `image.done` is sent: the client may send the next request at once
            done, shown = ImageDone(rows=rows, sha256=digest), shown_attributes(reader.payload)
            await self._send(done if shown is None else done.model_copy(update={"attributes": shown}))
        if self._shutting_down:
            self.on_shutdown()

    async def _send_coarse(self, pixels: Pixels) -> None:
        _, height, width, _ = pixels.shape
        await self._send(ImageCoarse(width=width, height=height))
        data = pixels.tobytes()
        for start in range(0, len(data), FRAME_BYTES):
            await self._websocket.send_bytes(data[start : start + FRAME_BYTES])

    async def _send_rows(self, reader: ImageReader) -> tuple[int, str]:
        """Send the pictures. Returns the number of their rows, and the hash of all bytes."""
        digest = hashlib.sha256()
        if reader.payload.best_of > 1:
            await reader.read_all()
            await self._send_start(reader)
            chosen = reader.batch.pixels[list(reader.payload.returned)]
            await self._send_frames(chosen.swapaxes(0, 1), digest)
        else:
            await self._send_start(reader)
            async for _, symbols in reader.symbols():
                await self._send_frames(reader.batch(symbols), digest)
        return reader.batch.rows, digest.hexdigest()

    async def _send_start(self, reader: ImageReader) -> None:
        job, payload, spec = reader.job, reader.payload, reader.model.spec
        start = ImageStart(
            job=job.id,
            model=job.model,
            width=spec.width,
            height=spec.height,
            channels=reader.batch.channels,
            n=len(payload.returned),
            seed=payload.seed,
            seeds=[payload.seeds[candidate] for candidate in payload.returned],
        )
        revised = [payload.revised_prompts[candidate] for candidate in payload.returned]
        await self._send(start.model_copy(update={"revised_prompts": revised}) if any(revised) else start)

    async def _send_frames(self, rows: Pixels, digest: _Digest) -> None:
        """Send rows ``[rows, pictures, W, C]``, and add them to the hash of all bytes."""
        rows_per_frame = max(1, FRAME_BYTES // rows[0].size)
        for first in range(0, len(rows), rows_per_frame):
            frame = rows[first : first + rows_per_frame].tobytes()
            digest.update(frame)
            await self._websocket.send_bytes(frame)

    async def _send(self, event: ServerEvent) -> None:
        await self._websocket.send_json(event.message())

    async def _send_error(self, error: AncestralError) -> None:
        self._state.metrics.refused(error, Transport.WEBSOCKET)
        seconds = error_headers(error).get("retry-after")
        await self._send(error_event(error, None if seconds is None else int(seconds)))
