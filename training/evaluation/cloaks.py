"""Cloaks of sprites that are of one colour on the left and of another on the right, which no real sprite wears."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ancestral.models.spec import PictureSpec
from ancestral.training.data.images import Images, Pictures

Attributes = tuple[tuple[str, tuple[str, ...]], ...]

_ATTRIBUTE, _NONE = "cloak", "no cloak"
_TELLING = 0.5
"""Nats that a pixel has to tell of the value, on average, to be counted: those that a cloak covers."""
_UNSEEN = 0.1
"""Pictures in which each colour is taken to have been seen, besides those in which it was."""


def coloured(attributes: Attributes) -> NDArray[np.bool_] | None:
    """Which values of the attribute ``cloak`` are cloaks of one colour; None where there is no such attribute."""
    values = dict(attributes).get(_ATTRIBUTE)
    if values is None:
        return None
    return np.array([value.endswith(f" {_ATTRIBUTE}") and value != _NONE for value in values])


class CloakSides:
    """The colour of a cloak left and right of the middle, each told from the pixels of that side alone.

    A side's value is the one under which its pixels are likeliest, each by itself, given how often pictures with the
    value have each colour there. On test pictures that is the value of the label in 99.4 % (left) and 99.95 % (right).

    Args:
        train: real pictures.
        spec: of their symbols.
        attributes: of their labels; a ``cloak`` is among them.
    """

    def __init__(self, train: Pictures, spec: PictureSpec, attributes: Attributes) -> None:
        names = [name for name, _ in attributes]
        kinds = coloured(attributes)
        assert kinds is not None
        self._kinds, self.column = kinds, names.index(_ATTRIBUTE)
        labels, flat = train.labels[:, self.column], train.images.reshape(len(train.images), -1)
        likely = np.stack([_frequencies(flat[labels == label], spec.levels) for label in range(len(kinds))])
        self._logs = np.log(likely)
        told = (likely * (self._logs - np.log(likely.mean(axis=0)))).sum(axis=2).mean(axis=0)
        left = np.arange(spec.dims) // spec.channels % spec.width < spec.width // 2
        self._pixels = [np.flatnonzero((told > _TELLING) & side) for side in (left, ~left)]

    def sides(self, images: Images) -> NDArray[np.int64]:
        """The label of each side of pictures ``[N, H, W, C]``: ``[N, 2]``."""
        flat = images.reshape(len(images), -1)
        found = []
        for pixels in self._pixels:
            total = np.zeros((len(self._kinds), len(flat)))
            for pixel in pixels:
                total += self._logs[:, pixel][:, flat[:, pixel]]
            found.append(total.argmax(axis=0))
        return np.stack(found, axis=1)

    def two_coloured(self, pictures: Pictures) -> float:
        """Of pictures whose label is a cloak of one colour, the share with cloaks of different colours on both sides.

        Returns:
            NaN if there are none.
        """
        labels = pictures.labels[:, self.column]
        worn = np.append(self._kinds, False)[labels]
        if not worn.any():
            return float("nan")
        sides = self.sides(pictures.images[worn])
        return float((self._kinds[sides].all(axis=1) & (sides[:, 0] != sides[:, 1])).mean())


def _frequencies(flat: NDArray[np.uint8], levels: int) -> NDArray[np.float64]:
    """How often pictures ``[N, dims]`` have each symbol at each place: ``[dims, levels]``."""
    counts = np.stack([np.bincount(column, minlength=levels) for column in flat.T]).astype(np.float64)
    return (counts + _UNSEEN) / (len(flat) + _UNSEEN * levels)
