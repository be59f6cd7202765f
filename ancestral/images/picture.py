"""Pictures that are being drawn: their pixels, what they show, how likely they are, and their files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ancestral.catalog.palettes import write_palette
from ancestral.catalog.seeds import seed_as_json
from ancestral.errors import InvalidRequest, check_choice, check_range
from ancestral.formats import format_of
from ancestral.images import files
from ancestral.images.drawing import MAX_SIDE, ClassDrawing, Completion, Drawing, Edit, picture_recipe
from ancestral.images.files import MEDIA_TYPES, MOVING_SUFFIXES, SUFFIXES, BatchDecoder, Pixels
from ancestral.images.sampler import ImageSampler, Judgement, batch_of
from ancestral.provenance.c2pa import COMPOSITE, SAMPLED, Claim, Signer, write_file
from ancestral_models.architectures.classifier import Shown
from ancestral_models.engines.images.engine import ImageBatch


class Pictures(Sequence["Picture"]):
    """Pictures that share one pass of the sampler. Nothing is sampled before it is asked for.

    Args:
        sampler: of the model.
        drawing: what is drawn.
        upload: symbols that came with the request, as :meth:`ImageSampler.part` takes them.
    """

    def __init__(self, sampler: ImageSampler, drawing: Drawing, upload: NDArray[np.uint8] | None = None) -> None:
        self.drawing = drawing
        self._sampler = sampler
        self._decode = files.decoder_of(drawing, sampler.model)
        self._part = sampler.part(drawing, upload)
        self._stream: ImageBatch | None = None
        self._judgement: Judgement | None = None

    @property
    def height(self) -> int:
        """Rows of every picture."""
        return self._sampler.model.spec.height

    def rows(self) -> Iterator[int]:
        """Sample row by row, of all pictures together. Yields how many rows are finished."""
        while not self._decode.complete:
            _sample_row([self])
            yield self._decode.rows
        self._stream = None

    def _opened(self) -> ImageBatch:
        if self._stream is None:
            self._decode = files.decoder_of(self.drawing, self._sampler.model)
            self._stream = self._sampler.open(self._part)
        return self._stream

    def finish(self) -> None:
        """Sample what is missing, and keep the best of the candidates."""
        list(self.rows())
        if self._judgement is None:
            symbols = self._decode.symbols
            judgement = self._sampler.judge(self.drawing, symbols)
            if judgement is not None and isinstance(self.drawing, ClassDrawing) and self.drawing.best_of > 1:
                drawing = judgement.of(self.drawing)
                decode = files.decoder_of(drawing, self._sampler.model)
                decode(symbols[list(judgement.chosen)].swapaxes(0, 1))
                self.drawing, self._decode = drawing, decode
            self._judgement = judgement

    def __len__(self) -> int:
        return self.drawing.count // self.drawing.best_of

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> list[Picture]: ...
    def __getitem__(self, index: int | slice) -> Picture | list[Picture]:
        found = range(len(self))[index]
        return Picture(self, found) if isinstance(found, int) else [self[number] for number in found]

    def save_sheet(
        self,
        path: str | Path,
        columns: int | None = None,
        scale: int = 1,
        signer: Signer | None = None,
        *,
        padding: int = 0,
        atlas: str = "json",
    ) -> None:
        """Write one file with all pictures, and an atlas beside it (places, seeds, prompts, attributes).

        Args:
            path: of the file; its suffix is the format, as of :meth:`Picture.save`.
            columns: pictures in a row; None for a sheet that the model lays out, or one row.
            scale: side in pixels of each drawn pixel.
            signer: signs the sheet (docs/provenance.md), but not the atlas.
            padding: pixels around each picture, which repeat its edge (0 to 64).
            atlas: its format: ``json``, which Phaser and PixiJS read, or ``godot``.

        Raises:
            InvalidRequest: the suffix is of no known format, the sheet is too large, or the model has no attributes.
            SigningError: it cannot be signed.
        """
        model, file = self._sampler.model, Path(path)
        grid = self.sheet_grid(columns, scale, padding, form := format_of(file, SUFFIXES))
        check_choice("atlas", atlas, files.ATLASES)
        if not isinstance(self.drawing, ClassDrawing):
            raise InvalidRequest("sheet: only of pictures of classes", param="sheet", code="model_not_capable")
        drawing, decoded = self._for_file(form, scale)
        assert isinstance(drawing, ClassDrawing)
        data = files.sheet_file(drawing, model, decoded, grid)
        seeds = [*dict.fromkeys(map(str, drawing.seeds))]  # c2pa takes short lists of numbers for bytes
        write_file(file, data, MEDIA_TYPES[drawing.output_format], self._claim(self._recipe({"seeds": seeds})), signer)
        file.with_suffix(files.ATLASES[atlas]).write_bytes(files.atlas_file(drawing, model, grid, file.name, atlas))

    def sheet_grid(self, columns: int | None = None, scale: int = 1, padding: int = 0, form: str = "png") -> files.Grid:
        """The places of the pictures in the file of :meth:`save_sheet`, which has these arguments and raises the same;
        nothing is sampled."""
        model = self._sampler.model
        if columns is None:
            layout = files.layout_of(self.drawing, model)
            columns = len(self) if layout is None else layout.columns
        return files.grid_of(len(self), model.spec, columns, scale, padding, form)

    def save_animation(self, path: str | Path, scale: int = 1, signer: Signer | None = None) -> None:
        """Write the longest animation of a sheet that the model lays out: one file that moves, with all rows at once.

        Args:
            path: of the file, which ends in ``.png`` (APNG) or ``.webp``.
            scale: side in pixels of each drawn pixel.
            signer: signs it (docs/provenance.md).

        Raises:
            InvalidRequest: the suffix is of another format, or the pictures are no such sheet.
            SigningError: it cannot be signed.
        """
        file, layout = Path(path), files.layout_of(self.drawing, self._sampler.model)
        form = format_of(file, MOVING_SUFFIXES)
        if layout is None:
            message = "animation: only of a sheet that the model lays out"
            raise InvalidRequest(message, param="sheet", code="missing_parameter")
        rows = len(files.longest_tags(layout))
        files.grid_of(rows, self._sampler.model.spec, rows, scale, 0, form)  # raises what is too large
        drawing, decoded = self._for_file(form, scale)
        assert isinstance(drawing, ClassDrawing)
        data = files.animation_file(drawing, layout, decoded)
        recipe = self._recipe({"seed": seed_as_json(drawing.seeds[0])})
        write_file(file, data, MEDIA_TYPES[drawing.output_format], self._claim(recipe), signer)

    def save_palette(self, path: str | Path) -> None:
        """Write the palette of the files as a GIMP palette: the one that the pictures were put into, or the model's.

        Args:
            path: of the file, which ends in ``.gpl``.

        Raises:
            InvalidRequest: it has another suffix, or there is no palette.
        """
        file, colours = Path(path), self._decode.colours
        format_of(file, {".gpl": "gpl"})
        if colours is None:
            message = f"palette: {self._sampler.model.entry.id} has none"
            raise InvalidRequest(message, param="palette", code="model_not_capable")
        given = self.drawing.palette
        name = given if isinstance(given, str) else self._sampler.model.entry.id if given is None else file.stem
        file.write_bytes(write_palette(name, colours))

    @property
    def begun(self) -> Pixels:
        """``[pictures, H, W, C]``, of all candidates; rows that have not been sampled yet are grey."""
        return self._decode.pixels

    @property
    def pixels(self) -> Pixels:
        """``[pictures, H, W, C]``, all of them."""
        self.finish()
        return self._decode.pixels

    @property
    def symbols(self) -> NDArray[np.uint8]:
        """What the network sampled ``[pictures, H, W, C]``."""
        self.finish()
        return self._decode.symbols

    def file(self, index: int, form: str, scale: int = 1) -> bytes:
        """Picture ``index`` as a file of this format, with what made it in the text of a PNG."""
        drawing, decoded = self._for_file(form, scale)
        return files.picture_file(drawing, self._sampler.model, index, decoded)

    def _recipe(self, seeds: dict[str, Any]) -> dict[str, Any]:
        model = self._sampler.model
        made_by = {"model": model.entry.id, "model_sha256": model.sha256}
        return made_by | seeds | {"temperature": self.drawing.temperature}

    def _claim(self, recipe: dict[str, Any], ingredient: bytes | None = None) -> Claim:
        """What a signature says of a file of these pictures."""
        return Claim(recipe, COMPOSITE if isinstance(self.drawing, Completion | Edit) else SAMPLED, ingredient)

    def _for_file(self, form: str, scale: int) -> tuple[Drawing, BatchDecoder]:
        """The drawing and its pixels for a format; a JPEG has no transparent ones."""
        check_choice("form", form, MEDIA_TYPES)
        check_range("scale", scale, 1, MAX_SIDE // max(self.height, self._sampler.model.spec.width))
        self.finish()
        drawing = replace(self.drawing, scale=scale, output_format=form)
        if form != "jpeg" or drawing.background == "opaque":
            return drawing, self._decode
        drawing = replace(drawing, background="opaque")
        decoded = files.decoder_of(drawing, self._sampler.model)
        decoded(self._decode.symbols.swapaxes(0, 1))
        return drawing, decoded

    def bits(self, index: int) -> NDArray[np.float64]:
        """-log2 p of every sub-pixel of picture ``index`` ``[H, W, C]``, given what it was drawn to show.

        Of an edit the pixels that are kept are given to all others, and have 0.
        """
        symbols = self.symbols[index][None]
        sampled = batch_of(self._part).pictures[index if self._judgement is None else self._judgement.chosen[index]]
        h = None if sampled.h is None else sampled.h[None]
        kept = sampled.edit.kept[None] if sampled.edit is not None and isinstance(self.drawing, Edit) else None
        scores = self._sampler.engine.pictures.score(symbols, h, kept)
        return np.asarray(-scores[0] / math.log(2.0))

    def attributes(self, index: int) -> dict[str, str]:
        """What picture ``index`` was drawn to show, by attribute: what was asked for, and what its seed has drawn."""
        if self.drawing.best_of > 1:
            self.finish()
        if not isinstance(self.drawing, ClassDrawing):
            return {}
        return files.attributes_of(self.drawing, self._sampler.model, index)


def sample_together(many: Sequence[Pictures]) -> None:
    """Sample what several requests to one model ask for, one picture each, in the same calls of the engine."""
    while many and not many[0]._decode.complete:
        _sample_row(many)


def _sample_row(many: Sequence[Pictures]) -> None:
    """Sample the next row of all. What an exception such as Ctrl-C interrupts begins anew: a row may be lost."""
    streams = [pictures._opened() for pictures in many]
    try:
        for pictures, symbols in zip(many, many[0]._sampler.engine.step(streams, streams[0].row_size), strict=True):
            pictures._decode(symbols)
    except BaseException:
        for pictures in many:
            pictures._stream = None
        raise


class Picture:
    """One picture. Its pixels are sampled when they are asked for."""

    def __init__(self, pictures: Pictures, index: int) -> None:
        self._pictures, self._index = pictures, index

    @property
    def seed(self) -> int:
        """The same model and request with this seed, without ``best_of``, give the same picture. Of several candidates
        it is known once they have been sampled."""
        if self._pictures.drawing.best_of > 1:
            self._pictures.finish()
        return self._pictures.drawing.seeds[self._index]

    def __repr__(self) -> str:
        shown = ", ".join(self.attributes.values()) or "picture"
        return f"<Picture {shown}, seed {self.seed}>"

    @cached_property
    def array(self) -> Pixels:
        """``uint8 [H, W, C]``: grey (C = 1), RGB or RGBA."""
        pixels: Pixels = self._pictures.pixels[self._index]
        return pixels

    @cached_property
    def image(self) -> Image.Image:
        """The picture for Pillow: ``L``, ``RGB`` or ``RGBA``."""
        return Image.fromarray(self.array[..., 0] if self.array.shape[2] == 1 else self.array)

    @cached_property
    def bits(self) -> float:
        """-log2 p of the whole picture under the model, without guidance, given what it was drawn to show."""
        return float(self._pictures.bits(self._index).sum())

    @property
    def attributes(self) -> dict[str, str]:
        """What it was drawn to show, by attribute: what was asked for, and what the seed has drawn."""
        return self._pictures.attributes(self._index)

    @cached_property
    def shown(self) -> Mapping[str, Shown]:
        """What it shows, by attribute: the value that the classifier of the model finds most likely, whatever it was
        drawn to show, and its probability. Empty of a model without a classifier."""
        self._pictures.finish()
        judgement = self._pictures._judgement
        return {} if judgement is None else judgement.shown[self._index]

    @property
    def prompt(self) -> str | None:
        """The names of all that it was drawn to show, as a prompt; None of a model without attributes."""
        return ", ".join(self.attributes.values()) or None

    def save(
        self, path: str | Path, scale: int = 1, signer: Signer | None = None, ingredient: bytes | None = None
    ) -> None:
        """Write a file; its suffix, ``.png``, ``.webp``, ``.jpg`` or ``.jpeg``, is the format.

        Args:
            path: of the file.
            scale: side in pixels of each drawn pixel.
            signer: signs it (docs/provenance.md).
            ingredient: the manifest of the picture that it was drawn from.

        Raises:
            InvalidRequest: it has another suffix.
            SigningError: it cannot be signed.
        """
        file, pictures = Path(path), self._pictures
        form = format_of(file, SUFFIXES)
        data = pictures.file(self._index, form, scale)
        recipe = picture_recipe(pictures.drawing, pictures._sampler.model, self._index)
        write_file(file, data, MEDIA_TYPES[form], pictures._claim(recipe, ingredient), signer)

    def _repr_png_(self) -> bytes:
        """The picture, in a notebook."""
        return self._pictures.file(self._index, "png", scale=max(1, 160 // self.array.shape[0]))
