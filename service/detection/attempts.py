"""Attempts at jobs that examine a file."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import numpy as np

from ancestral.detection.examine import Picture, Sound, examine
from ancestral.loader import LoadedModels
from ancestral.service.detection.payloads import DetectionPayload
from ancestral.service.jobs.attempt import ScoringAttempt


class DetectionAttempt(ScoringAttempt):
    """All parts of the answer but the signature."""

    payload: DetectionPayload

    async def work(self) -> dict[str, Any] | None:
        """Stops early when told to."""
        upload = await self.lease.upload()
        self.lease.note(total=len(upload))
        models, key = self.context.catalog, self.context.settings.provenance_key
        assert isinstance(models, LoadedModels), "a worker's"
        secret = None if key is None else key.get_secret_value().encode()
        subject = self._subject(models, upload)
        search = partial(examine, models, subject, self.payload.query, secret, lambda: self.stopped is not None)
        async with self.context.searching:
            found = None if self.stopped is not None else await asyncio.to_thread(search)
        return None if self.stopped is not None else found

    def _subject(self, models: LoadedModels, upload: bytes) -> Picture | Sound:
        if self.payload.sound:
            return Sound(self.payload.models[0], np.frombuffer(upload, "<f4"))
        symbols, at = [], 0
        for name in self.payload.models:
            spec = models.image_model(name, "image_likelihood").spec
            seen = np.frombuffer(upload, np.uint8, spec.dims, at)
            symbols.append((name, seen.reshape(spec.height, spec.width, spec.channels)))
            at += spec.dims
        return Picture(symbols)
