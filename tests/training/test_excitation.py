"""Training on an excitation: prepared arrays from which the sound can be had, blurred crops, nothing mixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.audio.shaping import decode_excitation, encode_excitation, predictor
from ancestral.models.text.acoustic import AcousticModel
from ancestral.training.blur import WIDTHS, blurred, smooth
from ancestral.training.data.f0 import sounding_frames, speaker_pitch_range
from ancestral.training.data.speech import PCM, Dataset
from ancestral.training.predict import predict_corpus
from ancestral.training.tasks.wavenet import WaveNetTask
from tests.training.sounds import EXCITATION, FEATURES, FRAMES, RATE, SPEAKERS, WAVENET, tone

CPU = torch.device("cpu")
EVEN = dict.fromkeys(SPEAKERS, 1.0)
SHAPED = replace(WAVENET, shaping="linear_prediction")


def test_the_sound_can_be_had_from_the_prepared_arrays(prepared: Path, excited: Path) -> None:
    dataset, plain = Dataset(excited), Dataset(prepared)
    assert dataset.coding == EXCITATION
    assert set(dataset.pitch_ranges) == set(SPEAKERS)
    for clip, other in zip(dataset.clips, plain.clips, strict=True):
        assert clip == other
        assert np.array_equal(dataset.frames(clip), plain.frames(other))
        assert len(plain.wave(other)) == 0
        wave = dataset.wave(clip) / PCM
        filters = predictor(dataset.frames(clip), FEATURES)
        sound = decode_excitation(dataset.symbols(clip), filters)
        assert 10 * np.log10((wave**2).sum() / ((wave - sound) ** 2).sum()) > 30.0
        # int16 rounds the sound: a few symbols are next to those of the original. In silence all of it is rounding.
        again = encode_excitation(wave, filters).astype(int)
        sounding = np.repeat(sounding_frames(wave, FEATURES.hop), FEATURES.hop)
        assert sounding.mean() > 0.7
        assert np.abs(again - dataset.symbols(clip))[sounding].mean() < 0.5


def test_the_range_of_a_speaker_lies_around_the_median() -> None:
    low, high = speaker_pitch_range([tone(0.6, hz, 12) for hz in (118.0, 120.0, 123.0)], FEATURES)
    assert (low, high) == pytest.approx((72.0, 216.0), rel=0.03)
    assert speaker_pitch_range([np.zeros(RATE, np.float32)], FEATURES) == (60.0, 500.0)
    assert speaker_pitch_range([tone(0.6, 90.0, 12)], FEATURES)[0] == 60.0


@pytest.mark.parametrize("spec", [WAVENET, SHAPED])
def test_other_symbols_than_the_models_are_refused(prepared: Path, excited: Path, spec: WaveNetSpec) -> None:
    with pytest.raises(ValueError, match="prepared with"):
        WaveNetTask(spec, (prepared, excited), EVEN).network()


def test_smoothing_is_a_mean_over_bands() -> None:
    mels = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    smoothed = smooth(mels, 5)
    assert smoothed.shape == mels.shape
    assert smoothed[:, 20] == pytest.approx(mels[:, 18:23].mean(axis=1), rel=1e-5)
    assert smooth(np.ones((2, 64), np.float32), 13) == pytest.approx(np.ones((2, 64)))


def test_a_blurred_crop_is_the_same_sound_for_another_filter(excited: Path) -> None:
    task, dataset = WaveNetTask(SHAPED, (excited,), EVEN, crop_frames=20), Dataset(excited)
    clip = dataset.clips[3]
    margin = SHAPED.conditioner_layers
    for start in (0, 17):
        natural = task.crop(dataset, clip, start)
        symbols, frames = blurred(natural, dataset, clip, start, margin, np.random.default_rng(start))
        assert frames is not None
        assert natural[1] is not None
        assert frames.shape == natural[1].shape
        assert np.array_equal(frames[:, FEATURES.mel_bands :], natural[1][:, FEATURES.mel_bands :])
        widths = [w for w in WIDTHS if np.array_equal(smooth(natural[1][:, : FEATURES.mel_bands], w), frames[:, :64])]
        assert len(widths) == 1
        # The whole clip, blurred and analysed, has the same symbols there.
        whole = dataset.frames(clip).astype(np.float32)[:, : FEATURES.mel_bands]
        filters = predictor(smooth(whole, widths[0]), FEATURES)
        expected = encode_excitation(dataset.wave(clip) / PCM, filters)[start * 160 : (start + 20) * 160]
        assert np.array_equal(symbols, expected)
        assert not np.array_equal(symbols, natural[0])


def test_the_share_of_blurred_crops(prepared: Path, excited: Path) -> None:
    def frames_of(spec: WaveNetSpec, path: Path, blur: float) -> list[bytes]:
        task = WaveNetTask(spec, (path,), EVEN, batch=1, crop_frames=12, blur=blur)
        batches = [task._batch(step, 0, CPU)[2] for step in range(40)]
        return [frames.numpy().tobytes() for frames in batches if frames is not None]

    for spec, path in ((SHAPED, excited), (WAVENET, prepared)):
        natural, half, all_of_them = (frames_of(spec, path, share) for share in (0.0, 0.5, 1.0))
        assert 0.2 < np.mean([a != b for a, b in zip(natural, half, strict=True)]) < 0.8
        assert all(a != b for a, b in zip(natural, all_of_them, strict=True))


def test_predicted_frames_get_the_excitation_of_their_own_filter(excited: Path, tmp_path: Path) -> None:
    class Blurring:
        """An acoustic model that predicts the same for all frames."""

        spec = FRAMES

        def predict_timed(self, phones, word_starts, durations, speaker, pitch):  # type: ignore[no-untyped-def]
            return np.full((int(durations.sum()), FEATURES.channels), 0.3, np.float32)

    model: AcousticModel = Blurring()  # type: ignore[assignment]
    assert predict_corpus(model, excited, tmp_path / "out", lambda done: None) == 8
    source, made = Dataset(excited), Dataset(tmp_path / "out")
    assert (made.coding, made.pitch_ranges) == (source.coding, source.pitch_ranges)
    known = {clip.id: clip for clip in source.clips}
    for clip in made.clips:
        assert np.array_equal(made.wave(clip), source.wave(known[clip.id]))
        filters = predictor(made.frames(clip), FEATURES)
        assert np.array_equal(made.symbols(clip), encode_excitation(made.wave(clip) / PCM, filters))
