"""Engines of speech: state that follows from the last symbols; sound instead of symbols; a network for each voice."""

from __future__ import annotations

import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.audio.mu_law import SILENCE, mu_law_decode, to_int16
from ancestral_models.audio.shaping import ORDER, MelCorrection, Synthesis, predictor
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.conditioning import Speaker
from ancestral_models.engines import base
from ancestral_models.entries import PLAIN, Sampling
from ancestral_models.kernels.shared import conditioning
from ancestral_models.spec import FeatureSpec, SpeechSpec
from ancestral_models.tensors import of_conditions

# The base of speech engines: open a stream, step it or teacher-force it along given symbols, snapshot, restore.

_ROUNDING = 1e-9


@dataclass(frozen=True)
class StreamRequest:
    """All that a stream's symbols depend on besides the weights."""

    length: int
    """Samples to generate."""
    seed: int
    """0 … 2^63 - 1; keys the noise (ancestral_models/categorical.py)."""
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


class SpeechEngine(base.Unloadable, ABC):
    """A model ready to sample. Thread-safe as long as each stream is sampled by one thread at a time."""

    name: str
    """``native``, ``onnx-cuda``, …: what really runs; clients see it in ``x-engine``."""
    lanes: int
    """Streams that share the work of one call; more streams are taken in groups of this size."""
    int8: bool = False
    """Whether it multiplies by matrices in int8."""
    spec: SpeechSpec

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
        numbers = (np.arange(count * channels) * 7919 % 201 - 100).astype(np.float32)
        frames = numbers.reshape(count, channels) / np.float32(50)
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
    base.check_draws(request.seed, request.temperature)
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
    sampled_by: SpeechEngine | None = None
    """The engine of its voice's network, if it was opened by a :class:`VoicesEngine`."""


class CachedEngine(SpeechEngine):
    """The base of engines that cache activations."""

    spec: WaveNetSpec
    _stream: ClassVar[type[CachedStream]] = CachedStream

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
        assert symbols.dtype == np.uint8, f"symbols are uint8, not {symbols.dtype}"
        room = stream.request.length - stream.position
        if len(symbols) > room:
            raise base.RequestError(f"symbols: {len(symbols)} do not fit, the stream ends in {room}")
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

    def _blank(self) -> Any:
        """The stream before position 0: the symbol before it is silence, and every buffer is zero."""
        condition = np.zeros((1, self.spec.conditioner_channels), np.float32)
        recent = np.full(self.spec.receptive_field + 1, SILENCE, np.uint8)
        return self._stream(StreamRequest(length=1, seed=0), 0, SILENCE, condition, np.ones(1), self._ring(), recent)

    @abstractmethod
    def _ring(self) -> NDArray[Any]:
        """:attr:`CachedStream.ring` of silence."""

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


# Sound instead of symbols: an engine of a WaveNet whose symbols are an excitation, and the filter behind it.
#
# The filter of ancestral_models/audio/shaping.py follows from the conditioning frames, which only the process that
# samples has. So it runs there, on each chunk as it is sampled, as does the correction of mels behind it, and what
# leaves the engine is 16-bit sound. Both stand outside the sampling loop: the symbols, and so the seed
# contract, are those of the engine inside. The correction looks ahead, so a stream samples up to 40 ms more than it
# has delivered.


_HEADER = struct.Struct(f"<4s{8 * ORDER}sII")
"""Magic with version, the filter's memory in float64, the samples that the correction holds, CRC-32 of the memory and
of all that follows: what the correction holds, in float32, and the network's snapshot."""
_MAGIC = b"LPC2"


@dataclass
class SynthesisStream:
    """One stream: its symbols, and the states of the filter and the correction that make sound of them."""

    symbols: base.Stream
    synthesis: Synthesis
    correction: MelCorrection

    @property
    def request(self) -> StreamRequest:
        assert isinstance(self.symbols.request, StreamRequest)
        return self.symbols.request

    @property
    def position(self) -> int:
        """Samples of sound delivered. It also moves with symbols that no sound was made of: they are lost."""
        return self.correction.position + self.symbols.position - self.synthesis.position


