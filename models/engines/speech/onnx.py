"""The engines on onnxruntime: exported graphs (models/export/wavenet.py) on a CPU or a CUDA device, without torch.

Products of one row and of four add in different orders, so every call has the same number of lanes, those that nobody
needs filled with silence: then a stream's bits do not depend on its company. On a CPU one call of the graph with the
loop makes a chunk. On a CUDA device blocks of unrolled steps are replayed as a CUDA graph; the state stays there, in
place, for as long as a call of :meth:`OnnxEngine.advance` lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audio.mu_law import SILENCE
from models.checkpoint import Checkpoint, CheckpointError
from models.conditioning import conditioning
from models.engines.base import (
    GREEDY,
    Array,
    Stream,
    Symbols,
    group_by_length,
)
from models.engines.onnx.ort_runners import Blocks, Chunks, Inputs, Runner
from models.engines.snapshots import pack, unpack
from models.engines.speech.engine import SpeechEngine, StreamRequest, check_request, check_teacher_forced
from models.engines.unloadable import LazyResource
from models.noise import uniforms
from models.spec import WaveNetSpec

LANES: Mapping[str, int] = {"onnx-cpu": 4, "onnx-cuda": 16}
_LONGEST = 512
"""Steps of a call of a graph: their logits are kept, one kilobyte a lane."""


@dataclass
class OnnxStream:
    """One stream: its request, h of every frame, and the state that the graphs carry."""

    request: StreamRequest
    position: int
    symbol: int
    """The one before ``position``."""
    condition: Array
    """``[F, conditioner_channels]``."""
    ring: Array
    """``[rows, residual_channels]``: the inputs of every layer as far back as its dilation."""


class OnnxEngine(SpeechEngine):
    """A WaveNet on onnxruntime.

    Args:
        checkpoint: read from a directory that ``ancestral export`` has written graphs to.
        name: one of :data:`LANES`.
        runner: of its graphs; what suits the device, if absent.

    Raises:
        EngineError: the graphs are missing or stale, or the provider does not run here.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        name: str = "onnx-cpu",
        runner: Callable[[Checkpoint, str, int], Runner] | None = None,
    ) -> None:
        if not isinstance(checkpoint.spec, WaveNetSpec):
            raise CheckpointError(f"kind: expected 'wavenet', found {checkpoint.spec.kind!r}")
        self.spec, self.name, self.lanes = checkpoint.spec, name, LANES[name]
        self._checkpoint = checkpoint
        kind = runner or (Blocks if name == "onnx-cuda" else Chunks)
        self._runner = LazyResource(lambda: kind(checkpoint, name, self.lanes))
        # Without frames the one h holds for ever.
        self._hop = self.spec.local_hop if self.spec.local_channels else 2**62
        tensors, layers, gate = checkpoint.tensors, self.spec.layers, self.spec.gate_channels
        self._gates = np.ascontiguousarray(tensors["gate_condition"].swapaxes(0, 1).reshape(-1, layers * gate))
        self._move([self._blank()], 1, None)

    def open(self, request: StreamRequest) -> OnnxStream:
        """Start a stream at position 0."""
        check_request(self.spec, request)
        stream = self._blank()
        stream.request = request
        stream.condition = conditioning(self.spec, self._checkpoint.tensors, request.frames, request.speaker)
        return stream

    def step(self, streams: Sequence[Stream], samples: int) -> list[Symbols]:
        """Make up to ``samples`` more symbols of every stream."""
        assert len({id(stream) for stream in streams}) == len(streams), "a stream can take one lane only"
        made = [np.empty(min(samples, s.request.length - s.position), np.uint8) for s in streams]
        for group, start, stop in group_by_length([len(symbols) for symbols in made], self.lanes):
            for done in range(start, stop, _LONGEST):
                until = min(stop, done + _LONGEST)
                symbols, _ = self._move([_onnx(streams[i]) for i in group], until - done, None)
                for lane, i in enumerate(group):
                    made[i][done:until] = symbols[:, lane]
        return made

    def teacher_force(self, stream: Stream, symbols: Symbols) -> NDArray[np.float64]:
        """Lead a stream along given symbols."""
        check_teacher_forced(stream, symbols)
        parts = [np.empty(0)]
        for start in range(0, len(symbols), _LONGEST):
            part = symbols[start : start + _LONGEST]
            _, logits = self._move([_onnx(stream)], len(part), part)
            exact = logits[:, 0].astype(np.float64)
            exact -= exact.max(axis=1, keepdims=True)
            parts.append(exact[np.arange(len(part)), part] - np.log(np.exp(exact).sum(axis=1)))
        return np.concatenate(parts)

    def snapshot(self, stream: Stream) -> bytes:
        """The position, the last symbol and the ring buffers; the rest follows from the request."""
        s = _onnx(stream)
        return pack(self.name, self._checkpoint.sha256, s.position, s.symbol, s.ring.astype("<f4").tobytes())

    def restore(self, request: StreamRequest, snapshot: bytes) -> OnnxStream:
        """The stream that :meth:`snapshot` saw."""
        stream = self.open(request)
        identity = self.name, self._checkpoint.sha256
        stream.position, stream.symbol, ring = unpack(*identity, request.length, stream.ring.nbytes, snapshot)
        stream.ring = np.frombuffer(ring, "<f4").astype(np.float32).reshape(stream.ring.shape)
        return stream

    @property
    def loaded(self) -> bool:
        """Whether its graphs are in memory."""
        return self._runner.loaded

    def unload(self, idle_seconds: float) -> bool:
        """Drop the graphs, with what they hold on a card; streams keep their own state."""
        return self._runner.drop(idle_seconds)

    def _blank(self) -> OnnxStream:
        """The state before position 0: silence has been heard and every buffer is zero."""
        ring = np.zeros((sum(self.spec.dilations), self.spec.residual_channels), np.float32)
        condition = np.zeros((1, self.spec.conditioner_channels), np.float32)
        return OnnxStream(StreamRequest(length=1, seed=0), 0, SILENCE, condition, ring)

    def _move(self, streams: list[OnnxStream], steps: int, forced: Symbols | None) -> tuple[NDArray[np.int64], Array]:
        """Move streams on by ``steps``, along given symbols if there are any; symbols and logits ``[steps, lanes]``."""
        lanes = streams + [self._blank() for _ in range(self.lanes - len(streams))]
        with self._runner.use() as run:
            made = run(self._gathered(lanes, steps, forced))
        rings = made.next_ring.reshape(self.lanes, -1, self.spec.residual_channels)
        for lane, stream in enumerate(streams):
            # A copy, so that one stream does not keep the memory of all.
            stream.ring, stream.symbol = rings[lane].copy(), int(made.next_symbol[lane])
            stream.position += steps
        return made.symbols, made.logits

    def _gathered(self, lanes: list[OnnxStream], steps: int, forced: Symbols | None) -> Inputs:
        positions = np.array([s.position for s in lanes])
        firsts, lasts = positions // self._hop, (positions + steps - 1) // self._hop
        counts = lasts - firsts + 1
        begins = np.cumsum(counts) - counts
        frames = (positions + np.arange(steps)[:, None]) // self._hop - firsts + begins
        greedy = np.array([s.request.temperature == 0.0 for s in lanes])
        noise = np.stack([uniforms(s.request.seed, s.position, steps) for s in lanes], axis=1)
        given = np.full((steps, self.lanes), -1)
        if forced is not None:
            given[:] = forced[:, None]
        return Inputs(
            symbol=np.array([s.symbol for s in lanes]),
            position=positions,
            lane=np.arange(self.lanes),
            ring=np.concatenate([s.ring for s in lanes]),
            biases=self._biases(lanes, firsts, counts),
            temperature=np.maximum([s.request.temperature for s in lanes], GREEDY),
            frame=frames,
            uniforms=np.where(greedy, 0.0, noise),
            forced=given,
        )

    def _biases(self, lanes: list[OnnxStream], firsts: NDArray[np.int64], counts: NDArray[np.int64]) -> Array:
        """V·h + b of the frames that the lanes pass, ``[layers, sum of counts, gate]``."""
        layers, gate = self.spec.layers, self.spec.gate_channels
        rows = [
            # One at a time: a product of several rows may add in another order.
            s.condition[min(frame, len(s.condition) - 1)] @ self._gates
            for s, first, count in zip(lanes, firsts, counts, strict=True)
            for frame in range(first, first + count)
        ]
        biases = np.stack(rows).reshape(-1, layers, gate) + self._checkpoint.tensors["gate_bias"]
        return np.ascontiguousarray(biases.swapaxes(0, 1))


def _onnx(stream: Stream) -> OnnxStream:
    assert isinstance(stream, OnnxStream), "a stream of another engine"
    return stream
