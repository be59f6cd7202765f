"""How often what pictures show is what their labels say."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ancestral.models.architectures.classifier import ClassifierSpec
from ancestral.models.classification import PictureClassifier
from ancestral.training.data.images import Images, Pictures

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
