"""The files of pictures: one picture, sprite sheets, their atlases in the formats that game engines read."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ancestral.catalog.descriptions import ANY, ImageModel
from ancestral.catalog.palettes import colours_of, nearest
from ancestral.catalog.seeds import seed_as_json
from ancestral.errors import InvalidRequest, check_range
from ancestral.images.drawing import MAX_BATCH, MAX_SIDE, ClassDrawing, Drawing, label_indices, picture_recipe
from ancestral_models.entries import SheetLayout, Tag
from ancestral_models.spec import COARSE_STRIDE, WHITE, ImageSpec, pixels_of, rgba


def picture_file(drawing: Drawing, model: ImageModel, index: int, batch: BatchDecoder) -> bytes:
    """Picture ``index`` of a drawing, in the requested format and size.

    A PNG file says how to make it again: a text chunk ``recipe`` has the model and the fields of the request, as JSON.
    Names are written as the model has them, so that requests which differ in case alone give the same file. A finished
    picture of a model with a palette is an indexed PNG, with the indices and the palette of the model; so is one that
    was put into another palette.
    """
    texts = recipe_texts(drawing, model, index)
    width, height = map(int, drawing.size.split("x"))
    canvas = (width, height) if drawing.fit == "pad" else None
    if batch.colours is None or drawing.output_format != "png" or not batch.complete:
        return encode(batch.pixels[index], drawing.output_format, drawing.scale, texts, canvas)
    return encode_indexed(batch.indices(batch.symbols[index]), batch.colours, drawing.scale, texts, canvas)


def recipe_texts(drawing: Drawing, model: ImageModel, index: int) -> dict[str, str]:
    """The text chunks of a PNG file that say how to make picture ``index`` again."""
    return {"recipe": json.dumps(picture_recipe(drawing, model, index))}


def decoder_of(drawing: Drawing, model: ImageModel) -> BatchDecoder:
    """What turns the symbols of a drawing into its pictures."""
    transparent = drawing.background == "transparent"
    return BatchDecoder(model.spec, drawing.count, transparent=transparent, palette=drawing.palette)


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


def grid_of(count: int, spec: ImageSpec, columns: int, scale: int, padding: int, form: str) -> Grid:
    """The grid of so many pictures, ``columns`` in a row, each pixel a square of ``scale``, in a file of this format.

    Raises:
        InvalidRequest: a number is out of its range, or the sheet would be too large.
    """
    check_range("columns", columns, 1, MAX_BATCH)
    check_range("scale", scale, 1, MAX_SIDE // max(spec.height, spec.width))
    check_range("padding", padding, 0, MAX_PADDING)
    grid = Grid(count, columns, spec.width * scale, spec.height * scale, padding)
    taker, most = ("webp files", MAX_SHEET_SIDE - 1) if form == "webp" else ("engines", MAX_SHEET_SIDE)
    if max(grid.size) > most:
        width, height = grid.size
        message = f"sheet: {width} x {height} pixels; {taker} take {most} each way"
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
    return grid_of(drawing.count, model.spec, layout.columns, drawing.scale, 0, drawing.output_format)


def longest_tags(layout: SheetLayout) -> list[Tag]:
    """The longest animation of a sheet, in each row."""
    longest = max(tag.length for tag in layout.tags)
    return [tag for tag in layout.tags if tag.length == longest]


def animation_file(drawing: ClassDrawing, layout: SheetLayout, batch: BatchDecoder) -> bytes:
    """The longest animation of a finished sheet, in all rows at once, one beside the other: PNG (APNG) or WebP."""
    tags, frames = longest_tags(layout), []
    for number in range(tags[0].length):
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


ATLASES: Final = {"json": ".json", "godot": ".tres"}
"""The formats of atlases, and the ends of their files' names."""


@dataclass(frozen=True)
class _Sprite:
    """One picture of a sheet."""

    name: str
    x: int
    y: int
    seed: int
    prompt: str
    attributes: dict[str, str]


def atlas_file(drawing: ClassDrawing, model: ImageModel, grid: Grid, image: str, form: str) -> bytes:
    """The file that describes a sheet.

    Args:
        drawing: of the sheet's pictures.
        model: that drew them.
        grid: of the sheet.
        image: the name of the sheet's file, which lies in the same folder.
        form: a key of :data:`ATLASES`.
    """
    if form == "godot":
        return _godot(drawing, model, grid, image).encode()
    fields = atlas_fields(drawing, model, grid, image)
    return (json.dumps(fields, indent=2, ensure_ascii=False) + "\n").encode()


