"""Checkpoints: the round trip, and every kind of damage refused by the name of the file or the tensor."""

import hashlib
import json
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.wavenet import MEDIUM, WaveNetSpec
from ancestral.models.checkpoint import CheckpointError, load, save
from ancestral.models.networks.wavenet import WaveNet
from ancestral.models.tensors import shapes
from tests.models.random_models import TINY_SPECS
from tests.random_weights import lively_checkpoint

SPEC = TINY_SPECS["conditional"]
TENSORS = lively_checkpoint(SPEC).tensors


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model"
    save(path, SPEC, TENSORS, "# A model\n")
    return path


def sign(path):
    """Bring the manifest up to date, so that damage is met by the checks behind it."""
    manifest = json.loads((path / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        data = (path / name).read_bytes()
        entry.update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    (path / "manifest.json").write_text(json.dumps(manifest))


def rewrite_tensors(path, **changes):
    tensors = load_file(path / "weights.safetensors")
    for name, tensor in changes.items():
        tensors.pop(name, None)
        if tensor is not None:
            tensors[name] = tensor
    save_file(tensors, path / "weights.safetensors")
    sign(path)


def rewrite_config(path, **changes):
    config = json.loads((path / "config.json").read_text()) | changes
    (path / "config.json").write_text(json.dumps(config))
    sign(path)


def test_a_saved_checkpoint_is_loaded_as_it_was(saved):
    checkpoint = load(saved)
    assert checkpoint.spec == SPEC
    assert checkpoint.card == "# A model\n"
    assert checkpoint.path == saved
    assert checkpoint.sha256 == hashlib.sha256((saved / "weights.safetensors").read_bytes()).hexdigest()
    assert checkpoint.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert checkpoint.tensors[name].dtype == np.float32
        assert np.array_equal(checkpoint.tensors[name], tensor)


def test_half_precision_takes_half_the_space_and_is_read_as_float32(saved):
    full = (saved / "weights.safetensors").stat().st_size
    assert not load(saved).half
    save(saved, SPEC, TENSORS, "", half=True)
    checkpoint = load(saved)
    assert (saved / "weights.safetensors").stat().st_size < 0.7 * full
    assert checkpoint.half
    for name, tensor in TENSORS.items():
        assert checkpoint.tensors[name].dtype == np.float32
        assert np.array_equal(checkpoint.tensors[name], tensor.astype(np.float16))


def test_the_manifest_lists_every_other_file(saved):
    listing = json.loads((saved / "manifest.json").read_text())["files"]
    assert {p.name for p in saved.iterdir()} == {*listing, "manifest.json"}
    for name, entry in listing.items():
        data = (saved / name).read_bytes()
        assert entry == {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def test_saving_replaces_what_was_there_and_leaves_nothing_else(saved):
    (saved / "stray").write_text("from an older version")
    save(saved, SPEC, {n: t + 1.0 for n, t in TENSORS.items()}, "# Another\n")
    assert load(saved).card == "# Another\n"
    assert np.array_equal(load(saved).tensors["embedding"], TENSORS["embedding"] + 1.0)
    assert not (saved / "stray").exists()
    assert [p.name for p in saved.parent.iterdir()] == ["model"]


def test_saving_converts_to_single_precision(tmp_path):
    save(tmp_path / "model", SPEC, {n: t.astype(np.float64) for n, t in TENSORS.items()}, "")
    assert np.array_equal(load(tmp_path / "model").tensors["past"], TENSORS["past"])


def test_what_does_not_fit_is_not_saved(saved):
    before = load(saved).sha256
    with pytest.raises(CheckpointError, match=r"^past: missing"):
        save(saved, SPEC, {n: t for n, t in TENSORS.items() if n != "past"}, "")
    assert load(saved).sha256 == before


@pytest.mark.parametrize("spec", [*TINY_SPECS.values(), WaveNetSpec(), WaveNetSpec(**MEDIUM, local_channels=66)])
def test_expected_shapes_are_the_networks(spec):
    assert shapes(tensor_table(spec)) == {name: tuple(t.shape) for name, t in WaveNet(spec).state_dict().items()}


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "README.md", "manifest.json"])
def test_a_missing_file(saved, name):
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=f"^{name}: cannot be read"):
        load(saved)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "README.md"])
def test_a_truncated_file(saved, name):
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match=f"^{name}: {len(data) - 1} bytes, but manifest.json says {len(data)}"):
        load(saved)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "README.md"])
def test_a_flipped_bit(saved, name):
    data = bytearray((saved / name).read_bytes())
    data[len(data) // 2] ^= 1
    (saved / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=f"^{name}: its SHA-256"):
        load(saved)


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_truncated_weights_behind_a_right_hash(saved, size):
    weights = saved / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    sign(saved)
    with pytest.raises(CheckpointError, match=r"^weights.safetensors: not a safetensors file"):
        load(saved)


def test_an_unnamed_type(saved):
    header = json.dumps({"past": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    (saved / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    sign(saved)
    with pytest.raises(CheckpointError, match=r"^weights.safetensors: not a safetensors file .*BF16"):
        load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skip_bias": None}, "^skip_bias: missing from weights.safetensors"),
        ({"bonus": np.zeros(3, np.float32)}, "^bonus: no tensor of a wavenet model"),
        ({"skip_bias": np.zeros(8, np.float32)}, r"^skip_bias: shape \[8\], but the configuration makes it \[16\]"),
        ({"skip_bias": np.zeros(16, np.float64)}, "^skip_bias: type float64, not float32"),
        ({"skip_bias": np.zeros(16, np.int32)}, "^skip_bias: type int32, not float32"),
        ({"skip_bias": np.full(16, np.nan, np.float32)}, "^skip_bias: holds values that are not finite"),
        ({"skip_bias": np.full(16, np.inf, np.float32)}, "^skip_bias: holds values that are not finite"),
    ],
)
def test_a_wrong_tensor(saved, changes, message):
    rewrite_tensors(saved, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "melgan"}, "^config.json: unknown kind 'melgan'"),
        ({"kind": ["wavenet"]}, "^config.json: unknown kind"),
        ({"layers": 8}, r"^past: shape \[6, 8, 16\], but the configuration makes it \[8, 8, 16\]"),
        ({"layers": 7}, "^config.json: stacks: 7 layers do not divide"),
        ({"bonus": 1}, "^config.json: bonus: unknown field"),
    ],
)
def test_a_wrong_configuration(saved, changes, message):
    rewrite_config(saved, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(saved)


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_malformed_json(saved, data):
    (saved / "config.json").write_bytes(data)
    sign(saved)
    with pytest.raises(CheckpointError, match=r"^config.json: not "):
        load(saved)
    (saved / "manifest.json").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"^manifest.json: not "):
        load(saved)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "^manifest.json: no table of files"),
        ([], "^manifest.json: no table of files"),
        ({}, "^config.json: not listed in manifest.json"),
        ({"config.json": 3}, "^config.json: not listed in manifest.json"),
        ({"config.json": {}}, "^config.json: .* manifest.json says None"),
    ],
)
def test_a_manifest_that_says_nothing(saved, files, message):
    (saved / "manifest.json").write_text(json.dumps({"files": files}))
    with pytest.raises(CheckpointError, match=message):
        load(saved)
