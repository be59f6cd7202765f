"""A mix of speakers is the mean of their vectors, on every engine; within one it is exact."""

from dataclasses import replace

import numpy as np
import pytest

from ancestral.models.conditioning import speaker_vector
from ancestral.models.engines.base import RequestError
from ancestral.models.engines.speech.engine import check_request
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.engines.speech.torch_engine import TorchEngine
from ancestral.models.kernels.conditioners import conditioning
from tests.models.random_models import TINY_SPECS, random_checkpoint, requests

SPEC = TINY_SPECS["conditional"]
MIX = {0: 2 / 3, 1: 1 / 3}


def mean_checkpoint():
    """The checkpoint whose first speaker is the mix."""
    checkpoint = random_checkpoint(SPEC)
    table = checkpoint.tensors["conditioner.speaker"].copy()
    table[0] = speaker_vector(table, MIX)
    return replace(checkpoint, tensors=dict(checkpoint.tensors) | {"conditioner.speaker": table})


def test_the_vector_is_the_weighted_mean():
    table = random_checkpoint(SPEC).tensors["conditioner.speaker"]
    assert speaker_vector(table, MIX) == pytest.approx((2 * table[0] + table[1]) / 3, abs=1e-6)
    assert speaker_vector(table, MIX).dtype == np.float32
    assert (speaker_vector(table, {1: 1.0}) == table[1]).all()


@pytest.mark.parametrize("engine", [NativeEngine, TorchEngine])
def test_a_mix_samples_as_a_speaker_of_that_vector(engine):
    (request,) = requests(SPEC, 1, 200)
    mixed, mean = engine(random_checkpoint(SPEC)), engine(mean_checkpoint())
    (symbols,) = mixed.step([mixed.open(replace(request, speaker=MIX))], 200)
    (expected,) = mean.step([mean.open(replace(request, speaker=0))], 200)
    assert (symbols == expected).all()
    (alone,) = mixed.step([mixed.open(replace(request, speaker={1: 1.0}))], 200)
    (same,) = mixed.step([mixed.open(replace(request, speaker=1))], 200)
    assert (alone == same).all()


def test_every_cached_engine_conditions_on_the_mean():
    """The graphs of the ONNX engines take h, which is made outside of them."""
    (request,) = requests(SPEC, 1, 200)
    h = conditioning(SPEC, random_checkpoint(SPEC).tensors, request.frames, MIX)
    assert (h == conditioning(SPEC, mean_checkpoint().tensors, request.frames, 0)).all()


@pytest.mark.parametrize("speaker", [{0: 0.5}, {0: 1.5, 1: -0.5}, {0: 0.5, 2: 0.5}, {}])
def test_shares_that_are_no_mix_are_refused(speaker):
    (request,) = requests(SPEC, 1, 200)
    with pytest.raises(RequestError, match="speaker"):
        check_request(SPEC, replace(request, speaker=speaker))
