"""Every engine draws the oracle's pictures from the oracle's noise, and a picture does not depend on its company.

The oracle is the torch network in double precision, run whole for every sub-pixel. Single precision moves a logit by
about 1e-6, and with it a symbol whose noise falls that near to a boundary: not once with the seeds below.
"""

from contextlib import closing
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from ancestral_models.architectures import architecture
from ancestral_models.categorical import draw as draw_symbol
from ancestral_models.categorical import uniforms
from ancestral_models.detection import Intervals
from ancestral_models.engines import load_engine, load_image_engine
from ancestral_models.engines.base import RequestError
from ancestral_models.engines.images.engine import BatchEngine, Edit, ImageStreamRequest
from ancestral_models.engines.images.native import NativeImageEngine
from ancestral_models.engines.images.onnx import OnnxImageEngine
from ancestral_models.engines.images.torch_engine import TorchImageEngine
from ancestral_models.engines.speech.engine import StreamRequest
from ancestral_models.engines.speech.native import NativeEngine
from ancestral_models.networks.image import draw, sampling_order, sub_pixel_logits
from ancestral_models.scheduler import End, Scheduler
from ancestral_training.data.images import kept_pixels
from tests.models import random_models as toys
from tests.models.engines.support import in_company
from tests.models.instructions import MORE_THAN_ONE, each_variant
from tests.models.scheduler.support import RATE, Sink, held, solo

MAKERS = {
    "native": lambda checkpoint: NativeImageEngine(checkpoint, False),
    "onnx": lambda checkpoint: OnnxImageEngine(toys.exported(checkpoint)),
    "torch": TorchImageEngine, "int8": lambda checkpoint: NativeImageEngine(checkpoint, True),
}  # fmt: skip
# Kernels of five rows, a first one that is wider than the rest, features that do not divide by the channels.
WIDE = {"kernel_size": 5, "first_kernel_size": 7, "output_features": 11, "layers": 4}
ODD = {
    "odd gated": toys.tiny(True, 3, features=10, **WIDE), "odd original": toys.tiny(False, 3, features=14, **WIDE),
    "grey, 256 levels": toys.tiny(True, 1, levels=256), "RGB, 2 levels": toys.tiny(False, 3, levels=2),
}  # fmt: skip
NARROW = {
    f"{lstm}, {height} × {width}": toys.tiny_rnn(lstm, 1, height=height, width=width)
    for lstm in ("row", "diagonal")
    for height, width in ((1, 1), (1, 8), (8, 1), (3, 2))
}
LABELLED = {"attributes": (toys.CLASS, toys.STYLE), "conditioning": "location"}
INT8 = {
    "grey": toys.tiny(True, 1, features=8, kernel_size=5, **LABELLED),
    "RGB": toys.tiny(True, 3, features=24, **LABELLED),
    "indexed, two scales": toys.tiny(
        True, 1, features=16, height=8, width=12, coarse_layers=2, coarse_features=8, **LABELLED, **toys.INDEXED
    ),
    **{f"{name}, edits": replace(spec, features=16) for name, spec in toys.EDITS.items()},
}
TORCH = {
    name: (toys.SPECS | toys.RNN_SPECS)[name]
    for name in (
        "original, RGB, none", "gated, RGB, class", "gated, grey, subclasses, two scales", "autoencoder, RGB, location",
        "gated, palette, edits", "row, RGB, none", "diagonal, grey, class and style",
    )
}  # fmt: skip
CHOSEN = ("none", "class", "location", "subclasses, two scales")
BATCHES = {name: spec for name, spec in toys.SPECS.items() if name.split(", ", 2)[2] in CHOSEN}
PLAIN = toys.SPECS["gated, RGB, class"]
IN_COLOUR = ("row, RGB, none", "diagonal, RGB, class and style, two scales")
"""PixelRNNs in colour, for which naive sampling takes long, that the quick tests compare with it, too."""
QUICK_RNN = {name: spec for name, spec in toys.RNN_SPECS.items() if spec.channels == 1 or name in IN_COLOUR}


