"""Judges of pictures, against answers that are known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from models.spec import PixelCNNSpec
from models.training.judging import Classifier, independent_nats, marginal_nats, nearest
from models.training.pictures import Pictures, read_image
from models.training.pixelcnn import PixelCNNTask
from service.cli import ancestral

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
        path / "pictures.npz", classes=np.array(CLASSES), x_train=train.images, y_train=train.labels[:, 0],
        x_test=test.images, y_test=test.labels[:, 0],
    )  # fmt: skip
    return path


@pytest.mark.parametrize("levels", [2, 256])
def test_a_classifier_learns_what_is_plain_to_see(levels: int) -> None:
    classifier, test = Classifier(halves(400, 0), levels, 2), halves(60, 1)
    symbols = test.images // 128 if levels == 2 else test.images
    assert (classifier.read(symbols) == test.labels[:, 0]).mean() == 1.0


def test_the_baseline_knows_how_often_each_pixel_is_what() -> None:
    train = np.array([[0, 1], [0, 1], [1, 1]], np.uint8).reshape(3, 1, 2, 1)
    exact = -math.log(2 / 5) - math.log(4 / 5)
    assert independent_nats(train, np.array([[1, 1]], np.uint8).reshape(1, 1, 2, 1), 2) == pytest.approx(exact)


def test_the_sum_over_classes_is_the_definitions(data: Path) -> None:
    spec = PixelCNNSpec(
        height=8, width=8, channels=1, levels=2, layers=2, features=4, first_kernel_size=3, output_features=5,
        classes=CLASSES, conditioning="class",
    )  # fmt: skip
    task = PixelCNNTask(spec, data)
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


def test_the_nearest_come_first() -> None:
    real = np.array([0, 100, 50, 60], np.uint8).reshape(4, 1, 1, 1)
    assert nearest(real[3:], real, 3).tolist() == [[3, 2, 1]]


def test_a_model_is_trained_and_judged_from_the_command_line(data: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> str:
        done = CliRunner().invoke(ancestral, [str(a) for a in arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    sizes = ("--levels", 2, "--layers", 2, "--features", 4, "--output-features", 4, "--batch", 4)
    run("train", "pixelcnn", "--data", data, "-o", tmp_path / "run", "--steps", 2, "--processes", 1, *sizes)
    out = tmp_path / "report"
    run("evaluate", "images", tmp_path / "run" / "checkpoint", "--data", data, "--drawn", 3, "--pictures", 9, "-o", out)
    report = json.loads((out / "report.json").read_text())
    assert report["pictures"] == 9
    assert report["nats"] == pytest.approx(report["bits_per_dim"] * 64 * math.log(2))
    assert report["nats_summed_over_classes"] < report["nats"] + math.log(2) + 0.1
    assert report["classifier_on_real"] == 1.0
    assert 0.0 <= report["classifier_on_drawn"] <= 1.0
    assert report["seconds_per_picture"] > 0
    assert read_image(out / "drawn.png").shape == (2 * 10 + 2, 3 * 10 + 2, 3)
    assert read_image(out / "nearest.png").shape == (2 * 10 + 2, 7 * 10 + 2, 3)


def test_a_network_without_classes_is_refused(data: Path, tmp_path: Path) -> None:
    arguments = ["train", "pixelcnn", "--data", data, "-o", tmp_path, "--steps", 1, "--processes", 1, "--original"]
    arguments += ["--levels", 2, "--layers", 2, "--features", 4, "--batch", 2, "--conditioning", "none"]
    assert CliRunner().invoke(ancestral, [str(a) for a in arguments]).exit_code == 0
    judged = ["evaluate", "images", tmp_path / "checkpoint", "--data", data, "-o", tmp_path / "report"]
    done = CliRunner().invoke(ancestral, [str(a) for a in judged])
    assert (done.exit_code, "no classes to be told apart" in done.stderr) == (1, True)
