"""Every engine of speech, for the tests that all must pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.engines.base import Symbols
from ancestral.models.engines.onnx.ort_runners import Blocks
from ancestral.models.engines.speech.engine import SpeechEngine, StreamRequest
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.engines.speech.onnx import OnnxEngine
from ancestral.models.engines.speech.torch_engine import TorchEngine
from ancestral.models.kernels.gemm import Precision
from tests.models.random_models import exported, random_checkpoint

ENGINES: dict[str, Callable[[WaveNetSpec], SpeechEngine]] = {
    "native": lambda spec: NativeEngine(random_checkpoint(spec)),
    "onnx-cpu": lambda spec: OnnxEngine(exported(random_checkpoint(spec))),
    "onnx blocks": lambda spec: OnnxEngine(exported(random_checkpoint(spec)), runner=Blocks),
    "native-int8": lambda spec: NativeEngine(random_checkpoint(spec), Precision.INT8),
    "cached": lambda spec: TorchEngine(random_checkpoint(spec), cached=True),
    "uncached": lambda spec: TorchEngine(random_checkpoint(spec), cached=False),
}
SLOW = ("native-int8",)  # for each precision and spec, seconds of compilation
EVERY = pytest.mark.parametrize(
    "engine",
    [pytest.param(make, id=name, marks=pytest.mark.slow if name in SLOW else ()) for name, make in ENGINES.items()],
)


def solo(engine: SpeechEngine, request: StreamRequest) -> Symbols:
    return engine.step([engine.open(request)], request.length)[0]
