"""What pictures show, by the classifier of their model, and which candidate shows best what it was sampled for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ancestral.images.drawing import ClassDrawing
from ancestral.models.architectures.classifier import Shown
from ancestral.models.classification import PictureClassifier


@dataclass(frozen=True)
class Judgement:
    """The pictures of a drawing that are returned."""

    chosen: tuple[int, ...]
    """Indices of these pictures among all that were sampled."""
    shown: tuple[dict[str, Shown], ...]

    def of(self, drawing: ClassDrawing) -> ClassDrawing:
        """The drawing of the pictures that are returned alone."""
        return replace(
            drawing,
            best_of=1,
            seeds=tuple(drawing.seeds[index] for index in self.chosen),
            labels=tuple(drawing.labels[index] for index in self.chosen),
            revised_prompts=tuple(drawing.revised_prompts[index] for index in self.chosen),
        )


def judge(classifier: PictureClassifier, drawing: ClassDrawing, symbols: NDArray[np.uint8]) -> Judgement:
    """Choose among candidates, and say what those that are chosen show.

    Of the ``drawing.best_of`` candidates of a picture the one is chosen whose labels, those that its seed has drawn
    included, are the most probable together by the classifier; of equal ones, and where nothing was named, the first.

    Args:
        classifier: of the model.
        drawing: that was sampled.
        symbols: of all its pictures ``[N, H, W, C]``.
    """
    logs = classifier.log_probabilities(symbols)
    scores = [
        sum(float(part[row, label]) for part, label in zip(logs, labels, strict=True) if isinstance(label, int))
        for row, labels in enumerate(drawing.labels)
    ]
    groups = np.array(scores).reshape(-1, drawing.best_of)
    chosen = tuple(int(index) for index in groups.argmax(axis=1) + np.arange(len(groups)) * drawing.best_of)
    names = [name for name, _ in classifier.spec.attributes]
    shown = [dict(zip(names, values, strict=True)) for values in classifier.shown_by(logs)]
    return Judgement(chosen, tuple(shown[index] for index in chosen))