def pairs(**specs):
    """Run a test with each engine, and for it with each of its specs."""
    return pytest.mark.parametrize(
        ("make", "spec"),
        [
            pytest.param(MAKERS[engine], spec, id=f"{engine}: {name}", marks=toys.marks(name))
            for engine, found in specs.items()
            for name, spec in found.items()
        ],
    )


@pytest.fixture(params=["native", "onnx"])
def make(request):
    return MAKERS[request.param]


def labels_of(spec, number):
    """Every label in turn, and nothing."""
    return [(*range(len(names)), None)[number % (len(names) + 1)] for names in spec.conditions]


def requests(engine, count, seed=100, given=0):
    """Pictures of different seeds, temperatures and conditions; where these are labels, the first lies between two of
    them and every other one is guided; where the model draws edits, all but one are edits, of regions of every shape.
    """
    spec, made = engine.spec, []
    kept = kept_pixels(np.random.default_rng(3), count, spec.height, spec.width) if spec.draws_edits else None
    rows = toys.pictures_of(spec, count, seed)
    for number in range(count):
        request = ImageStreamRequest(seed + number, (1.0, 1.0, 0.6)[number % 3])
        if spec.encoder is not None:
            request = replace(request, h=engine.encode(rows[number]))
        elif spec.conditions:
            labels = labels_of(spec, number)
            h = engine.embed_labels(labels)
            if number == 0:
                h = ((h + engine.embed_labels(labels_of(spec, 1))) / 2).astype(np.float32)
            request = replace(request, h=h)
            if number % 2:
                # The style stays, so that by itself it would be the same picture unguided.
                keeps_style = number > 1 and len(labels) > 1
                free = engine.unconditional(labels if keeps_style else [None] * len(labels))
                request = replace(request, guidance=2.0 + number, unconditional=free)
        if kept is not None and number != 2:
            request = replace(request, edit=Edit(toys.pictures_of(spec, count)[number], kept[number]))
        made.append(replace(request, given=rows[number][:given]) if given else request)
    return made


