"""The acoustic model: what serves (numpy) is what was trained (torch); exact pauses, prosody, mixed speakers."""

from dataclasses import replace
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ancestral_models import acoustic, checkpoint
from ancestral_models.acoustic import AcousticModel, AlignmentError, PitchControl, align, frame_positions
from ancestral_models.architectures.acoustic import AcousticSpec
from ancestral_models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE, LOG_MEL_SCALE, harmonic_ripple
from ancestral_models.audio.shaping import decode_excitation, predictor
from ancestral_models.checkpoint import load
from ancestral_models.engines.speech.engine import StreamRequest
from ancestral_models.engines.speech.native import NativeEngine
from ancestral_models.networks.acoustic import AcousticNetwork
from ancestral_models.spec import FeatureSpec
from ancestral_models.text import PHONEMES, Sentence, Word, parse_text, phonemize
from ancestral_models.text.phonemes import Control, is_pause
from tests.models.random_models import ZOO

SPEC = AcousticSpec(
    phonemes=PHONEMES, speakers=("ann", "bob"), outputs=20, channels=24, encoder_layers=2, decoder_layers=2,
    speaker_channels=6, pitch_layers=3,
)  # fmt: skip
TEXTS = ("The birch canoe slid on the smooth planks.", "When the sun came up, she sang!", "No?")
EVERY = Sentence((*(Word(p, (p,), (0, 12)) for p in PHONEMES if not is_pause(p)), "."))


@pytest.fixture(scope="module")
def network():
    """Random weights, none of them zero."""
    torch.manual_seed(0)
    network = AcousticNetwork(SPEC)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()


