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
from ancestral.images.sheet import Grid, attributes_of


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


def _sprites(drawing: ClassDrawing, model: ImageModel, grid: Grid) -> list[_Sprite]:
    found = []
    for index, seed in enumerate(drawing.seeds):
        attributes = attributes_of(drawing, model, index)
        name = f"{next(iter(attributes.values()), 'picture')}-{index}"
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
    hand them on (Phaser: ``frame.customData``)."""
    size, frames = {"w": grid.width, "h": grid.height}, {}
    for sprite in _sprites(drawing, model, grid):
        frames[sprite.name] = {
            "frame": {"x": sprite.x, "y": sprite.y} | size,
            "rotated": False,
            "trimmed": False,
            "spriteSourceSize": {"x": 0, "y": 0} | size,
            "sourceSize": size,
            "seed": seed_as_json(sprite.seed),
            "prompt": sprite.prompt,
            "attributes": sprite.attributes,
        }
    width, height = grid.size
    about = {"app": "ancestral", "image": image, "format": "RGBA8888", "size": {"w": width, "h": height}, "scale": "1"}
    content = {"frames": frames, "meta": about | _made_by(drawing, model)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _godot(drawing: ClassDrawing, model: ImageModel, grid: Grid, image: str) -> str:
    """A text resource of Godot 4: ``SpriteFrames`` with an animation of one frame for each sprite, of its name.

    The rest is metadata of the frames' textures and of the resource. Its strings, numbers and dictionaries are JSON's.
    """
    textures, animations = [], []
    for index, sprite in enumerate(_sprites(drawing, model, grid)):
        about = {"seed": sprite.seed, "prompt": sprite.prompt, "attributes": sprite.attributes}
        textures.append(
            f'[sub_resource type="AtlasTexture" id="{index}"]\n'
            'atlas = ExtResource("sheet")\n'
            f"region = Rect2({sprite.x}, {sprite.y}, {grid.width}, {grid.height})\n{_metadata(about)}"
        )
        frame = f'{{"duration": 1.0, "texture": SubResource("{index}")}}'
        name = json.dumps(sprite.name, ensure_ascii=False)
        animations.append(f'{{"frames": [{frame}], "loop": true, "name": &{name}, "speed": 5.0}}')
    path = json.dumps(image, ensure_ascii=False)
    head = '[gd_resource type="SpriteFrames" format=3]\n'
    sheet = f'[ext_resource type="Texture2D" path={path} id="sheet"]\n'
    listed = ",\n".join(animations)
    whole = f"[resource]\nanimations = [{listed}]\n{_metadata(_made_by(drawing, model))}"
    return "\n".join([head, sheet, *textures, whole])


def _metadata(values: dict[str, Any]) -> str:
    known = {name: value for name, value in values.items() if value is not None}
    return "".join(f"metadata/{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in known.items())


_WRITERS: Final[dict[str, tuple[str, Callable[[ClassDrawing, ImageModel, Grid, str], str]]]] = {
    "json": (".json", _json),
    "godot": (".tres", _godot),
}
ATLASES: Final = {form: suffix for form, (suffix, _) in _WRITERS.items()}
"""The formats, and the ends of their files' names."""
