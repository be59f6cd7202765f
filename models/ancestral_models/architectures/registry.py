"""The registry of architectures: what a network is, and where its parts are.

An :class:`Architecture` names its parts as ``module:Name``, which are imported when they are needed: so a serving
process never imports torch. Another package adds an architecture of its own by an entry
point of the group ``ancestral.architectures``, which has the name of the kind and leads to an :class:`Architecture`::

    [project.entry-points."ancestral.architectures"]
    toy = "toy_package.architecture:TOY"

The module that it leads to must not import torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

from ancestral_models.spec import ImageSpec, Spec
from ancestral_models.tensors import Table

ENTRY_POINTS = "ancestral.architectures"

_IMAGE_ENGINE = "ancestral_models.engines.images.native:NativeImageEngine"
_WITHOUT_KERNEL = "ancestral_models.engines.images.torch_engine:TorchImageEngine"


class ArchitectureError(ValueError):
    """An architecture that is unknown, or whose plugin cannot be used; the message names it."""


@dataclass(frozen=True)
class Exporter:
    """How checkpoints of an architecture become ONNX graphs, and which engine runs them."""

    format: str
    """Version of the graphs' inputs and outputs: graphs of another format are stale."""
    graphs: str
    """``(spec, WeightFile) -> list[Graph]`` (ancestral_training/export/__init__.py)."""
    check: str
    """``(checkpoint) -> None``: raises ParityError where the graphs do not compute what the network does."""
    engine: str
    """``(checkpoint, "onnx-cpu" | "onnx-cuda") -> engine``."""


@dataclass(frozen=True)
class Architecture:
    """What a network is. All strings are ``module:Name``."""

    spec: type[Spec]
    """The class of specs, whose kind is the architecture's kind, as ``config.json`` says it."""
    tensors: Callable[[Any], Table]
    """``(spec) -> Table``: every weight."""
    network: str | None = None
    """``(spec) -> nn.Module``: what is trained, and the oracle of the engines. None of weights that are fitted."""
    kernel: str | None = None
    """``(spec, tensors) -> ImageKernel`` (ancestral_models/engines/images/native.py), with ``True`` after them where
    its matrices are bytes: compiled sampling of an image network. Without one the torch engine samples it, slowly."""
    native: str | None = None
    """``(checkpoint) -> engine``: the native engine, where it is not that of every image network."""
    has_int8: Callable[[Any], bool] = lambda _: False
    """``(spec) -> bool``: whether the native engine keeps the large matrices of an image network in int8."""
    exporter: Exporter | None = None
    """None: there are no graphs; where an onnx engine is wanted, the native one samples it."""
    task: str | None = None
    """Its training task (ancestral_training/loop.py)."""

    @property
    def kind(self) -> str:
        """The name that checkpoints know it by."""
        return self.spec.kind

    def engine(self, name: str) -> str | None:
        """The engine ``native`` or ``onnx``; None if it has no such engine."""
        if name == "onnx":
            return None if self.exporter is None else self.exporter.engine
        if self.native is not None or not issubclass(self.spec, ImageSpec):
            return self.native
        return _WITHOUT_KERNEL if self.kernel is None else _IMAGE_ENGINE


_registered: dict[str, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Make an architecture known in this process.

    Raises:
        ArchitectureError: there is another one of this kind.
    """
    if _registered.setdefault(architecture.kind, architecture) != architecture:
        raise ArchitectureError(f"{architecture.kind!r}: another architecture of this kind is registered")


def architecture(kind: str) -> Architecture:
    """The architecture of a kind, of this package or of an installed plugin.

    Raises:
        ArchitectureError: there is none, or its plugin cannot be loaded.
    """
    if kind not in _registered:
        _load_plugin(kind)
    return _registered[kind]


def kinds() -> list[str]:
    """The kinds of all architectures, those of installed plugins included; no plugin is loaded."""
    return sorted({*_registered, *metadata.entry_points(group=ENTRY_POINTS).names})


def load_object(path: str) -> Any:
    """What ``module:Name`` leads to."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _load_plugin(kind: str) -> None:
    points = [*metadata.entry_points(group=ENTRY_POINTS, name=kind)]
    if not points:
        raise ArchitectureError(f"unknown kind {kind!r}")
    for point in points:
        plugin = f"{kind!r}: the plugin {point.dist.name if point.dist else '?'} ({point.value})"
        try:
            found = point.load()
        except (ImportError, AttributeError) as error:
            raise ArchitectureError(f"{plugin} cannot be loaded: {error}") from error
        if not isinstance(found, Architecture) or found.kind != kind:
            raise ArchitectureError(f"{plugin} is not an architecture of this kind")
        register(found)
