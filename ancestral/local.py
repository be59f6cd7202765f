"""The models of this process, in the shape of :class:`ancestral.client.server.Server`."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ancestral.catalog.catalog import Catalog, CatalogConfig, load_catalog
from ancestral.catalog.voices import VoiceMix, find_voice, first_with_voice
from ancestral.detection.local import Detector
from ancestral.errors import AncestralError
from ancestral.model import Model, load_from
from ancestral.provenance.c2pa import SigningError
from ancestral.settings import ModelSettings, SettingsError
from ancestral_models.checkpoint import CheckpointError
from ancestral_models.entries import CAPABILITIES, ModelEntry, ModelError, speaks

FAILURES: Final = (SettingsError, ModelError, CheckpointError, AncestralError, SigningError, OSError)
"""What the user of a command can correct."""


def first_that_speaks(config: CatalogConfig, voice: str | None = None, language: str | None = None) -> str:
    """The id of the first model that speaks, and has this voice or else, if there is one, a voice of this language; see
    :meth:`Catalog.model_and_voice`. No checkpoint is read: that would take longer than most texts need until their
    first sound.

    Raises:
        InvalidRequest: there is none.
    """
    return _speaking(config, voice, language)[0].id


def reading_language(config: CatalogConfig, voice: str) -> str:
    """The language that this voice reads where a text names none. No checkpoint is read.

    Raises:
        InvalidRequest: no model has the voice.
    """
    found: VoiceMix = _speaking(config, voice)[1]
    return found.language


def _speaking(config: CatalogConfig, voice: str | None, language: str | None = None) -> tuple[ModelEntry, Any]:
    """The first model that speaks so, and its voice, or True if none is asked for."""
    entries = config.entries()
    aliases = config.aliases(entries)
    speaking = [entry for entry in entries.values() if "speech" in CAPABILITIES[entry.kind]]
    speaking.sort(key=lambda entry: (not speaks(entry.voices, language), entry.id not in aliases.models.values()))

    def find(entry: ModelEntry) -> object:
        return voice is None or find_voice(entry.id, entry.voices, voice, aliases.voices)

    return first_with_voice(speaking, find)


class LocalModels:
    """Models that are loaded when they are first used, once, whichever thread asks.

    Args:
        settings: where they are, and how they are sampled.
        pronunciations: instead of those of the settings.
    """

    def __init__(self, settings: ModelSettings, pronunciations: Path | None = None) -> None:
        self._settings = settings
        config = settings.catalog_config
        self._config = config if pronunciations is None else replace(config, pronunciations=pronunciations)
        self._loaded: dict[str, Model] = {}
        self._lock = threading.Lock()

    def load(self, model: str) -> Model:
        """A model by its id or an alias; raises as :func:`ancestral.load`."""
        with self._lock:
            if model not in self._loaded:
                self._loaded[model] = load_from(self._config, model, self._settings.engine)
            return self._loaded[model]

    def model_that_speaks(self, voice: str | None = None, language: str | None = None) -> Model:
        """The first model that speaks; see :func:`first_that_speaks`."""
        return self.load(first_that_speaks(self._config, voice, language))

    def model_that_draws(self, prompt: str | None = None) -> Model:
        """The first model that draws this, or what a picture shows; see :meth:`Catalog.model_that_draws`."""
        return self.load(self.catalog.model_that_draws(prompt).entry.id)

    def detect(self, file: str | Path | bytes, **options: Any) -> dict[str, Any]:
        """See :meth:`Detector.detect`; one at a time."""
        with self._lock:
            return self._detector.detect(file, **options)

    @cached_property
    def catalog(self) -> Catalog:
        """Descriptions of all models."""
        return load_catalog(self._config)

    @cached_property
    def _detector(self) -> Detector:
        return Detector(self._config, self._settings.engine, signer=self._settings.load_signer())
