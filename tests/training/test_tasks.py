"""Training tasks, each by the same rules: losses that follow from (seed, step, rank), runs that learn, resume bit for
bit and leave a checkpoint; then what only tasks of pictures do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from ancestral_models.architectures import tensor_table
from ancestral_models.architectures.classifier import ClassifierSpec, EncoderSpec
from ancestral_models.architectures.pixelcnn import PixelCNNAutoencoderSpec, PixelCNNSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.checkpoint import Checkpoint, load, save
from ancestral_models.engines import load_image_engine
from ancestral_models.engines.images.native import NativeImageEngine
from ancestral_models.spec import LABEL_ROWS
from ancestral_models.tensors import random_tensors
from ancestral_training.data.images import Pictures, read_image, spread
from ancestral_training.data.speech import pack
from ancestral_training.evaluation.images import reconstruction_report
from ancestral_training.loop import LoopConfig, Trainer, train
from ancestral_training.metrics import retrieve
from ancestral_training.tasks import pictures as picture_tasks
from ancestral_training.tasks.acoustic import AcousticTask
from ancestral_training.tasks.pictures import ClassificationTask, EmbeddingTask, ImageTask, ReconstructionTask
from ancestral_training.tasks.wavenet import WaveNetTask
from tests.training.pictures import CLASSES, COUNT, PALETTE, QUARTERS, SIDES, SPEC, quarters, random_arrays, write_set
from tests.training.sounds import CPU, EVEN, FEATURES, FRAMES, FREE, WAVENET, exported

INDEXED = PixelCNNSpec(
    height=8, width=8, channels=1, levels=4, palette=("#09090900", "#000000", "#ff8000", "#ffffff"), layers=3,
    features=8, output_features=16, attributes=(("class", CLASSES),), conditioning="location",
    coarse_layers=2, coarse_features=8, coarse_inputs=8,
)  # fmt: skip
PLAIN = replace(
    INDEXED, palette=("#000000", "#ff0000", "#00ff00", "#0000ff"), layers=2, features=16, first_kernel_size=3,
    attributes=(("side", SIDES),), coarse_features=16,
)  # fmt: skip
EDITS = replace(PLAIN, context_channels=12)
CLASSIFIER = ClassifierSpec(8, 8, 1, 256, (), QUARTERS, layers=2, features=8, code=16)
ENCODER = EncoderSpec(height=8, width=8, channels=1, levels=256, layers=2, features=8, code=6)
AUTOENCODER = PixelCNNAutoencoderSpec(
    height=8, width=8, channels=1, levels=2, layers=2, features=4, first_kernel_size=3, output_features=5,
    condition_channels=3, encoder_layers=1, encoder_features=4,
)  # fmt: skip
PORTRAITS = replace(AUTOENCODER, normalised=True, portraits=True)
PEOPLE = {"train": range(100), "valid": range(100, 120), "test": range(120, 140)}
LEARNING = {
    "wavenet": (30, 0.07, "bits_bob", 0.9), "free": (24, 0.07, "bits_bob", 0.93),
    "acoustic": (20, 0.01, "mel_ann", 0.8), "pixelcnn": (30, 0.04, "valid_nats", 0.5),
    "indexed": (80, 0.03, "valid_bits_per_dim", 0.2), "edits": (60, 0.01, "valid_bits_per_dim_edited", 0.5),
    "classifier": (150, 0.005, "valid_side", 0.1), "encoder": (60, 0.01, "valid_rank_1", 0.25),
    "autoencoder": (12, 0.04, "valid_nats", 0.98), "portraits": (30, 0.02, "valid_nats", 0.98),
}  # fmt: skip
"""Steps, learning rate, a figure, and how much of it, or of what is missing from 1, may be left."""
every_task = pytest.mark.parametrize("kind", LEARNING)
Tasks, Sets = Mapping[str, Any], Mapping[str, Path]


def _people(file: Path) -> None:
    """Everybody has a pattern of their own; in each picture it is lit differently."""
    rng, arrays = np.random.default_rng(0), dict[str, np.ndarray]()
    for part, numbers in PEOPLE.items():
        identities = np.repeat(numbers, 4)
        patterns = np.stack([np.random.default_rng(n).integers(0, 64, (8, 8), np.uint8) for n in identities])
        light = rng.integers(0, 192, (len(identities), 1, 1), np.uint8)
        arrays |= {f"x_{part}": patterns + light, f"identity_{part}": identities}
    np.savez(file, source=np.array("Nobody"), **arrays)


def _colours(file: Path) -> None:
    """Pictures of one colour, with a black half: what is kept of one tells what else it shows."""
    rng, parts = np.random.default_rng(0), []
    for count in (300, 40):
        side = rng.integers(0, 2, (count, 1))
        images = np.tile(rng.integers(1, 4, (count, 1, 1, 1)), (1, 8, 8, 1))
        images[np.arange(8)[None, None] // 4 == side[:, :, None] + np.zeros((1, 8, 1))] = 0
        parts.append(Pictures(images.astype(np.uint8), side))
    colours = [[*bytes.fromhex(colour[1:]), 255] for colour in PLAIN.palette]
    write_set(file, dict(PLAIN.attributes), *parts, palette=np.array(colours, np.uint8))


@pytest.fixture(scope="module")
def sets(prepared: Path, excited: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data by their names, and two checkpoints."""
    folder, arrays = tmp_path_factory.mktemp("sets"), random_arrays()
    # Every second column is light: noise alone has nothing that new pictures share.
    stripes = (np.arange(5)[:, None] % 2 * 224).astype(np.uint8)
    np.savez(folder / "stripes.npz", **{n: x // 8 + stripes if n.startswith("x_") else x for n, x in arrays.items()})
    # Two classes, each of one picture: after a few steps hardly a bit a pixel is left of the two.
    labels = np.arange(32)[:, None] % 2
    images = np.random.default_rng(5).integers(0, 4, (2, 8, 8, 1), np.uint8)[labels[:, 0]]
    two, some = Pictures(images, labels), Pictures(images[:8], labels[:8])
    write_set(folder / "indexed.npz", {"class": CLASSES}, two, some, palette=PALETTE)
    write_set(folder / "quarters.npz", dict(CLASSIFIER.attributes), quarters(400, 0), quarters(60, 1))
    _people(folder / "people.npz")
    with np.load(folder / "people.npz") as people:
        np.savez(folder / "lonely.npz", **{**people, "identity_valid": np.arange(900, 980)})
    _colours(folder / "colours.npz")
    save(folder / "embedding", PORTRAITS.encoder, random_tensors(tensor_table(PORTRAITS.encoder)), "")
    deeper = replace(SPEC, layers=3)
    save(folder / "deeper", deeper, random_tensors(tensor_table(deeper)) | {LABEL_ROWS: np.zeros((7, 3))}, "")
    found = {path.stem: path for path in folder.iterdir()}
    return found | {"prepared": prepared, "excited": excited, "nothing": folder}


@pytest.fixture(scope="module")
def tasks(sets: Sets) -> dict[str, Any]:
    exact = {"precision": "float32"}
    parts = tuple(pack([sets["prepared"]], sets["nothing"] / "parts", 150_000))
    assert len(parts) > 1
    return {
        "wavenet": WaveNetTask(WAVENET, parts, EVEN, batch=3, crop_frames=12),
        "free": WaveNetTask(FREE, (sets["prepared"],), EVEN, batch=3, crop_frames=15),
        "acoustic": AcousticTask(FRAMES, (sets["prepared"],), EVEN, batch=3),
        "pixelcnn": ImageTask(SPEC, sets["stripes"], batch=8),
        "indexed": ImageTask(INDEXED, sets["indexed"], batch=8, precision="bfloat16"),
        "edits": ImageTask(EDITS, sets["colours"], batch=16, edited=0.5),
        "classifier": ClassificationTask(CLASSIFIER, sets["quarters"], batch=50, **exact),
        "encoder": EmbeddingTask(ENCODER, sets["people"], batch=64, **exact),
        "autoencoder": ReconstructionTask(AUTOENCODER, sets["people"], batch=8, **exact),
        "portraits": ReconstructionTask(PORTRAITS, sets["people"], batch=8, encoder=sets["embedding"], **exact),
    }


class Ran(NamedTuple):
    task: Any
    before: dict[str, float]
    after: dict[str, float]
    first: dict[str, torch.Tensor]
    """The weights before the first step."""
    averaged: nn.Module
    made: Checkpoint


@pytest.fixture(scope="module")
def trained(tasks: Tasks, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Ran]:
    """A run of every kind, which was stopped and resumed after three steps."""

    @cache
    def run(kind: str) -> Ran:
        task, out, (steps, rate, *_) = tasks[kind], tmp_path_factory.mktemp(kind), LEARNING[kind]
        config = LoopConfig(steps, rate, warmup=3, evaluate_every=steps, log_every=10, ema=0.8)
        whole = Trainer(task, config, out)
        first = {name: tensor.clone() for name, tensor in whole.model.state_dict().items()}
        before = task.evaluate(whole.averaged(), CPU)
        for _ in range(3):
            whole.run_step()
        whole.save()
        steps_of_one = [whole.run_step() for _ in range(3)]
        torch.rand(7)  # the acoustic model draws random numbers inside its network; a resumed run draws the same
        resumed = Trainer(task, config, out)
        assert resumed.step == 3
        assert [resumed.run_step() for _ in range(3)] == steps_of_one
        assert all(torch.equal(whole.average[name], tensor) for name, tensor in resumed.average.items())
        resumed.run()
        averaged = resumed.averaged()
        return Ran(task, before, task.evaluate(averaged, CPU), first, averaged, load(out / "checkpoint"))

    return run


@every_task
def test_a_loss_follows_from_seed_step_and_rank(tasks: Tasks, kind: str) -> None:
    task = tasks[kind]
    model = task.network().eval()

    def loss(which: Any, step: int = 3, rank: int = 1) -> tuple[float, int]:
        mean, items = which.loss(model, step, rank, CPU)
        return mean.item(), items

    first = loss(task)
    samples = task.batch * task.crop_frames * FEATURES.hop if task.unit == "samples" else 0
    assert first[1] == {"samples": samples, "pictures": task.batch}.get(task.unit, first[1]) >= task.batch
    assert loss(replace(task)) == first
    others = loss(task, step=2), loss(task, rank=0), loss(replace(task, seed=1))
    assert all(other[0] != first[0] for other in others)


@every_task
def test_a_run_learns_resumes_and_leaves_a_checkpoint(trained: Callable[[str], Ran], kind: str) -> None:
    ran, (_, _, figure, left) = trained(kind), LEARNING[kind]
    rest = [1 - figures[figure] if kind in ("classifier", "encoder") else figures[figure]
            for figures in (ran.before, ran.after)]  # fmt: skip
    assert rest[1] < left * rest[0]
    spec = ran.made.spec
    assert ran.task.spec == (replace(spec, int8_ranges=()) if isinstance(spec, WaveNetSpec) else spec)
    assert f"| {figure} | {ran.after[figure]:.4f} |" in ran.made.card
    moved = {name for name, tensor in trained(kind).averaged.state_dict().items() if not tensor.equal(ran.first[name])}
    assert moved == {name for name in ran.first if kind != "portraits" or not name.startswith("encoder.")}


@every_task
def test_a_run_begins_with_the_weights_of_another(tasks: Tasks, kind: str, tmp_path: Path) -> None:
    begun = exported(tasks[kind], tasks[kind].network(), tmp_path / "first" / "checkpoint")
    task = replace(tasks[kind], start=begun.path)
    trainer = Trainer(task, LoopConfig(1, warmup=1, decay=0.0, seed=5), tmp_path / "second")
    for model in (trainer.model, trainer.averaged()):
        assert exported(task, model, tmp_path / "copy" / "checkpoint").sha256 == begun.sha256
    shutil.rmtree(begun.path)  # what a run has begun with is not asked for again
    trainer.run()
    made = load(tmp_path / "second" / "checkpoint")
    assert f"| started from the weights of SHA-256 | {begun.sha256} |" in made.card
    assert "started from" not in begun.card
    assert made.sha256 != begun.sha256


def test_a_run_goes_on_with_more_label_rows(tasks: Tasks, tmp_path: Path) -> None:
    task, config = tasks["pixelcnn"], LoopConfig(2)
    begun = Trainer(task, config, tmp_path)
    begun.run_step()
    begun.save()
    grown = replace(task, spec=replace(task.spec, label_rows=task.spec.label_rows + 1))
    assert Trainer(grown, config, tmp_path).step == 1


@torch.no_grad()
@pytest.mark.parametrize("kind", ["wavenet", "acoustic", "pixelcnn", "classifier"])
def test_precision_is_that_of_the_arithmetic(tasks: Tasks, kind: str) -> None:
    model = tasks[kind].network().eval()
    whole, half = (replace(tasks[kind], precision=p).loss(model, 0, 0, CPU)[0] for p in ("float32", "bfloat16"))
    assert whole != half
    assert float(whole) == pytest.approx(float(half), rel=0.02)
    if kind == "pixelcnn":
        images, labels, _ = tasks[kind]._batch(0, 0)
        exact = nn.functional.cross_entropy(model.double()(images, labels, None).flatten(0, 3), images.flatten())
        assert float(whole) == pytest.approx(float(exact) / np.log(2), rel=1e-5)


OTHER_STYLES = (("class", CLASSES), ("style", ("oil", "ink", "pen")))
OTHER_NETWORK = "its spec is not that of the network: "
LONELY = "nobody in the validation or test set has two pictures"


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("wavenet", {"data": ("prepared", "excited")}, "prepared with"),
        ("wavenet", {"crop_frames": 4000}, "no clip of ann, bob to train on, as long as a crop of 4000 frames"),
        ("acoustic", {"spec": replace(FRAMES, speakers=("eve",))}, "no clip of eve to train on, with phonemes"),
        ("pixelcnn", {"start": "deeper"}, f"{OTHER_NETWORK}layers"),
        ("pixelcnn", {"start": "embedding"}, f"{OTHER_NETWORK}kind"),
        ("pixelcnn", {"start": "nothing"}, "cannot be read"),
        ("pixelcnn", {"spec": replace(SPEC, width=6)}, r"pictures of \(6, 5, 1\)"),
        ("pixelcnn", {"data": "indexed", "spec": replace(SPEC, height=8, width=8)}, "its palette is not the model's"),
        ("pixelcnn", {"spec": replace(SPEC, label_rows=2)}, "its attributes are not the model's"),
        ("pixelcnn", {"spec": replace(SPEC, attributes=OTHER_STYLES)}, "its attributes are not the model's"),
        ("classifier", {"spec": replace(CLASSIFIER, attributes=CLASSIFIER.attributes[:1])},
         "its attributes are not the classifier's"),
        ("encoder", {"spec": replace(ENCODER, normalised=False)}, "normalised: the triplet loss needs vectors of"),
        ("encoder", {"batch": 10}, "batch: must be a multiple of 4, at least 8, not 10"),
        ("encoder", {"batch": 4}, "batch: must be a multiple of 4, at least 8, not 4"),
        ("encoder", {"batch": 404}, "only 100 identities have two pictures; a batch needs 101"),
        ("encoder", {"data": "quarters"}, "identity_train is missing"), ("encoder", {"data": "lonely"}, LONELY),
        ("autoencoder", {"encoder": "embedding"}, "an autoencoder trains its own"),
        ("portraits", {"encoder": None}, "portraits need the checkpoint of one"),
        ("portraits", {"spec": replace(PORTRAITS, encoder_features=6)}, f"{OTHER_NETWORK}features"),
        ("portraits", {"batch": 7}, "^batch: must be even"),
        ("portraits", {"batch": 2}, "^batch: must be even and at least 4"),
        ("portraits", {"data": "quarters"}, "identity_train is missing"), ("portraits", {"data": "lonely"}, LONELY),
    ],
)  # fmt: skip
def test_what_cannot_be_trained(tasks: Tasks, sets: Sets, kind: str, changes: dict[str, Any], message: str) -> None:
    for name, value in changes.items():
        if name in ("data", "start", "encoder") and value is not None:
            changes = changes | {name: sets[value] if isinstance(value, str) else tuple(sets[one] for one in value)}
    task = replace(tasks[kind], **changes)
    with pytest.raises(ValueError, match=message):
        _ = task.network(), task.pictures


