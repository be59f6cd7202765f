"""Engines of pictures: requests, one picture row by row, and batches as one stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.classifier import EncoderSpec
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.conditioning import applicable_labels, draw_labels, embed_labels, encode
from ancestral_models.engines import base
from ancestral_models.kernels.shared import edit_context
from ancestral_models.spec import COARSE, COARSE_PREFIX, ENCODER_PREFIX, LABEL_ROWS, STYLE, ImageSpec
from ancestral_models.tensors import of_conditions, part

# Requests for pictures: all that a picture depends on besides the weights.

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]
"""Symbols, each below ``levels``."""


Context = tuple[Array, Array]
"""What a network sees of the pixels that an edit keeps: what is added to the condition, and to h of coarse pixels."""


@dataclass(frozen=True)
class Edit:
    """A picture that keeps some of its pixels, as they are; the others are drawn, given all of those."""

    picture: Pixels
    """``[H, W, C]``; what is not kept has no effect."""
    kept: NDArray[np.bool_]
    """``[H, W]``; at least one is, and one is not."""


@dataclass(frozen=True)
class ImageStreamRequest:
    """All that a picture depends on besides the weights."""

    seed: int
    """0 … 2^63 - 1; keys the noise (ancestral_models/categorical.py)."""
    temperature: float = 1.0
    """Divides the logits; 0 takes the most likely symbol."""
    h: Array | None = None
    """``[condition_channels]``: of :meth:`ImageEngine.embed_labels`, of :meth:`ImageEngine.encode`, or an
    interpolation; required exactly where the model has conditions."""
    given: Pixels | None = None
    """``[rows, W, C]``: the first rows, which are kept as they are."""
    guidance: float = 1.0
    """Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598): the logits are those of the unconditional pass
    plus ``guidance`` times the difference between the conditional ones and those. 1 samples the model as it is;
    anything else costs twice the work."""
    unconditional: Array | None = None
    """``[condition_channels]``: h of the unconditional pass; required exactly where guidance is not 1."""
    edit: Edit | None = None
    """The picture of which a region is drawn anew, by a model that draws edits."""


def of_coarse_pixels(request: ImageStreamRequest, context: Context | None) -> ImageStreamRequest:
    """The request for the coarse pixels of a picture."""
    given, edit, h, free = request.given, request.edit, request.h, request.unconditional
    if context is not None:
        h, free = (None if vector is None else vector + context[1] for vector in (h, free))
    return replace(
        request,
        h=h,
        unconditional=free,
        given=None if given is None else given[COARSE, COARSE],
        edit=None if edit is None else Edit(edit.picture[COARSE, COARSE], edit.kept[COARSE, COARSE]),
    )


def check_request(spec: ImageSpec, request: ImageStreamRequest) -> None:
    """Raise :class:`RequestError` for a request that does not fit ``spec``."""
    base.check_draws(request.seed, request.temperature)
    if (request.h is None) == spec.conditioned:
        raise base.RequestError("h: " + ("the model needs it" if spec.conditioned else "the model has no conditions"))
    _check_vector(spec, "h", request.h)
    _check_guidance(spec, request)
    if request.given is not None:
        shape = request.given.shape
        if len(shape) != 3 or shape[0] > spec.height or shape[1:] != (spec.width, spec.channels):
            raise base.RequestError(
                f"given: must be [<= {spec.height}, {spec.width}, {spec.channels}], not {list(shape)}"
            )
        if request.given.dtype != np.uint8 or (len(request.given) and request.given.max() >= spec.levels):
            raise base.RequestError(f"given: must be bytes below {spec.levels}")
    if request.edit is not None:
        _check_edit(spec, request.edit)


def _check_edit(spec: ImageSpec, edit: Edit) -> None:
    if not spec.draws_edits:
        raise base.RequestError("edit: the model draws none")
    shape, size = edit.picture.shape, (spec.height, spec.width)
    if shape != (*size, spec.channels) or edit.picture.dtype != np.uint8 or edit.picture.max() >= spec.levels:
        raise base.RequestError(f"edit: {list(shape)} is no picture of the model")
    if edit.kept.shape != size or edit.kept.dtype != np.bool_ or not edit.kept.any() or edit.kept.all():
        raise base.RequestError("edit: must keep some pixels, and not all")


def _check_guidance(spec: ImageSpec, request: ImageStreamRequest) -> None:
    free = request.unconditional
    if not (np.isfinite(request.guidance) and request.guidance >= 0.0):
        raise base.RequestError("guidance: must be a finite number, at least 0")
    if request.guidance != 1.0 and request.h is None:
        raise base.RequestError("guidance: the model has no conditions")
    if (free is None) != (request.guidance == 1.0):
        raise base.RequestError("unconditional: " + ("guidance needs it" if free is None else "only guidance uses it"))
    _check_vector(spec, "unconditional", free)


def _check_vector(spec: ImageSpec, name: str, vector: Array | None) -> None:
    if vector is not None and (vector.shape != (spec.condition_channels,) or not np.isfinite(vector).all()):
        raise base.RequestError(f"{name}: must be {spec.condition_channels} finite numbers")


# The base of image engines: pictures are opened, sampled row by row, and scored.
#
# A picture depends on the weights, its conditions, its seed and the rows that were given, and on nothing else: not on
# the number of rows per call, nor on the other pictures of the call. The rows sampled so far are all that is needed to
# resume a picture: opened again with them given, it continues with the same symbols, bit for bit.


@dataclass(kw_only=True)
class ImageStream:
    """One picture being sampled. Engines add their state."""

    request: ImageStreamRequest = field(default_factory=lambda: ImageStreamRequest(0))
    rows: int = 0
    """Rows sampled or given so far."""
    symbols: Pixels
    """``[H, W, C]``, of which the first ``rows`` count."""
    condition: Array
    """``[1, n]``, or one row for each pixel: what the network's conditioning weights are multiplied by."""
    unconditional_pass: ImageStream | None = None
    """The same symbols with the condition of the unconditional pass, for a guided picture."""

    @property
    def lanes(self) -> list[ImageStream]:
        """The lanes that it takes, in this order: the picture, and its unconditional pass."""
        return [self] if self.unconditional_pass is None else [self, self.unconditional_pass]


