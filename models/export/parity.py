"""Whether exported graphs do what the torch networks do: logits within a tolerance, and the same symbols drawn.

Networks are run in double precision. Single precision moves a logit by about 1e-6, and with it a symbol whose noise
falls that near to a boundary between two symbols; only there may a drawn symbol differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.checkpoint import Checkpoint, Spec, Tensors
from models.conditioning import padded_frames
from models.engines.images.engine import ImageStreamRequest
from models.engines.images.onnx import OnnxImageEngine
from models.engines.onnx.ort_runners import Blocks
from models.engines.onnx.ort_session import open_session
from models.engines.speech.engine import StreamRequest
from models.engines.speech.onnx import LANES, OnnxEngine
from models.networks.acoustic import AcousticNetwork
from models.networks.pixelcnn import GatedPixelCNN, OriginalPixelCNN, build
from models.networks.wavenet import WaveNet
from models.noise import uniforms
from models.spec import AcousticSpec, PixelCNNSpec, WaveNetSpec

TOLERANCE, RELATIVE = 1e-4, 1e-5
"""Of logits, and of everything else that is a real number; and the share of a number above 10 that it may differ by:
the logits of a network that is sure of itself reach hundreds, of which single precision has four decimal places."""
TIE = 2e-6
"""How near to a boundary the noise of a symbol lies that two engines may draw differently."""
_STEPS = 480


class ParityError(ValueError):
    """Graphs that do not do what their network does."""


def random_tensors(spec: Spec) -> Tensors:
    """Weights as a network begins with, and biases that are not zero."""
    torch.manual_seed(0)
    network = _NETWORKS[spec.kind](spec)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "bias" in name:
                parameter.normal_(0.0, 0.1)
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def network(checkpoint: Checkpoint) -> torch.nn.Module:
    """The network of a checkpoint, in double precision."""
    made = _NETWORKS[checkpoint.spec.kind](checkpoint.spec).double()
    made.load_state_dict({name: torch.tensor(tensor).double() for name, tensor in checkpoint.tensors.items()})
    return made.eval().requires_grad_(False)


def check(checkpoint: Checkpoint) -> None:
    """Run what was exported, and the network.

    Args:
        checkpoint: read from a directory with the graphs in it.

    Raises:
        ParityError: they differ by more than rounding explains.
    """
    _CHECKS[checkpoint.spec.kind](checkpoint)


def compare(name: str, mine: NDArray[np.floating], exact: NDArray[np.floating]) -> None:
    """Raise :class:`ParityError` unless numbers agree."""
    apart = np.abs(mine - exact)
    if not (apart <= np.maximum(TOLERANCE, RELATIVE * np.abs(exact))).all():  # so that NaN is caught
        raise ParityError(f"{name}: differ from the network's by {apart.max():.2g}, more than rounding explains")


def compare_draws(
    mine: NDArray[np.integer], logits: NDArray[np.float64], noise: NDArray[np.float64], temperature: float
) -> int:
    """Raise :class:`ParityError` unless symbols are those that exact logits ``[N, levels]`` and noise ``[N]`` give.

    Returns:
        How many differ, all of them ties.
    """
    cumulative = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature).cumsum(axis=1)
    cumulative /= cumulative[:, -1:]
    drawn = (cumulative[:, :-1] <= noise[:, None]).sum(axis=1)
    different = np.flatnonzero(drawn != mine)
    if len(different) and np.abs(cumulative[different] - noise[different, None]).min(axis=1).max() > TIE:
        raise ParityError(f"symbols: {len(different)} of {len(mine)} are not those that the network's logits give")
    return len(different)


def _check_wavenet(checkpoint: Checkpoint) -> None:
    """Every graph samples; along its symbols the network, run over all of them at once, gives the exact logits."""
    spec = checkpoint.spec
    assert isinstance(spec, WaveNetSpec)
    engine, model = OnnxEngine(checkpoint), network(checkpoint)
    assert isinstance(model, WaveNet)
    length = _STEPS if not spec.local_channels else -(-_STEPS // spec.local_hop) * spec.local_hop
    wanted = [_request(spec, seed, length) for seed in range(LANES[engine.name])]
    streams = [engine.open(request) for request in wanted]
    made = engine.step(streams, length)
    for request, symbols in zip(wanted, made, strict=True):
        exact = exact_logits(model, request, symbols)
        compare_draws(symbols, exact, uniforms(request.seed, 0, length), request.temperature)
        nats = exact - np.logaddexp.reduce(exact, axis=1, keepdims=True)
        compare("likelihoods", engine.score(symbols, request.frames, request.speaker), nats[np.arange(length), symbols])
    blocks = OnnxEngine(checkpoint, runner=Blocks)
    streams = [blocks.open(request) for request in wanted]
    # Not a multiple of what is unrolled: some steps are single ones.
    pieces = [blocks.step(streams, 61) for _ in range(-(-length // 61))]
    if not np.array_equal(made, np.concatenate(pieces, axis=1)):
        raise ParityError("steps.onnx, step.onnx: draw other symbols than chunk.onnx")


def _check_pixelcnn(checkpoint: Checkpoint) -> None:
    """Pictures are drawn; the network, run over them whole, gives the exact logits of every sub-pixel."""
    spec = checkpoint.spec
    assert isinstance(spec, PixelCNNSpec)
    engine, model = OnnxImageEngine(checkpoint), network(checkpoint)
    assert isinstance(model, GatedPixelCNN | OriginalPixelCNN)
    wanted = _pictures(engine)
    images = engine.draw(wanted)
    hs = np.stack([request.h for request in wanted if request.h is not None]) if spec.conditions else None
    logits = _picture_logits(model, images, hs)
    away = logits
    if spec.conditions:
        far = [request.h if request.away is None else request.away for request in wanted]
        away = _picture_logits(model, images, np.stack([h for h in far if h is not None]))
    scores = engine.score(images, hs).reshape(engine.lanes, -1)
    for n, (request, image) in enumerate(zip(wanted, images.reshape(engine.lanes, -1), strict=True)):
        guided = away[n] + request.guidance * (logits[n] - away[n])
        compare_draws(image, guided, uniforms(request.seed, 0, spec.dims), request.temperature)
        nats = logits[n] - np.logaddexp.reduce(logits[n], axis=1, keepdims=True)
        compare("likelihoods", scores[n], nats[np.arange(spec.dims), image])


def _pictures(engine: OnnxImageEngine) -> list[ImageStreamRequest]:
    """As many as it has lanes, at two temperatures; where there are conditions, all but the first are guided."""
    wanted = [ImageStreamRequest(n, (1.0, 0.7)[n % 2]) for n in range(engine.lanes)]
    if not engine.spec.conditions:
        return wanted
    lists = [(*range(len(names)), None) for names in engine.spec.conditions]
    away = engine.asked([None] * len(lists))
    asked = [engine.asked([labels[n % len(labels)] for labels in lists]) for n in range(engine.lanes)]
    first, *others = [replace(request, h=h) for request, h in zip(wanted, asked, strict=True)]
    return [first, *(replace(request, guidance=0.25 + request.seed / 2, away=away) for request in others)]


def _picture_logits(
    model: GatedPixelCNN | OriginalPixelCNN, images: NDArray[np.uint8], h: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """The network's own logits for every sub-pixel of pictures, ``[N, H * W * C, levels]``."""
    given = None if h is None else torch.from_numpy(h).double()
    logits: NDArray[np.float64] = model.score(torch.from_numpy(images.astype(np.int64)), given).numpy()
    return logits.reshape(len(images), -1, logits.shape[-1])


