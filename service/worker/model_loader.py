"""Every model with its weights, for workers and for the commands that sample without a server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines import load_engine
from ancestral.models.engines.base import EngineError
from ancestral.models.engines.images.batch import BatchEngine
from ancestral.models.engines.speech.engine import SpeechEngine
from ancestral.models.engines.speech.synthesis import SynthesisEngine
from ancestral.models.library import LibraryError, ModelEntry
from ancestral.models.text.acoustic import AcousticModel
from ancestral.service.catalog.catalog import Catalog, describe, loaded
from ancestral.service.catalog.models import ImageModel, SpeechModel
from ancestral.service.catalog.sampler import Sampler
from ancestral.service.images.sampler import ImageSampler
from ancestral.service.settings import Settings
from ancestral.service.speech.sampler import SpeechSampler
from ancestral.service.worker.compilation import compilation_logged

log = logging.getLogger(__name__)
_S = TypeVar("_S", bound=Sampler)
_EXTRAS = {"onnx-cuda": "gpu", "onnx-cpu": "cpu", "torch": "train"}
"""The extra of pyproject.toml that installs what an engine needs."""


class LoadedModels(Catalog):
    """A catalog of models that are loaded."""

    def __init__(self, samplers: Mapping[str, Sampler]) -> None:
        super().__init__({name: sampler.model for name, sampler in samplers.items()})
        self.samplers = dict(samplers)

    def sound(self, model: SpeechModel) -> SpeechSampler:
        """The sampler of a speech model."""
        return self._sampler(SpeechSampler, model.entry.id)

    def picture(self, model: ImageModel) -> ImageSampler:
        """The sampler of an image model."""
        return self._sampler(ImageSampler, model.entry.id)

    def _sampler(self, kind: type[_S], model_id: str) -> _S:
        sampler = self.samplers[model_id]
        assert isinstance(sampler, kind)
        return sampler

    def unload(self, idle_seconds: float) -> None:
        """Free the memory of models that have been idle this long; the next request waits until they are loaded."""
        for name, sampler in self.samplers.items():
            if sampler.engine.unload(idle_seconds):
                log.info("model unloaded", extra={"model": name})


def load_models(settings: Settings, only: Callable[[ModelEntry], bool] = lambda entry: True) -> LoadedModels:
    """Load every model of the configured directories, for sampling.

    Args:
        settings: which directories, which engine, which precision.
        only: leave out the models for which this is false.

    Raises:
        LibraryError: a model's description is wrong, its parts do not fit each other, or there is no model.
        CheckpointError: weights are missing or damaged.
    """
    return LoadedModels({parts[0].id: _sampler(settings, *parts) for parts in loaded(settings, only)})


@contextmanager
def _explained(settings: Settings, entry: ModelEntry) -> Iterator[None]:
    """Load an engine: log if it compiles, and name the model if it cannot run."""
    try:
        with compilation_logged(entry.id):
            yield
    except ModuleNotFoundError as error:
        message = f"{entry.id}: the {settings.engine} engine needs {error.name}, which is not installed"
        if extra := _EXTRAS.get(settings.engine):
            message += f": pip install '.[{extra}]'"
        raise LibraryError(message) from error
    except EngineError as error:
        raise LibraryError(f"{entry.id}: {error}") from error


def _sampler(settings: Settings, entry: ModelEntry, sampled: Checkpoint, acoustic: Checkpoint | None) -> Sampler:
    model = describe(entry, sampled, acoustic)
    with _explained(settings, entry):
        engine = load_engine(settings.engine, sampled, settings.precision)
    if isinstance(model, ImageModel):
        assert isinstance(engine, BatchEngine)
        return ImageSampler(model, engine)
    assert isinstance(model, SpeechModel)
    assert isinstance(engine, SpeechEngine)
    sounding = SynthesisEngine(engine) if model.spec.shaping == "linear_prediction" else engine
    return SpeechSampler(model, sounding, AcousticModel(acoustic) if acoustic is not None else None)
