"""Every engine of speech: its symbols and scores are the network's, and solo = batched = chunked = restored = forced.

"onnx blocks" is the way of the CUDA engine, on a CPU. The oracle is the torch network in double precision, led along
the engine's symbols, so that every single one counts. Single precision moves a logit by about 1e-6, and with it a
symbol whose noise falls that near to a boundary of the cumulative distribution: about one in 25 000.
"""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from ancestral_models.audio.mu_law import to_int16
from ancestral_models.audio.shaping import ORDER, MelCorrection, decode_excitation, predictor
from ancestral_models.checkpoint import load
from ancestral_models.conditioning import speaker_vector
from ancestral_models.engines.base import EngineError, RequestError
from ancestral_models.engines.onnx import Blocks
from ancestral_models.engines.speech import engine as speech_engine
from ancestral_models.engines.speech.engine import SynthesisEngine, VoicesEngine, check_request
from ancestral_models.engines.speech.native import NativeEngine, mean_of
from ancestral_models.engines.speech.onnx import OnnxEngine
from ancestral_models.entries import PLAIN, Sampling
from ancestral_models.kernels.shared import conditioning
from ancestral_models.spec import FeatureSpec
from tests.models import random_models as toys
from tests.models.engines.support import differing, exact_scores, in_company, speaking
from tests.models.instructions import each_variant
from tests.models.scheduler.support import solo

ENGINES = {
    "native": NativeEngine,
    "onnx-cpu": lambda checkpoint: OnnxEngine(toys.exported(checkpoint)),
    "onnx blocks": lambda checkpoint: OnnxEngine(toys.exported(checkpoint), runner=Blocks),
}
CONDITIONAL = toys.TINY_SPECS["conditional"]
SHAPED = Sampling(voiced_temperature=0.6, unvoiced_temperature=1.1, min_p=0.1)


def marks(name, kind="conditional"):
    """Of other engines than the native one, one spec is enough for the fast run."""
    return () if name.startswith("native") or kind == "conditional" else pytest.mark.slow


EVERY = pytest.mark.parametrize(
    "engine", [pytest.param(make, id=name, marks=marks(name)) for name, make in ENGINES.items()]
)


def each_kind(names, marks=lambda name, kind: ()):
    """Run a test with these engines, and for each of them with every kind of spec."""
    return pytest.mark.parametrize(
        ("engine", "spec"),
        [
            pytest.param(ENGINES[name], spec, id=f"{name}-{kind}", marks=marks(name, kind))
            for name in names
            for kind, spec in toys.TINY_SPECS.items()
        ],
    )


EVERY_KIND, EXACT_KINDS = each_kind(ENGINES, marks), each_kind(["onnx-cpu", "onnx blocks"])


def varied(spec, count, length):
    """Requests of which every other one has a min-p and, where there are frames, temperatures by their voicing."""
    made = []
    for number, request in enumerate(toys.requests(spec, count, length)):
        if request.frames is not None:
            request.frames[:, -1] = np.linspace(-0.2, 1.2, len(request.frames))
        sampling = PLAIN if number % 2 == 0 else SHAPED if spec.local_channels else Sampling(min_p=0.1)
        made.append(replace(request, sampling=sampling))
    return made


def check_symbols(made, checkpoint, wanted, steps, most):
    """They are the oracle's, but for so many."""
    found = made.step([made.open(request) for request in wanted], steps)
    assert sum(differing(checkpoint, *pair) for pair in zip(wanted, found, strict=True)) <= most
    assert len(np.unique(np.stack(found))) > 30, "streams stuck on a few symbols would prove little"


@EXACT_KINDS
def test_symbols_are_those_of_the_networks_logits(engine, spec):
    """At the temperature of the frame and above min-p."""
    checkpoint = toys.random_checkpoint(spec)
    check_symbols(engine(checkpoint), checkpoint, varied(spec, 4, 240), 240, 1)