@cache
def drawn_by_oracle(spec, count):
    """The oracle's pictures of :func:`requests`, once for all engines: all in one pass, but for edits."""
    model, wanted = toys.oracle(toys.checkpoint_of(spec)), requests(NativeImageEngine(toys.checkpoint_of(spec)), count)
    guided = any(request.unconditional is not None for request in wanted)

    def vectors(rows):
        return None if rows[0] is None else torch.from_numpy(np.stack(rows)).double()

    hs = vectors([request.h for request in wanted])
    free = vectors([r.h if r.unconditional is None else r.unconditional for r in wanted]) if guided else None
    heat, guidance = (np.array([getattr(r, name) for r in wanted]) for name in ("temperature", "guidance"))
    if not spec.draws_edits:
        return draw(model, hs, [request.seed for request in wanted], heat, None, guidance, free)
    found = []
    for i, request in enumerate(wanted):
        kept = np.zeros((spec.height, spec.width), bool) if request.edit is None else request.edit.kept
        symbols = np.zeros((1, spec.height, spec.width, spec.channels), np.uint8)
        symbols[0][kept] = 0 if request.edit is None else request.edit.picture[kept]
        for position in sampling_order(spec):
            if kept.reshape(-1)[position // spec.channels]:
                continue
            with torch.no_grad():
                logits = sub_pixel_logits(
                    model, symbols, position, hs[i : i + 1], guidance[i], free[i : i + 1],
                    torch.from_numpy(kept)[None] if request.edit else None,
                )  # fmt: skip
            symbols.reshape(-1)[position] = draw_symbol(logits, heat[i], uniforms(request.seed, position, 1))[0]
        found.append(symbols[0])
    return np.stack(found)


@pairs(native=toys.SPECS | ODD | NARROW | QUICK_RNN, onnx=toys.SPECS | ODD, torch=TORCH)
def test_whole_pictures_equal_the_oracles_and_keep_what_is_kept(make, spec):
    engine = make(toys.checkpoint_of(spec))
    wanted = requests(engine, 5)
    mine = engine.draw(wanted)
    np.testing.assert_array_equal(mine, drawn_by_oracle(spec, 5))
    assert spec.dims < 4 or len(np.unique(mine)) > 1
    assert mine.max() < spec.levels
    for request, picture in zip(wanted, mine, strict=True):
        if request.edit is not None:
            assert np.array_equal(picture[request.edit.kept], request.edit.picture[request.edit.kept])
    if spec.conditions:
        assert not np.array_equal(mine, engine.draw([replace(r, guidance=1.0, unconditional=None) for r in wanted]))


@pairs(native=toys.SPECS | toys.RNN_SPECS | INT8, onnx=toys.SPECS, torch=TORCH, int8=INT8)
def test_a_picture_is_the_same_alone_in_company_by_rows_and_resumed(make, spec):
    engine = make(toys.checkpoint_of(spec))
    wanted = requests(engine, 3 if engine.name == "torch" else 6)
    whole = engine.draw(wanted)
    for request, picture in zip(wanted[:2], whole, strict=False):
        assert np.array_equal(engine.draw([request])[0], picture), "alone"
        half = engine.open(replace(request, given=picture[:3].copy()))
        assert half.rows == 3
        assert np.array_equal(engine.step([half], spec.height)[0], picture[3:]), "resumed"
    # They join one after the other, so that no two are at one row; and end at rows of their own.
    pictures, ends = [], [1, 4, 2, 3, 0, 1]
    for request in wanted:
        pictures.append(engine.open(request))
        engine.step(pictures, 1)
    engine.sample_until(pictures, [max(p.rows, end) for p, end in zip(pictures, ends, strict=False)])
    engine.step(pictures, spec.height)
    assert np.array_equal([picture.symbols for picture in pictures], whole), "by rows, at rows of their own"
    given = toys.pictures_of(spec, 1, 7)[0][:4]
    (completed,) = engine.draw([replace(wanted[0], given=given, edit=None)])
    assert np.array_equal(completed[:4], given)
    if spec.levels == 256 and not spec.draws_edits:
        assert not np.array_equal(completed[4:], whole[0][4:])


def whole_sheet(engine, request):
    """All symbols of a sheet, by the definition: of pictures drawn on their own, row by row."""
    pictures = np.concatenate([engine.pictures.draw([one]) for one in request.pictures])
    return pictures.transpose(1, 0, 2, 3).reshape(-1)


def sheet(engine, count, seed=0, given=0):
    """Pictures with the same number of given rows, each with rows of its own."""
    return engine.request(requests(engine.pictures, count, seed, given))


@pairs(native=BATCHES | toys.RNN_SPECS | INT8, onnx=BATCHES, torch=TORCH, int8=INT8)
def test_company_chunks_and_restarts_change_no_bit_of_a_sheet(make, spec):
    engine = BatchEngine(make(toys.checkpoint_of(spec)))
    sizes = ((1, 0), (3, 2), (2, 0), (6, 0), (1, 4))[: 2 if engine.name == "torch" else 5]
    wanted = [sheet(engine, count, 10 * count, given) for count, given in sizes]
    for request, parts in zip(wanted, in_company(engine, wanted, 4 * spec.width * spec.channels), strict=True):
        assert len(parts) == request.length == len(request.pictures) * spec.dims
        np.testing.assert_array_equal(parts, whole_sheet(engine, request))


@pairs(native=toys.SPECS | toys.RNN_SPECS, onnx=toys.SPECS, torch=TORCH)
def test_scores_are_the_networks_log_likelihood(make, spec):
    checkpoint, images = toys.checkpoint_of(spec), toys.pictures_of(spec, 5)
    engine, model = make(checkpoint), toys.oracle(checkpoint)
    symbols = torch.from_numpy(images.astype(np.int64))
    hs = np.stack([request.h for request in requests(engine, 5)]) if spec.conditioned else None
    given = None if hs is None else torch.from_numpy(hs).double()
    for kept in [None] + [kept_pixels(np.random.default_rng(1), 5, spec.height, spec.width)] * spec.draws_edits:
        with torch.no_grad():
            logits = model.score(symbols, given, **({} if kept is None else {"kept": torch.from_numpy(kept)}))
        exact = logits.log_softmax(-1).gather(-1, symbols[..., None])[..., 0].numpy()
        exact[np.zeros(images.shape[:3], bool) if kept is None else kept] = 0.0
        np.testing.assert_allclose(engine.score(images, hs, kept), exact, rtol=1e-4, atol=1e-5)


@pairs(native=toys.SPECS | toys.RNN_SPECS)
def test_the_noise_of_each_symbol_lies_in_its_interval(make, spec):
    engine, reaches = make(toys.checkpoint_of(spec)), (0, 1, 4)
    wanted = [replace(request, edit=None) for request in requests(engine, 6)]
    pictures = engine.draw(wanted)
    found = engine.intervals(pictures, [replace(request, seed=1) for request in wanted], reaches)
    assert found.shape == (*pictures.shape, len(reaches), 2)
    assert (np.diff(found[..., 0], axis=-1) <= 0.0).all(), "a larger reach begins earlier"
    assert (np.diff(found[..., 1], axis=-1) >= 0.0).all(), "and ends later"
    for request, bounds in zip(wanted, found.reshape(len(wanted), spec.dims, len(reaches), 2), strict=True):
        own, other = (uniforms(seed, 0, spec.dims)[:, None] for seed in (request.seed, request.seed + 77))
        assert ((bounds[..., 0] <= own) & (own < bounds[..., 1])).all()
        assert not ((bounds[:, :1, 0] <= other) & (other < bounds[:, :1, 1])).all()


def test_the_intervals_of_all_symbols_cover_the_noise_once():
    engine = NativeImageEngine(toys.checkpoint_of(toys.SPECS["gated, RGB, none"]))
    (request,) = requests(engine, 1)
    picture = np.repeat(engine.draw([request]), 256, axis=0)
    picture[:, -1, -1, -1] = np.arange(256)
    sizes = np.diff(engine.intervals(picture, [request] * 256, (0,))[:, -1, -1, -1, 0], axis=-1)
    assert sizes.sum() == pytest.approx(1.0, abs=1e-9)


def test_at_temperature_0_the_noise_says_nothing():
    engine = NativeImageEngine(toys.checkpoint_of(toys.SPECS["gated, grey, none"]))
    request = ImageStreamRequest(100, 0.0)
    bounds = engine.intervals(engine.draw([request]), [request], (0,)).reshape(-1, 1, 2)
    assert np.array_equal(bounds[:, 0], np.tile([0.0, 1.0], (len(bounds), 1)))
    assert Intervals(np.arange(len(bounds)), bounds).evidence(7) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(RequestError, match="given"):
        engine.intervals(np.zeros((1, 3, 3, 1), np.uint8), [request], (0,))


def test_guidance_between_equal_conditions_changes_nothing_and_zero_takes_the_other(make):
    engine = make(toys.checkpoint_of(PLAIN))
    h, free = engine.embed_labels([1]), engine.embed_labels([None])
    assert np.array_equal(free, engine.unconditional([1]))
    style = make(toys.checkpoint_of(toys.SPECS["gated, grey, style"]))
    assert np.array_equal(style.unconditional([1]), style.embed_labels([1])), "the style stays"
    conditions = [(h, 1.0, None), (h, 3.0, h), (free, 1.0, None), (h, 0.0, free)]
    made = [ImageStreamRequest(1, h=h, guidance=guidance, unconditional=other) for h, guidance, other in conditions]
    plain, same, other, none = engine.draw(made)
    assert np.array_equal(plain, same)
    assert np.array_equal(other, none)
    assert not np.array_equal(plain, other)


@pytest.mark.parametrize("make", [MAKERS[name] for name in ("native", "onnx", "torch")])
def test_temperature_zero_takes_the_most_likely_symbol_and_a_seed_matters(make):
    checkpoint = toys.checkpoint_of(toys.SPECS["original, RGB, style"])
    engine = make(checkpoint)
    h = engine.embed_labels([1])
    heats = ((1, 0.0), (2, 0.0), (1, 1.0), (2, 1.0))
    pictures = engine.draw([ImageStreamRequest(seed, heat, h) for seed, heat in heats])
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[2], pictures[3])
    symbols = torch.from_numpy(pictures[:1].astype(np.int64))
    logits = toys.oracle(checkpoint).score(symbols, torch.from_numpy(h).double()[None])
    assert np.array_equal(logits.argmax(-1).numpy()[0], pictures[0])


