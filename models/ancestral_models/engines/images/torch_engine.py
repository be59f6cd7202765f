"""The torch engine of pictures, for networks without a compiled kernel: the whole network for every sub-pixel.

It is slow and right by definition, for every image architecture (ancestral_models/networks/image.py). The order in
which torch adds depends on the size of the batch, so each picture is sampled alone: then its bits do not depend on the
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ancestral_models import categorical
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.engines.images import engine
from ancestral_models.networks import load_network
from ancestral_models.networks.image import ImageNetwork, sampling_order, sub_pixel_logits


@dataclass
class TorchImageStream(engine.ImageStream):
    """A picture, and how far it is sampled: in two scales, its coarse pixels come before its first row."""

    sampled: int = 0
    """Sub-pixels that are there, in the order in which they are sampled."""


class TorchImageEngine(engine.ImageEngine):
    """Samples and scores with the network that was trained, in single precision.

    Args:
        checkpoint: of any image architecture.
    """

    name = "torch"
    lanes = 1

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        network = load_network(checkpoint)
        assert isinstance(network, ImageNetwork), f"{self.spec.kind}: its network is no ImageNetwork"
        self._network = network
        self._order = np.array(sampling_order(self.spec))
        # How many sub-pixels have to be sampled until a row, and all rows above it, are complete.
        last = np.zeros(self.spec.height, np.int64)
        np.maximum.at(last, self._order // (self.spec.width * self.spec.channels), np.arange(1, self.spec.dims + 1))
        self._ends = np.maximum.accumulate(last)

    def _blank(self) -> TorchImageStream:
        spec = self.spec
        symbols = np.zeros((spec.height, spec.width, spec.channels), np.uint8)
        condition = np.zeros((1, spec.condition_channels), np.float32)
        return TorchImageStream(symbols=symbols, condition=condition)

    def _condition(self, h: engine.Array, coarse: engine.Pixels | None) -> engine.Array:
        return h[None]

    def _context(self, edit: engine.Edit) -> engine.Context | None:
        return None  # the network makes its own

    @torch.no_grad()
    def _run(self, lanes: Sequence[engine.ImageStream], rows: int, *, score: bool) -> NDArray[np.float64]:
        picture, *_ = lanes
        assert isinstance(picture, TorchImageStream), "a picture of another engine"
        assert len(lanes) == len(picture.lanes), "one picture at a time"
        picture.rows += rows
        if score:
            return self._likelihoods(picture)
        end = int(self._ends[picture.rows - 1])
        self._sample(picture, self._order[picture.sampled : end].tolist())
        picture.sampled = max(picture.sampled, end)
        return np.empty(0)

    def _sample(self, picture: TorchImageStream, positions: list[int]) -> None:
        """Sample these sub-pixels, except those that are given."""
        request, symbols = picture.request, picture.symbols[None]
        h = self._h(picture)
        free = None if picture.unconditional_pass is None else self._h(picture.unconditional_pass)
        drawn, kept = self.noise_index_of(request).reshape(-1) >= 0, _kept(picture)
        for position in positions:
            if not drawn[position // self.spec.channels]:
                continue
            logits = sub_pixel_logits(self._network, symbols, position, h, request.guidance, free, kept)
            noise = categorical.uniforms(request.seed, position, 1)
            symbols.reshape(-1)[position] = categorical.draw(logits, request.temperature, noise)[0]

    def _likelihoods(self, picture: TorchImageStream) -> NDArray[np.float64]:
        """ln p of every symbol of a whole picture, ``[1, H, W * C]``."""
        symbols = picture.symbols.astype(np.int64)
        scored = self._network.score(torch.from_numpy(symbols)[None], self._h(picture), kept=_kept(picture))
        logits = scored.flatten(0, 3).numpy()
        return categorical.log_likelihoods(logits, symbols.reshape(-1)).reshape(1, self.spec.height, -1)

    def _h(self, picture: engine.ImageStream) -> torch.Tensor | None:
        return torch.from_numpy(picture.condition) if self.spec.conditioned else None


def _kept(picture: engine.ImageStream) -> torch.Tensor | None:
    """The pixels that an edit keeps, ``[1, H, W]``."""
    edit = picture.request.edit
    return None if edit is None else torch.from_numpy(edit.kept)[None]
