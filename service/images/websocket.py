"""``WS /v1/images/stream``: pictures as they are drawn, so that a page can show them grow.

The client says ``image.generate{model, prompt | class, style, n, seed, temperature}``. The server answers
``image.start{job, model, width, height, channels, n, seed, seeds}``; then come binary frames of whole rows, from the
uppermost down: the bytes of a row of the first picture (0 … 255, ``width * channels`` of them), of the same row of the
second one, and so on. ``image.done{rows, sha256}`` ends them; the hash is that of all their bytes. After that the next
``image.generate`` may come. ``image.cancel`` ends it early and is answered ``image.cancelled``, ``session.close`` ends
the connection. An ``error`` loses what it names and nothing else, and has ``retry_after`` (seconds) where asking again
may help; with too many, the connection is closed with 1008.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

from service.broker import UNAVAILABLE
from service.broker.job import Job
from service.catalog.models import ImageModel
from service.errors import ServiceError, envelope, queue_away
from service.images.requests import image_job
from service.images.sampler import seeds_of
from service.images.schemas import IMAGE_MESSAGES, ImageCancel, ImageGenerate
from service.images.stream import ImageReader
from service.jobs.caller import Caller
from service.jobs.rate_limit import Limits
from service.jobs.state import State
from service.jobs.submit import submit_job
from service.telemetry.metrics import Transport
from service.ws.bounded_websocket import FRAME_BYTES, BoundedWebSocket, Leave, Left
from service.ws.connection import WsConnection, receive_loop
from service.ws.messages import parse_message, wrong_order


class ImageConnection(WsConnection):
    """One connection."""

    def __init__(self, state: State, limits: Limits, websocket: BoundedWebSocket, caller: Caller) -> None:
        super().__init__(websocket)
        self._state = state
        self._limits = limits
        self._caller = caller
        self._job: Job | None = None
        self._parting = False

    async def listen(self) -> None:
        """See :class:`WsConnection`."""
        await receive_loop(self._websocket, self._heed, self._failed, lambda: self._job is not None, self._handling)

    def part(self) -> None:
        """See :class:`WsConnection`. What is being drawn is shown to its end."""
        self._parting = True
        if self._job is None:
            super().part()

    async def left(self, end: Leave | Left) -> None:
        """See :class:`WsConnection`."""
        if self._job is not None:
            with suppress(*UNAVAILABLE):
                await self._state.broker.cancel(self._job)

    async def _heed(self, said: dict[str, Any]) -> None:
        message = parse_message(said, IMAGE_MESSAGES)
        try:
            if isinstance(message, ImageGenerate):
                await self._begin(message)
            elif isinstance(message, ImageCancel):
                if self._job is None:
                    raise wrong_order("nothing is being drawn")
                await self._state.broker.cancel(self._job)
            else:
                raise Leave(1000, "")
        except UNAVAILABLE:
            raise queue_away() from None

    async def _begin(self, message: ImageGenerate) -> None:
        if self._job is not None:
            raise wrong_order("one request at a time; image.cancel ends it")
        job_spec = image_job(self._state.catalog, message.request())
        assert isinstance(job_spec.model, ImageModel)
        await self._limits.count(self._caller)
        self._job = await submit_job(self._state, self._caller, job_spec, prefer=None, key=None)
        self.start(self._draw(self._job, job_spec.model))

    async def _draw(self, job: Job, model: ImageModel) -> None:
        try:
            rows, digest = await self._show(job, model)
        except ServiceError as error:
            self._job = None
            if error.code == "job_cancelled":
                await self._say("image.cancelled")
            else:
                await self._failed(error)
        else:
            self._job = None  # before the client hears of it: the next request may come at once
            await self._say("image.done", rows=rows, sha256=digest)
        if self._parting:
            self.part()

    async def _show(self, job: Job, model: ImageModel) -> tuple[int, str]:
        """Send the pictures; how many rows they had, and the hash of all that was sent."""
        reader, spec, seeds = ImageReader(self._state.broker, job, model), model.spec, seeds_of(job.request)
        shape = {"width": spec.width, "height": spec.height, "channels": spec.channels, "n": len(seeds)}
        kinds = {"revised_prompts": reader.kinds} if any(reader.kinds) else {}
        own = {"seed": job.request["seed"], "seeds": seeds} | kinds
        await self._say("image.start", job=job.id, model=job.model, **shape, **own)
        digest = hashlib.sha256()
        at_once = max(1, FRAME_BYTES // (len(seeds) * spec.width * spec.channels))
        async for _, symbols in reader.symbols():
            rows = reader.batch(symbols)
            for first in range(0, len(rows), at_once):
                frame = rows[first : first + at_once].tobytes()
                digest.update(frame)
                await self._websocket.send_bytes(frame)
        return reader.batch.rows, digest.hexdigest()

    async def _say(self, kind: str, **fields: object) -> None:
        await self._websocket.send_json({"type": kind, **fields})

    async def _failed(self, error: ServiceError) -> None:
        self._state.metrics.refused(error, Transport.WEBSOCKET)
        seconds = error.headers.get("retry-after")
        again = {} if seconds is None else {"retry_after": int(seconds)}
        await self._say("error", error=envelope(error)["error"] | again)
