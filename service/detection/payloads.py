"""What a job that examines a file is to do."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ancestral.detection.query import Query
from ancestral.service.jobs.payload import Payload


@dataclass(frozen=True, kw_only=True)
class DetectionPayload(Payload):
    """A file to examine. The job's upload holds its symbols, as each of the models sees them, or its sound as 32-bit
    floats. The provenance key is not here: workers have it from their settings."""

    models: tuple[str, ...]
    sound: bool
    signature: str
    """The part of the answer, JSON."""
    seed: int | None
    recipe: str | None
    """JSON."""
    voice: str | None
    text: str | None
    newest: int
    search: int

    @property
    def query(self) -> Query:
        """The question."""
        recipe = None if self.recipe is None else json.loads(self.recipe)
        return Query(
            seed=self.seed, recipe=recipe, voice=self.voice, text=self.text, newest=self.newest, search=self.search
        )
