"""What is true of every network of pictures: its weights, its conditions, its batches, its spec."""

from itertools import pairwise

import torch

from ancestral.models.architectures import tensor_table
from ancestral.models.networks import build_network
from ancestral.models.spec import LABEL_ROWS
from ancestral.models.tensors import shapes
from tests.models.random_models import RNN_SPECS, SPECS, each_of, given_of, network

EVERY = each_of(SPECS | RNN_SPECS)


@EVERY
def test_every_weight_is_used(spec):
    model = network(spec).requires_grad_(True)
    symbols = torch.randint(0, spec.levels, (9, spec.height, spec.width, spec.channels))
    kept = (torch.rand(9, spec.height, spec.width) < 0.5) if spec.draws_edits else None
    model(symbols, given_of(spec, 9), kept=kept).pow(2).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@EVERY
def test_each_condition_matters_and_unspecified_is_a_label_of_its_own(spec):
    model = network(spec)
    symbols = torch.randint(0, spec.levels, (16, spec.height, spec.width, spec.channels))
    for column, names in enumerate(spec.conditions):
        labels = torch.zeros(16, len(spec.conditions), dtype=torch.long)
        outputs = []
        for label in range(len(names) + 1):
            labels[:, column] = label
            outputs.append(model(symbols, labels))
        for one, two in pairwise(outputs):
            assert (one - two).abs().amax(dim=(0, 3, 4)).min() > 1e-6, "every pixel's distribution changes"


@EVERY
def test_a_batch_is_its_pictures(spec):
    model, labels = network(spec), given_of(spec, 4)
    symbols = torch.randint(0, spec.levels, (4, spec.height, spec.width, spec.channels))
    whole = model(symbols, labels)
    for i in range(4):
        one = model(symbols[i : i + 1], None if labels is None else labels[i : i + 1])
        torch.testing.assert_close(whole[i : i + 1], one)


@EVERY
def test_a_checkpoint_expects_what_the_network_has(spec):
    with torch.device("meta"):
        state = build_network(spec).state_dict()
    expected = shapes(tensor_table(spec))
    if spec.label_rows:
        assert expected.pop(LABEL_ROWS) == (spec.label_rows, len(spec.attributes) + 1)
    assert {name: tuple(t.shape) for name, t in state.items()} == expected


@EVERY
def test_a_spec_survives_json(spec):
    assert type(spec).from_json(spec.to_json()) == spec
