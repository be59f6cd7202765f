"""What a step trains on: batches that follow from (seed, step, rank), held-out clips left alone, losses that agree with
the engine that serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.architectures import tensor_table
from models.checkpoint import load
from models.engines.speech.native import NativeEngine
from models.tensors import shapes
from models.text.acoustic import AcousticModel, frame_positions
from models.training.data.speech import Dataset
from models.training.model_card import card
from models.training.tasks.acoustic import (
    AcousticTask,
    Batch,
    losses,
    predict_corpus,
    run,
)
from models.training.tasks.wavenet import WaveNetTask
from tests.models.training.sounds import FEATURES, FRAMES, PHONES, SPEAKERS, WAVENET

CPU = torch.device("cpu")
FREE = replace(WAVENET, local_channels=0)
HIDDEN = WAVENET.receptive_field
EVEN = dict.fromkeys(SPEAKERS, 1.0)


@pytest.fixture(scope="module")
def task(prepared: Path) -> WaveNetTask:
    return WaveNetTask(WAVENET, (prepared,), EVEN, batch=3, crop_frames=12)


@pytest.fixture(scope="module")
def frames_task(prepared: Path) -> AcousticTask:
    return AcousticTask(FRAMES, (prepared,), EVEN, batch=3)


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
    assert made.spec == FREE
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


def test_sentences_follow_from_seed_step_and_rank(frames_task: AcousticTask) -> None:
    def content(task: AcousticTask, step: int, rank: int) -> list[str]:
        return [clip.id for _, clip in task._draw(step, rank)]

    drawn = [content(frames_task, step, 0) for step in range(60)]
    assert drawn == [content(replace(frames_task), step, 0) for step in range(60)]
    assert drawn != [content(frames_task, step, 1) for step in range(60)]
    assert drawn != [content(replace(frames_task, seed=3), step, 0) for step in range(60)]
    names = {name for batch in drawn for name in batch}
    assert names == {f"{speaker}_u{i:04d}" for speaker in SPEAKERS for i in range(4)}
    assert all(len(batch) == 3 for batch in drawn)


def test_sentences_are_padded_to_a_batch(frames_task: AcousticTask, prepared: Path) -> None:
    dataset = Dataset(prepared)
    items = [(dataset, dataset.clips[i]) for i in (0, 9)]
    batch = frames_task.collate(items)
    longest = max(clip.frames for _, clip in items)
    assert batch.frames.shape == (2, longest, FEATURES.channels)
    assert batch.speaker.tolist() == [0, 1]
    for row, (_, clip) in enumerate(items):
        assert [FRAMES.phonemes[i] for i in batch.phonemes[row].tolist()] == list(PHONES)
        assert tuple(batch.durations[row].tolist()) == clip.durations
        assert tuple(batch.word_starts[row].bool().tolist()) == clip.word_starts
        assert batch.frame_mask[row, :, 0].tolist() == [1.0] * clip.frames + [0.0] * (longest - clip.frames)
        assert np.bincount(batch.owner[row, : clip.frames], minlength=len(PHONES)).tolist() == list(clip.durations)
        assert np.array_equal(batch.frames[row, : clip.frames], dataset.frames(clip).astype(np.float32))
        assert np.array_equal(batch.positions[row, : clip.frames], frame_positions(np.array(clip.durations)))
        assert not batch.frames[row, clip.frames :].any()


def test_padding_carries_no_loss(frames_task: AcousticTask, prepared: Path) -> None:
    dataset = Dataset(prepared)
    short, long = ((dataset, dataset.clips[i]) for i in (0, 4))
    torch.manual_seed(0)
    model = frames_task.network().eval()
    with torch.no_grad():
        together, alone = frames_task.collate([short, long]), frames_task.collate([short])
        predicted, durations = run(model, together)
        one = Batch(*(tensor[:1] for tensor in together))
        padded = losses(predicted[:1], durations[:1], one)
        expected = losses(*run(model, alone), alone)
    assert padded.keys() == {"mel", "pitch", "voicing", "duration"}
    for part, value in expected.items():
        assert float(padded[part]) == pytest.approx(float(value), abs=1e-5)
        assert float(value) > 0.0
    perfect = losses(alone.frames, torch.log1p(alone.durations.float()), alone)
    assert all(float(value) == pytest.approx(0.0, abs=1e-6) for value in perfect.values())


def test_the_frame_model_learns(frames_task: AcousticTask) -> None:
    torch.manual_seed(0)
    model = frames_task.network()
    before = frames_task.evaluate(model.eval(), CPU)
    assert before.keys() == {f"{p}_{n}" for p in ("mel", "pitch", "voicing", "duration") for n in SPEAKERS}
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-2)
    for step in range(60):
        optimizer.zero_grad()
        loss, items = frames_task.loss(model, step, 0, CPU)
        assert items > 3 * 40
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = frames_task.evaluate(model.eval(), CPU)
    assert all(after[f"mel_{name}"] < 0.7 * before[f"mel_{name}"] for name in SPEAKERS)


def test_a_corpus_of_predicted_frames(frames_task: AcousticTask, prepared: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = frames_task.network().eval()
    frames_task.export(network, tmp_path / "checkpoint", {"steps": 0}, {"mel_ann": 0.5})
    seen: list[int] = []
    model = AcousticModel(load(tmp_path / "checkpoint"))
    assert predict_corpus(model, prepared, tmp_path / "predicted", seen.append) == 8
    assert seen == list(range(1, 9))
    real, predicted = Dataset(prepared), Dataset(tmp_path / "predicted")
    assert {clip.id for clip in predicted.clips} == {c.id for c in real.clips if "_s" not in c.id}
    for clip in predicted.clips:
        (source,) = [c for c in real.clips if c.id == clip.id]
        assert np.array_equal(predicted.symbols(clip), real.symbols(source))
        with torch.no_grad():
            expected = run(network, frames_task.collate([(real, source)]))[0][0].numpy()
        expected[:, -1] = expected[:, -1].clip(0.0, 1.0)
        assert predicted.frames(clip).astype(np.float32) == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("kind", ["wavenet", "acoustic"])
def test_checkpoints_hold_what_the_networks_hold(kind: str, task: WaveNetTask, frames_task: AcousticTask) -> None:
    network = (task if kind == "wavenet" else frames_task).network()
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
