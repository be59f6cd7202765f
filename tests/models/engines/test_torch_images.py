"""The torch engine of pictures: naive sampling as an engine, row by row, resumed, guided, in one and two scales."""

from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.engines import load_engine
from ancestral.models.engines.base import EngineError
from ancestral.models.engines.images.batch import BatchEngine
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.models.engines.images.torch_engine import TorchImageEngine
from tests.models.random_models import SPECS, TINY_SPECS, checkpoint_of, pictures_of, random_checkpoint

CHOSEN = (
    "original, RGB, none",
    "gated, RGB, class",
    "gated, grey, subclasses, two scales",
    "autoencoder, RGB, location",
)
EVERY = pytest.mark.parametrize("spec", [SPECS[name] for name in CHOSEN], ids=CHOSEN)


def requests(engine, count):
    """Pictures of different seeds, temperatures and labels; where there are labels, every other one is guided."""
    wanted = []
    for seed in range(count):
        request = ImageStreamRequest(seed, (1.0, 0.8, 0.0)[seed % 3])
        if engine.spec.encoder is not None:
            request = replace(request, h=engine.encode(pictures_of(engine.spec, 1, seed)[0]))
        elif engine.spec.conditions:
            labels = [(*range(len(names)), None)[seed % (len(names) + 1)] for names in engine.spec.conditions]
            request = replace(request, h=engine.embed_labels(labels))
            if seed % 2:
                request = replace(request, guidance=3.0, unconditional=engine.unconditional(labels))
        wanted.append(request)
    return wanted


@EVERY
def test_its_pictures_are_those_of_the_native_engine(spec):
    """In single precision both, so a symbol whose noise is next to a boundary could differ; of these none does."""
    checkpoint = checkpoint_of(spec)
    engine, native = TorchImageEngine(checkpoint), NativeImageEngine(checkpoint)
    wanted = requests(engine, 3)
    drawn = engine.draw(wanted)
    np.testing.assert_array_equal(drawn, native.draw(wanted))
    hs = np.stack([request.h for request in wanted if request.h is not None]) if spec.conditioned else None
    np.testing.assert_allclose(engine.score(drawn, hs), native.score(drawn, hs), atol=1e-4)


@EVERY
def test_company_chunks_and_restarts_change_no_bit(spec):
    engine = BatchEngine(TorchImageEngine(checkpoint_of(spec)))
    pictures = engine.pictures.draw(requests(engine.pictures, 2))
    request = engine.request(requests(engine.pictures, 2))
    batch, parts = engine.open(request), []
    for row in range(spec.height):
        if row in (1, spec.height // 2):
            batch = engine.restore(request, engine.snapshot(batch))
        (symbols,) = engine.step([batch], 1)
        parts.append(symbols)
    whole = pictures.transpose(1, 0, 2, 3).reshape(-1)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@EVERY
def test_given_rows_are_kept_and_what_follows_is_what_followed_them(spec):
    engine = TorchImageEngine(checkpoint_of(spec))
    (wanted,) = requests(engine, 1)
    picture = engine.draw([wanted])[0]
    for rows in (0, 3, spec.height):
        again = engine.draw([replace(wanted, given=picture[:rows].copy())])[0]
        np.testing.assert_array_equal(again, picture)
    other = 1 - picture[:2].clip(max=1)
    completed = engine.draw([replace(wanted, given=other)])[0]
    np.testing.assert_array_equal(completed[:2], other)
    assert not np.array_equal(completed[2:], picture[2:])


def test_one_function_loads_every_engine():
    image, speech = checkpoint_of(SPECS["gated, RGB, class"]), random_checkpoint(TINY_SPECS["conditional"])
    for name, expected in (("auto", "native"), ("native", "native"), ("torch", "torch")):
        assert load_engine(name, image).name == expected
        assert load_engine(name, speech, "fp32").name == expected
    assert load_engine("native", speech, "int8").name == "native-int8"
    assert load_engine("native", image, "int8").name == "native", "an image network has fp32 alone"
    with pytest.raises(ValueError, match="engine: 'fast' is none of auto"):
        load_engine("fast", image)
    with pytest.raises(EngineError, match="precision: the torch engine has fp32 only"):
        load_engine("torch", speech, "int8")
