"""Folders of models that anybody may have made: none hangs the start, and none keeps the others away."""

import hashlib
import json
import os
import shutil

import pytest

from ancestral.catalog.catalog import BUNDLED, CatalogConfig, load_catalog
from ancestral.models.checkpoint import CheckpointError
from tests.service.toys import write_model

DEEP = '{"a":' * 100_000


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def endless(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def sparse(path):
    os.truncate(path, 1 << 40)


def deep(path):
    path.write_text(DEEP)


def with_config(**changes):
    """Another configuration, which the manifest lists with its right hash."""

    def write(path):
        data = json.dumps(json.loads(path.read_text()) | changes).encode()
        path.write_bytes(data)
        manifest = path.with_name("manifest.json")
        listing = json.loads(manifest.read_text())
        listing["files"][path.name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        manifest.write_text(json.dumps(listing))

    return write


FILES = ("model.json", "wavenet/config.json", "wavenet/weights.safetensors", "wavenet/README.md")
ENDLESS = ((pipe, "not a regular file"), (endless, "not a regular file"), (sparse, "larger than"))
SPOILED = [
    *((name, spoil, reason) for name in FILES for spoil, reason in ENDLESS),
    *((name, deep, "nested too deeply") for name in ("model.json", "wavenet/manifest.json")),
    ("wavenet/config.json", with_config(layers=10**9), "layers: must be an integer from 1 to"),
    ("wavenet/config.json", with_config(layers=60, stacks=1), "layers: at most 20 in a stack"),
    ("wavenet/config.json", with_config(residual_channels=10**6), "residual_channels: must be an integer"),
]


@pytest.mark.parametrize(("name", "spoil", "reason"), SPOILED, ids=lambda value: getattr(value, "__name__", value))
def test_a_hostile_folder_is_left_out(tmp_path, caplog, name, spoil, reason):
    for model in ("good", "bad"):
        write_model(tmp_path / model)
    spoil(tmp_path / "bad" / name)
    assert list(load_catalog(CatalogConfig((tmp_path,))).models) == ["good"]
    assert "model left out: bad" in caplog.text
    assert reason in caplog.text


def test_a_picture_of_a_kilometre_is_refused(tmp_path):
    shutil.copytree(BUNDLED / "pixelcnn-digits", tmp_path / "digits")
    config = tmp_path / "digits/pixelcnn/config.json"
    with_config(height=10**9)(config)
    with pytest.raises(CheckpointError, match="height: must be an integer from 1 to 512"):
        load_catalog(CatalogConfig((tmp_path,)))