def _sprites(drawing: ClassDrawing, model: ImageModel, grid: Grid) -> list[_Sprite]:
    found, layout = [], layout_of(drawing, model)
    names = [] if layout is None else [f"{tag.name} {number}" for tag in layout.tags for number in range(tag.length)]
    for index, seed in enumerate(drawing.seeds):
        attributes = attributes_of(drawing, model, index)
        name = names[index] if names else f"{next(iter(attributes.values()), 'picture')}-{index}"
        prompt = model.names(label_indices(drawing.labels[index]), style=True) or ANY
        found.append(_Sprite(name, *grid.place(index), seed, prompt, attributes))
    return found


def _made_by(drawing: ClassDrawing, model: ImageModel) -> dict[str, Any]:
    """What made all pictures."""
    made_by = {"model": model.entry.id, "model_sha256": model.sha256}
    return {**made_by, "temperature": drawing.temperature, "guidance": drawing.guidance}


def atlas_fields(drawing: ClassDrawing, model: ImageModel, grid: Grid, image: str) -> dict[str, Any]:
    """What a file of the format ``json`` holds; arguments as of :func:`atlas_file`.

    It is TexturePacker's "JSON (hash)", which Phaser and PixiJS read and Aseprite writes. They ignore the other fields,
    or hand them on (Phaser: ``frame.customData``).

    Of a sheet that the model lays out, ``animations`` are PixiJS's, ``meta.frameTags`` and ``duration`` Aseprite's."""
    size, frames, sprites = {"w": grid.width, "h": grid.height}, {}, _sprites(drawing, model, grid)
    layout = layout_of(drawing, model)
    duration = {} if layout is None else {"duration": round(1000 / layout.frames_per_second)}
    for sprite in sprites:
        frames[sprite.name] = {
            "frame": {"x": sprite.x, "y": sprite.y} | size,
            "rotated": False,
            "trimmed": False,
            "spriteSourceSize": {"x": 0, "y": 0} | size,
            "sourceSize": size,
            **duration,
            "seed": seed_as_json(sprite.seed),
            "prompt": sprite.prompt,
            "attributes": sprite.attributes,
        }
    width, height = grid.size
    sides = {"w": width, "h": height}
    about: dict[str, Any] = {"app": "ancestral", "image": image, "format": "RGBA8888", "size": sides, "scale": "1"}
    content: dict[str, Any] = {"frames": frames}
    if layout is not None:
        names = [sprite.name for sprite in sprites]
        content["animations"] = {tag.name: names[tag.first : tag.first + tag.length] for tag in layout.tags}
        ends = [{"name": tag.name, "from": tag.first, "to": tag.first + tag.length - 1} for tag in layout.tags]
        about |= {"frameTags": [tag | {"direction": "forward"} for tag in ends]}
    return content | {"meta": about | _made_by(drawing, model)}


def _godot(drawing: ClassDrawing, model: ImageModel, grid: Grid, image: str) -> str:
    """A text resource of Godot 4: ``SpriteFrames`` with an animation of one frame for each sprite, of its name, or
    with those of a sheet that the model lays out.

    The rest is metadata of the frames' textures and of the resource. Its strings, numbers and dictionaries are JSON's.
    """
    textures, sprites, layout = [], _sprites(drawing, model, grid), layout_of(drawing, model)
    tags = [Tag(sprite.name, index, 1) for index, sprite in enumerate(sprites)] if layout is None else layout.tags
    speed = 5 if layout is None else layout.frames_per_second
    for index, sprite in enumerate(sprites):
        about = {"seed": sprite.seed, "prompt": sprite.prompt, "attributes": sprite.attributes}
        textures.append(
            f'[sub_resource type="AtlasTexture" id="{index}"]\n'
            'atlas = ExtResource("sheet")\n'
            f"region = Rect2({sprite.x}, {sprite.y}, {grid.width}, {grid.height})\n{_metadata(about)}"
        )
    path = json.dumps(image, ensure_ascii=False)
    head = '[gd_resource type="SpriteFrames" format=3]\n'
    sheet = f'[ext_resource type="Texture2D" path={path} id="sheet"]\n'
    listed = ",\n".join(_godot_animation(tag, speed) for tag in tags)
    whole = f"[resource]\nanimations = [{listed}]\n{_metadata(_made_by(drawing, model))}"
    return "\n".join([head, sheet, *textures, whole])


