"""The seed contract within an engine: solo = batched = chunked = restored = forced, bit for bit.

"onnx blocks" is the way of the CUDA engine, on a CPU.
"""

from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.engines import load_engine
from ancestral.models.engines.base import EngineError, RequestError
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.kernels.gemm import Instructions, Precision, best_instructions
from ancestral.models.spec import SpecError
from tests.models.engines.speech_engines import ENGINES, EVERY, SLOW, solo
from tests.models.random_models import SMALL_SPEC, TINY_SPECS, exported, random_checkpoint, requests

EVERY_KIND = pytest.mark.parametrize(
    ("engine", "spec"),
    [
        pytest.param(
            make,
            spec,
            id=f"{name}-{kind}",
            marks=() if name == "native" or (name not in SLOW and kind == "conditional") else pytest.mark.slow,
        )
        for name, make in ENGINES.items()
        for kind, spec in TINY_SPECS.items()
    ],
)


@EVERY_KIND
def test_company_chunks_and_restarts_change_no_bit(engine, spec):
    made = engine(spec)
    wanted = [replace(r, length=90 + 7 * i) for i, r in enumerate(requests(spec, 7, 150))]
    alone = [solo(made, request) for request in wanted]
    assert [len(symbols) for symbols in alone] == [request.length for request in wanted]

    rng = np.random.default_rng(0)
    streams = [made.open(request) for request in wanted]
    parts = [[] for _ in wanted]
    while any(s.position < s.request.length for s in streams):
        for i in rng.choice(len(streams), 2):
            # A restart: the state goes through bytes and comes back.
            streams[i] = made.restore(wanted[i], made.snapshot(streams[i]))
        company = rng.permutation(len(streams))[: rng.integers(1, len(streams) + 1)]
        for i, symbols in zip(company, made.step([streams[i] for i in company], int(rng.integers(1, 40))), strict=True):
            parts[i].append(symbols)
    for symbols, pieces in zip(alone, parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), symbols)


@pytest.mark.slow
@pytest.mark.parametrize("precision", Precision)
def test_sixteen_streams_of_the_size_that_serves_equal_their_solo_runs(precision):
    engine = NativeEngine(random_checkpoint(SMALL_SPEC), precision)
    wanted = requests(SMALL_SPEC, 16, 1600)
    together = engine.step([engine.open(request) for request in wanted], 1600)
    for request, symbols in zip(wanted, together, strict=True):
        np.testing.assert_array_equal(symbols, solo(engine, request))


@pytest.mark.slow
@pytest.mark.parametrize("instructions", [way for way in Instructions if way < best_instructions()])
def test_int8_is_the_same_by_any_instructions(instructions):
    checkpoint = random_checkpoint(SMALL_SPEC)
    wanted = requests(SMALL_SPEC, 5, 400)
    runs = []
    for engine in (NativeEngine(checkpoint, Precision.INT8), NativeEngine(checkpoint, Precision.INT8, instructions)):
        streams = [engine.open(request) for request in wanted]
        made = engine.step(streams, 350)
        runs.append((np.stack(made), [engine.snapshot(stream) for stream in streams]))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]


@pytest.mark.slow
def test_precisions_are_near_each_other_and_refuse_each_others_snapshots():
    """Led along the same symbols, int8 says nearly what fp32 says; neither goes on from the other's."""
    checkpoint = random_checkpoint(SMALL_SPEC)
    (request,) = requests(SMALL_SPEC, 1, 600)
    engines = [NativeEngine(checkpoint, precision) for precision in Precision]
    assert [engine.name for engine in engines] == ["native", "native-int8"]
    symbols = solo(engines[0], request)
    scores = [engine.score(symbols, request.frames, request.speaker) for engine in engines]
    assert 0.0 < np.abs(scores[1] - scores[0]).mean() < 0.2
    for engine in engines:
        stream = engine.open(request)
        engine.step([stream], 40)
        snapshot = engine.snapshot(stream)
        for other in engines:
            if other is engine:
                assert other.restore(request, snapshot).position == 40
            else:
                with pytest.raises(RequestError, match="another model, engine"):
                    other.restore(request, snapshot)


def test_int8_needs_the_ranges_of_its_checkpoint():
    checkpoint = random_checkpoint(SMALL_SPEC)
    bare = replace(checkpoint, spec=replace(checkpoint.spec, int8_ranges=()))
    assert load_engine("auto", bare).name == load_engine("native", bare, "int8").name == "native"
    with pytest.raises(EngineError, match="int8_ranges"):
        NativeEngine(bare, Precision.INT8)
    with pytest.raises(SpecError, match="int8_ranges"):
        replace(checkpoint.spec, int8_ranges=(1.0, 2.0))


def test_one_symbol_at_a_time_is_the_same():
    engine = NativeEngine(random_checkpoint(SMALL_SPEC))
    (request,) = requests(SMALL_SPEC, 1, 400)
    stream = engine.open(request)
    pieces = [engine.step([stream], 1)[0] for _ in range(400)]
    np.testing.assert_array_equal(np.concatenate(pieces), solo(engine, request))
    assert engine.step([stream], 10)[0].size == 0