@pytest.mark.parametrize("name", ["native", "onnx-cpu"])
def test_every_voice_is_sampled_by_its_own_network(name, monkeypatch):
    """A mix of voices of several networks by their mean, or by the one of all with a voice that has none; restored, and
    in the company of other networks. Each is loaded once, when a stream needs it, and stays as long as the stream."""
    monkeypatch.setattr(speech_engine, "_MIXES", 1)
    spec = replace(CONDITIONAL, speakers=("ann", "bob", "eve", "tom"))
    parts = [toys.random_checkpoint(spec, seed) for seed in range(3)]
    mean = mean_of(parts[1:], [0.25, 0.75])
    men, women = (part.tensors["embedding"] for part in parts[1:])
    assert np.allclose(mean.tensors["embedding"], men / 4 + women * 0.75)
    checkpoints = (*parts, mean, mean_of(parts[1:], [0.5, 0.5]))
    common, men, women, both, half = (ENGINES[name](checkpoint) for checkpoint in checkpoints)
    asked = []
    known = {(("men", 1.0),): men, (("women", 1.0),): women, (("men", 0.25), ("women", 0.75)): both}
    known[("men", 0.5), ("women", 0.5)] = half
    load = lambda shares: asked.append(shares) or known[shares]  # noqa: E731
    networks = {"bob": "men", "tom": "men", "eve": "women"}
    made = VoicesEngine(common, networks, load, mixes=True)
    assert VoicesEngine(common, networks, load, mixes=False).engine_of({1: 0.5, 2: 0.5}) is common
    assert (made.engine_of(0), asked) == (common, [])
    by = {0: common, 1: men, 2: women, 3: men}
    mixes = {1: {1: 0.25, 3: 0.75}, 2: {2: 0.75, 1: 0.25}, 3: {0: 0.5, 1: 0.5}, 0: {1: 0.5, 2: 0.5}}
    wanted = [replace(r, speaker=n) for n, r in enumerate(toys.requests(spec, 4, 240))]
    wanted += [replace(wanted[n], speaker=mixes[n]) for n in mixes]
    engines = [by[n] for n in range(4)] + [men, both, common, half]
    for request, engine, found in zip(wanted, engines, in_company(made, wanted, 70), strict=True):
        assert (found == solo(engine, request)).all()
        given = found, request.frames, request.speaker
        assert (engine.score(*given) == made.score(*given)).all()
    assert set(asked) == set(known)
    streams = [made.open(request) for request in (wanted[-3], wanted[-1])]
    asked.clear()
    made.step(streams, 10)
    assert ([len(made.snapshot(stream)) > 0 for stream in streams], asked) == ([True, True], [])
    for speaker in (None, {}, {1: 0.9, 2: 0.9}):
        with pytest.raises(RequestError, match=r"^speaker: the "):
            made.open(replace(wanted[0], speaker=speaker))
    assert not asked


