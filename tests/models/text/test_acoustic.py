"""The acoustic model: what serves (numpy) is what was trained (torch)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.models import checkpoint
from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.acoustic import AcousticSpec
from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE
from ancestral.models.audio.harmonics import harmonic_ripple
from ancestral.models.checkpoint import CheckpointError
from ancestral.models.kernels.byte_products import ByteMatrix
from ancestral.models.networks.acoustic import AcousticNetwork
from ancestral.models.spec import SpecError
from ancestral.models.tensors import shapes
from ancestral.models.text import PHONEMES, Sentence, Word, phonemize
from ancestral.models.text.acoustic import SHORTEST_PAUSE, AcousticModel, PitchControl, frame_positions
from ancestral.models.text.phonemes import is_pause
from tests.models.random_models import ZOO

OLD = AcousticSpec(
    phonemes=PHONEMES, speakers=("ann", "bob"), outputs=20, channels=24, encoder_layers=2, decoder_layers=2,
    speaker_channels=6,
)  # fmt: skip
SPEC = replace(OLD, pitch_layers=3)
TEXTS = ("The birch canoe slid on the smooth planks.", "When the sun came up, she sang!", "No?")
EVERY = Sentence((*(Word(p, (p,), (0, 12)) for p in PHONEMES if not is_pause(p)), "."))


@pytest.fixture(scope="module", params=[SPEC, OLD], ids=["f0-first", "f0-beside"])
def network(request: pytest.FixtureRequest) -> AcousticNetwork:
    """Random weights, none of them zero."""
    torch.manual_seed(0)
    network = AcousticNetwork(request.param)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network.eval()


@pytest.fixture(scope="module")
def model(network: AcousticNetwork, tmp_path_factory: pytest.TempPathFactory) -> AcousticModel:
    path = tmp_path_factory.mktemp("acoustic") / "checkpoint"
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    checkpoint.save(path, network.spec, tensors, "Random.")
    return AcousticModel(checkpoint.load(path))


@pytest.fixture
def pitched(network: AcousticNetwork, model: AcousticModel) -> AcousticModel:
    """The model that predicts F0 first."""
    if not network.spec.pitch_layers:
        pytest.skip("of the other model")
    return model


def sentences() -> list[Sentence]:
    return [phonemize(text)[0] for text in TEXTS]


def inputs(batch: list[Sentence], speaker: int) -> tuple[torch.Tensor, ...]:
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
def test_numpy_and_torch_agree(
    network: AcousticNetwork, model: AcousticModel, sentence: Sentence, speaker: int
) -> None:
    name = SPEC.speakers[speaker]
    phonemes, starts, who, mask = inputs([sentence], speaker)
    encoded, durations = network.encode(phonemes, starts, who, mask)
    counts = model.durations(durations[0].numpy(), 1.0)
    repeated = encoded[0].repeat_interleave(torch.from_numpy(counts), dim=0)[None]
    positions = torch.from_numpy(frame_positions(counts))[None]
    given = repeated, positions, who, torch.ones(1, len(repeated[0]), 1)
    if network.spec.pitch_layers:
        pitch = network.predict_pitch(*given)
        pitch[:, :, 1] = (pitch[:, :, 1] > 0.0).float()
        pitch = torch.from_numpy(PitchControl().apply(pitch[0].numpy(), network.spec.features))[None]
        ripple = torch.from_numpy(harmonic_ripple(*pitch[0].numpy().T, network.spec.features))[None]
        expected = torch.cat([network.decode(*given, pitch, ripple), pitch], dim=2)[0].numpy()
    else:
        expected = network.decode(*given)[0].numpy()
        expected[:, -1] = expected[:, -1].clip(0.0, 1.0)
    frames = model.predict(sentence, name)
    assert frames.dtype == np.float32
    assert frames == pytest.approx(expected, abs=1e-4)
    assert model.predict_timed(sentence.phones, sentence.word_starts, counts, name) == pytest.approx(frames, abs=1e-6)
    both = model.predict_with_timing(sentence, name)
    assert np.array_equal(both[0], frames)
    assert np.array_equal(both[1], model.timing(sentence, name))


def test_voices_differ(model: AcousticModel) -> None:
    counts = np.full(len(sentences()[0].phones), 5)
    ann, bob = (
        model.predict_timed(sentences()[0].phones, sentences()[0].word_starts, counts, v) for v in SPEC.speakers
    )
    assert np.abs(ann - bob).mean() > 0.05


def test_company_does_not_change_a_sentence(network: AcousticNetwork) -> None:
    batch = sentences()
    with torch.no_grad():
        encoded, durations = network.encode(*inputs(batch, 1))
        frames = torch.randn(3, 30, SPEC.channels)
        places = torch.rand(3, 30, SPEC.position_channels)
        mask = torch.ones(3, 30, 1)
        mask[0, 20:] = mask[2, 7:] = 0.0
        extra = (torch.randn(3, 30, 2), torch.randn(3, 30, SPEC.bands)) if network.spec.pitch_layers else ()
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


def test_dropout_acts_in_training_only(network: AcousticNetwork) -> None:
    given = inputs(sentences(), 0)
    with torch.no_grad():
        assert torch.equal(network.encode(*given)[0], network.encode(*given)[0])
        busy = AcousticNetwork(SPEC, dropout=0.5).train()
        assert not torch.equal(busy.encode(*given)[0], busy.encode(*given)[0])


def test_durations_do_not_bend_the_encoder(network: AcousticNetwork) -> None:
    encoded, durations = network.encode(*inputs(sentences(), 0))
    assert encoded.requires_grad
    gradients = torch.autograd.grad(durations.sum(), [network.phoneme, network.duration_out], allow_unused=True)
    assert gradients[0] is None
    assert gradients[1] is not None


def test_pitch_in_semitones(pitched: AcousticModel) -> None:
    sentence, bands = sentences()[0], SPEC.bands
    plain = pitched.predict(sentence, "ann")
    raised = pitched.predict(sentence, "ann", control=PitchControl(semitones=3.0))
    hz, moved = (np.exp(f[:, bands] * LOG_F0_SCALE + LOG_F0_MEAN) for f in (plain, raised))
    low, high = SPEC.features.requested_hz
    kept = (moved < high * 0.999) & (hz > low * 1.001)
    assert kept.mean() > 0.5
    assert moved[kept] / hz[kept] == pytest.approx(2.0 ** (3 / 12), rel=1e-4)
    assert np.array_equal(raised[:, -1], plain[:, -1])
    voiced = plain[:, -1] > 0.5
    assert np.abs(raised - plain)[voiced, :bands].mean() > 1e-3, "the mels follow F0"
    assert np.array_equal(pitched.predict(sentence, "ann", control=PitchControl()), plain)


def test_intonation_scales_f0_around_its_mean() -> None:
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


def test_f0_stays_within_what_wavenet_has_learnt() -> None:
    predicted = np.array([[-1.0, 1.0], [1.0, 1.0]], np.float32)
    for semitones, hz in ((48.0, SPEC.features.pitch_high_hz), (-48.0, 47.622)):
        made = PitchControl(semitones=semitones).apply(predicted, SPEC.features)
        assert np.exp(made[:, 0] * LOG_F0_SCALE + LOG_F0_MEAN) == pytest.approx(hz, rel=1e-4)


def test_known_pitch_is_used_as_it_is(pitched: AcousticModel) -> None:
    sentence = sentences()[0]
    counts = np.full(len(sentence.phones), 5)
    known = np.column_stack([np.linspace(-1, 1, counts.sum()), np.arange(counts.sum()) % 2]).astype(np.float32)
    made = pitched.predict_timed(sentence.phones, sentence.word_starts, counts, "ann", known)
    assert np.array_equal(made[:, -2:], known)
    other = pitched.predict_timed(sentence.phones, sentence.word_starts, counts, "ann", known + np.float32([0.3, 0.0]))
    voiced = known[:, 1] > 0
    assert np.abs(other - made)[voiced, :-2].mean() > 1e-3


def test_intonation_spans_many_frames() -> None:
    assert replace(SPEC, pitch_layers=4).pitch_dilations == (1, 2, 4, 8)


def test_speed_divides_durations(model: AcousticModel) -> None:
    logarithms = np.log1p(np.linspace(8.0, 40.0, 30)).astype(np.float32)
    normal, slow, fast = (model.durations(logarithms, speed) for speed in (1.0, 0.5, 2.0))
    assert normal.sum() == round(np.linspace(8.0, 40.0, 30).sum())
    assert slow.sum() == pytest.approx(2 * normal.sum(), abs=1)
    assert fast.sum() == pytest.approx(normal.sum() / 2, abs=1)
    assert np.abs(slow - 2 * normal).max() <= 2
    sentence = sentences()[0]
    lengths = [len(model.predict(sentence, "ann", speed)) for speed in (2.0, 1.0, 0.5)]
    assert lengths[0] < lengths[1] < lengths[2]


def test_outer_pauses_keep_some_length(model: AcousticModel) -> None:
    counts = model.durations(np.full(12, -3.0, np.float32), 1.0)
    assert counts.tolist() == [SHORTEST_PAUSE, *[0] * 10, SHORTEST_PAUSE]
    fast = model.durations(np.log1p(np.full(12, 3.0, np.float32)), 4.0)
    assert (fast[0], fast[-1]) == (SHORTEST_PAUSE, SHORTEST_PAUSE)


def test_int8_changes_what_nobody_hears() -> None:
    trained = checkpoint.load(ZOO / "acoustic")
    whole, rounded = AcousticModel(trained), AcousticModel(trained, int8=True)
    bands, semitone = whole.spec.features.mel_bands, np.log(2.0) / 12.0 / LOG_F0_SCALE
    for text in TEXTS:
        for speaker in ("heart", "joe"):
            (words,) = phonemize(text)
            (one, lengths), (other, same) = (model.predict_with_timing(words, speaker) for model in (whole, rounded))
            assert np.array_equal(lengths, same)
            assert not np.array_equal(one, other)
            assert (one - other)[:, :bands].std() < 0.02, "a tenth of the error of the prediction itself, at most"
            voiced = (one[:, -1] > 0.0) & (other[:, -1] > 0.0)
            assert np.abs(one - other)[voiced, -2].mean() < 0.1 * semitone
            assert (one[:, -1] == other[:, -1]).mean() > 0.98


def test_matrices_that_int8_does_not_take_stay_as_they_are(model: AcousticModel, tmp_path: Path) -> None:
    tensors = {name: model._weights[name] for name in shapes(tensor_table(model.spec))}
    taken = {name.split(".")[-1]: ByteMatrix.takes(tensor) for name, tensor in tensors.items() if "decoder.0" in name}
    assert (taken["taps"], taken["out"]) == (True, False)
    checkpoint.save(tmp_path / "narrow", model.spec, tensors, "Random.")
    rounded = AcousticModel(checkpoint.load(tmp_path / "narrow"), int8=True)
    (words,) = phonemize(TEXTS[2])
    one, other = (each.predict(words, "ann")[:, :-2] for each in (model, rounded))
    assert 0.0 < np.abs(one - other).mean() < 0.1 * np.abs(one).mean()


def test_durations_round_without_losing_any(model: AcousticModel) -> None:
    exact = np.random.default_rng(0).uniform(0.2, 9.0, 200)
    exact[[0, -1]] = 6.0
    counts = model.durations(np.log1p(exact).astype(np.float32), 1.0)
    assert np.abs(np.cumsum(counts) - np.cumsum(exact)).max() <= 0.501


def test_positions() -> None:
    found = frame_positions(np.array([2, 0, 1, 30]))
    assert found.shape == (33, 3)
    assert found[:3] == pytest.approx(np.array([[0.25, 0.0, 0.05], [0.75, 0.05, 0.0], [0.5, 0.0, 0.0]]))
    assert found[3] == pytest.approx([1 / 60, 0.0, 1.0])
    assert found[-1] == pytest.approx([59 / 60, 1.0, 0.0])
    assert found[3 + 10] == pytest.approx([10.5 / 30, 0.5, 19 / 20])


def test_every_phoneme_has_a_vector_of_its_own(model: AcousticModel) -> None:
    counts = np.full(3, 6)
    heard = {
        model.predict_timed(("sil", phoneme, "."), (False, True, False), counts, "ann").tobytes()
        for phoneme in PHONEMES
    }
    assert len(heard) == len(PHONEMES)
    with pytest.raises(KeyError):
        model.predict_timed(("sil", "XX", "."), (False, True, False), counts, "ann")


def test_shapes_of_the_checkpoint(network: AcousticNetwork) -> None:
    for spec in (SPEC, OLD, replace(SPEC, duration_layers=1, kernel_size=7, duration_kernel_size=5, decoder_layers=3)):
        found = {name: tuple(tensor.shape) for name, tensor in AcousticNetwork(spec).state_dict().items()}
        assert found == shapes(tensor_table(spec))


def test_another_kind_of_checkpoint_is_refused(tmp_path: Path) -> None:
    spec = WaveNetSpec(layers=2, stacks=1, residual_channels=2, gate_channels=2, skip_channels=2, head_channels=2)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes(tensor_table(spec)).items()}
    checkpoint.save(tmp_path / "wavenet", spec, tensors, "Zeros.")
    with pytest.raises(CheckpointError, match="expected 'acoustic', found 'wavenet'"):
        AcousticModel(checkpoint.load(tmp_path / "wavenet"))


@pytest.mark.parametrize(("change", "field"), [({"pitch_layers": -1}, "pitch_layers"), ({"outputs": 2}, "outputs")])
def test_specs_that_describe_no_model(change: dict[str, int], field: str) -> None:
    with pytest.raises(SpecError, match=f"^{field}: "):
        replace(SPEC, **change)


def test_a_clause_that_goes_on_is_what_it_is_before_another(model: AcousticModel) -> None:
    """Prosody and pause are those of a comma within a sentence, not of its end."""
    (clause,) = phonemize("When the ships came in,")
    (within,) = phonemize("When the ships came in, and the rest.")
    count = len(clause.phones)
    assert clause.phones == (*within.phones[: count - 1], ",")
    expected, durations = model.predict_with_timing(within, SPEC.speakers[0])
    frames, found = model.predict_with_timing(clause, SPEC.speakers[0])
    assert found.tolist() == durations[:count].tolist() == model.timing(clause, SPEC.speakers[0]).tolist()
    assert np.array_equal(frames, expected[: found.sum()])
