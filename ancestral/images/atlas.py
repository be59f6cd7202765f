"""Atlases of sprite sheets, in the formats that game engines read: where each picture is, and how to make it again.

The prompt and the seed of a sprite give the same picture again, with the model, the temperature and the guidance.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ancestral.catalog.models import ImageModel
from ancestral.catalog.seeds import seed_as_json
from ancestral.images.drawing import ClassDrawing
from ancestral.images.sheet import Grid, attributes_of, layout_of
from ancestral.models.sheets import Tag


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
