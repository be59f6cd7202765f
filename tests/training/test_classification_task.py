"""Training a classifier: it learns what pictures show, and leaves a checkpoint in half precision and a card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ancestral.models.architectures.classifier import ClassifierSpec
from ancestral.models.checkpoint import WEIGHTS, load
from ancestral.models.classification import PictureClassifier
from ancestral.service.cli.main import ancestral
from ancestral.training.loop import LoopConfig, Trainer
from ancestral.training.metrics.classification import accuracy
from ancestral.training.tasks.classification import ClassificationTask
from tests.training.picture_sets import CPU
from tests.training.test_judges import HEIGHTS, SIDES, quarters

SPEC = ClassifierSpec(
    8, 8, 1, 256, (), (("side", SIDES), ("height", HEIGHTS)), layers=2, features=8, code=16
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quarters") / "pictures.npz"
    train, test = quarters(400, 0), quarters(60, 1)
    np.savez(
        path, attributes=np.array(["side", "height"]), values_side=np.array(SIDES), values_height=np.array(HEIGHTS),
        x_train=train.images, labels_train=train.labels, x_test=test.images, labels_test=test.labels,
    )  # fmt: skip
    return path


def test_a_batch_and_its_loss_follow_from_seed_step_and_rank(data: Path) -> None:
    task = ClassificationTask(SPEC, data, batch=16, precision="float32")
    torch.manual_seed(0)
    model = task.network().eval()

    def loss(which: ClassificationTask, step: int, rank: int) -> tuple[float, int]:
        mean, items = which.loss(model, step, rank, CPU)
        return mean.item(), items

    first = loss(task, 3, 1)
    assert first[1] == 16
    assert loss(replace(task), 3, 1) == first
    assert all(other != first for other in (loss(task, 2, 1), loss(task, 3, 0), loss(replace(task, seed=1), 3, 1)))


def test_unspecified_labels_have_no_loss(data: Path) -> None:
    task = ClassificationTask(SPEC, data, batch=16, precision="float32")
    task.pictures.train.labels[:] = [len(SIDES), len(HEIGHTS)]
    assert task.loss(task.network(), 0, 0, CPU)[0].item() == 0.0


def test_it_learns_and_leaves_half_as_many_bytes(data: Path, tmp_path: Path) -> None:
    task = ClassificationTask(SPEC, data, batch=50, precision="float32")
    Trainer(task, LoopConfig(150, learning_rate=5e-3, warmup=10, ema=0.9), tmp_path).run()
    saved = load(tmp_path / "checkpoint")
    assert saved.spec == SPEC
    shares = accuracy(PictureClassifier(SPEC, saved.tensors), task.pictures.test)
    assert min(shares.values()) >= 0.97
    assert f"| valid_side | {shares['side']:.4f} |" in saved.card
    numbers = sum(tensor.size for tensor in saved.tensors.values())
    assert 2 * numbers < (tmp_path / "checkpoint" / WEIGHTS).stat().st_size < 3 * numbers


def test_it_is_trained_from_the_command_line_and_not_on_other_attributes(data: Path, tmp_path: Path) -> None:
    common = ["train", "classifier", "--data", str(data), "-o", str(tmp_path / "run"), "--processes", "1"]
    done = CliRunner().invoke(ancestral, [*common, "--steps", "2", "--layers", "2", "--features", "4", "--code", "8"])
    assert done.exit_code == 0, done.output
    found = load(tmp_path / "run" / "checkpoint").spec_as(ClassifierSpec)
    assert (found.attributes, found.layers, found.features, found.code) == (SPEC.attributes, 2, 4, 8)
    with pytest.raises(ValueError, match="its attributes are not the classifier's"):
        _ = ClassificationTask(replace(SPEC, attributes=SPEC.attributes[:1]), data).pictures
