"""What depends on what, proved by gradient for every mask, network and condition type."""

import numpy as np
import pytest
import torch

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.spec import SpecError
from tests.models.networks.support import reached
from tests.models.random_models import (
    CLASS,
    CLASSES,
    EDITS,
    PALETTE,
    SPECS,
    STYLES,
    SUBCLASSES,
    each_of,
    given_of,
    network,
    pictures_of,
    tiny,
)

EVERY = each_of(SPECS)
POSITIONS = ((0, 0), (0, 4), (3, 0), (3, 4), (4, 8), (6, 5))
CONDITIONAL = {"attributes": (CLASS,), "conditioning": "location"}


def past(spec, place):
    """All that comes before ``place`` and is within reach: first of all the coarse pixels."""
    row, column, channel = place
    return coarse(spec) | {
        (y, x, c)
        for y in range(max(row - spec.reach, 0), row + 1)
        for x in range(max(column - spec.reach, 0), min(column + spec.reach + 1, spec.width))
        for c in range(spec.channels)
        if (y, x, c) < (row, column, channel) and not (y == row and x > column)
    }


def coarse(spec):
    """The sub-pixels that are drawn before all others, if any are."""
    if spec.coarse is None:
        return set()
    return {(y, x, c) for y in range(2, spec.height, 4) for x in range(2, spec.width, 4) for c in range(spec.channels)}


@EVERY
def test_a_coarse_pixel_sees_only_coarse_pixels_before_it(spec):
    if spec.coarse is None:
        return
    for y, x, c in coarse(spec):
        before = past(spec.coarse, (y // 4, x // 4, c))
        seen = reached(spec, (y, x, c))
        assert seen <= {(4 * row + 2, 4 * column + 2, channel) for row, column, channel in before}
        if spec.gated:
            assert len(seen) == len(before), "a blind spot"


@EVERY
def test_no_pixel_sees_the_future_and_no_channel_a_later_one(spec):
    for row, column in POSITIONS:
        for channel in range(spec.channels):
            place = (row, column, channel)
            seen = reached(spec, place)
            assert seen <= past(spec, place)
            if spec.gated:
                assert seen == past(spec, place), "a blind spot"
            assert ((row, column, channel - 1) in seen) == (channel > 0)
            assert ((row, column - 1, spec.channels - 1) in seen) == (column > 0)
            assert ((row - 1, column, spec.channels - 1) in seen) == (row > 0)


def test_the_original_network_has_the_blind_spot_that_the_gated_one_mends():
    place = (6, 2, 0)
    blind = past(tiny(False, 1), place) - reached(tiny(False, 1), place)
    assert blind == {(5, 4, 0), (5, 5, 0), (4, 5, 0)}, "further to the right than rows up"


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_reach_grows_with_kernels_and_layers(gated, kernel_size):
    spec = tiny(gated, 1, height=16, width=5, kernel_size=kernel_size, first_kernel_size=7)
    assert spec.reach == 3 + 2 * (kernel_size // 2)
    assert min(place[0] for place in reached(spec, (15, 2, 0))) == 15 - spec.reach


def test_conditions_are_the_values_of_the_attributes_in_order():
    assert tiny(True, 1).conditions == ()
    assert SPECS["gated, grey, style"].conditions == (STYLES,)
    assert SPECS["gated, grey, subclasses, two scales"].conditions == (CLASSES, STYLES, SUBCLASSES)
    assert SPECS["gated, grey, location"].named == {"class": CLASSES, "style": STYLES}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"height": 0}, "height"),
        ({"channels": 4}, "channels"),
        ({"levels": 16}, "levels"),
        ({"gated": 1}, "gated"),
        ({"layers": 1}, "layers"),
        ({"kernel_size": 4}, "kernel_size"),
        ({"first_kernel_size": 1}, "first_kernel_size"),
        ({"features": 4}, "features"),
        ({"features": 9}, "features"),
        ({"output_features": 2}, "output_features"),
        ({"conditioning": "colour"}, "conditioning"),
        ({"conditioning": "class"}, "conditioning"),
        ({"attributes": (CLASS,)}, "conditioning"),
        ({"attributes": (("class", ("cat", "Cat")),), "conditioning": "class"}, "attributes"),
        ({"attributes": (CLASS, ("animal", ("Cat",))), "conditioning": "class"}, "attributes"),
        ({"attributes": (CLASS, ("Class", ("fox",))), "conditioning": "class"}, "attributes"),
        ({"attributes": (("style", ("",)),), "conditioning": "location"}, "attributes"),
        ({"attributes": (("style", ("oil, ink",)),), "conditioning": "location"}, "attributes"),
        ({"attributes": (("style", ()),), "conditioning": "location"}, "attributes"),
        ({"attributes": ("style",), "conditioning": "location"}, "attributes"),
        ({"location_channels": 0}, "location_channels"),
        ({**CONDITIONAL, "map_channels": -1}, "map_channels"),
        ({**CONDITIONAL, "map_channels": 8, "conditioning": "class"}, "map_channels"),
        ({**CONDITIONAL, "label_rows": 4097}, "label_rows"),
        ({**CONDITIONAL, "label_rows": -1}, "label_rows"),
        ({"label_rows": 1}, "label_rows"),
        ({"channels": 1, "levels": 2, "palette": ("#000000", "#fff")}, "palette"),
        ({"channels": 1, "levels": 2, "palette": ("#000000", "#ffffff00")}, "palette"),
        ({"channels": 1, "levels": 256, "palette": ("#000000", "#ffffff")}, "palette"),
        ({"channels": 3, "levels": 2, "palette": ("#000000", "#ffffff")}, "palette"),
        ({"channels": 1, "levels": 1, "palette": ("#000000",)}, "palette"),
        ({**CONDITIONAL, "coarse_inputs": 8}, "coarse_inputs"),
        ({**CONDITIONAL, "coarse_layers": 2, "coarse_inputs": -1}, "coarse_inputs"),
        ({**CONDITIONAL, "coarse_layers": 2, "coarse_inputs": 8, "gated": False}, "coarse_inputs"),
        ({**CONDITIONAL, "coarse_layers": 2, "context_channels": 8}, "context_channels"),
        ({**CONDITIONAL, "coarse_layers": 2, "coarse_inputs": 8, "context_channels": -1}, "context_channels"),
        ({**CONDITIONAL, "coarse_layers": -1}, "coarse_layers"),
        ({**CONDITIONAL, "coarse_layers": 2.0}, "coarse_layers"),
        ({**CONDITIONAL, "coarse_layers": 1}, "layers"),
        ({**CONDITIONAL, "coarse_layers": 2, "coarse_features": 1}, "features"),
        ({**CONDITIONAL, "coarse_layers": 2, "conditioning": "class"}, "coarse_layers"),
        ({**CONDITIONAL, "coarse_layers": 2, "height": 30}, "coarse_layers"),
        ({**CONDITIONAL, "coarse_layers": 2, "width": 30}, "coarse_layers"),
    ],
)
def test_an_impossible_spec_is_refused_by_its_field(changes, field):
    with pytest.raises(SpecError, match=rf"^{field}:"):
        PixelCNNSpec.from_json(PixelCNNSpec().to_json() | changes)