def test_a_sheet_has_at_most_so_many_columns(tasks: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_tasks, "_MOST_COLUMNS", 1)
    exported(tasks["indexed"], tasks["indexed"].network(), tmp_path / "checkpoint")
    assert read_image(tmp_path / "sheets" / "0000000.png").shape == (4 * 10 + 2, 10 + 2, 3)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_cannot_begin_leaves_no_folder(tasks: Tasks, sets: Sets, tmp_path: Path, processes: int) -> None:
    with pytest.raises(ValueError, match=OTHER_NETWORK):
        train(replace(tasks["pixelcnn"], start=sets["deeper"]), LoopConfig(1), tmp_path / "run", processes)
    assert not (tmp_path / "run").exists()


def test_every_picture_comes_once_before_any_comes_again(sets: Sets) -> None:
    task = ImageTask(replace(SPEC, levels=256), sets["stripes"], batch=5, label_dropout=0.0)
    shown = np.concatenate([task._batch(step, 0)[0].numpy() for step in range(14)]).astype(np.uint8)
    names = {image.tobytes(): number for number, image in enumerate(task.pictures.train.images)}
    numbers = [names[image.tobytes()] for image in shown]
    passes = [numbers[i * COUNT : (i + 1) * COUNT] for i in range(3)]
    assert all(sorted(one) == list(range(COUNT)) for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_labels_are_left_out_each_by_itself_and_all_but_the_style_together(sets: Sets) -> None:
    def dropped(label_dropout: float, unconditional: float) -> np.ndarray:
        task = ImageTask(SPEC, sets["stripes"], batch=20, label_dropout=label_dropout, unconditional=unconditional)
        labels = np.concatenate([task._batch(step, 0)[1].numpy() for step in range(100)])
        return labels == [len(values) for _, values in SPEC.attributes]

    each = dropped(0.25, 0.0)
    assert each.mean(axis=0) == pytest.approx([0.25, 0.25], abs=0.04)
    assert each.all(axis=1).mean() == pytest.approx(0.0625, abs=0.02)
    together = dropped(0.0, 0.3).mean(axis=0)
    assert together[0] == pytest.approx(0.3 + 0.3 / 2, abs=0.04)
    assert together[1] == pytest.approx(1 / COUNT, abs=0.02), "one is not known"


def test_held_out_pictures_are_spread_over_the_set_and_always_the_same(sets: Sets) -> None:
    """A set may be sorted by what its pictures show."""
    assert [spread(*sizes).tolist() for sizes in ((10, 5), (10, 3), (3, None), (3, 7), (0, 5), (5, 0))] == [
        [0, 2, 4, 6, 8], [0, 3, 6], [0, 1, 2], [0, 1, 2], [], [],
    ]  # fmt: skip
    task = ImageTask(SPEC, sets["stripes"])
    every, again, some = (task.held_out(task.pictures.test, count) for count in (None, None, 4))
    assert np.array_equal(every.images, again.images)
    assert set(np.unique(every.images)) == {0, 1}
    assert np.array_equal(some.images, every.images[::2])
    assert np.array_equal(some.labels, every.labels[::2])


@pytest.mark.parametrize("levels", [2, 256])
def test_the_likelihood_is_the_engines(sets: Sets, levels: int, tmp_path: Path) -> None:
    task = ImageTask(replace(SPEC, levels=levels), sets["stripes"], batch=4)
    model = task.network().eval()
    engine = NativeImageEngine(exported(task, model, tmp_path / "run" / "checkpoint"))
    pictures = task.held_out(task.pictures.test, 8)
    figures = picture_tasks.likelihood(model, task.spec, pictures, CPU)
    for way, labels in {"": pictures.labels, "_unconditional": [[None, None]] * 8}.items():
        scores = engine.score(pictures.images, np.stack([engine.embed_labels(list(row)) for row in labels]))
        assert figures[f"nats{way}"] == pytest.approx(-scores.sum() / 8, rel=1e-4)
        assert figures[f"bits_per_dim{way}"] == pytest.approx(-scores.mean() / np.log(2), rel=1e-4)


def test_edits_begin_as_the_network_that_they_start_from(sets: Sets, tmp_path: Path) -> None:
    begun = ImageTask(PLAIN, sets["colours"])
    start = exported(begun, begun.network(), tmp_path / "run" / "checkpoint").path
    plain, task = replace(begun, start=start).network(), ImageTask(EDITS, sets["colours"], start=start)
    network, (images, labels, kept) = task.network(), task._batch(0, 0)
    for edits in (None, kept):
        assert torch.allclose(network(images, labels, kept=edits), plain(images, labels), atol=1e-5)
    task.loss(network, 0, 0, CPU)[0].backward()
    grads = {name: parameter.grad for name, parameter in network.named_parameters() if name.endswith("out")}
    assert all(grad is not None and grad.abs().sum() > 0 for grad in grads.values()), "it learns from there"
    with pytest.raises(ValueError, match=OTHER_NETWORK):
        replace(task, spec=replace(EDITS, features=8)).network()


@torch.no_grad()
def test_a_quarter_of_a_batch_are_edits_of_which_the_regions_count(sets: Sets) -> None:
    task = ImageTask(EDITS, sets["colours"], batch=400, precision="float32")
    images, labels, kept = task._batch(3, 0)
    edited, left_out = kept.flatten(1).any(dim=1), labels[:, 0] == 2
    assert 0.2 < float(edited.float().mean()) < 0.3
    assert 0.35 < float(left_out[edited].float().mean()) < 0.65
    assert float(left_out[~edited].float().mean()) < 0.3
    network = task.network()
    logits = network(images, labels, kept=kept)
    nats = nn.functional.cross_entropy(logits.flatten(0, 3), images.flatten(), reduction="none").view(kept.shape)
    assert float(task.loss(network, 3, 0, CPU)[0]) == pytest.approx(float(nats[~kept].mean() / np.log(2)), rel=1e-5)


def test_unspecified_labels_have_no_loss(tasks: Tasks) -> None:
    task = replace(tasks["classifier"])
    task.pictures.train.labels[:] = [len(values) for _, values in QUARTERS]
    assert task.loss(task.network(), 0, 0, CPU)[0].item() == 0.0


@pytest.mark.parametrize("kind", ["autoencoder", "portraits"])
def test_a_network_that_draws_from_pictures_is_judged(trained: Callable[[str], Ran], tmp_path: Path, kind: str) -> None:
    task, made = trained(kind).task, trained(kind).made
    engine = load_image_engine("native", made)
    report = reconstruction_report(made, engine, task.data, tmp_path, 20)
    given, wanted = task.pairs(task.pictures.test, None)
    h = np.stack([engine.encode(picture) for picture in given])
    assert report["nats"] == pytest.approx(-engine.score(wanted, h).sum() / len(given), rel=1e-4)
    assert read_image(tmp_path / "sheet.png").shape[0] == 5 * 18 + 2, "originals, and four samples of each"
    assert ("portraits" in report) == ("uploads" in report) == (kind == "portraits")
    if kind == "portraits":
        assert (report["portraits"]["identities"], report["portraits"]["chance_1"]) == (20, 0.05)
        test = task.held_out(task.pictures.test, None)
        found = retrieve(lambda images: np.stack([engine.encode(one) for one in images]), test)
        assert report["uploads"] == found._asdict()


def test_a_portrait_is_predicted_from_another_picture_of_the_same_person(tasks: Tasks) -> None:
    task = replace(tasks["portraits"], spec=replace(PORTRAITS, levels=256))
    train_set, test = task.pictures.train, task.pictures.test
    images, sources, _ = task._batch(0, 0)
    owners = []
    for pair in (images, sources):
        equal = (train_set.images[None] == pair.numpy()[:, None]).all(axis=(2, 3, 4))
        assert (equal.sum(axis=1) == 1).all()
        owners.append(train_set.identities[equal.argmax(axis=1)])
    assert np.array_equal(*owners)
    assert not (images == sources).flatten(1).all(dim=1).any()
    given, wanted = task.pairs(test, 3)
    assert np.array_equal(given, test.images[[0, 24, 52]])
    assert np.array_equal(wanted, test.images[[1, 25, 53]])
