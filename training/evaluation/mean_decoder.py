"""The decoder that a PixelCNN autoencoder is compared with (1606.05328, section 3.4): it minimises the squared error.

It gives the mean of all pictures that a vector may stand for, which is blurred; the PixelCNN draws one of them.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.networks.encoder import Encoder
from ancestral.models.networks.image import input_pixels
from ancestral.models.palette import WHITE, input_table
from ancestral.training.data.images import Images, binarise

_BATCH = 100


class MeanAutoencoder:
    """An encoder and a deconvolutional decoder of the same sizes, trained end to end when it is created."""

    def __init__(self, images: Images, spec: EncoderSpec, seen: int, seed: int = 0) -> None:
        """Train.

        Args:
            images: ``[N, H, W, C]``, not binarised.
            spec: of the encoder.
            seen: training examples in all.
            seed: of the initial weights and of the order.
        """
        torch.manual_seed(seed)
        self._spec, rng, steps = spec, np.random.default_rng(seed), max(seen // _BATCH, 1)
        self._network = nn.Sequential(Encoder(spec), _Decoder(spec))
        optimizer = torch.optim.AdamW(self._network.parameters(), weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        for _ in range(steps):
            chosen = images[rng.integers(0, len(images), _BATCH)]
            symbols = torch.from_numpy((binarise(chosen, rng) if spec.binary else chosen).astype(np.int64))
            optimizer.zero_grad()
            F.mse_loss(self._network(symbols), input_pixels(spec, symbols)).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()

    @torch.no_grad()
    def means(self, images: Images) -> NDArray[np.float32]:
        """Reconstructions of symbols ``[N, H, W, C]``, as the network sees them: ``[N, H, W, C * planes]``, -1 to 1."""
        parts = [images[start : start + _BATCH].astype(np.int64) for start in range(0, len(images), _BATCH)]
        return torch.cat([self._network(torch.from_numpy(part)) for part in parts]).numpy().clip(-1.0, 1.0)

    def symbols(self, means: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The nearest symbols ``[N, H, W, C]``."""
        table = input_table(self._spec)
        cells = means.reshape(*means.shape[:3], self._spec.channels, 1, self._spec.planes)
        return np.stack([((one - table) ** 2).sum(axis=-1).argmin(axis=-1) for one in cells]).astype(np.uint8)

    def pixels(self, means: NDArray[np.float32]) -> NDArray[np.uint8]:
        """What they look like: 8-bit pixels, grey or RGB; what is more transparent than not is white."""
        shown = np.round((means + 1.0) * (WHITE / 2)).astype(np.uint8)
        if self._spec.planes == 4:
            return np.where(shown[..., 3:] < WHITE // 2, np.uint8(WHITE), shown[..., :3])
        return shown


class _Decoder(nn.Module):
    """The encoder backwards: a matrix, then transposed convolutions with stride 2."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        sizes = [(spec.height, spec.width)]
        for _ in range(spec.layers):
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        self._shape = (spec.widths[-1], *sizes[-1])
        self._matrix = nn.Linear(spec.code, spec.widths[-1] * spec.cells)
        layers: list[nn.Module] = []
        for layer in range(spec.layers, 0, -1):
            (rows, columns), (height, width) = sizes[layer], sizes[layer - 1]
            more = (height - 2 * rows + 1, width - 2 * columns + 1)
            outputs = spec.widths[layer - 1]
            layers += [nn.ReLU(), nn.ConvTranspose2d(spec.widths[layer], outputs, 3, 2, 1, output_padding=more)]
        self._layers = nn.Sequential(*layers)

    def forward(self, h: Tensor) -> Tensor:
        """``[B, H, W, C * planes]`` of vectors ``[B, code]``."""
        found: Tensor = self._layers(self._matrix(h).view(-1, *self._shape)).permute(0, 2, 3, 1)
        return found
