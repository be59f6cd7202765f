"""`ancestral draw`: it writes the files of the server, and sheets whose sprites are where their atlas says; and what
`ancestral models` says of models that draw."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service.images.pictures import BEST, KEPT, Pixels, entries, files, mask_of, noise, post, seeds, written
from tests.service.servers import Server
from tests.service.toys import PICTURES

Run = Callable[..., subprocess.CompletedProcess[bytes]]
SPEC = PICTURES["palette"]
ELF = {"model": "palette", "prompt": "elf"}
TWO = ["#204060", "#ffe0a0"]
DRAWN: list[tuple[str, str, dict[str, Any]]] = [
    *((f"Dog --model rgb -o a.{ending}", "generations", {"output_format": form}) for ending, form in (
        ("png", "png"), ("webp", "webp"), ("jpg", "jpeg"), ("jpeg", "jpeg"), ("PNG", "png"))),
    ("dog --model rgb -n 3 --scale 4 --style OIL", "generations", {"n": 3, "size": "32x24", "style": "oil"}),
    ("any --model grey --temperature 0.5", "generations", {"model": "grey", "prompt": None, "temperature": 0.5}),
    ("TWO --model binary --guidance 3", "generations", {"model": "binary", "prompt": "two", "guidance": 3.0}),
    ("birds --model subclasses -n 3", "generations", {"model": "subclasses", "prompt": "birds", "n": 3}),
    ("owl", "generations", {"model": "subclasses", "prompt": "owl"}),
    ("elf,robe --model palette", "generations", ELF | {"prompt": "elf,robe"}),
    ("elf --model palette --background opaque", "generations", ELF | {"background": "opaque"}),
    ("elf --model palette --palette pico-8", "generations", ELF | {"palette": "pico-8"}),
    ("elf --model palette --palette two.hex", "generations", ELF | {"palette": TWO}),
    ("orc,robe,axe --model palette --best-of 4", "generations", BEST | {"n": 1, "prompt": "orc,robe,axe"}),
    ("--like autoencoder.png --model autoencoder -n 2", "reconstructions", {"n": 2}),
    ("--like portraits.png --model portraits -n 2", "portraits", {"n": 2}),
    ("axe --edit palette.png --mask mask.png --model palette -n 2", "edits", {"n": 2}),
]  # fmt: skip
"""The command line, and the request for the same pictures. Where no model is named, the first draws that can."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that the command runs in, with files to draw from."""
    for model in ("autoencoder", "portraits", "palette"):
        (tmp_path / f"{model}.png").write_bytes(written(noise(model)))
    (tmp_path / "mask.png").write_bytes(mask_of(KEPT))
    (tmp_path / "two.hex").write_text("204060\nffe0a0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("arguments", "route", "changes"), DRAWN)
def test_it_writes_the_files_of_the_server(
    ancestral: Run, server: Server, folder: Path, arguments: str, route: str, changes: dict[str, Any]
) -> None:
    answer = post(server, route, **changes)
    (folder / "out").mkdir()
    words = arguments.replace("-o ", "-o out/").split()
    done = ancestral("draw", *words, *([] if "-o" in words else ["-o", "out/a.png"]), "--seed", "7")
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    written_files = sorted((folder / "out").iterdir())
    assert [path.read_bytes() for path in written_files] == files(answer)
    if len(written_files) > 1:
        assert [path.name for path in written_files] == [f"a-{number}.png" for number in range(len(written_files))]
    told = [entry["revised_prompt"] for entry in entries(answer) if "revised_prompt" in entry]
    ending = f", seed {seeds(answer)[0]}" + (f": {'; '.join(told)}" if told else "")
    assert done.stderr.decode().strip().endswith(ending)


def test_a_seed_is_drawn_and_told(ancestral: Run, server: Server, folder: Path) -> None:
    done = ancestral("draw", "any", "--model", "rgb", "-o", "a.png")
    seed = int(done.stderr.split(b"seed ")[1])
    assert [(folder / "a.png").read_bytes()] == files(post(server, "generations", prompt="any", seed=seed))


def test_palettes_are_saved(ancestral: Run, folder: Path) -> None:
    """What was saved is read again; without another palette it is the model's own."""
    draw = ("draw", "elf", "--model", "palette", "--seed", "7", "-o")
    assert ancestral(*draw, "a.png", "--palette", "pico-8", "--save-palette", "saved.gpl").returncode == 0
    assert ancestral(*draw, "b.png", "--palette", "saved.gpl").returncode == 0
    assert np.array_equal(pixels(folder / "a.png"), pixels(folder / "b.png"))
    assert ancestral(*draw, "a.png", "--save-palette", "own.gpl").returncode == 0
    lines = (folder / "own.gpl").read_text().splitlines()
    assert lines[:4] == ["GIMP Palette", "Name: palette", "#", "  0   0   0\tUntitled"]


REFUSED = [
    ("zebra", 1, "rgb has no such class or style; it has cat, dog, cow"), ("cats", 1, "nearest: cat"),
    ("dog --style pencil", 1, "rgb has no such style"),
    ("dog --model tiny", 1, "tiny is not made for image_generation"),
    ("dog --model nothing", 1, "no such model"), ("dog --model grey", 1, "grey has no classes"),
    ("dog -o a.gif", 2, ".png, .webp, .jpg, .jpeg"), ("dog -o png", 2, ".png, .webp, .jpg, .jpeg"),
    ("dog -n 0", 2, "--count"), ("dog --scale 65", 2, "--scale"), ("dog --seed -1", 2, "--seed"),
    ("dog --temperature nan", 2, "--temperature"), ("dog -o /nowhere/a.png", 1, "/nowhere/a.png"),
    ("", 2, "CLASS"), ("dog --like FILE", 2, "either CLASS or --like"),
    ("dog --edit FILE", 2, "--edit and --mask go together"),
    ("dog --edit FILE --mask FILE --sheet 2x2", 2, "not with"),
    ("dog --edit FILE --mask FILE", 1, "rgb is not made for image_edit"),
    ("--like FILE", 1, "rgb is not made for image_reconstruction"),
    ("--like FILE --model autoencoder", 1, "not a PNG, WebP or JPEG file"),
    ("--like FILE --guidance 2", 2, "--guidance"),
    ("elf --model palette --palette amiga", 1, "no palette is called 'amiga'"),
    ("elf --model palette --palette missing.gpl", 1, "missing.gpl"),
    ("elf --model palette --save-palette a.txt", 1, "must end in .gpl"),
    ("robe --model palette --sheet 2x40 --scale 52 --padding 1", 1, "16720 x 836 pixels; engines take 16384 each way"),
    *((f"robe --model palette {options}", 2, message) for options, message in (
        ("--sheet arms -n 3", "leave --count out"),
        ("--sheet 2x2 --animation b.webp", "--animation is for --sheet NAME"),
        ("--sheet arms --animation b.gif", "must end in .png, .webp"), ("--sheet 3", "is not ROWSxCOLUMNS"),
        ("--sheet 0x5", "is not ROWSxCOLUMNS"), ("--sheet 40x40", "at most 1000 pictures"),
        ("--sheet 2x2 -n 3", "leave --count out"), ("--sheet 2x2 --padding 65", "0<=x<=64"),
        ("--sheet 2x2 --atlas unity", "is not one of"), ("--padding 2", "are for --sheet"),
        ("--atlas json", "are for --sheet"))),
    ("robe --model palette --sheet arms", 1, "prompt: the sheet 'arms' has pictures of more than one garment"),
    ("knight --model palette --sheet arms", 1, "has no such species"),
    ("any --model grey --sheet arms", 1, "sheet: grey has no sheets of its own"),
]  # fmt: skip
"""The command line, its exit code, and what its message says."""


@pytest.mark.parametrize(("arguments", "code", "message"), REFUSED)
def test_what_is_refused_is_told(
    ancestral: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    words = arguments.replace("FILE", __file__).split()
    words += ([] if "--model" in words else ["--model", "rgb"]) + ([] if "-o" in words else ["-o", "a.png"])
    done = ancestral("draw", *words)
    assert (done.returncode, message in done.stderr.decode()) == (code, True), done.stderr
    assert b"Traceback" not in done.stderr
    assert b"rows" not in done.stderr, "nothing was sampled"
    assert not list(tmp_path.iterdir())


def test_what_neither_a_file_nor_a_model_is_named_for(ancestral: Run, tmp_path: Path) -> None:
    for arguments, code, message in (
        (("dog",), 2, b"--output"),
        (("zebra", "-o", str(tmp_path / "a.png")), 1, b"has no such"),
    ):
        done = ancestral("draw", *arguments)
        assert (done.returncode, message in done.stderr) == (code, True), done.stderr


def test_models_are_listed_with_their_classes(ancestral: Run) -> None:
    done = ancestral("models", COLUMNS="200")
    assert done.returncode == 0
    text = done.stdout.decode()
    words = ("rgb", "binary", "grey", "cat", "crayon", "Three", "8x6 pixels", "receptive field 3", "Random pictures.")
    assert all(word in text for word in words)


@pytest.mark.parametrize("damage", ["weights", "kind", "voices"])
def test_a_model_that_does_not_fit_together(
    ancestral: Run, process: Run, zoo: Path, tmp_path: Path, damage: str
) -> None:
    model = tmp_path / "rgb"
    shutil.copytree(zoo / "rgb", model)
    if damage == "weights":
        weights = model / "pixelcnn" / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "kind":
        shutil.rmtree(model / "pixelcnn")
        shutil.copytree(zoo / "tiny" / "wavenet", model / "pixelcnn")
    else:
        manifest = json.loads((model / "model.json").read_text())
        (model / "model.json").write_text(json.dumps(manifest | {"voices": []}))
    said = {
        "weights": b"rgb: weights.safetensors", "kind": b"needs the checkpoint of an image network",
        "voices": b"rgb: voices",
    }  # fmt: skip
    drawing = (ancestral, "draw", "dog", "--model", "rgb", "-o", "a.png")
    for run, *arguments in ((ancestral, "models"), (process, "serve"), drawing):
        done = run(*arguments, ANCESTRAL_MODELS_DIR=str(tmp_path))
        assert done.returncode == 1
        assert said[damage] in done.stderr
        assert b"Traceback" not in done.stderr


# Sheets


def pixels(file: Path) -> Pixels:
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
