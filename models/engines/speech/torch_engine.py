"""The torch engines: the oracle that every other engine is held to, and the same with cached activations.

Uncached, every symbol is the last output of the network that was trained (``WaveNet.forward``), run over all that it
can see. Cached, it is one ``WaveNet.step`` (Fast WaveNet, Le Paine et al. 2016, arXiv:1611.09482). The order in which
torch adds depends on the size of the batch. In single precision that moves a symbol now and then, so there each stream
goes alone; in double precision it is far below anything that could, and streams go together.
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

from models.audio.mu_law import SILENCE
from models.checkpoint import Checkpoint, CheckpointError
from models.conditioning import padded_frames
from models.engines.base import Stream, Symbols
from models.engines.snapshots import pack, unpack
from models.engines.speech.engine import SpeechEngine, StreamRequest, check_request, check_teacher_forced
from models.networks.wavenet import WaveNet, WaveNetState
from models.noise import uniforms
from models.spec import WaveNetSpec

Choice = Callable[[int, int, NDArray[np.floating]], int]
"""The symbol of a lane (an index into the streams that go together) at a step, from its logits ``[256]``."""

_DTYPES = {"fp32": torch.float32, "fp64": torch.float64}


@dataclass
class TorchStream:
    """One stream, with the past in the form that its engine needs."""

    request: StreamRequest
    position: int
    frames: Tensor | None
    """``[1, F + 2 * margin, local_channels]``."""
    speaker: Tensor | None
    """``int64 [1]``."""
    condition: Tensor
    """h of every frame, ``[F, conditioner_channels]``."""
    symbol: int
    """The one before ``position``."""
    past: tuple[Tensor, ...]
    """Cached: the buffers of ``WaveNetState``. Uncached: the symbols in sight, ``uint8 [receptive_field]``."""


def choose(logits: NDArray[np.floating], temperature: float, noise: float) -> int:
    """The first symbol whose cumulative probability exceeds the noise; at temperature 0 the most likely one.

    Args:
        logits: ``[256]``.
        temperature: divides them; at least 0.
        noise: uniform in (0, 1).
    """
    if temperature == 0.0:
        return int(logits.argmax())
    exact = logits.astype(np.float64)
    cumulative = np.exp((exact - exact.max()) / temperature).cumsum()
    return int((cumulative[:-1] <= noise * cumulative[-1]).sum())


def log_likelihood(logits: NDArray[np.floating], symbol: int) -> float:
    """ln p(symbol) at temperature 1, nats, from logits ``[256]``."""
    exact = logits.astype(np.float64)
    exact -= exact.max()
    return float(exact[symbol] - np.log(np.exp(exact).sum()))


class TorchEngine(SpeechEngine):
    """A WaveNet run by torch.

    Args:
        checkpoint: of a WaveNet.
        cached: whether to keep activations, or to recompute the receptive field for every symbol.
        precision: of all arithmetic up to the logits.
    """

    name = "reference"
    lanes = 1

    def __init__(self, checkpoint: Checkpoint, cached: bool, precision: Literal["fp32", "fp64"] = "fp32") -> None:
        if not isinstance(checkpoint.spec, WaveNetSpec):
            raise CheckpointError(f"kind: expected 'wavenet', found {checkpoint.spec.kind!r}")
        self.spec = checkpoint.spec
        self._cached = cached
        self._together = cached and precision == "fp64"
        self._sha256 = checkpoint.sha256
        self._state = f"{'step' if cached else 'past'}{precision[2:]}"
        with torch.device("meta"):
            self._model = WaveNet(self.spec)
        tensors = {name: torch.tensor(tensor) for name, tensor in checkpoint.tensors.items()}
        self._model.load_state_dict(tensors, assign=True)
        self._model.to(_DTYPES[precision]).requires_grad_(False)

    def open(self, request: StreamRequest) -> TorchStream:
        """Start a stream at position 0."""
        check_request(self.spec, request)
        model, frames, speaker = self._model, None, None
        if request.frames is not None:
            frames = torch.from_numpy(padded_frames(self.spec, request.frames))[None].to(model.embedding.dtype)
        if request.speaker is not None:
            speaker = torch.tensor([request.speaker])
        condition = model.conditioner(frames, speaker, 1)[0]
        sight = torch.full((self.spec.receptive_field,), SILENCE, dtype=torch.uint8)
        past = model.initial_state(1).buffers if self._cached else (sight,)
        return TorchStream(request, 0, frames, speaker, condition, SILENCE, past)

    def step(self, streams: Sequence[Stream], samples: int) -> list[Symbols]:
        """Make up to ``samples`` more symbols of every stream."""
        lanes = [_reference(stream) for stream in streams]
        made = [np.empty(min(samples, s.request.length - s.position), np.uint8) for s in lanes]
        order = sorted(range(len(lanes)), key=lambda i: len(made[i]))
        for _, equal in groupby(order, key=lambda i: len(made[i])):
            same = list(equal)
            for group in [same] if self._together else [[i] for i in same]:
                self._sample([lanes[i] for i in group], [made[i] for i in group])
        return made

    def teacher_force(self, stream: Stream, symbols: Symbols) -> NDArray[np.float64]:
        """Lead a stream along given symbols."""
        check_teacher_forced(stream, symbols)
        likelihoods = np.empty(len(symbols))

        def given(lane: int, step: int, logits: NDArray[np.floating]) -> int:
            likelihoods[step] = log_likelihood(logits, int(symbols[step]))
            return int(symbols[step])

        self._move([_reference(stream)], len(symbols), given)
        return likelihoods

    def snapshot(self, stream: Stream) -> bytes:
        """The position, the last symbol and the past."""
        stream = _reference(stream)
        past = b"".join(tensor.numpy().tobytes() for tensor in stream.past)
        return pack(self._state, self._sha256, stream.position, stream.symbol, past)

    def restore(self, request: StreamRequest, snapshot: bytes) -> TorchStream:
        """The stream that :meth:`snapshot` saw."""
        stream = self.open(request)
        size = sum(tensor.nbytes for tensor in stream.past)
        stream.position, stream.symbol, state = unpack(self._state, self._sha256, request.length, size, snapshot)
        flat = torch.frombuffer(bytearray(state), dtype=stream.past[0].dtype)
        parts = torch.split(flat, [tensor.numel() for tensor in stream.past])
        stream.past = tuple(part.view(like.shape) for part, like in zip(parts, stream.past, strict=True))
        return stream

    def _sample(self, streams: list[TorchStream], out: list[Symbols]) -> None:
        """Fill ``out``, one ``[T]`` a stream, all equally long."""
        count = len(out[0])
        noise = [uniforms(s.request.seed, s.position, count) for s in streams]

        def draw(lane: int, step: int, logits: NDArray[np.floating]) -> int:
            out[lane][step] = choose(logits, streams[lane].request.temperature, noise[lane][step])
            return int(out[lane][step])

        self._move(streams, count, draw)

    def _move(self, streams: list[TorchStream], count: int, choice: Choice) -> None:
        """Move streams on by ``count`` positions; without a cache there is one stream."""
        if self._cached:
            self._step(streams, count, choice)
        else:
            self._recompute(streams[0], count, choice)

    def _step(self, streams: list[TorchStream], count: int, choice: Choice) -> None:
        """By cached steps of all streams together."""
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
                stream.symbol = choice(lane, t, row)
                stream.position += 1
            state = state._replace(symbol=torch.tensor([s.symbol for s in streams]))
        for lane, stream in enumerate(streams):
            stream.past = tuple(buffer[lane : lane + 1].clone() for buffer in state.buffers)

    def _recompute(self, stream: TorchStream, count: int, choice: Choice) -> None:
        """Without a cache: the network over all it can see, for every symbol."""
        for t in range(count):
            symbol = choice(0, t, self._last_logits(stream))
            stream.past = (torch.cat([stream.past[0][1:], torch.tensor([symbol], dtype=torch.uint8)]),)
            stream.symbol = symbol
            stream.position += 1

    def _last_logits(self, stream: TorchStream) -> NDArray[np.floating]:
        """The logits of the stream's position, ``[256]``, by ``WaveNet.forward``.

        The window begins early enough for all that the position depends on, at the start of a frame; it ends with the
        position's own frame. What follows the position is unknown and, the network being causal, of no effect.
        """
        position, field, frames = stream.position, self.spec.receptive_field, stream.frames
        hop = self.spec.local_hop if frames is not None else 1
        first, last = max(position - field, 0) // hop, position // hop
        before = min(position, field)
        window = torch.full(((last + 1 - first) * hop,), SILENCE)
        at = position - first * hop
        window[at - before : at] = stream.past[0][field - before :]
        if frames is not None:
            frames = frames[:, first : last + 1 + 2 * self.spec.conditioner_layers]
        logits = self._model(window[None], frames, stream.speaker)[0, at].numpy()
        return np.asarray(logits)


def _reference(stream: Stream) -> TorchStream:
    assert isinstance(stream, TorchStream), "a stream of another engine"
    return stream
