"""Several networks behind one engine: voices have one of their own, or share it with a few others.

A network of few voices sounds better than one of its size for all (docs/training-log.md). All have the same
configuration and all speakers, so a mix of voices that share no network is sampled by the one that knows all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ancestral.models.conditioning import Speaker
from ancestral.models.engines.base import Stream, Symbols
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest


class VoicesEngine(SpeechEngine):
    """Samples every stream with the network of its speaker.

    Args:
        common: the engine of the network of all speakers.
        own: engines of the same kind, by the name of the speaker; two speakers may share one.
    """

    def __init__(self, common: SpeechEngine, own: Mapping[str, SpeechEngine]) -> None:
        self.name, self.lanes, self.int8, self.spec = common.name, common.lanes, common.int8, common.spec
        self._common, self._all = common, {common, *own.values()}
        self._own = {common.spec.speakers.index(name): engine for name, engine in own.items()}

    @property
    def loaded(self) -> bool:
        return any(engine.loaded for engine in self._all)

    def unload(self, idle_seconds: float) -> bool:
        unloaded = [engine.unload(idle_seconds) for engine in self._all]
        return any(unloaded)

    def open(self, request: StreamRequest) -> Stream:
        return self._engine(request.speaker).open(request)

    def weights_of(self, stream: Stream) -> SpeechEngine:
        assert isinstance(stream.request, StreamRequest)
        return self._engine(stream.request.speaker)

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
        return self._engine(request.speaker).restore(request, snapshot)

    def _engine(self, speaker: Speaker | None) -> SpeechEngine:
        speakers = speaker if isinstance(speaker, Mapping) else [speaker]
        engines = {self._own.get(index, self._common) for index in speakers if index is not None}
        return engines.pop() if len(engines) == 1 else self._common