@pytest.mark.parametrize(
    ("model", "streams", "steps"),
    [
        pytest.param(toys.SMALL_SPEC, 8, 480, id="S"),
        pytest.param(toys.MEDIUM_SPEC, 8, 160, id="M"),
        pytest.param("trained", 1, 480, id="trained"),
        pytest.param("trained", 16, 400, id="trained, 16 streams", marks=pytest.mark.slow),
    ],
)
def test_symbols_of_the_sizes_that_serve_are_those_of_the_networks_logits(model, streams, steps, full):
    steps *= 10 if full else 1
    checkpoint = load(toys.ZOO / "wavenet") if model == "trained" else toys.random_checkpoint(model, seed=5)
    wanted = speaking(streams, steps) if model == "trained" else toys.requests(model, streams, steps, seed=5)
    check_symbols(ENGINES["onnx-cpu"](checkpoint), checkpoint, wanted, steps, 1 + streams * steps // 5000)


@EXACT_KINDS
def test_scores_are_the_networks_log_likelihood_whatever_the_sampling(engine, spec):
    """At a position in the middle of a stream, too."""
    checkpoint = toys.random_checkpoint(spec)
    made, (request,) = engine(checkpoint), toys.requests(spec, 1, 160)
    shaped = replace(request, sampling=Sampling(min_p=0.1))
    (symbols,) = made.step([made.open(request)], 50)
    symbols = np.concatenate([symbols, np.random.default_rng(1).integers(0, 256, 110).astype(np.uint8)])
    exact = exact_scores(checkpoint, request, symbols)
    scores = made.score(symbols, request.frames, request.speaker)
    np.testing.assert_allclose(scores, exact, rtol=1e-4, atol=1e-4)
    for one in (request, shaped):
        np.testing.assert_array_equal(made.teacher_force(made.open(one), symbols), scores)
    stream = made.open(request)
    made.step([stream], 50)
    np.testing.assert_allclose(made.teacher_force(stream, symbols[50:]), exact[50:], rtol=1e-4, atol=1e-4)


@EVERY_KIND
def test_company_chunks_and_restarts_change_no_bit(engine, spec):
    made = engine(toys.random_checkpoint(spec))
    wanted = [replace(request, length=90 + 7 * i) for i, request in enumerate(varied(spec, 7, 150))]
    alone = [solo(made, request) for request in wanted]
    assert [len(symbols) for symbols in alone] == [request.length for request in wanted]
    for symbols, parts in zip(alone, in_company(made, wanted, 40), strict=True):
        np.testing.assert_array_equal(parts, symbols)


@EVERY_KIND
def test_a_stream_that_is_forced_goes_on_like_the_one_that_sampled(engine, spec):
    made = engine(toys.random_checkpoint(spec))
    for request in toys.requests(spec, 3, 100):
        sampled, forced, in_pieces = (made.open(request) for _ in range(3))
        (symbols,) = made.step([sampled], 70)
        likelihoods = made.teacher_force(forced, symbols)
        pieces = [made.teacher_force(in_pieces, part) for part in np.split(symbols, [0, 1, 33, 34])]
        assert forced.position == in_pieces.position == 70
        assert made.snapshot(sampled) == made.snapshot(forced) == made.snapshot(in_pieces)
        np.testing.assert_array_equal(np.concatenate(pieces), likelihoods)
        rest = [made.step([stream], 30)[0] for stream in (sampled, forced, in_pieces)]
        np.testing.assert_array_equal(rest[0], rest[1])
        np.testing.assert_array_equal(rest[0], rest[2])


@EVERY
def test_what_the_fields_of_a_request_mean(engine):
    made, again = (engine(toys.random_checkpoint(CONDITIONAL)) for _ in range(2))
    (request,) = toys.requests(CONDITIONAL, 1, 120)

    def sampled(voicing=None, **changes):
        frames = request.frames.copy()
        frames[:, -1] = frames[:, -1] if voicing is None else voicing
        return solo(made, replace(request, frames=frames, **changes))

    first = sampled()
    np.testing.assert_array_equal(first, solo(again, request), "nothing is hidden")
    for other in ({"seed": request.seed + 1}, {"speaker": 1}, {"temperature": 0.0}, {"sampling": SHAPED}):
        assert (first != sampled(**other)).any(), other
    by_voicing = Sampling(voiced_temperature=1.6, unvoiced_temperature=0.5)
    for voicing, factor in ((1.0, 1.6), (7.0, 1.6), (0.0, 0.5), (-1.0, 0.5), (0.5, 1.05)):
        np.testing.assert_array_equal(
            sampled(voicing, temperature=0.5, sampling=by_voicing), sampled(voicing, temperature=0.5 * factor)
        )
    # Nothing but the most likely symbol is left; divided by the lowest of temperatures, logits would overflow.
    greedy = sampled(temperature=0.0)
    same = [{"sampling": Sampling(min_p=0.9999999)}, {"temperature": 0.0, "sampling": SHAPED}]
    same += [{"temperature": 0.0, "seed": 77}] + [{"temperature": 1e-310}] * isinstance(made, OnnxEngine)
    for changes in same:
        np.testing.assert_array_equal(sampled(**changes), greedy, str(changes))


@EVERY
def test_a_prompt_may_not_reach_beyond_the_end(engine):
    made, (request,) = engine(toys.random_checkpoint(CONDITIONAL)), toys.requests(CONDITIONAL, 1, 80)
    assert len(made.teacher_force(made.open(request), np.zeros(80, np.uint8))) == 80
    stream = made.open(request)
    made.teacher_force(stream, np.zeros(40, np.uint8))
    before = made.snapshot(stream)
    with pytest.raises(RequestError, match=r"^symbols: 41 do not fit, the stream ends in 40"):
        made.teacher_force(stream, np.zeros(41, np.uint8))
    assert made.snapshot(stream) == before
    assert len(made.step([stream], 80)[0]) == 40


def sound_of(checkpoint):
    return SynthesisEngine(NativeEngine(checkpoint))


@pytest.mark.parametrize(
    "engine", [pytest.param(make, id=name, marks=marks(name)) for name, make in {**ENGINES, "sound": sound_of}.items()]
)
def test_a_snapshot_that_is_not_its_own_is_refused(engine):
    spec = toys.TINY_SPECS["excitation"] if engine is sound_of else CONDITIONAL
    made, other = (engine(toys.random_checkpoint(spec, seed)) for seed in (0, 1))
    (request,) = toys.requests(spec, 1, 60)
    stream = made.open(request)
    made.step([stream], 40)
    good = made.snapshot(stream)
    assert made.restore(request, good).position == 40
    bad = [b"", good[:20], good[:-1], good + b"x", b"\x80\x04" + good[2:]]
    for at in (20, len(good) - 3):
        bad.append(bytearray(good))
        bad[-1][at] ^= 1
    if engine is sound_of:
        bad.append(made.network.snapshot(stream.symbols))
    for snapshot in map(bytes, bad):
        with pytest.raises(RequestError, match="snapshot"):
            made.restore(request, snapshot)
    for wrong, wanted in ((made, replace(request, length=30)), (getattr(made, "network", other), request)):
        with pytest.raises(RequestError, match="snapshot"):
            wrong.restore(wanted, good)
    with pytest.raises(RequestError, match="another model"):
        other.restore(request, good)


MIX = {0: 2 / 3, 1: 1 / 3}
FRAMES = np.zeros((20, 5), np.float32)
REFUSED = [
    *(("conditional", changes, f"{next(iter(changes))}:") for changes in (
        {"length": 0}, {"seed": -1}, {"seed": 2**63}, {"temperature": float("nan")}, {"temperature": -0.5},
        {"speaker": None}, {"speaker": 2}, {"frames": None}, {"frames": FRAMES[:1]}, {"frames": FRAMES + np.nan},
        *({"speaker": shares} for shares in ({0: 0.5}, {0: 1.5, 1: -0.5}, {0: 0.5, 2: 0.5}, {})),
    )),
    ("unconditional", {"speaker": 0}, "speaker: the model has none"),
    ("unconditional", {"frames": FRAMES[:1]}, "frames: the model takes none"),
    ("speaker only", {"sampling": Sampling(voiced_temperature=0.8)}, "sampling: temperatures by voicing need frames"),
    *(("speaker only", {"sampling": Sampling(**{name: 0.5})}, f"sampling: {name} needs a model with linear prediction")
      for name in ("low_shelf_db", "mel_correction")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changes", "message"), REFUSED)
def test_a_request_that_does_not_fit_is_refused_by_its_field(kind, changes, message):
    spec = toys.TINY_SPECS[kind]
    (request,) = toys.requests(spec, 1, 100)
    for refuse in (NativeEngine(toys.random_checkpoint(spec)).open, lambda wrong: check_request(spec, wrong)):
        with pytest.raises(RequestError, match=rf"^{message}"):
            refuse(replace(request, **changes))


def test_the_vector_of_a_mix_is_the_weighted_mean():
    table = toys.random_checkpoint(CONDITIONAL).tensors["conditioner.speaker"]
    assert speaker_vector(table, MIX) == pytest.approx((2 * table[0] + table[1]) / 3, abs=1e-6)
    assert speaker_vector(table, MIX).dtype == np.float32
    assert (speaker_vector(table, {1: 1.0}) == table[1]).all()


@EVERY
def test_a_mix_samples_as_a_speaker_of_that_vector(engine):
    checkpoint, (request,) = toys.random_checkpoint(CONDITIONAL), toys.requests(CONDITIONAL, 1, 200)
    table = checkpoint.tensors["conditioner.speaker"].copy()
    table[0] = speaker_vector(table, MIX)
    tensors = dict(checkpoint.tensors) | {"conditioner.speaker": table}
    h = conditioning(CONDITIONAL, checkpoint.tensors, request.frames, MIX)
    assert (h == conditioning(CONDITIONAL, tensors, request.frames, 0)).all(), "which is all that graphs see of it"
    made = engine(checkpoint)
    if not isinstance(made, OnnxEngine):  # whose graphs are those of other weights
        mean = engine(replace(checkpoint, tensors=tensors))
        expected = solo(mean, replace(request, speaker=0))
        np.testing.assert_array_equal(solo(made, replace(request, speaker=MIX)), expected)
    one, same = (solo(made, replace(request, speaker=speaker)) for speaker in ({1: 1.0}, 1))
    np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("spec", [toys.SMALL_SPEC, replace(CONDITIONAL, residual_channels=40, skip_channels=200)])
def test_all_instructions_give_the_same_symbols_and_scores(spec, monkeypatch):
    """Alone, in twos and in fours."""
    checkpoint, wanted, found = toys.random_checkpoint(spec), toys.requests(spec, 7, 200), []
    made = NativeEngine(checkpoint)
    for _ in each_variant(monkeypatch):
        alone = [solo(made, request) for request in wanted]
        streams = [made.open(request) for request in wanted]
        together = made.step(streams, 150)
        for whole, begun in zip(alone, together, strict=True):
            np.testing.assert_array_equal(whole[:150], begun)
        pair = made.step(streams[:2], 50)
        np.testing.assert_array_equal(np.stack(pair), [whole[150:] for whole in alone[:2]])
        scores = made.score(alone[0], wanted[0].frames, wanted[0].speaker)
        found.append([*map(bytes, alone), scores.tobytes(), made.snapshot(streams[0])])
    assert all(variant == found[0] for variant in found)


@pytest.mark.parametrize("factor", [0.0, 1e-30, 1e6, 1e30])
@pytest.mark.parametrize("name", [*toys.random_checkpoint(CONDITIONAL).tensors, "int8_ranges"])
def test_weights_and_ranges_of_any_size_end_in_symbols_or_in_an_error_that_names_them(name, factor, monkeypatch):
    checkpoint, (request,) = toys.random_checkpoint(CONDITIONAL), toys.requests(CONDITIONAL, 1, 40)
    if name == "int8_ranges":
        ranges = tuple(min(factor * x, 999999.0) for x in checkpoint.spec.int8_ranges)
        checkpoint = replace(checkpoint, spec=replace(checkpoint.spec, int8_ranges=ranges))
    else:
        changed = {name: (checkpoint.tensors[name] * np.float32(factor)).astype(np.float32)}
        checkpoint = replace(checkpoint, tensors={**checkpoint.tensors, **changed})
    made = []
    for _ in each_variant(monkeypatch):
        try:
            made.append(solo(NativeEngine(checkpoint), request).tobytes())
        except EngineError as error:
            made.append(str(error))
    assert made == made[:1] * len(made)
    assert isinstance(made[0], bytes) or name in made[0]


def test_channels_beyond_what_the_kernels_hold_are_refused_by_their_field():
    for name, most in (("residual_channels", 1024), ("gate_channels", 2048), ("head_channels", 1024)):
        spec = replace(toys.TINY_SPECS["unconditional"], layers=2, int8_ranges=(), **{name: most + 2})
        spec = replace(spec, int8_ranges=(1.0,) * (spec.layers * spec.residual_channels + 2))
        with pytest.raises(EngineError, match=f"^{name}: at most {most} in the native engine, not {most + 2}"):
            NativeEngine(replace(toys.random_checkpoint(CONDITIONAL), spec=spec))


def test_engines_refuse_each_others_snapshots():
    checkpoint, (request,) = toys.exported(toys.random_checkpoint(CONDITIONAL)), toys.requests(CONDITIONAL, 1, 60)
    engines = [OnnxEngine(checkpoint), NativeEngine(checkpoint)]
    for engine, other in (engines, engines[::-1]):
        with pytest.raises(RequestError, match="another model, engine"):
            other.restore(request, engine.snapshot(engine.open(request)))


SOUND, FEATURES, CORRECTED = toys.TINY_SPECS["excitation"], FeatureSpec(), Sampling(mel_correction=0.8)


def expected_sound(network, request):
    """The sound of a request, from all of its symbols at once."""
    sound = decode_excitation(solo(network, request), predictor(request.frames, FEATURES))
    if request.sampling.mel_correction:
        correction = MelCorrection(request.frames, FEATURES, request.sampling.mel_correction)
        correction.push(sound)
        sound, plain = correction.pull(len(sound)), sound
        assert (to_int16(plain) != to_int16(sound)).any()
    return to_int16(sound)


@EVERY
def test_the_sound_is_that_of_the_symbols_however_it_is_sampled(engine):
    """Some are corrected, and sampled further than the sound that is delivered."""
    made = SynthesisEngine(engine(toys.random_checkpoint(SOUND)))
    assert (made.name, made.lanes) == (made.network.name, made.network.lanes)
    wanted = [replace(request, length=350 + 40 * i) for i, request in enumerate(toys.requests(SOUND, 4, 480))]
    wanted[1:3] = [replace(request, sampling=CORRECTED) for request in wanted[1:3]]
    parts = in_company(made, wanted, 90)
    for request, sound in zip(wanted, parts, strict=True):
        assert sound.dtype == np.int16
        np.testing.assert_array_equal(sound, expected_sound(made.network, request))
    assert np.abs(np.concatenate(parts)).max() > 300, "silence would prove little"


def test_a_step_that_fails_harms_no_stream_that_it_says_it_did_not_touch():
    """One that is behind is sampled by itself, after the others; here that call fails."""
    engine, wanted = sound_of(toys.random_checkpoint(SOUND)), toys.requests(SOUND, 2, 4000)
    wanted = [replace(request, sampling=CORRECTED) for request in wanted]
    streams = [engine.open(request) for request in wanted]
    (begun,) = engine.step(streams[:1], 700)
    step, calls = engine.network.step, []

    def failing(symbols, samples):
        calls.append(samples)
        if len(calls) == 2:
            raise MemoryError
        return step(symbols, samples)

    engine.network.step = failing
    with pytest.raises(MemoryError):
        engine.step(streams, 900)
    assert [stream.position for stream in streams] == [700, 0]
    assert streams[1].symbols.position == 960, "it was sampled before the call that failed"
    network = NativeEngine(toys.random_checkpoint(SOUND))
    for stream, request, first in zip(streams, wanted, (begun, begun[:0]), strict=True):
        (rest,) = engine.step([stream], 4000)
        np.testing.assert_array_equal(np.concatenate([first, rest]), expected_sound(network, request))


@pytest.mark.parametrize(("sampling", "ahead"), [(PLAIN, 0), (CORRECTED, 520)])
def test_a_snapshot_holds_what_the_filters_remember(sampling, ahead):
    engine, (request,) = sound_of(toys.random_checkpoint(SOUND)), toys.requests(SOUND, 1, 1600)
    request = replace(request, sampling=sampling)
    stream = engine.open(request)
    engine.step([stream], 200)
    snapshot = engine.snapshot(stream)
    assert stream.symbols.position == 200 + ahead
    assert len(snapshot) == len(engine.network.snapshot(stream.symbols)) + 12 + 8 * ORDER + 8 * ahead
    (rest,) = engine.step([stream], 280)
    forgetful = engine.restore(request, snapshot)
    forgetful.synthesis.memory = np.zeros(ORDER)
    assert not np.array_equal(engine.step([forgetful], 280)[0], rest)
    assert np.array_equal(engine.step([engine.restore(request, snapshot)], 280)[0], rest)


@pytest.fixture
def copy(tmp_path):
    """A tiny model with its graphs, to be damaged."""
    shutil.copytree(toys.exported(toys.random_checkpoint(toys.TINY_SPECS["speaker only"])).path, tmp_path / "copy")
    return tmp_path / "copy"


def stale(path):
    other = toys.exported(toys.random_checkpoint(toys.TINY_SPECS["speaker only"], seed=1))
    shutil.copyfile(other.path / path.name, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"^chunk\.onnx: the checkpoint has no such graph; run: ances"),
        (stale, r"^chunk\.onnx: was exported from other weights, or by another version; run: ancestral export /"),
        (lambda path: path.write_bytes(b"no graph"), r"^chunk\.onnx: cannot be loaded by onnxruntime"),
    ],
)
def test_graphs_that_cannot_be_used_are_refused(copy, damage, message):
    OnnxEngine(load(copy))
    damage(copy / "chunk.onnx")
    with pytest.raises(EngineError, match=message):
        OnnxEngine(load(copy))
