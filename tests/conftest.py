"""Options of the test suite."""

from __future__ import annotations

import os

import hypothesis
import pytest

# As `ancestral` does (service/cli/main.py), before numpy is loaded: more BLAS threads only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The same examples in every run: a test that fails fails again.
hypothesis.settings.register_profile("deterministic", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("deterministic")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="also what takes many minutes: every service test on onnx-cpu, parity over 4 000 steps",
    )


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether everything is asked for."""
    return bool(request.config.getoption("--full"))
