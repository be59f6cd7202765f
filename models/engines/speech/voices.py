"""Several networks behind one engine: voices have one of their own, or share it with a few others.

A network of few voices sounds better than one of its size for all (docs/training-log.md). All have the same
configuration and all speakers, and descend from one network: the mean of two speaks as both (docs/training-log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from ancestral.models.conditioning import Speaker
from ancestral.models.engines.base import Stream, Symbols
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest

Shares = tuple[tuple[str, float], ...]
"""Networks, and the share of each; in the order of their names."""
_MIXES = 32
"""Mixes of networks that are kept; another takes the place of the one that was asked for longest ago."""


class VoicesEngine(SpeechEngine):
    """Samples every stream with the network of its speaker, which is loaded when it is first asked for, and stays: of
    size S that costs 20 ms of a processor, and 2 MB. A mix of speakers has the mean of their networks.

    Args:
        common: the engine of the network of all speakers; it samples those that have none, and mixes with them.
        networks: the network of each speaker that has one; two speakers may share it.
        load: the engine of one network, or of the mean of several, of the same kind as ``common``; None if that cannot
            be made: then ``common`` samples the mix.
    """

    def __init__(
        self, common: SpeechEngine, networks: Mapping[str, str], load: Callable[[Shares], SpeechEngine | None]
    ) -> None:
        self.name, self.lanes, self.int8, self.spec = common.name, common.lanes, common.int8, common.spec
        self._networks = {common.spec.speakers.index(speaker): network for speaker, network in networks.items()}
        self._common, self._load, self._loading = common, load, Lock()
        self._mixed = lru_cache(_MIXES)(load)
        self._engines: dict[str, SpeechEngine] = {}

    @property
    def loaded(self) -> bool:
        return any(engine.loaded for engine in (self._common, *self._engines.values()))

    def unload(self, idle_seconds: float) -> bool:
        return sum(engine.unload(idle_seconds) for engine in (self._common, *self._engines.values())) > 0

    def engine_of(self, speaker: Speaker | None) -> SpeechEngine:
        shares: dict[str, float] = {}
        for index, share in (speaker if isinstance(speaker, Mapping) else {speaker: 1.0}).items():
            if index is None or (name := self._networks.get(index)) is None:
                return self._common
            shares[name] = shares.get(name, 0.0) + share
        if len(shares) > 1:
            return self._mixed(tuple(sorted(shares.items()))) or self._common
        (name,) = shares
        if name not in self._engines:
            with self._loading:  # streams of other networks are sampled meanwhile
                if name not in self._engines:
                    self._engines[name] = self._load(((name, 1.0),)) or self._common
        return self._engines[name]

    def open(self, request: StreamRequest) -> Stream:
        return self.engine_of(request.speaker).open(request)

    def weights_of(self, stream: Stream) -> SpeechEngine:
        assert isinstance(stream.request, StreamRequest)
        return self.engine_of(stream.request.speaker)

    def step(self, streams: Sequence[Stream], samples: int) -> list[Symbols]:
        made: list[Symbols | None] = [None] * len(streams)
        engines = [self.weights_of(stream) for stream in streams]
        for engine in dict.fromkeys(engines):
            chosen = [i for i, other in enumerate(engines) if other is engine]
            for i, symbols in zip(chosen, engine.step([streams[i] for i in chosen], samples), strict=True):
                made[i] = symbols
        return [symbols for symbols in made if symbols is not None]

    def teacher_force(self, stream: Stream, symbols: Symbols) -> NDArray[np.float64]:
        return self.weights_of(stream).teacher_force(stream, symbols)

    def snapshot(self, stream: Stream) -> bytes:
        return self.weights_of(stream).snapshot(stream)

    def restore(self, request: StreamRequest, snapshot: bytes) -> Stream:
        return self.engine_of(request.speaker).restore(request, snapshot)
