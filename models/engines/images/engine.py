"""What an engine of networks that draw is: pictures are opened, advanced by rows, and scored.

A picture depends on the weights, what is asked for, its seed and the rows that were given, and on nothing else: not on
how many rows each call advances, nor on who shares the call. The rows made so far are all that a picture needs to be
resumed: open it again with them given, and what follows is the same, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.checkpoint import OUTLINE_PREFIX, Checkpoint, CheckpointError
from models.conditioning import asked, spread
from models.engines.base import AlwaysLoaded, RequestError
from models.spec import OUTLINE, PixelCNNSpec

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]
"""Symbols, each below ``levels``."""


@dataclass(frozen=True)
class ImageStreamRequest:
    """All that a picture depends on besides the weights."""

    seed: int
    """0 … 2^63 - 1; keys the noise (models/noise.py)."""
    temperature: float = 1.0
    """Divides the logits; 0 takes the most likely symbol."""
    h: Array | None = None
    """``[condition_channels]``: :meth:`ImageEngine.asked`, or a mean of several; required exactly where the model has
    conditions."""
    given: Pixels | None = None
    """``[rows, W, C]``: the first rows, which are kept as they are."""
    guidance: float = 1.0
    """How many times what tells h apart from ``away`` counts: the logits are away's plus so many times the difference
    between h's and away's (classifier-free guidance: Ho and Salimans 2022, arXiv:2207.12598). 1 is the model as it is;
    anything else costs twice the work."""
    away: Array | None = None
    """``[condition_channels]``: what guidance leads away from; required exactly where it is not 1."""


@dataclass(kw_only=True)
class ImageStream:
    """One picture being drawn."""

    request: ImageStreamRequest
    rows: int
    """Rows that are there."""
    symbols: Pixels
    """``[H, W, C]``, of which the first ``rows`` count."""
    condition: Array
    """``[1 or H * W, n]``: what V is multiplied by."""
    shadow: ImageStream | None = None
    """Of a guided picture: the same symbols, conditioned on what guidance leads away from."""

    @property
    def lanes(self) -> list[ImageStream]:
        """The picture and its shadow: the lanes that it takes, one after the other."""
        return [self] if self.shadow is None else [self, self.shadow]


def shadows_among(lanes: Sequence[ImageStream]) -> NDArray[np.bool_]:
    """Which lanes hold the shadow of the picture in the lane before."""
    return np.array([False, *(one.shadow is other for one, other in pairwise(lanes))])


class ImageEngine(AlwaysLoaded, ABC):
    """A model ready to draw and to score. Thread-safe as long as each picture is advanced by one thread at a time."""

    name: str
    """``native``, ``onnx-cuda``, …: what really runs, told to clients in ``x-engine``."""
    lanes: int
    """Pictures that share the work of a call; of more it takes so many at a time."""
    places: NDArray[np.int64]
    """``[H, W]``: where in the noise each pixel is, in pixels; -1 for those of the outline, which is there before."""

    def __init__(self, checkpoint: Checkpoint, outlines: ImageEngine | None = None) -> None:
        """Args: outlines: draws them, where the network has one that does (:func:`outlining`)."""
        if not isinstance(checkpoint.spec, PixelCNNSpec):
            raise CheckpointError(f"kind: expected 'pixelcnn', found {checkpoint.spec.kind!r}")
        self.spec = checkpoint.spec
        self.sha256 = checkpoint.sha256
        self._tensors = checkpoint.tensors
        self._outlines = outlines
        self.places = np.arange(self.spec.height * self.spec.width).reshape(self.spec.height, self.spec.width)
        if outlines is not None:
            outlines.places = self.places[OUTLINE, OUTLINE].copy()
            self.places[OUTLINE, OUTLINE] = -1

    def asked(self, labels: Sequence[int | Array | None]) -> Array:
        """h of what is asked for: an index for each of ``spec.conditions``, None for nothing in particular, or a vector
        ``[condition_channels]`` in the place of an index's own."""
        for names, label in zip(self.spec.conditions, labels, strict=True):
            if isinstance(label, int) and not 0 <= label < len(names):
                raise RequestError(f"labels: must lie in 0 … {len(names) - 1}, not {label}")
            if isinstance(label, np.ndarray) and label.shape != (self.spec.condition_channels,):
                raise RequestError(f"labels: a vector has {self.spec.condition_channels} numbers")
        return asked(self.spec, self._tensors, labels)

    def away(self, labels: Sequence[int | Array | None]) -> Array:
        """h of what guidance leads away from: any class, in the style that is asked for."""
        told = zip(self.spec.named, labels, strict=True)
        return self.asked([label if condition == "style" else None for condition, label in told])

    def open(self, request: ImageStreamRequest) -> ImageStream:
        """Start a picture, with the rows that are given.

        Raises:
            RequestError: a field is missing, superfluous, out of range or of the wrong shape.
        """
        _check(self.spec, request)
        outline = None
        if self._outlines is not None:
            given = None if request.given is None else request.given[OUTLINE, OUTLINE]
            (outline,) = self._outlines.draw([replace(request, given=given)])
        picture = self._conditioned(request, outline)
        if request.away is not None:
            picture.shadow = self._conditioned(replace(request, h=request.away, guidance=1.0, away=None), outline)
            picture.shadow.symbols = picture.symbols
        if request.given is not None and len(request.given):
            picture.symbols[: len(request.given)] = request.given
            self._loop(picture.lanes, len(request.given), score=False)
        return picture

    def _conditioned(self, request: ImageStreamRequest, outline: Pixels | None) -> ImageStream:
        """A picture without rows, with its outline, ``[rows, columns, C]``, where there is one."""
        picture = self._blank()
        picture.request = request
        if outline is not None:
            picture.symbols[OUTLINE, OUTLINE] = outline
        if request.h is not None:
            picture.condition = spread(self.spec, self._tensors, request.h.astype(np.float32), outline)
        return picture

    def step(self, pictures: Sequence[ImageStream], rows: int) -> list[Pixels]:
        """Make up to ``rows`` more rows of every picture, together.

        Returns:
            One ``uint8 [<= rows, W, C]`` a picture, in order.
        """
        starts = [picture.rows for picture in pictures]
        ends = [min(start + rows, self.spec.height) for start in starts]
        self.reach(pictures, ends)
        return [p.symbols[start:end] for p, start, end in zip(pictures, starts, ends, strict=True)]

    def reach(self, pictures: Sequence[ImageStream], ends: Sequence[int]) -> None:
        """Draw every picture until it has so many rows; one that has them is left as it is."""
        assert len({id(picture) for picture in pictures}) == len(pictures), "a picture can take one lane only"
        # Pictures that end together share a group, so that few groups have to change their lanes on the way.
        order = sorted(range(len(pictures)), key=lambda i: ends[i] - pictures[i].rows)
        for group in self._groups(pictures, order):
            while group := [i for i in group if pictures[i].rows < ends[i]]:
                lanes = [lane for i in group for lane in pictures[i].lanes]
                self._loop(lanes, min(ends[i] - pictures[i].rows for i in group), score=False)

    def _groups(self, pictures: Sequence[ImageStream], order: Sequence[int]) -> list[list[int]]:
        """``order`` cut into runs of pictures that fit the lanes together."""
        groups: list[list[int]] = []
        free = 0
        for i in order:
            taken = len(pictures[i].lanes)
            if taken > free:
                groups.append([])
                free = self.lanes
            groups[-1].append(i)
            free -= taken
        return groups

    def draw(self, requests: Sequence[ImageStreamRequest]) -> Pixels:
        """Whole pictures ``[N, H, W, C]``."""
        pictures = [self.open(request) for request in requests]
        self.step(pictures, self.spec.height)
        return np.stack([picture.symbols for picture in pictures])

    def score(self, images: Pixels, h: Array | None = None) -> NDArray[np.float64]:
        """ln p of every sub-pixel given those before it.

        Args:
            images: ``[N, H, W, C]``.
            h: ``[N, condition_channels]``, where the model has conditions.

        Returns:
            ``float64 [N, H, W, C]``, nats.

        Raises:
            RequestError: the images or h do not fit the model.
        """
        if images.shape[1:] != (self.spec.height, self.spec.width, self.spec.channels):
            raise RequestError(f"images: {list(images.shape)} are not those of the model")
        pictures = []
        for number, image in enumerate(images):
            request = ImageStreamRequest(0, h=None if h is None else h[number], given=image)
            _check(self.spec, request)
            outline = None if self._outlines is None else image[OUTLINE, OUTLINE]
            pictures.append(self._conditioned(request, outline))
            pictures[-1].symbols[:] = image
        parts = [
            self._loop(pictures[first : first + self.lanes], self.spec.height, score=True)
            for first in range(0, len(pictures), self.lanes)
        ]
        scores = np.concatenate(parts).reshape(images.shape)
        if self._outlines is not None:
            scores[:, OUTLINE, OUTLINE] = self._outlines.score(images[:, OUTLINE, OUTLINE], h)
        return scores

    @abstractmethod
    def _blank(self) -> ImageStream:
        """A picture without rows, and what goes with it."""

    @abstractmethod
    def _loop(self, pictures: Sequence[ImageStream], rows: int, *, score: bool) -> NDArray[np.float64]:
        """Move at most :attr:`lanes` pictures on by so many rows: those that are given are kept, and the outline; the
        others are drawn. The shadow of a guided picture comes right behind it.

        Returns:
            ln p of every symbol, ``[pictures, rows, W * C]``, if they are to be scored; else nothing that counts.
        """