VECTOR = np.zeros(5, np.float32)
GIVEN = np.zeros((2, 9, 1), np.uint8)
REFUSED = {
    "gated, grey, class": [
        ({"seed": -1}, "seed:"), ({"temperature": np.nan}, "temperature:"), ({"temperature": -0.1}, "temperature:"),
        ({"h": None}, "h:"), ({"h": VECTOR[:4]}, "h:"), ({"h": VECTOR + np.inf}, "h:"),
        ({"guidance": float("inf"), "unconditional": VECTOR}, "guidance:"),
        ({"guidance": -0.1, "unconditional": VECTOR}, "guidance:"),
        ({"guidance": 2.0}, "unconditional:"), ({"unconditional": VECTOR}, "unconditional:"),
        ({"guidance": 2.0, "unconditional": VECTOR[:4]}, "unconditional:"),
        ({"guidance": 2.0, "unconditional": VECTOR + np.nan}, "unconditional:"),
        ({"given": GIVEN.repeat(4, 0)}, "given:"), ({"given": GIVEN.repeat(3, 2)}, "given:"),
        ({"given": GIVEN + np.uint8(2)}, "given:"), ({"given": GIVEN.astype(np.int64)}, "given:"),
    ],
    "gated, grey, none": [
        ({"h": VECTOR}, "h:"),
        ({"guidance": 2.0, "unconditional": VECTOR}, "guidance: the model has no conditions"),
    ],
    "gated, palette, edits": [
        ({"edit": wrong}, "edit:") for wrong in (
            lambda picture, kept: Edit(picture[1:], kept), lambda picture, kept: Edit(picture + 5, kept),
            lambda picture, kept: Edit(picture, kept | True), lambda picture, kept: Edit(picture, kept & False),
            lambda picture, kept: Edit(picture, kept[1:]), lambda picture, kept: Edit(picture, kept * 1),
        )
    ],
    "gated, palette, coarse inputs": [({"edit": Edit}, "edit: the model draws none")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes", "field"), [(name, changes, field) for name, rows in REFUSED.items() for changes, field in rows]
)
def test_a_request_that_does_not_fit_is_refused_by_its_field(name, changes, field):
    spec = toys.SPECS[name]
    engine = NativeImageEngine(toys.checkpoint_of(spec))
    if "edit" in changes:
        kept = np.zeros((spec.height, spec.width), bool)
        kept[2:] = True
        changes = {"edit": changes["edit"](toys.pictures_of(spec, 1)[0], kept)}
    h = engine.embed_labels([None] * len(spec.conditions)) if spec.conditions else None
    with pytest.raises(RequestError, match=rf"^{field}"):
        engine.open(replace(ImageStreamRequest(0, h=h), **changes))


def test_labels_and_images_that_do_not_fit_are_refused():
    engine = NativeImageEngine(toys.checkpoint_of(toys.SPECS["gated, grey, class"]))
    with pytest.raises(RequestError, match=r"^labels: must lie in 0 … 2"):
        engine.embed_labels([3])
    with pytest.raises(RequestError, match=r"^labels: a vector has 5 numbers"):
        engine.embed_labels([VECTOR[:1]])
    with pytest.raises(RequestError, match=r"^images:"):
        engine.score(np.zeros((1, 7, 9, 3), np.uint8))


def test_an_engine_encodes_as_the_network_does(make):
    checkpoint = toys.checkpoint_of(toys.SPECS["autoencoder, grey, class"])
    engine, pictures = make(checkpoint), toys.pictures_of(checkpoint.spec, 3)
    exact = toys.oracle(checkpoint).h_of(torch.from_numpy(pictures.astype(np.int64)), None)
    np.testing.assert_allclose([engine.encode(picture) for picture in pictures], exact.numpy(), atol=1e-5)
    with pytest.raises(RequestError, match=r"^picture: \[6, 9, 1\] is not that of the model"):
        engine.encode(pictures[0, 1:])


@toys.each_of({name: spec for name, spec in INT8.items() if "edits" not in name})
def test_scores_of_int8_are_near_those_of_single_precision(spec):
    images = toys.pictures_of(spec, 5)
    engines = [NativeImageEngine(toys.checkpoint_of(spec), int8) for int8 in (False, True)]
    assert [engine.name for engine in engines] == ["native", "native-int8"]
    hs = np.stack([engines[0].embed_labels([n % 3, n % 2]) for n in range(5)])
    exact, rounded = (engine.score(images, hs) for engine in engines)
    assert not np.array_equal(exact, rounded)
    assert np.abs(exact - rounded).mean() < 0.02
    assert rounded.mean() == pytest.approx(exact.mean(), abs=0.005)
    assert load_image_engine("auto", toys.checkpoint_of(spec)).name == "native-int8"


SAME = INT8 | {"RGB, 256 levels": toys.tiny(True, 3, levels=256, features=24, **LABELLED)}
SAME |= {name: TORCH[name] for name in TORCH if "original" in name or "row" in name or "diagonal" in name}


@MORE_THAN_ONE
@toys.each_of(SAME)
def test_all_instructions_give_the_same_pictures_likelihoods_and_intervals(spec, monkeypatch):
    has_int8 = architecture(spec.kind).has_int8(spec)
    engine = MAKERS["int8" if has_int8 else "native"](toys.checkpoint_of(spec))
    wanted, images = requests(engine, 5), toys.pictures_of(spec, 3)
    plain = [replace(request, edit=None) for request in wanted[:3]]
    found = []
    for _ in each_variant(monkeypatch):
        scores = engine.score(images, None if plain[0].h is None else np.stack([request.h for request in plain]))
        found.append((engine.draw(wanted), scores, engine.intervals(images, plain, (0, 2))))
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, another)


