"""A small corpus of two voices and its prepared arrays; commands are run as those of the service are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ancestral_training.corpora import packages, read
from ancestral_training.data.speech import TimedPhone, prepare
from tests.service.cli.conftest import run
from tests.service.conftest import zoo
from tests.training.pictures import DEB822
from tests.training.sounds import CODING, EXCITATION, FEATURES, PHONES, PITCHES, RATE, voiced

__all__ = ["run", "zoo"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Several test processes share the processor; and sums do not depend on the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Initial weights do not depend on what ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices with four clips to train on and one held out, in our layout, each 0.7 to 1.1 s long."""
    directory = tmp_path_factory.mktemp("corpus")
    with packages.Writer(directory, RATE) as writer:
        for speaker, hz in PITCHES.items():
            for number, name in enumerate(("s0000", "u0000", "u0001", "u0002", "u0003")):
                wave = voiced(0.7 + 0.1 * number, hz, seed=number)
                inner = (len(wave) / RATE - 0.4) / (len(PHONES) - 2)
                seconds = (0.2, *[inner] * (len(PHONES) - 2), 0.2)
                phones = [TimedPhone(p, long, p in "DHK") for p, long in zip(PHONES, seconds, strict=True)]
                writer.add(f"{speaker}_{name}", speaker, "The birch, canoe.", wave, phones)
    return directory


@pytest.fixture(scope="session")
def prepared(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus as the training reads it."""
    out = tmp_path_factory.mktemp("prepared") / "arrays"
    assert prepare(read(corpus), out, FEATURES, CODING, processes=1) == 10
    return out


@pytest.fixture(scope="session")
def excited(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as symbols of an excitation."""
    out = tmp_path_factory.mktemp("excited") / "arrays"
    assert prepare(read(corpus), out, FEATURES, EXCITATION, processes=1) == 10
    return out


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Debian's entries on a machine that has any."""
    file = tmp_path / "etc" / "debian.sources"
    file.parent.mkdir()
    file.write_text(DEB822)
    monkeypatch.setattr(packages, "_ENTRIES", (file, tmp_path / "etc" / "sources.list"))
    return file
