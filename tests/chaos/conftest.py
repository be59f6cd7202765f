"""A deployment of real processes, and what it says when nobody disturbs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ancestral_models.architectures.pixelcnn import PixelCNNSpec
from tests.chaos.support import House, work
from tests.service.toys import once_a_run, write_model, write_picture_model

CANVAS = PixelCNNSpec(
    height=32, width=32, channels=3, layers=15, features=64, attributes=(("class", ("cat", "dog")),),
    conditioning="class",
)  # fmt: skip
"""Ten pictures of it take a second: there is time to be killed in."""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of every process of a deployment."""

    def make(zoo: Path) -> None:
        write_model(zoo / "tiny")
        write_model(zoo / "free", kind="audio")
        write_model(zoo / "shaped", shaping="linear_prediction")
        write_picture_model(zoo / "canvas", CANVAS)

    zoo = once_a_run(tmp_path_factory, "chaos_zoo", make)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANCESTRAL_")}
    ours = {"ANCESTRAL_MODELS_DIR": str(zoo), "ANCESTRAL_THREADS": "2", "PYTHONWARNINGS": "error"}
    return clean | ours


@pytest.fixture(scope="session")
def houses(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], House]]:
    """A deployment for each kind of Redis: the servers, two API processes, no worker."""
    with ExitStack() as stack:
        started: dict[str, House] = {}

        def house_of(kind: str) -> House:
            if kind not in started:
                started[kind] = stack.enter_context(House(environment, tmp_path_factory.mktemp("data"), kind))
            return started[kind]

        yield house_of


@pytest.fixture(scope="session", params=["one", pytest.param("cluster", marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest) -> str:
    """What Redis is: no test knows it."""
    found: str = request.param
    return found


@pytest.fixture(scope="session")
def house(houses: Callable[[str], House], kind: str) -> House:
    """A deployment."""
    return houses(kind)


@pytest.fixture(scope="session")
def expected(houses: Callable[[str], House]) -> list[bytes]:
    """The bodies of all requests, undisturbed, with one Redis."""
    house = houses("one")
    with house.workers(1), work(house) as under_way:
        return under_way.finish()
