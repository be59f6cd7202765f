"""Networks of pictures: what depends on what, proved by gradient; probabilities sum to 1; weights, batches."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ancestral_models.architectures.pixelcnn import PixelCNNAutoencoderSpec, PixelCNNSpec
from ancestral_models.architectures.pixelrnn import LSTMS, PixelRNNSpec
from ancestral_models.audio.mu_law import SILENCE
from ancestral_models.networks.pixelrnn import diagonal_order, row_order, scan
from ancestral_models.networks.wavenet import WaveNet
from ancestral_models.spec import COARSE, ImageSpec
from tests.models import random_models as toys
from tests.models.random_models import TINY_SPECS

Place = tuple[int, int, int]
"""Row, column and channel of a sub-pixel."""


def reached(spec: ImageSpec, place: Place, kept: Tensor | None = None) -> set[Place]:
    """The sub-pixels that move the distribution of the one at ``place``, in any of eight random pictures.

    Args:
        spec: of the network.
        place: of the sub-pixel.
        kept: ``bool [H, W]``: the pixels that edits keep; None where the pictures are none.
    """
    row, column, channel = place
    torch.manual_seed(1)
    pixels = 2.0 * torch.rand(8, spec.height, spec.width, spec.channels * spec.planes, dtype=torch.float64) - 1.0
    pixels.requires_grad_()
    model, given = toys.network(spec), toys.given_of(spec, 8)
    h = None if given is None else model.h_of(given, given)
    if kept is None:
        logits = model.score_pixels(pixels, h, torch.float64)
    else:
        logits = model.score_edits(pixels, h, torch.float64, kept.expand(8, -1, -1))
    (grad,) = torch.autograd.grad(logits[:, row, column, channel].pow(2).sum(), pixels)
    moved = grad.abs().sum(dim=0).unflatten(2, (spec.channels, spec.planes)).sum(dim=3)
    return {tuple(place) for place in torch.nonzero(moved).tolist()}  # type: ignore[misc]


EVERY = toys.each_of(toys.SPECS | toys.RNN_SPECS)


@EVERY
def test_every_weight_is_used(spec):
    model = toys.network(spec).requires_grad_(True)
    symbols = torch.randint(0, spec.levels, (9, spec.height, spec.width, spec.channels))
    kept = (torch.rand(9, spec.height, spec.width) < 0.5) if spec.draws_edits else None
    model(symbols, toys.given_of(spec, 9), kept=kept).pow(2).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@toys.each_of({name: spec for name, spec in (toys.SPECS | toys.RNN_SPECS).items() if spec.conditions})
def test_each_condition_matters_and_unspecified_is_a_label_of_its_own(spec):
    model = toys.network(spec)
    symbols = torch.randint(0, spec.levels, (16, spec.height, spec.width, spec.channels))
    for column, names in enumerate(spec.conditions):
        labels = torch.zeros(16, len(spec.conditions), dtype=torch.long)
        outputs = []
        for label in range(len(names) + 1):
            labels[:, column] = label
            outputs.append(model(symbols, labels))
        for one, two in itertools.pairwise(outputs):
            assert (one - two).abs().amax(dim=(0, 3, 4)).min() > 1e-6, "every pixel's distribution changes"


@EVERY
def test_a_spec_survives_json(spec):
    assert type(spec).from_json(spec.to_json()) == spec


POSITIONS = ((0, 0), (0, 4), (3, 0), (3, 4), (4, 8), (6, 5))
CONDITIONAL = {"attributes": (toys.CLASS,), "conditioning": "location"}


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
    rows, columns = (range(size)[COARSE] if spec.coarse else () for size in (spec.height, spec.width))
    return set(itertools.product(rows, columns, range(spec.channels)))


@toys.each_of({name: spec for name, spec in toys.SPECS.items() if spec.coarse})
def test_a_coarse_pixel_sees_only_coarse_pixels_before_it(spec):
    for y, x, c in coarse(spec):
        before = past(spec.coarse, (y // 4, x // 4, c))
        seen = reached(spec, (y, x, c))
        assert seen <= {(4 * row + 2, 4 * column + 2, channel) for row, column, channel in before}
        if spec.gated:
            assert len(seen) == len(before), "a blind spot"


@toys.each_of(toys.SPECS)
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
    blind = past(toys.tiny(False, 1), place) - reached(toys.tiny(False, 1), place)
    assert blind == {(5, 4, 0), (5, 5, 0), (4, 5, 0)}, "further to the right than rows up"


@pytest.mark.parametrize("spec", toys.EDITS.values(), ids=toys.EDITS)
def test_a_drawn_pixel_sees_all_that_an_edit_keeps_and_no_drawn_pixel_behind_it(spec):
    kept = torch.zeros(spec.height, spec.width, dtype=torch.bool)
    kept[:, 7:], kept[6:] = True, True
    for place in ((3, 4, 0), (2, 6, spec.channels - 1), (5, 0, 0)):
        known = {(y, x, c) for y, x in kept.nonzero().tolist() for c in range(spec.channels)}
        assert known <= reached(spec, place, kept) <= past(spec, place) | known


@pytest.mark.parametrize("spec", toys.EDITS.values(), ids=toys.EDITS)
def test_a_picture_that_keeps_nothing_is_no_edit(spec):
    model, symbols = toys.network(spec), torch.from_numpy(toys.pictures_of(spec, 2).astype(np.int64))
    kept = torch.zeros(2, spec.height, spec.width, dtype=torch.bool)
    kept[1, :, 3:] = True
    plain, edited = (model(symbols, toys.given_of(spec, 2), kept=one) for one in (None, kept))
    assert torch.allclose(plain[0], edited[0], rtol=0.0, atol=1e-12)
    assert not torch.allclose(plain[1], edited[1])


def test_the_probabilities_of_all_that_a_region_may_show_sum_to_one():
    spec = toys.tiny(
        True, 1, height=4, width=4, palette=toys.PALETTE, levels=len(toys.PALETTE), **CONDITIONAL, coarse_layers=2,
        coarse_features=8, coarse_inputs=5, context_channels=4,
    )  # fmt: skip
    kept = torch.ones(4, 4, dtype=torch.bool)
    region = [1, 2, 10, 11]  # of which one is a coarse pixel
    kept.view(-1)[region] = False
    every = np.indices((spec.levels,) * len(region), np.uint8).reshape(len(region), -1).T
    symbols = np.repeat(toys.pictures_of(spec, 1), len(every), axis=0)
    symbols.reshape(len(every), -1)[:, region] = every
    drawn, labels = torch.from_numpy(symbols.astype(np.int64)), torch.ones(len(every), 1, dtype=torch.long)
    logits = toys.network(spec)(drawn, labels, kept=kept.expand(len(every), -1, -1))
    nats = logits.log_softmax(-1).gather(-1, drawn[..., None]).flatten(1)[:, region]
    assert float(nats.sum(dim=1).exp().sum()) == pytest.approx(1.0, abs=1e-9)


RNN_POSITIONS = ((0, 0), (0, 8), (3, 0), (3, 4), (3, 8), (6, 1), (6, 5), (2, 2), (6, 6))


def field(spec, place):
    """All that a distribution depends on; in two scales, all coarse pixels, which depend on each other only."""
    if place not in coarse(spec):
        return field_of_one_scale(spec, place) | coarse(spec)
    start, stride, (row, column, channel) = COARSE.start, COARSE.step, place
    inner = field_of_one_scale(spec.coarse, ((row - start) // stride, (column - start) // stride, channel))
    return {(start + stride * y, start + stride * x, c) for y, x, c in inner}


def field_of_one_scale(spec, place):
    """The same without coarse pixels.

    Diagonal BiLSTM: all of left and above. Row LSTM: a triangle, whose sides are k // 2 wider in every row further up,
    and which each layer moves k // 2 further to the left; the first convolution adds half of its size.
    """
    row, column, _ = place
    found = set()
    first, half = spec.first_kernel_size // 2, spec.kernel_size // 2
    for y in range(row + 1):
        up = row - y
        left, right = 0, column if up == 0 else spec.width - 1
        if spec.lstm == "row":
            left = max(column - first - half * (spec.layers + up), 0)
            right = min(right, column + first + half * (up - 1)) if up else column
        found |= {(y, x, c) for x in range(left, right + 1) for c in range(spec.channels)}
    return {(y, x, c) for y, x, c in found if (y, x, c) < place}


@toys.each_of(toys.RNN_SPECS)
def test_a_distribution_depends_on_its_whole_field_and_on_nothing_else(spec):
    for row, column in RNN_POSITIONS:
        for channel in range(spec.channels):
            place = (row, column, channel)
            assert reached(spec, place) == field(spec, place), place


ORDERS = {
    "row of 3": (row_order(5, 6, 3), 1), "row of 5, narrow": (row_order(4, 2, 5), 1),
    "one row": (row_order(1, 6, 3), 1), "diagonal, wide": (diagonal_order(4, 6), 2),
    "diagonal, high": (diagonal_order(6, 3), 2), "one column": (diagonal_order(5, 1), 2),
}  # fmt: skip


@pytest.mark.parametrize(("order", "directions"), ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("features", [1, 5, 16])
def test_the_compiled_recurrence_and_its_gradient_are_those_of_autograd(order, directions, features):
    torch.manual_seed(0)
    positions, taps = order.before.shape
    z = torch.randn(positions, 3, directions * 4 * features, dtype=torch.float64)
    weights = torch.randn(directions, taps * features, 4 * features, dtype=torch.float64) / features**0.5
    into = torch.randn(positions, 3, features, dtype=torch.float64)
    found = []
    for dtype in (torch.float64, torch.float32):
        inputs = [tensor.to(dtype).requires_grad_() for tensor in (z, weights)]
        outputs = scan(*inputs, order)
        assert outputs.dtype == dtype
        found.append([outputs, *torch.autograd.grad(outputs, inputs, into.to(dtype))])
        for tensor, given in zip(inputs, (z, weights), strict=True):
            torch.testing.assert_close(tensor, given.to(dtype), rtol=0.0, atol=0.0, msg="an input was overwritten")
    for exact, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast.double(), exact, rtol=1e-4, atol=1e-5)


def networks(**sizes):
    """Specs of every network for pictures of one size."""
    common, found = {**sizes, "levels": 2, "features": 6, "output_features": 7}, {}
    for condition in ("none", "class"):
        fields = common | toys.CONDITIONS[condition]
        for name in ("gated", "original"):
            found[f"{name}, {condition}"] = PixelCNNSpec(gated=name == "gated", layers=3, **fields)
        for lstm, layers in itertools.product(LSTMS, (1, 3)):
            spec = PixelRNNSpec(lstm=lstm, layers=layers, skip_connections=layers > 1, **fields)
            found[f"{lstm}, {layers} layers, {condition}"] = spec
    found["gated, location"] = PixelCNNSpec(layers=3, **common | toys.CONDITIONS["location"])
    encoded = common | {"layers": 3, "conditioning": "location", "encoder_layers": 1, "encoder_features": 4}
    found["autoencoder"] = PixelCNNAutoencoderSpec(**encoded)
    return found | {"portraits": PixelCNNAutoencoderSpec(**encoded, normalised=True, portraits=True)}


SMALL = {
    f"{name}, {height} × {width} × {channels}": spec
    for height, width, channels in ((2, 2, 1), (2, 1, 3))
    for name, spec in networks(height=height, width=width, channels=channels).items()
}
SMALL["three colours"] = toys.tiny(True, 1, height=2, width=3, levels=3, palette=toys.PALETTE[:3])
SMALL["two scales"] = toys.tiny(
    True, 1, height=4, width=4, levels=2, palette=toys.PALETTE[1:3], **CONDITIONAL, coarse_layers=2, coarse_features=8,
    coarse_inputs=5,
)  # fmt: skip


@pytest.mark.parametrize("spec", SMALL.values(), ids=SMALL)
def test_the_probabilities_of_all_pictures_sum_to_one(spec):
    pictures = np.indices((spec.levels,) * spec.dims).reshape(spec.dims, -1).T
    symbols = torch.from_numpy(pictures.reshape(-1, spec.height, spec.width, spec.channels))
    model = toys.network(spec).float()  # in single precision, as networks are trained and served
    conditions = toys.given_of(spec, 4 if spec.dims < 16 else 1)
    for row in [None] if conditions is None else conditions:
        found = []
        for part in symbols.split(4096):
            logits = model(part, None if row is None else row.expand(len(part), *row.shape))
            found.append(logits.double().log_softmax(-1).gather(-1, part[..., None]).flatten(1).sum(dim=1))
        nats = torch.cat(found)
        assert nats.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
        assert nats.std() > 0.01, "pictures differ in probability"


# What depends on what, proved by gradient; and that one step at a time is the same network.


TINY = pytest.mark.parametrize("spec", TINY_SPECS.values(), ids=TINY_SPECS.keys())


def conditions(spec, batch, frames):
    rows = frames + 2 * spec.conditioner_layers
    local = torch.randn(batch, rows, spec.local_channels, dtype=torch.float64) if spec.local_channels else None
    return local, torch.arange(batch) % len(spec.speakers) if spec.speakers else None


def network(spec):
    torch.manual_seed(3)
    return WaveNet(spec).double()


def seen_from(spec, position, time):
    """Which earlier inputs move the logits at ``position``: the gradient that reaches each one's embedding."""
    model = network(spec)
    frames, speaker = conditions(spec, 1, time // spec.local_hop)
    # Every input gets a row of the table to itself, so the gradient of the table is that of the inputs.
    symbols = torch.arange(time)[None] % 256
    assert time <= 256
    logits = model(symbols, frames, speaker)[0, position]
    logits.pow(2).sum().backward()
    return model.embedding.grad.abs().sum(dim=1)[:time]


@TINY
def test_nothing_of_the_future_is_seen_and_all_of_the_receptive_field_is(spec):
    assert spec.receptive_field == 1 + 2 * (1 + 2 + 4)
    position = 100
    reached = torch.nonzero(seen_from(spec, position, 160)).flatten().tolist()
    assert reached == list(range(position - spec.receptive_field, position))


def test_before_the_first_symbol_there_is_silence():
    model = network(TINY_SPECS["unconditional"])
    model(torch.tensor([[5, 6, 7, 8]]))[0, 0].sum().backward()
    assert torch.nonzero(model.embedding.grad.abs().sum(dim=1)).flatten().tolist() == [SILENCE]


def test_a_frame_reaches_its_own_samples_and_the_conditioners_neighbours():
    spec = TINY_SPECS["conditional"]
    model, hop, margin = network(spec), spec.local_hop, spec.conditioner_layers
    frames, speaker = conditions(spec, 1, 12)
    frames.requires_grad_()
    logits = model(torch.zeros(1, 12 * hop, dtype=torch.long), frames, speaker)
    # A receptive field of 15 lies within one hop: the first sample of frame 6 still sees gates of frame 5.
    (grad,) = torch.autograd.grad(logits[0, 6 * hop].sum(), frames)
    reached = torch.nonzero(grad[0].abs().sum(dim=1)).flatten() - margin
    assert reached.tolist() == list(range(5 - margin, 6 + margin + 1))


def test_sound_that_ends_within_a_frame_is_refused():
    spec = TINY_SPECS["conditional"]
    (frames, speaker), symbols = conditions(spec, 1, 12), torch.zeros(1, 12 * spec.local_hop + 1, dtype=torch.long)
    for model, given in ((network(spec), frames), (network(spec).float(), frames.float())):
        with pytest.raises(AssertionError, match="whole frames"):
            model(symbols, given, speaker)


@TINY
def test_fused_layers_equal_the_formula_and_its_gradients(spec):
    exact = network(spec)
    fused, time = copy.deepcopy(exact).float(), 160
    frames, speaker = conditions(spec, 2, time // spec.local_hop)
    symbols = torch.randint(0, 256, (2, time))
    whole = exact(symbols, frames, speaker)
    mine = fused(symbols, None if frames is None else frames.float(), speaker)
    torch.testing.assert_close(mine.double(), whole, rtol=1e-4, atol=1e-5)
    for logits in (whole, mine):
        F.cross_entropy(logits.flatten(0, 1), symbols.flatten()).backward()
    for (name, p), theirs in zip(fused.named_parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(p.grad.double(), theirs.grad, rtol=1e-3, atol=1e-6, msg=name)
