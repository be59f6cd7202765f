"""h of every frame: the edges, and what each frame and the speaker reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.architectures.pixelcnn import PixelCNNSpec
from models.conditioning import conditioning, draw_subclass, padded_frames
from models.networks.wavenet import Conditioner
from models.noise import uniforms
from tests.models.random_models import SMALL_SPEC, TINY_SPECS, random_checkpoint
from tests.models.random_pictures import CLASSES, STYLES, SUBCLASSES, tiny

SPEC = TINY_SPECS["conditional"]
TENSORS = random_checkpoint(SPEC).tensors


def frames(count: int, channels: int = SPEC.local_channels) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, channels), np.float32)


def test_the_edges_are_repeated() -> None:
    given = frames(4)
    padded = padded_frames(SPEC, given)
    margin = SPEC.conditioner_layers
    assert padded.dtype == np.float32
    assert np.array_equal(padded[margin:-margin], given)
    assert (padded[:margin] == given[0]).all()
    assert (padded[-margin:] == given[-1]).all()


@pytest.mark.parametrize("count", [1, 2, 5, 100])
def test_the_size_that_serves_equals_torch_from_one_frame_on(count: int) -> None:
    tensors = random_checkpoint(SMALL_SPEC).tensors
    given = frames(count, SMALL_SPEC.local_channels)
    network = Conditioner(SMALL_SPEC)
    network.load_state_dict(
        {n.removeprefix("conditioner."): torch.tensor(t) for n, t in tensors.items() if n.startswith("conditioner.")}
    )
    with torch.no_grad():
        theirs = network.double()(
            torch.from_numpy(padded_frames(SMALL_SPEC, given)).double()[None], torch.tensor([1]), 1
        )
    mine = conditioning(SMALL_SPEC, tensors, given, 1)
    assert mine.dtype == np.float32
    assert mine.shape == (count, SMALL_SPEC.conditioner_channels)
    np.testing.assert_allclose(mine, theirs[0].numpy(), rtol=1e-5, atol=1e-5)


def test_a_frame_reaches_its_neighbours_as_far_as_there_are_layers() -> None:
    given = frames(12)
    changed = given.copy()
    changed[6] += 1.0
    moved = (conditioning(SPEC, TENSORS, given, 0) != conditioning(SPEC, TENSORS, changed, 0)).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [4, 5, 6, 7, 8]


def test_a_speaker_reaches_every_frame() -> None:
    given = frames(12)
    assert (conditioning(SPEC, TENSORS, given, 0) != conditioning(SPEC, TENSORS, given, 1)).any(axis=1).all()


def test_a_model_without_frames_has_one_h() -> None:
    speaking, plain = TINY_SPECS["speaker only"], TINY_SPECS["unconditional"]
    one, two = (conditioning(speaking, random_checkpoint(speaking).tensors, None, who) for who in (0, 1))
    assert one.shape == two.shape == (1, speaking.conditioner_channels)
    assert (one != two).any()
    tensors = random_checkpoint(plain).tensors
    assert np.array_equal(conditioning(plain, tensors, None, None), tensors["conditioner.bias"][None])


def test_frames_far_from_any_that_were_trained_give_numbers() -> None:
    assert np.isfinite(conditioning(SPEC, TENSORS, frames(5) * 1e4, 0)).all()


KINDRED = tiny(True, 1, classes=CLASSES, styles=STYLES, conditioning="class", **SUBCLASSES)


def test_a_subclass_is_drawn_by_the_seed_with_its_share_of_the_training_pictures() -> None:
    drawn = [draw_subclass(KINDRED, [0, 1, None], seed) for seed in range(4000)]
    assert all(labels[:2] == [0, 1] for labels in drawn)
    shares = np.bincount([labels[2] for labels in drawn], minlength=4) / 4000  # type: ignore[arg-type]
    assert shares[2] == 0.0
    np.testing.assert_allclose(shares[[0, 1, 3]], np.array([5, 1, 2]) / 8, atol=0.03)
    assert drawn == [draw_subclass(KINDRED, [0, 1, None], seed) for seed in range(4000)]
    for seed in range(50):  # the number behind those of the sub-pixels
        u = uniforms(seed, KINDRED.dims, 1)[0] * 8
        assert drawn[seed][2] == (0 if u < 5 else 1 if u < 6 else 3)


@pytest.mark.parametrize("labels", [[0, None, 2], [None, 1, None], [None, None, 3], [2, None, None]])
def test_given_labels_stay_and_no_subclass_is_drawn_without_a_class_or_of_a_class_without_any(
    labels: list[int | None],
) -> None:
    assert draw_subclass(KINDRED, labels, 3) == labels


def test_a_network_without_subclasses_gets_no_subclass() -> None:
    assert draw_subclass(PixelCNNSpec(), [], 0) == []
    assert draw_subclass(tiny(True, 1, classes=CLASSES, conditioning="class"), [1], 0) == [1]
