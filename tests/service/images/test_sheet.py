"""`ancestral draw --sheet`: every sprite is the picture that its prompt and seed give, where the atlas says."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service.images.pictures import post
from tests.service.servers import Server
from tests.service.toys import PICTURES

Run = Callable[..., subprocess.CompletedProcess[bytes]]
SPEC = PICTURES["palette"]


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGBA"))


def test_a_sheet_has_the_pictures_of_its_atlas(ancestral: Run, tmp_path: Path) -> None:
    """Each between two pixels on every side that repeat its edge."""
    sheet, options = tmp_path / "dolls.png", ("--model", "palette", "--scale", "3")
    done = ancestral("draw", "robe", *options, "--sheet", "2x3", "--padding", "2", "--seed", "7", "-o", str(sheet))
    assert done.returncode == 0, done.stderr
    assert f"{sheet}: 6 of 8x8, seed 7".encode() in done.stderr
    atlas = json.loads(sheet.with_suffix(".json").read_text())
    assert (atlas["meta"]["image"], atlas["meta"]["model"], atlas["meta"]["scale"]) == ("dolls.png", "palette", "1")
    with Image.open(sheet) as image:
        assert (image.mode, image.info["transparency"]) == ("P", 0)
        assert image.size == (atlas["meta"]["size"]["w"], atlas["meta"]["size"]["h"]) == (84, 56)
    sprites = list(atlas["frames"].items())
    places = [{"x": x, "y": y, "w": 24, "h": 24} for y in (2, 30) for x in (2, 30, 58)]
    assert [one["frame"] for _, one in sprites] == places
    assert len({one["seed"] for _, one in sprites}) == len(sprites) == 6
    whole = pixels(sheet)
    for name, one in sprites[::2]:
        # What Phaser and PixiJS read: a frame that was neither turned nor cut.
        assert (one["rotated"], one["trimmed"], one["sourceSize"]) == (False, False, {"w": 24, "h": 24})
        assert one["spriteSourceSize"] == {"x": 0, "y": 0, "w": 24, "h": 24}
        assert one["attributes"]["garment"] == "robe"
        assert one["attributes"].keys() == {name for name, _ in SPEC.attributes}
        assert set(one["attributes"].values()) == set(one["prompt"].split(", "))
        assert name.startswith(one["attributes"]["species"])
        alone = tmp_path / "one.png"
        seed = ("--seed", str(one["seed"]))
        assert ancestral("draw", one["prompt"], *options, *seed, "-o", str(alone)).returncode == 0
        left, top = one["frame"]["x"] - 2, one["frame"]["y"] - 2
        padded = np.pad(pixels(alone), ((2, 2), (2, 2), (0, 0)), mode="edge")
        assert np.array_equal(padded, whole[top : top + 28, left : left + 28])


def test_a_sheet_in_rgb_without_attributes(ancestral: Run, tmp_path: Path) -> None:
    sheet = tmp_path / "grey.webp"
    done = ancestral("draw", "any", "--model", "grey", "--sheet", "1x2", "--seed", str(2**53), "-o", str(sheet))
    assert done.returncode == 0, done.stderr
    frames = json.loads(sheet.with_suffix(".json").read_text())["frames"]
    assert [(name, one["attributes"]) for name, one in frames.items()] == [("picture-0", {}), ("picture-1", {})]
    assert frames["picture-0"]["seed"] == "9007199254740992", "JavaScript would round the number"
    assert pixels(sheet).shape == (6, 10, 4)


def test_a_sheet_for_godot(ancestral: Run, tmp_path: Path) -> None:
    """The same places, names, seeds and attributes as in JSON, as a text resource."""
    common = ("draw", "robe", "--model", "palette", "--sheet", "2x2", "--padding", "1", "--seed", "7")
    for form in ("json", "godot"):
        done = ancestral(*common, "--atlas", form, "-o", str(tmp_path / f"{form}.png"))
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "godot.json").exists()
    text = (tmp_path / "godot.tres").read_text()
    assert text.startswith('[gd_resource type="SpriteFrames" format=3]\n')
    assert '[ext_resource type="Texture2D" path="godot.png" id="sheet"]' in text
    frames = json.loads((tmp_path / "json.json").read_text())["frames"]
    textures = re.findall(
        r'\[sub_resource type="AtlasTexture" id="(\d+)"\]\natlas = ExtResource\("sheet"\)\n'
        r"region = Rect2\((\d+), (\d+), (\d+), (\d+)\)\n"
        r"metadata/seed = (\d+)\nmetadata/prompt = (.+)\nmetadata/attributes = (.+)\n",
        text,
    )
    animations = re.findall(r'"texture": SubResource\("(\d+)"\)\}\], "loop": true, "name": &"([^"]+)"', text)
    assert [number for number, *_ in textures] == [number for number, _ in animations] == list("0123")
    for (_, *place, seed, prompt, attributes), (_, name) in zip(textures, animations, strict=True):
        one = frames.pop(name)
        assert list(map(int, place)) == list(one["frame"].values())
        assert (int(seed), json.loads(prompt)) == (one["seed"], one["prompt"])
        assert json.loads(attributes) == one["attributes"]
    assert not frames
    assert 'metadata/model = "palette"\n' in text


def test_a_sheet_that_no_engine_takes(ancestral: Run, tmp_path: Path) -> None:
    large = ("--sheet", "2x40", "--scale", "52", "--padding", "1")
    done = ancestral("draw", "robe", "--model", "palette", "-o", str(tmp_path / "a.png"), *large)
    assert done.returncode == 1
    assert b"sheet: 16720 x 836 pixels; engines take 16384 each way" in done.stderr
    assert b"rows" not in done.stderr, "before anything is sampled"
    assert not list(tmp_path.iterdir())


def test_a_sheet_that_the_model_lays_out(ancestral: Run, tmp_path: Path) -> None:
    """One orc in all frames: what is not named is drawn once, every frame is the picture of its prompt and the seed."""
    sheet, options = tmp_path / "orc.png", ("--model", "palette", "--scale", "2", "--seed", "5")
    moving = tmp_path / "swing.webp"
    done = ancestral("draw", "orc", *options, "--sheet", "arms", "--animation", str(moving), "-o", str(sheet))
    assert done.returncode == 0, done.stderr
    assert f"{sheet}: 6 of 8x8, seed 5: orc, robe, no weapon".encode() in done.stderr
    atlas, whole = json.loads(sheet.with_suffix(".json").read_text()), pixels(sheet)
    names = ["rest robe 0", "swing robe 0", "swing robe 1", "rest mail 0", "swing mail 0", "swing mail 1"]
    assert list(atlas["frames"]) == names
    assert atlas["animations"] == {
        "rest robe": names[:1], "swing robe": names[1:3], "rest mail": names[3:4], "swing mail": names[4:],
    }  # fmt: skip
    assert atlas["meta"]["frameTags"][1] == {"name": "swing robe", "from": 1, "to": 2, "direction": "forward"}
    assert {one["duration"] for one in atlas["frames"].values()} == {125}
    assert [one["attributes"]["weapon"] for one in atlas["frames"].values()] == ["no weapon", "staff", "axe"] * 2
    for one in list(atlas["frames"].values())[1::3]:
        alone = tmp_path / "one.png"
        assert ancestral("draw", one["prompt"], *options, "-o", str(alone)).returncode == 0
        left, top = one["frame"]["x"], one["frame"]["y"]
        assert one["seed"] == 5
        assert np.array_equal(pixels(alone), whole[top : top + 16, left : left + 16])
    with Image.open(sheet) as image:
        recipe = json.loads(image.text["recipe"])
    assert (recipe["prompt"], recipe["sheet"], recipe["seed"]) == ("orc", "arms", 5)
    with Image.open(moving) as image:
        assert (image.format, image.size, image.n_frames) == ("WEBP", (32, 16), 2)
        for number in range(2):
            image.seek(number)
            rows = [whole[top : top + 16, 16 + 16 * number :][:, :16] for top in (0, 16)]
            shown, wanted = np.asarray(image.convert("RGBA")), np.concatenate(rows, axis=1)
            assert np.array_equal(shown[..., 3], wanted[..., 3])
            assert np.array_equal(shown[wanted[..., 3] > 0], wanted[wanted[..., 3] > 0])


def test_the_animations_of_a_sheet_for_godot(ancestral: Run, tmp_path: Path) -> None:
    sheet = tmp_path / "orc.png"
    options = ("--model", "palette", "--sheet", "arms", "--atlas", "godot", "--animation", str(tmp_path / "a.png"))
    done = ancestral("draw", "orc", *options, "-o", str(sheet))
    assert done.returncode == 0, done.stderr
    text = sheet.with_suffix(".tres").read_text()
    assert '"loop": true, "name": &"swing mail", "speed": 8.0' in text
    assert re.findall(r'SubResource\("(\d)"\)', text) == list("012345")
    assert text.count('"name": &') == 4
    with Image.open(tmp_path / "a.png") as image:
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (2, 125, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sheet", "arms", "-n", "3"), b"leave --count out"),
        (("--sheet", "2x2", "--animation", "b.webp"), b"--animation is for --sheet NAME"),
        (("--sheet", "arms", "--animation", "b.gif"), b"must end in .png, .webp"),
        (("--sheet", "3"), b"is not ROWSxCOLUMNS"),
        (("--sheet", "0x5"), b"is not ROWSxCOLUMNS"),
        (("--sheet", "40x40"), b"at most 1000 pictures"),
        (("--sheet", "2x2", "-n", "3"), b"leave --count out"),
        (("--sheet", "2x2", "--padding", "65"), b"0<=x<=64"),
        (("--sheet", "2x2", "--atlas", "unity"), b"is not one of"),
        (("--padding", "2"), b"are for --sheet"),
        (("--atlas", "json"), b"are for --sheet"),
    ],
)
def test_sheets_that_are_refused(ancestral: Run, tmp_path: Path, arguments: tuple[str, ...], message: bytes) -> None:
    done = ancestral("draw", "robe", "--model", "palette", "-o", str(tmp_path / "a.png"), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "prompt", "message"),
    [
        ("palette", "robe", b"prompt: the sheet 'arms' has pictures of more than one garment, so none can be named"),
        ("palette", "knight", b"has no such species"),
        ("grey", "any", b"sheet: grey has no sheets of its own"),
    ],
)
def test_sheets_that_no_model_can_draw(ancestral: Run, tmp_path: Path, model: str, prompt: str, message: bytes) -> None:
    done = ancestral("draw", prompt, "--model", model, "--sheet", "arms", "-o", str(tmp_path / "a.png"))
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["url", "b64_json"])
def test_a_sheet_over_http(server: Server, ancestral: Run, tmp_path: Path, form: str) -> None:
    """The file of the command line, its atlas, and a manifest; frames and tokens are counted once each."""
    request = {"model": "palette", "prompt": "orc", "sheet": "arms", "size": "16x16", "seed": 5}
    response = post(server, "generations", **request, response_format=form)
    assert response.status_code == 200, response.text
    answer = response.json()
    (only,) = answer["data"]
    data = base64.b64decode(only["b64_json"]) if form == "b64_json" else httpx.get(only["url"]).content
    sheet = tmp_path / "arms.png"
    options = ("--model", "palette", "--scale", "2", "--seed", "5", "--sheet", "arms")
    assert ancestral("draw", "orc", *options, "-o", str(sheet)).returncode == 0
    (tmp_path / "served.png").write_bytes(data)
    assert np.array_equal(pixels(tmp_path / "served.png"), pixels(sheet))
    assert answer["atlas"] == json.loads(sheet.with_suffix(".json").read_text())
    assert (only["seed"], only["revised_prompt"]) == (5, "orc, robe, no weapon")
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (1, 6 * 64)
    listed = httpx.get(f"{server.url}/v1/models/palette").json()
    assert (listed["sheets"], listed["sheet_attributes"]) == (["arms"], {"arms": ["garment", "weapon"]})
    assert "sheets" not in httpx.get(f"{server.url}/v1/models/grey").json()


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"sheet": "walk"}, "sheet", "invalid_value"),
        ({"sheet": "arms", "n": 2}, "n", "conflict"),
        ({"sheet": "arms", "stream": True}, "stream", "conflict"),
        ({"sheet": "arms", "prompt": "robe"}, "prompt", "conflict"),
        ({"sheet": "arms", "size": "1376x1376"}, "size", "invalid_size"),
        ({"sheet": "arms", "model": "grey", "prompt": None}, "sheet", "model_not_capable"),
        ({"sheet": ""}, "sheet", None),
    ],
)
def test_sheets_that_are_refused_over_http(
    server: Server, fields: dict[str, Any], param: str, code: str | None
) -> None:
    response = post(server, "generations", **{"model": "palette", "prompt": "orc"} | fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert code in (None, error["code"])


def test_a_completion_is_no_sheet(server: Server) -> None:
    fields = {"model": "palette", "prompt": "orc", "image": base64.b64encode(b"no picture").decode()}
    response = post(server, "completions", **fields, sheet="arms")
    assert (response.status_code, response.json()["error"]["param"]) == (400, "sheet")