@pytest.mark.parametrize(
    "spec",
    [
        tiny(True, 1, height=2, width=3, palette=("#00000000", "#ffffff", "#ff0000"), levels=3),
        tiny(
            True, 1, height=4, width=4, palette=("#000000", "#ffffff"), levels=2, **CONDITIONAL, coarse_layers=2,
            coarse_features=8, coarse_inputs=5,
        ),
    ],
    ids=["three colours", "two scales"],
)  # fmt: skip
def test_the_probabilities_of_all_indexed_pictures_sum_to_one(spec):
    every = np.indices((spec.levels,) * spec.dims, np.uint8).reshape(spec.dims, -1).T
    model, total = network(spec).float(), 0.0
    for part in np.array_split(every.reshape(-1, spec.height, spec.width, 1), 16):
        symbols = torch.from_numpy(part.astype(np.int64))
        labels = torch.ones(len(part), 1, dtype=torch.long) if spec.conditions else None
        nats = model(symbols, labels).double().log_softmax(-1).gather(-1, symbols[..., None])
        total += float(nats.flatten(1).sum(dim=1).exp().sum())
    assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("spec", EDITS.values(), ids=EDITS)
def test_a_drawn_pixel_sees_all_that_an_edit_keeps_and_no_drawn_pixel_behind_it(spec):
    kept = torch.zeros(spec.height, spec.width, dtype=torch.bool)
    kept[:, 7:], kept[6:] = True, True
    for place in ((3, 4, 0), (2, 6, spec.channels - 1), (5, 0, 0)):
        known = {(y, x, c) for y, x in kept.nonzero().tolist() for c in range(spec.channels)}
        assert known <= reached(spec, place, kept) <= past(spec, place) | known


@pytest.mark.parametrize("spec", EDITS.values(), ids=EDITS)
def test_a_picture_that_keeps_nothing_is_no_edit(spec):
    model, symbols = network(spec), torch.from_numpy(pictures_of(spec, 2).astype(np.int64))
    kept = torch.zeros(2, spec.height, spec.width, dtype=torch.bool)
    kept[1, :, 3:] = True
    plain, edited = (model(symbols, given_of(spec, 2), kept=one) for one in (None, kept))
    assert torch.allclose(plain[0], edited[0], rtol=0.0, atol=1e-12)
    assert not torch.allclose(plain[1], edited[1])


def test_the_probabilities_of_all_that_a_region_may_show_sum_to_one():
    spec = tiny(
        True, 1, height=4, width=4, palette=PALETTE, levels=len(PALETTE), **CONDITIONAL, coarse_layers=2,
        coarse_features=8, coarse_inputs=5, context_channels=4,
    )  # fmt: skip
    kept = torch.ones(4, 4, dtype=torch.bool)
    region = [1, 2, 10, 11]  # of which one is a coarse pixel
    kept.view(-1)[region] = False
    every = np.indices((spec.levels,) * len(region), np.uint8).reshape(len(region), -1).T
    symbols = np.repeat(pictures_of(spec, 1), len(every), axis=0)
    symbols.reshape(len(every), -1)[:, region] = every
    drawn, labels = torch.from_numpy(symbols.astype(np.int64)), torch.ones(len(every), 1, dtype=torch.long)
    logits = network(spec)(drawn, labels, kept=kept.expand(len(every), -1, -1))
    nats = logits.log_softmax(-1).gather(-1, drawn[..., None]).flatten(1)[:, region]
    assert float(nats.sum(dim=1).exp().sum()) == pytest.approx(1.0, abs=1e-9)
