"""PixelCNN, gated (van den Oord et al. 2016, arXiv:1606.05328) and original (arXiv:1601.06759), channels last.

A pixel depends on the rows above it and on the pixels left of it; its red, green and blue on the channels before
(sections 2 and 2.3 of the first paper, figure 2 of the second). Convolutions are cropped and padded so that they see
past positions only; the order of the channels is kept by masks on the weights. Features are divided among the channels
in equal runs, and see those of their own channel and of the channels before (mask B; mask A, for the image itself, only
those before).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ancestral_models.architectures import pixelcnn
from ancestral_models.networks import image
from ancestral_models.networks.gate import gate
from ancestral_models.spec import COARSE, COARSE_STRIDE
from ancestral_models.tensors import part as part_of


class Conditioner(image.LabelEmbedding):
    """The conditions: the vector h of every picture, or its map s = m(h) (section 2.4 of the gated paper)."""

    spec: pixelcnn.PixelCNNSpec

    def __init__(self, spec: pixelcnn.PixelCNNSpec) -> None:
        super().__init__(spec, pixelcnn.conditioner_tensors(spec))

    def forward(self, h: Tensor, coarse: Tensor | None) -> Tensor:
        """What V is multiplied by where that depends on the location: s ``[B * H * W, location_channels]``.

        Args:
            h: ``[B, condition_channels]``.
            coarse: the coarse pixels ``[B, rows, columns, C * planes]``, from -1 to 1, of a network in two scales.
        """
        spec = self.spec
        cells = torch.addmm(self.map_bias, h, self.map).view(len(h), -1, *spec.cells)
        if coarse is None:
            cells = F.silu(cells)
        else:
            cells = F.silu(cells + F.conv2d(coarse.permute(0, 3, 1, 2), self.coarse_taps, padding=1))
            cells = cells + F.silu(F.conv2d(cells, self.neighbour_taps, padding=1))
        if spec.map_channels:
            cells = image.residual_convolutions(cells, self.map_taps, self.map_taps_bias)
        whole = F.conv_transpose2d(cells, self.upsampling, stride=COARSE_STRIDE)[:, :, : spec.height, : spec.width]
        return whole.permute(0, 2, 3, 1).reshape(-1, spec.location_channels)


class _PixelCNN(image.ImageNetwork):
    """What both networks share: the conditions, the coarse scale, and the layers from the sum of skips to the logits.

    Args:
        spec: of the network.
        part: whether it samples the coarse pixels of another network, which gives it h.
    """

    spec: pixelcnn.PixelCNNSpec
    conditioner: Conditioner

    def __init__(self, spec: pixelcnn.PixelCNNSpec, part: bool = False) -> None:
        super().__init__(spec)
        if spec.conditioned and not part:
            self.conditioner = Conditioner(spec)
        if spec.coarse is not None:
            self.coarse = type(self)(spec.coarse, part=True)
        self.add_parameters(pixelcnn.layer_tensors(spec))
        if spec.coarse_inputs:
            self.coarse_map = image.CoarseMap(pixelcnn.coarse_map_tensors(spec, spec.coarse_inputs, spec.map_width))
        if spec.context_channels:
            self.context = image.ContextMap(part_of(pixelcnn.tensors(spec), pixelcnn.CONTEXT_PREFIX))

    def score_pixels(self, pixels: Tensor, h: Tensor | None, dtype: torch.dtype) -> Tensor:
        """The distribution of every symbol; in a network in two scales the coarse pixels precede all others."""
        coarse = self._coarse_of(pixels)
        condition = self.conditioner(h, coarse) if self.spec.conditioning == "location" else h
        skips = self._skips(pixels.to(dtype), condition, self._added_to_first(coarse))
        return self._logits_of(skips, pixels, coarse, h, dtype)

    def score_edits(self, pixels: Tensor, h: Tensor | None, dtype: torch.dtype, kept: Tensor) -> Tensor:
        """The distribution of every symbol; what is kept adds to the condition of every pixel, and to h of the coarse
        ones."""
        coarse = self._coarse_of(pixels)
        first = self._added_to_first(coarse)
        assert h is not None, "a network that draws edits is conditioned on labels"
        assert first is not None, "and sees coarse pixels in its vertical stack"
        seen, of_coarse = self.context(pixels, kept)
        width = self.spec.location_channels
        condition = self.conditioner(h, coarse) + seen[..., :width].flatten(0, 2)
        skips = self._skips(pixels.to(dtype), condition, first + seen[..., width:])
        return self._logits_of(skips, pixels, coarse, (h[:, None] + of_coarse).flatten(0, 1), dtype)

    def _coarse_of(self, pixels: Tensor) -> Tensor | None:
        return pixels[:, COARSE, COARSE] if self.spec.coarse_layers else None

    def _added_to_first(self, coarse: Tensor | None) -> Tensor | None:
        """What the first layer of the vertical stack adds to its sums, ``[B, H, W, map_width]``; or None."""
        return self.coarse_map(coarse) if self.spec.coarse_inputs else None

    def _skips(self, pixels: Tensor, condition: Tensor | None, first: Tensor | None) -> Tensor:
        """``[B * H * W, output_features]`` from ``[B, H, W, C * planes]``, the conditions and the map of the first
        layer."""
        raise NotImplementedError


class GatedPixelCNN(_PixelCNN):
    """Two stacks: the vertical one sees all rows above; the horizontal one the row so far and the vertical stack."""

    def _skips(self, pixels: Tensor, condition: Tensor | None, first: Tensor | None) -> Tensor:
        dtype = pixels.dtype
        link, residual_bias = self.link.to(dtype), self.residual_bias.to(dtype)
        residual = self._masked(self.residual, dtype)
        vertical = horizontal = pixels
        gated: list[Tensor] = []
        for layer in range(self.spec.layers):
            above = self._see_above(vertical, layer)
            if layer == 0 and first is not None:
                above = above + first.to(dtype)
            beside = torch.addmm(self._see_beside(horizontal, layer).flatten(0, 2), above.flatten(0, 2), link[layer])
            gated.append(self._gate("horizontal", layer, beside, condition))
            if layer < len(residual):
                vertical = self._gate("vertical", layer, above.flatten(0, 2), condition).view(*above.shape[:3], -1)
                passed = torch.addmm(residual_bias[layer], gated[layer], residual[layer]).view(vertical.shape)
                horizontal = passed if layer == 0 else horizontal + passed
        skip = self._masked(self.skip, dtype).flatten(0, 1)
        return torch.addmm(self.skip_bias.to(dtype), torch.cat(gated, dim=1), skip)

    def _gate(self, stack: str, layer: int, z: Tensor, condition: Tensor | None) -> Tensor:
        """The gated unit of one stack's rows, with its bias: b, b + V·h or b + V * s."""
        bias: Tensor = getattr(self, f"{stack}_bias")[layer : layer + 1]
        if condition is not None:
            weights = getattr(self, f"{stack}_condition")[layer]
            bias = torch.addmm(bias.to(z.dtype), condition.to(z.dtype), weights.to(z.dtype))
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
            here = self._mask(inputs, outputs, "A" if layer == 0 else "B", weights, runs=2).t()[:, :, None, None]
            weights = weights * torch.cat([torch.ones_like(here).expand(-1, -1, -1, taps - 1), here], dim=3)
        return _convolve(F.pad(seen, (0, 0, weights.shape[3] - 1, 0)), weights)


