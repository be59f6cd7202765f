"""Training a network that draws edits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.checkpoint import load
from ancestral.training.loop import LoopConfig, Trainer
from ancestral.training.tasks.images import ImageTask, edited_bits

CPU = torch.device("cpu")
SPEC = PixelCNNSpec(
    height=8, width=8, channels=1, levels=4, palette=("#000000", "#ff0000", "#00ff00", "#0000ff"), layers=2,
    features=16, first_kernel_size=3, output_features=16, attributes=(("side", ("left", "right")),),
    conditioning="location", coarse_layers=2, coarse_features=16, coarse_inputs=8,
)  # fmt: skip
EDITS = replace(SPEC, context_channels=12)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one colour, with a black half: what is kept of one tells what else it shows."""
    path = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    arrays = {"attributes": np.array(["side"]), "values_side": np.array(["left", "right"])}
    for part, count in (("train", 300), ("test", 40)):
        side = rng.integers(0, 2, (count, 1))
        images = np.tile(rng.integers(1, 4, (count, 1, 1, 1)), (1, 8, 8, 1))
        images[np.arange(8)[None, None] // 4 == side[:, :, None] + np.zeros((1, 8, 1))] = 0
        arrays |= {f"x_{part}": images.astype(np.uint8), f"labels_{part}": side}
    colours = [[*bytes.fromhex(colour[1:]), 255] for colour in SPEC.palette]
    np.savez(path / "pictures.npz", palette=np.array(colours, np.uint8), **arrays)
    return path


def test_a_run_begins_as_the_network_that_it_starts_from(data: Path, tmp_path: Path) -> None:
    begun = ImageTask(SPEC, data)
    begun.export(begun.network(), tmp_path / "run" / "checkpoint", {"step": 1}, {})
    plain = ImageTask(SPEC, data, start=tmp_path / "run" / "checkpoint").network()
    task = ImageTask(EDITS, data, start=tmp_path / "run" / "checkpoint")
    network, (images, labels, kept) = task.network(), task._batch(0, 0)
    assert kept is not None
    for edits in (None, kept):
        assert torch.allclose(network(images, labels, kept=edits), plain(images, labels), atol=1e-5)
    task.loss(network, 0, 0, CPU)[0].backward()
    grads = {name: parameter.grad for name, parameter in network.named_parameters() if name.endswith("out")}
    assert all(grad is not None and grad.abs().sum() > 0 for grad in grads.values()), "it learns from there"
    with pytest.raises(ValueError, match="its spec is not that"):
        ImageTask(replace(EDITS, features=8), data, start=tmp_path / "run" / "checkpoint").network()


@torch.no_grad()
def test_a_quarter_of_a_batch_are_edits_of_which_the_regions_count(data: Path) -> None:
    task = ImageTask(EDITS, data, batch=400, precision="float32")
    images, labels, kept = task._batch(3, 0)
    assert labels is not None
    assert kept is not None
    edited = kept.flatten(1).any(dim=1)
    assert 0.2 < float(edited.float().mean()) < 0.3
    left_out = labels[:, 0] == 2
    assert 0.35 < float(left_out[edited].float().mean()) < 0.65
    assert float(left_out[~edited].float().mean()) < 0.3
    network = task.network()
    logits = network(images, labels, kept=kept)
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 3), images.flatten(), reduction="none").view(kept.shape)
    expected = nats[~kept].mean() / np.log(2)
    assert float(task.loss(network, 3, 0, CPU)[0]) == pytest.approx(float(expected), rel=1e-5)


def test_a_network_learns_to_see_what_is_kept(data: Path, tmp_path: Path) -> None:
    task = ImageTask(EDITS, data, batch=16, edited=0.5)
    trainer = Trainer(task, LoopConfig(60, 0.01, warmup=5, evaluate_every=200, ema=0.5), tmp_path / "run")
    trainer.run()
    network, test = trainer.averaged(), task.held_out(task.pictures.test, None)
    seeing = edited_bits(network, test, CPU)
    for name, parameter in network.named_parameters():
        if name in ("context.out", "context.coarse_out"):
            parameter.data.zero_()
    assert seeing < 0.7 * edited_bits(network, test, CPU)
    assert task.evaluate(trainer.averaged(), CPU).keys() >= {"valid_bits_per_dim", "valid_bits_per_dim_edited"}
    assert load(tmp_path / "run" / "checkpoint").spec == EDITS
