"""Every model with its weights, for workers and for the commands that sample without a server."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import partial

from ancestral.catalog import catalog
from ancestral.catalog.descriptions import ImageModel, Sampler, SpeechModel
from ancestral.errors import NotFound
from ancestral.images.sampler import ImageSampler
from ancestral.speech.sampler import SpeechSampler
from ancestral_models.acoustic import AcousticModel
from ancestral_models.architectures.classifier import ClassifierSpec
from ancestral_models.checkpoint import Checkpoint, CheckpointError, give_back_memory
from ancestral_models.classification import PictureClassifier
from ancestral_models.engines import load_engine
from ancestral_models.engines.base import Engine, EngineError, EngineUnavailable
from ancestral_models.engines.images.engine import BatchEngine
from ancestral_models.engines.speech.engine import Shares, SpeechEngine, SynthesisEngine, VoicesEngine
from ancestral_models.engines.speech.native import mean_of
from ancestral_models.entries import MachineError, ModelEntry, ModelError
from ancestral_models.text import Pronunciations

log = logging.getLogger(__name__)
_EXTRAS = {"onnx-cuda": "gpu", "onnx-cpu": "cpu"}
"""The extra of pyproject.toml that installs what an engine needs."""


class LoadedModels(catalog.Catalog):
    """A catalog of models that are loaded."""

    def __init__(
        self, samplers: Mapping[str, Sampler], aliases: catalog.Aliases, pronunciations: Pronunciations
    ) -> None:
        super().__init__({name: sampler.model for name, sampler in samplers.items()}, aliases, pronunciations)
        self.samplers = dict(samplers)
        self.left_out: dict[str, str] = {}
        """SHA-256 of the weights of each model that cannot be sampled here, by id."""

    def sound(self, model: SpeechModel) -> SpeechSampler:
        sampler = self.samplers[model.entry.id]
        assert isinstance(sampler, SpeechSampler)
        return sampler

    def picture(self, model: ImageModel) -> ImageSampler:
        sampler = self.samplers[model.entry.id]
        assert isinstance(sampler, ImageSampler)
        return sampler

    def unload(self, idle_seconds: float) -> None:
        """Free the memory of models that have been idle this long; the next request waits until they are loaded."""
        for name, sampler in self.samplers.items():
            if sampler.engine.unload(idle_seconds):
                log.info("model unloaded", extra={"model": name})


def load_models(config: catalog.CatalogConfig, engine: str = "auto", only: str | None = None) -> LoadedModels:
    """Load models for sampling.

    Args:
        config: where they are.
        engine: one of :data:`ancestral_models.engines.NAMES`.
        only: the id or an alias of the one that is loaded; all of them if None.

    Raises:
        MachineError: the engine cannot run on this machine: its library, its provider or a device is missing.
        ModelError: a model's description is wrong, its parts do not fit each other, or the engine cannot run with its
            weights or graphs. Unless ``only`` is given, such a model is left out as long as there is another.
        CheckpointError: weights are missing or damaged; likewise.
        NotFound: there is no such model.
    """
    entries = config.entries()
    aliases = config.aliases(entries)
    left_out = dict[str, str]()

    def sampled(entry: ModelEntry, loaded: catalog.Checkpoints) -> Sampler:
        try:
            return sampler_of(entry, loaded, engine)
        except ModelError:
            left_out[entry.id] = loaded.sha256
            raise

    if only is not None:
        if (entry := entries.get(aliases.models.get(only, only))) is None:
            message = f"model: no such model; available: {', '.join(entries)}"
            raise NotFound(message, param="model", code="model_not_found")
        samplers = {entry.id: sampler_of(entry, catalog.checkpoints(entry), engine)}
    else:
        samplers = catalog.usable(entries.values(), sampled)
    models = LoadedModels(samplers, aliases, catalog.read_lexicon(config.pronunciations))
    models.left_out = left_out
    return models


def _engine(entry: ModelEntry, checkpoint: Checkpoint, engine: str) -> Engine:
    """The engine of a checkpoint; an error names the model."""
    try:
        return load_engine(engine, checkpoint)
    except ModuleNotFoundError as error:
        message = f"{entry.id}: the {engine} engine needs {error.name}, which is not installed"
        if extra := _EXTRAS.get(engine):
            message += f": pip install '.[{extra}]'"
        # Torch is needed by networks without kernels alone, onnxruntime by all.
        raise (MachineError if error.name == "onnxruntime" else ModelError)(message) from error
    except EngineError as error:
        kind = MachineError if isinstance(error, EngineUnavailable) else ModelError
        raise kind(f"{entry.id}: {error}") from error


def sampler_of(entry: ModelEntry, loaded: catalog.Checkpoints, engine_name: str = "auto") -> Sampler:
    """A model with its weights; raises ModelError if the engine cannot run here, or not with them."""
    model = catalog.describe(entry, loaded)
    if isinstance(model, ImageModel):
        pictures = _engine(entry, loaded.sampled, engine_name)
        assert isinstance(pictures, BatchEngine)
        part = loaded.classifier
        classifier = None if part is None else PictureClassifier(part.spec_as(ClassifierSpec), part.tensors)
        return ImageSampler(model, pictures, classifier)
    assert isinstance(model, SpeechModel)
    engine = _speech_engine(entry, loaded.sampled, engine_name)
    if loaded.networks:
        networks = {voice.id: voice.network for voice in entry.voices if voice.network}
        load = partial(_network, entry, loaded.networks, engine_name)
        # The graphs of onnxruntime hold their weights: there are none of a mean.
        engine = VoicesEngine(engine, networks, load, mixes=not engine_name.startswith("onnx-"))
    sounding = SynthesisEngine(engine) if model.spec.shaping == "linear_prediction" else engine
    acoustic = None if loaded.acoustic is None else AcousticModel(loaded.acoustic, int8=engine.int8)
    return SpeechSampler(model, sounding, acoustic)


def _network(entry: ModelEntry, hashes: Mapping[str, str], engine_name: str, shares: Shares) -> SpeechEngine:
    """The engine of a voice's network, or of the mean of several."""
    checkpoints = [catalog.load_part(entry, entry.networks[name]) for name, _ in shares]
    for (name, _), checkpoint in zip(shares, checkpoints, strict=True):
        if checkpoint.sha256 != hashes[name]:
            raise CheckpointError(f"{entry.id}: {name}: its weights are others than when the model was loaded")
    return _speech_engine(entry, mean_of(checkpoints, [share for _, share in shares]), engine_name)


