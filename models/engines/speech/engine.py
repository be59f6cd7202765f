"""Engines of speech, and those whose state can be computed from their last symbols."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.conditioning import Speaker
from ancestral.models.engines import base
from ancestral.models.entries import PLAIN, Sampling
from ancestral.models.kernels.shared import conditioning
from ancestral.models.spec import SpeechSpec
from ancestral.models.tensors import of_conditions

# The base of speech engines: open a stream, step it or teacher-force it along given symbols, snapshot, restore.

_ROUNDING = 1e-9


@dataclass(frozen=True)
class StreamRequest:
    """All that a stream's symbols depend on besides the weights."""

    length: int
    """Samples to generate."""
    seed: int
    """0 … 2^63 - 1; keys the noise (models/noise.py)."""
    temperature: float = 1.0
    """Divides the logits; 0 takes the most likely symbol. ``sampling`` scales it."""
    speaker: Speaker | None = None
    """Index into the spec's speakers, or a mix of them; required exactly where the model has speakers."""
    frames: base.Array | None = None
    """``[F, local_channels]`` with F * local_hop >= length; required exactly where the model has local conditioning."""
    sampling: Sampling = PLAIN
    """Sampling of the voice. Its temperatures by voicing need frames, whose last channel is the voicing."""

    @property
    def temperatures(self) -> NDArray[np.float64]:
        """The temperature in every frame ``[F]``; ``[1]`` without frames."""
        if self.frames is None:
            return np.array([self.temperature], np.float64)
        voicing = np.clip(self.frames[:, -1].astype(np.float64), 0.0, 1.0)
        return self.temperature * self.sampling.temperature(voicing)


