"""PixelRNN (van den Oord et al. 2016, arXiv:1601.06759): Row LSTM and Diagonal BiLSTM.

Feature maps are ``[H, columns, B, features]``, flattened where they are multiplied, so that a row and a pixel of all
pictures lie together, as the recurrence (recurrence.py) reads them. Features are divided among the channels of a pixel
in equal runs, and see those of their own channel and of the channels before (mask B; mask A, for the picture itself,
only those before). States of other pixels are seen whole, because those pixels come before.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ancestral.models.architectures.coarse import coarse_map_tensors
from ancestral.models.architectures.pixelrnn import GATES, PixelRNNSpec, tensors
from ancestral.models.networks.image import CoarseMap, ImageNetwork, LabelEmbedding
from ancestral.models.networks.parameters import add_parameters
from ancestral.models.networks.recurrence import Order, diagonal_order, row_order, scan
from ancestral.models.spec import COARSE
from ancestral.models.tensors import own, part


class PixelRNN(ImageNetwork):
    """Residual layers of LSTMs between a masked convolution and two 1 × 1 layers (table 1).

    Args:
        spec: of the network.
        is_part: whether it samples the coarse pixels of another network, which gives it h.
    """

    spec: PixelRNNSpec
    first: nn.Parameter
    first_bias: nn.Parameter
    input_to_state: nn.Parameter
    state_to_state: nn.Parameter
    gate_bias: nn.Parameter
    forget_bias: nn.Parameter
    condition: nn.Parameter
    coarse_condition: nn.Parameter
    expand: nn.Parameter
    expand_bias: nn.Parameter
    skip: nn.Parameter
    layer_skip: nn.Parameter
    skip_bias: nn.Parameter
    head: nn.Parameter
    head_bias: nn.Parameter
    output: nn.Parameter
    output_bias: nn.Parameter

    def __init__(self, spec: PixelRNNSpec, is_part: bool = False) -> None:
        super().__init__(spec)
        table = tensors(spec)
        if spec.coarse is not None:
            self.coarse = PixelRNN(spec.coarse, is_part=True)
            self.coarse_map = CoarseMap(coarse_map_tensors(spec, spec.coarse_channels, spec.coarse_channels))
        if spec.conditions and not is_part:
            self.conditioner = LabelEmbedding(spec, part(table, "conditioner."))
        add_parameters(self, own(table))

    def score_pixels(self, pixels: Tensor, h: Tensor | None, dtype: torch.dtype) -> Tensor:
        """The distribution of every symbol. The recurrence runs in single precision where ``dtype`` has fewer digits.

        In a network in two scales the coarse pixels precede all others.
        """
        spec, batch = self.spec, len(pixels)
        coarse = pixels[:, COARSE, COARSE] if spec.coarse_layers else None
        seen_of_coarse = None if coarse is None else self._map_of(coarse, dtype)
        stream = self._convolve(pixels.to(dtype))
        outputs = []
        for layer in range(spec.layers):
            z = self._inputs_of_gates(stream, layer, batch, h)
            if seen_of_coarse is not None:
                z = z + (seen_of_coarse @ self.coarse_condition[layer].to(dtype))
            outputs.append(scan(z, self.state_to_state[layer], self._order).flatten(0, 1))
            expand = self._masked(self.expand[layer], dtype)
            stream = stream + torch.addmm(self.expand_bias[layer].to(dtype), outputs[layer], expand)
        seen, skip = F.relu(self._pixels(stream, batch)), self._masked(self.skip, dtype)
        if spec.skip_connections:
            seen = torch.cat([seen, *(self._pixels(output, batch) for output in outputs)], dim=1)
            skip = torch.cat([skip, self._masked(self.layer_skip, dtype).flatten(0, 1)])
        skips = torch.addmm(self.skip_bias.to(dtype), seen, skip)
        hidden = torch.addmm(self.head_bias.to(dtype), F.relu(skips), self._masked(self.head, dtype))
        logits = torch.addmm(self.output_bias.to(dtype), F.relu(hidden), self._masked(self.output, dtype))
        logits = logits.view(*pixels.shape, spec.levels)
        if coarse is not None:
            logits[:, COARSE, COARSE] = self.coarse.score_pixels(coarse, h, dtype)
        return logits

    def _map_of(self, coarse: Tensor, dtype: torch.dtype) -> Tensor:
        """The map of the coarse pixels for the gates, ``[H * columns, B, coarse_channels]``, zero past the edge."""
        found = self.coarse_map(coarse).to(dtype).permute(1, 2, 0, 3)
        return F.pad(found, (0, 0, 0, 0, 0, self.spec.columns - self.spec.width)).flatten(0, 1)

    @property
    def _order(self) -> Order:
        spec = self.spec
        if spec.lstm == "row":
            return row_order(spec.height, spec.width, spec.kernel_size)
        return diagonal_order(spec.height, spec.columns)

    def _convolve(self, pixels: Tensor) -> Tensor:
        """The first convolution (mask A), of which only the upper rows are stored: ``[H * columns * B, 2h]``."""
        weights = self.first.to(pixels.dtype)
        outputs, inputs, rows, side = weights.shape
        side //= 2
        mask = torch.ones_like(weights)
        mask[:, :, -1, side + 1 :] = 0
        mask[:, :, -1, side] = self._mask(inputs, outputs, "A", weights).t()
        right = side + self.spec.columns - self.spec.width
        padded = F.pad(pixels.permute(0, 3, 1, 2), (side, right, rows - 1, 0))
        return F.conv2d(padded, weights * mask, self.first_bias.to(pixels.dtype)).permute(2, 3, 0, 1).flatten(0, 2)

    def _inputs_of_gates(self, stream: Tensor, layer: int, batch: int, h: Tensor | None) -> Tensor:
        """The input-to-state component of the whole map, ``[H * columns, B, gates]``, with bias and condition."""
        spec, weights = self.spec, self.input_to_state[layer].to(stream.dtype)
        inputs, outputs = stream.shape[1], weights.shape[1]
        if spec.input_taps > 1:
            rows = F.pad(stream.view(spec.height, -1, inputs), (0, 0, batch * (spec.input_taps - 1), 0))
            size = spec.width * batch
            taps = [rows[:, batch * tap : batch * tap + size] for tap in range(spec.input_taps)]
            stream = torch.cat(taps, dim=2).flatten(0, 1)
        if spec.channels > 1:
            here = self._mask(inputs, outputs, "B", weights, runs=spec.directions * GATES)
            weights = weights * torch.cat([torch.ones_like(here)] * (spec.input_taps - 1) + [here])
        bias = torch.cat([self.gate_bias[layer], self.forget_bias[layer]], dim=1).flatten().to(stream.dtype)
        z = torch.addmm(bias, stream, weights).view(-1, batch, outputs)
        return z if h is None else z + h.to(z.dtype) @ self.condition[layer].to(z.dtype)

    def _pixels(self, features: Tensor, batch: int) -> Tensor:
        """``[B * H * W, features]`` of a map, without the column past the right edge."""
        spec = self.spec
        features = features.view(spec.height, spec.columns, batch, -1)[:, : spec.width]
        return features.permute(2, 0, 1, 3).flatten(0, 2)
