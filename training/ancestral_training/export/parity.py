"""Whether exported graphs compute what the torch networks do: logits within a tolerance, and the same drawn symbols.

Networks are run in double precision. Single precision changes a logit by about 1e-6, and with it a symbol whose noise
is that close to a boundary between two symbols; only there may a drawn symbol differ.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ancestral_models import categorical
from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.categorical import uniforms
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.conditioning import padded_frames
from ancestral_models.engines.images.engine import ImageStreamRequest
from ancestral_models.engines.images.onnx import OnnxImageEngine
from ancestral_models.engines.onnx import Blocks
from ancestral_models.engines.speech.engine import StreamRequest
from ancestral_models.engines.speech.onnx import LANES, OnnxEngine
from ancestral_models.entries import Sampling
from ancestral_models.networks import load_network
from ancestral_models.networks.image import ImageNetwork
from ancestral_models.networks.wavenet import WaveNet

TOLERANCE, RELATIVE = 1e-4, 2e-5
"""Absolute tolerance of logits and all other real numbers, and the relative one above 10: the logits of a confident
network reach hundreds, of which single precision has four decimal places. A shipped WaveNet needs 1.2e-5."""
TIE = 2e-6
"""The distance from a boundary within which the noise of a symbol may give two engines different symbols, for logits of
up to 10; in proportion above, as their rounding is (a shipped WaveNet: 3.1e-6 with a logit of 79)."""
_STEPS = 480


class ParityError(ValueError):
    """Graphs that do not compute what their network does."""


def compare(
    name: str,
    mine: NDArray[np.floating],
    exact: NDArray[np.floating],
    computed_from: NDArray[np.floating] | None = None,
) -> None:
    """Raise :class:`ParityError` unless numbers agree.

    Args:
        name: of what is compared, for the message.
        mine: in single precision.
        exact: the same in double precision.
        computed_from: ``[…, K]``, the numbers whose difference each of them is, where these may be larger: a likelihood
            is rounded as the largest logits are.
    """
    largest = np.abs(exact) if computed_from is None else np.abs(computed_from).max(axis=-1)
    apart = np.abs(mine - exact)
    if not (apart <= np.maximum(TOLERANCE, RELATIVE * largest)).all():  # so that NaN is caught
        raise ParityError(f"{name}: differ from the network's by {apart.max():.2g}, more than rounding explains")


def compare_draws(
    mine: NDArray[np.integer],
    logits: NDArray[np.float64],
    noise: NDArray[np.float64],
    temperature: float | NDArray[np.float64],
    min_p: float = 0.0,
    *others: NDArray[np.float64],
) -> int:
    """Raise :class:`ParityError` unless symbols are those that exact logits ``[N, levels]`` and noise ``[N]`` give.

    Rounding may give ``others`` instead of these logits.

    Returns:
        How many differ, all of them ties: the noise lies on a boundary, or a symbol's probability at ``min_p``.
    """
    different, tied = np.ones(len(mine), bool), np.zeros(len(mine), bool)
    near = TIE * np.maximum(1.0, np.abs(logits).max(axis=1) / 10.0)
    # Rounding may put a symbol on the other side of min_p, which moves every boundary.
    cuts = [min_p * (1.0 + sign * TOLERANCE) for sign in (-1, 1) if min_p]
    for given, cut in [(logits, min_p), *((logits, cut) for cut in cuts), *((other, min_p) for other in others)]:
        cumulative = categorical.cumulative(given, temperature, cut)
        cumulative /= cumulative[:, -1:]
        drawn = (cumulative[:, :-1] <= noise[:, None]).sum(axis=1)
        if given is logits and cut == min_p:
            different = drawn != mine
        tied |= (drawn == mine) | (np.abs(cumulative - noise[:, None]).min(axis=1) <= near)
    if (different & ~tied).any():
        raise ParityError(f"symbols: {different.sum()} of {len(mine)} are not those that the network's logits give")
    return int(different.sum())


def check_wavenet(checkpoint: Checkpoint) -> None:
    """Sample with every graph, and compare with the network's logits of the same symbols.

    Raises:
        ParityError: they differ by more than rounding explains.
    """
    spec = checkpoint.spec_as(WaveNetSpec)
    engine, model = OnnxEngine(checkpoint), load_network(checkpoint, torch.float64)
    assert isinstance(model, WaveNet)
    length = _STEPS if not spec.local_channels else -(-_STEPS // spec.local_hop) * spec.local_hop
    wanted = [_request(spec, seed, length) for seed in range(LANES[engine.name])]
    streams = [engine.open(request) for request in wanted]
    made = engine.step(streams, length)
    for request, symbols in zip(wanted, made, strict=True):
        exact = exact_logits(model, request, symbols)
        hop = spec.local_hop if spec.local_channels else length
        temperatures = np.repeat(request.temperatures, hop)[:length]
        compare_draws(symbols, exact, uniforms(request.seed, 0, length), temperatures, request.sampling.min_p)
        nats = exact - np.logaddexp.reduce(exact, axis=1, keepdims=True)
        scores = engine.score(symbols, request.frames, request.speaker)
        compare("likelihoods", scores, nats[np.arange(length), symbols], exact)
    blocks = OnnxEngine(checkpoint, runner=Blocks)
    streams = [blocks.open(request) for request in wanted]
    # Not a multiple of the unrolled steps, so some are single ones.
    pieces = [blocks.step(streams, 61) for _ in range(-(-length // 61))]
    if not np.array_equal(made, np.concatenate(pieces, axis=1)):
        raise ParityError("steps.onnx, step.onnx: draw other symbols than chunk.onnx")


def check_pixelcnn(checkpoint: Checkpoint) -> None:
    """Sample pictures, and compare with the network's logits of their sub-pixels.

    Raises:
        ParityError: they differ by more than rounding explains.
    """
    spec = checkpoint.spec_as(PixelCNNSpec)
    engine, model = OnnxImageEngine(checkpoint), load_network(checkpoint, torch.float64)
    assert isinstance(model, ImageNetwork)
    wanted = _pictures(engine)
    images = engine.draw(wanted)
    hs = np.stack([request.h for request in wanted if request.h is not None]) if spec.conditioned else None
    logits = _picture_logits(model, images, hs)
    free = logits
    if spec.conditioned:
        unconditional = [r.h if r.unconditional is None else r.unconditional for r in wanted]
        free = _picture_logits(model, images, np.stack([h for h in unconditional if h is not None]))
    scores = engine.score(images, hs).reshape(engine.lanes, -1)
    for n, (request, image) in enumerate(zip(wanted, images.reshape(engine.lanes, -1), strict=True)):
        cuts = [categorical.GUIDED_MIN_P * (1.0 + sign * TOLERANCE) for sign in (0, -1, 1)]
        guided, *others = (categorical.guide(logits[n], free[n], request.guidance, cut) for cut in cuts)
        compare_draws(image, guided, uniforms(request.seed, 0, spec.dims), request.temperature, 0.0, *others)
        nats = logits[n] - np.logaddexp.reduce(logits[n], axis=1, keepdims=True)
        compare("likelihoods", scores[n], nats[np.arange(spec.dims), image], logits[n])


def _pictures(engine: OnnxImageEngine) -> list[ImageStreamRequest]:
    """One request for each lane, at two temperatures; where there are labels, all but the first are guided."""
    spec = engine.spec
    wanted = [ImageStreamRequest(n, (1.0, 0.7)[n % 2]) for n in range(engine.lanes)]
    if spec.encoder is not None:
        shape = (engine.lanes, spec.height, spec.width, spec.channels)
        sources = np.random.default_rng(0).integers(0, spec.levels, shape, np.uint8)
        return [replace(r, h=engine.encode(source)) for r, source in zip(wanted, sources, strict=True)]
    if not spec.conditions:
        return wanted
    lists = [(*range(len(names)), None) for names in spec.conditions]
    free = engine.embed_labels([None] * len(lists))
    hs = [engine.embed_labels([labels[n % len(labels)] for labels in lists]) for n in range(engine.lanes)]
    first, *others = [replace(request, h=h) for request, h in zip(wanted, hs, strict=True)]
    return [first, *(replace(r, guidance=0.25 + r.seed / 2, unconditional=free) for r in others)]


def _picture_logits(
    model: ImageNetwork, images: NDArray[np.uint8], h: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """The network's own logits for every sub-pixel of pictures, ``[N, H * W * C, levels]``."""
    given = None if h is None else torch.from_numpy(h).double()
    logits: NDArray[np.float64] = model.score(torch.from_numpy(images.astype(np.int64)), given).numpy()
    return logits.reshape(len(images), -1, logits.shape[-1])


def _request(spec: WaveNetSpec, seed: int, length: int) -> StreamRequest:
    noise = np.random.default_rng(seed)
    frames = noise.standard_normal((-(-length // spec.local_hop), spec.local_channels), np.float32)
    speaker = seed % len(spec.speakers) if spec.speakers else None
    sampling = Sampling(min_p=0.03 * (seed % 2))
    if spec.local_channels:
        sampling = replace(sampling, voiced_temperature=0.8)
    temperature, given = (1.0, 0.7)[seed % 2], frames if spec.local_channels else None
    return StreamRequest(length, seed, temperature, speaker, given, sampling)


def exact_logits(model: WaveNet, request: StreamRequest, symbols: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The network's own logits for every symbol given those before it, ``[T, 256]``; T fills whole frames."""
    frames = None
    if request.frames is not None:
        frames = torch.from_numpy(padded_frames(model.spec, request.frames)).double()[None]
    speaker = None if request.speaker is None else torch.tensor([request.speaker])
    return np.asarray(model(torch.from_numpy(symbols.astype(np.int64))[None], frames, speaker)[0].numpy())