class OriginalPixelCNN(_PixelCNN):
    """One stack of masked convolutions in residual bottlenecks with ReLU (figure 5); it has a blind spot."""

    def _skips(self, pixels: Tensor, condition: Tensor | None, first: Tensor | None) -> Tensor:
        dtype, shape = pixels.dtype, pixels.shape[:3]
        x = (self._convolve(pixels, self.first.to(dtype), "A") + self.first_bias.to(dtype)).flatten(0, 2)
        for block in range(self.spec.layers - 1):
            reduced = torch.addmm(self.reduce_bias[block].to(dtype), F.relu(x), self._masked(self.reduce[block], dtype))
            z = self._convolve(F.relu(reduced).view(*shape, -1), self.masked[block].to(dtype), "B").flatten(0, 2)
            z = self._biased(z, block, condition)
            x = x + torch.addmm(self.expand_bias[block].to(dtype), F.relu(z), self._masked(self.expand[block], dtype))
        return torch.addmm(self.skip_bias.to(dtype), F.relu(x), self._masked(self.skip[0], dtype))

    def _biased(self, z: Tensor, block: int, condition: Tensor | None) -> Tensor:
        bias = self.masked_bias[block][None].to(z.dtype)
        if condition is not None:
            bias = torch.addmm(bias, condition.to(z.dtype), self.condition[block].to(z.dtype))
        return (z.view(len(bias), -1, z.shape[1]) + bias[:, None]).view(z.shape)

    def _convolve(self, seen: Tensor, weights: Tensor, kind: str) -> Tensor:
        """A convolution of mask A or B."""
        _, _, rows, columns = weights.shape
        padded = F.pad(seen, (0, 0, columns // 2, columns // 2, rows - 1, 0))
        return _convolve(padded, self._masked_kernel(weights, kind))


def build(spec: pixelcnn.PixelCNNSpec) -> GatedPixelCNN | OriginalPixelCNN:
    """The network that a spec describes, with random initial weights."""
    return GatedPixelCNN(spec) if spec.gated else OriginalPixelCNN(spec)


def _convolve(x: Tensor, weights: Tensor) -> Tensor:
    """``[B, H, W, in]`` by ``[out, in, rows, columns]``, without padding."""
    return F.conv2d(x.permute(0, 3, 1, 2), weights).permute(0, 2, 3, 1)


# The PixelCNN autoencoder (arXiv:1606.05328, sections 3.3 and 3.4): an encoder, and a Gated PixelCNN of its vector.


class PixelCNNAutoencoder(GatedPixelCNN):
    """A Gated PixelCNN whose h is that of a picture."""

    def __init__(self, spec: pixelcnn.PixelCNNAutoencoderSpec, part: bool = False) -> None:
        super().__init__(spec, part)
        if not part:
            self.encoder = image.Encoder(spec.encoder)

    def h_of(self, symbols: Tensor, given: Tensor | None) -> Tensor:
        """The vectors of pictures: ``given`` are like ``symbols``, and those themselves if it is None."""
        h: Tensor = self.encoder(symbols if given is None else given)
        return h
