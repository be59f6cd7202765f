"""What a PixelCNN is trained on: every picture once, binarised anew, labels left out at times."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.checkpoint import load
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.spec import LABEL_ROWS
from ancestral.training.data.images import (
    read_image,
    read_pictures,
    spread,
)
from ancestral.training.loop import LoopConfig, Trainer, train
from ancestral.training.tasks.images import ImageTask, likelihood
from tests.training.picture_sets import CLASSES, COUNT, CPU, PALETTE, SPEC, STYLES, Arrays


def test_a_batch_follows_from_seed_step_and_rank(data: Path) -> None:
    task = ImageTask(SPEC, data, batch=4)

    def content(which: ImageTask, step: int, rank: int) -> list[bytes]:
        return [tensor.numpy().tobytes() for tensor in which._batch(step, rank) if tensor is not None]

    first = content(task, 9, 1)
    assert content(ImageTask(SPEC, data, batch=4), 9, 1) == first
    assert all(other != first for other in (content(task, 8, 1), content(task, 9, 0)))
    assert content(replace(task, seed=1), 9, 1) != first


def test_every_picture_comes_once_before_any_comes_again(data: Path, arrays: Arrays) -> None:
    task = ImageTask(replace(SPEC, levels=256), data, batch=5, label_dropout=0.0)
    shown = np.concatenate([task._batch(step, 0)[0].numpy() for step in range(14)]).astype(np.uint8)
    names = {image.tobytes(): number for number, image in enumerate(arrays["x_train"])}
    numbers = [names[image.tobytes()] for image in shown]
    passes = [numbers[i * COUNT : (i + 1) * COUNT] for i in range(3)]
    assert all(sorted(one) == list(range(COUNT)) for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_labels_are_left_out_each_by_itself(data: Path) -> None:
    task = ImageTask(SPEC, data, batch=20, label_dropout=0.25, unconditional=0.0)
    labels = np.concatenate([task._batch(step, 0)[1].numpy() for step in range(100)])
    nothing = labels == [len(CLASSES), len(STYLES)]
    assert nothing.mean(axis=0) == pytest.approx([0.25, 0.25], abs=0.04)
    assert nothing.all(axis=1).mean() == pytest.approx(0.0625, abs=0.02)


def test_of_several_labels_all_but_the_style_are_left_out_together(data: Path) -> None:
    task = ImageTask(SPEC, data, batch=20, label_dropout=0.0, unconditional=0.3)
    labels = np.concatenate([task._batch(step, 0)[1].numpy() for step in range(100)])
    assert (labels[:, 0] == len(CLASSES)).mean() == pytest.approx(0.3 + 0.3 / 2, abs=0.04)
    assert (labels[:, 1] == len(STYLES)).mean() == pytest.approx(1 / COUNT, abs=0.02), "one is not known"


def test_held_out_pictures_are_binarised_the_same_way_each_time(data: Path) -> None:
    task = ImageTask(SPEC, data)
    one, two = (task.held_out(task.pictures.test, 5).images for _ in range(2))
    assert np.array_equal(one, two)
    assert set(np.unique(one)) == {0, 1}
    assert len(one) == 5


def test_held_out_pictures_are_spread_over_the_set(data: Path) -> None:
    """A set may be sorted by what its pictures show."""
    assert spread(10, 5).tolist() == [0, 2, 4, 6, 8]
    assert spread(10, 3).tolist() == [0, 3, 6]
    assert spread(3, None).tolist() == spread(3, 7).tolist() == [0, 1, 2]
    assert spread(0, 5).tolist() == spread(5, 0).tolist() == []
    task = ImageTask(SPEC, data)
    every, some = (task.held_out(task.pictures.test, count) for count in (None, 4))
    assert np.array_equal(some.images, every.images[spread(len(every.images), 4)])
    assert np.array_equal(some.labels, every.labels[spread(len(every.labels), 4)])


@pytest.mark.parametrize("levels", [2, 256])
def test_the_likelihood_is_the_engines(data: Path, levels: int, tmp_path: Path) -> None:
    task = ImageTask(replace(SPEC, levels=levels), data, batch=4)
    model = task.network().eval()
    task.export(model, tmp_path / "run" / "checkpoint", {"step": 3}, {})
    engine = NativeImageEngine(load(tmp_path / "run" / "checkpoint"))
    pictures = task.held_out(task.pictures.test, 8)
    figures = likelihood(model, task.spec, pictures, CPU)
    for way, labels in {"": pictures.labels, "_unconditional": [[None, None]] * 8}.items():
        scores = engine.score(pictures.images, np.stack([engine.embed_labels(list(row)) for row in labels]))
        assert figures[f"nats{way}"] == pytest.approx(-scores.sum() / 8, rel=1e-4)
        assert figures[f"bits_per_dim{way}"] == pytest.approx(-scores.mean() / np.log(2), rel=1e-4)


def test_training_learns_and_leaves_a_checkpoint_a_card_and_sheets(arrays: Arrays, tmp_path: Path) -> None:
    """Every second column is light: noise alone has nothing that new pictures share."""
    stripes = np.arange(5)[:, None] % 2 * 224
    striped = {name: array // 8 + stripes if name.startswith("x_") else array for name, array in arrays.items()}
    np.savez(tmp_path / "striped.npz", **{name: array.astype(arrays[name].dtype) for name, array in striped.items()})
    task = ImageTask(SPEC, tmp_path / "striped.npz", batch=8)
    out = tmp_path / "run"
    before = task.evaluate(task.network().eval(), CPU)
    trainer = Trainer(task, LoopConfig(30, 0.02, warmup=3, evaluate_every=30, log_every=10, ema=0.5), out)
    trainer.run()
    after = task.evaluate(trainer.averaged(), CPU)
    assert after["valid_nats"] < before["valid_nats"] / 2
    saved = load(out / "checkpoint")
    assert saved.spec == SPEC
    assert "Somebody; 23 pictures." in saved.card
    assert "not the fixed binarisation" in saved.card
    assert f"| valid_nats | {after['valid_nats']:.4f} |" in saved.card
    assert read_image(out / "sheets" / "0000030.png").shape == (4 * 8 + 2, 2 * 7 + 2, 3)
    assert np.array_equal(saved.tensors[LABEL_ROWS], task.pictures.label_rows)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_indexed_pictures_are_learned(tmp_path: Path, precision: str) -> None:
    """Two classes, each of one picture: after a few steps hardly a bit a pixel is left of the two."""
    rng = np.random.default_rng(5)
    shapes, labels = rng.integers(0, 4, (2, 8, 8), np.uint8), np.arange(32)[:, None] % 2
    np.savez(
        tmp_path / "set.npz", attributes=np.array(["class"]), values_class=np.array(CLASSES), palette=PALETTE,
        x_train=shapes[labels[:, 0]], labels_train=labels, x_test=shapes[labels[:8, 0]], labels_test=labels[:8],
    )  # fmt: skip
    pictures = read_pictures(tmp_path / "set.npz")
    spec = PixelCNNSpec.for_pictures(
        pictures.shape, pictures.spec_fields, conditioning="location", layers=3, features=8, output_features=16,
        coarse_layers=2, coarse_features=8, coarse_inputs=8,
    )  # fmt: skip
    task = ImageTask(spec, tmp_path / "set.npz", batch=8, precision=precision)
    trainer = Trainer(task, LoopConfig(120, 0.02, warmup=5, evaluate_every=120, ema=0.8), tmp_path / "run")
    begun = task.evaluate(trainer.averaged(), CPU)["valid_bits_per_dim"]
    trainer.run()
    after = task.evaluate(trainer.averaged(), CPU)
    assert begun > 1.5
    assert after["valid_bits_per_dim"] < 0.3
    assert after["valid_bits_per_dim"] < after["valid_bits_per_dim_unconditional"]
    engine = NativeImageEngine(load(tmp_path / "run" / "checkpoint"))
    drawn = engine.draw([ImageStreamRequest(0, 0.0, engine.embed_labels([label])) for label in (0, 1)])
    assert (drawn[..., 0] == shapes).mean() > 0.95


def test_a_run_begins_with_the_weights_of_another(data: Path, tmp_path: Path) -> None:
    first = Trainer(ImageTask(SPEC, data, batch=8), LoopConfig(8, 0.02, warmup=1), tmp_path / "first")
    first.run()
    begun = load(tmp_path / "first" / "checkpoint")
    task = ImageTask(SPEC, data, batch=8, start=begun.path)
    second = Trainer(task, LoopConfig(1, seed=5), tmp_path / "second")
    for weights in (second.model.state_dict(), second.averaged().state_dict()):
        assert {*weights, LABEL_ROWS} == {*begun.tensors}
        assert all(np.array_equal(tensor.numpy(), begun.tensors[name]) for name, tensor in weights.items())
    assert task.evaluate(second.model, CPU) == task.evaluate(first.averaged(), CPU)
    shutil.rmtree(begun.path)  # what a run has begun with is not asked for again
    second.run()
    saved = load(tmp_path / "second" / "checkpoint")
    assert f"| started from the weights of SHA-256 | {begun.sha256} |" in saved.card
    assert saved.sha256 != begun.sha256


def test_a_run_begins_with_weights_of_pictures_whose_labels_occurred_together_otherwise(
    data: Path, arrays: Arrays, tmp_path: Path
) -> None:
    first = ImageTask(SPEC, data)
    first.export(first.network(), tmp_path / "first", {"step": 0}, {})
    begun = load(tmp_path / "first")
    cats = arrays["labels_train"][:, 0] == 0
    others = tmp_path / "cats.npz"
    np.savez(others, **arrays | {name: arrays[name][cats] for name in ("x_train", "labels_train")})
    rows = read_pictures(others).label_rows
    assert len(rows) < SPEC.label_rows
    task = ImageTask(replace(SPEC, label_rows=len(rows)), others, start=begun.path)
    network = task.network()
    assert all(np.array_equal(tensor.numpy(), begun.tensors[name]) for name, tensor in network.state_dict().items())
    task.export(network, tmp_path / "second", {"step": 0}, {})
    assert np.array_equal(load(tmp_path / "second").tensors[LABEL_ROWS], rows)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_does_not_begin_with_another_network(data: Path, tmp_path: Path, processes: int) -> None:
    other = ImageTask(replace(SPEC, layers=3), data)
    other.export(other.network(), tmp_path / "other" / "checkpoint", {"step": 0}, {})
    for start, message in (
        (tmp_path / "other" / "checkpoint", "its spec is not that of the network"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(ValueError, match=message):
            train(ImageTask(SPEC, data, start=start), LoopConfig(1), tmp_path / "run", processes)
    assert not (tmp_path / "run").exists()


@torch.no_grad()
def test_precision_is_that_of_the_arithmetic(data: Path) -> None:
    task = ImageTask(SPEC, data, batch=8)
    model = task.network()
    whole, half = (replace(task, precision=p).loss(model, 0, 0, CPU)[0] for p in ("float32", "bfloat16"))
    assert whole != half
    assert float(whole) == pytest.approx(float(half), rel=0.02)
    images, labels, _ = task._batch(0, 0)
    exact = torch.nn.functional.cross_entropy(model.double()(images, labels, None).flatten(0, 3), images.flatten())
    assert float(whole) == pytest.approx(float(exact) / np.log(2), rel=1e-5)


def test_pictures_of_another_size_are_refused(data: Path) -> None:
    with pytest.raises(ValueError, match=r"pictures of \(6, 5, 1\)"):
        _ = ImageTask(replace(SPEC, width=6), data).pictures


def test_another_palette_and_other_attributes_are_refused(data: Path, indexed: Path) -> None:
    with pytest.raises(ValueError, match="its palette is not the model's"):
        _ = ImageTask(SPEC, indexed).pictures
    for changes in ({"label_rows": 2}, {"attributes": (("class", CLASSES), ("style", ("oil", "ink", "pen")))}):
        with pytest.raises(ValueError, match="its attributes are not the model's"):
            _ = ImageTask(replace(SPEC, **changes), data).pictures
