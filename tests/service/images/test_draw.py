"""`ancestral draw`: it writes the files of the server, and sheets whose sprites are where their atlas says; and what
`ancestral models` says of models that draw."""

from __future__ import annotations

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

from ancestral import load
from ancestral.images import picture
from ancestral.provenance.c2pa import COMPOSITE, SAMPLED, Claim
from tests.service.images.pictures import BEST, KEPT, Pixels, entries, files, mask_of, noise, post, recipe_of, written
from tests.service.servers import Server
from tests.service.toys import PICTURES

Run = Callable[..., subprocess.CompletedProcess[bytes]]
Draw = Callable[..., str]
SPEC = PICTURES["palette"]
ELF = {"model": "palette", "prompt": "elf"}
TWO = ["#204060", "#ffe0a0"]
DRAWN: list[tuple[str, str, dict[str, Any]]] = [
    *((f"Dog --model rgb -o a.{ending}", "generations", {"output_format": form}) for ending, form in (
        ("png", "png"), ("webp", "webp"), ("jpg", "jpeg"), ("jpeg", "jpeg"), ("PNG", "png"))),
    ("dog --model rgb -n 3 --scale 4 --style OIL", "generations", {"n": 3, "size": "32x24", "style": "oil"}),
    ("any --model grey", "generations", {"model": "grey", "prompt": None}),
    ("owl", "generations", {"model": "subclasses", "prompt": "owl"}),
    ("elf --model palette --palette two.hex", "generations", ELF | {"palette": TWO}),
    ("orc,robe,axe --model palette --best-of 4", "generations", BEST | {"n": 1, "prompt": "orc,robe,axe"}),
    ("--like autoencoder.png --model autoencoder -n 2", "reconstructions", {"n": 2}),
    ("--like portraits.png --model portraits -n 2", "portraits", {"n": 2}),
    ("axe --edit palette.png --mask mask.png --model palette -n 2", "edits", {"n": 2}),
]  # fmt: skip
"""The command line, and the request for the same pictures. Where no model is named, the first draws that can. Single
fields: tests/service/test_doors.py."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that the command runs in, with files to draw from."""
    for model in ("autoencoder", "portraits", "palette"):
        (tmp_path / f"{model}.png").write_bytes(written(noise(model)))
    (tmp_path / "mask.png").write_bytes(mask_of(KEPT))
    (tmp_path / "two.hex").write_text("204060\nffe0a0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def draw(ancestral: Run, folder: Path) -> Callable[..., str]:
    """Run `ancestral draw` with words, and more of them; what it says."""

    def run(words: str, *more: str) -> str:
        done = ancestral("draw", *words.split(), *more)
        assert (done.returncode, done.stdout) == (0, b""), done.stderr
        return done.stderr.decode().strip()

    return run


@pytest.mark.parametrize(("arguments", "route", "changes"), DRAWN)
def test_it_writes_the_files_of_the_server(
    draw: Draw, server: Server, folder: Path, arguments: str, route: str, changes: dict[str, Any]
) -> None:
    answer, out = post(server, route, **changes), folder / "out"
    out.mkdir()
    told = draw(
        arguments.replace("-o ", "-o out/") + (" --seed 7" if " -o " in arguments else " --seed 7 -o out/a.png")
    )
    found = sorted(out.iterdir())
    assert [path.read_bytes() for path in found] == files(answer)
    if len(found) > 1:
        assert [path.name for path in found] == [f"a-{number}.png" for number in range(len(found))]
        assert f"out/a-0.png to out/a-{len(found) - 1}.png: {len(found)} of " in told
    else:
        assert f"{found[0].relative_to(folder)}: 1 of " in told
    revised = "; ".join(entry["revised_prompt"] for entry in entries(answer) if "revised_prompt" in entry)
    assert told.endswith(f", seed {entries(answer)[0]['seed']}" + (f": {revised}" if revised else ""))


def test_a_seed_is_drawn_and_told(draw: Draw, server: Server, folder: Path) -> None:
    seed = int(draw("any --model rgb -o a.png").split("seed ")[1])
    assert [(folder / "a.png").read_bytes()] == files(post(server, "generations", prompt="any", seed=seed))


def test_palettes_are_saved(draw: Draw, folder: Path) -> None:
    """What was saved is read again; without another palette it is the model's own."""
    draw("elf --model palette --seed 7 -o a.png --palette pico-8 --save-palette saved.gpl")
    draw("elf --model palette --seed 7 -o b.png --palette saved.gpl --save-palette again.gpl")
    draw("elf --model palette --seed 7 -o c.png --save-palette own.gpl")
    assert np.array_equal(pixels(folder / "a.png"), pixels(folder / "b.png"))
    lines = (folder / "own.gpl").read_text().splitlines()
    assert lines[:4] == ["GIMP Palette", "Name: palette", "#", "  0   0   0\tUntitled"]


# Sheets


def pixels(file: Path) -> Pixels:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGBA"))


def test_a_sheet_has_the_pictures_of_its_atlas(draw: Draw, folder: Path) -> None:
    """Each between two pixels on every side that repeat its edge."""
    options, sheet = "--model palette --scale 3", folder / "dolls.png"
    told = draw(f"robe {options} --sheet 2x3 --padding 2 --seed 7 -o dolls.png")
    assert told.endswith("dolls.png: 6 of 8x8, seed 7")
    atlas = json.loads(sheet.with_suffix(".json").read_text())
    assert (atlas["meta"]["image"], atlas["meta"]["model"], atlas["meta"]["scale"]) == ("dolls.png", "palette", "1")
    with Image.open(sheet) as image:
        assert (image.mode, image.info["transparency"]) == ("P", 0)
        assert image.size == (atlas["meta"]["size"]["w"], atlas["meta"]["size"]["h"]) == (84, 56)
    sprites, whole = list(atlas["frames"].items()), pixels(sheet)
    places = [{"x": x, "y": y, "w": 24, "h": 24} for y in (2, 30) for x in (2, 30, 58)]
    assert [one["frame"] for _, one in sprites] == places
    assert len({one["seed"] for _, one in sprites}) == len(sprites) == 6
    for name, one in sprites[::2]:
        # What Phaser and PixiJS read: a frame that was neither turned nor cut.
        assert (one["rotated"], one["trimmed"], one["sourceSize"]) == (False, False, {"w": 24, "h": 24})
        assert one["spriteSourceSize"] == {"x": 0, "y": 0, "w": 24, "h": 24}
        assert one["attributes"]["garment"] == "robe"
        assert one["attributes"].keys() == {name for name, _ in SPEC.attributes}
        assert set(one["attributes"].values()) == set(one["prompt"].split(", "))
        assert name.startswith(one["attributes"]["species"])
        draw(f"{options} --seed {one['seed']} -o one.png", one["prompt"])
        left, top = one["frame"]["x"] - 2, one["frame"]["y"] - 2
        padded = np.pad(pixels(folder / "one.png"), ((2, 2), (2, 2), (0, 0)), mode="edge")
        assert np.array_equal(padded, whole[top : top + 28, left : left + 28])


def test_a_sheet_without_attributes(draw: Draw, folder: Path) -> None:
    draw(f"any --model grey --sheet 1x2 --seed {2**53} -o grey.webp")
    frames = json.loads((folder / "grey.json").read_text())["frames"]
    assert [(name, one["attributes"]) for name, one in frames.items()] == [("picture-0", {}), ("picture-1", {})]
    assert frames["picture-0"]["seed"] == "9007199254740992", "JavaScript would round the number"
    assert pixels(folder / "grey.webp").shape == (6, 10, 4)


ARMS = "orc --model palette --sheet arms --seed 5 --scale 2"


@pytest.mark.parametrize(("words", "speed"), [(ARMS, 8), (ARMS.replace("arms", "2x3 --padding 1"), 5)])
def test_a_sheet_for_godot(draw: Draw, folder: Path, words: str, speed: int) -> None:
    """The same places, names, seeds and attributes as in JSON; its animations, or each frame as one."""
    draw(f"{words} --atlas json -o json.png")
    draw(f"{words} --atlas godot -o godot.png")
    assert not (folder / "godot.json").exists()
    text, atlas = (folder / "godot.tres").read_text(), json.loads((folder / "json.json").read_text())
    assert text.startswith('[gd_resource type="SpriteFrames" format=3]\n')
    assert '[ext_resource type="Texture2D" path="godot.png" id="sheet"]' in text
    assert 'metadata/model = "palette"\n' in text
    textures = re.findall(
        r'\[sub_resource type="AtlasTexture" id="(\d+)"\]\natlas = ExtResource\("sheet"\)\n'
        r"region = Rect2\((\d+), (\d+), (\d+), (\d+)\)\n"
        r"metadata/seed = (\d+)\nmetadata/prompt = (.+)\nmetadata/attributes = (.+)\n",
        text,
    )
    told = {
        number: (list(map(int, place)), int(seed), json.loads(prompt), json.loads(attributes))
        for number, *place, seed, prompt, attributes in textures
    }
    frames = atlas["frames"].values()
    wanted = [(list(one["frame"].values()), one["seed"], one["prompt"], one["attributes"]) for one in frames]
    assert list(told.items()) == list(zip("012345", wanted, strict=True))
    animations = re.findall(rf'"frames": \[(.+?)\], "loop": true, "name": &"([^"]+)", "speed": {speed}\.0', text)
    numbers = {name: re.findall(r'SubResource\("(\d)"\)', list_) for list_, name in animations}
    names = list(atlas["frames"])
    told_animations = {name: [names[int(number)] for number in found] for name, found in numbers.items()}
    assert told_animations == atlas.get("animations", {name: [name] for name in names})


def test_a_sheet_that_the_model_lays_out(draw: Draw, folder: Path) -> None:
    """One orc in all frames: what is not named is drawn once, every frame is the picture of its prompt and the seed."""
    told = draw(f"{ARMS} --animation swing.webp -o orc.png")
    assert told.endswith("orc.png: 6 of 8x8, seed 5: orc")
    atlas, whole = json.loads((folder / "orc.json").read_text()), pixels(folder / "orc.png")
    names = ["rest robe 0", "swing robe 0", "swing robe 1", "rest mail 0", "swing mail 0", "swing mail 1"]
    assert list(atlas["frames"]) == names
    assert atlas["animations"] == {
        "rest robe": names[:1], "swing robe": names[1:3], "rest mail": names[3:4], "swing mail": names[4:],
    }  # fmt: skip
    assert atlas["meta"]["frameTags"][1] == {"name": "swing robe", "from": 1, "to": 2, "direction": "forward"}
    frames = list(atlas["frames"].values())
    assert [one["attributes"]["weapon"] for one in frames] == ["no weapon", "staff", "axe"] * 2
    assert {(one["duration"], one["seed"]) for one in frames} == {(125, 5)}
    for one in frames[1::3]:
        draw("--model palette --scale 2 --seed 5 -o one.png", one["prompt"])
        left, top = one["frame"]["x"], one["frame"]["y"]
        assert np.array_equal(pixels(folder / "one.png"), whole[top : top + 16, left : left + 16])
    recipe = recipe_of((folder / "orc.png").read_bytes())
    assert (recipe["prompt"], recipe["sheet"], recipe["seed"]) == ("orc", "arms", 5)
    with Image.open(folder / "swing.webp") as image:
        assert (image.format, image.size, image.n_frames) == ("WEBP", (32, 16), 2)
        for number in range(2):
            image.seek(number)
            rows = [whole[top : top + 16, 16 + 16 * number :][:, :16] for top in (0, 16)]
            shown, wanted = np.asarray(image.convert("RGBA")), np.concatenate(rows, axis=1)
            assert np.array_equal(shown[..., 3], wanted[..., 3])
            assert np.array_equal(shown[wanted[..., 3] > 0], wanted[wanted[..., 3] > 0])
    draw(f"{ARMS} --animation swing.png -o orc.png")
    with Image.open(folder / "swing.png") as image:
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (2, 125, 0)


def test_claims_of_animations_and_sheets(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed that JavaScript would round is text; a sheet of completed pictures was not made by the model alone."""
    claims, model = list[Claim](), load("palette", directory=zoo, engine="native")
    monkeypatch.setattr(picture, "write_file", lambda path, data, form, claim, signer: claims.append(claim))
    model.draw_sheet("arms", "orc", seed=2**53).save_animation(tmp_path / "swing.webp")
    model.complete(Image.new("RGB", (8, 8)), n=2).save_sheet(tmp_path / "two.png")
    assert [(claim.recipe.get("seed"), claim.source) for claim in claims] == [(str(2**53), SAMPLED), (None, COMPOSITE)]


def test_a_sheet_over_http(server: Server, draw: Draw, folder: Path) -> None:
    """The file of the command line, its atlas, and a manifest; frames and tokens are counted once each."""
    draw(f"{ARMS} -o arms.png")
    request = {"model": "palette", "prompt": "orc", "sheet": "arms", "size": "16x16", "seed": 5}
    sent, linked = (post(server, "generations", **request, response_format=form) for form in ("b64_json", "url"))
    assert files(linked) == files(sent)
    (folder / "served.png").write_bytes(files(sent)[0])
    assert np.array_equal(pixels(folder / "served.png"), pixels(folder / "arms.png"))
    assert sent.json()["atlas"] == json.loads((folder / "arms.json").read_text())
    (only,), usage = entries(sent), sent.json()["usage"]
    assert (only["seed"], only["revised_prompt"]) == (5, "orc")
    again = post(server, "generations", **request | {"prompt": only["revised_prompt"]})
    assert files(again) == files(sent), "it can be followed"
    content = httpx.get(f"{server.url}/v1/jobs/{sent.headers['x-job-id']}/content")
    assert content.headers["content-disposition"].endswith('.png"'), "which is one file"
    assert (usage["input_tokens"], usage["output_tokens"]) == (1, 6 * 64)
    listed = httpx.get(f"{server.url}/v1/models/palette").json()
    assert (listed["sheets"], listed["sheet_attributes"]) == (["arms"], {"arms": ["garment", "weapon"]})
    assert "sheets" not in httpx.get(f"{server.url}/v1/models/grey").json()
