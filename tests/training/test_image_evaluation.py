"""Judges of pictures, against answers that are known."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.checkpoint import load, save
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.spec import ImageSpec
from ancestral.service.cli.main import ancestral
from ancestral.training.data.images import Pictures, read_image
from ancestral.training.evaluation.images import (
    draw_classes,
    draw_named,
    independent_nats,
    marginal_nats,
    png_bits,
    write_classes,
)
from ancestral.training.model_card import with_sheet
from ancestral.training.tasks.images import ImageTask

CLASSES = ("left", "right")


def halves(count: int, seed: int) -> Pictures:
    """Grey pictures of 8 × 8 pixels with the left or the right half mostly white."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (count, 1))
    light = np.arange(8) // 4 == labels
    images = np.where(light[:, None, :, None], rng.integers(200, 256, (count, 8, 8, 1)), 10).astype(np.uint8)
    return Pictures(images, labels)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("halves")
    train, test = halves(400, 0), halves(60, 1)
    np.savez(
        path / "pictures.npz", attributes=np.array(["class"]), values_class=np.array(CLASSES),
        x_train=train.images, labels_train=train.labels, x_test=test.images, labels_test=test.labels,
    )  # fmt: skip
    return path


def seen_as(levels: int, channels: int = 1, side: int = 8) -> ImageSpec:
    return ImageSpec(height=side, width=side, channels=channels, levels=levels)


def test_png_needs_the_bits_of_its_files() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    assert 8.0 < png_bits(noise, seen_as(256, 3)) < 8.5
    assert png_bits(noise[..., :1], seen_as(256)) > png_bits(np.zeros((2, 32, 32, 1), np.uint8), seen_as(256))
    bits = noise[..., :1] % 2
    assert 1.0 < png_bits(bits, seen_as(2)) < 2.0, "a bit, and what headers and the rows' filters take"
    images = Image.fromarray(noise[0])
    images.save(file := io.BytesIO(), "PNG", optimize=True)
    assert png_bits(noise[:1], seen_as(256, 3)) == 8 * len(file.getvalue()) / noise[0].size


def test_a_sheet_has_a_row_of_ten_for_each_class(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).repeat(40 * 40).reshape(24, 40, 40, 1)
    made = Pictures(images, np.arange(2).repeat(12)[:, None])
    write_classes(made, seen_as(256), tmp_path / "small.png")
    sheet = read_image(tmp_path / "small.png")
    assert sheet.shape == (2 * 82 + 2, 10 * 82 + 2, 3)
    assert (sheet[84:164, 2 + 9 * 82 : 82 + 9 * 82] == 21).all()
    large = Pictures(images.repeat(2, axis=1).repeat(2, axis=2), made.labels)
    write_classes(large, seen_as(256), tmp_path / "large.png")
    assert np.array_equal(read_image(tmp_path / "large.png"), sheet)


def test_a_card_shows_its_sheet_once() -> None:
    text = with_sheet("# Title\n\n## Data\n")
    assert text == "# Title\n\n![Sampled pictures](sheet.png)\n\n## Data\n"
    assert with_sheet(text) == text


def test_the_baseline_knows_how_often_each_pixel_is_what() -> None:
    train = np.array([[0, 1], [0, 1], [1, 1]], np.uint8).reshape(3, 1, 2, 1)
    exact = -math.log(2 / 5) - math.log(4 / 5)
    assert independent_nats(train, np.array([[1, 1]], np.uint8).reshape(1, 1, 2, 1), 2) == pytest.approx(exact)


def test_the_sum_over_classes_is_the_definitions(data: Path) -> None:
    spec = PixelCNNSpec(
        height=8, width=8, channels=1, levels=2, layers=2, features=4, first_kernel_size=3, output_features=5,
        attributes=(("class", CLASSES),), conditioning="class",
    )  # fmt: skip
    task = ImageTask(spec, data)
    torch.manual_seed(0)
    model = task.network().eval()
    test = task.held_out(task.pictures.test, 5)
    prior = np.array([0.3, 0.7])
    symbols = torch.from_numpy(test.images.astype(np.int64))
    total = torch.zeros(5, dtype=torch.float64)
    with torch.no_grad():
        for label, p in enumerate(prior):
            logits = model(symbols, torch.full((5, 1), label)).double().log_softmax(-1)
            total += p * logits.gather(-1, symbols[..., None]).sum(dim=(1, 2, 3, 4)).exp()
        mine = marginal_nats(model, spec, test, prior, torch.device("cpu"))
    assert mine == pytest.approx(float(-total.log().mean()), rel=1e-5)