def test_one_function_loads_every_engine(caplog):
    image, speech = toys.checkpoint_of(PLAIN), toys.random_checkpoint(toys.TINY_SPECS["conditional"])
    for name in ("auto", "native"):
        assert load_engine(name, image).name == "native"
        assert load_engine(name, speech).name == "native-int8"
    assert load_engine("onnx-cpu", toys.exported(speech)).name == "onnx-cpu"
    for spec in (PLAIN, toys.tiny(True, 1, features=6), toys.tiny(False, 1, features=8)):
        assert not architecture(spec.kind).has_int8(spec), "gated networks of whole vectors have it alone"
        assert load_image_engine("native", toys.checkpoint_of(spec)).name == "native"
    whole = toys.tiny(True, 1, features=8, coarse_features=6)  # of a coarse network that is not there
    assert architecture(whole.kind).has_int8(whole)
    recurrent = toys.checkpoint_of(toys.RNN_SPECS["row, RGB, none"])
    assert load_engine("auto", recurrent).name == load_engine("onnx-cpu", recurrent).name == "native"
    assert caplog.messages[-1] == "pixelrnn has no ONNX exporter: the native engine samples it, not onnx-cpu"
    for name, message in (("fast", "engine: 'fast' is none of auto"), ("cuda", "engine: 'cuda'")):
        with pytest.raises(ValueError, match=message):
            load_engine(name, speech)


