"""A small corpus of two voices and its prepared arrays; a small set of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ancestral.training.corpora import debian, read
from ancestral.training.data.speech import prepare
from tests.training.apt import DEB822
from tests.training.picture_sets import CLASSES, COUNT, PALETTE, STYLES, Arrays
from tests.training.sounds import CODING, EXCITATION, FEATURES, PHONES, PITCHES, RATE, voiced, write_labels


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices with four clips to train on and one held out, in our layout, each 0.7 to 1.1 s long."""
    directory = tmp_path_factory.mktemp("corpus")
    (directory / "wavs").mkdir()
    (directory / "phones").mkdir()
    lines = []
    for speaker, hz in PITCHES.items():
        for number, name in enumerate(("s0000", "u0000", "u0001", "u0002", "u0003")):
            wave = voiced(0.7 + 0.1 * number, hz, seed=number)
            soundfile.write(directory / "wavs" / f"{speaker}_{name}.wav", wave, RATE)
            inner = (len(wave) / RATE - 0.4) / (len(PHONES) - 2)
            write_labels(directory / "phones", f"{speaker}_{name}", [0.2, *[inner] * (len(PHONES) - 2), 0.2])
            lines.append(f"{speaker}_{name}|{speaker}|The birch, canoe.")
    (directory / "metadata.csv").write_text("\n".join(lines) + "\n")
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
def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    made: Arrays = {
        "attributes": np.array(["class", "style"]), "values_class": np.array(CLASSES), "values_style": np.array(STYLES),
        "source": np.array("Somebody"),
    }  # fmt: skip
    for part, count in (("train", COUNT), ("valid", 7), ("test", 8)):
        made[f"x_{part}"] = rng.integers(0, 256, (count, 6, 5, 1), np.uint8)
        made[f"labels_{part}"] = np.stack([rng.integers(0, 2, count), rng.integers(0, 3, count)], 1).astype(np.int8)
    made["labels_train"][4, 1] = -1
    return made


@pytest.fixture
def indexed(arrays: Arrays, tmp_path: Path) -> Path:
    """The same pictures in four colours, of which one is transparent."""
    made = {name: array // 64 if name.startswith("x_") else array for name, array in arrays.items()}
    np.savez(tmp_path / "indexed.npz", palette=PALETTE, **made)
    return tmp_path / "indexed.npz"


@pytest.fixture
def data(arrays: Arrays, tmp_path: Path) -> Path:
    np.savez(tmp_path / "pictures.npz", **arrays)
    return tmp_path


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Debian's entries on a machine that has any."""
    file = tmp_path / "etc" / "debian.sources"
    file.parent.mkdir()
    file.write_text(DEB822)
    monkeypatch.setattr(debian, "_ENTRIES", (file, tmp_path / "etc" / "sources.list"))
    return file
