"""Training networks that draw from a picture: autoencoders end to end, portraits with an encoder that stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.pixelcnn_autoencoder import PixelCNNAutoencoderSpec
from ancestral.models.checkpoint import load, save
from ancestral.models.engines import load_image_engine
from ancestral.models.spec import SpecError
from ancestral.models.tensors import random_tensors
from ancestral.training.data.images import read_image
from ancestral.training.evaluation.reconstructions import reconstruction_report
from ancestral.training.loop import LoopConfig, Trainer
from ancestral.training.metrics.retrieval import retrieve
from ancestral.training.tasks.reconstruction import ReconstructionTask
from tests.training.picture_sets import CPU

SPEC = PixelCNNAutoencoderSpec(
    height=6, width=5, channels=1, levels=2, layers=2, features=4, first_kernel_size=3, output_features=5,
    condition_channels=3, encoder_layers=1, encoder_features=4,
)  # fmt: skip
PORTRAITS = replace(SPEC, normalised=True, portraits=True)
LOOP = LoopConfig(3, 0.01, warmup=1, evaluate_every=3)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Everybody has two pictures, of a class."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"attributes": np.array(["class"]), "values_class": np.array(["cat", "dog"])}
    for part, count, first in (("train", 40, 0), ("valid", 12, 100), ("test", 12, 200)):
        arrays |= {
            f"x_{part}": rng.integers(0, 256, (count, 6, 5), np.uint8),
            f"labels_{part}": rng.integers(0, 2, (count, 1)),
            f"identity_{part}": first + np.arange(count) // 2,
        }
    np.savez(tmp_path / "people.npz", **arrays)
    return tmp_path / "people.npz"


@pytest.fixture
def embedding(tmp_path: Path) -> Path:
    tensors = random_tensors(tensor_table(PORTRAITS.encoder))
    save(tmp_path / "embedding", PORTRAITS.encoder, tensors, "")
    return tmp_path / "embedding"


def test_an_autoencoder_is_trained_end_to_end(people: Path, tmp_path: Path) -> None:
    task = ReconstructionTask(SPEC, people, batch=8, precision="float32")
    trainer = Trainer(task, LOOP, tmp_path / "run")
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.run()
    moved = {name for name, tensor in trainer.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == set(before), "the encoder with the decoder"
    figures = task.evaluate(trainer.averaged(), CPU)
    assert figures["valid_bits_per_dim"] == pytest.approx(figures["valid_nats"] / 30 / np.log(2))
    made = load(tmp_path / "run" / "checkpoint")
    assert "# PixelCNN autoencoder: 5 × 6" in made.card
    # Ten pictures, and below each the four that were drawn from it, at twice their size.
    assert read_image(tmp_path / "run" / "sheets" / "0000003.png").shape == (5 * 14 + 2, 10 * 12 + 2, 3)


def test_portraits_leave_the_encoder_as_it_is_also_when_resumed(people: Path, embedding: Path, tmp_path: Path) -> None:
    task = ReconstructionTask(PORTRAITS, people, batch=8, precision="float32", encoder=embedding)
    Trainer(task, replace(LOOP, steps=2, evaluate_every=2), tmp_path / "run").run()
    resumed = Trainer(task, LOOP, tmp_path / "run")
    assert resumed.step == 2
    resumed.run()
    made, given = load(tmp_path / "run" / "checkpoint"), load(embedding)
    assert "# Portraits by a Gated PixelCNN" in made.card
    for name, tensor in given.tensors.items():
        assert np.array_equal(made.tensors[f"encoder.{name}"], tensor), name


def test_a_portrait_is_predicted_from_another_picture_of_the_same_person(people: Path, embedding: Path) -> None:
    task = ReconstructionTask(replace(PORTRAITS, levels=256), people, batch=8, encoder=embedding)
    train = task.pictures.train
    assert train.identities is not None
    images, sources, _ = task._batch(0, 0)
    assert sources is not None
    owners = []
    for pair in (images, sources):
        equal = (train.images[None] == pair.numpy()[:, None]).all(axis=(2, 3, 4))
        assert (equal.sum(axis=1) == 1).all()
        owners.append(train.identities[equal.argmax(axis=1)])
    assert np.array_equal(*owners)
    assert not (images == sources).flatten(1).all(dim=1).any()
    given, wanted = task.pairs(task.pictures.test, 3)
    assert np.array_equal(given, task.pictures.test.images[[0, 4, 8]])
    assert np.array_equal(wanted, task.pictures.test.images[[1, 5, 9]])


def test_what_does_not_fit_is_refused(people: Path, embedding: Path, tmp_path: Path) -> None:
    for spec, encoder, message in (
        (SPEC, embedding, "an autoencoder trains its own"),
        (PORTRAITS, None, "portraits need the checkpoint of one"),
        (replace(PORTRAITS, encoder_features=6), embedding, "not that of the network's encoder"),
    ):
        with pytest.raises(ValueError, match=message):
            ReconstructionTask(spec, people, batch=8, encoder=encoder).network()
    with pytest.raises(ValueError, match=r"^batch: must be even"):
        ReconstructionTask(PORTRAITS, people, batch=7, encoder=embedding).network()
    with np.load(people) as arrays:
        nobody = {name: array for name, array in arrays.items() if not name.startswith("identity")}
    np.savez(tmp_path / "nobody.npz", **nobody)
    with pytest.raises(ValueError, match="identity_train is missing"):
        _ = ReconstructionTask(PORTRAITS, tmp_path / "nobody.npz").pictures
    with pytest.raises(SpecError, match=r"^gated: "):
        replace(SPEC, gated=False)
    with pytest.raises(SpecError, match=r"^attributes: "):
        replace(SPEC, attributes=(("class", ("cat",)),))


@pytest.mark.parametrize("spec", [SPEC, replace(PORTRAITS, levels=256)], ids=["autoencoder", "portraits"])
def test_the_report(people: Path, tmp_path: Path, spec: PixelCNNAutoencoderSpec) -> None:
    save(tmp_path / "checkpoint", spec, random_tensors(tensor_table(spec)), "")
    checkpoint = load(tmp_path / "checkpoint")
    engine, out = load_image_engine("native", checkpoint), tmp_path / "report"
    report = reconstruction_report(checkpoint, engine, people, out, 6)
    task = ReconstructionTask(spec, people)
    given, wanted = task.pairs(task.pictures.test, None)
    h = np.stack([engine.encode(picture) for picture in given])
    assert report["nats"] == pytest.approx(-engine.score(wanted, h).sum() / len(given), rel=1e-4)
    assert read_image(out / "sheet.png").shape[0] == 5 * 14 + 2, "originals, and four samples of each"
    assert ("portraits" in report) == ("uploads" in report) == spec.portraits
    if spec.portraits:
        assert (report["portraits"]["identities"], report["portraits"]["chance_1"]) == (6, pytest.approx(1 / 6))
        found = retrieve(lambda images: np.stack([engine.encode(one) for one in images]), task.pictures.test)
        assert report["uploads"] == found._asdict()