@pytest.fixture(scope="module")
def model(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("acoustic") / "checkpoint"
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    checkpoint.save(path, network.spec, tensors, "Random.")
    return AcousticModel(checkpoint.load(path))


def sentences():
    return [phonemize(text)[0] for text in TEXTS]


def inputs(batch, speaker):
    """Padded as for training."""
    longest = max(len(s.phones) for s in batch)
    phonemes, starts = np.zeros((len(batch), longest), np.int64), np.zeros((len(batch), longest), np.float32)
    mask = np.zeros((len(batch), longest, 1), np.float32)
    for row, sentence in enumerate(batch):
        length = len(sentence.phones)
        phonemes[row, :length] = [PHONEMES.index(p) for p in sentence.phones]
        starts[row, :length], mask[row, :length] = sentence.word_starts, 1.0
    who = np.full(len(batch), speaker)
    return tuple(map(torch.from_numpy, (phonemes, starts, who, mask)))


@pytest.mark.parametrize("speaker", [0, 1])
@pytest.mark.parametrize("sentence", [*sentences(), EVERY], ids=lambda s: s.text)
@torch.no_grad()
def test_numpy_and_torch_agree(network, model, sentence, speaker):
    name = SPEC.speakers[speaker]
    phonemes, starts, who, mask = inputs([sentence], speaker)
    encoded, durations = network.encode(phonemes, starts, who, mask)
    counts = model.durations(durations[0].numpy(), 1.0)
    repeated = encoded[0].repeat_interleave(torch.from_numpy(counts), dim=0)[None]
    positions = torch.from_numpy(frame_positions(counts))[None]
    given = repeated, positions, who, torch.ones(1, len(repeated[0]), 1)
    pitch = network.predict_pitch(*given)
    pitch[:, :, 1] = (pitch[:, :, 1] > 0.0).float()
    pitch = torch.from_numpy(PitchControl().apply(pitch[0].numpy(), network.spec.features))[None]
    ripple = torch.from_numpy(harmonic_ripple(*pitch[0].numpy().T, network.spec.features))[None]
    expected = torch.cat([network.decode(*given, pitch, ripple), pitch], dim=2)[0].numpy()
    frames = model.predict(sentence, name)
    assert frames.dtype == np.float32
    assert frames == pytest.approx(expected, abs=1e-4)
    assert model.predict_timed(sentence.phones, sentence.word_starts, counts, name) == pytest.approx(frames, abs=1e-6)
    both = model.predict_with_timing(sentence, name)
    assert np.array_equal(both[0], frames)
    assert np.array_equal(both[1], model.timing(sentence, name))


def test_company_does_not_change_a_sentence(network):
    batch = sentences()
    with torch.no_grad():
        encoded, durations = network.encode(*inputs(batch, 1))
        frames = torch.randn(3, 30, SPEC.channels)
        places = torch.rand(3, 30, SPEC.position_channels)
        mask = torch.ones(3, 30, 1)
        mask[0, 20:] = mask[2, 7:] = 0.0
        extra = (torch.randn(3, 30, 2), torch.randn(3, 30, SPEC.bands))
        decoded = network.decode(frames, places, torch.tensor([1, 1, 1]), mask, *extra)
        for row, sentence in enumerate(batch):
            length = len(sentence.phones)
            alone, own = network.encode(*inputs([sentence], 1))
            torch.testing.assert_close(encoded[row, :length], alone[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(durations[row, :length], own[0], atol=1e-5, rtol=1e-5)
            real = int(mask[row].sum())
            cut = (frames[row, :real][None], places[row, :real][None], torch.tensor([1]), torch.ones(1, real, 1))
            more = (tensor[row, :real][None] for tensor in extra)
            torch.testing.assert_close(decoded[row, :real], network.decode(*cut, *more)[0], atol=1e-5, rtol=1e-5)


def test_pitch_in_semitones(model):
    sentence, bands = sentences()[0], SPEC.bands
    plain = model.predict(sentence, "ann")
    raised = model.predict(sentence, "ann", control=PitchControl(semitones=3.0))
    hz, moved = (np.exp(f[:, bands] * LOG_F0_SCALE + LOG_F0_MEAN) for f in (plain, raised))
    low, high = SPEC.features.requested_hz
    kept = (moved < high * 0.999) & (hz > low * 1.001)
    assert kept.mean() > 0.5
    assert moved[kept] / hz[kept] == pytest.approx(2.0 ** (3 / 12), rel=1e-4)
    assert np.array_equal(raised[:, -1], plain[:, -1])
    voiced = plain[:, -1] > 0.5
    assert np.abs(raised - plain)[voiced, :bands].mean() > 1e-3, "the mels follow F0"
    assert np.array_equal(model.predict(sentence, "ann", control=PitchControl()), plain)


def test_quiet_and_whispered_frames(model):
    (sentence,), bands = phonemize("Glue the sheet."), SPEC.bands
    plain, made = model.predict(sentence, "ann"), {}
    for way in ({"decibels": -8.0}, {"whispered": True}):
        items = [replace(i, control=Control(**way)) if isinstance(i, Word) else i for i in sentence.items]
        (name,) = way
        made[name] = model.predict(Sentence(tuple(items)), "ann")
    ratios = np.exp((made["decibels"] - plain)[:, :bands] * LOG_MEL_SCALE)
    assert 20.0 * np.log10(ratios) == pytest.approx(-8.0, abs=1e-3)
    assert np.array_equal(made["decibels"][:, bands:], plain[:, bands:])
    assert plain[:, -1].any()
    assert not made["whispered"][:, -1].any()
    rough = [np.abs(np.diff(frames[:, :bands], axis=1)).mean() for frames in (plain, made["whispered"])]
    assert rough[1] < rough[0], "without harmonics"


def test_intonation_scales_f0_around_its_mean():
    spec = SPEC.features
    voicing = np.tile([1.0, 1.0, 0.0], 10)
    predicted = np.column_stack([np.linspace(-0.3, 0.5, 30), voicing]).astype(np.float32)
    mean = predicted[voicing > 0, 0].mean()
    for factor in (0.0, 0.5, 2.0):
        made = PitchControl(intonation=factor).apply(predicted, spec)
        assert made[:, 0] - mean == pytest.approx(factor * (predicted[:, 0] - mean), abs=1e-6)
        assert np.array_equal(made[:, 1], predicted[:, 1])
    both = PitchControl(semitones=-2.0, intonation=0.0).apply(predicted, spec)
    assert np.exp((both[:, 0] - mean) * LOG_F0_SCALE) == pytest.approx(2.0 ** (-2 / 12), rel=1e-5)
    unvoiced = PitchControl(intonation=0.0).apply(predicted * [1, 0], spec)
    assert unvoiced[:, 0] == pytest.approx(predicted[:, 0].mean(), abs=1e-6)
    # F0 stays within what the WaveNet has learnt; intonation spans many frames.
    for semitones, hz in ((48.0, spec.pitch_high_hz), (-48.0, 47.622)):
        made = PitchControl(semitones=semitones).apply(np.array([[-1.0, 1.0], [1.0, 1.0]], np.float32), spec)
        assert np.exp(made[:, 0] * LOG_F0_SCALE + LOG_F0_MEAN) == pytest.approx(hz, rel=1e-4)
    assert replace(SPEC, pitch_layers=4).pitch_dilations == (1, 2, 4, 8)


def test_speed_divides_durations(model):
    logarithms = np.log1p(np.linspace(8.0, 40.0, 30)).astype(np.float32)
    normal, slow, fast = (model.durations(logarithms, speed) for speed in (1.0, 0.5, 2.0))
    assert normal.sum() == round(np.linspace(8.0, 40.0, 30).sum())
    assert slow.sum() == pytest.approx(2 * normal.sum(), abs=1)
    assert fast.sum() == pytest.approx(normal.sum() / 2, abs=1)
    assert np.abs(slow - 2 * normal).max() <= 2
    sentence = sentences()[0]
    lengths = [len(model.predict(sentence, "ann", speed)) for speed in (2.0, 1.0, 0.5)]
    assert lengths[0] < lengths[1] < lengths[2]


def test_outer_pauses_keep_some_length_and_rounding_loses_nothing(model):
    counts = model.durations(np.full(12, -3.0, np.float32), 1.0)
    assert counts.tolist() == [acoustic.SHORTEST_PAUSE, *[0] * 10, acoustic.SHORTEST_PAUSE]
    fast = model.durations(np.log1p(np.full(12, 3.0, np.float32)), 4.0)
    assert (fast[0], fast[-1]) == (acoustic.SHORTEST_PAUSE,) * 2
    exact = np.random.default_rng(0).uniform(0.2, 9.0, 200)
    exact[[0, -1]] = 6.0
    counts = model.durations(np.log1p(exact).astype(np.float32), 1.0)
    assert np.abs(np.cumsum(counts) - np.cumsum(exact)).max() <= 0.501


def test_int8_changes_what_nobody_hears():
    trained = checkpoint.load(ZOO / "acoustic")
    whole, rounded = AcousticModel(trained), AcousticModel(trained, int8=True)
    bands, semitone = whole.spec.features.mel_bands, np.log(2.0) / 12.0 / LOG_F0_SCALE
    for words, speaker in product(sentences(), ("heart", "joe")):
        (one, lengths), (other, same) = (model.predict_with_timing(words, speaker) for model in (whole, rounded))
        assert np.array_equal(lengths, same)
        assert not np.array_equal(one, other)
        assert (one - other)[:, :bands].std() < 0.02, "a tenth of the error of the prediction itself, at most"
        voiced = (one[:, -1] > 0.0) & (other[:, -1] > 0.0)
        assert np.abs(one - other)[voiced, -2].mean() < 0.1 * semitone
        assert (one[:, -1] == other[:, -1]).mean() > 0.98


def test_positions():
    found = frame_positions(np.array([2, 0, 1, 30]))
    assert found.shape == (33, 3)
    assert found[:3] == pytest.approx(np.array([[0.25, 0.0, 0.05], [0.75, 0.05, 0.0], [0.5, 0.0, 0.0]]))
    assert found[3] == pytest.approx([1 / 60, 0.0, 1.0])
    assert found[-1] == pytest.approx([59 / 60, 1.0, 0.0])
    assert found[3 + 10] == pytest.approx([10.5 / 30, 0.5, 19 / 20])


def test_a_clause_that_goes_on_is_what_it_is_before_another(model):
    """Prosody and pause are those of a comma within a sentence, not of its end."""
    (clause,) = phonemize("When the ships came in,")
    (within,) = phonemize("When the ships came in, and the rest.")
    count = len(clause.phones)
    assert clause.phones == (*within.phones[: count - 1], ",")
    expected, durations = model.predict_with_timing(within, "ann")
    frames, found = model.predict_with_timing(clause, "ann")
    assert found.tolist() == durations[:count].tolist() == model.timing(clause, "ann").tolist()
    assert np.array_equal(frames, expected[: found.sum()])


@pytest.fixture(scope="module")
def shipped():
    return AcousticModel(load(ZOO / "acoustic"))


def one(text, form="text"):
    (sentence,) = phonemize(parse_text(text, form))
    return sentence


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.3])
def test_a_pause_has_exactly_its_frames_whatever_the_speed(shipped, speed):
    sentence = one("[pause:700ms] Hello [pause:1.5s] world [pause:30ms].")
    durations = shipped.timing(sentence, "heart", speed)
    given = [length for length, control in zip(durations, sentence.controls, strict=True) if control.seconds]
    assert given == [70, 150, 3]
    frames, timing = shipped.predict_with_timing(sentence, "heart", speed)
    assert len(frames) == timing.sum()
    assert (timing == durations).all()


def test_a_pause_is_silent_and_the_words_around_it_are_those_beside_a_comma(shipped):
    with_pause, comma = one("Hello [pause:5s] world."), one("Hello, world.")
    frames, durations = shipped.predict_with_timing(with_pause, "joe")
    natural, usual = shipped.predict_with_timing(comma, "joe")
    others = np.array([control.seconds is None for control in with_pause.controls])
    # The running sum is rounded without the pause, so that a boundary may move by a frame.
    assert abs(durations[others] - usual[others]).max() <= 1
    end = durations[:5].sum()
    pause = frames[end : end + 500]
    bands = shipped.spec.features.mel_bands
    assert len(pause) == 500
    assert np.median(pause[:, :bands].mean(axis=1)) < np.median(natural[:, :bands].mean(axis=1)) - 0.5
    assert (pause[20:-20, -1] == 0.0).all()
    assert np.isfinite(frames).all()


def test_prosody_changes_its_own_words(shipped):
    plain, slow, high = (
        one(f"<speak>one {begin}two{end} three</speak>", "ssml")
        for begin, end in (("", ""), ('<prosody rate="50%">', "</prosody>"), ('<prosody pitch="+4st">', "</prosody>"))
    )
    frames, before = shipped.predict_with_timing(plain, "heart")
    ends = [*np.flatnonzero(plain.word_starts), len(before) - 1]
    after = shipped.timing(slow, "heart")
    ratios = [after[a:b].sum() / before[a:b].sum() for a, b in pairwise(ends)]
    assert ratios == pytest.approx([1.0, 2.0, 1.0], abs=0.1)
    moved, same = shipped.predict_with_timing(high, "heart")
    assert (before == same).all()
    begin, end = (before[: ends[i]].sum() for i in (1, 2))
    raised = (moved - frames)[:, -2]
    assert [(raised[:begin] == 0.0).all(), (raised[begin:end] > 0.0).all(), (raised[end:] == 0.0).all()] == [True] * 3


def test_a_mix_of_speakers_is_the_mean_of_their_vectors(shipped):
    weights = dict(shipped._weights)
    mean = (2.0 * weights["speaker"][0].astype(np.float64) + weights["speaker"][1]) / 3.0
    weights["speaker"] = np.stack([mean.astype(np.float32), *weights["speaker"][1:]])
    other = AcousticModel.__new__(AcousticModel)
    other.__dict__.update(shipped.__dict__ | {"_weights": weights})
    first, second = shipped.spec.speakers[:2]
    sentence = one("The birch canoe slid.")
    mixed = shipped.predict(sentence, {first: 2 / 3, second: 1 / 3})
    assert (mixed == other.predict(sentence, first)).all()
    assert (shipped.predict(sentence, {first: 1.0}) == shipped.predict(sentence, first)).all()
    assert not np.array_equal(mixed, shipped.predict(sentence, first))


# A recording is aligned with its text: by the shipped model, in sound whose phonemes' times are known.


FEATURES = FeatureSpec()
RATE, HOP = FEATURES.sample_rate, FEATURES.hop
# Every text with another that takes as long.
ALIGNED = (
    ("She sells sea shells by the sea shore.", "The quick brown fox jumps over a dog."),
    ("The birch canoe slid on the smooth planks.", "Four hours of steady work faced us all."),
    ("Glue the sheet to the dark blue background.", "Rice is often served in round bowls here."),
    ("It is easy to tell the depth of a well.", "These days a chicken leg is a rare dish."),
)
VOICES = ("heart", "joe", "allison", "rms")


class Reading(NamedTuple):
    """What was said, and when."""

    voice: str
    sentences: tuple[Sentence, ...]
    wave: NDArray[np.float32]
    durations: NDArray[np.int64]


@pytest.fixture(scope="module")
def engine():
    return NativeEngine(load(ZOO / "wavenet"))


def read_aloud(engine, model, text, voice, speed=1.0):
    sentences = tuple(phonemize(text))
    frames = np.concatenate([model.predict(sentence, voice, speed) for sentence in sentences])
    durations = np.concatenate([model.timing(sentence, voice, speed) for sentence in sentences])
    speaker, length = engine.spec.speakers.index(voice), len(frames) * HOP
    stream = engine.open(StreamRequest(length=length, seed=7, speaker=speaker, frames=frames))
    (symbols,) = engine.step([stream], length)
    return Reading(voice, sentences, decode_excitation(symbols, predictor(frames, FEATURES)), durations)


@pytest.fixture(scope="module")
def readings(engine, shipped):
    """The first of every pair, by another voice each."""
    return [read_aloud(engine, shipped, text, v) for (text, _), v in zip(ALIGNED, VOICES, strict=True)]


def check(wave, reading, model, begins=0, median=0.01, far=0.08, share=0.05):
    """Boundaries between phonemes are near to where they are, in seconds; few of them are far."""
    found = np.concatenate(align(wave, reading.sentences, model, reading.voice, FEATURES).durations)
    assert found.sum() == -(-len(wave) // HOP)
    assert found.min() >= 0
    off = np.abs(np.cumsum(found)[:-1] - np.cumsum(reading.durations)[:-1] - begins) * HOP / RATE
    assert np.median(off) <= median
    assert (off > far).mean() < share


def test_boundaries_are_found(readings, shipped):
    for reading in readings:
        check(reading.wave, reading, shipped, far=0.05)


@pytest.mark.parametrize("speed", [0.4, 2.5])
def test_whatever_the_speed(engine, shipped, speed):
    reading = read_aloud(engine, shipped, ALIGNED[1][0], "joe", speed)
    check(reading.wave, reading, shipped)


@pytest.mark.parametrize(("silence", "noise", "gain"), [(200, 0.0, 1.0), (100, 0.005, 1.0), (0, 0.0, 0.02)])
def test_silence_noise_and_level_do_not_mislead(readings, shipped, silence, noise, gain):
    for reading in readings[:2]:
        whole = gain * np.pad(reading.wave, silence * HOP)
        whole += np.random.default_rng(0).normal(0.0, noise, len(whole)).astype(np.float32)
        check(whole, reading, shipped, begins=silence, median=0.015, share=0.1)


@pytest.mark.slow
def test_sentences_follow_each_other(engine, shipped, monkeypatch):
    """Several, aligned in one go and, as if they were long, from rough to fine in two steps."""
    reading = read_aloud(engine, shipped, " ".join(text for pair in ALIGNED[:3] for text in pair), "heart")
    assert len(reading.sentences) == 6
    for short in (1500, 300, 40):
        monkeypatch.setattr(acoustic, "_SHORT", short)
        check(reading.wave, reading, shipped, far=0.05)


@pytest.mark.parametrize("samples", [1, HOP - 1, HOP, 5 * HOP + 7])
def test_frames_cover_all_of_the_recording(readings, shipped, samples):
    reading = readings[0]
    longer = np.concatenate([reading.wave, np.zeros(samples, np.float32)])
    frames = align(longer, reading.sentences, shipped, reading.voice, FEATURES).frames
    assert len(frames) == len(reading.wave) // HOP + -(-samples // HOP)
    assert np.isfinite(frames).all()


def test_recordings_that_cannot_be_of_the_text(readings, shipped):
    reading = readings[1]

    def refused(wave, sentences, message):
        with pytest.raises(AlignmentError, match=message):
            align(wave, sentences, shipped, "heart", FEATURES)

    many = reading.sentences * 8
    refused(reading.wave, many, r"too short for the text: [12]\.\d\d s of it are spoken, and the text takes between 3")
    refused(np.tile(reading.wave, 8), tuple(phonemize("No.")), "too long for the text")
    refused(reading.wave[4000:4200], reading.sentences, "too short for the text")
    refused(reading.wave, phonemize(parse_text("Four [pause:8s] hours.")), "too short for the text and its pauses")
    refused(np.zeros(RATE, np.float32), reading.sentences, "the recording is silent")
    refused(np.zeros(0, np.float32), reading.sentences, "the recording is empty")


def test_the_way_is_the_cheapest():
    """Against every way there is."""
    rng = np.random.default_rng(0)
    costs = np.array([0.3, 0.0, 0.2, 0.4], np.float32)
    for _ in range(20):
        sound, text = (rng.normal(size=(n, 3)).astype(np.float32) for n in (5, 7))
        distance = np.abs(sound[:, None] - text[None]).mean(axis=2)
        first, last = (int(n) for n in rng.integers(1, 4, 2))
        ways = [[i] for i in range(first)]
        for _ in range(4):
            ways = [[*way, way[-1] + step] for way in ways for step in range(4) if way[-1] + step < 7]
        ways = [way for way in ways if way[-1] >= 7 - last]
        totals = [
            sum(distance[j, i] for j, i in enumerate(w)) + sum(costs[b - a] for a, b in pairwise(w)) for w in ways
        ]
        found = acoustic._path(sound, text, np.zeros(5, np.int64), 7, first, last, costs)
        assert found.tolist() == ways[int(np.argmin(totals))]
        # And within a band that the way lies in.
        low = np.clip(found - 2, 0, 2)
        assert acoustic._path(sound, text, low, 5, first, last, costs).tolist() == found.tolist()
