"""The acoustic model: phonemes and a speaker to durations and conditioning frames, not autoregressive.

The structure is FastSpeech 2's (Ren et al. 2020, arXiv:2006.04558, section 2) with gated convolutions instead of
attention: an encoder over phonemes, a duration predictor, a length regulator that repeats each phoneme's vector for its
frames, a predictor of F0 and voicing, and a decoder that is given these: true ones in training, predicted ones in
service. Three numbers tell the position of each frame in its phoneme. The decoder is also given the ripple that the
harmonics of F0 leave in the mels (ancestral_models/audio/features.py), and predicts how much of it each band shows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ancestral_models.architectures.acoustic import AcousticSpec, block_tensors, tensors
from ancestral_models.networks import Network
from ancestral_models.tensors import own


class GatedBlock(Network):
    """x + (a * sigmoid(b)) W, where [a, b] is a centred convolution of the normalised x."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(block_tensors(channels, kernel_size))
        self.kernel_size = kernel_size

    def forward(self, x: Tensor, mask: Tensor, dropout: float, dilation: int = 1) -> Tensor:
        """``[B, T, C]`` to ``[B, T, C]``; ``mask [B, T, 1]`` is 0 in the padding."""
        channels, reach = x.shape[2], self.kernel_size // 2 * dilation
        normal = x * torch.rsqrt((x * x).mean(dim=2, keepdim=True) + 1e-6) * self.scale * mask
        kernel = self.taps.view(self.kernel_size, channels, -1).permute(2, 1, 0)
        z = F.conv1d(normal.transpose(1, 2), kernel, self.taps_bias, padding=reach, dilation=dilation)
        a, b = z.transpose(1, 2).chunk(2, dim=2)
        gated = F.dropout(a * torch.sigmoid(b), dropout, self.training)
        return (x + gated @ self.out + self.out_bias) * mask


class AcousticNetwork(Network):
    """The acoustic model in torch; ``AcousticModel`` of ancestral_models/acoustic.py runs the same weights in numpy."""

    def __init__(self, spec: AcousticSpec, dropout: float = 0.1) -> None:
        super().__init__(own(tensors(spec)))
        self.spec, self.dropout = spec, dropout
        self.encoder = _blocks(spec.encoder_layers, spec.channels, spec.kernel_size)
        self.duration = _blocks(spec.duration_layers, spec.channels, spec.duration_kernel_size)
        self.decoder = _blocks(spec.decoder_layers, spec.channels, spec.kernel_size)
        self.pitch = _blocks(spec.pitch_layers, spec.channels, spec.kernel_size)

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
        d = x.detach()  # the loss of the durations must not change the encoder
        for block in self.duration:
            d = block(d, mask, self.dropout)
        return x, (d @ self.duration_out + self.duration_bias)[:, :, 0]

    def predict_pitch(self, repeated: Tensor, positions: Tensor, speaker: Tensor, mask: Tensor) -> Tensor:
        """Scaled log-F0 and the logit of voicing ``[B, F, 2]``; arguments as for :meth:`decode`."""
        x = repeated + positions @ self.position + (self.speaker[speaker] @ self.pitch_speaker)[:, None]
        x = x * mask
        for block, dilation in zip(self.pitch, self.spec.pitch_dilations, strict=True):
            x = block(x, mask, self.dropout, dilation)
        return x @ self.pitch_out + self.pitch_bias

    def decode(
        self, repeated: Tensor, positions: Tensor, speaker: Tensor, mask: Tensor, pitch: Tensor, ripple: Tensor
    ) -> Tensor:
        """The mels of frames ``[B, F, bands]``.

        Args:
            repeated: each frame's phoneme vector ``[B, F, C]``.
            positions: of the frames in their phonemes ``[B, F, 3]``.
            speaker: ``int64 [B]``.
            mask: ``[B, F, 1]``, 0 in the padding.
            pitch: scaled log-F0 and voicing ``[B, F, 2]``.
            ripple: that their harmonics leave in the mels ``[B, F, bands]``.
        """
        x = repeated + positions @ self.position + (self.speaker[speaker] @ self.decoder_speaker)[:, None]
        x = (x + pitch @ self.pitch_in + ripple @ self.ripple_in) * mask
        for block in self.decoder:
            x = block(x, mask, self.dropout)
        return x @ self.frames_out + self.frames_bias + ripple * (x @ self.ripple_out + self.ripple_bias)


def _blocks(count: int, channels: int, kernel_size: int) -> nn.ModuleList:
    return nn.ModuleList(GatedBlock(channels, kernel_size) for _ in range(count))
