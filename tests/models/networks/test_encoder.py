"""The encoder of pictures: its vector is the same in torch and in numpy, for every kind of picture."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.conditioning import encode
from ancestral.models.networks import load_network
from ancestral.models.spec import SpecError
from ancestral.models.tensors import random_tensors
from tests.models.random_models import PALETTE, tiny_autoencoder

KINDS = {
    "binary": {"channels": 1, "levels": 2},
    "RGB": {"channels": 3, "levels": 256, "normalised": False},
    "palette": {"channels": 1, "levels": len(PALETTE), "palette": PALETTE},
}


def encoder(**fields):
    return EncoderSpec(**{"height": 13, "width": 20, "layers": 3, "features": 6, "code": 7, **fields})


def pictures(spec, count):
    shape = (count, spec.height, spec.width, spec.channels)
    return np.random.default_rng(0).integers(0, spec.levels, shape, np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_equals_torch(kind):
    spec = encoder(**KINDS[kind])
    tensors, images = random_tensors(tensor_table(spec)), pictures(spec, 4)
    network = load_network(Checkpoint(spec, tensors, "", Path(), ""))
    theirs = network(torch.from_numpy(images.astype(np.int64))).numpy()
    mine = np.stack([encode(spec, tensors, image) for image in images])
    assert mine.dtype == np.float32
    assert mine.shape == (4, spec.code)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)
    assert np.abs(mine[0] - mine[1:]).max(axis=1).min() > 1e-3, "pictures differ, and so do their vectors"
    assert np.allclose(np.linalg.norm(mine, axis=1), 1.0, atol=1e-6) == spec.normalised


def test_every_pixel_changes_the_vector():
    spec = encoder(**KINDS["binary"], normalised=False)
    tensors, (image,) = random_tensors(tensor_table(spec)), pictures(spec, 1)
    plain = encode(spec, tensors, image)
    for row, column in np.ndindex(spec.height, spec.width):
        changed = image.copy()
        changed[row, column] ^= 1
        assert not np.array_equal(encode(spec, tensors, changed), plain), (row, column)


@pytest.mark.parametrize("field", ["layers", "features", "code", "normalised"])
def test_a_field_that_makes_no_network_is_named(field):
    with pytest.raises(SpecError, match=f"^{field}: "):
        encoder(**{field: 0})


def test_the_spec_survives_json():
    spec = encoder(**KINDS["palette"])
    assert EncoderSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("conditioning", ["class", "location"])
def test_a_vector_of_length_1_meets_weights_that_begin_as_large_as_if_its_numbers_were_1(conditioning):
    name = "vertical_condition" if conditioning == "class" else "conditioner.map"
    plain = tiny_autoencoder(1, conditioning=conditioning)
    short = tensor_table(dataclasses.replace(plain, normalised=True))
    assert short[name].std == pytest.approx(tensor_table(plain)[name].std * plain.condition_channels**0.5)