class SpeechEngine(base.AlwaysLoaded, ABC):
    """A model ready to sample. Thread-safe as long as each stream is sampled by one thread at a time."""

    name: str
    """``native``, ``onnx-cuda``, …: what really runs; clients see it in ``x-engine``."""
    lanes: int
    """Streams that share the work of one call; more streams are taken in groups of this size."""
    int8: bool = False
    """Whether it multiplies by matrices in int8."""
    spec: SpeechSpec

    def engine_of(self, speaker: Speaker | None) -> SpeechEngine:
        """What samples a speaker. The first call may load it, and raise what is wrong with it."""
        return self

    @abstractmethod
    def open(self, request: StreamRequest) -> base.Stream:
        """Start a stream at position 0.

        Raises:
            RequestError: a field is missing, superfluous, out of range or of the wrong shape.
        """

    @abstractmethod
    def step(self, streams: Sequence[base.Stream], samples: int) -> list[base.Symbols]:
        """Sample up to ``samples`` more symbols of every stream, together; one that reaches its length stops there.

        If it raises, a stream whose position is unchanged has not been touched; the others are lost.

        Returns:
            One ``uint8 [<= samples]`` for each stream, in order.
        """

    def weights_of(self, stream: base.Stream) -> object:
        return self

    @abstractmethod
    def teacher_force(self, stream: base.Stream, symbols: base.Symbols) -> NDArray[np.float64]:
        """Advance a stream along given symbols: its state is as if it had sampled them, bit for bit.

        Args:
            stream: at the position of the first of them.
            symbols: ``uint8 [T]``.

        Returns:
            ln p of every symbol given those before it and the conditioning, at temperature 1: ``float64 [T]``, nats.

        Raises:
            RequestError: the symbols reach beyond the request's length.
        """

    def score(
        self, symbols: base.Symbols, frames: base.Array | None = None, speaker: Speaker | None = None
    ) -> NDArray[np.float64]:
        """ln p of every symbol of a whole stream.

        Args:
            symbols: ``uint8 [T]``.
            frames: ``[F, local_channels]`` with F * local_hop >= T, where the model has local conditioning.
            speaker: where the model has speakers.

        Returns:
            ``float64 [T]``, nats.

        Raises:
            RequestError: there are no symbols, or the conditioning does not fit the model.
        """
        request = StreamRequest(length=len(symbols), seed=0, speaker=speaker, frames=frames)
        return self.teacher_force(self.open(request), symbols)

    def probe(self) -> bytes:
        """What this engine computes on this machine of fixed symbols under fixed conditioning. Engines whose bits agree
        can go on with each other's streams, those whose bits differ cannot."""
        count, channels = -(-base.PROBE_SYMBOLS // self.spec.local_hop), self.spec.local_channels
        frames = (np.arange(count * channels) * 7919 % 201 - 100).astype(np.float32).reshape(
            count, channels
        ) / np.float32(50)
        speaker = 0 if self.spec.speakers else None
        symbols = base.probe_symbols(base.PROBE_SYMBOLS, 256)
        return base.probe_bits(self.score(symbols, frames if channels else None, speaker))

    @abstractmethod
    def snapshot(self, stream: base.Stream) -> bytes:
        """Everything besides the request that :meth:`restore` needs to continue from here, in any process."""

    @abstractmethod
    def restore(self, request: StreamRequest, snapshot: bytes) -> base.Stream:
        """The stream that :meth:`snapshot` was taken of.

        Raises:
            RequestError: the bytes are no snapshot of this model.
        """


def check_request(spec: SpeechSpec, request: StreamRequest) -> None:
    """Raise :class:`RequestError` for a request that does not fit ``spec``."""
    if request.length < 1:
        raise base.RequestError(f"length: must be positive, not {request.length}")
    if not 0 <= request.seed < 2**63:
        raise base.RequestError("seed: must lie in 0 … 2^63 - 1")
    if not (np.isfinite(request.temperature) and request.temperature >= 0.0):
        raise base.RequestError("temperature: must be a finite number, at least 0")
    if request.sampling.by_voicing and not spec.local_channels:
        raise base.RequestError("sampling: temperatures by voicing need frames, and the model takes none")
    if (setting := request.sampling.filtered) and spec.shaping != "linear_prediction":
        raise base.RequestError(f"sampling: {setting} needs a model with linear prediction")
    if (request.speaker is None) == bool(spec.speakers):
        raise base.RequestError("speaker: " + ("the model needs one" if spec.speakers else "the model has none"))
    if request.speaker is not None:
        _check_speaker(len(spec.speakers), request.speaker)
    if (request.frames is None) == bool(spec.local_channels):
        raise base.RequestError(
            "frames: " + ("the model needs them" if spec.local_channels else "the model takes none")
        )
    if request.frames is not None:
        count = -(-request.length // spec.local_hop)
        if request.frames.ndim != 2 or request.frames.shape[1] != spec.local_channels or len(request.frames) < count:
            raise base.RequestError(
                f"frames: need [>= {count}, {spec.local_channels}], not {list(request.frames.shape)}"
            )
        if not np.isfinite(request.frames).all():
            raise base.RequestError("frames: must be finite")


def _check_speaker(count: int, speaker: Speaker) -> None:
    shares = {speaker: 1.0} if isinstance(speaker, int) else speaker
    if not all(0 <= index < count for index in shares):
        raise base.RequestError(f"speaker: must lie in 0 … {count - 1}")
    if not (all(share > 0.0 for share in shares.values()) and abs(sum(shares.values()) - 1.0) < _ROUNDING):
        raise base.RequestError("speaker: the shares of a mix must be positive and add up to 1")


def check_teacher_forced(stream: base.Stream, symbols: base.Symbols) -> None:
    """Raise :class:`RequestError` for symbols beyond the end of a stream."""
    assert symbols.dtype == np.uint8, f"symbols are uint8, not {symbols.dtype}"
    room = stream.request.length - stream.position
    if len(symbols) > room:
        raise base.RequestError(f"symbols: {len(symbols)} do not fit, the stream ends in {room}")


# What the engines of a WaveNet with cached activations share: requests, groups of streams, snapshots.
#
# Their streams carry the same state: the position, the last symbols, and the ring buffers of all layers, which follow
# from as many symbols as the network sees. Engines add how a stream begins and how streams advance.


@dataclass
class CachedStream:
    """One stream: its request, h and temperature of every frame, and the state that the engine carries."""

    request: StreamRequest
    position: int
    symbol: int
    """The one before ``position``."""
    condition: base.Array
    """``[F, conditioner_channels]``."""
    temperatures: NDArray[np.float64]
    """``[F]``; ``[1]`` without frames."""
    ring: base.Array
    """The inputs of every layer, as far back as its dilation; the shape is the engine's."""
    recent: base.Symbols
    """The last ``receptive_field + 1`` symbols; silence before the first."""


class CachedEngine(SpeechEngine):
    """The base of engines that cache activations."""

    spec: WaveNetSpec

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.spec = checkpoint.spec_as(WaveNetSpec)
        self._tensors, self._sha256 = of_conditions(checkpoint.tensors), checkpoint.sha256
        # Without frames the one h is used for the whole stream.
        self._hop = self.spec.local_hop if self.spec.local_channels else 2**62

    def open(self, request: StreamRequest) -> CachedStream:
        check_request(self.spec, request)
        stream: CachedStream = self._blank()
        stream.request, stream.temperatures = request, request.temperatures
        stream.condition = conditioning(self.spec, self._tensors, request.frames, request.speaker)
        return stream

    def step(self, streams: Sequence[base.Stream], samples: int) -> list[base.Symbols]:
        assert len({id(stream) for stream in streams}) == len(streams), "a stream can take one lane only"
        made = [np.empty(min(samples, s.request.length - s.position), np.uint8) for s in streams]
        for group, start, stop in base.group_by_length([len(symbols) for symbols in made], self.lanes):
            self._sample([_cached(streams[i]) for i in group], [made[i][start:stop] for i in group])
        for stream, symbols in zip(streams, made, strict=True):
            _remember(_cached(stream), symbols)
        return made

    def teacher_force(self, stream: base.Stream, symbols: base.Symbols) -> NDArray[np.float64]:
        check_teacher_forced(stream, symbols)
        likelihoods = self._force(_cached(stream), symbols)
        _remember(_cached(stream), symbols)
        return likelihoods

    def snapshot(self, stream: base.Stream) -> bytes:
        """The position and the last symbols: the ring buffers follow from these, the rest from the request."""
        return base.pack(self.name, self._sha256, stream.position, _cached(stream).recent)

    def restore(self, request: StreamRequest, snapshot: bytes) -> CachedStream:
        """The stream that :meth:`snapshot` was taken of: the network runs over the symbols that it sees."""
        stream = self.open(request)
        position, stream.recent = base.unpack(self.name, self._sha256, request.length, len(stream.recent), snapshot)
        seen = stream.recent[-min(position, self.spec.receptive_field) - 1 :]
        stream.position, stream.symbol = position - len(seen) + 1, int(seen[0])
        self._replay(stream, seen[1:])
        return stream

    def _replay(self, stream: Any, symbols: base.Symbols) -> None:
        """Advance a stream along symbols ``[T]``, from where its ring buffers have no effect on those after them."""
        self._force(stream, symbols)

    @abstractmethod
    def _blank(self) -> Any:
        """The stream before position 0: the symbol before it is silence, and every buffer is zero."""

    @abstractmethod
    def _sample(self, streams: list[Any], out: list[base.Symbols]) -> None:
        """Sample at most :attr:`lanes` streams into ``out``, one ``[T]`` for each, all of equal length."""

    @abstractmethod
    def _force(self, stream: Any, symbols: base.Symbols) -> NDArray[np.float64]:
        """Advance a stream along symbols ``[T]``; ln p of each, ``[T]``, nats."""


def _remember(stream: CachedStream, symbols: base.Symbols) -> None:
    """A stream has been advanced by these symbols."""
    stream.recent = np.concatenate([stream.recent, symbols])[-len(stream.recent) :]


def _cached(stream: base.Stream) -> CachedStream:
    assert isinstance(stream, CachedStream), "a stream of another engine"
    return stream
