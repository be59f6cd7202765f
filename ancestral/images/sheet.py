"""Sprite sheets: the pictures of a job in one file, and the moving picture of a sheet that a model lays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import ImageModel
from ancestral.errors import InvalidRequest, check_range
from ancestral.images.drawing import MAX_PICTURES, ClassDrawing, Drawing
from ancestral.images.files import picture_file, recipe_texts
from ancestral.images.pixels import BatchDecoder, encode, encode_indexed, encode_moving
from ancestral.images.sizes import MAX_SIDE
from ancestral.models.sheets import SheetLayout
from ancestral.models.spec import ImageSpec

MAX_PADDING: Final = 64
"""Pixels."""
MAX_SHEET_SIDE: Final = 16384
"""Pixels of a side that a sheet may have, which is what graphics processors take for a texture."""


@dataclass(frozen=True)
class Grid:
    """The places of the pictures of a sheet, in pixels of its file."""

    count: int
    columns: int
    """Pictures in a row."""
    width: int
    height: int
    padding: int
    """Around every picture, so there are twice as many between two. They repeat its outermost pixels: what an engine
    reads beside a picture, when it draws it larger or between pixels, is never the picture's neighbour."""

    @property
    def size(self) -> tuple[int, int]:
        rows = -(-self.count // self.columns)
        return self.columns * (self.width + 2 * self.padding), rows * (self.height + 2 * self.padding)

    def place(self, index: int) -> tuple[int, int]:
        """Left and top of a picture, without its padding."""
        row, column = divmod(index, self.columns)
        left, top = column * (self.width + 2 * self.padding), row * (self.height + 2 * self.padding)
        return left + self.padding, top + self.padding


def grid_of(count: int, spec: ImageSpec, columns: int, scale: int, padding: int) -> Grid:
    """The grid of so many pictures, ``columns`` in a row, each pixel a square of ``scale``.

    Raises:
        InvalidRequest: a number is out of its range, or the sheet would be too large.
    """
    check_range("columns", columns, 1, MAX_PICTURES)
    check_range("scale", scale, 1, MAX_SIDE // max(spec.height, spec.width))
    check_range("padding", padding, 0, MAX_PADDING)
    grid = Grid(count, columns, spec.width * scale, spec.height * scale, padding)
    if max(grid.size) > MAX_SHEET_SIDE:
        width, height = grid.size
        message = f"sheet: {width} x {height} pixels; engines take {MAX_SHEET_SIDE} each way"
        raise InvalidRequest(message, param="sheet", code="invalid_size")
    return grid


def layout_of(drawing: Drawing, model: ImageModel) -> SheetLayout | None:
    name = drawing.sheet if isinstance(drawing, ClassDrawing) else None
    return None if name is None else model.entry.sheets[name]


def sheet_file(drawing: ClassDrawing, model: ImageModel, batch: BatchDecoder, grid: Grid) -> bytes:
    """The pictures of a finished job, in the format and the scale of the job; with its recipe if that makes them all
    again."""
    texts = {} if drawing.sheet is None else recipe_texts(drawing, model, 0)
    if batch.colours is None or drawing.output_format != "png":
        return encode(_joined(batch.pixels, drawing.scale, grid), drawing.output_format, texts=texts)
    return encode_indexed(_joined(batch.indices(batch.symbols), drawing.scale, grid), batch.colours, texts=texts)


def file_of(drawing: Drawing, model: ImageModel, index: int, batch: BatchDecoder) -> bytes:
    """File ``index`` of a finished job: a picture or, if the job is a sheet that the model lays out, all of them."""
    if not isinstance(drawing, ClassDrawing) or drawing.sheet is None:
        return picture_file(drawing, model, index, batch)
    return sheet_file(drawing, model, batch, laid_out(drawing, model, model.entry.sheets[drawing.sheet]))


def laid_out(drawing: ClassDrawing, model: ImageModel, layout: SheetLayout) -> Grid:
    """The grid of a sheet that the model lays out, in the scale of its file."""
    return grid_of(drawing.count, model.spec, layout.columns, drawing.scale, 0)


def animation_file(drawing: ClassDrawing, layout: SheetLayout, batch: BatchDecoder) -> bytes:
    """The longest animation of a finished sheet, in all rows at once, one beside the other: PNG (APNG) or WebP."""
    longest = max(tag.length for tag in layout.tags)
    tags = [tag for tag in layout.tags if tag.length == longest]
    frames = []
    for number in range(longest):
        pictures = batch.pixels[[tag.first + number for tag in tags]]
        frames.append(np.concatenate([*pictures], axis=1).repeat(drawing.scale, 0).repeat(drawing.scale, 1))
    return encode_moving(frames, drawing.output_format, layout.frames_per_second)


def attributes_of(drawing: ClassDrawing, model: ImageModel, index: int) -> dict[str, str]:
    """The names of the labels of one picture, of those that were asked for or drawn."""
    labels = zip(model.spec.attributes, drawing.labels[index], strict=True)
    return {name: values[label] for (name, values), label in labels if isinstance(label, int)}


def _joined(pictures: NDArray[np.uint8], scale: int, grid: Grid) -> NDArray[np.uint8]:
    """Pictures ``[N, H, W, C]`` in one ``[height, width, C]``; places that remain are 0."""
    (width, height), padding = grid.size, grid.padding
    whole = np.zeros((height, width, pictures.shape[3]), np.uint8)
    for index, picture in enumerate(pictures):
        large = picture.repeat(scale, axis=0).repeat(scale, axis=1)
        padded = np.pad(large, ((padding, padding), (padding, padding), (0, 0)), mode="edge")
        left, top = (start - padding for start in grid.place(index))
        whole[top : top + padded.shape[0], left : left + padded.shape[1]] = padded
    return whole
