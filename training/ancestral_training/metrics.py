"""Figures of models that are read while they train, and of those that are finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ancestral_models.architectures.classifier import ClassifierSpec
from ancestral_models.audio.features import fft_size, mel_bank, sharpened
from ancestral_models.audio.mu_law import mu_law_encode
from ancestral_models.audio.shaping import ORDER, analyse, predictor, section
from ancestral_models.classification import PictureClassifier
from ancestral_models.engines.images.engine import ImageEngine, ImageStreamRequest
from ancestral_models.spec import FeatureSpec
from ancestral_training.data.images import Images, Pictures, first_two, write_sheet
from ancestral_training.data.speech import PCM, Dataset, PreparedClip

# Blurred frames for training: WaveNet sees frames like those of service.
#
# An acoustic model predicts spectra that are smoother than natural ones: the harmonics' ripple and the formants' edges
# are averaged away, and so is their change from frame to frame. So part of the training pairs real sound with frames
# whose log-mels are smoothed across the bands and, more often than not, in time.

Crop = tuple[NDArray[np.int64], NDArray[np.float32] | None]
"""Symbols ``[T]``, and the frames with the conditioner's margin on both sides."""

WIDTHS = (3, 5, 7, 9, 11, 13)
"""Numbers of bands that are averaged."""
_FRAMES, _IN_TIME = (3, 5), 0.7
"""Numbers of frames that are averaged, and the share of the blurred crops in which they are."""