def _godot_animation(tag: Tag, speed: int) -> str:
    indices = range(tag.first, tag.first + tag.length)
    frames = ", ".join(f'{{"duration": 1.0, "texture": SubResource("{index}")}}' for index in indices)
    name = json.dumps(tag.name, ensure_ascii=False)
    return f'{{"frames": [{frames}], "loop": true, "name": &{name}, "speed": {speed}.0}}'


def _metadata(values: dict[str, Any]) -> str:
    return "".join(f"metadata/{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())


# The symbols of a job as pixels.


Pixels = NDArray[np.uint8]
"""``[H, W, C]``: grey (C = 1), RGB or RGBA, 0 … 255."""

UNDRAWN = 127
"""The grey of pixels that have not been sampled yet."""


class BatchDecoder:
    """Decodes the symbols of one job, in order, to the pixels of its pictures.

    Args:
        spec: of the model.
        count: of the pictures.
        transparent: whether the transparent colour of the palette remains so, and pixels are RGBA; else it is white.
        palette: to put the pictures into, as :func:`ancestral.catalog.palettes.check_palette` gives it.
    """

    def __init__(
        self, spec: ImageSpec, count: int, *, transparent: bool = False, palette: str | tuple[str, ...] | None = None
    ) -> None:
        self.symbols = np.zeros((count, spec.height, spec.width, spec.channels), np.uint8)
        """``[pictures, H, W, C]``; those that have not been sampled yet are 0."""
        self.rows = 0
        """Rows that have been sampled."""
        self._spec, self._transparent = spec, transparent
        self.colours: NDArray[np.uint8] | None = None
        """RGBA ``[P, 4]`` of indexed files: the given palette's, or else the model's; None if there is neither."""
        self._indices: NDArray[np.uint8] | None = None
        """``[levels]``: for each colour of the model's palette, the nearest of the given one."""
        self._given = None if palette is None else colours_of(palette)
        if spec.palette:
            own = rgba(spec)
            self.colours = own if transparent else np.where(own[:, 3:] == 0, np.uint8(WHITE), own)
        if self._given is not None:
            first = np.zeros((int(transparent), 4), np.uint8)
            opaque = np.pad(self._given, ((0, 0), (0, 1)), constant_values=WHITE)
            if self.colours is not None:
                self._indices = nearest(self.colours[:, :3], self._given) + np.uint8(transparent)
                self._indices[self.colours[:, 3] == 0] = 0
            self.colours = np.concatenate([first, opaque])
        blank = self._shown(self.symbols[:, :1])
        blank[..., :3] = UNDRAWN
        if transparent:
            blank[..., 3] = WHITE
        self.pixels: Pixels = np.repeat(blank, spec.height, axis=1)
        """``[pictures, H, W, C]``; rows that have not been sampled yet are grey."""

    @property
    def channels(self) -> int:
        """Numbers of a pixel: 1, 3 or 4."""
        return int(self.pixels.shape[3])

    def __call__(self, symbols: NDArray[np.uint8]) -> Pixels:
        """Add the next symbols, which are whole rows. Returns their pixels, ``[rows, pictures, W, C]``."""
        count, _, width, channels = self.symbols.shape
        new = symbols.reshape(-1, count, width, channels)
        pixels, end = self._shown(new), self.rows + len(new)
        self.symbols[:, self.rows : end] = new.swapaxes(0, 1)
        self.pixels[:, self.rows : end] = pixels.swapaxes(0, 1)
        self.rows = end
        return pixels

    def coarse(self, data: bytes) -> Pixels:
        """The pixels ``[pictures, rows, columns, C]`` of the coarse scale, from its symbols."""
        count, height, width, channels = self.symbols.shape
        rows, columns = height // COARSE_STRIDE, width // COARSE_STRIDE
        return self._shown(np.frombuffer(data, np.uint8).reshape(count, rows, columns, channels))

    def indices(self, symbols: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Symbols ``[..., C]`` as indices into :attr:`colours`, ``[..., 1]``."""
        if self._indices is not None:
            return self._indices[symbols]
        if self._given is None:
            return symbols
        pixels = pixels_of(symbols, self._spec)
        return nearest(np.broadcast_to(pixels, (*pixels.shape[:-1], 3)), self._given)[..., None]

    def _shown(self, symbols: NDArray[np.uint8]) -> Pixels:
        if self.colours is None:
            return pixels_of(symbols, self._spec)
        shown = self.colours[self.indices(symbols)[..., 0]]
        return shown if self._transparent else np.ascontiguousarray(shown[..., :3])

    @property
    def complete(self) -> bool:
        """Whether every row has been sampled."""
        return self.rows == self._spec.height


# Pixels to PNG, WebP and JPEG. The same pixels give the same bytes, with one version of Pillow.

MEDIA_TYPES: Final = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
"""The formats of :func:`encode`, and their ``Content-Type``."""
SUFFIXES: Final = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}
"""Formats by the ends of files' names."""
MOVING_SUFFIXES: Final = {".png": "png", ".webp": "webp"}
"""The suffixes of formats that can move."""
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "png": {"compress_level": 6},
    "webp": {"lossless": True, "method": 4},
    "jpeg": {"quality": 95, "subsampling": 0},
}
_NO_TEXTS: Final[Mapping[str, str]] = {}


def encode(
    pixels: Pixels, form: str, scale: int = 1, texts: Mapping[str, str] = _NO_TEXTS, size: tuple[int, int] | None = None
) -> bytes:
    """An image file.

    Args:
        pixels: of the picture.
        form: a key of :data:`MEDIA_TYPES`; all but jpeg are lossless.
        scale: side of the square, in pixels, that one pixel becomes.
        texts: ASCII texts by keyword, for the text chunks of a PNG file; other formats do without.
        size: width and height of a larger file, with the picture in its middle; None for a file of its own size.
    """
    options = {"pnginfo": _texts(texts)} if form == "png" else {}
    return _file(_image(pixels, scale, size), form, options)


def encode_indexed(
    symbols: NDArray[np.uint8],
    colours: NDArray[np.uint8],
    scale: int = 1,
    texts: Mapping[str, str] = _NO_TEXTS,
    size: tuple[int, int] | None = None,
) -> bytes:
    """A PNG file of indices into a palette.

    Args:
        symbols: ``[H, W, 1]``.
        colours: RGBA, ``[P, 4]``; the first may be transparent.
        scale: as for :func:`encode`.
        texts: as for :func:`encode`.
        size: as for :func:`encode`.
    """
    image = _image(symbols, scale, size)
    image.putpalette(colours[:, :3].tobytes())
    transparent = {"transparency": 0} if colours[0, 3] == 0 else {}
    return _file(image, "png", {"pnginfo": _texts(texts), **transparent})


def encode_moving(frames: Sequence[Pixels], form: str, frames_per_second: int) -> bytes:
    """A file that shows pictures one after the other, again and again.

    Args:
        frames: of one size.
        form: ``png`` (APNG) or ``webp``; both lossless.
        frames_per_second: as near as whole milliseconds come to it.
    """
    first, *others = (_image(frame, 1, None) for frame in frames)
    options = {"save_all": True, "append_images": others, "duration": round(1000 / frames_per_second), "loop": 0}
    return _file(first, form, options)


def mask_file(kept: NDArray[np.bool_]) -> bytes:
    """A PNG file of ``kept [H, W]`` as the mask of an edit: transparent where it is false, else black."""
    pixels = np.zeros((*kept.shape, 4), np.uint8)
    pixels[..., 3] = np.where(kept, WHITE, 0)
    return encode(pixels, "png")


def _image(pixels: Pixels, scale: int, size: tuple[int, int] | None) -> Image.Image:
    large = np.ascontiguousarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1))
    if size is not None:
        large = _padded(large, size, _edge_colour(pixels))
    return Image.fromarray(large[..., 0] if large.shape[2] == 1 else large)


def _texts(texts: Mapping[str, str]) -> PngInfo:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    return info


def _file(image: Image.Image, form: str, options: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, form.upper(), **_OPTIONS[form], **options)
    return file.getvalue()


def _edge_colour(pixels: Pixels) -> NDArray[np.uint8]:
    """The most frequent colour of the outermost pixels ``[C]``; of several, the darkest."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colours, counts = np.unique(edge, axis=0, return_counts=True)
    found: NDArray[np.uint8] = colours[counts.argmax()]
    return found


def _padded(large: Pixels, size: tuple[int, int], colour: NDArray[np.uint8]) -> Pixels:
    height, width, channels = large.shape
    canvas = np.full((size[1], size[0], channels), colour)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    canvas[top : top + height, left : left + width] = large
    return canvas
