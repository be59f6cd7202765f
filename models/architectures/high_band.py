"""The maps from a voice's mels to its levels above 8 kHz (models/audio/high_band.py): no network, but weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ancestral.models.architectures.registry import Architecture
from ancestral.models.audio.high_band import BANDS, INPUTS
from ancestral.models.spec import Spec, SpecError
from ancestral.models.tensors import Table, zeros


@dataclass(frozen=True)
class HighBandSpec(Spec):
    """A map of each voice."""

    kind: ClassVar[str] = "high_band"

    speakers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.speakers or len(set(self.speakers)) < len(self.speakers):
            raise SpecError("speakers: at least one voice, each once")


def tensors(spec: HighBandSpec) -> Table:
    return {f"maps.{name}": zeros(INPUTS, BANDS) for name in spec.speakers}


HIGH_BAND = Architecture(spec=HighBandSpec, tensors=tensors)
