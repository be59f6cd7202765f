"""`ancestral draw --sheet`: every sprite is the picture that its prompt and seed give, where the atlas says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.service.support import PICTURES

Run = Callable[..., subprocess.CompletedProcess[bytes]]
SPEC = PICTURES["palette"]


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGBA"))


def test_a_sheet_has_the_pictures_of_its_atlas(ancestral: Run, tmp_path: Path) -> None:
    sheet, options = tmp_path / "dolls.png", ("--model", "palette", "--scale", "3")
    done = ancestral("draw", "robe", *options, "--sheet", "2x3", "--seed", "7", "-o", str(sheet))
    assert done.returncode == 0, done.stderr
    assert f"{sheet}: 6 of 8x8, seed 7".encode() in done.stderr
    atlas = json.loads(sheet.with_suffix(".json").read_text())
    assert (atlas["image"], atlas["model"]) == ("dolls.png", "palette")
    with Image.open(sheet) as image:
        assert (image.mode, image.info["transparency"]) == ("P", 0)
        assert image.size == (atlas["width"], atlas["height"]) == (72, 48)
    sprites = atlas["sprites"]
    assert [(one["x"], one["y"]) for one in sprites] == [(x, y) for y in (0, 24) for x in (0, 24, 48)]
    assert len({one["name"] for one in sprites}) == len({one["seed"] for one in sprites}) == 6
    whole = pixels(sheet)
    for one in sprites[::2]:
        assert one["attributes"]["garment"] == "robe"
        assert one["attributes"].keys() == {name for name, _ in SPEC.attributes}
        assert set(one["attributes"].values()) == set(one["prompt"].split(", "))
        assert one["name"].startswith(one["attributes"]["species"])
        alone = tmp_path / "one.png"
        seed = ("--seed", str(one["seed"]))
        assert ancestral("draw", one["prompt"], *options, *seed, "-o", str(alone)).returncode == 0
        x, y = one["x"], one["y"]
        assert np.array_equal(pixels(alone), whole[y : y + one["height"], x : x + one["width"]])


def test_a_sheet_in_rgb_without_attributes(ancestral: Run, tmp_path: Path) -> None:
    sheet = tmp_path / "grey.webp"
    done = ancestral("draw", "any", "--model", "grey", "--sheet", "1x2", "--seed", "7", "-o", str(sheet))
    assert done.returncode == 0, done.stderr
    atlas = json.loads(sheet.with_suffix(".json").read_text())
    assert [(one["name"], one["attributes"]) for one in atlas["sprites"]] == [("picture-0", {}), ("picture-1", {})]
    assert pixels(sheet).shape == (6, 10, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sheet", "3"), b"is not ROWSxCOLUMNS"),
        (("--sheet", "0x5"), b"is not ROWSxCOLUMNS"),
        (("--sheet", "40x40"), b"at most 1000 pictures"),
        (("--sheet", "2x2", "-n", "3"), b"leave --count out"),
    ],
)
def test_sheets_that_are_refused(ancestral: Run, tmp_path: Path, arguments: tuple[str, ...], message: bytes) -> None:
    done = ancestral("draw", "robe", "--model", "palette", "-o", str(tmp_path / "a.png"), *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
