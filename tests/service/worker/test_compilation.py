"""A compilation is logged, once; kernels that are there already are not."""

from __future__ import annotations

import logging

import numba
import pytest

from ancestral.compilation import compilation_logged


def test_compilation_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    twice, thrice = numba.njit(lambda number: 2 * number), numba.njit(lambda number: 3 * number)
    with caplog.at_level(logging.INFO):
        with compilation_logged("tiny"):
            assert (twice(2), thrice(2)) == (4, 6)
        (line,) = [line for line in caplog.records if line.name.startswith("ancestral.")]
        assert (line.message, vars(line)["model"]) == ("compiling kernels (first start only)", "tiny")
        caplog.clear()
        with compilation_logged("tiny"):
            assert twice(3) == 6
    assert not [line for line in caplog.records if line.name.startswith("ancestral.")]
