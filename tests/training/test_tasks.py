"""What a step trains on: batches that follow from (seed, step, rank), held-out clips left alone, losses that agree with
the engine that serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.checkpoint import load
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.tensors import shapes
from ancestral.training.data.speech import Dataset
from ancestral.training.model_card import card
from ancestral.training.precision import fastest_precision
from ancestral.training.tasks.acoustic import AcousticTask
from ancestral.training.tasks.wavenet import WaveNetTask
from tests.paths import ROOT
from tests.training.sounds import FEATURES, FRAMES, SPEAKERS, WAVENET

CPU = torch.device("cpu")
FREE = replace(WAVENET, local_channels=0)
HIDDEN = WAVENET.receptive_field
EVEN = dict.fromkeys(SPEAKERS, 1.0)


@pytest.fixture(scope="module")
def task(prepared: Path) -> WaveNetTask:
    return WaveNetTask(WAVENET, (prepared,), EVEN, batch=3, crop_frames=12)


def test_a_batch_follows_from_seed_step_and_rank(task: WaveNetTask) -> None:
    def content(which: WaveNetTask, step: int, rank: int) -> list[bytes]:
        return [tensor.numpy().tobytes() for tensor in which._batch(step, rank, CPU) if tensor is not None]

    first = content(task, 5, 1)
    assert content(replace(task), 5, 1) == first
    assert all(other != first for other in (content(task, 6, 1), content(task, 5, 0)))
    assert content(replace(task, seed=1), 5, 1) != first


def test_crops_come_from_training_clips_and_hide_only_what_lacks_its_past(task: WaveNetTask, prepared: Path) -> None:
    dataset = Dataset(prepared)
    sound = {clip.id: dataset.symbols(clip).tobytes() for clip in dataset.clips}
    starts = {True: 0, False: 0}
    drawn = set()
    for step in range(120):
        symbols, targets, frames, speakers = task._batch(step, 0, CPU)
        assert frames is not None
        assert frames.shape == (3, 12 + 2 * WAVENET.conditioner_layers, FEATURES.channels)
        for row, target, speaker in zip(symbols.numpy(), targets.numpy(), speakers.tolist(), strict=True):
            crop = row.astype(np.uint8).tobytes()
            (origin,) = [name for name, content in sound.items() if crop in content]
            drawn.add(origin)
            assert origin.startswith(f"{SPEAKERS[speaker]}_u")
            begins = sound[origin].startswith(crop)
            starts[begins] += 1
            hidden = 0 if begins else HIDDEN
            assert (target[:hidden] == -100).all()
            assert np.array_equal(target[hidden:], row[hidden:])
    assert min(starts.values()) > 5
    assert len(drawn) == 8


def test_speakers_are_drawn_by_weight(task: WaveNetTask) -> None:
    lopsided = replace(task, weights={"ann": 1.0, "bob": 9.0})
    speakers = np.concatenate([lopsided._batch(step, 0, CPU)[3].numpy() for step in range(150)])
    assert speakers.mean() == pytest.approx(0.9, abs=0.06)


def test_a_crop_brings_the_margin_of_the_conditioner(prepared: Path) -> None:
    spec = replace(WAVENET, conditioner_layers=3)
    wide = WaveNetTask(spec, (prepared,), EVEN, crop_frames=10)
    dataset = Dataset(prepared)
    clip = dataset.clips[1]
    whole = dataset.frames(clip).astype(np.float32)
    last = clip.frames - 10
    edges = {
        0: [whole[:1], whole[:1], whole[:1], whole[:13]],
        20: [whole[17:33]],
        last: [whole[last - 3 :], whole[-1:], whole[-1:], whole[-1:]],
    }
    for start, parts in edges.items():
        symbols, frames = wide.crop(dataset, clip, start)
        assert frames is not None
        assert np.array_equal(frames, np.concatenate(parts))
        assert np.array_equal(symbols, dataset.symbols(clip)[start * 160 : (start + 10) * 160])


def test_the_loss_is_what_the_engine_scores(prepared: Path, tmp_path: Path) -> None:
    dataset = Dataset(prepared)
    clip = next(c for c in dataset.clips if c.id == "bob_s0000")
    whole = WaveNetTask(WAVENET, (prepared,), EVEN, batch=1, crop_frames=clip.frames)
    torch.manual_seed(0)
    model = whole.network()
    whole.export(model, tmp_path / "checkpoint", {"steps": 0}, {"bits_bob": 8.0})
    engine = NativeEngine(load(tmp_path / "checkpoint"))
    scores = engine.score(dataset.symbols(clip), dataset.frames(clip).astype(np.float32), 1)
    bits = whole.evaluate(model, CPU)["bits_bob"]
    assert bits == pytest.approx(-scores[whole.uncounted :].mean() / np.log(2), rel=1e-4)
    assert bits > 5.0
    # And a training step, in bfloat16, on a clip of which the crop is the whole.
    other = next(c for c in dataset.clips if c.id == "ann_u0003")
    alone = replace(whole, spec=replace(WAVENET, speakers=("ann",)), weights={"ann": 1.0}, crop_frames=other.frames)
    torch.manual_seed(0)
    model = alone.network()
    alone.export(model, tmp_path / "alone", {"steps": 0}, {})
    loss, items = alone.loss(model, 0, 0, CPU)
    scores = NativeEngine(load(tmp_path / "alone")).score(
        dataset.symbols(other), dataset.frames(other).astype(np.float32), 0
    )
    assert loss.item() == pytest.approx(-scores.mean() / np.log(2), rel=0.01)
    assert items == len(scores)


@torch.no_grad()
def test_precision_is_that_of_the_arithmetic(task: WaveNetTask) -> None:
    model = task.network()
    whole, half = (replace(task, precision=p).loss(model, 0, 0, CPU)[0] for p in ("float32", "bfloat16"))
    assert whole != half
    assert float(whole) == pytest.approx(float(half), rel=0.02)


@pytest.mark.parametrize(
    ("told", "precision"),
    [
        ("model name\t: EPYC\nflags\t\t: fpu avx2 avx512f avx512_bf16\n", "bfloat16"),
        ("processor: 0\nFeatures\t: asimd i8mm bf16\n", "bfloat16"),
        ("model name\t: bf16\nflags\t\t: fpu avx2 avx512f\n", "float32"),
        ("", "float32"),
        (None, "float32"),
    ],
)
def test_bfloat16_is_for_processors_that_multiply_it(
    told: str | None, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("a GPU multiplies it")
    if told is not None:
        (tmp_path / "cpuinfo").write_text(told, "ascii")
    monkeypatch.setattr("ancestral.training.precision._CPUINFO", tmp_path / "cpuinfo")
    assert fastest_precision() == precision


def test_a_model_without_frames_hears_one_clip_after_another(prepared: Path) -> None:
    dataset = Dataset(prepared)
    sound = {clip.id: dataset.symbols(clip).tobytes() for clip in dataset.clips}
    free = WaveNetTask(FREE, (prepared,), EVEN, batch=3, crop_frames=30)
    content = [[t.numpy().tobytes() for t in free._batch(step, 1, CPU) if t is not None] for step in (3, 3, 4)]
    assert content[0] == content[1] != content[2]
    joined, begun = 0, 0
    for step in range(60):
        symbols, targets, frames, speakers = free._batch(step, 0, CPU)
        assert frames is None
        assert symbols.shape == (3, 30 * FEATURES.hop)
        for row, target, speaker in zip(symbols.numpy(), targets.numpy(), speakers.tolist(), strict=True):
            crop = row.astype(np.uint8).tobytes()
            own = [s for name, s in sound.items() if name.startswith(f"{SPEAKERS[speaker]}_u")]
            if not any(crop in s for s in own):
                # The end of one, and of what is left the start of another.
                cuts = [
                    i for i in range(FEATURES.hop, len(crop), FEATURES.hop) if any(s.endswith(crop[:i]) for s in own)
                ]
                assert any(s.startswith(crop[cut:]) for cut in cuts for s in own)
                joined += 1
            begins = any(s.startswith(crop) for s in own)
            begun += begins
            hidden = 0 if begins else HIDDEN
            assert (target[:hidden] == -100).all()
            assert np.array_equal(target[hidden:], row[hidden:])
    assert 20 < joined < 120
    assert begun > 3


def test_a_model_without_frames_is_scored_and_exported(prepared: Path, tmp_path: Path) -> None:
    dataset = Dataset(prepared)
    clip = next(c for c in dataset.clips if c.id == "bob_s0000")
    task = WaveNetTask(FREE, (prepared,), EVEN, batch=1, crop_frames=clip.frames)
    torch.manual_seed(0)
    model = task.network()
    task.export(model, tmp_path / "checkpoint", {"steps": 0}, {})
    made = load(tmp_path / "checkpoint")
    assert replace(made.spec_as(WaveNetSpec), int8_ranges=()) == FREE
    assert min(made.spec_as(WaveNetSpec).int8_ranges) > 0
    assert made.card.startswith("# WaveNet without text: a speaker to 16 kHz babble\n")
    scores = NativeEngine(made).score(dataset.symbols(clip), None, 1)
    assert task.evaluate(model, CPU)["bits_bob"] == pytest.approx(
        -scores[task.uncounted :].mean() / np.log(2), rel=1e-4
    )
    loss, items = task.loss(model, 0, 0, CPU)
    assert 5.0 < loss.item() < 12.0
    assert items == clip.frames * FEATURES.hop
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_speakers_that_the_data_lack(prepared: Path) -> None:
    spec = replace(WAVENET, speakers=("ann", "eve"))
    task = WaveNetTask(spec, (prepared,), {"ann": 1.0, "eve": 1.0}, crop_frames=12)
    with pytest.raises(ValueError, match="speakers: the data hold no clip of eve"):
        task.loss(task.network(), 0, 0, CPU)
    assert list(task.evaluate(task.network(), CPU)) == ["bits_ann"]


def test_checkpoints_hold_what_the_networks_hold(task: WaveNetTask, prepared: Path) -> None:
    for network in (task.network(), AcousticTask(FRAMES, (prepared,), EVEN).network().generator):
        found = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        assert found == shapes(tensor_table(network.spec))


def test_cards_give_credit() -> None:
    text = card(
        "A model",
        {"allison": 24.0, "joe": 80.0, "slt": 1.25, "ann": 3.0},
        {"steps": 7, "hours": 0.5},
        {"bits_joe": 2.5},
    )
    rows = dict(line.strip("| ").split(" | ", 1) for line in text.splitlines() if " | " in line.strip("| "))
    assert text.startswith("# A model\n")
    assert "Licence of these weights: CC-BY-SA-3.0" in text
    assert rows["allison"].startswith("24.0 | Allison Smith")
    assert "CC0" in rows["joe"]
    assert "flite's slt" in rows["slt"]
    assert rows["ann"] == "3.0 | a corpus of the person who trained this model"
    assert (rows["steps"], rows["hours"], rows["bits_joe"]) == ("7", "0.5", "2.5000")
    assert "CC-BY-SA" not in card("Another", {"heart": 1.0, "joe": 1.0}, {}, {})


def test_weights_inherit_the_licence_of_those_that_they_start_from() -> None:
    start = load(ROOT / "models/trunks/wavenet-en")
    text = card("Another", {"heart": 1.0}, {"steps": 7}, {}, start)
    assert "Licence of these weights: CC-BY-SA-3.0, that of the weights which training started from" in text
    assert f"| started from the weights of SHA-256 | {start.sha256} |" in text
