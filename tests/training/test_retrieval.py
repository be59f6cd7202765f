"""Retrieval of identities, by hand and by chance."""

from __future__ import annotations

import numpy as np
import pytest

from ancestral.training.metrics.retrieval import Retrieval, retrieval


def test_ranks_are_those_of_identities_by_their_nearest_picture() -> None:
    gallery = np.array([[0.0], [10.0], [1.0], [20.0], [30.0], [40.0], [50.0], [60.0]], np.float32)
    owners = np.array([4, 4, 8, 9, 10, 11, 12, 13])
    queries = np.array([[0.4], [9.0], [2.0], [49.0], [49.0]], np.float32)
    asked = np.array([4, 4, 4, 12, 4])
    found = retrieval(queries, asked, gallery, owners)
    # Nearest identities: 4, 4, 8 (then 4), 12; the last query has five others before 4.
    assert found == Retrieval(pytest.approx(3 / 5), pytest.approx(4 / 5), pytest.approx(1 / 7), pytest.approx(5 / 7), 7)


def test_vectors_that_are_all_alike_find_nobody_and_random_ones_as_many_as_chance() -> None:
    owners = np.arange(50)
    alike = np.full((50, 8), 0.125, np.float32)
    assert retrieval(alike, owners, alike, owners)[:2] == (0.0, 0.0)
    rng = np.random.default_rng(0)
    asked = np.tile(owners, 40)
    queries, gallery = rng.standard_normal((2000, 8)), rng.standard_normal((50, 8))
    found = retrieval(queries.astype(np.float32), asked, gallery.astype(np.float32), owners)
    assert found.rank_1 == pytest.approx(found.chance_1, abs=0.01)
    assert found.rank_5 == pytest.approx(found.chance_5, abs=0.03)
    assert retrieval(alike[:3], owners[:3], alike[:3], owners[:3]).chance_5 == 1.0