def outlining(checkpoint: Checkpoint) -> Checkpoint | None:
    """The network within a network that draws outlines, where there is one."""
    spec = checkpoint.spec
    if not isinstance(spec, PixelCNNSpec) or spec.outline is None:
        return None
    own = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith(OUTLINE_PREFIX)}
    tensors = {name.removeprefix(OUTLINE_PREFIX): tensor for name, tensor in own.items()}
    return replace(checkpoint, spec=spec.outline, tensors=tensors)


def _check(spec: PixelCNNSpec, request: ImageStreamRequest) -> None:
    """Raise :class:`RequestError` for a request that does not fit ``spec``."""
    if not 0 <= request.seed < 2**63:
        raise RequestError("seed: must lie in 0 … 2^63 - 1")
    if not (np.isfinite(request.temperature) and request.temperature >= 0.0):
        raise RequestError("temperature: must be a finite number, at least 0")
    if (request.h is None) == bool(spec.conditions):
        raise RequestError("h: " + ("the model needs it" if spec.conditions else "the model has no conditions"))
    _check_vector(spec, "h", request.h)
    _check_guidance(spec, request)
    if request.given is not None:
        shape = request.given.shape
        if len(shape) != 3 or shape[0] > spec.height or shape[1:] != (spec.width, spec.channels):
            raise RequestError(f"given: must be [<= {spec.height}, {spec.width}, {spec.channels}], not {list(shape)}")
        if request.given.dtype != np.uint8 or (len(request.given) and request.given.max() >= spec.levels):
            raise RequestError(f"given: must be bytes below {spec.levels}")


def _check_guidance(spec: PixelCNNSpec, request: ImageStreamRequest) -> None:
    away = request.away
    if not (np.isfinite(request.guidance) and request.guidance >= 0.0):
        raise RequestError("guidance: must be a finite number, at least 0")
    if request.guidance != 1.0 and request.h is None:
        raise RequestError("guidance: the model has no conditions")
    if (away is None) != (request.guidance == 1.0):
        raise RequestError("away: " + ("guidance needs it" if away is None else "nothing leads away from it"))
    _check_vector(spec, "away", away)


def _check_vector(spec: PixelCNNSpec, name: str, vector: Array | None) -> None:
    if vector is not None and (vector.shape != (spec.condition_channels,) or not np.isfinite(vector).all()):
        raise RequestError(f"{name}: must be {spec.condition_channels} finite numbers")
