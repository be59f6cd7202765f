"""PixelCNN, gated (van den Oord et al. 2016, arXiv:1606.05328) and original (arXiv:1601.06759), channels last.

A pixel depends on the rows above and on what is left of it; its red, green and blue on those before (sections 2 and
2.3 of the first paper, figure 2 of the second). Where order is one of place, convolutions are cropped and padded so
that they see the past only; where it is one of channels, weights are multiplied by a mask. Features are dealt out to
the channels in equal runs, and see those of their own channel and of the channels before (mask B; mask A, for the
image itself, only those before).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.networks.gate import gate
from models.spec import LOCATION_STRIDE, OUTLINE, PixelCNNSpec


class Conditioner(nn.Module):
    """What is asked for: the vector h of every picture, or its map s = m(h) (section 2.4 of the gated paper)."""

    def __init__(self, spec: PixelCNNSpec) -> None:
        super().__init__()
        self.spec = spec
        rows = sum(len(names) + 1 for names in spec.conditions)
        self.embedding = nn.Parameter(torch.randn(rows, spec.condition_channels) * 0.3)
        if spec.conditioning == "location":
            self.cells = -(-spec.height // LOCATION_STRIDE), -(-spec.width // LOCATION_STRIDE)
            inner = spec.location_channels
            coarse = self.cells[0] * self.cells[1] * inner
            self.coarse = nn.Parameter(_normal(spec.condition_channels, coarse))
            self.coarse_bias = nn.Parameter(torch.zeros(coarse))
            self.upsampling = nn.Parameter(torch.randn(inner, inner, LOCATION_STRIDE, LOCATION_STRIDE) / inner**0.5)
            if spec.outline_layers:
                self.outline = nn.Parameter(_taps(inner, spec.channels, 3, 3))
                self.around = nn.Parameter(_taps(inner, inner, 3, 3))

    def embed(self, labels: Tensor) -> Tensor:
        """h ``[B, condition_channels]`` of labels ``[B, conditions]``: the sum of a row for each of them."""
        starts = [0]
        for names in self.spec.conditions[:-1]:
            starts.append(starts[-1] + len(names) + 1)
        h: Tensor = self.embedding[labels + torch.tensor(starts, device=labels.device)].sum(dim=1)
        return h

    def forward(self, h: Tensor, outline: Tensor | None) -> Tensor:
        """What V is multiplied by where that depends on the place: s ``[B * H * W, location_channels]``.

        Args:
            h: ``[B, condition_channels]``.
            outline: ``[B, rows, columns, C]``, from -1 to 1, where there is one.
        """
        spec = self.spec
        coarse = torch.addmm(self.coarse_bias, h, self.coarse).view(len(h), spec.location_channels, *self.cells)
        if outline is None:
            coarse = F.silu(coarse)
        else:
            coarse = F.silu(coarse + F.conv2d(outline.permute(0, 3, 1, 2), self.outline, padding=1))
            coarse = coarse + F.silu(F.conv2d(coarse, self.around, padding=1))
        whole = F.conv_transpose2d(coarse, self.upsampling, stride=LOCATION_STRIDE)[:, :, : spec.height, : spec.width]
        return whole.permute(0, 2, 3, 1).reshape(-1, spec.location_channels)


class _PixelCNN(nn.Module):
    """What both networks share: conditions, and the way from the sum of skips to the distributions.

    Args:
        spec: of the network.
        part: whether it draws the outlines of another one, which tells it h.
    """

    def __init__(self, spec: PixelCNNSpec, part: bool = False) -> None:
        super().__init__()
        self.spec = spec
        if spec.conditions and not part:
            self.conditioner = Conditioner(spec)
        if spec.outline is not None:
            self.outline = type(self)(spec.outline, part=True)
        outputs, symbols = spec.output_features, spec.channels * spec.levels
        self.skip_bias = nn.Parameter(torch.zeros(outputs))
        self.head = nn.Parameter(_normal(outputs, outputs) * 2**0.5)
        self.head_bias = nn.Parameter(torch.zeros(outputs))
        self.output = nn.Parameter(_normal(outputs, symbols) * 0.5)
        self.output_bias = nn.Parameter(torch.zeros(symbols))

    def forward(self, symbols: Tensor, labels: Tensor | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """The distribution of every symbol given those before it, row by row, pixel by pixel, red, green, blue.

        Where there is an outline, its symbols come before all others.

        Args:
            symbols: ``int64 [B, H, W, C]``, each below ``levels``.
            labels: ``int64 [B, conditions]``, classes first; ``len(names)`` asks for nothing. None exactly where the
                network has no conditions.
            dtype: the type of the arithmetic (bfloat16 for training); None keeps the weights' own.

        Returns:
            Logits ``[B, H, W, C, levels]``.
        """
        return self.score(symbols, None if labels is None else self.conditioner.embed(labels), dtype)

    def score(self, symbols: Tensor, h: Tensor | None, dtype: torch.dtype | None = None) -> Tensor:
        """The same for any h ``[B, condition_channels]``, be it that of labels or one between."""
        dtype = dtype or self.output.dtype
        pixels = symbols.to(self.output.dtype) * (2.0 / (self.spec.levels - 1)) - 1.0
        outlined = self.spec.outline_layers > 0
        condition = h
        if self.spec.conditioning == "location":
            condition = self.conditioner(h, pixels[:, OUTLINE, OUTLINE] if outlined else None)
        skips = self._skips(pixels.to(dtype), condition)
        hidden = torch.addmm(self.head_bias.to(dtype), F.relu(skips), self._before(self.head, dtype))
        logits = torch.addmm(self.output_bias.to(dtype), F.relu(hidden), self._before(self.output, dtype))
        logits = logits.view(*symbols.shape, self.spec.levels)
        if outlined:
            logits[:, OUTLINE, OUTLINE] = self.outline.score(symbols[:, OUTLINE, OUTLINE], h, dtype)
        return logits

    def _skips(self, pixels: Tensor, condition: Tensor | None) -> Tensor:
        """``[B * H * W, output_features]`` from ``[B, H, W, C]``."""
        raise NotImplementedError

    def _before(self, weights: Tensor, dtype: torch.dtype) -> Tensor:
        """Mask B on products with ``weights [..., in, out]``."""
        weights = weights.to(dtype)
        if self.spec.channels == 1:
            return weights
        return weights * self._mask(weights.shape[-2], weights.shape[-1], "B", weights)

    def _mask(self, inputs: int, outputs: int, kind: str, like: Tensor, halves: int = 1) -> Tensor:
        """``[inputs, outputs]``: 1 where an output of one channel may see an input of another; outputs in halves."""
        channels = self.spec.channels
        source = torch.arange(inputs) * channels // inputs
        target = (torch.arange(outputs // halves) * channels // (outputs // halves)).repeat(halves)
        seen = source[:, None] < target if kind == "A" else source[:, None] <= target
        return seen.to(like)


class GatedPixelCNN(_PixelCNN):
    """Two stacks: the vertical one sees all rows above, the horizontal one the row so far, and the vertical one."""

    def __init__(self, spec: PixelCNNSpec, part: bool = False) -> None:
        super().__init__(spec, part)
        layers, features, above, first = spec.layers, spec.features, spec.kernel_size // 2, spec.first_kernel_size // 2
        self.vertical_first = nn.Parameter(_taps(2 * features, spec.channels, first, spec.first_kernel_size))
        self.horizontal_first = nn.Parameter(_taps(2 * features, spec.channels, 1, first + 1))
        self.vertical = nn.Parameter(_taps(layers - 1, 2 * features, features, above + 1, spec.kernel_size) * 1.4)
        self.horizontal = nn.Parameter(_taps(layers - 1, 2 * features, features, 1, above + 1) * 0.7)
        # The last layer's vertical and residual outputs would go nowhere, so it has none.
        self.vertical_bias = nn.Parameter(torch.zeros(layers - 1, 2 * features))
        self.horizontal_bias = nn.Parameter(torch.zeros(layers, 2 * features))
        self.link = nn.Parameter(_normal(layers, 2 * features, 2 * features) * 0.7)
        self.residual = nn.Parameter(_normal(layers - 1, features, features))
        self.residual_bias = nn.Parameter(torch.zeros(layers - 1, features))
        skip = _normal(layers * features, spec.output_features) * 2.0
        self.skip = nn.Parameter(skip.view(layers, features, -1))
        if spec.conditions:
            width = spec.location_channels if spec.conditioning == "location" else spec.condition_channels
            self.vertical_condition = nn.Parameter(_normal(layers - 1, width, 2 * features))
            self.horizontal_condition = nn.Parameter(_normal(layers, width, 2 * features))

    def _skips(self, pixels: Tensor, condition: Tensor | None) -> Tensor:
        dtype = pixels.dtype
        link, residual_bias = self.link.to(dtype), self.residual_bias.to(dtype)
        residual = self._before(self.residual, dtype)
        vertical = horizontal = pixels
        gated: list[Tensor] = []
        for layer in range(self.spec.layers):
            above = self._see_above(vertical, layer)
            beside = torch.addmm(self._see_beside(horizontal, layer).flatten(0, 2), above.flatten(0, 2), link[layer])
            gated.append(self._gate("horizontal", layer, beside, condition))
            if layer < len(residual):
                vertical = self._gate("vertical", layer, above.flatten(0, 2), condition).view(*above.shape[:3], -1)
                passed = torch.addmm(residual_bias[layer], gated[layer], residual[layer]).view(vertical.shape)
                horizontal = passed if layer == 0 else horizontal + passed
        skip = self._before(self.skip, dtype).flatten(0, 1)
        return torch.addmm(self.skip_bias.to(dtype), torch.cat(gated, dim=1), skip)

    def _gate(self, stack: str, layer: int, z: Tensor, condition: Tensor | None) -> Tensor:
        """The gated unit of one stack's rows, with its bias: b, b + V·h or b + V * s."""
        bias: Tensor = getattr(self, f"{stack}_bias")[layer : layer + 1]
        if condition is not None:
            bias = torch.addmm(bias, condition, getattr(self, f"{stack}_condition")[layer])
        return gate(z, bias, len(z) // len(bias))

    def _see_above(self, seen: Tensor, layer: int) -> Tensor:
        """The vertical stack's convolution. The first one ends a row above the pixel, so the others may end at it."""
        weights = (self.vertical_first if layer == 0 else self.vertical[layer - 1]).to(seen.dtype)
        rows, columns = weights.shape[2:]
        side = columns // 2
        if layer == 0:
            seen = seen[:, :-1]
            rows += 1
        return _convolve(F.pad(seen, (0, 0, side, side, rows - 1, 0)), weights)

    def _see_beside(self, seen: Tensor, layer: int) -> Tensor:
        """The horizontal stack's convolution: what is left of the pixel and, masked, the pixel itself."""
        weights = (self.horizontal_first if layer == 0 else self.horizontal[layer - 1]).to(seen.dtype)
        if layer == 0 or self.spec.channels > 1:
            outputs, inputs, _, taps = weights.shape
            here = self._mask(inputs, outputs, "A" if layer == 0 else "B", weights, halves=2).t()[:, :, None, None]
            weights = weights * torch.cat([torch.ones_like(here).expand(-1, -1, -1, taps - 1), here], dim=3)
        return _convolve(F.pad(seen, (0, 0, weights.shape[3] - 1, 0)), weights)


class OriginalPixelCNN(_PixelCNN):
    """One stack of masked convolutions in residual bottlenecks with ReLU (figure 5); it has a blind spot."""

    def __init__(self, spec: PixelCNNSpec, part: bool = False) -> None:
        super().__init__(spec, part)
        blocks, features, hidden = spec.layers - 1, spec.features, spec.features // 2
        above, first = spec.kernel_size // 2, spec.first_kernel_size // 2
        self.first = nn.Parameter(_taps(features, spec.channels, first + 1, spec.first_kernel_size))
        self.first_bias = nn.Parameter(torch.zeros(features))
        self.reduce = nn.Parameter(_normal(blocks, features, hidden) * 2**0.5)
        self.reduce_bias = nn.Parameter(torch.zeros(blocks, hidden))
        self.masked = nn.Parameter(_taps(blocks, hidden, hidden, above + 1, spec.kernel_size) * 2.0)
        self.masked_bias = nn.Parameter(torch.zeros(blocks, hidden))
        self.expand = nn.Parameter(_normal(blocks, hidden, features))
        self.expand_bias = nn.Parameter(torch.zeros(blocks, features))
        self.skip = nn.Parameter(_normal(1, features, spec.output_features))
        if spec.conditions:
            width = spec.location_channels if spec.conditioning == "location" else spec.condition_channels
            self.condition = nn.Parameter(_normal(blocks, width, hidden))

    def _skips(self, pixels: Tensor, condition: Tensor | None) -> Tensor:
        dtype, shape = pixels.dtype, pixels.shape[:3]
        x = (self._convolve(pixels, self.first.to(dtype), "A") + self.first_bias.to(dtype)).flatten(0, 2)
        for block in range(self.spec.layers - 1):
            reduced = torch.addmm(self.reduce_bias[block].to(dtype), F.relu(x), self._before(self.reduce[block], dtype))
            z = self._convolve(F.relu(reduced).view(*shape, -1), self.masked[block].to(dtype), "B").flatten(0, 2)
            z = self._biased(z, block, condition)
            x = x + torch.addmm(self.expand_bias[block].to(dtype), F.relu(z), self._before(self.expand[block], dtype))
        return torch.addmm(self.skip_bias.to(dtype), F.relu(x), self._before(self.skip[0], dtype))

    def _biased(self, z: Tensor, block: int, condition: Tensor | None) -> Tensor:
        bias = self.masked_bias[block][None]
        if condition is not None:
            bias = torch.addmm(bias, condition, self.condition[block])
        return (z.view(len(bias), -1, z.shape[1]) + bias[:, None].to(z.dtype)).view(z.shape)

    def _convolve(self, seen: Tensor, weights: Tensor, kind: str) -> Tensor:
        """An n × n convolution of mask A or B, of which only the upper rows are kept: below, the mask is zero."""
        outputs, inputs, rows, columns = weights.shape
        side = columns // 2
        mask = torch.ones_like(weights)
        mask[:, :, -1, side + 1 :] = 0
        mask[:, :, -1, side] = self._mask(inputs, outputs, kind, weights).t()
        return _convolve(F.pad(seen, (0, 0, side, side, rows - 1, 0)), weights * mask)


def build(spec: PixelCNNSpec) -> GatedPixelCNN | OriginalPixelCNN:
    """The network that a spec describes, freshly initialised."""
    return GatedPixelCNN(spec) if spec.gated else OriginalPixelCNN(spec)


def _convolve(x: Tensor, weights: Tensor) -> Tensor:
    """``[B, H, W, in]`` by ``[out, in, rows, columns]``, without padding."""
    return F.conv2d(x.permute(0, 3, 1, 2), weights).permute(0, 2, 3, 1)


def _normal(*shape: int) -> Tensor:
    """Weights with unit gain: standard deviation 1 / sqrt(inputs)."""
    weights: Tensor = torch.randn(*shape) / shape[-2] ** 0.5
    return weights


def _taps(*shape: int) -> Tensor:
    """The same for convolutions ``[…, out, in, rows, columns]``."""
    _, inputs, rows, columns = shape[-4:]
    weights: Tensor = torch.randn(*shape) / (inputs * rows * columns) ** 0.5
    return weights