def _check_frames(checkpoint: Checkpoint) -> None:
    """Two sentences of different lengths, padded to one; padding counts for nothing."""
    spec, model = checkpoint.spec, network(checkpoint)
    assert isinstance(spec, AcousticSpec)
    assert isinstance(model, AcousticNetwork)
    noise, speaker = np.random.default_rng(0), np.arange(2) % len(spec.speakers)
    mask = np.ones((2, 40, 1), np.float32)
    mask[1, 25:] = 0.0
    encode = {
        "phonemes": noise.integers(0, len(spec.phonemes), (2, 40)),
        "word_starts": noise.integers(0, 2, (2, 40)).astype(np.float32),
    }
    decode = {
        "repeated": noise.standard_normal((2, 40, spec.channels), np.float32),
        "positions": noise.random((2, 40, spec.position_channels), np.float32),
    }
    for graph, run, inputs in (("encode", model.encode, encode), ("decode", model.decode, decode)):
        inputs |= {"speaker": speaker, "mask": mask}
        mine = open_session(checkpoint, graph, "onnx-cpu").run(None, inputs)
        exact = [torch.from_numpy(v) for v in inputs.values()]
        made = run(*(v.double() if v.is_floating_point() else v for v in exact))
        for one, other in zip(mine, made if isinstance(made, tuple) else (made,), strict=True):
            compare(graph, one, other.numpy())


def _request(spec: WaveNetSpec, seed: int, length: int) -> StreamRequest:
    noise = np.random.default_rng(seed)
    frames = noise.standard_normal((-(-length // spec.local_hop), spec.local_channels), np.float32)
    speaker = seed % len(spec.speakers) if spec.speakers else None
    return StreamRequest(length, seed, (1.0, 0.7)[seed % 2], speaker, frames if spec.local_channels else None)


def exact_logits(model: WaveNet, request: StreamRequest, symbols: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The network's own logits for every symbol given those before it, ``[T, 256]``; T fills whole frames."""
    frames = None
    if request.frames is not None:
        frames = torch.from_numpy(padded_frames(model.spec, request.frames)).double()[None]
    speaker = None if request.speaker is None else torch.tensor([request.speaker])
    logits: NDArray[np.float64] = model(torch.from_numpy(symbols.astype(np.int64))[None], frames, speaker)[0].numpy()
    return logits


_NETWORKS: Mapping[str, Callable[..., torch.nn.Module]] = {
    WaveNetSpec.kind: WaveNet,
    PixelCNNSpec.kind: build,
    AcousticSpec.kind: AcousticNetwork,
}
_CHECKS: Mapping[str, Callable[[Checkpoint], None]] = {
    WaveNetSpec.kind: _check_wavenet,
    PixelCNNSpec.kind: _check_pixelcnn,
    AcousticSpec.kind: _check_frames,
}
