"""`ancestral picture add`, from a folder to a model that a server lists and draws, with steps too few to be of use."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.checkpoint import load, save
from ancestral.models.entries import ModelEntry
from ancestral.models.networks import load_network
from ancestral.models.palette import rgba
from ancestral.training.data.images import Pictures, PictureSet
from ancestral.training.loop import LOG
from ancestral.training.picture import NewPictures, _fitted, _scaled, _worse, base_for, publish
from tests.service.cli.conftest import Run
from tests.service.servers import running
from tests.training.test_picture_folder import COLOURS, painted, stored


def folder_of(path: Path) -> Path:
    return stored(path, painted(), lambda number: f"{('moss', 'rock', 'sand')[number % 3]}/{number}.png")


def added(run: Run, images: Path, work: Path, *options: object, name: str = "gems", base: str = "palette") -> str:
    made = run("picture", "add", name, "--images", images, "--base", base, "--work", work, *options)
    assert made.exit_code == 0, made.output
    return str(made.stderr)


def test_pictures_of_ones_own_are_served(run: Run, tmp_path: Path) -> None:
    images, work, models = folder_of(tmp_path / "art"), tmp_path / "work", tmp_path / "data" / "models"
    added(run, images, work, "--steps", 5, "--licence", "CC0-1.0")
    card = (models / "gems" / "pixelcnn" / "README.md").read_text()
    assert "licence: CC0-1.0" in card
    assert "![Sampled pictures](sheet.png)" in card
    assert "| class: accuracy of samples (of test pictures; by chance) |" in card
    assert "| near copies: " in card
    with Image.open(models / "gems" / "pixelcnn" / "sheet.png") as sheet:
        assert sheet.width > 100
    report = json.loads((work / "report" / "report.json").read_text())
    assert report["accuracy"]["class"]["chance"] == pytest.approx(1 / 3)

    again = run("picture", "add", "gems", "--images", images, "--base", "palette", "--work", work)
    assert (again.exit_code, "there is a model 'gems' already" in again.stderr) == (1, True)
    with tempfile.TemporaryDirectory(prefix="anc-") as data:
        shutil.copytree(models, Path(data, "models"))
        with running(dict(os.environ), data_dir=data, engine="native", threads=2) as server:
            listed = {model["id"] for model in httpx.get(f"{server.url}/v1/models").json()["data"]}
            assert "gems" in listed
            body = {"model": "gems", "prompt": "rock", "seed": 3, "response_format": "b64_json"}
            answer = httpx.post(f"{server.url}/v1/images/generations", json=body, timeout=60.0)
            assert answer.status_code == 200, answer.text
            picture = Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][0]["b64_json"])))
    assert (picture.size, picture.mode) == ((12, 8), "P")
    shown = {bytes(colour) for colour in np.asarray(picture.convert("RGBA")).reshape(-1, 4) if colour[3]}
    assert shown <= {bytes(colour) + b"\xff" for colour in COLOURS}


def test_the_same_command_goes_on_where_it_was_stopped(run: Run, tmp_path: Path) -> None:
    images, work, model = folder_of(tmp_path / "art"), tmp_path / "work", tmp_path / "data" / "models" / "gems"
    added(run, images, work, "--steps", 5)
    trunk, weights = (work / "trunk" / "state.safetensors").read_bytes(), load(model / "pixelcnn").sha256
    for path in (model, work / "model", work / "classifier", work / "annealed-4"):
        shutil.rmtree(path)
    (work / "data.partial").mkdir()
    shutil.rmtree(images / "moss")
    said = added(run, images, work, "--steps", 5)
    assert "Going on with the pictures in" in said
    assert (work / "trunk" / "state.safetensors").read_bytes() == trunk
    assert load(model / "pixelcnn").sha256 == weights


@pytest.mark.slow
def test_what_made_held_out_pictures_less_likely_is_not_annealed(run: Run, tmp_path: Path) -> None:
    images, work, model = folder_of(tmp_path / "art"), tmp_path / "work", tmp_path / "data" / "models" / "gems"
    added(run, images, work, "--steps", 5)
    weights = load(model / "pixelcnn").sha256
    shutil.copyfile(work / "annealed-4" / "state.safetensors", work / "trunk" / "state.safetensors")  # a later one
    with (work / "trunk" / LOG).open("a") as log:
        log.write(f"{json.dumps({'valid_bits_per_dim': 99.0})}\n")
    for path in (model, work / "model", work / "classifier", work / "annealed-4"):
        shutil.rmtree(path)
    added(run, images, work, "--steps", 5)
    assert load(model / "pixelcnn").sha256 == weights


def test_hours_end_a_training(run: Run, tmp_path: Path) -> None:
    images = painted()
    images[..., 3] = 255
    images[..., 1] = np.random.default_rng(0).integers(0, 256, images.shape[:3])
    said = added(
        run, stored(tmp_path / "art", images), tmp_path / "work", "--hours", 1e-3, name="noise", base="subclasses"
    )
    assert "no palette; training on from subclasses" in said
    seconds = [json.loads(line)["hours"] * 3600 for line in (tmp_path / "work/trunk" / LOG).read_text().splitlines()]
    assert seconds[-1] < 3600
    report = json.loads((tmp_path / "work" / "report" / "report.json").read_text())
    assert "accuracy" not in report, "one class needs no classifier"
    assert report["copies"]["equal"] == 0.0
    drawn = run("draw", "noise", "--model", "noise", "-o", tmp_path / "noise.png")
    assert drawn.exit_code == 0, drawn.output


def test_a_classifier_that_is_often_wrong_is_left_out_and_copies_are_admitted(run: Run, tmp_path: Path) -> None:
    work, models = tmp_path / "work", tmp_path / "data" / "models"
    added(run, folder_of(tmp_path / "art"), work, "--steps", 2)
    report = json.loads((work / "report" / "report.json").read_text())
    for name, real, copies in (("sure", 0.9, 0.5), ("unsure", 0.7, 0.0)):
        report["accuracy"]["class"]["real"], report["copies"]["copies"] = real, copies
        (work / "report" / "report.json").write_text(json.dumps(report))
        new = NewPictures(name, ModelEntry.read(models / "gems"), work, 1.0)
        warning = publish(new, models / name)
        assert (models / name / "classifier").exists() == (name == "sure")
        said = "50.0 % of the samples are near copies: pictures were memorised, or samples are nearly empty."
        expected = said if name == "sure" else None
        assert warning == expected
        assert ("memorised" in (models / name / "pixelcnn" / "README.md").read_text()) == (name == "sure")


def test_what_cannot_be_added(run: Run, tmp_path: Path) -> None:
    images, empty = folder_of(tmp_path / "art"), tmp_path / "empty"
    empty.mkdir()
    for name, folder, base, message in (
        ("palette", images, "palette", "there is a model 'palette' already"),
        ("../x", images, "palette", "id: lowercase"), ("a/b", images, "palette", "id: lowercase"),
        ("gems", empty, "palette", "0 pictures; at least 50"), ("gems", images, "nope", "there is no model 'nope'"),
        ("gems", images, None, "there is no model 'pixelcnn-digits'"),
        ("gems", images, "tiny", "'tiny' is no PixelCNN with labels"),
        ("gems", images, "grey", "'grey' is no PixelCNN with labels"),
        ("gems", images, "diagonal", "'diagonal' is no PixelCNN with labels"),
    ):  # fmt: skip
        options = () if base is None else ("--base", base)
        result = run("picture", "add", name, "--images", folder, *options, "--work", tmp_path / "work", "--steps", 2)
        assert (result.exit_code, message in result.stderr) == (1, True), result.output
        assert not (tmp_path / "data" / "models").exists()


def test_training_ends_where_held_out_pictures_become_less_likely(tmp_path: Path) -> None:
    assert not _worse(tmp_path)
    lines = [{"loss": 1.0}, {"valid_bits_per_dim": 3.0}, {"loss": 0.9}]
    for bits, worse in ((2.0, False), (1.9, False), (1.95, True)):
        lines.append({"valid_bits_per_dim": bits})
        (tmp_path / LOG).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        assert _worse(tmp_path) == worse


def _set(shape: tuple[int, int, int], palette: tuple[str, ...], fill: int = 7) -> PictureSet:
    part = Pictures(np.full((2, *shape), fill, np.uint8), np.zeros((2, 1), np.int64))
    return PictureSet((("class", ("a", "b")),), part, part, part, palette=palette)


@pytest.mark.parametrize(
    ("shape", "palette", "fill", "base"),
    [
        ((32, 32, 1), ("#00000000", "#ffffff"), 1, "pixelcnn-sprites"),
        ((24, 64, 1), ("#000000", "#ffffff"), 1, "pixelcnn-avatars"),
        ((28, 28, 1), (), 7, "pixelcnn-fashion"),
        ((28, 28, 1), (), 255, "pixelcnn-digits"),
        ((32, 32, 3), (), 255, "pixelcnn-avatars-rgb"),
        ((16, 16, 1), ("#00000000", "#ffffff"), 1, "pixelcnn-digits"),
        ((30, 30, 3), (), 7, "pixelcnn-digits"),
    ],
)
def test_size_and_colours_decide_the_base(
    shape: tuple[int, int, int], palette: tuple[str, ...], fill: int, base: str
) -> None:
    assert base_for(_set(shape, palette, fill)) == base


def test_a_network_begins_as_the_base_draws_unnamed_in_the_nearest_colours(zoo: Path, tmp_path: Path) -> None:
    base = load(zoo / "palette" / "pixelcnn")
    old = base.spec_as(PixelCNNSpec)
    order = [0, 3, 1, 5, 2, 4]
    palette = tuple(old.palette[index] for index in order)
    pictures = _set((8, 8, 1), palette, 1)
    spec = replace(old, palette=palette, attributes=pictures.attributes, label_rows=0)
    save(tmp_path / "start", spec, _fitted(base, spec, pictures), "")
    symbols = torch.from_numpy(np.random.default_rng(0).integers(0, 6, (3, 8, 8, 1)))
    begun, known = load_network(load(tmp_path / "start")), load_network(base)
    unnamed = torch.tensor([[len(values) for values in old.conditions]] * 3)
    expected = known(torch.tensor(order)[symbols], unnamed)
    for labels in ([[0]] * 3, [[2]] * 3):
        torch.testing.assert_close(begun(symbols, torch.tensor(labels)), expected[..., order], rtol=1e-4, atol=1e-4)


def test_colours_that_share_the_nearest_one_share_its_probability(zoo: Path) -> None:
    base = load(zoo / "palette" / "pixelcnn")
    old = base.spec_as(PixelCNNSpec)
    palette = (*old.palette, "#ffffff", "#fefefe")
    pictures = _set((8, 8, 1), palette, 1)
    spec = replace(old, levels=8, palette=palette, attributes=pictures.attributes, label_rows=0)
    fitted = _fitted(base, spec, pictures)
    assert rgba(spec)[3].tolist() == [255, 255, 255, 255]
    for prefix in ("", "coarse."):
        shares = np.exp(fitted[f"{prefix}output_bias"])
        assert shares[[3, 6, 7]].sum() == pytest.approx(np.exp(base.tensors[f"{prefix}output_bias"][3]), rel=1e-5)


def test_maps_are_scaled() -> None:
    maps = np.arange(12, dtype=np.float32).reshape(2, 6)
    assert np.array_equal(_scaled(maps, (1, 3), (1, 3)), maps)
    assert _scaled(maps, (1, 3), (2, 6)).reshape(2, 2, 2, 6)[0, 1].tolist() == [[3, 3, 4, 4, 5, 5]] * 2
    assert _scaled(maps, (1, 3), (1, 2)).tolist() == [[0, 1, 3, 4], [6, 7, 9, 10]]
