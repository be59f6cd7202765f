"""Pictures of which a region is drawn anew, and the bytes that they travel as."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ancestral.models.spec import ImageSpec


@dataclass(frozen=True)
class MaskedPicture:
    """A picture of which some pixels are kept."""

    symbols: NDArray[np.uint8]
    """``[H, W, C]``, 0 where they are not kept."""
    kept: NDArray[np.bool_]
    """``[H, W]``."""
    mask: str = ""
    """The mask as a file in base64, the same for all files that mean the same; of a request."""
    palette_error: float | None = None
    """How far the picture's colours were from those of the palette, of a model with one."""

    @classmethod
    def from_bytes(cls, data: NDArray[np.uint8], spec: ImageSpec) -> MaskedPicture:
        """The inverse of :attr:`data`."""
        symbols = data[: spec.dims].reshape(spec.height, spec.width, spec.channels)
        return cls(symbols, data[spec.dims :].reshape(spec.height, spec.width) != 0)

    @cached_property
    def data(self) -> NDArray[np.uint8]:
        """What a job has as its upload: the symbols, and for each pixel 1 if it is kept, else 0."""
        return np.concatenate([self.symbols.ravel(), self.kept.ravel().astype(np.uint8)])