def smooth(mels: NDArray[Any], width: int) -> NDArray[Any]:
    """A moving average of ``width`` bands, the outer ones repeated; ``[F, B]`` to ``[F, B]``."""
    padded = np.pad(mels, ((0, 0), (width // 2, width // 2)), mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, width, axis=1).mean(axis=2))


def _smooth_in_time(mels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Each frame mixed with the mean of its neighbours, in a random share from a half to all of it."""
    share, averaged = rng.uniform(0.5, 1.0), smooth(mels.T, int(rng.choice(_FRAMES))).T
    return (mels + share * (averaged - mels)).astype(np.float32)


def blurred(
    crop: Crop, dataset: Dataset, clip: PreparedClip, start: int, margin: int, rng: np.random.Generator
) -> Crop:
    """A crop with its mels smoothed across a random number of bands, and perhaps in time.

    If symbols are an excitation, they are computed anew with the filter of the blurred frames, since in service they
    pass through such a filter.

    Args:
        crop: from frame ``start`` of ``clip``.
        margin: frames that the crop's have on either side of it.
    """
    symbols, frames = crop
    assert frames is not None
    bands = dataset.spec.mel_bands
    mels = smooth(frames[:, :bands], int(rng.choice(WIDTHS)))
    if rng.random() < _IN_TIME:
        mels = _smooth_in_time(mels, rng)
    frames = np.concatenate([mels, frames[:, bands:]], axis=1)
    if dataset.coding.shaping == "linear_prediction":
        count, first = len(symbols), start * dataset.spec.hop
        wave = np.concatenate([np.zeros(ORDER, np.int16), dataset.wave(clip)])[first : first + ORDER + count] / PCM
        filters = section(predictor(frames, dataset.spec), margin, count // dataset.spec.hop)
        symbols = mu_law_encode(analyse(wave[ORDER:], filters, wave[:ORDER])).astype(np.int64)
    return symbols, frames


# What training and evaluation both measure.

_BATCH = 200


def classification_loss(spec: ClassifierSpec, logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropies of all attributes, per picture; labels that are unspecified do not count.

    Args:
        spec: of the classifier.
        logits: ``[B, outputs]``.
        labels: ``[B, attributes]``; ``len(values)`` is "unspecified".
    """
    sizes = [len(values) for _, values in spec.attributes]
    losses = [
        F.cross_entropy(part, column, ignore_index=size, reduction="sum")
        for part, column, size in zip(torch.split(logits, sizes, dim=1), labels.T, sizes, strict=True)
    ]
    return torch.stack(losses).sum() / len(labels)


def classifier_of(spec: ClassifierSpec, network: nn.Module) -> PictureClassifier:
    """A network that has been trained, ready to use."""
    tensors = {name: tensor.detach().float().cpu().numpy() for name, tensor in network.state_dict().items()}
    return PictureClassifier(spec, tensors)


def features(classifier: PictureClassifier, images: Images) -> NDArray[np.float32]:
    """The last hidden layer for pictures ``[N, H, W, C]``: ``[N, code]``."""
    parts = [classifier.features(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
    return np.concatenate(parts)


def classify(classifier: PictureClassifier, images: Images) -> NDArray[np.int64]:
    """The most likely value of each attribute of pictures ``[N, H, W, C]``: ``[N, attributes]``."""
    logs = classifier.log_probabilities_of(features(classifier, images))
    return np.stack([part.argmax(axis=1) for part in logs], axis=1)


def accuracy(classifier: PictureClassifier, pictures: Pictures) -> dict[str, float]:
    """The share of pictures whose label is recognised, for each attribute; unspecified labels do not count.

    Returns:
        NaN for an attribute that no picture has.
    """
    right = classify(classifier, pictures.images) == pictures.labels
    shares = {}
    for column, (name, values) in enumerate(classifier.spec.attributes):
        known = right[pictures.labels[:, column] < len(values), column]
        shares[name] = float(known.mean()) if len(known) else float("nan")
    return shares


def adherence(classifier: PictureClassifier, pictures: Pictures) -> dict[str, float]:
    """:func:`accuracy`, and as ``all`` the share of pictures all of whose specified labels are recognised."""
    unspecified = pictures.labels == [len(values) for _, values in classifier.spec.attributes]
    right = unspecified | (classify(classifier, pictures.images) == pictures.labels)
    return accuracy(classifier, pictures) | {"all": float(right.all(axis=1).mean())}


_LOW_HZ, _HIGH_HZ = 150.0, 1500.0
_NEIGHBOURS = 5
"""Bands whose mean is taken for the spectral envelope."""


def ripple_depth(mels: NDArray[np.floating], voicing: NDArray[np.floating], spec: FeatureSpec) -> float:
    """The root mean square of the harmonics' ripple between 150 and 1500 Hz over voiced frames.

    The ripple is what is left of the log-mels ``[F, bands]`` when their mean over five bands is taken away. Mels that
    are averaged over other F0 than their own have none.
    """
    bank = mel_bank(spec, fft_size(spec))
    centres = bank.argmax(axis=0) * spec.sample_rate / fft_size(spec)
    voiced = np.asarray(mels, np.float64)[np.asarray(voicing) > 0.5]
    if not len(voiced):
        return 0.0
    ripple = (voiced - smooth(voiced, _NEIGHBOURS))[:, (centres >= _LOW_HZ) & (centres <= _HIGH_HZ)]
    return float(np.sqrt((ripple**2).mean()))


def variance_ratio(predicted: NDArray[np.floating], natural: NDArray[np.floating]) -> float:
    """The mean over bands of the variance over time of predicted log-mels ``[F, bands]``, relative to natural ones'."""
    return float(np.mean(np.var(predicted, axis=0) / np.maximum(np.var(natural, axis=0), 1e-6)))


def contrast_strength(predicted: NDArray[np.float32], natural: NDArray[np.float32]) -> float:
    """The strength, 0 … 2, at which :func:`~ancestral_models.audio.features.sharpened` gives predicted log-mels
    ``[F, bands]`` the contrast of natural ones."""
    strengths = np.linspace(0.0, 2.0, 41)
    reached = [_contrast(sharpened(predicted, strength)) for strength in strengths]
    return float(np.interp(_contrast(natural), reached, strengths))


def _contrast(mels: NDArray[np.float32]) -> float:
    """The root mean square of the upper bands' difference from the mean of five neighbours."""
    return float(np.sqrt(((sharpened(mels, 1.0) - mels) ** 2).mean()))


def reconstruct(engine: ImageEngine, pictures: Images, samples: int, temperature: float = 1.0) -> NDArray[np.uint8]:
    """Sample what the vectors of pictures ``[N, H, W, C]`` stand for, ``[samples, N, H, W, C]``."""
    hs = [engine.encode(picture) for picture in pictures]
    requests = [
        ImageStreamRequest(sample * len(hs) + number, temperature, h)
        for sample in range(samples)
        for number, h in enumerate(hs)
    ]
    return engine.draw(requests).reshape(samples, *pictures.shape)


def write_rows(rows: Sequence[Images], file: Path) -> None:
    """Write a sheet with a row for each of ``rows``, pixels ``[N, H, W, C]``, at twice their size."""
    write_sheet(np.concatenate(rows).repeat(2, axis=1).repeat(2, axis=2), len(rows[0]), file)


Vectors = Callable[[Images], NDArray[np.float32]]
"""What compares pictures: ``[N, H, W, C]`` to ``[N, F]``."""

_EMBEDDED = 256
_EQUAL = 1e-9
"""Squared distances that differ by less are equal."""


class Retrieval(NamedTuple):
    """How often the identity that was asked for is found."""

    rank_1: float
    """The share of the queries whose identity is the nearest in the gallery."""
    rank_5: float
    """The share of those whose identity is among the nearest five."""
    chance_1: float
    chance_5: float
    identities: int
    """Number of identities in the gallery."""


def retrieve(vectors: Vectors, pictures: Pictures) -> Retrieval:
    """How well the first picture of everybody finds the second one, in a gallery of one picture of each.

    Args:
        vectors: what compares them.
        pictures: with identities; those that are alone in their identity are left out.
    """
    numbers = pictures.known_identities
    asked, found = first_two(numbers)
    return retrieval(vectors(pictures.images[asked]), numbers[asked], vectors(pictures.images[found]), numbers[found])


def retrieval(
    queries: NDArray[np.float32], asked: NDArray[np.int64], gallery: NDArray[np.float32], owners: NDArray[np.int64]
) -> Retrieval:
    """Rank the identities of a gallery for each query, by the distance of their nearest picture.

    Identities that are equally near count as nearer than the one asked for, so vectors that are all alike find nobody.

    Args:
        queries: vectors ``[Q, F]``.
        asked: their identities ``[Q]``, all of them in the gallery.
        gallery: vectors ``[G, F]`` of other pictures.
        owners: their identities ``[G]``.
    """
    known, column = np.unique(owners, return_inverse=True)
    assert np.isin(asked, known).all()
    nearest = np.full((len(known), len(queries)), np.inf)
    np.minimum.at(nearest, column, squared_distances(gallery, queries))
    own = nearest[np.searchsorted(known, asked), np.arange(len(queries))]
    rank = (nearest <= own + _EQUAL).sum(axis=0)
    count = len(known)
    return Retrieval(float((rank <= 1).mean()), float((rank <= 5).mean()), 1 / count, min(5 / count, 1.0), count)


def squared_distances(a: NDArray[np.number], b: NDArray[np.number]) -> NDArray[np.float64]:
    """``[N, M]`` of vectors ``[N, F]`` and ``[M, F]``."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    found: NDArray[np.float64] = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * a @ b.T
    return found.clip(0.0)


@torch.no_grad()
def embed(encoder: nn.Module, symbols: Images) -> NDArray[np.float32]:
    """The vectors ``[N, code]`` of pictures ``[N, H, W, C]``."""
    parts = [
        encoder(torch.from_numpy(symbols[start : start + _EMBEDDED].astype(np.int64)))
        for start in range(0, len(symbols), _EMBEDDED)
    ]
    return torch.cat(parts).float().numpy()