def unconditional_lanes(lanes: Sequence[ImageStream]) -> NDArray[np.bool_]:
    """The lanes that hold the unconditional pass of the picture in the lane before."""
    return np.array([False, *(one.unconditional_pass is other for one, other in pairwise(lanes))])


class ImageEngine(base.Unloadable, ABC):
    """A model ready to sample and to score. Thread-safe as long as each picture is sampled by one thread at a time."""

    name: str
    """``native``, ``onnx-cuda``, …: what really runs; clients see it in ``x-engine``."""
    lanes: int
    """Pictures that share the work of one call; more pictures are taken in groups of this size."""
    noise_index: NDArray[np.int64]
    """``[H, W]``: the index of each pixel's noise, in pixels; -1 for coarse pixels, which are sampled before."""

    def __init__(self, checkpoint: Checkpoint, coarse: ImageEngine | None = None) -> None:
        """Prepare what all engines share.

        Args:
            checkpoint: of an image architecture.
            coarse: samples the coarse pixels of a network in two scales; None where the network itself does.

        Raises:
            CheckpointError: it is of another modality.
        """
        self.spec = checkpoint.spec_as(ImageSpec)
        self.sha256 = checkpoint.sha256
        kept = {name: tensor for name, tensor in checkpoint.tensors.items() if name == LABEL_ROWS}
        self._tensors = of_conditions(checkpoint.tensors) | kept
        self.coarse = coarse
        """Samples the coarse pixels of a network in two scales; None of any other network."""
        self.noise_index = np.arange(self.spec.height * self.spec.width, dtype=np.int64).reshape(self.spec.height, -1)
        if coarse is not None:
            coarse.noise_index = self.noise_index[COARSE, COARSE].copy()
            self.noise_index[COARSE, COARSE] = -1

    def embed_labels(self, labels: Sequence[int | Array | None]) -> Array:
        """h of labels: for each of ``spec.conditions`` an index, None for "unspecified", or a vector
        ``[condition_channels]`` to use as the embedding.

        Raises:
            RequestError: an index is out of range, or a vector has the wrong length.
        """
        for names, label in zip(self.spec.conditions, labels, strict=True):
            if isinstance(label, int) and not 0 <= label < len(names):
                raise base.RequestError(f"labels: must lie in 0 … {len(names) - 1}, not {label}")
            if isinstance(label, np.ndarray) and label.shape != (self.spec.condition_channels,):
                raise base.RequestError(f"labels: a vector has {self.spec.condition_channels} numbers")
        return embed_labels(self.spec, self._tensors, labels)

    def encode(self, picture: Pixels) -> Array:
        """h of a picture ``[H, W, C]``, of a model with an encoder.

        Raises:
            RequestError: the picture does not fit the model.
        """
        encoder = self.spec.encoder
        assert isinstance(encoder, EncoderSpec), "only a model with an encoder has h of a picture"
        if picture.shape != (self.spec.height, self.spec.width, self.spec.channels):
            raise base.RequestError(f"picture: {list(picture.shape)} is not that of the model")
        return encode(encoder, part(self._tensors, ENCODER_PREFIX), picture)

    def unconditional(self, labels: Sequence[int | Array | None]) -> Array:
        """h of the unconditional pass of guided pictures: nothing but the style of ``labels``, if there is one."""
        named = zip(self.spec.named, labels, strict=True)
        return self.embed_labels([label if attribute == STYLE else None for attribute, label in named])

    def draw_labels(self, labels: Sequence[int | None], seed: int) -> list[int | None]:
        """The labels of one picture, those that are unspecified drawn (conditioning.py)."""
        return draw_labels(self.spec, self._label_rows, labels, seed)

    def applicable_labels(self, labels: Sequence[int]) -> list[int | None]:
        """Labels without those that are not applicable beside the others (conditioning.py)."""
        return applicable_labels(self._label_rows, labels)

    @property
    def _label_rows(self) -> Array:
        return self._tensors.get(LABEL_ROWS, np.zeros((0, len(self.spec.conditions) + 1), np.float32))

    def open(self, request: ImageStreamRequest) -> ImageStream:
        """Start a picture, with the rows that are given.

        Raises:
            RequestError: a field is missing, superfluous, out of range or of the wrong shape.
        """
        check_request(self.spec, request)
        return self._opened(request)

    def _opened(self, request: ImageStreamRequest) -> ImageStream:
        coarse, context = None, None if request.edit is None else self._context(request.edit)
        if self.coarse is not None:
            of_coarse = self.coarse._opened(of_coarse_pixels(request, context))
            self.coarse.step([of_coarse], self.coarse.spec.height)
            coarse = of_coarse.symbols
        picture = self._prepared(request, coarse, context)
        if request.given is not None and len(request.given):
            picture.symbols[: len(request.given)] = request.given
            self._run(picture.lanes, len(request.given), score=False)
        return picture

    def _prepared(self, request: ImageStreamRequest, coarse: Pixels | None, context: Context | None) -> ImageStream:
        """A picture without rows, with its unconditional pass if it is guided."""
        picture = self._conditioned(request, coarse, context)
        if request.unconditional is not None:
            free = replace(request, h=request.unconditional, guidance=1.0, unconditional=None)
            picture.unconditional_pass = self._conditioned(free, coarse, context)
            picture.unconditional_pass.symbols = picture.symbols
        return picture

    def _conditioned(self, request: ImageStreamRequest, coarse: Pixels | None, context: Context | None) -> ImageStream:
        """A picture without rows, with the pixels that it keeps, and its coarse pixels ``[rows, columns, C]``, if they
        are sampled before."""
        picture = self._blank()
        picture.request = request
        if request.edit is not None:
            picture.symbols[request.edit.kept] = request.edit.picture[request.edit.kept]
        if coarse is not None:
            picture.symbols[COARSE, COARSE] = coarse
        if request.h is not None or coarse is not None:
            h = np.zeros(0, np.float32) if request.h is None else request.h.astype(np.float32)
            picture.condition = self._condition(h, coarse)
        if context is not None:
            picture.condition = picture.condition + context[0]
        return picture

    def noise_index_of(self, request: ImageStreamRequest) -> NDArray[np.int64]:
        """``[H, W]``: :attr:`noise_index`, and -1 for pixels of given rows and those that an edit keeps, too."""
        found = self.noise_index if request.edit is None else np.where(request.edit.kept, -1, self.noise_index)
        if request.given is not None:
            found = np.where(np.arange(len(found))[:, None] < len(request.given), -1, found)
        return found

    def step(self, pictures: Sequence[ImageStream], rows: int) -> list[Pixels]:
        """Sample up to ``rows`` more rows of every picture, together.

        Returns:
            One ``uint8 [<= rows, W, C]`` for each picture, in order.
        """
        starts = [picture.rows for picture in pictures]
        ends = [min(start + rows, self.spec.height) for start in starts]
        self.sample_until(pictures, ends)
        return [p.symbols[start:end] for p, start, end in zip(pictures, starts, ends, strict=True)]

    def sample_until(self, pictures: Sequence[ImageStream], ends: Sequence[int]) -> None:
        """Sample every picture until it has this many rows; one that has them already is left as it is."""
        assert len({id(picture) for picture in pictures}) == len(pictures), "a picture can take one lane only"
        # Pictures that end together share a group, so that groups change their lanes as rarely as possible.
        order = sorted(range(len(pictures)), key=lambda i: ends[i] - pictures[i].rows)
        for group in self._groups(pictures, order):
            while group := [i for i in group if pictures[i].rows < ends[i]]:
                lanes = [lane for i in group for lane in pictures[i].lanes]
                self._run(lanes, min(ends[i] - pictures[i].rows for i in group), score=False)

    def _groups(self, pictures: Sequence[ImageStream], order: Sequence[int]) -> list[list[int]]:
        """``order`` cut into runs of pictures that fit into the lanes together."""
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

    def score(
        self, images: Pixels, h: Array | None = None, kept: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """ln p of every sub-pixel given those before it.

        Args:
            images: ``[N, H, W, C]``.
            h: ``[N, condition_channels]``, where the model has conditions.
            kept: ``[N, H, W]``: the pixels that are given, of edits; None where the pictures are none.

        Returns:
            ``float64 [N, H, W, C]``, nats; 0 of the pixels that are given.

        Raises:
            RequestError: the images or h do not fit the model.
        """
        if images.shape[1:] != (self.spec.height, self.spec.width, self.spec.channels):
            raise base.RequestError(f"images: {list(images.shape)} are not those of the model")
        requests = []
        for number, image in enumerate(images):
            edit = None if kept is None else Edit(image, kept[number])
            requests.append(ImageStreamRequest(0, h=None if h is None else h[number], given=image, edit=edit))
            check_request(self.spec, requests[-1])
        scores = self._scores(images, requests)
        if kept is not None:
            scores[kept] = 0.0
        return scores

    def _scores(self, images: Pixels, requests: Sequence[ImageStreamRequest]) -> NDArray[np.float64]:
        contexts = [None if request.edit is None else self._context(request.edit) for request in requests]
        pictures = []
        for image, request, context in zip(images, requests, contexts, strict=True):
            coarse = None if self.coarse is None else image[COARSE, COARSE]
            pictures.append(self._conditioned(request, coarse, context))
            pictures[-1].symbols[:] = image
        scores = np.empty(images.shape)
        for first in range(0, len(pictures), self.lanes):
            group = pictures[first : first + self.lanes]
            nats = self._run(group, self.spec.height, score=True)
            scores[first : first + len(group)] = nats.reshape(len(group), *images.shape[1:])
        if self.coarse is not None:
            parts = [of_coarse_pixels(r, context) for r, context in zip(requests, contexts, strict=True)]
            scores[:, COARSE, COARSE] = self.coarse._scores(images[:, COARSE, COARSE], parts)
        return scores

    def probe(self) -> bytes:
        """What this engine computes on this machine of the first rows of a fixed picture. Engines whose bits agree can
        go on with each other's pictures, those whose bits differ cannot."""
        spec = self.spec
        picture = base.probe_symbols(spec.dims, spec.levels).reshape(spec.height, spec.width, spec.channels)
        h = None
        if spec.conditioned:
            h = (np.arange(spec.condition_channels) % 9 - 4).astype(np.float32) / np.float32(4)
        coarse = None if self.coarse is None else picture[COARSE, COARSE]
        stream = self._conditioned(ImageStreamRequest(0, h=h, given=picture), coarse, None)
        stream.symbols[:] = picture
        rows = min(spec.height, -(-base.PROBE_SYMBOLS // (spec.width * spec.channels)))
        bits = base.probe_bits(self._run([stream], rows, score=True))
        return bits if self.coarse is None else bits + self.coarse.probe()

    @abstractmethod
    def _blank(self) -> ImageStream:
        """A picture without rows, with the engine's state."""

    @abstractmethod
    def _condition(self, h: Array, coarse: Pixels | None) -> Array:
        """:attr:`ImageStream.condition` of a picture with these conditions and coarse pixels.

        Args:
            h: ``[condition_channels]``; of no numbers where the model has no conditions, but coarse pixels; of the
                coarse pixels of an edit one for each of them.
            coarse: symbols ``[rows, columns, C]``, of a network in two scales.
        """

    def _context(self, edit: Edit) -> Context | None:
        """What the network sees of the pixels that an edit keeps; None where that is a part of h, or is seen by
        :meth:`_run`."""
        return edit_context(self.spec, self._tensors, edit.picture, edit.kept)

    @abstractmethod
    def _run(self, lanes: Sequence[ImageStream], rows: int, *, score: bool) -> NDArray[np.float64]:
        """Advance pictures by this many rows: given rows and coarse pixels are kept, all others are sampled.

        Args:
            lanes: at most :attr:`lanes`, or the two of one guided picture. Behind each guided picture comes its
                unconditional pass.
            rows: at most what is left of each.
            score: whether to compute likelihoods.

        Returns:
            With ``score``, ln p of every symbol, ``[lanes, rows, W * C]``; else an array of any shape.
        """


def coarse_checkpoint(checkpoint: Checkpoint) -> Checkpoint | None:
    """The network that samples the coarse pixels, of a network in two scales."""
    spec = checkpoint.spec_as(ImageSpec).coarse
    if spec is None:
        return None
    return replace(checkpoint, spec=spec, tensors=part(checkpoint.tensors, COARSE_PREFIX))


# Several pictures as one stream: the first row of each of them, then the second row of each, and so on.
#
# So the pictures of a request share the engine's lanes, grow side by side, and are delivered like sound: as symbols
# with a position. The rows sampled so far are all that is needed to resume them.


@dataclass(frozen=True)
class BatchRequest:
    """Pictures to be sampled side by side; all have the same number of given rows."""

    pictures: tuple[ImageStreamRequest, ...]
    length: int
    """Symbols of all pictures together, including given rows."""


@dataclass
class ImageBatch:
    request: BatchRequest
    pictures: list[ImageStream]
    row: int
    """Rows returned so far. Given rows come with the first call."""
    row_size: int
    """Symbols of one row of all pictures."""

    @property
    def position(self) -> int:
        """Symbols returned so far."""
        return self.row * self.row_size

    @property
    def coarse(self) -> Pixels:
        """The coarse pixels ``[pictures, rows, columns, C]``, which a model in two scales samples first."""
        return np.stack([picture.symbols[COARSE, COARSE] for picture in self.pictures])


class BatchEngine:
    """An ``ImageEngine`` as a scheduler's engine; as thread-safe as that one."""

    def __init__(self, pictures: ImageEngine) -> None:
        self.pictures, self.spec, self._sha256 = pictures, pictures.spec, pictures.sha256
        self.name, self.lanes, self.unload = pictures.name, pictures.lanes, pictures.unload

    def request(self, pictures: Sequence[ImageStreamRequest]) -> BatchRequest:
        """A request for these pictures.

        Raises:
            RequestError: there are none, or some have more given rows than others.
        """
        if not pictures:
            raise base.RequestError("pictures: a batch needs at least one")
        if len({0 if p.given is None else len(p.given) for p in pictures}) > 1:
            raise base.RequestError("given: all pictures of a batch need the same number of rows")
        return BatchRequest(tuple(pictures), len(pictures) * self.spec.dims)

    def open(self, request: BatchRequest) -> ImageBatch:
        """Start a batch at its first row.

        Raises:
            RequestError: a picture does not fit this model.
        """
        return self._opened(request, 0, [self.pictures.open(picture) for picture in request.pictures])

    def weights_of(self, batch: ImageBatch) -> object:
        return self

    def step(self, batches: Sequence[ImageBatch], samples: int) -> list[base.Symbols]:
        """Sample ``samples`` more symbols of every batch, together: rounded up to whole rows, and at most what is left.

        Returns:
            One ``uint8 [T]`` for each batch, in order: rows of ``[pictures, W, C]``.
        """
        ends = [min(batch.row - (-samples // batch.row_size), self.spec.height) for batch in batches]
        # Given rows are available at once.
        ends = [max(end, batch.pictures[0].rows) for batch, end in zip(batches, ends, strict=True)]
        pictures = [(picture, end) for batch, end in zip(batches, ends, strict=True) for picture in batch.pictures]
        self.pictures.sample_until([picture for picture, _ in pictures], [end for _, end in pictures])
        made = []
        for batch, end in zip(batches, ends, strict=True):
            rows = np.stack([picture.symbols[batch.row : end] for picture in batch.pictures], axis=1)
            made.append(rows.reshape(-1))
            batch.row = end
        return made

    @property
    def loaded(self) -> bool:
        return self.pictures.loaded

    def snapshot(self, batch: ImageBatch) -> bytes:
        """The rows returned so far; the rest of the pictures is zero."""
        symbols = np.stack([picture.symbols for picture in batch.pictures])
        symbols[:, batch.row :] = 0
        return base.pack(self.name, self._sha256, batch.position, symbols)

    def restore(self, request: BatchRequest, snapshot: bytes) -> ImageBatch:
        """The batch that :meth:`snapshot` was taken of.

        Raises:
            RequestError: the bytes are no snapshot of such a batch.
        """
        position, flat = base.unpack(self.name, self._sha256, request.length, request.length, snapshot)
        spec, count = self.spec, len(request.pictures)
        symbols: Pixels = flat.reshape(count, spec.height, spec.width, spec.channels)
        row = position // (request.length // spec.height)
        if row == 0:
            return self.open(request)
        resumed = [replace(p, given=rows[:row]) for p, rows in zip(request.pictures, symbols, strict=True)]
        return self._opened(request, row, [self.pictures.open(picture) for picture in resumed])

    def _opened(self, request: BatchRequest, row: int, pictures: list[ImageStream]) -> ImageBatch:
        return ImageBatch(request, pictures, row, request.length // self.spec.height)
