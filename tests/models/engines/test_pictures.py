"""Every engine draws the oracle's pictures from the oracle's noise, and a picture does not depend on its company.

The oracle is the torch network in double precision, run whole for every sub-pixel. Single precision moves a logit by
about 1e-6, and with it a symbol whose noise falls that near to a boundary: not once with the seeds below.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.base import RequestError
from ancestral.models.engines.images.engine import ImageEngine
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.engines.images.onnx import OnnxImageEngine, OnnxImageStream
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.networks.reference_sampler import draw
from tests.models.engines.image_oracles import conditions, drawn_by_oracle, guided, guided_by_oracle, requests, tempered
from tests.models.random_models import SPECS, checkpoint_of, each_of, exported, oracle, pictures_of, tiny

EVERY = each_of(SPECS)
# Kernels of five rows, a first one that is wider than the rest, features that do not divide by the channels.
ODD = {
    "gated": tiny(True, 3, kernel_size=5, first_kernel_size=7, features=10, output_features=11, layers=4),
    "original": tiny(False, 3, kernel_size=5, first_kernel_size=7, features=14, output_features=11, layers=4),
    "grey, 256 levels": tiny(True, 1, levels=256),
    "RGB, 2 levels": tiny(False, 3, levels=2),
}


Maker = Callable[[Checkpoint], ImageEngine]


@pytest.fixture(params=["native", "onnx-cpu"])
def make(request):
    """Every engine that draws."""
    makers = {"native": NativeImageEngine, "onnx-cpu": lambda checkpoint: OnnxImageEngine(exported(checkpoint))}
    return makers[request.param]


@each_of(SPECS | ODD)
def test_whole_pictures_equal_the_oracles(spec, make):
    engine = make(checkpoint_of(spec))
    wanted = tempered(requests(engine, 5))
    mine = engine.draw(wanted)
    assert np.array_equal(mine, drawn_by_oracle(spec, wanted))
    assert len(np.unique(mine)) > 1
    assert mine.max() < spec.levels


CONDITIONED = each_of({name: spec for name, spec in SPECS.items() if spec.conditions})


@CONDITIONED
def test_guided_pictures_equal_the_oracles(spec, make):
    engine = make(checkpoint_of(spec))
    wanted = guided(engine, 5)
    drawn = engine.draw(wanted)
    assert np.array_equal(drawn, guided_by_oracle(engine, wanted))
    assert not np.array_equal(drawn, engine.draw([replace(r, guidance=1.0, unconditional=None) for r in wanted]))


@CONDITIONED
def test_a_guided_picture_is_the_same_alone_in_company_by_rows_and_resumed(spec, make):
    engine = make(checkpoint_of(spec))
    wanted = guided(engine, 6)
    whole = engine.draw(wanted)
    assert np.array_equal(engine.draw(wanted[1:2])[0], whole[1]), "alone"
    half = engine.open(replace(wanted[1], given=whole[1][:3]))
    assert np.array_equal(engine.step([half], engine.spec.height)[0], whole[1][3:]), "resumed"
    pictures = [engine.open(request) for request in wanted]
    engine.sample_until(pictures, [1, 4, 2, 3, 0, 1])
    engine.step(pictures, engine.spec.height)
    assert np.array_equal([picture.symbols for picture in pictures], whole), "by rows, at rows of their own"


def test_guidance_between_equal_conditions_changes_nothing_and_zero_takes_the_other(make):
    engine = make(checkpoint_of(SPECS["gated, RGB, class"]))
    h, free = engine.embed_labels([1]), engine.embed_labels([None])
    plain, same, other, none = engine.draw(
        [
            ImageStreamRequest(1, h=h),
            ImageStreamRequest(1, h=h, guidance=3.0, unconditional=h),
            ImageStreamRequest(1, h=free),
            ImageStreamRequest(1, h=h, guidance=0.0, unconditional=free),
        ]
    )
    assert np.array_equal(plain, same)
    assert np.array_equal(other, none)
    assert not np.array_equal(plain, other)


def test_the_oracle_may_stop_early():
    model = oracle(checkpoint_of(SPECS["gated, RGB, none"]))
    whole, begun = draw(model, None, [1]), draw(model, None, [1], count=40)
    assert np.array_equal(begun.reshape(-1)[:40], whole.reshape(-1)[:40])
    assert not begun.reshape(-1)[40:].any()


@EVERY
def test_a_picture_is_the_same_alone_in_company_by_rows_and_resumed(spec, make):
    engine = make(checkpoint_of(spec))
    wanted = requests(engine, 6)
    whole = engine.draw(wanted)
    for request, picture in zip(wanted[:2], whole, strict=False):
        assert np.array_equal(engine.draw([request])[0], picture), "alone"
        half = engine.open(replace(request, given=picture[:3]))
        assert half.rows == 3
        (rest,) = engine.step([half], spec.height)
        assert np.array_equal(rest, picture[3:]), "resumed"
    # They join one after the other, so that no two are at one row.
    drawn = [[] for _ in wanted]
    pictures = []
    for request in wanted:
        pictures.append(engine.open(request))
        for rows, made in zip(drawn, engine.step(pictures, 1), strict=False):
            rows.append(made.copy())
    for rows, made in zip(drawn, engine.step(pictures, spec.height), strict=True):
        rows.append(made)
    assert np.array_equal([np.concatenate(rows) for rows in drawn], whole), "by rows, at rows of their own"


@EVERY
def test_scores_are_the_networks_log_likelihood(spec, make):
    checkpoint = checkpoint_of(spec)
    engine, model = make(checkpoint), oracle(checkpoint)
    images = np.random.default_rng(0).integers(0, spec.levels, (5, spec.height, spec.width, spec.channels), np.uint8)
    hs = None if not spec.conditioned else np.stack([h for h in conditions(engine, 5) if h is not None])
    symbols = torch.from_numpy(images.astype(np.int64))
    logits = model.score(symbols, None if hs is None else torch.from_numpy(hs).double())
    exact = logits.log_softmax(-1).gather(-1, symbols[..., None])[..., 0].numpy()
    np.testing.assert_allclose(engine.score(images, hs), exact, rtol=1e-4, atol=1e-5)


def test_given_rows_are_kept_and_change_what_follows(make):
    spec = SPECS["gated, RGB, class"]
    engine = make(checkpoint_of(spec))
    (request,) = requests(engine, 2)[:1]
    given = np.random.default_rng(1).integers(0, 256, (4, spec.width, 3), np.uint8)
    completed = engine.draw([replace(request, given=given), request])
    assert np.array_equal(completed[0, :4], given)
    assert not np.array_equal(completed[0, 4:], completed[1, 4:])


def test_temperature_zero_takes_the_most_likely_symbol(make):
    spec = SPECS["original, RGB, style"]
    checkpoint = checkpoint_of(spec)
    engine = make(checkpoint)
    h = engine.embed_labels([1])
    pictures = engine.draw([ImageStreamRequest(seed, 0.0, h) for seed in (1, 2)])
    assert np.array_equal(pictures[0], pictures[1])
    symbols = torch.from_numpy(pictures[:1].astype(np.int64))
    logits = oracle(checkpoint).score(symbols, torch.from_numpy(h).double()[None])
    assert np.array_equal(logits.argmax(-1).numpy()[0], pictures[0])


def test_another_seed_is_another_picture():
    engine = NativeImageEngine(checkpoint_of(SPECS["gated, grey, none"]))
    one, two = engine.draw([ImageStreamRequest(1), ImageStreamRequest(2)])
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seed": -1}, "seed"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"h": None}, "h"),
        ({"h": np.zeros(4, np.float32)}, "h"),
        ({"h": np.full(5, np.inf, np.float32)}, "h"),
        ({"guidance": 2.0}, "unconditional"),
        ({"guidance": float("inf"), "unconditional": np.zeros(5, np.float32)}, "guidance"),
        ({"guidance": -0.1, "unconditional": np.zeros(5, np.float32)}, "guidance"),
        ({"unconditional": np.zeros(5, np.float32)}, "unconditional"),
        ({"guidance": 2.0, "unconditional": np.zeros(4, np.float32)}, "unconditional"),
        ({"guidance": 2.0, "unconditional": np.full(5, np.nan, np.float32)}, "unconditional"),
        ({"given": np.zeros((8, 9, 1), np.uint8)}, "given"),
        ({"given": np.zeros((2, 9, 3), np.uint8)}, "given"),
        ({"given": np.full((2, 9, 1), 2, np.uint8)}, "given"),
        ({"given": np.zeros((2, 9, 1), np.int64)}, "given"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_by_its_field(changes, field):
    engine = NativeImageEngine(checkpoint_of(SPECS["gated, grey, class"]))
    with pytest.raises(RequestError, match=rf"^{field}:"):
        engine.open(replace(ImageStreamRequest(0, h=engine.embed_labels([None])), **changes))


def test_a_vector_is_asked_for_in_the_place_of_an_index():
    spec = SPECS["gated, RGB, class and style"]
    checkpoint = checkpoint_of(spec)
    engine = NativeImageEngine(checkpoint)
    rows = checkpoint.tensors["conditioner.embedding"]
    cow, any_style = rows[2], rows[-1]
    assert np.array_equal(engine.embed_labels([cow, 1]), engine.embed_labels([2, 1]))
    assert np.array_equal(engine.embed_labels([cow / 2, None]), cow / 2 + any_style)


def test_an_engine_encodes_as_the_network_does(make):
    spec = SPECS["autoencoder, grey, class"]
    checkpoint = checkpoint_of(spec)
    engine, pictures = make(checkpoint), pictures_of(spec, 3)
    exact = oracle(checkpoint).h_of(torch.from_numpy(pictures.astype(np.int64)), None)
    assert exact is not None
    np.testing.assert_allclose([engine.encode(picture) for picture in pictures], exact.numpy(), atol=1e-5)
    with pytest.raises(RequestError, match=r"^picture: \[6, 9, 1\] is not that of the model"):
        engine.encode(pictures[0, 1:])


def test_labels_and_images_that_do_not_fit_are_refused():
    engine = NativeImageEngine(checkpoint_of(SPECS["gated, grey, class"]))
    with pytest.raises(RequestError, match=r"^labels: must lie in 0 … 2"):
        engine.embed_labels([3])
    with pytest.raises(RequestError, match=r"^labels: a vector has 5 numbers"):
        engine.embed_labels([np.zeros(1, np.float32)])
    with pytest.raises(RequestError, match=r"^images:"):
        engine.score(np.zeros((1, 7, 9, 3), np.uint8))
    unasked = NativeImageEngine(checkpoint_of(SPECS["gated, grey, none"]))
    with pytest.raises(RequestError, match=r"^h:"):
        unasked.open(ImageStreamRequest(0, h=np.zeros(5, np.float32)))
    with pytest.raises(RequestError, match=r"^guidance: the model has no conditions"):
        unasked.open(ImageStreamRequest(0, guidance=2.0, unconditional=np.zeros(5, np.float32)))


def test_a_row_takes_fewer_calls_of_the_network_than_it_has_symbols():
    """Whole rows at once: never more than one call a symbol and one to see that nothing changes."""
    spec = SPECS["gated, RGB, class"]
    engine = OnnxImageEngine(exported(checkpoint_of(spec)))
    pictures = [engine.open(request) for request in requests(engine, 4)]
    engine.step(pictures, spec.height)
    for picture in pictures:
        assert isinstance(picture, OnnxImageStream)
        assert 2 * spec.height <= picture.evaluations <= spec.height * (spec.width * spec.channels + 1)
        assert picture.evaluations < spec.dims / 4
