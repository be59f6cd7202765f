"""Prepared arrays: F0 and silence on a grid of 10 ms, what is kept of every clip, and parts of prepared corpora."""

from __future__ import annotations

import pickle
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ancestral_models.audio.features import LOG_F0_SCALE, normalize_level
from ancestral_models.audio.mu_law import encode_wave
from ancestral_models.audio.shaping import decode_excitation, encode_excitation, predictor
from ancestral_models.engines.speech.native import NativeEngine
from ancestral_training.corpora import read
from ancestral_training.data import speech
from ancestral_training.evaluation.speech import bits_per_sample, error_rates, frames_of, measure_pitch, recordings
from ancestral_training.tasks.wavenet import WaveNetTask
from tests.training.sounds import CODING, EVEN, EXCITATION, FEATURES, PHONES, RATE, WAVENET, exported, tone, voiced

QUIET = np.zeros(RATE // 2, np.float32)


@pytest.mark.parametrize("hz", [90.0, 150.0, 220.0, 330.0])
def test_the_pitch_of_a_harmonic_tone(hz: float) -> None:
    log_f0, voicing = speech.pitch(tone(1.0, hz, 12), FEATURES)
    assert log_f0.shape == voicing.shape == (100,)
    assert voicing[5:-5].all()
    assert np.exp(log_f0[5:-5] * 0.4 + 5.0) == pytest.approx(hz, rel=0.01)


def test_pitch_goes_on_through_what_has_none() -> None:
    gap = np.random.default_rng(0).normal(0, 0.003, RATE // 2).astype(np.float32)
    log_f0, voicing = speech.pitch(np.concatenate([tone(0.5, 120, 12), gap, tone(0.5, 240, 12)]), FEATURES)
    assert voicing[[*range(5, 45), *range(105, 145)]].all()
    assert not voicing[65:90].any()
    steps = np.diff(log_f0[65:90])
    assert steps.min() > 0.0
    assert np.ptp(steps) < 1e-3, "a straight line from the last pitch to the next one"


def test_noise_and_silence_have_no_pitch() -> None:
    assert speech.pitch(np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32), FEATURES)[1].mean() < 0.3
    assert not any(found.any() for found in speech.pitch(np.zeros(RATE, np.float32), FEATURES))


def test_the_range_of_a_speaker_lies_around_the_median() -> None:
    low, high = speech.speaker_pitch_range([tone(0.6, hz, 12) for hz in (118.0, 120.0, 123.0)], FEATURES)
    assert (low, high) == pytest.approx((72.0, 216.0), rel=0.03)
    assert speech.speaker_pitch_range([np.zeros(RATE, np.float32)], FEATURES) == (60.0, 500.0)
    assert speech.speaker_pitch_range([tone(0.6, 90.0, 12)], FEATURES)[0] == 60.0


@pytest.mark.parametrize(
    ("wave", "kept"),
    [
        (np.concatenate([QUIET, tone(1.0, 200), QUIET]), (round(0.42 * RATE), round(1.58 * RATE))),
        (tone(1.0, 200), (0, RATE)), (QUIET, (0, len(QUIET))), (QUIET[:100], (0, 100)),
    ],
    ids=["both ends", "no silence", "only silence", "short"],
)  # fmt: skip
def test_outer_silence_is_cut_to_80_ms(wave: np.ndarray, kept: tuple[int, int]) -> None:
    assert speech.trim_silence(wave, RATE) == kept


def test_durations_fill_the_trimmed_clip() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        seconds = rng.exponential(0.07, int(rng.integers(2, 30)))
        begin = rng.uniform(0, seconds[0])
        frames = max(int((seconds.sum() - begin - rng.uniform(0, seconds[-1])) * 100), 1)
        durations = speech.frame_durations(seconds.tolist(), begin, frames, 0.01)
        assert (len(durations), sum(durations), min(durations) >= 0) == (len(seconds), frames, True)
        # Rounding errors do not add up: every inner boundary is within half a frame of its place.
        exact = np.clip((np.cumsum(seconds)[:-1] - begin) / 0.01, 0, frames)
        assert np.abs(np.cumsum(durations)[:-1] - exact).max() <= 0.5 + 1e-9


def test_a_pause_has_its_whole_silence() -> None:
    """The silent frames are 20 to 39 and 60 to 63, a closure within the T, and 70 to 77."""
    sounding = np.ones(78, bool)
    sounding[20:40] = sounding[60:64] = sounding[70:] = False
    phones = ("AA1", "N", ",", "IY1", "T", ".")
    for durations in ((10, 25, 6, 19, 18, 0), (10, 9, 22, 19, 10, 8)):
        assert speech.pauses_of_silence(phones, durations, sounding) == (10, 11, 20, 19, 11, 7)
        assert speech.pauses_of_silence(phones, durations, np.ones(78, bool)) == durations, "no silence, no change"


def test_every_clip_is_found_again(corpus: Path, prepared: Path) -> None:
    dataset = speech.Dataset(prepared)
    assert (dataset.spec, dataset.coding) == (FEATURES, CODING)
    pickled = pickle.dumps(dataset)  # for another process, which maps the arrays itself
    assert len(pickled) < 1000
    assert np.array_equal(pickle.loads(pickled)._symbols, dataset._symbols)
    for source, clip in zip(read(corpus), dataset.clips, strict=True):
        assert (source.id, source.speaker, source.text) == (clip.id, clip.speaker, clip.text)
        wave = normalize_level(speech.load_wave(source.path, RATE), RATE)
        begin, end = speech.trim_silence(wave, RATE)
        assert begin > 0
        assert clip.frames == (end - begin) // FEATURES.hop
        cut = wave[begin:end]
        frames = speech.analyze(cut, FEATURES, dataset.pitch_ranges[clip.speaker]).astype(np.float16)
        assert np.array_equal(dataset.symbols(clip), encode_wave(cut, 0.85, 2.0))
        assert np.array_equal(dataset.frames(clip), frames)
        assert clip.phones == PHONES
        assert sum(clip.durations) == clip.frames
        assert [p for p, starts in zip(PHONES, clip.word_starts, strict=True) if starts] == ["DH", "K"]


def test_the_sound_can_be_had_from_an_excitation(prepared: Path, excited: Path) -> None:
    dataset, plain = speech.Dataset(excited), speech.Dataset(prepared)
    assert dataset.coding == EXCITATION
    assert dataset.pitch_ranges.keys() == EVEN.keys()
    for clip, other in zip(dataset.clips, plain.clips, strict=True):
        assert clip == other
        assert np.array_equal(dataset.frames(clip), plain.frames(other))
        assert len(plain.wave(other)) == 0
        wave, filters = dataset.wave(clip) / speech.PCM, predictor(dataset.frames(clip), FEATURES)
        sound = decode_excitation(dataset.symbols(clip), filters)
        assert 10 * np.log10((wave**2).sum() / ((wave - sound) ** 2).sum()) > 30.0
        # int16 rounds the sound: a few symbols are next to those of the original. In silence all of it is rounding.
        again = encode_excitation(wave, filters).astype(int)
        sounding = np.repeat(speech.sounding_frames(wave, FEATURES.hop), FEATURES.hop)
        assert sounding.mean() > 0.7
        assert np.abs(again - dataset.symbols(clip))[sounding].mean() < 0.5


def test_several_processes_prepare_the_same(corpus: Path, prepared: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    assert speech.prepare(read(corpus), tmp_path / "out", FEATURES, CODING, 2, seen.append) == 10
    assert seen == list(range(1, 11))
    for name in ("symbols.npy", "clips.json"):
        assert (tmp_path / "out" / name).read_bytes() == (prepared / name).read_bytes()
    # BLAS may add in another order in another process: a frame may then be rounded to the next number.
    mine, theirs = (np.load(folder / "frames.npy") for folder in (tmp_path / "out", prepared))
    np.testing.assert_array_max_ulp(mine, theirs, maxulp=1)


def test_arrays_are_written_without_a_copy_of_all_of_them(tmp_path: Path) -> None:
    parts = [np.full((1000, 66), n, np.float16) for n in range(20)]
    tracemalloc.start()
    speech._save(tmp_path / "frames.npy", parts)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert np.array_equal(np.load(tmp_path / "frames.npy"), np.concatenate(parts))


def clips_of(folder: Path, **waves: np.ndarray) -> list[speech.Clip]:
    """Recordings of Ann, by their names."""
    for name, wave in waves.items():
        soundfile.write(folder / f"{name}.wav", wave, RATE)
    return [speech.Clip(name, "ann", folder / f"{name}.wav", "Text.") for name in waves]


def test_clips_with_another_f0(tmp_path: Path) -> None:
    wave = voiced(2.0, 200.0, 1)
    clips = clips_of(tmp_path, ann_s0000=wave, **{f"ann_u{n:04d}": wave for n in range(5)})
    moved = speech.shifted(clips, 4.0)
    assert [(clip.id, clip.phones) for clip in moved] == [("ann_u0000", ()), ("ann_u0004", ())]  # nothing held out
    speech.prepare([clips[1], *moved], tmp_path / "out", FEATURES, CODING, 1)
    dataset = speech.Dataset(tmp_path / "out")
    own, lower, higher = dataset.clips
    assert lower.frames == pytest.approx(own.frames * 2 ** (4 / 12), abs=5)  # but the silence kept around it
    f0 = [np.median(dataset.frames(clip)[:, -2].astype(float)) for clip in (own, lower, higher)]
    assert np.subtract(f0[0], f0[1:]) * LOG_F0_SCALE == pytest.approx(np.log(2) * 4 / 12 * np.array([1, -1]), abs=0.02)


def test_clips_of_other_rates_and_channels(tmp_path: Path) -> None:
    left = 0.4 * np.sin(2 * np.pi * 200 * np.arange(22050) / 22050)
    soundfile.write(tmp_path / "a.wav", np.column_stack([left, left / 2]), 22050)
    wave = speech.load_wave(tmp_path / "a.wav", RATE)
    assert len(wave) == RATE
    assert wave[100:-100] == pytest.approx(tone(1.0, 200)[100:-100], abs=0.01)


def test_rumble_is_no_sound(tmp_path: Path) -> None:
    voice = np.concatenate([QUIET, tone(1.0, 200) + tone(1.0, 60), QUIET])
    rumble = 0.1 * np.sin(2 * np.pi * 15 * np.arange(len(voice)) / RATE)
    wave = speech.load_wave(clips_of(tmp_path, a=voice + rumble)[0].path, RATE)
    inside = slice(RATE // 2 + 1600, -RATE // 2 - 1600)
    assert wave[inside] == pytest.approx(voice[inside], abs=0.005)
    assert np.abs(wave[: RATE // 4]).max() < 0.01
    begin, end = speech.trim_silence(wave, RATE)
    assert 0.3 * RATE < begin < end < 1.7 * RATE


def test_what_is_too_short_or_no_sound_is_left_out_or_refused(tmp_path: Path) -> None:
    clips = clips_of(tmp_path, short=tone(0.3, 200), long=tone(0.5, 200))
    assert speech.prepare(clips, tmp_path / "out", FEATURES, CODING, processes=1) == 1
    (clip,) = (opened := speech.Dataset(tmp_path / "out")).clips
    assert (clip.id, clip.frames, clip.durations) == ("long", 50, ())
    before = opened.symbols(clip).tobytes()
    assert speech.prepare(clips_of(tmp_path, other=tone(0.5, 300)), tmp_path / "out", FEATURES, CODING, 1) == 1
    assert opened.symbols(clip).tobytes() == before, "what a run has mapped stays"
    clips[1].path.write_bytes(b"RIFF, or so it says")
    (empty,) = clips_of(tmp_path, empty=QUIET[:0])
    for some, message in ((clips[:1], "none of 1 clips"), (clips[1:], r"long\.wav"), ([empty], "without sound")):
        with pytest.raises(ValueError, match=message):
            speech.prepare(some, tmp_path / "none", FEATURES, CODING, processes=1)
        assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("heart_s0000", True), ("allison_s0039", True), ("joe_u0001", False), ("LJ001-0001", False),
     ("p225_001", False), ("allison_vm-saved", False), ("a_s", False), ("a_sx1", False), ("s0001", False),
     ("a_s1", False)],
)  # fmt: skip
def test_the_names_of_held_out_clips(name: str, expected: bool) -> None:
    assert speech.held_out(name) is expected


def contents(dataset: speech.Dataset, clip: speech.PreparedClip) -> tuple[object, ...]:
    arrays = dataset.symbols(clip), dataset.frames(clip), dataset.wave(clip)
    return (clip.speaker, clip.text, clip.phones, clip.durations, clip.word_starts, *(a.tobytes() for a in arrays))


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.parametrize("kind", ["prepared", "excited"])
def test_parts_hold_every_clip_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source: Path = request.getfixturevalue(kind)
    limit = size(source) // 3
    parts = speech.pack([source], tmp_path / "parts", limit)
    assert [part.name for part in parts] == [f"part-{n:03d}" for n in range(len(parts))]
    assert len(parts) >= 3
    assert all(size(part) <= limit for part in parts)
    whole, opened = speech.Dataset(source), [speech.Dataset(part) for part in parts]
    found = {clip.id: contents(dataset, clip) for dataset in opened for clip in dataset.clips}
    assert sum(len(dataset.clips) for dataset in opened) == len(found)
    assert found == {clip.id: contents(whole, clip) for clip in whole.clips}
    assert all((d.coding, d.spec, d.pitch_ranges) == (whole.coding, whole.spec, whole.pitch_ranges) for d in opened)


def test_what_cannot_be_packed(corpus: Path, prepared: Path, excited: Path, tmp_path: Path) -> None:
    names = "|".join(clip.id for clip in speech.Dataset(prepared).clips)  # none fits; which is tried first is drawn
    full, other = tmp_path / "full", shutil.copytree(excited, tmp_path / "excited")
    full.mkdir()
    np.save(full / "something.npy", np.zeros(1))
    for sources, out, limit, message in (
        ([prepared], "small", 9000, rf"({names}): a clip of \d+ bytes does not fit into a part of 9000"),
        ([prepared, other], "mixed", 1 << 20, "excited.*: prepared with"),
        ([prepared], "full", 1 << 20, "full: not empty"), ([corpus], "raw", 1 << 20, "corpus.*: not prepared"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            speech.pack(sources, tmp_path / out, limit)


# Judges of speech: what an ASR hears, how clean it is, whose voice it is, how likely the model finds it; its F0, the
# sharpness of mels; the page on which people hear voices beside their recordings.


def noise(seconds: float, level: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, level, round(seconds * RATE)).astype(np.float32)


def test_error_rates() -> None:
    for text, heard, language in (
        ("Five cats, and Mr. Smith's colour.", "5 cats and mister smith's color", "en"),
        ("Ocho gatos, y el Sr. Paz.", "8 gatos y el señor paz", "es-ES"),
    ):
        assert error_rates([text], [heard], language) == {"wer": 0.0, "cer": 0.0}
    rates = error_rates(["one plank only", "she sang"], ["one tank only", "she sang"])
    assert rates["wer"] == pytest.approx(1 / 5)
    assert 0.0 < rates["cer"] < rates["wer"]
    assert error_rates(["she sang"], [""])["wer"] == 1.0
    assert error_rates(["Ocho gatos."], ["你好"], "es")["wer"] == 1.0


def test_recordings_are_those_held_out(corpus: Path, tmp_path: Path) -> None:
    found = recordings(corpus, 5, "en")
    assert [text for text, _ in found] == ["The birch, canoe."] * 2
    assert all(np.abs(wave).max() <= 0.97 and len(wave) > RATE for _, wave in found)
    assert len(recordings(corpus, 1, "en")) == 1
    (tmp_path / "wavs").mkdir()
    for name in ("a", "a_s0000"):
        soundfile.write(tmp_path / "wavs" / f"{name}.wav", tone(1.0, 200), RATE)
    (tmp_path / "metadata.csv").write_text("a|ann|Text.\na_s0000|ann|...\n")
    with pytest.raises(ValueError, match="no clip that can be spoken is held out"):
        recordings(tmp_path, 5, "en")


def test_bits_per_sample(corpus: Path, prepared: Path, tmp_path: Path) -> None:
    task = WaveNetTask(WAVENET, (prepared,), EVEN)
    network = task.network()
    engine = NativeEngine(exported(task, network, tmp_path / "a"))
    waves = [wave for _, wave in recordings(corpus, 2, "en")]
    frames = frames_of(waves, FEATURES)
    each = [bits_per_sample(engine, [w], [f], 0, FEATURES) for w, f in zip(waves, frames, strict=True)]
    lengths = [len(wave) // FEATURES.hop for wave in waves]
    assert bits_per_sample(engine, waves, frames, 0, FEATURES) == pytest.approx(np.average(each, weights=lengths))
    assert min(each) > 3.0
    # A model that knows nothing but that all symbols are equally likely needs eight bits for each.
    with torch.no_grad():
        network.output.zero_()
        network.output_bias.zero_()
    blank = NativeEngine(exported(task, network, tmp_path / "b"))
    assert bits_per_sample(blank, waves, frames, 1, FEATURES) == pytest.approx(8.0, abs=1e-5)


def test_pitch_and_voicing_of_a_voice() -> None:
    half, quiet = (np.concatenate([tone(1.0, 150.0, 12), noise(1.0, level)]) for level in (0.2, 0.001))
    measured = measure_pitch([half, half], FEATURES)
    assert measured.median_f0 == pytest.approx(150.0, rel=0.01)
    assert measured.voiced_share == pytest.approx(0.5, abs=0.05)
    assert measure_pitch([quiet], FEATURES).voiced_share > 0.95, "quiet frames do not count"
    assert measure_pitch([noise(1.0, 0.2)], FEATURES).voiced_share < 0.1
