"""Several networks behind one engine: voices have one of their own, or share it with a few others.

A network of few voices sounds better than one of its size for all (docs/training-log.md). All have the same
configuration and all speakers, so a mix of voices that share no network is sampled by the one that knows all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from ancestral.models.conditioning import Speaker
from ancestral.models.engines.base import Stream, Symbols
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest


class VoicesEngine(SpeechEngine):
    """Samples every stream with the network of its speaker, which is loaded when it is first asked for, and stays: of
    size S that costs 20 ms of a processor, and 2 MB.

    Args:
        common: the engine of the network of all speakers.
        networks: the network of each speaker that has one; two speakers may share it.
        load: the engine of a network, of the same kind as ``common``; called once for each.
    """

    def __init__(self, common: SpeechEngine, networks: Mapping[str, str], load: Callable[[str], SpeechEngine]) -> None:
        self.name, self.lanes, self.int8, self.spec = common.name, common.lanes, common.int8, common.spec
        self._networks = {common.spec.speakers.index(speaker): network for speaker, network in networks.items()}
        self._common, self._load, self._loading = common, load, Lock()
        self._engines: dict[str, SpeechEngine] = {}

    @property
    def loaded(self) -> bool:
        return any(engine.loaded for engine in (self._common, *self._engines.values()))

    def unload(self, idle_seconds: float) -> bool:
        return sum(engine.unload(idle_seconds) for engine in (self._common, *self._engines.values())) > 0

    def engine_of(self, speaker: Speaker | None) -> SpeechEngine:
        speakers = speaker if isinstance(speaker, Mapping) else [speaker]
        names = {self._networks.get(index) for index in speakers if index is not None}
        name = names.pop() if len(names) == 1 else None
        if name is None:
            return self._common
        if name not in self._engines:
            with self._loading:  # streams of other networks are sampled meanwhile
                if name not in self._engines:
                    self._engines[name] = self._load(name)
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
