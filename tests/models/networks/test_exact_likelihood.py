"""A network's probabilities of all possible small pictures sum to 1, for every image network and condition."""

import itertools

import pytest
import torch

from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.architectures.pixelcnn_autoencoder import PixelCNNAutoencoderSpec
from ancestral.models.architectures.pixelrnn import PixelRNNSpec
from tests.models.random_models import given_of, network


class _AnyPixelCNN(PixelCNNSpec):
    """With any number of levels."""

    def __post_init__(self):
        pass


class _AnyPixelRNN(PixelRNNSpec):
    """With any number of levels."""

    def __post_init__(self):
        pass


class _AnyEncoder(EncoderSpec):
    """With any number of levels."""

    def __post_init__(self):
        pass


class _AnyAutoencoder(PixelCNNAutoencoderSpec):
    """With any number of levels."""

    def __post_init__(self):
        pass

    @property
    def encoder(self):
        sizes = {name: getattr(self, name) for name in ("height", "width", "channels", "levels")}
        return _AnyEncoder(layers=1, features=4, code=self.condition_channels, normalised=self.portraits, **sizes)


def networks(**sizes):
    """Specs of every network for pictures of one size."""
    found = {}
    attributes = (("class", ("cat", "dog")),)
    conditions = {
        "unconditional": {}, "class": {"attributes": attributes, "conditioning": "class"},
    }  # fmt: skip
    for condition, fields in conditions.items():
        common = {**sizes, **fields, "features": 6, "output_features": 7}
        for gated in (True, False):
            name = "gated" if gated else "original"
            found[f"{name}, {condition}"] = _AnyPixelCNN(gated=gated, layers=3, **common)
        for lstm in ("row", "diagonal"):
            for layers, skips in ((1, False), (3, True)):
                found[f"{lstm}, {layers} layers, {condition}"] = _AnyPixelRNN(
                    lstm=lstm, layers=layers, skip_connections=skips, **common
                )
    encoded = {"conditioning": "location", "encoder_layers": 1, "encoder_features": 4}
    for portraits in (False, True):
        name = "portraits" if portraits else "autoencoder"
        found[name] = _AnyAutoencoder(layers=3, features=6, portraits=portraits, **sizes, **encoded)
    location = {"attributes": attributes, "conditioning": "location", "features": 6}
    return found | {"gated, location": _AnyPixelCNN(layers=3, **sizes, **location)}


SPECS = {
    f"{name}, {size}": spec
    for size, sizes in {
        "2 × 2 binary": {"height": 2, "width": 2, "channels": 1, "levels": 2},
        "2 × 1, 3 levels, 3 channels": {"height": 2, "width": 1, "channels": 3, "levels": 3},
    }.items()
    for name, spec in networks(**sizes).items()
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_probabilities_of_all_pictures_sum_to_one(spec):
    pictures = torch.tensor([*itertools.product(range(spec.levels), repeat=spec.dims)])
    symbols = pictures.view(-1, spec.height, spec.width, spec.channels)
    conditions = given_of(spec, 3)
    for row in [None] if conditions is None else conditions:
        given = None if row is None else row.expand(len(symbols), *row.shape)
        # In single precision, as networks are trained and served.
        logits = network(spec).float()(symbols, given)
        nats = logits.double().log_softmax(-1).gather(-1, symbols[..., None]).flatten(1).sum(dim=1)
        assert nats.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
        assert nats.std() > 0.01, "pictures differ in probability"