class SynthesisEngine:
    """An :class:`~ancestral_models.engines.Engine` that samples sound.

    Args:
        network: samples the excitation; its spec says ``shaping: linear_prediction``.
    """

    def __init__(self, network: SpeechEngine) -> None:
        assert network.spec.shaping == "linear_prediction", network.spec.shaping
        self.network, self.name, self.lanes, self.unload = network, network.name, network.lanes, network.unload
        self._features = FeatureSpec()

    @property
    def loaded(self) -> bool:
        return self.network.loaded

    def weights_of(self, stream: base.Stream) -> object:
        return self.network.weights_of(_own(stream).symbols)

    def open(self, request: StreamRequest) -> SynthesisStream:
        """Start a stream at position 0; raises as :meth:`SpeechEngine.open` does."""
        return self._filtered(self.network.open(request), np.zeros(ORDER))

    def step(self, streams: Sequence[base.Stream], samples: int) -> list[NDArray[np.int16]]:
        """Sample up to ``samples`` more of every stream, together: ``int16 [<= samples]`` each, in order."""
        lanes = [_own(stream) for stream in streams]
        counts = [min(samples, s.request.length - s.position) for s in lanes]
        ahead = [min(s.correction.needed(n), s.request.length) for s, n in zip(lanes, counts, strict=True)]
        missing = [max(end - s.symbols.position, 0) for s, end in zip(lanes, ahead, strict=True)]
        for group, start, stop in base.group_by_length(missing, self.lanes):
            made = self.network.step([lanes[i].symbols for i in group], stop - start)
            for i, symbols in zip(group, made, strict=True):
                lanes[i].correction.push(lanes[i].synthesis(mu_law_decode(symbols)))
        return [to_int16(s.correction.pull(count)) for s, count in zip(lanes, counts, strict=True)]

    def snapshot(self, stream: base.Stream) -> bytes:
        """Everything besides the request that :meth:`restore` needs: the network's snapshot, 16 numbers of the filter,
        and two for every sample that is not delivered yet."""
        stream = _own(stream)
        memory, held = stream.synthesis.memory.astype("<f8").tobytes(), stream.correction.held
        rest = held.astype("<f4").tobytes() + self.network.snapshot(stream.symbols)
        return _HEADER.pack(_MAGIC, memory, held.shape[1], zlib.crc32(rest, zlib.crc32(memory))) + rest

    def restore(self, request: StreamRequest, snapshot: bytes) -> SynthesisStream:
        """The stream that :meth:`snapshot` was taken of.

        Raises:
            RequestError: the bytes are no snapshot of this model.
        """
        if len(snapshot) < _HEADER.size:
            raise base.RequestError(f"snapshot: {len(snapshot)} bytes are not the state of this model")
        magic, memory, count, checksum = _HEADER.unpack_from(snapshot)
        rest = snapshot[_HEADER.size :]
        if magic != _MAGIC or checksum != zlib.crc32(rest, zlib.crc32(memory)) or len(rest) < 8 * count:
            raise base.RequestError("snapshot: of another model, engine or version, or damaged")
        held = np.frombuffer(rest, "<f4", 2 * count).reshape(2, count)
        symbols = self.network.restore(request, rest[8 * count :])
        return self._filtered(symbols, np.frombuffer(memory, "<f8"), held.astype(np.float32))

    def _filtered(
        self, symbols: base.Stream, memory: NDArray[np.float64], held: base.Array | None = None
    ) -> SynthesisStream:
        request, position = symbols.request, symbols.position
        assert isinstance(request, StreamRequest)
        assert request.frames is not None, "the spec demands frames"
        filters = predictor(request.frames, self._features, request.sampling.low_shelf_db)
        synthesis = Synthesis(filters, memory, position)
        strength = request.sampling.mel_correction
        correction = MelCorrection(request.frames, self._features, strength, held, position)
        return SynthesisStream(symbols, synthesis, correction)


def _own(stream: base.Stream) -> SynthesisStream:
    assert isinstance(stream, SynthesisStream), "a stream of another engine"
    return stream


