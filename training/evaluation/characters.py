"""Whether sampled characters show what they were asked to: each is compared with what the corpus would show.

A picture of a character follows from its labels, so no classifier is needed: a value is recognised if no other value of
its attribute, all else being as asked, has a rendering with more pixels in common with the sampled picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ancestral.models.engines.images.engine import ImageEngine
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.training.corpora.characters import (
    ATTRIBUTES,
    Parts,
    coloured,
    compose,
    drawn,
    palette_of,
    tables_of,
    value_in,
)

_POSE = "pose"
_MOVING = ("direction", _POSE)


class CharacterJudge:
    """Compares pictures with renderings of the sprites that the corpus is made of.

    Args:
        parts: the sprites.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tables = tables_of(parts, palette_of(parts))

    def render(self, named: Mapping[str, str]) -> NDArray[np.uint8]:
        """What the corpus shows for a value of each attribute, ``[32, 32]``."""
        return coloured(compose(named, self._parts), named, self._tables)

    def recognised(self, picture: NDArray[np.uint8], named: Mapping[str, str]) -> dict[str, bool]:
        """For each attribute that applies, whether its value is recognised; of a pose also direction and frame.

        Args:
            picture: symbols ``[32, 32]``.
            named: what it was asked to show.
        """
        found = {}
        for attribute, values in ATTRIBUTES.items():
            if attribute in _MOVING or not named[attribute]:
                continue
            found[attribute] = self._nearest(picture, named, attribute, values) == named[attribute]
        pose = self._nearest(picture, named, _POSE, ATTRIBUTES[_POSE]).split()
        asked = named[_POSE].split()
        return found | {"direction": pose[1] == asked[1], "frame": (pose[0], pose[2:]) == (asked[0], asked[2:])}

    def _nearest(
        self, picture: NDArray[np.uint8], named: Mapping[str, str], attribute: str, values: Sequence[str]
    ) -> str:
        """The value whose rendering differs in the fewest pixels; of equal ones the value that was asked for."""
        apart = {value: int((self.render(value_in(named, attribute, value)) != picture).sum()) for value in values}
        return min(values, key=lambda value: (apart[value], value != named[attribute]))


def judge_sheets(
    engine: ImageEngine, judge: CharacterJudge, characters: int, temperature: float, seed: int = 0
) -> dict[str, float]:
    """Draw characters in all poses, and count what is recognised.

    Args:
        engine: of a network that was trained on the corpus.
        judge: of its sprites.
        characters: how many, of any looks.
        temperature: of the samples.
        seed: decides about the characters; each has one seed for all its pictures.

    Returns:
        For each attribute the share of pictures in which it is recognised; ``all``: those in which all are; ``pixels``:
        the share of pixels that are those of the corpus, where either has any.
    """
    rng, found, equal = np.random.default_rng(seed), list[dict[str, bool]](), list[float]()
    for number in range(characters):
        look = drawn(rng)
        frames = [value_in(look, _POSE, pose) for pose in ATTRIBUTES[_POSE]]
        requests = [
            ImageStreamRequest(seed + number, temperature, engine.embed_labels(_labels(engine, frame)))
            for frame in frames
        ]
        for picture, frame in zip(engine.draw(requests)[..., 0], frames, strict=True):
            found.append(judge.recognised(picture, frame))
            real = judge.render(frame)
            equal.append(float((picture == real)[(picture > 0) | (real > 0)].mean()))
    names = dict.fromkeys(name for row in found for name in row)
    shares = {name: float(np.mean([row[name] for row in found if name in row])) for name in names}
    return shares | {"all": float(np.mean([all(row.values()) for row in found])), "pixels": float(np.mean(equal))}


def _labels(engine: ImageEngine, named: Mapping[str, str]) -> list[int | None]:
    return [values.index(named[name]) if named[name] else None for name, values in engine.spec.attributes]
