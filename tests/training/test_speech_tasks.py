"""Training of WaveNets and of the acoustic model: what a step trains on, its losses, and what runs begin with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ancestral_models.acoustic import frame_positions
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.audio.features import harmonic_ripple
from ancestral_models.audio.shaping import encode_excitation, predictor
from ancestral_models.checkpoint import load
from ancestral_models.engines.speech.engine import StreamRequest
from ancestral_models.networks.wavenet import WaveNet
from ancestral_training.data.speech import PCM, Dataset, PreparedClip
from ancestral_training.metrics import WIDTHS, blurred, smooth
from ancestral_training.model_card import card
from ancestral_training.tasks import acoustic as acoustics
from ancestral_training.tasks.acoustic import AcousticTask, MelDiscriminator, adversarial_losses, collate, losses
from ancestral_training.tasks.wavenet import WaveNetTask
from tests.models.engines.support import exact_scores
from tests.paths import ROOT
from tests.training.sounds import CPU, EVEN, FEATURES, FRAMES, FREE, PHONES, SHAPED, SPEAKERS, WAVENET, exported


@pytest.fixture(scope="module")
def task(prepared: Path) -> WaveNetTask:
    return WaveNetTask(WAVENET, (prepared,), EVEN, batch=3, crop_frames=12)


@pytest.fixture(scope="module")
def acoustic(prepared: Path) -> AcousticTask:
    return AcousticTask(FRAMES, (prepared,), EVEN, batch=3)


def clip_of(dataset: Dataset, name: str) -> PreparedClip:
    return next(clip for clip in dataset.clips if clip.id == name)


def crops(task: WaveNetTask, steps: int) -> Iterator[tuple[bytes, bool, dict[str, bytes]]]:
    """Crops, whether each hides nothing, and the training clips of its speaker."""
    dataset = Dataset(task.data[0])
    for step in range(steps):
        symbols, targets, _, speakers = task._batch(step, 0, CPU)
        for row, target, speaker in zip(symbols.numpy(), targets.numpy(), speakers.tolist(), strict=True):
            hidden = int((target == -100).sum())
            assert hidden in (0, WAVENET.receptive_field)
            assert (target[:hidden] == -100).all()
            assert np.array_equal(target[hidden:], row[hidden:])
            clips = (c for c in dataset.clips if c.id.startswith(f"{SPEAKERS[speaker]}_u"))
            yield row.astype(np.uint8).tobytes(), hidden == 0, {c.id: dataset.symbols(c).tobytes() for c in clips}


def test_crops_come_from_training_clips_and_hide_only_what_lacks_its_past(task: WaveNetTask) -> None:
    assert task._batch(0, 0, CPU)[2].shape == (3, 12 + 2 * WAVENET.conditioner_layers, FEATURES.channels)
    starts, drawn = {True: 0, False: 0}, set()
    for crop, whole, own in crops(task, 120):
        (origin,) = [name for name, sound in own.items() if crop in sound]
        drawn.add(origin)
        assert whole == own[origin].startswith(crop)
        starts[whole] += 1
    assert min(starts.values()) > 5
    assert len(drawn) == 8


def test_a_model_without_frames_hears_one_clip_after_another(prepared: Path) -> None:
    free = WaveNetTask(FREE, (prepared,), EVEN, batch=3, crop_frames=30)
    symbols, _, frames, _ = free._batch(0, 0, CPU)
    assert (frames, symbols.shape) == (None, (3, 30 * FEATURES.hop))
    joined, begun = 0, 0
    for crop, whole, own in crops(free, 60):
        if not any(crop in sound for sound in own.values()):
            # The end of one, and of what is left the start of another.
            cuts = [cut for cut in range(FEATURES.hop, len(crop), FEATURES.hop)
                    if any(sound.endswith(crop[:cut]) for sound in own.values())]  # fmt: skip
            assert any(sound.startswith(crop[cut:]) for cut in cuts for sound in own.values())
            joined += 1
        assert whole == any(sound.startswith(crop) for sound in own.values())
        begun += whole
    assert 20 < joined < 120
    assert begun > 3


def test_speakers_are_drawn_by_weight(task: WaveNetTask) -> None:
    lopsided = replace(task, weights={"ann": 1.0, "bob": 9.0})
    speakers = np.concatenate([lopsided._batch(step, 0, CPU)[3].numpy() for step in range(150)])
    assert speakers.mean() == pytest.approx(0.9, abs=0.06)


def test_speakers_that_the_data_lack_are_not_evaluated(prepared: Path) -> None:
    task = WaveNetTask(replace(WAVENET, speakers=("ann", "eve")), (prepared,), {"ann": 1.0, "eve": 1.0}, crop_frames=12)
    assert list(task.evaluate(WaveNet(task.spec), CPU)) == ["bits_ann"]


def test_a_crop_brings_the_margin_of_the_conditioner(prepared: Path) -> None:
    wide = WaveNetTask(replace(WAVENET, conditioner_layers=3), (prepared,), EVEN, crop_frames=10)
    dataset = Dataset(prepared)
    clip = dataset.clips[1]
    whole, last = dataset.frames(clip).astype(np.float32), clip.frames - 10
    for start, parts in {
        0: [whole[:1]] * 3 + [whole[:13]], 20: [whole[17:33]], last: [whole[last - 3 :]] + [whole[-1:]] * 3,
    }.items():  # fmt: skip
        symbols, frames = wide.crop(dataset, clip, start)
        assert np.array_equal(frames, np.concatenate(parts))
        assert np.array_equal(symbols, dataset.symbols(clip)[start * 160 : (start + 10) * 160])


@pytest.mark.parametrize("spec", [WAVENET, FREE], ids=["frames", "free"])
def test_held_out_bits_are_what_the_engine_scores(prepared: Path, tmp_path: Path, spec: WaveNetSpec) -> None:
    dataset = Dataset(prepared)
    clip = clip_of(dataset, "bob_s0000")
    task = WaveNetTask(spec, (prepared,), EVEN, batch=1, crop_frames=clip.frames)
    model = task.network()
    made = exported(task, model, tmp_path / "checkpoint")
    frames = dataset.frames(clip).astype(np.float32) if spec.local_channels else None
    symbols = dataset.symbols(clip)
    scores = exact_scores(made, StreamRequest(len(symbols), 0, speaker=1, frames=frames), symbols)
    bits = task.evaluate(model, CPU)["bits_bob"]
    assert bits == pytest.approx(-scores[task.uncounted :].mean() / np.log(2), rel=1e-4)
    assert bits > 5.0
    assert min(made.spec_as(WaveNetSpec).int8_ranges) > 0
    title = "Conditional WaveNet: frames and" if spec.local_channels else "WaveNet without text:"
    assert made.card.startswith(f"# {title} a speaker to 16 kHz ")
    loss, items = task.loss(model, 0, 0, CPU)
    assert 5.0 < loss.item() < 12.0
    assert items == clip.frames * FEATURES.hop
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_loss_of_a_step_is_what_the_engine_scores(prepared: Path, tmp_path: Path) -> None:
    """In the fastest precision, on a clip of which the crop is the whole."""
    dataset, spec = Dataset(prepared), replace(WAVENET, speakers=("ann",))
    clip = clip_of(dataset, "ann_u0003")
    task = WaveNetTask(spec, (prepared,), {"ann": 1.0}, batch=1, crop_frames=clip.frames)
    model = task.network()
    loss, items = task.loss(model, 0, 0, CPU)
    symbols, frames = dataset.symbols(clip), dataset.frames(clip).astype(np.float32)
    request = StreamRequest(len(symbols), 0, speaker=0, frames=frames)
    scores = exact_scores(exported(task, model, tmp_path / "alone"), request, symbols)
    assert loss.item() == pytest.approx(-scores.mean() / np.log(2), rel=0.01)
    assert items == len(scores)


def test_a_run_begins_with_other_speakers_and_another_shaping(task: WaveNetTask, excited: Path, tmp_path: Path) -> None:
    begun = exported(task, task.network(), tmp_path / "first")
    spec, renamed = replace(SHAPED, speakers=("bob", "eve")), shutil.copytree(excited, tmp_path / "renamed")
    index = renamed / "clips.json"
    index.write_text(index.read_text().replace('"speaker": "ann"', '"speaker": "eve"'))
    again = WaveNetTask(spec, (renamed,), dict.fromkeys(spec.speakers, 1.0), start=begun.path)
    weights = {name: tensor.numpy() for name, tensor in again.network().state_dict().items()}
    ann, bob = begun.tensors["conditioner.speaker"]
    expected = begun.tensors | {"conditioner.speaker": np.stack([bob, (ann + bob) / 2])}
    assert set(weights) == set(expected)
    assert all(np.array_equal(weights[name], tensor) for name, tensor in expected.items())
    with pytest.raises(ValueError, match="its spec is not that of the network"):
        replace(again, spec=replace(spec, skip_channels=24)).network()


def test_cards_give_credit() -> None:
    minutes = {"allison": 24.0, "joe": 80.0, "slt": 1.25, "ann": 3.0}
    text = card("A model", minutes, {"steps": 7, "hours": 0.5}, {"bits_joe": 2.5})
    rows = dict(line.strip("| ").split(" | ", 1) for line in text.splitlines() if " | " in line.strip("| "))
    assert text.startswith("# A model\n")
    assert "Licence of these weights: CC-BY-SA-3.0" in text
    assert rows["allison"].startswith("24.0 | Allison Smith")
    assert "CC0" in rows["joe"]
    assert "flite's slt" in rows["slt"]
    assert rows["ann"] == "3.0 | a corpus of the person who trained this model"
    assert (rows["steps"], rows["hours"], rows["bits_joe"]) == ("7", "0.5", "2.5000")
    assert "CC-BY-SA" not in card("Another", {"heart": 1.0, "joe": 1.0}, {}, {})
    start = load(ROOT / "models/zoo/wavenet-en/wavenet")
    text = card("Another", {"heart": 1.0}, {"steps": 7}, {}, start)
    assert "Licence of these weights: CC-BY-SA-3.0, that of the weights which training started from" in text
    assert f"| started from the weights of SHA-256 | {start.sha256} |" in text


def test_a_blurred_crop_is_the_same_sound_for_another_filter(excited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ancestral_training.metrics._IN_TIME", 0.0)
    task, dataset = WaveNetTask(SHAPED, (excited,), EVEN, crop_frames=20), Dataset(excited)
    clip, bands = dataset.clips[3], FEATURES.mel_bands
    for start in (0, 17):
        natural = task.crop(dataset, clip, start)
        rng = np.random.default_rng(start)
        symbols, frames = blurred(natural, dataset, clip, start, SHAPED.conditioner_layers, rng)
        assert frames.shape == natural[1].shape
        assert np.array_equal(frames[:, bands:], natural[1][:, bands:])
        (width,) = [w for w in WIDTHS if np.array_equal(smooth(natural[1][:, :bands], w), frames[:, :bands])]
        # The whole clip, blurred and analysed, has the same symbols there.
        filters = predictor(smooth(dataset.frames(clip).astype(np.float32)[:, :bands], width), FEATURES)
        expected = encode_excitation(dataset.wave(clip) / PCM, filters)[start * 160 : (start + 20) * 160]
        assert np.array_equal(symbols, expected)
        assert not np.array_equal(symbols, natural[0])


def test_all_sentences_but_those_held_out_are_drawn(acoustic: AcousticTask) -> None:
    drawn = [acoustics.draw(acoustic._training, EVEN, 3, np.random.default_rng(step)) for step in range(60)]
    names = {clip.id for batch in drawn for _, clip in batch}
    assert names == {f"{speaker}_u{i:04d}" for speaker in SPEAKERS for i in range(4)}


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


def test_padding_carries_no_loss(acoustic: AcousticTask, prepared: Path) -> None:
    dataset = Dataset(prepared)
    short, long = ((dataset, dataset.clips[i]) for i in (0, 4))
    model = acoustic.network().eval().generator
    with torch.no_grad():
        together, alone = collate(FRAMES, [short, long]), collate(FRAMES, [short])
        first = acoustics.Batch(*(tensor[:1] for tensor in together))
        padded = losses(*(made[:1] for made in acoustics.run(model, together)), first)
        expected = losses(*acoustics.run(model, alone), alone)
    assert padded.keys() == {"mel", "pitch", "voicing", "duration"}
    assert {name: float(value) for name, value in padded.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, abs=1e-5
    )
    assert min(expected.values()) > 0.0
    certain = torch.cat([alone.pitch[:, :, :1], 100.0 * (alone.pitch[:, :, 1:] - 0.5)], dim=2)
    perfect = losses(alone.mels, certain, torch.log1p(alone.durations.float()), alone)
    assert all(float(value) == pytest.approx(0.0, abs=1e-6) for value in perfect.values())


def test_the_discriminator_counts_after_some_steps(acoustic: AcousticTask) -> None:
    """Until then only its own weights get a gradient from it."""
    model = acoustic.network().eval()

    def gradients(after: int) -> tuple[Tensor, ...]:
        loss, _ = replace(acoustic, adversary_after=after).loss(model, 2, 0, CPU)
        return torch.autograd.grad(loss, [model.generator.frames_bias, model.discriminator.score.weight])

    (apart, own), (joined, same) = gradients(10**6), gradients(1)
    assert torch.equal(own, same)
    assert own.any()
    assert not torch.equal(apart, joined)


def mel_batch(frames: int = 50) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Predicted and natural mels, ripple, mask."""
    predicted, natural, ripple = torch.randn(3, 2, frames, 64)
    return predicted.requires_grad_(), natural, ripple, torch.ones(2, frames, 1)


def test_each_side_learns_from_its_own_losses() -> None:
    discriminator, given = MelDiscriminator(), mel_batch()
    found = adversarial_losses(discriminator, *given)
    weights = list(discriminator.parameters())
    for loss, own in ((found.discriminator, weights), (found.adversarial, given[:1]), (found.features, given[:1])):
        others = given[:1] if own is weights else weights
        assert all(g.any() for g in torch.autograd.grad(loss, own, retain_graph=True))
        assert not any(torch.autograd.grad(loss, others, retain_graph=True, allow_unused=True))


def test_padding_has_no_say_in_the_discriminator() -> None:
    discriminator, (predicted, natural, ripple, mask) = MelDiscriminator(), mel_batch(64)
    mask[:, 40:] = 0.0
    first = adversarial_losses(discriminator, predicted, natural, ripple, mask)
    for tensor in (predicted, natural, ripple):
        with torch.no_grad():
            tensor[:, 40:] = 7.0
    torch.testing.assert_close(adversarial_losses(discriminator, predicted, natural, ripple, mask), first)
