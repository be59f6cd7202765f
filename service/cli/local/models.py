"""The configured models of this process, in the shape of :class:`ancestral.client.server.Server`."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import Any

from ancestral.catalog.catalog import Catalog, load_catalog
from ancestral.detection.local import Detector
from ancestral.model import Model
from ancestral.service.cli.local.model import configured_model, model_that_draws, model_that_speaks
from ancestral.service.settings import load_settings


class LocalModels:
    """Models that are loaded when they are first used, once, whichever thread asks."""

    def __init__(self) -> None:
        self._loaded: dict[str, Model] = {}
        self._lock = threading.Lock()

    def load(self, model: str) -> Model:
        """A model by its id or an alias; raises as :func:`ancestral.load`."""
        with self._lock:
            if model not in self._loaded:
                self._loaded[model] = configured_model(model)
            return self._loaded[model]

    def model_that_speaks(self, voice: str | None = None) -> Model:
        """The first model that speaks, and has this voice; raises InvalidRequest if there is none."""
        return self.load(model_that_speaks(voice))

    def model_that_draws(self, prompt: str | None = None) -> Model:
        """The first model that draws this; raises InvalidRequest if there is none."""
        return self.load(model_that_draws(prompt or "any"))

    def detect(self, file: str | Path | bytes, **options: Any) -> dict[str, Any]:
        with self._lock:
            return self._detector.detect(file, **options)

    @cached_property
    def catalog(self) -> Catalog:
        return load_catalog(load_settings().catalog_config)

    @cached_property
    def _detector(self) -> Detector:
        settings = load_settings()
        return Detector(settings.catalog_config, settings.engine)