def _speech_engine(entry: ModelEntry, checkpoint: Checkpoint, engine_name: str) -> SpeechEngine:
    engine = _engine(entry, checkpoint, engine_name)
    assert isinstance(engine, SpeechEngine)
    return engine


def warm_up(models: LoadedModels) -> dict[str, str]:
    """Warm every model up, with a log line for each; what :meth:`Sampler.warm` gives, by the id of the model.

    One that cannot be sampled is left out, and the reason logged; raises that of the last if there is no other.
    """
    probes, samplers, failure = dict[str, str](), models.samplers, None
    for number, (name, sampler) in enumerate(samplers.items(), 1):
        start = time.perf_counter()
        try:
            probes[name] = sampler.warm()
        except Exception as error:  # of a network that nobody has checked, anything
            log.exception("model left out: it cannot be sampled", extra={"model": name})
            models.left_out[name], failure = sampler.model.sha256, error
            continue
        seconds = round(time.perf_counter() - start, 3)
        log.info("model warm", extra={"model": name, "seconds": seconds, "progress": f"{number}/{len(samplers)}"})
    if failure is not None and not probes:
        raise failure
    models.samplers = {name: samplers[name] for name in probes}  # another thread may go over the former
    models.models = {name: model for name, model in models.models.items() if name in probes}
    give_back_memory()
    return probes