def test_a_sheet_of_given_rows_alone_is_what_was_given(make):
    engine = BatchEngine(make(toys.checkpoint_of(PLAIN)))
    all_given = sheet(engine, 2, given=PLAIN.height)
    np.testing.assert_array_equal(engine.step([engine.open(all_given)], 1)[0], whole_sheet(engine, all_given))


def test_sheets_that_do_not_fit_are_refused(make):
    engine = BatchEngine(make(toys.checkpoint_of(PLAIN)))
    with pytest.raises(RequestError, match=r"^pictures: a batch needs at least one"):
        engine.request([])
    first, other = requests(engine.pictures, 2, given=2)
    with pytest.raises(RequestError, match=r"^given: all pictures of a batch need the same number of rows"):
        engine.request([first, replace(other, given=None)])
    for field, value in (("seed", -1), ("h", None), ("given", np.zeros((2, 8, 3), np.uint8))):
        with pytest.raises(RequestError, match=rf"^{field}:"):
            engine.open(engine.request([first, replace(other, **{field: value})]))


def test_a_snapshot_that_is_not_its_own_is_refused(make):
    engine, other = (BatchEngine(make(toys.checkpoint_of(PLAIN, seed=seed))) for seed in (0, 1))
    request = sheet(engine, 2)
    opened = engine.open(request)
    engine.step([opened], 100)
    good = engine.snapshot(opened)
    flipped = bytearray(good)
    flipped[-3] ^= 1
    sound = NativeEngine(toys.random_checkpoint(toys.TINY_SPECS["unconditional"]))
    foreign = other.snapshot(other.open(sheet(other, 2)))
    stream = sound.snapshot(sound.open(StreamRequest(100, 0)))
    for bad in (b"", good[:-1], good + b"x", bytes(flipped), b"\x80\x04" + good[2:], foreign, stream):
        with pytest.raises(RequestError, match="snapshot"):
            engine.restore(request, bad)
    with pytest.raises(RequestError, match="snapshot"):
        engine.restore(sheet(engine, 3), good)


