"""The acoustic model: phonemes and a speaker to durations and conditioning frames, not autoregressive.

The shape is FastSpeech's (Ren et al. 2019, arXiv:1905.09263, section 3) with gated convolutions in the place of
attention: an encoder over phonemes, a duration predictor, a length regulator that repeats each phoneme's vector for its
frames, and a decoder over frames. Where in its phoneme a frame lies is told to the decoder by three numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.spec import AcousticSpec


class GatedBlock(nn.Module):
    """x + (a * sigmoid(b)) W, where [a, b] is a convolution of the normalised x; both ways in time."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.taps = nn.Parameter(torch.randn(kernel_size * channels, 2 * channels) / (kernel_size * channels) ** 0.5)
        self.taps_bias = nn.Parameter(torch.zeros(2 * channels))
        self.out = nn.Parameter(torch.randn(channels, channels) / channels**0.5 * 0.5)
        self.out_bias = nn.Parameter(torch.zeros(channels))
        self.kernel_size = kernel_size

    def forward(self, x: Tensor, mask: Tensor, dropout: float) -> Tensor:
        """``[B, T, C]`` to the same; ``mask [B, T, 1]`` is 0 where there is only padding."""
        channels, reach = x.shape[2], self.kernel_size // 2
        normal = x * torch.rsqrt((x * x).mean(dim=2, keepdim=True) + 1e-6) * self.scale * mask
        kernel = self.taps.view(self.kernel_size, channels, -1).permute(2, 1, 0)
        z = F.conv1d(normal.transpose(1, 2), kernel, self.taps_bias, padding=reach).transpose(1, 2)
        a, b = z.chunk(2, dim=2)
        gated = F.dropout(a * torch.sigmoid(b), dropout, self.training)
        return (x + gated @ self.out + self.out_bias) * mask


class AcousticNetwork(nn.Module):
    """See the module; :class:`models.text.acoustic.AcousticModel` runs the same weights in numpy."""

    def __init__(self, spec: AcousticSpec, dropout: float = 0.1) -> None:
        super().__init__()
        self.spec, self.dropout = spec, dropout
        channels = spec.channels
        self.phoneme = nn.Parameter(torch.randn(len(spec.phonemes), channels) * 0.3)
        self.word_start = nn.Parameter(torch.randn(1, channels) * 0.3)
        self.speaker = nn.Parameter(torch.randn(len(spec.speakers), spec.speaker_channels) * 0.3)
        self.encoder_speaker = nn.Parameter(torch.randn(spec.speaker_channels, channels) * 0.2)
        self.decoder_speaker = nn.Parameter(torch.randn(spec.speaker_channels, channels) * 0.2)
        self.encoder = nn.ModuleList(GatedBlock(channels, spec.kernel_size) for _ in range(spec.encoder_layers))
        self.duration = nn.ModuleList(
            GatedBlock(channels, spec.duration_kernel_size) for _ in range(spec.duration_layers)
        )
        self.duration_out = nn.Parameter(torch.zeros(channels, 1))
        self.duration_bias = nn.Parameter(torch.full((1,), 2.0))
        self.position = nn.Parameter(torch.randn(spec.position_channels, channels) * 0.5)
        self.decoder = nn.ModuleList(GatedBlock(channels, spec.kernel_size) for _ in range(spec.decoder_layers))
        self.frames_out = nn.Parameter(torch.randn(channels, spec.outputs) / channels**0.5 * 0.5)
        self.frames_bias = nn.Parameter(torch.zeros(spec.outputs))

    def encode(self, phonemes: Tensor, word_starts: Tensor, speaker: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Phonemes in context, and the logarithm of each one's frames plus one.

        Args:
            phonemes: ``int64 [B, P]``.
            word_starts: ``float [B, P]``, 1 at the first phoneme of a word.
            speaker: ``int64 [B]``.
            mask: ``float [B, P, 1]``.

        Returns:
            ``[B, P, channels]`` and ``[B, P]``.
        """
        x = self.phoneme[phonemes] + word_starts[:, :, None] * self.word_start
        x = (x + (self.speaker[speaker] @ self.encoder_speaker)[:, None]) * mask
        for block in self.encoder:
            x = block(x, mask, self.dropout)
        d = x.detach()  # durations are a small task and must not bend what the frames are made from
        for block in self.duration:
            d = block(d, mask, self.dropout)
        return x, (d @ self.duration_out + self.duration_bias)[:, :, 0]

    def decode(self, repeated: Tensor, positions: Tensor, speaker: Tensor, mask: Tensor) -> Tensor:
        """Frames ``[B, F, outputs]`` from each frame's phoneme vector ``[B, F, C]`` and place in it ``[B, F, 3]``."""
        x = repeated + positions @ self.position + (self.speaker[speaker] @ self.decoder_speaker)[:, None]
        x = x * mask
        for block in self.decoder:
            x = block(x, mask, self.dropout)
        return x @ self.frames_out + self.frames_bias
