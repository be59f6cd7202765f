"""Pictures side by side as one stream: their symbols are those of pictures drawn alone, however the stream is cut."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.base import RequestError
from ancestral.models.engines.images.batch import BatchEngine
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.engines.images.onnx import OnnxImageEngine
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.engines.speech.engine import StreamRequest
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.scheduler import End, Scheduler
from tests.models.random_models import (
    SPECS,
    TINY_SPECS,
    checkpoint_of,
    each_of,
    exported,
    pictures_of,
    random_checkpoint,
    requests,
    tiny,
)
from tests.models.scheduler.support import RATE, Sink, held, solo

CHOSEN = ("none", "class", "location", "subclasses, two scales")
EVERY = each_of({name: spec for name, spec in SPECS.items() if name.split(", ", 2)[2] in CHOSEN})
PLAIN = SPECS["gated, RGB, class"]


Maker = Callable[[Checkpoint], BatchEngine]


@pytest.fixture(params=["native", "onnx-cpu"])
def make(request):
    """Every engine that draws."""
    if request.param == "native":
        return lambda checkpoint: BatchEngine(NativeImageEngine(checkpoint))
    return lambda checkpoint: BatchEngine(OnnxImageEngine(exported(checkpoint)))


def picture(engine, seed, given=None):
    """Pictures of different seeds, temperatures and labels; where there are labels, every other one is guided."""
    conditions = engine.spec.conditions
    labels = [(*range(len(names)), None)[seed % (len(names) + 1)] for names in conditions]
    h = engine.pictures.embed_labels(labels) if conditions else None
    if engine.spec.encoder is not None:
        h = engine.pictures.encode(pictures_of(engine.spec, 1, seed)[0])
    request = ImageStreamRequest(seed, (1.0, 0.8, 1.2)[seed % 3], h, given)
    if not conditions or seed % 2 == 0:
        return request
    return replace(request, guidance=4.0, unconditional=engine.pictures.embed_labels([None] * len(conditions)))


def sheet(engine, count, seed=0, given=0):
    """Pictures with the same number of given rows, each with rows of its own."""
    spec, rng = engine.spec, np.random.default_rng(seed)
    rows = rng.integers(0, spec.levels, (count, given, spec.width, spec.channels), np.uint8)
    return engine.request([picture(engine, seed + n, rows[n] if given else None) for n in range(count)])


def whole(engine, request):
    """All symbols of a sheet, by the definition: of pictures drawn on their own, row by row."""
    pictures = np.concatenate([engine.pictures.draw([one]) for one in request.pictures])
    return pictures.transpose(1, 0, 2, 3).reshape(-1)


@EVERY
def test_a_sheet_is_the_rows_of_its_pictures(spec, make):
    engine = make(checkpoint_of(spec))
    request = sheet(engine, 5)
    assert request.length == 5 * spec.dims
    opened = engine.open(request)
    (symbols,) = engine.step([opened], request.length)
    np.testing.assert_array_equal(symbols, whole(engine, request))
    rows = symbols.reshape(spec.height, 5, spec.width, spec.channels)
    np.testing.assert_array_equal(rows.transpose(1, 0, 2, 3), engine.pictures.draw(request.pictures))
    assert opened.position == request.length
    assert engine.step([opened], 1)[0].size == 0


@EVERY
def test_company_chunks_and_restarts_change_no_bit(spec, make):
    engine, rng = make(checkpoint_of(spec)), np.random.default_rng(0)
    wanted = [sheet(engine, count, 10 * count, given) for count, given in ((1, 0), (3, 2), (2, 0), (6, 0), (1, 4))]
    sheets = [engine.open(request) for request in wanted]
    parts = [[] for _ in wanted]
    while any(s.position < s.request.length for s in sheets):
        for i in rng.choice(len(sheets), 2):
            sheets[i] = engine.restore(wanted[i], engine.snapshot(sheets[i]))
        company = rng.permutation(len(sheets))[: rng.integers(1, len(sheets) + 1)]
        samples = int(rng.integers(1, 4 * spec.width * spec.channels))
        for i, symbols in zip(company, engine.step([sheets[i] for i in company], samples), strict=True):
            parts[i].append(symbols)
            assert sheets[i].position == sum(map(len, parts[i]))
    for request, pieces in zip(wanted, parts, strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), whole(engine, request))


@EVERY
def test_a_sheet_is_taken_up_after_any_row(spec, make):
    engine = make(checkpoint_of(spec))
    request = sheet(engine, 2)
    symbols, opened = whole(engine, request), engine.open(request)
    for _ in range(spec.height + 1):
        restored = engine.restore(request, engine.snapshot(opened))
        position = restored.position
        assert position == opened.position
        assert engine.snapshot(restored) == engine.snapshot(opened)
        np.testing.assert_array_equal(engine.step([restored], request.length)[0], symbols[position:])
        engine.step([opened], 1)
    assert position == request.length, "the last one was complete"


def test_what_was_asked_for_is_rounded_up_to_rows(make):
    engine = make(checkpoint_of(PLAIN))
    row = 3 * PLAIN.width * PLAIN.channels
    for samples, rows in ((1, 1), (row, 1), (row + 1, 2), (3 * row - 1, 3)):
        opened = engine.open(sheet(engine, 3))
        assert (len(engine.step([opened], samples)[0]), opened.position) == (rows * row, rows * row)


def test_given_rows_come_first_and_are_kept(make):
    engine = make(checkpoint_of(PLAIN))
    request = sheet(engine, 3, given=4)
    opened = engine.open(request)
    assert opened.position == 0
    (first,) = engine.step([opened], 1)
    given = np.stack([one.given for one in request.pictures if one.given is not None], axis=1)
    np.testing.assert_array_equal(first, given.reshape(-1))
    rest = engine.step([opened], request.length)
    np.testing.assert_array_equal(np.concatenate([first, *rest]), whole(engine, request))
    all_given = sheet(engine, 2, given=PLAIN.height)
    np.testing.assert_array_equal(engine.step([engine.open(all_given)], 1)[0], whole(engine, all_given))


def test_sheets_that_are_none_are_refused(make):
    engine = make(checkpoint_of(PLAIN))
    with pytest.raises(RequestError, match=r"^pictures: a batch needs at least one"):
        engine.request([])
    rows = np.zeros((2, PLAIN.width, 3), np.uint8)
    with pytest.raises(RequestError, match=r"^given: all pictures of a batch need the same number of rows"):
        engine.request([picture(engine, 0), picture(engine, 1, rows)])


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"seed": -1}, "seed"), ({"h": None}, "h"), ({"given": np.zeros((2, 8, 3), np.uint8)}, "given")],
)
def test_a_picture_that_does_not_fit_is_refused_by_its_field(changes, field, make):
    engine = make(checkpoint_of(PLAIN))
    rows = np.zeros((2, PLAIN.width, 3), np.uint8)
    wrong = replace(picture(engine, 1, rows), **changes)
    with pytest.raises(RequestError, match=rf"^{field}:"):
        engine.open(engine.request([picture(engine, 0, rows), wrong]))


def test_a_snapshot_that_is_not_its_own_is_refused(make):
    engine = make(checkpoint_of(PLAIN))
    request = sheet(engine, 2)
    opened = engine.open(request)
    engine.step([opened], 100)
    good = engine.snapshot(opened)
    flipped = bytearray(good)
    flipped[-3] ^= 1
    other = make(checkpoint_of(PLAIN, seed=1))
    sound = NativeEngine(random_checkpoint(TINY_SPECS["unconditional"]))
    foreign = other.snapshot(other.open(sheet(other, 2)))
    stream = sound.snapshot(sound.open(StreamRequest(100, 0)))
    for bad in (b"", good[:-1], good + b"x", bytes(flipped), b"\x80\x04" + good[2:], foreign, stream):
        with pytest.raises(RequestError, match="snapshot"):
            engine.restore(request, bad)
    with pytest.raises(RequestError, match="snapshot"):
        engine.restore(sheet(engine, 3), good)


@pytest.mark.parametrize("threads", [1, 2])
def test_sheets_and_streams_share_a_scheduler(threads, make):
    drawing = [make(checkpoint_of(spec)) for spec in (PLAIN, tiny(False, 1))]
    sound = NativeEngine(random_checkpoint(TINY_SPECS["conditional"]))
    sheets = [(drawing[n % 2], sheet(drawing[n % 2], 1 + n % 3, seed=n)) for n in range(8)]
    streams = requests(sound.spec, 6, 700)
    drawn, heard = [Sink() for _ in sheets], [Sink() for _ in streams]
    with closing(Scheduler(threads, snapshot_seconds=0.1)) as scheduler:
        with held(scheduler, threads):
            for number, ((engine, one), sink) in enumerate(zip(sheets, drawn, strict=True)):
                slot = scheduler.open(engine, RATE, sink, realtime=bool(number % 2))
                slot.feed(engine.open(one))
                slot.finish()
            for number, (stream, sink) in enumerate(zip(streams, heard, strict=True)):
                slot = scheduler.open(sound, RATE, sink, realtime=bool(number % 2))
                slot.feed(sound.open(stream))
                slot.finish()
        assert {sink.wait() for sink in [*drawn, *heard]} == {End.COMPLETED}
        assert scheduler.figures().lanes > scheduler.figures().calls, "some shared their calls"
    for stream, sink in zip(streams, heard, strict=True):
        np.testing.assert_array_equal(sink.symbols(), solo(sound, stream))
    for (engine, one), sink in zip(sheets, drawn, strict=True):
        np.testing.assert_array_equal(sink.symbols(), whole(engine, one))
        snapshots = [chunk for chunk in sink.chunks if chunk.snapshot is not None]
        assert snapshots or one.length < 200
        for chunk in snapshots:
            (rest,) = engine.step([engine.restore(one, chunk.snapshot or b"")], one.length)
            np.testing.assert_array_equal(rest, sink.symbols()[chunk.start + len(chunk.symbols) :])
