"""Networks of pictures: what they see of the pixels, encoders and classifiers, and the reference sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ancestral_models import categorical
from ancestral_models.architectures.classifier import ClassifierSpec, EncoderSpec, classifier_tensors, encoder_tensors
from ancestral_models.networks import Network
from ancestral_models.spec import COARSE, COARSE_STRIDE, ImageSpec, PictureSpec, input_table
from ancestral_models.tensors import Tensor as TensorInit
from ancestral_models.tensors import own

# What every network of pictures is: the distribution of each sub-pixel given the conditions and those before it.


class LabelEmbedding(Network):
    """h of a list of labels: the sum of one embedding for each condition (ancestral_models.spec.LABEL_EMBEDDING).

    Args:
        spec: of the network, which has conditions.
        table: the tensors of this module, ``embedding`` among them.
    """

    def __init__(self, spec: ImageSpec, table: Mapping[str, TensorInit]) -> None:
        super().__init__(table)
        self.spec = spec

    def embed(self, labels: Tensor) -> Tensor:
        """h ``[B, condition_channels]`` of labels ``int64 [B, conditions]``."""
        starts = np.cumsum([0, *(len(names) + 1 for names in self.spec.conditions[:-1])])
        h: Tensor = self.embedding[labels + torch.tensor(starts, device=labels.device)].sum(dim=1)
        return h


class CoarseMap(Network):
    """What a network sees of the coarse pixels: all of them, below and right of a pixel as well.

    Args:
        table: of :func:`ancestral_models.architectures.pixelcnn.coarse_map_tensors`.
    """

    def forward(self, coarse: Tensor) -> Tensor:
        """The map ``[B, H, W, n]`` of the coarse pixels ``[B, rows, columns, C * planes]``."""
        cells = F.silu(F.conv2d(coarse.permute(0, 3, 1, 2), self.taps, self.taps_bias, padding=1))
        cells = cells + F.silu(F.conv2d(cells, self.neighbour_taps, self.neighbour_bias, padding=1))
        return F.conv_transpose2d(cells, self.upsampling, stride=COARSE_STRIDE).permute(0, 2, 3, 1)


class ContextMap(Network):
    """What a network that draws edits sees of the pixels that are kept, wherever they are.

    Args:
        table: of :func:`ancestral_models.architectures.pixelcnn.context_tensors`.
    """

    def forward(self, pixels: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """The map of the kept pixels, and what they add to h at every coarse pixel; zero of a picture that keeps none.

        Args:
            pixels: ``[B, H, W, C * planes]``, of which those that are not kept have no effect.
            kept: ``bool [B, H, W]``.

        Returns:
            ``[B, H, W, n]`` and ``[B, rows * columns, condition_channels]``.
        """
        shown = kept[..., None].to(pixels)
        seen = torch.cat([pixels * shown, shown], dim=3).permute(0, 3, 1, 2)
        cells = F.silu(F.conv2d(seen, self.cell_taps, self.cell_bias, stride=COARSE_STRIDE))
        cells = residual_convolutions(cells, self.taps, self.taps_bias)
        wide = F.conv_transpose2d(cells, self.upsampling, stride=COARSE_STRIDE)
        near = F.conv2d(seen, self.near_taps, self.near_bias, padding=self.near_taps.shape[-1] // 2)
        fine = F.silu(near + wide).permute(0, 2, 3, 1) @ self.out
        coarse = cells.flatten(2).permute(0, 2, 1) @ self.coarse_out
        edited = kept.flatten(1).any(dim=1).to(pixels)
        return fine * edited[:, None, None, None], coarse * edited[:, None, None]


class ImageNetwork(Network):
    """The base of networks of pictures. One with conditions has a :class:`LabelEmbedding` called ``conditioner``."""

    conditioner: LabelEmbedding
    coarse: ImageNetwork
    """Of a network in two scales: scores the coarse pixels."""

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(
        self, symbols: Tensor, given: Tensor | None = None, dtype: torch.dtype | None = None, kept: Tensor | None = None
    ) -> Tensor:
        """The distribution of every symbol given those before it, row by row, pixel by pixel, red, green, blue.

        Args:
            symbols: ``int64 [B, H, W, C]``, each below ``levels``.
            given: what the network is conditioned on; see :meth:`h_of`.
            dtype: the type of the arithmetic (bfloat16 for training); None keeps the weights' own.
            kept: ``bool [B, H, W]``, of a network that draws edits: the pixels that are known from the start. Their own
                logits mean nothing. A picture that keeps none is no edit, as all pictures are without ``kept``.

        Returns:
            Logits ``[B, H, W, C, levels]``.
        """
        return self.score(symbols, self.h_of(symbols, given), dtype, kept)

    def h_of(self, symbols: Tensor, given: Tensor | None) -> Tensor | None:
        """h ``[B, condition_channels]``; None where the network is conditioned on nothing.

        Args:
            symbols: the pictures whose distribution is wanted.
            given: labels ``int64 [B, conditions]``, in the order of ``spec.conditions``, where ``len(names)`` is
                "unspecified"; None exactly where the network has no conditions.
        """
        return None if given is None else self.conditioner.embed(given)

    def score(
        self, symbols: Tensor, h: Tensor | None, dtype: torch.dtype | None = None, kept: Tensor | None = None
    ) -> Tensor:
        """The distribution of every symbol for any h ``[B, condition_channels]``, of labels or between those of
        labels."""
        weights = next(self.parameters()).dtype
        pixels = input_pixels(self.spec, symbols).to(weights)
        if kept is None:
            return self.score_pixels(pixels, h, dtype or weights)
        return self.score_edits(pixels, h, dtype or weights, kept)

    def score_pixels(self, pixels: Tensor, h: Tensor | None, dtype: torch.dtype) -> Tensor:
        """The distribution of every symbol of pixels as :func:`input_pixels` gives them, in the type of the weights;
        ``dtype`` is given."""
        raise NotImplementedError

    def score_edits(self, pixels: Tensor, h: Tensor | None, dtype: torch.dtype, kept: Tensor) -> Tensor:
        """The distribution of every symbol of edits, in a network that draws them."""
        raise NotImplementedError

    def _logits_of(
        self, skips: Tensor, pixels: Tensor, coarse: Tensor | None, h: Tensor | None, dtype: torch.dtype
    ) -> Tensor:
        """Logits ``[B, H, W, C, levels]`` of the sums of skips ``[B * H * W, output_features]``; coarse pixels have
        a network of their own, which is given h."""
        hidden = torch.addmm(self.head_bias.to(dtype), F.relu(skips), self._masked(self.head, dtype))
        logits = torch.addmm(self.output_bias.to(dtype), F.relu(hidden), self._masked(self.output, dtype))
        logits = logits.view(*pixels.shape[:3], self.spec.channels, self.spec.levels)
        if coarse is not None:
            logits[:, COARSE, COARSE] = self.coarse.score_pixels(coarse, h, dtype)
        return logits

    def _masked_kernel(self, weights: Tensor, kind: str) -> Tensor:
        """An n × n kernel under mask A or B, of which only the upper rows are stored: the mask is zero below."""
        outputs, inputs, _, columns = weights.shape
        mask = torch.ones_like(weights)
        mask[:, :, -1, columns // 2 + 1 :] = 0
        mask[:, :, -1, columns // 2] = self._mask(inputs, outputs, kind, weights).t()
        return weights * mask

    def _masked(self, weights: Tensor, dtype: torch.dtype) -> Tensor:
        """Weights ``[..., in, out]`` of a product, under mask B."""
        weights = weights.to(dtype)
        if self.spec.channels == 1:
            return weights
        return weights * self._mask(weights.shape[-2], weights.shape[-1], "B", weights)

    def _mask(self, inputs: int, outputs: int, kind: str, like: Tensor, runs: int = 1) -> Tensor:
        """``[inputs, outputs]``: 1 where an output of one channel may see an input of another.

        Features are divided among the channels in equal runs (1601.06759, section 3.4). Mask A sees the channels before
        an output's own, mask B its own as well. The outputs of gates are ``runs`` times all features.
        """
        channels, features = self.spec.channels, outputs // runs
        source = torch.arange(inputs) * channels // inputs
        target = (torch.arange(features) * channels // features).repeat(runs)
        seen = source[:, None] < target if kind == "A" else source[:, None] <= target
        return seen.to(like)


def residual_convolutions(cells: Tensor, taps: Tensor, biases: Tensor) -> Tensor:
    """Layers over ``cells [B, n, rows, columns]``, by ``taps [layers, n, n, 3, 3]``."""
    for weights, bias in zip(taps, biases, strict=True):
        cells = cells + F.silu(F.conv2d(cells, weights, bias, padding=1))
    return cells


def input_pixels(spec: PictureSpec, symbols: Tensor) -> Tensor:
    """Symbols ``int64 [B, H, W, C]`` as the network sees them: ``float32 [B, H, W, C * planes]``, from -1 to 1."""
    table = torch.tensor(input_table(spec), device=symbols.device)
    return table[symbols].flatten(3)


# The encoder of pictures in torch; ancestral_models.conditioning.encode is the same in numpy.


class Encoder(Network):
    """The vector h of a picture (see :class:`EncoderSpec`)."""

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(encoder_tensors(spec))
        self.spec = spec

    def forward(self, symbols: Tensor) -> Tensor:
        """h ``[B, code]`` of pictures ``int64 [B, H, W, C]``."""
        seen = input_pixels(self.spec, symbols).to(self.code).permute(0, 3, 1, 2)
        for layer in range(self.spec.layers):
            weights, bias = getattr(self, f"convolution_{layer}"), getattr(self, f"convolution_{layer}_bias")
            seen = F.relu(F.conv2d(seen, weights, bias, stride=2, padding=1))
        h = seen.flatten(1) @ self.code + self.code_bias
        return F.normalize(h) if self.spec.normalised else h


# The classifier of pictures in torch; ancestral_models.classification is the same without it.

_DROPOUT = 0.3
"""Dropout of the vector, in training."""


class Classifier(Network):
    """Logits of what pictures show (see :class:`ClassifierSpec`)."""

    def __init__(self, spec: ClassifierSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Encoder(spec.encoder)
        self.add_parameters(own(classifier_tensors(spec)))

    def forward(self, symbols: Tensor) -> Tensor:
        """Logits ``[B, outputs]`` of pictures ``int64 [B, H, W, C]``."""
        features = F.dropout(F.relu(self.encoder(symbols)), _DROPOUT, self.training)
        return features @ self.head + self.head_bias


# Naive sampling of an image network, by definition: the whole network for every sub-pixel.
#
# It is the oracle of all faster engines, and what the torch engine (ancestral_models/engines/images/torch_engine.py)
# samples networks with that have no compiled kernel.


@torch.no_grad()
def draw(
    network: ImageNetwork,
    h: Tensor | None,
    seeds: Sequence[int],
    temperature: float | NDArray[np.float64] = 1.0,
    count: int | None = None,
    guidance: float | NDArray[np.float64] = 1.0,
    unconditional: Tensor | None = None,
) -> NDArray[np.uint8]:
    """One picture for each seed.

    Args:
        network: in double precision, if the symbols are to be compared with an engine's.
        h: ``[B, condition_channels]``, where the network has conditions.
        seeds: of the noise (ancestral_models/categorical.py); position (row * W + column) * C + channel draws a
            sub-pixel.
        temperature: divides the logits; of all pictures, or ``[B]``; above 0.
        count: sub-pixels to sample, where it is not all of them; those after them stay 0.
        guidance: see :func:`sub_pixel_logits`.
        unconditional: like ``h``; required where guidance is not 1.

    Returns:
        ``uint8 [B, H, W, C]``.
    """
    spec = network.spec
    noise = np.stack([categorical.uniforms(seed, 0, spec.dims) for seed in seeds])
    symbols = np.zeros((len(seeds), spec.height, spec.width, spec.channels), np.uint8)
    for position in sampling_order(spec)[:count]:
        logits = sub_pixel_logits(network, symbols, position, h, guidance, unconditional)
        symbols.reshape(len(seeds), -1)[:, position] = categorical.draw(logits, temperature, noise[:, position])
    return symbols


def sub_pixel_logits(
    network: ImageNetwork,
    symbols: NDArray[np.uint8],
    position: int,
    h: Tensor | None,
    guidance: float | NDArray[np.float64],
    unconditional: Tensor | None,
    kept: Tensor | None = None,
) -> NDArray[np.float64]:
    """The logits ``[B, levels]`` of one sub-pixel of every picture, given those sampled before.

    With guidance they are those of :func:`ancestral_models.categorical.guide`.

    Args:
        network: of the pictures.
        symbols: ``[B, H, W, C]``; those not yet sampled have no effect.
        position: (row * W + column) * C + channel.
        h: ``[B, condition_channels]``, where the network has conditions.
        guidance: 1 is the network as it is; of all pictures, or ``[B]``.
        unconditional: h of the unconditional pass; None exactly where guidance is 1 for all pictures.
        kept: ``bool [B, H, W]``: the pixels that edits keep; None where there are none.
    """
    tensor = torch.from_numpy(symbols.astype(np.int64))

    def logits(condition: Tensor | None) -> NDArray[np.float64]:
        return np.asarray(network.score(tensor, condition, kept=kept).flatten(1, 3)[:, position].double().numpy())

    if unconditional is None:
        return logits(h)
    return categorical.guide(logits(h), logits(unconditional), guidance)


def sampling_order(spec: ImageSpec) -> list[int]:
    """The positions of all sub-pixels in the order in which they are sampled: row by row, or the coarse ones first."""
    positions = np.arange(spec.dims).reshape(spec.height, spec.width, spec.channels)
    if spec.coarse is None:
        return [*positions.flat]
    coarse = positions[COARSE, COARSE]
    return [*coarse.flat, *np.setdiff1d(positions, coarse)]