def run(*arguments: object) -> str:
    done = CliRunner().invoke(ancestral, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


SIZES = ("--levels", 2, "--layers", 2, "--features", 4, "--output-features", 4, "--batch", 4)


@pytest.mark.slow
def test_a_model_is_trained_and_judged_from_the_command_line(data: Path, tmp_path: Path) -> None:
    checkpoint, out = tmp_path / "run" / "checkpoint", tmp_path / "report"
    run("train", "pixelcnn", "--data", data, "-o", tmp_path / "run", "--steps", 2, "--processes", 1, *SIZES)
    before = load(checkpoint)
    judged = ("evaluate", "images", checkpoint, "--data", data, "--drawn", 3, "--pictures", 9, "-o", out)
    run(*judged)
    assert load(checkpoint).card == before.card
    report = json.loads((out / "report.json").read_text())
    assert report["pictures"] == 9
    assert report["nats"] == pytest.approx(report["bits_per_dim"] * 64 * math.log(2))
    assert report["nats_summed_over_classes"] < report["nats"] + math.log(2) + 0.1
    bits = report["bits_per_dim_of_independent_pixels"]
    assert report["nats_of_independent_pixels"] == pytest.approx(bits * 64 * math.log(2))
    assert 0.0 < bits < 1.1 < report["bits_per_dim_of_png"], "a PNG's headers alone are longer than such a picture"
    assert report["accuracy"]["class"]["chance"] == 0.5
    assert report["accuracy"]["class"]["real"] == 1.0
    assert 0.0 <= report["accuracy"]["class"]["drawn"] <= 1.0
    assert set(report["fidelity"]) == set(report["fidelity_of_real"]) == {"precision", "recall"}
    assert report["copies"]["equal_of_real"] == 0.0 < report["copies"]["distance_of_real"]
    assert report["seconds_per_picture"] > 0
    assert read_image(out / "sheet.png").shape == (2 * 18 + 2, 3 * 18 + 2, 3)
    assert read_image(out / "nearest.png").shape == (2 * 10 + 2, 7 * 10 + 2, 3)


@pytest.mark.slow
def test_a_model_of_two_conditions_is_judged_by_its_classes_and_shown_in_its_card(data: Path, tmp_path: Path) -> None:
    arrays = dict(np.load(data / "pictures.npz"))
    for part in ("train", "test"):
        styles = np.arange(len(arrays[f"x_{part}"])) % 3
        arrays[f"labels_{part}"] = np.stack([arrays[f"labels_{part}"][:, 0], styles], axis=1)
    arrays |= {"attributes": np.array(["class", "style"]), "values_style": np.array(["a", "b", "c"])}
    np.savez(tmp_path / "two.npz", **arrays)
    checkpoint, out = tmp_path / "run" / "checkpoint", tmp_path / "report"
    shared = ("--data", tmp_path / "two.npz", "-o")
    run("train", "pixelcnn", *shared, tmp_path / "run", "--steps", 2, "--processes", 1, *SIZES)
    trained = load(checkpoint)
    save(checkpoint, trained.spec, trained.tensors, trained.card, half=True)  # as bundled weights are
    before = load(checkpoint)
    run("evaluate", "images", checkpoint, *shared, out, "--drawn", 12, "--pictures", 3, "--named", 5, "--card")
    after = load(checkpoint)
    assert (after.sha256, after.spec) == (before.sha256, before.spec)
    assert after.card == with_sheet(before.card) != before.card
    assert (checkpoint / "sheet.png").read_bytes() == (out / "sheet.png").read_bytes()
    assert read_image(out / "sheet.png").shape == (2 * 18 + 2, 10 * 18 + 2, 3)
    report = json.loads((out / "report.json").read_text())
    accuracy, named = report["accuracy"], report["named"]
    assert list(named) == ["1.0", "1.5", "2.0", "3.0", "real"]
    assert all(0 <= found["all"] <= min(found["class"], found["style"]) for found in named.values())
    assert {name: figures["chance"] for name, figures in accuracy.items()} == {"class": 0.5, "style": 1 / 3}
    engine = NativeImageEngine(after)
    made, _ = draw_classes(engine, 4, temperature=0.0)
    assert made.labels.tolist() == [[label, style % 3] for label in (0, 1) for style in range(4)]
    assert np.array_equal(made.images[0], made.images[3]), "asked for the same, at temperature 0"
    led, _ = draw_classes(engine, 1, guidance=9.0, seed=3)
    every, _ = draw_named(engine, 60)
    assert {tuple(row) for row in every.labels.tolist()} == {(a, b) for a in range(2) for b in range(3)}
    h, free = (engine.embed_labels([label, 0]) for label in (1, None))
    assert np.array_equal(
        led.images[1], engine.draw([ImageStreamRequest(4, 1.0, h, guidance=9.0, unconditional=free)])[0]
    )


def test_a_network_without_classes_is_refused(data: Path, tmp_path: Path) -> None:
    arguments = ["train", "pixelcnn", "--data", data, "-o", tmp_path, "--steps", 1, "--processes", 1, "--original"]
    arguments += ["--levels", 2, "--layers", 2, "--features", 4, "--batch", 2, "--conditioning", "none"]
    assert CliRunner().invoke(ancestral, [str(a) for a in arguments]).exit_code == 0
    judged = ["evaluate", "images", tmp_path / "checkpoint", "--data", data, "-o", tmp_path / "report"]
    done = CliRunner().invoke(ancestral, [str(a) for a in judged])
    assert (done.exit_code, "the model has no attributes" in done.stderr) == (1, True)
