"""The torch engines of a WaveNet: the oracle of every other engine, and the same with cached activations.

Uncached, every symbol is the last output of the network that was trained (``WaveNet.forward``), run over its receptive
field. Cached, it is one ``WaveNet.step`` (Fast WaveNet, Le Paine et al. 2016, arXiv:1611.09482). The order in which
torch adds depends on the size of the batch. In single precision that changes a symbol now and then, so each stream is
sampled alone; in double precision the difference is far too small for that, and streams are sampled together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ancestral.models import categorical
from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.audio.mu_law import SILENCE
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.conditioning import padded_frames, speaker_vector
from ancestral.models.engines.base import Stream, Symbols, pack, unpack
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest, check_request, check_teacher_forced
from ancestral.models.networks import load_network
from ancestral.models.networks.wavenet import WaveNet, WaveNetState
from ancestral.models.noise import uniforms

Choice = Callable[[int, int, NDArray[np.floating]], int]
"""The symbol of a lane (an index into the streams of the call) at a step, from its logits ``[256]``."""

_DTYPES = {"fp32": torch.float32, "fp64": torch.float64}


@dataclass
class TorchStream:
    """One stream, with its past in the form that the engine needs."""

    request: StreamRequest
    position: int
    frames: Tensor | None
    """``[1, F + 2 * margin, local_channels]``."""
    speaker: Tensor | None
    """The embedding, ``[1, channels]``."""
    condition: Tensor
    """h of every frame, ``[F, conditioner_channels]``."""
    symbol: int
    """The one before ``position``."""
    temperatures: NDArray[np.float64]
    """One for every frame, ``[F]``; ``[1]`` without frames."""
    recent: Symbols
    """The last ``receptive_field + 1`` symbols; silence before the first."""
    past: tuple[Tensor, ...]
    """Cached: the buffers of ``WaveNetState``. Uncached: empty."""

    def take(self, symbol: int) -> None:
        """Advance by a symbol."""
        self.symbol, self.position = symbol, self.position + 1
        self.recent = np.append(self.recent[1:], np.uint8(symbol))


class TorchEngine(SpeechEngine):
    """A WaveNet run by torch.

    Args:
        checkpoint: of a WaveNet.
        cached: whether to cache activations, or to recompute the receptive field for every symbol.
        precision: of all arithmetic up to the logits.
    """

    name = "torch"
    lanes = 1
    spec: WaveNetSpec

    def __init__(
        self, checkpoint: Checkpoint, cached: bool = True, precision: Literal["fp32", "fp64"] = "fp32"
    ) -> None:
        self.spec = checkpoint.spec_as(WaveNetSpec)
        self._cached = cached
        self._together = cached and precision == "fp64"
        self._sha256 = checkpoint.sha256
        self._state = f"{'step' if cached else 'past'}{precision[2:]}"
        model = load_network(checkpoint, _DTYPES[precision])
        assert isinstance(model, WaveNet)
        self._model = model

    def open(self, request: StreamRequest) -> TorchStream:
        check_request(self.spec, request)
        model, frames, speaker = self._model, None, None
        if request.frames is not None:
            frames = torch.from_numpy(padded_frames(self.spec, request.frames))[None].to(model.embedding.dtype)
        if request.speaker is not None:
            table = model.conditioner.speaker.double().numpy()
            vector = torch.from_numpy(speaker_vector(table, request.speaker))[None]
            speaker = vector.to(model.embedding.dtype)
        condition = model.conditioner(frames, speaker, 1)[0]
        recent = np.full(self.spec.receptive_field + 1, SILENCE, np.uint8)
        past = model.initial_state(1).buffers if self._cached else ()
        return TorchStream(request, 0, frames, speaker, condition, SILENCE, request.temperatures, recent, past)

    def step(self, streams: Sequence[Stream], samples: int) -> list[Symbols]:
        lanes = [_torch(stream) for stream in streams]
        made = [np.empty(min(samples, s.request.length - s.position), np.uint8) for s in lanes]
        order = sorted(range(len(lanes)), key=lambda i: len(made[i]))
        for _, equal in groupby(order, key=lambda i: len(made[i])):
            same = list(equal)
            for group in [same] if self._together else [[i] for i in same]:
                self._sample([lanes[i] for i in group], [made[i] for i in group])
        return made

    def teacher_force(self, stream: Stream, symbols: Symbols) -> NDArray[np.float64]:
        check_teacher_forced(stream, symbols)
        likelihoods = np.empty(len(symbols))

        def given(lane: int, step: int, logits: NDArray[np.floating]) -> int:
            likelihoods[step] = categorical.log_likelihoods(logits[None], symbols[step : step + 1])[0]
            return int(symbols[step])

        self._advance([_torch(stream)], len(symbols), given)
        return likelihoods

    def snapshot(self, stream: Stream) -> bytes:
        return pack(self._state, self._sha256, stream.position, _torch(stream).recent)

    def restore(self, request: StreamRequest, snapshot: bytes) -> TorchStream:
        stream = self.open(request)
        position, recent = unpack(self._state, self._sha256, request.length, len(stream.recent), snapshot)
        seen = recent[-min(position, self.spec.receptive_field) - 1 :] if self._cached else recent[-1:]
        stream.position, stream.symbol = position - len(seen) + 1, int(seen[0])
        self._advance([stream], len(seen) - 1, lambda lane, step, logits: int(seen[1 + step]))
        stream.recent = recent
        return stream

    def _sample(self, streams: list[TorchStream], out: list[Symbols]) -> None:
        """Fill ``out``, one ``[T]`` a stream, all equally long."""
        count = len(out[0])
        noise = [uniforms(s.request.seed, s.position, count) for s in streams]

        def draw(lane: int, step: int, logits: NDArray[np.floating]) -> int:
            stream, uniform = streams[lane], noise[lane][step : step + 1]
            frame = stream.position // self.spec.local_hop if stream.frames is not None else 0
            temperature, min_p = float(stream.temperatures[frame]), stream.request.sampling.min_p
            out[lane][step] = categorical.draw(logits[None], temperature, uniform, min_p)[0]
            return int(out[lane][step])

        self._advance(streams, count, draw)

    def _advance(self, streams: list[TorchStream], count: int, choice: Choice) -> None:
        """Advance streams by ``count`` positions; without a cache there is one stream."""
        if self._cached:
            self._step(streams, count, choice)
        else:
            self._recompute(streams[0], count, choice)

    def _step(self, streams: list[TorchStream], count: int, choice: Choice) -> None:
        """Cached steps of all streams together."""
        buffers = tuple(torch.cat(layer) for layer in zip(*(s.past for s in streams), strict=True))
        state = WaveNetState(torch.tensor([s.symbol for s in streams]), buffers)
        held: list[int] = []
        for t in range(count):
            frames = [s.position // self.spec.local_hop if s.frames is not None else 0 for s in streams]
            if frames != held:
                rows = [s.condition[frame] for s, frame in zip(streams, frames, strict=True)]
                held, biases = frames, self._model.project(torch.stack(rows))
            logits, state = self._model.step(state, biases)
            for lane, (stream, row) in enumerate(zip(streams, logits.numpy(), strict=True)):
                stream.take(choice(lane, t, row))
            state = state._replace(symbol=torch.tensor([s.symbol for s in streams]))
        for lane, stream in enumerate(streams):
            stream.past = tuple(buffer[lane : lane + 1].clone() for buffer in state.buffers)

    def _recompute(self, stream: TorchStream, count: int, choice: Choice) -> None:
        """Run the network over its receptive field for every symbol, without a cache."""
        for t in range(count):
            stream.take(choice(0, t, self._last_logits(stream)))

    def _last_logits(self, stream: TorchStream) -> NDArray[np.floating]:
        """The logits of the stream's position, ``[256]``, by ``WaveNet.forward``.

        The window covers the receptive field, from the start of a frame to the end of the position's own frame. The
        symbols after the position are unknown and, because the network is causal, have no effect.
        """
        position, field, frames = stream.position, self.spec.receptive_field, stream.frames
        hop = self.spec.local_hop if frames is not None else 1
        first, last = max(position - field, 0) // hop, position // hop
        before = min(position, field)
        window = torch.full(((last + 1 - first) * hop,), SILENCE)
        at = position - first * hop
        window[at - before : at] = torch.from_numpy(stream.recent[len(stream.recent) - before :].copy())
        if frames is not None:
            frames = frames[:, first : last + 1 + 2 * self.spec.conditioner_layers]
        logits = self._model(window[None], frames, stream.speaker)[0, at].numpy()
        return np.asarray(logits)


def _torch(stream: Stream) -> TorchStream:
    assert isinstance(stream, TorchStream), "a stream of another engine"
    return stream
