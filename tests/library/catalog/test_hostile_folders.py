"""Folders of models that anybody may have made: none hangs the start, and none keeps the others away."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ancestral.catalog.catalog import BUNDLED, CatalogConfig, load_catalog
from ancestral.models.checkpoint import CheckpointError
from tests.service.toys import write_model

DEEP = '{"a":' * 100_000


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    os.truncate(path, 1 << 40)


def deep(path: Path) -> None:
    path.write_text(DEEP)


def with_config(**changes: Any) -> Callable[[Path], None]:
    """Another configuration, which the manifest lists with its right hash."""

    def write(path: Path) -> None:
        data = json.dumps(json.loads(path.read_text()) | changes).encode()
        path.write_bytes(data)
        manifest = path.with_name("manifest.json")
        listing = json.loads(manifest.read_text())
        listing["files"][path.name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        manifest.write_text(json.dumps(listing))

    return write


FILES = ("model.json", "wavenet/config.json", "wavenet/weights.safetensors", "wavenet/README.md")
ENDLESS = ((pipe, "not a regular file"), (endless, "not a regular file"), (sparse, "larger than"))
SPOILED: list[tuple[str, Callable[[Path], None], str]] = [
    *((name, spoil, reason) for name in FILES for spoil, reason in ENDLESS),
    *((name, deep, "nested too deeply") for name in ("model.json", "wavenet/manifest.json")),
    ("wavenet/config.json", with_config(layers=10**9), "layers: must be an integer from 1 to"),
    ("wavenet/config.json", with_config(layers=60, stacks=1), "layers: at most 20 in a stack"),
    ("wavenet/config.json", with_config(residual_channels=10**6), "residual_channels: must be an integer"),
]


@pytest.mark.parametrize(("name", "spoil", "reason"), SPOILED, ids=lambda value: getattr(value, "__name__", value))
def test_a_hostile_folder_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, spoil: Callable[[Path], None], reason: str
) -> None:
    for model in ("good", "bad"):
        write_model(tmp_path / model)
    spoil(tmp_path / "bad" / name)
    assert list(load_catalog(CatalogConfig((tmp_path,))).models) == ["good"]
    assert "model left out: bad" in caplog.text
    assert reason in caplog.text


def test_a_picture_of_a_kilometre_is_refused(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED / "pixelcnn-digits", tmp_path / "digits")
    config = tmp_path / "digits/pixelcnn/config.json"
    with_config(height=10**9)(config)
    with pytest.raises(CheckpointError, match="height: must be an integer from 1 to 512"):
        load_catalog(CatalogConfig((tmp_path,)))
