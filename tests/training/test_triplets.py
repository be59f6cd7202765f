"""The triplet loss, its semi-hard negatives, and the batches that it needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from ancestral.training.data.identities import IdentityBatches, first_two
from ancestral.training.triplets import MARGIN, semi_hard, squared_distances, triplet_loss

PEOPLE = np.array([7, 3, 7, 9, 3, 7, 3, 5, 9, 7, 4], np.int64)
"""7 four times, 3 three times, 9 twice, 5 and 4 once."""


def test_a_batch_has_company_for_everybody_and_follows_from_seed_step_and_rank() -> None:
    batches = IdentityBatches(PEOPLE, people=2, each=3, seed=0)
    for step in range(20):
        found = PEOPLE[batches.batch(step, 0)]
        names, counts = np.unique(found, return_counts=True)
        assert set(names) <= {3, 7, 9}
        assert all(count == min(3, (name == PEOPLE).sum()) for name, count in zip(names, counts, strict=True))
        assert len(np.unique(batches.batch(step, 0))) == len(found)
    sequence = [batches.batch(step, 1).tolist() for step in range(6)]
    assert [IdentityBatches(PEOPLE, 2, 3, seed=0).batch(step, 1).tolist() for step in range(6)] == sequence
    assert [batches.batch(step, 0).tolist() for step in range(6)] != sequence
    assert [IdentityBatches(PEOPLE, 2, 3, seed=1).batch(step, 1).tolist() for step in range(6)] != sequence


def test_every_identity_comes_once_before_any_comes_again() -> None:
    numbers = np.repeat(np.arange(12), 3)
    batches = IdentityBatches(numbers, people=4, each=2, seed=0)
    for epoch in range(3):
        shown = np.concatenate([np.unique(numbers[batches.batch(step, 0)]) for step in range(3 * epoch, 3 * epoch + 3)])
        assert sorted(shown) == list(range(12))
    drawn = {int(index) for step in range(60) for index in batches.batch(step, 0)}
    assert drawn == set(range(36)), "all pictures of an identity are used"


def test_too_few_identities_are_refused() -> None:
    with pytest.raises(ValueError, match="only 3 identities have two pictures; a batch needs 4"):
        IdentityBatches(PEOPLE, people=4, each=2, seed=0)


def test_the_first_two_pictures_of_an_identity() -> None:
    first, second = first_two(PEOPLE)
    assert PEOPLE[first].tolist() == PEOPLE[second].tolist() == [3, 7, 9]
    assert (first.tolist(), second.tolist()) == ([1, 0, 3], [4, 2, 8])


def test_negatives_are_the_nearest_that_are_further_than_the_positive() -> None:
    torch.manual_seed(0)
    identities = torch.from_numpy(PEOPLE)
    distances = squared_distances(normalize(torch.randn(len(PEOPLE), 3)))
    triplets = list(zip(*(side.tolist() for side in semi_hard(distances, identities)), strict=True))
    pairs = {(a, p) for a in range(len(PEOPLE)) for p in range(len(PEOPLE)) if a != p and PEOPLE[a] == PEOPLE[p]}
    assert [(a, p) for a, p, _ in triplets] == sorted(pairs)
    kinds = set()
    for a, p, n in triplets:
        others = [i for i in range(len(PEOPLE)) if PEOPLE[i] != PEOPLE[a]]
        further = [i for i in others if distances[a, i] > distances[a, p]]
        by_distance = {i: float(distances[a, i]) for i in further or others}
        assert n == (min if further else max)(by_distance, key=by_distance.__getitem__)
        kinds.add(bool(further))
    assert kinds == {True, False}, "both cases occur"


def test_the_loss_is_that_of_the_definition_and_is_zero_beyond_the_margin() -> None:
    vectors = normalize(torch.tensor([[1.0, 0.0], [1.0, 0.2], [0.9, 0.5], [0.0, 1.0]]))
    identities = torch.tensor([0, 0, 1, 1])
    d = (vectors[:, None] - vectors).square().sum(dim=2)
    # Of 0 and 1, the nearer of the others is further than the positive; of 2, both are nearer, and 0 is the furthest.
    triplets = [(0, 1, 2), (1, 0, 2), (2, 3, 0), (3, 2, 1)]
    expected = [float(d[a, p] - d[a, n]) + MARGIN for a, p, n in triplets]
    assert triplet_loss(vectors, identities).item() == pytest.approx(sum(max(loss, 0.0) for loss in expected) / 4)
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert triplet_loss(apart, identities).item() == 0.0
    assert triplet_loss(apart, identities, margin=2.5).item() == pytest.approx(0.5)
