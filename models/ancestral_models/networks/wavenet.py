"""Conditional WaveNet (van den Oord et al. 2016, arXiv:1609.03499), channels last.

Every layer is a dilated causal convolution with two taps and a gated activation (sections 2.1 to 2.3); its output goes
to the residual path and to the sum of skips (section 2.4). The conditions, speaker and frames, become one bias of every
gate per frame (V·h, section 2.5). Weights are ``[layers, in, out]``, the order that the compiled sampler reads, and all
skips are one product over the concatenated gate outputs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ancestral_models.architectures.wavenet import WaveNetSpec, tensors
from ancestral_models.audio.mu_law import SILENCE
from ancestral_models.networks import Network
from ancestral_models.networks.gate import gate, residual_layers
from ancestral_models.spec import SYMBOLS
from ancestral_models.tensors import own, part


class Conditioner(Network):
    """Frames and speaker to the vector h of every frame: a small stack of centred 3-tap convolutions.

    It replaces the paper's upsampling network y = f(h); each h is used for the ``local_hop`` samples of its frame.
    """

    def __init__(self, spec: WaveNetSpec) -> None:
        super().__init__(part(tensors(spec), "conditioner."))
        self.margin = spec.conditioner_layers if spec.local_channels else 0

    def forward(self, frames: Tensor | None, speaker: Tensor | None, batch: int) -> Tensor:
        """``[B, F, width]`` from frames ``[B, F + 2 * margin, C]`` and speakers ``int64 [B]``; F = 1 without frames."""
        h = self.bias.expand(batch, 1, -1)
        if speaker is not None:
            h = h + (self.speaker[speaker] @ self.speaker_in)[:, None]
        if frames is None:
            return h
        h = h + frames @ self.frames_in
        for taps, bias in zip(self.taps, self.taps_bias, strict=True):
            seen = torch.cat([h[:, :-2], h[:, 1:-1], h[:, 2:]], dim=2)
            h = h[:, 1:-1] + F.silu(seen @ taps + bias)
        return h


class WaveNet(Network):
    """The network that a :class:`WaveNetSpec` describes. ``forward`` scores; engines sample."""

    def __init__(self, spec: WaveNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.conditioner = Conditioner(spec)
        self.add_parameters(own(tensors(spec)))

    def forward(
        self,
        symbols: Tensor,
        frames: Tensor | None = None,
        speaker: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """The distribution of every symbol given those before it.

        Args:
            symbols: ``int64 [B, T]``; logits at t depend on symbols before t only. Silence precedes the first.
            frames: ``[B, F + 2 * margin, local_channels]`` with T = F * local_hop, or None for a model without frames.
            speaker: ``int64 [B]``; None for a model without speakers.
            dtype: the type of the sample-rate arithmetic (bfloat16 for training); None keeps the weights' own.

        Returns:
            Logits ``[B, T, 256]``.
        """
        batch, time = symbols.shape
        before = F.pad(symbols[:, :-1], (1, 0), value=SILENCE)
        h = F.embedding(before, self.embedding.to(dtype))
        biases = self.gate_biases(frames, speaker, batch)
        hop = time // (biases.shape[1] // batch)
        if h.device.type == "cpu" and h.dtype == torch.float32:
            weights = self.past, self.current, self.residual, self.residual_bias
            gates = residual_layers(h, biases, weights, self.spec.dilations, hop)
            return self._head(gates.flatten(0, 1), dtype).view(batch, time, SYMBOLS)
        h = h.flatten(0, 1)
        past, current, residual = self.past.to(dtype), self.current.to(dtype), self.residual.to(dtype)
        residual_bias = self.residual_bias.to(dtype)
        gated = []
        for layer, dilation in enumerate(self.spec.dilations):
            earlier = F.pad(h.view(batch, time, -1), (0, 0, dilation, 0))[:, :time].reshape(batch * time, -1)
            z = torch.addmm(earlier @ past[layer], h, current[layer])
            gated.append(gate(z, biases[layer], hop))
            if layer < len(residual):
                h = h + torch.addmm(residual_bias[layer], gated[layer], residual[layer])
        return self._head(torch.cat(gated, dim=1), dtype).view(batch, time, SYMBOLS)

    def gate_biases(self, frames: Tensor | None, speaker: Tensor | None, batch: int) -> Tensor:
        """V·h + b of every layer and frame: ``[layers, B * F, gate_channels]``."""
        h = self.conditioner(frames, speaker, batch).flatten(0, 1)
        return torch.baddbmm(self.gate_bias[:, None], h.expand(self.spec.layers, -1, -1), self.gate_condition)

    def _head(self, gated: Tensor, dtype: torch.dtype | None) -> Tensor:
        skips = torch.addmm(self.skip_bias.to(dtype), gated, self.skip.to(dtype).flatten(0, 1))
        hidden = torch.addmm(self.head_bias.to(dtype), skips.relu_(), self.head.to(dtype))
        logits: Tensor = torch.addmm(self.output_bias.to(dtype), hidden.relu_(), self.output.to(dtype))
        return logits
