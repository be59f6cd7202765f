"""The files of pictures: one picture, sprite sheets, their atlases in the formats that game engines read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.models import ImageModel
from ancestral.catalog.seeds import seed_as_json
from ancestral.errors import InvalidRequest, check_range
from ancestral.images.drawing import MAX_PICTURES, ClassDrawing, Drawing, picture_recipe
from ancestral.images.pixels import BatchDecoder, encode, encode_indexed, encode_moving
from ancestral.images.sizes import MAX_SIDE
from ancestral.models.sheets import SheetLayout, Tag
from ancestral.models.spec import ImageSpec


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


@dataclass(frozen=True)
class _Sprite:
    """One picture of a sheet."""

    name: str
    x: int
    y: int
    seed: int
    prompt: str | None
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
    _, write = _WRITERS[form]
    return write(drawing, model, grid, image).encode()


def atlas_fields(drawing: ClassDrawing, model: ImageModel, grid: Grid, image: str) -> dict[str, Any]:
    """What the file of the format ``json`` holds; arguments as of :func:`atlas_file`."""
    found: dict[str, Any] = json.loads(_json(drawing, model, grid, image))
    return found


def _sprites(drawing: ClassDrawing, model: ImageModel, grid: Grid) -> list[_Sprite]:
    found, layout = [], layout_of(drawing, model)
    names = [] if layout is None else [f"{tag.name} {number}" for tag in layout.tags for number in range(tag.length)]
    for index, seed in enumerate(drawing.seeds):
        attributes = attributes_of(drawing, model, index)
        name = names[index] if names else f"{next(iter(attributes.values()), 'picture')}-{index}"
        prompt = drawing.revised_prompts[index] or drawing.recipe(index).get("prompt")
        found.append(_Sprite(name, *grid.place(index), seed, prompt, attributes))
    return found


def _made_by(drawing: ClassDrawing, model: ImageModel) -> dict[str, Any]:
    """What made all pictures."""
    return {
        "model": model.entry.id,
        "model_sha256": model.sha256,
        "temperature": drawing.temperature,
        "guidance": drawing.guidance,
    }


def _json(drawing: ClassDrawing, model: ImageModel, grid: Grid, image: str) -> str:
    """TexturePacker's "JSON (hash)", which Phaser and PixiJS read and Aseprite writes. They ignore the other fields, or
    hand them on (Phaser: ``frame.customData``).

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
    about: dict[str, Any] = {
        "app": "ancestral",
        "image": image,
        "format": "RGBA8888",
        "size": {"w": width, "h": height},
        "scale": "1",
    }
    content: dict[str, Any] = {"frames": frames}
    if layout is not None:
        names = [sprite.name for sprite in sprites]
        content["animations"] = {tag.name: names[tag.first : tag.first + tag.length] for tag in layout.tags}
        about |= {"frameTags": [_frame_tag(tag) for tag in layout.tags]}
    content["meta"] = about | _made_by(drawing, model)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _frame_tag(tag: Tag) -> dict[str, Any]:
    return {"name": tag.name, "from": tag.first, "to": tag.first + tag.length - 1, "direction": "forward"}


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
    known = {name: value for name, value in values.items() if value is not None}
    return "".join(f"metadata/{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in known.items())


_WRITERS: Final[dict[str, tuple[str, Callable[[ClassDrawing, ImageModel, Grid, str], str]]]] = {
    "json": (".json", _json),
    "godot": (".tres", _godot),
}
ATLASES: Final = {form: suffix for form, (suffix, _) in _WRITERS.items()}
"""The formats, and the ends of their files' names."""
