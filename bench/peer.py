"""r9y9/wavenet_vocoder (MIT, from PyPI), the best-known WaveNet implementation, at the same sizes."""

from __future__ import annotations

import time
import warnings

import torch
from wavenet_vocoder.wavenet import WaveNet

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.spec import SYMBOLS

NAME = "wavenet_vocoder"


class Peer:
    """Its incremental sampler with random weights and one stream; the cost depends on neither."""

    def __init__(self, spec: WaveNetSpec) -> None:
        """Its network with the layers, channels and conditioning of ``spec``; the width of its head cannot be set."""
        self._spec = spec
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # it uses torch's old weight norm
            self._network = WaveNet(
                out_channels=SYMBOLS,
                layers=spec.layers,
                stacks=spec.stacks,
                residual_channels=spec.residual_channels,
                gate_channels=spec.gate_channels,
                skip_out_channels=spec.skip_channels,
                kernel_size=spec.kernel_size,
                cin_channels=spec.local_channels or -1,
                gin_channels=spec.global_channels if spec.speakers else -1,
                n_speakers=len(spec.speakers) or None,
            ).eval()
        self._network.make_generation_fast_()

    @torch.inference_mode()
    def seconds(self, samples: int) -> tuple[float, float]:
        """CPU-seconds and wall-clock seconds for a stream of this many samples, including its setup."""
        spec = self._spec
        frames = torch.randn(1, spec.local_channels, samples) if spec.local_channels else None
        speaker = torch.zeros(1, 1, dtype=torch.long) if spec.speakers else None
        wall, cpu = time.perf_counter(), time.thread_time()
        self._network.incremental_forward(c=frames, g=speaker, T=samples)
        return time.thread_time() - cpu, time.perf_counter() - wall