@pytest.mark.parametrize("threads", [1, 2])
def test_sheets_and_streams_share_a_scheduler(threads, make):
    drawing = [BatchEngine(make(toys.checkpoint_of(spec))) for spec in (PLAIN, toys.SPECS["original, grey, none"])]
    sound = NativeEngine(toys.random_checkpoint(toys.TINY_SPECS["conditional"]))
    jobs = [(drawing[n % 2], sheet(drawing[n % 2], 1 + n % 3, seed=n)) for n in range(8)]
    jobs += [(sound, request) for request in toys.requests(sound.spec, 6, 700)]
    sinks = [Sink() for _ in jobs]
    with closing(Scheduler(threads, snapshot_seconds=0.1)) as scheduler:
        with held(scheduler, threads):
            for number, ((engine, one), sink) in enumerate(zip(jobs, sinks, strict=True)):
                slot = scheduler.open(engine, RATE, sink, realtime=bool(number % 2))
                slot.feed(engine.open(one))
                slot.finish()
        assert {sink.wait() for sink in sinks} == {End.COMPLETED}
        assert scheduler.figures().lanes > scheduler.figures().calls, "some shared their calls"
    for (engine, one), sink in zip(jobs, sinks, strict=True):
        expected = solo(sound, one) if engine is sound else whole_sheet(engine, one)
        np.testing.assert_array_equal(sink.symbols(), expected)
        snapshots = [chunk for chunk in sink.chunks if chunk.snapshot is not None]
        assert snapshots or one.length < 200
        for chunk in snapshots:
            (rest,) = engine.step([engine.restore(one, chunk.snapshot)], one.length)
            np.testing.assert_array_equal(rest, expected[chunk.start + len(chunk.symbols) :])
