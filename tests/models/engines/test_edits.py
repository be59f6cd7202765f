"""Edits: every engine draws the oracle's pictures, keeps what is kept, and scores what was drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.categorical import draw
from ancestral.models.engines.base import RequestError
from ancestral.models.engines.images.batch import BatchEngine
from ancestral.models.engines.images.native import NativeImageEngine
from ancestral.models.engines.images.onnx import OnnxImageEngine
from ancestral.models.engines.images.request import Edit, ImageStreamRequest
from ancestral.models.engines.images.torch_engine import TorchImageEngine
from ancestral.models.kernels.gemm import Precision
from ancestral.models.networks.reference_sampler import sampling_order, sub_pixel_logits
from ancestral.models.noise import uniforms
from ancestral.training.data.masks import kept_pixels
from tests.models.random_models import EDITS, checkpoint_of, exported, oracle, pictures_of

ENGINES = {
    "native": NativeImageEngine,
    "onnx-cpu": lambda checkpoint: OnnxImageEngine(exported(checkpoint)),
    "torch": TorchImageEngine,
}
EVERY = pytest.mark.parametrize("spec", EDITS.values(), ids=EDITS)


@pytest.fixture(params=ENGINES)
def make(request):
    """Every engine."""
    return ENGINES[request.param]


def requests(engine, count):
    """Regions of every shape, every other one guided."""
    spec = engine.spec
    kept = kept_pixels(np.random.default_rng(3), count, spec.height, spec.width)
    made = []
    for seed, picture in enumerate(pictures_of(spec, count)):
        labels = [(*range(len(names)), None)[seed % (len(names) + 1)] for names in spec.conditions]
        request = ImageStreamRequest(
            seed, (1.0, 0.7)[seed % 2], engine.embed_labels(labels), edit=Edit(picture, kept[seed])
        )
        if seed % 2:
            request = replace(request, guidance=2.0, unconditional=engine.unconditional(labels))
        made.append(request)
    return made


def drawn_by_oracle(checkpoint, request):
    """Naive sampling: the whole network for every sub-pixel that is not kept."""
    spec, edit = checkpoint.spec_as(PixelCNNSpec), request.edit
    assert edit is not None
    symbols = np.where(edit.kept[..., None], edit.picture, 0).astype(np.uint8)[None]
    h, free = (
        None if vector is None else torch.from_numpy(vector).double()[None]
        for vector in (request.h, request.unconditional)
    )
    model, kept = oracle(checkpoint), torch.from_numpy(edit.kept)[None]
    for position in sampling_order(spec):
        if edit.kept.reshape(-1)[position // spec.channels]:
            continue
        with torch.no_grad():
            logits = sub_pixel_logits(model, symbols, position, h, request.guidance, free, kept)
        symbols.reshape(-1)[position] = draw(logits, request.temperature, uniforms(request.seed, position, 1))[0]
    return symbols[0]


@EVERY
def test_edits_equal_the_oracles_and_keep_what_is_kept(spec, make):
    checkpoint = checkpoint_of(spec)
    engine = make(checkpoint)
    wanted = requests(engine, 4)
    for request, made in zip(wanted, engine.draw(wanted), strict=True):
        assert request.edit is not None
        kept = request.edit.kept
        assert np.array_equal(made[kept], request.edit.picture[kept])
        assert np.array_equal(made, drawn_by_oracle(checkpoint, request))


@EVERY
@pytest.mark.parametrize("precision", Precision)
def test_an_edit_is_the_same_alone_in_company_by_rows_and_resumed(spec, precision):
    engine = NativeImageEngine(checkpoint_of(replace(spec, features=16)), precision)
    wanted = requests(engine, 5)
    company = [wanted[0], replace(wanted[1], edit=None), *wanted[2:]]
    whole = engine.draw(company)
    for request, picture in zip(company, whole, strict=True):
        assert np.array_equal(engine.draw([request])[0], picture), "alone"
    batches = BatchEngine(engine)
    request = batches.request([wanted[0], wanted[2]])
    begun = batches.open(request)
    batches.step([begun], 2 * begun.row_size)
    resumed = batches.restore(request, batches.snapshot(begun))
    batches.step([resumed], spec.height * resumed.row_size)
    assert np.array_equal([picture.symbols for picture in resumed.pictures], whole[[0, 2]]), "resumed"


@EVERY
def test_all_that_is_kept_counts_and_nothing_else(spec):
    engine = NativeImageEngine(checkpoint_of(spec))
    (request,) = requests(engine, 1)
    assert request.edit is not None
    edit = request.edit
    moved = ((edit.picture.astype(int) + 1) % spec.levels).astype(np.uint8)
    other = np.where(edit.kept[..., None], edit.picture, moved)
    one, same = engine.draw([replace(request, edit=Edit(picture, edit.kept)) for picture in (edit.picture, other)])
    assert np.array_equal(one, same)
    hs, region = engine.embed_labels([None] * len(spec.conditions))[None], ~edit.kept
    for row, column in np.argwhere(edit.kept)[::7]:
        changed = edit.picture.copy()
        changed[row, column] = moved[row, column]
        before, after = (engine.score(image[None], hs, edit.kept[None])[0][region] for image in (edit.picture, changed))
        assert np.abs(before - after).max() > 1e-6


@EVERY
def test_scores_are_the_networks_log_likelihood_of_the_region(spec, make):
    checkpoint, images = checkpoint_of(spec), pictures_of(spec, 5)
    engine = make(checkpoint)
    hs = np.stack([engine.embed_labels([n % 3, n % 2, None]) for n in range(5)])
    kept = kept_pixels(np.random.default_rng(1), 5, spec.height, spec.width)
    symbols = torch.from_numpy(images.astype(np.int64))
    with torch.no_grad():
        logits = oracle(checkpoint).score(symbols, torch.from_numpy(hs).double(), kept=torch.from_numpy(kept))
    exact = logits.log_softmax(-1).gather(-1, symbols[..., None])[..., 0].numpy()
    scores = engine.score(images, hs, kept)
    np.testing.assert_allclose(scores[~kept], exact[~kept], rtol=1e-4, atol=1e-5)
    assert not scores[kept].any()


@pytest.mark.parametrize("change", ["shape", "symbols", "all", "nothing", "size", "numbers"])
def test_an_edit_that_does_not_fit_is_refused(change):
    engine = NativeImageEngine(checkpoint_of(EDITS["palette"]))
    (request,) = requests(engine, 1)
    assert request.edit is not None
    picture, kept = request.edit.picture, request.edit.kept
    wrong = {
        "shape": Edit(picture[1:], kept), "symbols": Edit(picture + 5, kept), "all": Edit(picture, kept | True),
        "nothing": Edit(picture, kept & False), "size": Edit(picture, kept[1:]), "numbers": Edit(picture, kept * 1),
    }  # fmt: skip
    with pytest.raises(RequestError, match=r"^edit:"):
        engine.open(replace(request, edit=wrong[change]))


def test_a_model_that_draws_no_edits_refuses_them():
    spec = replace(EDITS["palette"], context_channels=0)
    engine = NativeImageEngine(checkpoint_of(spec))
    with pytest.raises(RequestError, match=r"^edit: the model draws none"):
        engine.open(requests(engine, 1)[0])
