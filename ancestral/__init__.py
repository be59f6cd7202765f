"""Autoregressive models that speak and draw: exact likelihoods, and seeds that give the same bytes.

    import ancestral

    voice = ancestral.load().voice("joe")
    voice.speak("The birch canoe slid on the smooth planks.", seed=7).save("a.flac")
    ancestral.load("pixelcnn-sprites").draw("elf, robe", seed=7).save("elf.png", scale=8)

``ancestral.connect("http://localhost:8000")`` has the same shape, and lets a server sample.

docs/library.md has every public name. Importing this module imports neither torch nor a web framework; the sampler's
own parts are imported by :func:`load`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ancestral.errors import AncestralError, InvalidRequest, NotFound, ServerError

if TYPE_CHECKING:
    from ancestral.client.server import Server, connect
    from ancestral.detection.local import Detector
    from ancestral.images.picture import Picture, Pictures
    from ancestral.model import Model, load
    from ancestral.speech.voice import Speech, Voice

__all__ = [
    "AncestralError",
    "Detector",
    "InvalidRequest",
    "Model",
    "NotFound",
    "Picture",
    "Pictures",
    "Server",
    "ServerError",
    "Speech",
    "Voice",
    "connect",
    "load",
]

_LAZY: Final = {
    "Detector": "ancestral.detection.local",
    "Model": "ancestral.model",
    "Picture": "ancestral.images.picture",
    "Pictures": "ancestral.images.picture",
    "Server": "ancestral.client.server",
    "Speech": "ancestral.speech.voice",
    "Voice": "ancestral.speech.voice",
    "connect": "ancestral.client.server",
    "load": "ancestral.model",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
