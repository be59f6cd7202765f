"""The compiled PixelRNN draws the oracle's pictures from the oracle's noise: cached sampling equals naive sampling."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ancestral.models.engines import load_engine
from ancestral.models.engines.images.batch import BatchEngine
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.engines.images.torch_engine import TorchImageEngine
from tests.models.engines.image_oracles import conditions, drawn_by_oracle, guided, guided_by_oracle, requests, tempered
from tests.models.random_models import EVERY_RNN, RNN_SPECS, checkpoint_of, oracle, tiny_rnn

# Naive sampling takes long for colours.
CONDITIONED = pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, id=name, marks=pytest.mark.slow if spec.channels > 1 else ())
        for name, spec in RNN_SPECS.items()
        if spec.conditions
    ],
)
NARROW = {
    f"{lstm}, {height} × {width}": tiny_rnn(lstm, 1, height=height, width=width)
    for lstm in ("row", "diagonal")
    for height, width in ((1, 1), (1, 8), (8, 1), (3, 2))
}


IN_COLOUR = ("row, RGB, none", "diagonal, RGB, class and style, two scales")
"""Those in colour that the quick tests draw, too."""


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, id=name, marks=pytest.mark.slow if spec.channels > 1 and name not in IN_COLOUR else ())
        for name, spec in (RNN_SPECS | NARROW).items()
    ],
)
def test_whole_pictures_equal_those_of_naive_sampling(spec):
    engine = NativeImageEngine(checkpoint_of(spec))
    wanted = tempered(requests(engine, 5))
    mine = engine.draw(wanted)
    np.testing.assert_array_equal(mine, drawn_by_oracle(spec, wanted))
    assert spec.dims < 4 or len(np.unique(mine)) > 1


@CONDITIONED
def test_guided_pictures_equal_those_of_naive_sampling(spec):
    engine = NativeImageEngine(checkpoint_of(spec))
    wanted = guided(engine, 3)
    np.testing.assert_array_equal(engine.draw(wanted), guided_by_oracle(engine, wanted))


@EVERY_RNN
def test_a_picture_is_the_same_alone_in_company_by_rows_and_resumed(spec):
    engine = NativeImageEngine(checkpoint_of(spec))
    wanted = requests(engine, 6)
    whole = engine.draw(wanted)
    assert np.array_equal(engine.draw(wanted[:1])[0], whole[0]), "alone"
    half = engine.open(replace(wanted[1], given=whole[1][:3]))
    assert np.array_equal(engine.step([half], spec.height)[0], whole[1][3:]), "resumed"
    pictures = [engine.open(request) for request in wanted]
    engine.sample_until(pictures, [1, 4, 2, 3, 0, 1])
    engine.step(pictures, spec.height)
    assert np.array_equal([picture.symbols for picture in pictures], whole), "by rows, at rows of their own"


@EVERY_RNN
def test_a_batch_resumes_from_its_snapshot(spec):
    engine = BatchEngine(NativeImageEngine(checkpoint_of(spec)))
    request = engine.request(requests(engine.pictures, 3))
    (whole,) = engine.step([engine.open(request)], request.length)
    batch, parts = engine.open(request), []
    for row in range(spec.height):
        if row in (1, spec.height // 2):
            batch = engine.restore(request, engine.snapshot(batch))
        parts += engine.step([batch], 1)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@EVERY_RNN
def test_scores_are_the_networks_log_likelihood(spec):
    checkpoint = checkpoint_of(spec)
    engine, model = NativeImageEngine(checkpoint), oracle(checkpoint)
    images = np.random.default_rng(0).integers(0, spec.levels, (5, spec.height, spec.width, spec.channels), np.uint8)
    hs = None if not spec.conditions else np.stack([h for h in conditions(engine, 5) if h is not None])
    symbols = torch.from_numpy(images.astype(np.int64))
    logits = model.score(symbols, None if hs is None else torch.from_numpy(hs).double())
    exact = logits.log_softmax(-1).gather(-1, symbols[..., None])[..., 0].numpy()
    np.testing.assert_allclose(engine.score(images, hs), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["row, RGB, class and style", "diagonal, grey, none"])
def test_given_rows_are_kept_and_change_what_follows(name):
    spec = RNN_SPECS[name]
    engine = NativeImageEngine(checkpoint_of(spec))
    request = requests(engine, 2)[0]
    given = np.random.default_rng(1).integers(0, spec.levels, (4, spec.width, spec.channels), np.uint8)
    completed = engine.draw([replace(request, given=given), request])
    assert np.array_equal(completed[0, :4], given)
    assert not np.array_equal(completed[0, 4:], completed[1, 4:])


def test_the_torch_engine_samples_the_same_and_without_graphs_onnx_is_native(caplog):
    """In single precision both, so a symbol whose noise is next to a boundary could differ; of these none does."""
    for name in ("row, RGB, none", "diagonal, grey, class and style"):
        checkpoint = checkpoint_of(RNN_SPECS[name])
        native = NativeImageEngine(checkpoint)
        wanted = requests(native, 2)
        np.testing.assert_array_equal(TorchImageEngine(checkpoint).draw(wanted), native.draw(wanted))
        assert load_engine("auto", checkpoint).name == "native"
        assert load_engine("onnx-cpu", checkpoint).name == "native"
        assert caplog.messages[-1] == "pixelrnn has no ONNX exporter: the native engine samples it, not onnx-cpu"