@EVERY_KIND
def test_a_stream_that_is_forced_goes_on_like_the_one_that_sampled(engine, spec):
    made = engine(spec)
    for request in requests(spec, 3, 100):
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
def test_a_prompt_is_continued(engine):
    """The prompt is heard, and what follows depends on it."""
    spec = TINY_SPECS["speaker only"]
    made = engine(spec)
    (request,) = requests(spec, 1, 80)
    follows = []
    for value in (10, 240):
        stream = made.open(request)
        made.teacher_force(stream, np.full(40, value, np.uint8))
        follows.append(made.step([stream], 80)[0])
        assert len(follows[-1]) == 40
    assert (follows[0] != follows[1]).any()


@EVERY
def test_symbols_beyond_the_end_are_refused(engine):
    spec = TINY_SPECS["conditional"]
    made = engine(spec)
    (request,) = requests(spec, 1, 50)
    stream = made.open(request)
    made.step([stream], 20)
    before = made.snapshot(stream)
    with pytest.raises(RequestError, match=r"^symbols: 31 do not fit, the stream ends in 30"):
        made.teacher_force(stream, np.zeros(31, np.uint8))
    assert made.snapshot(stream) == before
    assert len(made.teacher_force(stream, np.zeros(30, np.uint8))) == 30


@EVERY
def test_the_seed_matters_and_nothing_is_hidden(engine):
    spec = TINY_SPECS["conditional"]
    made = engine(spec)
    (request,) = requests(spec, 1, 200)
    first = solo(made, request)
    np.testing.assert_array_equal(first, solo(made, request))
    np.testing.assert_array_equal(first, solo(engine(spec), request))
    assert (first != solo(made, replace(request, seed=request.seed + 1))).any()
    assert (first != solo(made, replace(request, speaker=1))).any()


@EVERY
def test_temperature_zero_takes_the_most_likely_symbol(engine):
    spec = TINY_SPECS["speaker only"]
    made = engine(spec)
    cold = [solo(made, StreamRequest(100, seed, 0.0, speaker=0)) for seed in (1, 2)]
    np.testing.assert_array_equal(*cold)


@EVERY
def test_a_snapshot_that_is_not_its_own_is_refused(engine):
    spec = TINY_SPECS["conditional"]
    made = engine(spec)
    (request,) = requests(spec, 1, 60)
    stream = made.open(request)
    made.step([stream], 40)
    good = made.snapshot(stream)
    flipped = bytearray(good)
    flipped[-3] ^= 1
    for bad in (b"", good[:-1], good + b"x", bytes(flipped), b"\x80\x04" + good[2:]):
        with pytest.raises(RequestError, match="snapshot"):
            made.restore(request, bad)
    with pytest.raises(RequestError, match="snapshot"):
        made.restore(replace(request, length=30), good)
    # The frames' own length is checked before the bytes are.
    other = NativeEngine(random_checkpoint(spec, seed=1))
    with pytest.raises(RequestError, match="snapshot"):
        other.restore(request, good)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"length": 0}, "length"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": -0.5}, "temperature"),
        ({"speaker": None}, "speaker"),
        ({"speaker": 2}, "speaker"),
        ({"frames": None}, "frames"),
        ({"frames": np.zeros((1, 5), np.float32)}, "frames"),
        ({"frames": np.full((20, 5), np.nan, np.float32)}, "frames"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_by_its_field(changes, field):
    spec = TINY_SPECS["conditional"]
    (request,) = requests(spec, 1, 100)
    engine = NativeEngine(random_checkpoint(spec))
    with pytest.raises(RequestError, match=rf"^{field}:"):
        engine.open(replace(request, **changes))


def test_an_unconditional_model_takes_no_conditions():
    engine = NativeEngine(random_checkpoint(TINY_SPECS["unconditional"]))
    with pytest.raises(RequestError, match="speaker: the model has none"):
        engine.open(StreamRequest(10, 0, speaker=0))
    with pytest.raises(RequestError, match="frames: the model takes none"):
        engine.open(StreamRequest(10, 0, frames=np.zeros((1, 5), np.float32)))


def test_engines_are_found_by_name():
    checkpoint = random_checkpoint(TINY_SPECS["unconditional"])
    assert load_engine("auto", checkpoint).name == load_engine("native", checkpoint).name == "native-int8"
    assert load_engine("onnx-cpu", exported(checkpoint)).name == "onnx-cpu"
    assert load_engine("torch", checkpoint).name == "torch"
    with pytest.raises(ValueError, match="precision: 'int4' is none of auto, fp32, int8"):
        load_engine("native", checkpoint, "int4")
    with pytest.raises(EngineError, match="precision: the torch engine has fp32 only"):
        load_engine("torch", checkpoint, "int8")
    with pytest.raises(ValueError, match="engine: 'cuda'"):
        load_engine("cuda", checkpoint)
