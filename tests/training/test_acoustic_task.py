"""Training of the acoustic model: batches that follow from (seed, step, rank), losses, what a run starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.models.audio.harmonics import harmonic_ripple
from ancestral.models.checkpoint import load, save
from ancestral.models.networks.acoustic import AcousticNetwork
from ancestral.models.text.acoustic import AcousticModel, frame_positions
from ancestral.training.data.acoustic import Batch, collate, draw
from ancestral.training.data.speech import Dataset
from ancestral.training.predict import predict_corpus
from ancestral.training.tasks.acoustic import AcousticTask, losses, run
from tests.training.sounds import FEATURES, FRAMES, PHONES, SPEAKERS

CPU = torch.device("cpu")
EVEN = dict.fromkeys(SPEAKERS, 1.0)
OLD = replace(FRAMES, pitch_layers=0)


@pytest.fixture(scope="module")
def task(prepared: Path) -> AcousticTask:
    return AcousticTask(FRAMES, (prepared,), EVEN, batch=3)


def test_sentences_follow_from_the_generator(task: AcousticTask) -> None:
    def content(*seed: int) -> list[str]:
        return [clip.id for _, clip in draw(task._training, EVEN, 3, np.random.default_rng(seed))]

    drawn = [content(0, step, 0) for step in range(60)]
    assert drawn == [content(0, step, 0) for step in range(60)]
    assert drawn != [content(0, step, 1) for step in range(60)]
    names = {name for batch in drawn for name in batch}
    assert names == {f"{speaker}_u{i:04d}" for speaker in SPEAKERS for i in range(4)}
    assert all(len(batch) == 3 for batch in drawn)


def test_a_loss_follows_from_seed_step_and_rank(task: AcousticTask) -> None:
    model = task.network().eval()

    def value(which: AcousticTask, step: int, rank: int) -> float:
        return which.loss(model, step, rank, CPU)[0].item()

    first = value(task, 2, 0)
    assert value(replace(task), 2, 0) == first
    assert all(value(*other) != first for other in ((task, 3, 0), (task, 2, 1), (replace(task, seed=3), 2, 0)))


def test_sentences_are_padded_to_a_batch(prepared: Path) -> None:
    dataset = Dataset(prepared)
    items = [(dataset, dataset.clips[i]) for i in (0, 9)]
    batch = collate(FRAMES, items)
    longest = max(clip.frames for _, clip in items)
    assert batch.mels.shape == batch.ripple.shape == (2, longest, FEATURES.mel_bands)
    assert batch.pitch.shape == (2, longest, 2)
    assert batch.speaker.tolist() == [0, 1]
    for row, (_, clip) in enumerate(items):
        assert [FRAMES.phonemes[i] for i in batch.phonemes[row].tolist()] == list(PHONES)
        assert tuple(batch.durations[row].tolist()) == clip.durations
        assert tuple(batch.word_starts[row].bool().tolist()) == clip.word_starts
        assert batch.frame_mask[row, :, 0].tolist() == [1.0] * clip.frames + [0.0] * (longest - clip.frames)
        assert np.bincount(batch.owner[row, : clip.frames], minlength=len(PHONES)).tolist() == list(clip.durations)
        made = np.concatenate([batch.mels[row, : clip.frames], batch.pitch[row, : clip.frames]], axis=1)
        assert np.array_equal(made, dataset.frames(clip).astype(np.float32))
        ripple = harmonic_ripple(made[:, -2], made[:, -1], FEATURES)
        assert np.array_equal(batch.ripple[row, : clip.frames], ripple)
        assert np.array_equal(batch.positions[row, : clip.frames], frame_positions(np.array(clip.durations)))
        assert not any(t[row, clip.frames :].any() for t in (batch.mels, batch.pitch, batch.ripple))


def test_padding_carries_no_loss(task: AcousticTask, prepared: Path) -> None:
    dataset = Dataset(prepared)
    short, long = ((dataset, dataset.clips[i]) for i in (0, 4))
    torch.manual_seed(0)
    model = task.network().eval().generator
    with torch.no_grad():
        together, alone = collate(FRAMES, [short, long]), collate(FRAMES, [short])
        one = Batch(*(tensor[:1] for tensor in together))
        padded = losses(*(made[:1] for made in run(model, together)), one)
        expected = losses(*run(model, alone), alone)
    assert padded.keys() == {"mel", "pitch", "voicing", "duration"}
    for part, value in expected.items():
        assert float(padded[part]) == pytest.approx(float(value), abs=1e-5)
        assert float(value) > 0.0
    certain = torch.cat([alone.pitch[:, :, :1], 100.0 * (alone.pitch[:, :, 1:] - 0.5)], dim=2)
    perfect = losses(alone.mels, certain, torch.log1p(alone.durations.float()), alone)
    assert all(float(value) == pytest.approx(0.0, abs=1e-6) for value in perfect.values())


@pytest.mark.slow
def test_the_acoustic_model_learns(task: AcousticTask) -> None:
    torch.manual_seed(0)
    model = task.network()
    before = task.evaluate(model.eval(), CPU)
    parts = ("mel", "pitch", "voicing", "duration", "ripple", "variance")
    assert before.keys() == {f"{p}_{n}" for p in parts for n in SPEAKERS}
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-2)
    for step in range(60):
        optimizer.zero_grad()
        loss, items = task.loss(model, step, 0, CPU)
        assert items > 3 * 40
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = task.evaluate(model.eval(), CPU)
    assert all(after[f"mel_{name}"] < 0.7 * before[f"mel_{name}"] for name in SPEAKERS)


def test_the_discriminator_counts_after_some_steps(task: AcousticTask) -> None:
    """Until then only its own weights get a gradient from it."""
    torch.manual_seed(0)
    model = task.network().eval()
    early, late = (replace(task, adversary_after=after) for after in (10**6, 1))

    def gradients(which: AcousticTask) -> tuple[torch.Tensor, torch.Tensor]:
        loss, _ = which.loss(model, 2, 0, CPU)
        wanted = [model.generator.frames_bias, model.discriminator.score.weight]
        generator, discriminator = torch.autograd.grad(loss, wanted)
        return generator, discriminator

    (apart, own), (joined, same) = gradients(early), gradients(late)
    assert torch.equal(own, same)
    assert own.any()
    assert not torch.equal(apart, joined)


def test_only_models_with_f0_before_mels_are_trained(task: AcousticTask) -> None:
    with pytest.raises(ValueError, match="pitch_layers"):
        replace(task, spec=OLD).network()


def test_a_run_begins_with_a_model_that_predicted_f0_beside_the_mels(task: AcousticTask, tmp_path: Path) -> None:
    torch.manual_seed(0)
    begun = {name: tensor.numpy() for name, tensor in AcousticNetwork(OLD).state_dict().items()}
    save(tmp_path / "old", OLD, begun, "Old.")
    spec = replace(FRAMES, speakers=("bob", "eve"), phonemes=(*OLD.phonemes, "new"))
    fresh = replace(task, spec=spec, weights=dict.fromkeys(spec.speakers, 1.0), start=tmp_path / "old")
    weights = fresh.network().generator.state_dict()
    assert np.array_equal(weights["frames_out"].numpy(), begun["frames_out"][:, :-2])
    assert np.array_equal(weights["frames_bias"].numpy(), begun["frames_bias"][:-2])
    ann, bob = begun["speaker"]
    assert np.array_equal(weights["speaker"].numpy(), np.stack([bob, (ann + bob) / 2]))
    phonemes = begun["phoneme"]
    assert np.allclose(weights["phoneme"].numpy(), np.vstack([phonemes, phonemes.mean(axis=0)]))
    common = set(begun) - {"frames_out", "frames_bias", "speaker", "phoneme"}
    assert all(np.array_equal(weights[name].numpy(), begun[name]) for name in common)
    assert any(name.startswith("pitch.0.") for name in set(weights) - set(begun))


def test_the_card_tells_what_was_begun_with(task: AcousticTask, tmp_path: Path) -> None:
    task.export(task.network(), tmp_path / "first", {"steps": 0}, {})
    again = replace(task, start=tmp_path / "first")
    again.export(again.network(), tmp_path / "second", {"steps": 0}, {})
    first, second = load(tmp_path / "first"), load(tmp_path / "second")
    assert second.sha256 == first.sha256
    assert first.sha256 in second.card


def test_a_corpus_of_predicted_frames(task: AcousticTask, prepared: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = task.network().eval()
    task.export(network, tmp_path / "checkpoint", {"steps": 0}, {"mel_ann": 0.5})
    seen: list[int] = []
    model = AcousticModel(load(tmp_path / "checkpoint"))
    assert predict_corpus(model, prepared, tmp_path / "predicted", seen.append) == 8
    assert seen == list(range(1, 9))
    real, predicted = Dataset(prepared), Dataset(tmp_path / "predicted")
    assert {clip.id for clip in predicted.clips} == {c.id for c in real.clips if "_s" not in c.id}
    for clip in predicted.clips:
        (source,) = [c for c in real.clips if c.id == clip.id]
        assert np.array_equal(predicted.symbols(clip), real.symbols(source))
        assert np.array_equal(predicted.frames(clip)[:, -2:], real.frames(source)[:, -2:]), "true F0"
        with torch.no_grad():
            expected = run(network.generator, collate(FRAMES, [(real, source)]))[0][0].numpy()
        assert predicted.frames(clip)[:, :-2].astype(np.float32) == pytest.approx(expected, abs=5e-3)