# One engine of many networks: each voice has one of its own, which sounds better than one of its size for all
# (docs/training-log.md). All have the same configuration and all speakers, and descend from one network: so the mean of
# two speaks as both.

Shares = tuple[tuple[str, float], ...]
"""Networks, and the share of each; in the order of their names."""
_MIXES = 32
"""Mixes of networks that are kept; another takes the place of the one that was opened longest ago."""


class VoicesEngine(SpeechEngine):
    """Samples every stream with the network of its speaker, which is loaded when it is first asked for, and stays: of
    size S that costs 20 ms of a processor, and 2 MB. A mix of speakers has the mean of their networks.

    Args:
        common: the engine of the network of all speakers; it samples those that have none, and mixes with them.
        networks: the network of each speaker that has one; two speakers may share it.
        load: the engine of one network, or of the mean of several, of the same kind as ``common``.
        mixes: whether it can be one of several; else ``common`` samples all mixes.
    """

    def __init__(
        self, common: SpeechEngine, networks: Mapping[str, str], load: Callable[[Shares], SpeechEngine], *, mixes: bool
    ) -> None:
        self.name, self.lanes, self.int8, self.spec = common.name, common.lanes, common.int8, common.spec
        self._networks = {common.spec.speakers.index(speaker): network for speaker, network in networks.items()}
        self._common, self._load, self._loading = common, load, Lock()
        self._mixed = lru_cache(_MIXES)(load) if mixes else lambda _: common
        self._engines: dict[str, SpeechEngine] = {}

    @property
    def loaded(self) -> bool:
        return any(engine.loaded for engine in (self._common, *self._engines.values()))

    def unload(self, idle_seconds: float) -> bool:
        return sum(engine.unload(idle_seconds) for engine in (self._common, *self._engines.values())) > 0

    def engine_of(self, speaker: Speaker | None) -> SpeechEngine:
        """What samples a speaker. The first call may load it, and raise what is wrong with it."""
        shares: dict[str, float] = {}
        for index, share in (speaker if isinstance(speaker, Mapping) else {speaker: 1.0}).items():
            if index is None or (name := self._networks.get(index)) is None:
                return self._common
            shares[name] = shares.get(name, 0.0) + share
        if len(shares) > 1:
            return self._mixed(tuple(sorted(shares.items())))
        (name,) = shares
        if name not in self._engines:
            with self._loading:  # streams of other networks are sampled meanwhile
                if name not in self._engines:
                    self._engines[name] = self._load(((name, 1.0),))
        return self._engines[name]

    def open(self, request: StreamRequest) -> base.Stream:
        check_request(self.spec, request)  # before networks are loaded for it
        engine = self.engine_of(request.speaker)
        return _sampled_by(engine, engine.open(request))

    def weights_of(self, stream: base.Stream) -> SpeechEngine:
        engine = _cached(stream).sampled_by
        assert engine is not None, "a stream of another engine"
        return engine

    def step(self, streams: Sequence[base.Stream], samples: int) -> list[base.Symbols]:
        made: list[base.Symbols | None] = [None] * len(streams)
        engines = [self.weights_of(stream) for stream in streams]
        for engine in dict.fromkeys(engines):
            chosen = [i for i, other in enumerate(engines) if other is engine]
            for i, symbols in zip(chosen, engine.step([streams[i] for i in chosen], samples), strict=True):
                made[i] = symbols
        return [symbols for symbols in made if symbols is not None]

    def teacher_force(self, stream: base.Stream, symbols: base.Symbols) -> NDArray[np.float64]:
        return self.weights_of(stream).teacher_force(stream, symbols)

    def snapshot(self, stream: base.Stream) -> bytes:
        return self.weights_of(stream).snapshot(stream)

    def restore(self, request: StreamRequest, snapshot: bytes) -> base.Stream:
        engine = self.engine_of(request.speaker)
        return _sampled_by(engine, engine.restore(request, snapshot))


def _sampled_by(engine: SpeechEngine, stream: base.Stream) -> base.Stream:
    _cached(stream).sampled_by = engine  # which lives as long as the stream does, whatever mixes are kept
    return stream
