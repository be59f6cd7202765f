"""Every model with its weights: what a worker holds, and the commands that sample without a server."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from models.checkpoint import Checkpoint
from models.engines import load_engine, load_picture_engine
from models.engines.base import EngineError
from models.engines.sheets import SheetEngine
from models.library import LibraryError, ModelEntry
from models.text.frames import FrameModel
from service.catalogue import Catalogue, PictureModel, SoundModel, describe, loaded
from service.images.drawing import PictureSampler
from service.sampler import Sampler
from service.settings import Settings
from service.synthesis import SoundSampler

log = logging.getLogger(__name__)
_S = TypeVar("_S", bound=Sampler)


class Repertoire(Catalogue):
    """A catalogue of models that are loaded."""

    def __init__(self, samplers: Mapping[str, Sampler]) -> None:
        super().__init__({name: sampler.model for name, sampler in samplers.items()})
        self.samplers = dict(samplers)

    def sound(self, model: SoundModel) -> SoundSampler:
        """What samples one of its models."""
        return self._sampler(SoundSampler, model.entry.id)

    def picture(self, model: PictureModel) -> PictureSampler:
        """The same of models that draw."""
        return self._sampler(PictureSampler, model.entry.id)

    def _sampler(self, kind: type[_S], model_id: str) -> _S:
        sampler = self.samplers[model_id]
        assert isinstance(sampler, kind)
        return sampler

    def warm(self) -> None:
        """Make a moment's worth with every model, so that whatever is compiled or read on first use is there."""
        for name, sampler in self.samplers.items():
            start = time.perf_counter()
            sampler.warm()
            log.info("model warm", extra={"model": name, "seconds": round(time.perf_counter() - start, 3)})

    def unload(self, idle_seconds: float) -> None:
        """Give back the memory of models that nobody has asked for so long; whoever asks next waits until they load."""
        for name, sampler in self.samplers.items():
            if sampler.engine.unload(idle_seconds):
                log.info("model unloaded", extra={"model": name})


def load_repertoire(settings: Settings, only: Callable[[ModelEntry], bool] = lambda entry: True) -> Repertoire:
    """Load every model that the settings lead to, for sampling.

    Args:
        settings: which directories, which engine, which precision.
        only: leave out the models for which this is false.

    Raises:
        LibraryError: a model's description is wrong, its parts do not fit each other, or there is no model.
        CheckpointError: weights are missing or damaged.
    """
    return Repertoire({parts[0].id: _sampler(settings, *parts) for parts in loaded(settings, only)})


@contextmanager
def _explained(settings: Settings, entry: ModelEntry) -> Iterator[None]:
    """Why an engine cannot run, as the model's fault."""
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"{entry.id}: the {settings.engine} engine needs {error.name}, which is not installed"
        raise LibraryError(message) from error
    except EngineError as error:
        raise LibraryError(f"{entry.id}: {error}") from error


def _sampler(settings: Settings, entry: ModelEntry, sampled: Checkpoint, frames: Checkpoint | None) -> Sampler:
    model = describe(entry, sampled)
    if isinstance(model, PictureModel):
        with _explained(settings, entry):
            return PictureSampler(model, SheetEngine(load_picture_engine(settings.engine, sampled)))
    assert isinstance(model, SoundModel)
    with _explained(settings, entry):
        engine = load_engine(settings.engine, sampled, settings.precision)
    return SoundSampler(model, engine, FrameModel(frames) if frames is not None else None)
