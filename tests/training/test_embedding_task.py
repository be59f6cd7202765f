"""Training an encoder with the triplet loss: it learns to tell identities apart, and leaves a checkpoint and a card."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.checkpoint import load
from ancestral.models.networks import load_network
from ancestral.training.data.images import held_out
from ancestral.training.loop import LoopConfig, Trainer
from ancestral.training.metrics.retrieval import embed, retrieve
from ancestral.training.tasks.embedding import EmbeddingTask
from tests.training.picture_sets import CPU

PEOPLE = {"train": range(100), "valid": range(100, 120), "test": range(120, 140)}
SPEC = EncoderSpec(height=8, width=8, channels=1, levels=256, layers=2, features=8, code=6)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Everybody has a pattern of their own; in each picture it is lit differently."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for part, numbers in PEOPLE.items():
        identities = np.repeat(numbers, 4)
        patterns = np.stack([np.random.default_rng(n).integers(0, 64, (8, 8), np.uint8) for n in identities])
        light = rng.integers(0, 192, (len(identities), 1, 1), np.uint8)
        arrays |= {f"x_{part}": patterns + light, f"identity_{part}": identities}
    np.savez(tmp_path / "people.npz", source=np.array("Nobody"), **arrays)
    return tmp_path / "people.npz"


def test_a_batch_and_its_loss_follow_from_seed_step_and_rank(people: Path) -> None:
    task = EmbeddingTask(SPEC, people, batch=16, precision="float32")
    torch.manual_seed(0)  # with some weights two negatives are about as near, and rounding chooses between them
    model = task.network()

    def loss(which: EmbeddingTask, step: int, rank: int) -> tuple[float, int]:
        mean, items = which.loss(model, step, rank, CPU)
        return mean.item(), items

    first = loss(task, 3, 1)
    assert first[1] == 16
    assert loss(replace(task), 3, 1) == first
    others = loss(task, 2, 1), loss(task, 3, 0), loss(replace(task, seed=1), 3, 1)
    assert all(other != first for other in others)
    assert loss(replace(task, precision="bfloat16"), 3, 1)[0] == pytest.approx(first[0], rel=0.05)


def test_bfloat16_rounds_the_vectors(people: Path) -> None:
    """Whatever the weights, unlike the loss, which depends on the choice of negatives."""
    task = EmbeddingTask(SPEC, people, batch=64, precision="float32")
    model = task.network()
    vectors: list[torch.Tensor] = []
    model.register_forward_hook(lambda _module, _inputs, output: vectors.append(output.detach().float()))
    for precision in ("float32", "bfloat16"):
        replace(task, precision=precision).loss(model, 3, 1, CPU)
    exact, rounded = vectors
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, atol=0.03, rtol=0.0)


def test_pictures_of_two_levels_are_binarised_anew_in_training_and_once_in_evaluation(people: Path) -> None:
    task = EmbeddingTask(replace(SPEC, levels=2), people, batch=400, precision="float32")
    model = task.network()
    assert task.loss(model, 0, 0, CPU)[0].item() != task.loss(model, 1, 0, CPU)[0].item(), "each has all pictures"
    one, two = (held_out(task.pictures.test, task.spec, 0) for _ in range(2))
    assert set(np.unique(one.images)) == {0, 1}
    assert np.array_equal(one.images, two.images)
    assert one.identities is not None
    assert one.identities.tolist() == np.repeat(PEOPLE["test"], 4).tolist()
    assert task.evaluate(model, CPU) == task.evaluate(model, CPU)


def test_it_learns_to_find_people_that_it_was_not_trained_on(people: Path, tmp_path: Path) -> None:
    task = EmbeddingTask(SPEC, people, batch=64, precision="float32")
    trainer = Trainer(task, LoopConfig(60, 0.01, warmup=5, evaluate_every=60, ema=0.9), tmp_path / "run")
    trainer.run()
    saved = load(tmp_path / "run" / "checkpoint")
    assert saved.spec == SPEC
    assert "# Encoder of pictures: 8 × 8, grey, 256 levels" in saved.card
    assert "Nobody; 400 pictures." in saved.card
    test = held_out(task.pictures.test, SPEC, 0)
    vectors = partial(embed, load_network(saved))
    found = retrieve(vectors, test)
    by_pixels = retrieve(lambda symbols: symbols.reshape(len(symbols), -1).astype(np.float32), test)
    assert (found.identities, found.chance_1, found.chance_5) == (20, 0.05, 0.25)
    assert found.rank_1 >= 0.9
    assert found.rank_1 > by_pixels.rank_1


def test_a_run_begins_with_the_weights_of_another(people: Path, tmp_path: Path) -> None:
    task = EmbeddingTask(SPEC, people, batch=8, precision="float32")
    first = task.network()
    task.export(first, tmp_path / "first", {"step": 1}, {})
    second = replace(task, start=tmp_path / "first", seed=5)
    for one, other in zip(first.parameters(), second.network().parameters(), strict=True):
        assert torch.equal(one, other)
    second.export(first, tmp_path / "second", {"step": 1}, {})
    assert (
        f"| started from the weights of SHA-256 | {load(tmp_path / 'first').sha256} |" in load(tmp_path / "second").card
    )


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (replace(SPEC, normalised=False), {}, "normalised: the triplet loss needs vectors of length 1"),
        (SPEC, {"batch": 10}, "batch: must be a multiple of 4, at least 8, not 10"),
        (SPEC, {"batch": 4}, "batch: must be a multiple of 4, at least 8, not 4"),
        (SPEC, {"batch": 404}, "only 100 identities have two pictures; a batch needs 101"),
        (replace(SPEC, width=9), {}, r"pictures of \(8, 8, 1\)"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    people: Path, spec: EncoderSpec, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        EmbeddingTask(spec, people, **options).network()


def test_pictures_without_identities_are_refused(data: Path) -> None:
    with pytest.raises(ValueError, match="identity_train is missing"):
        EmbeddingTask(replace(SPEC, height=6, width=5), data).network()
