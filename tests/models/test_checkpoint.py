"""Models on disk: the round trips of checkpoints and `model.json`, and all that is wrong refused by the field's name.

refused.txt has sections (`=== what`), and in each of them changes to a right one (JSON) and how the message begins.
"""

import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ancestral_models.architectures.acoustic import AcousticSpec
from ancestral_models.architectures.classifier import ClassifierSpec, EncoderSpec
from ancestral_models.architectures.pixelcnn import PixelCNNAutoencoderSpec, PixelCNNSpec
from ancestral_models.architectures.pixelrnn import PixelRNNSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.checkpoint import CheckpointError, load, save
from ancestral_models.entries import PLAIN, ModelEntry, ModelError, Sampling, Voice, discover
from ancestral_models.spec import SpecError
from ancestral_models.text import PHONEMES
from tests.models.random_models import CLASS, TINY_SPECS
from tests.random_weights import lively_checkpoint

SPEC = TINY_SPECS["conditional"]
TENSORS = lively_checkpoint(SPEC).tensors
VOICE = {"id": "ann", "name": "Ann", "language": "en", "gender": "female", "description": "", "license": "CC0-1.0"}
MODEL = {
    "id": "a", "kind": "speech", "created": 1, "owned_by": "us", "description": "", "temperature": 1.0,
    "voices": [VOICE],
}  # fmt: skip
IMAGE = {name: value for name, value in MODEL.items() if name != "voices"} | {"kind": "image", "guidance": 1.5}
SHEET = {"rows": ["n", "s"], "animations": {"idle": ["{row}"], "run": ["{row} 1", "{row} 2"]}, "frames_per_second": 8}
LABELLED = PixelCNNSpec(attributes=(CLASS,), conditioning="location")
RIGHT = {
    "pixelcnn": PixelCNNSpec(), "pixelcnn, labelled": LABELLED,
    "pixelcnn, two scales": replace(LABELLED, coarse_layers=2), "pixelrnn": PixelRNNSpec(), "wavenet": WaveNetSpec(),
    "encoder": EncoderSpec(height=13, width=20, channels=1, levels=2, layers=3, features=6, code=7),
    "acoustic": AcousticSpec(phonemes=PHONEMES, speakers=("ann", "bob"), outputs=20, pitch_layers=3),
    "classifier": ClassifierSpec(8, 8, 1, 2, (), (CLASS,)), "autoencoder": PixelCNNAutoencoderSpec(),
}  # fmt: skip
RIGHT_ENTRIES = {
    "model.json": lambda changes: changes,
    "speech": lambda changes: MODEL | changes,
    "audio": lambda changes: MODEL | {"kind": "audio"} | changes,
    "image": lambda changes: IMAGE | changes,
    "voice": lambda changes: MODEL | {"voices": [VOICE | changes]},
    "sampling": lambda changes: MODEL | {"voices": [VOICE | {"sampling": changes}]},
    "sheet": lambda changes: IMAGE | {"sheets": {"run": SHEET | changes}},
}
PREFIXES = {"sampling": "a: voices: sampling: ", "sheet": "a: sheets: run: ", "model.json": ""}


def refusals():
    section = ""
    for line in Path(__file__).with_name("refused.txt").read_text("utf-8").splitlines():
        if line.startswith("=== "):
            section = line.removeprefix("=== ")
        elif line:
            changes, _, message = line.partition(" → ")
            yield pytest.param(section, json.loads(changes), message, id=f"{section}: {changes:.60}")


def write(directory, data, name="a"):
    (directory / name).mkdir()
    text = data if isinstance(data, str) else json.dumps({k: v for k, v in data.items() if v is not None})
    (directory / name / "model.json").write_text(text, errors="surrogateescape")


def read(section, changes, folder):
    """Read what is right but for these changes."""
    if section in RIGHT:
        return type(RIGHT[section]).from_json(RIGHT[section].to_json() | changes)
    if section in RIGHT_ENTRIES:
        write(folder, RIGHT_ENTRIES[section](changes))
        return ModelEntry.read(folder / "a")
    save(folder / "model", SPEC, TENSORS, "")
    if section == "config.json":
        rewrite_config(folder / "model", **changes)
    else:
        manifest = folder / "model" / "manifest.json"
        listing = json.loads(manifest.read_text())["files"]
        manifest.write_text(json.dumps({"files": listing | changes if changes else changes}))
    return load(folder / "model", weights=section == "config.json")


@pytest.mark.parametrize(("section", "changes", "message"), [*refusals()])
def test_what_is_wrong_is_refused_by_its_field(tmp_path, section, changes, message):
    with pytest.raises((SpecError, ModelError, CheckpointError)) as refused:
        read(section, changes, tmp_path)
    prefix = PREFIXES.get(section, "a: ") if section in RIGHT_ENTRIES else ""
    found = str(refused.value)
    assert message in found if section == "classifier" else found.startswith(prefix + message)


@pytest.fixture
def saved(tmp_path):
    save(tmp_path / "model", SPEC, TENSORS, "# A model\n")
    return tmp_path / "model"


def sign(path):
    """Bring the manifest up to date, so that damage is met by the checks behind it."""
    manifest = json.loads((path / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        data = (path / name).read_bytes()
        entry.update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    (path / "manifest.json").write_text(json.dumps(manifest))


def rewrite_config(path, **changes):
    config = json.loads((path / "config.json").read_text()) | changes
    (path / "config.json").write_text(json.dumps(config))
    sign(path)


def test_a_saved_checkpoint_is_loaded_as_it_was(saved):
    checkpoint = load(saved)
    assert (checkpoint.spec, checkpoint.card, checkpoint.path) == (SPEC, "# A model\n", saved)
    assert checkpoint.sha256 == hashlib.sha256((saved / "weights.safetensors").read_bytes()).hexdigest()
    assert checkpoint.tensors.keys() == TENSORS.keys()
    assert not checkpoint.half
    for name, tensor in TENSORS.items():
        assert checkpoint.tensors[name].dtype == np.float32
        assert np.array_equal(checkpoint.tensors[name], tensor)
    manifest = json.loads((saved / "manifest.json").read_text())
    assert {p.name for p in saved.iterdir()} == {*manifest["files"], "manifest.json"}
    sign(saved)
    assert json.loads((saved / "manifest.json").read_text()) == manifest


def test_half_precision_takes_half_the_space_and_is_read_as_float32(saved):
    full = (saved / "weights.safetensors").stat().st_size
    save(saved, SPEC, TENSORS, "", half=True)
    checkpoint = load(saved)
    assert (saved / "weights.safetensors").stat().st_size < 0.7 * full
    assert checkpoint.half
    for name, tensor in TENSORS.items():
        assert checkpoint.tensors[name].dtype == np.float32
        assert np.array_equal(checkpoint.tensors[name], tensor.astype(np.float16))


def test_saving_replaces_what_was_there_and_leaves_nothing_else(saved):
    (saved / "stray").write_text("a graph of these weights")
    save(saved, SPEC, TENSORS, "# The same\n")
    assert (load(saved).card, (saved / "stray").read_text()) == ("# The same\n", "a graph of these weights")
    save(saved, SPEC, {n: t.astype(np.float64) + 1.0 for n, t in TENSORS.items()}, "# Another\n")
    assert load(saved).card == "# Another\n"
    expected = (TENSORS["embedding"].astype(np.float64) + 1.0).astype(np.float32)
    assert np.array_equal(load(saved).tensors["embedding"], expected), "in single precision"
    assert not (saved / "stray").exists()
    assert [p.name for p in saved.parent.iterdir()] == ["model"]


def test_what_does_not_fit_is_not_saved(saved):
    before = load(saved).sha256
    with pytest.raises(CheckpointError, match=r"^past: missing"):
        save(saved, SPEC, {n: t for n, t in TENSORS.items() if n != "past"}, "")
    with pytest.raises(CheckpointError, match=r"^past: holds values that are not finite"):
        save(saved, SPEC, TENSORS | {"past": np.full_like(TENSORS["past"], 1e5)}, "", half=True)
    assert load(saved).sha256 == before


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "README.md", "manifest.json"])
def test_a_damaged_file(saved, name):
    data = (saved / name).read_bytes()
    damages = [(None, "cannot be read")]
    if name != "manifest.json":
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        damages += [(data[:-1], f"{len(data) - 1} bytes, but manifest.json says {len(data)}"), (flipped, "its SHA-256")]
    for damaged, message in damages:
        (saved / name).unlink() if damaged is None else (saved / name).write_bytes(damaged)
        with pytest.raises(CheckpointError, match=f"^{name}: {message}"):
            load(saved)


HEADER = json.dumps({"past": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
LONG = json.dumps({"past": {"dtype": "U8", "shape": [1 << 30] * 50_000, "data_offsets": [0, 2]}}).encode()
"""Whose product takes seconds; of a hundred times as many sizes it takes hours."""


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        *((lambda data, size=size: data[:size], "") for size in (0, 4, 100, -1)),
        (lambda data: struct.pack("<Q", len(HEADER)) + HEADER + b"\0\0", " .*BF16"),
        (lambda data: struct.pack("<Q", len(LONG)) + LONG + b"\0\0", " .*not a type, a shape and offsets"),
        (lambda data: struct.pack("<Q", 1 << 24) + b"{}".ljust(1 << 24), " .*the header is larger than 16777216 bytes"),
    ],
)
def test_damaged_weights_behind_a_right_hash(saved, damage, message):
    weights = saved / "weights.safetensors"
    weights.write_bytes(damage(weights.read_bytes()))
    sign(saved)
    with pytest.raises(CheckpointError, match=rf"^weights.safetensors: not a safetensors file{message}"):
        load(saved)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("skip_bias", None, "missing from weights.safetensors"),
        ("bonus", np.zeros(3, np.float32), "no tensor of a wavenet model"),
        ("skip_bias", np.zeros(8, np.float32), r"shape \[8\], but the configuration makes it \[16\]"),
        ("skip_bias", np.zeros(16, np.float64), "type float64, not float32"),
        ("skip_bias", np.full(16, np.nan, np.float32), "holds values that are not finite"),
        ("skip_bias", np.float32([np.inf] + [0.0] * 15), "holds values that are not finite"),
    ],
)
def test_a_wrong_tensor(saved, name, tensor, message):
    tensors = load_file(saved / "weights.safetensors") | {name: tensor}
    save_file({n: t for n, t in tensors.items() if t is not None}, saved / "weights.safetensors")
    sign(saved)
    with pytest.raises(CheckpointError, match=f"^{name}: {message}"):
        load(saved)


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_malformed_json(saved, data):
    (saved / "config.json").write_bytes(data)
    sign(saved)
    for name in ("config.json", "manifest.json"):
        (saved / name).write_bytes(data)
        with pytest.raises(CheckpointError, match=f"^{name}: not "):
            load(saved)


def test_models_are_found_with_the_checkpoints_of_their_kind(tmp_path):
    assert discover(tmp_path / "nowhere") == []
    write(tmp_path, MODEL | {"id": "b", "kind": "audio", "voices": [VOICE | {"sampling": {"min_p": 0.03}}]}, "b")
    shaped = {"voiced_temperature": 0.8, "min_p": 0.03}
    write(tmp_path, MODEL | {"voices": [VOICE | {"sampling": shaped}, VOICE | {"id": "bob", "network": "bobs"}]})
    write(tmp_path, IMAGE | {"id": "c", "sheets": {"run": SHEET}}, "c")
    (tmp_path / "no-model").mkdir()
    (tmp_path / "README.md").write_text("")
    for path in ("a/wavenet", "a/bobs", "a/acoustic", "b/anything", "c/pixelcnn"):
        (tmp_path / path).mkdir()
    reads, babbles, draws = discover(tmp_path)
    assert [entry.id for entry in (reads, babbles, draws)] == ["a", "b", "c"]
    assert reads.voices[1] == Voice(**VOICE | {"id": "bob", "network": "bobs"})
    assert reads.networks == {"bobs": tmp_path / "a" / "bobs"}
    assert [voice.sampling for voice in reads.voices] == [Sampling(voiced_temperature=0.8, min_p=0.03), PLAIN]
    assert babbles.voices[0].sampling == Sampling(min_p=0.03)
    assert (reads.sampled, reads.acoustic) == (tmp_path / "a" / "wavenet", tmp_path / "a" / "acoustic")
    assert (babbles.sampled, babbles.acoustic) == (tmp_path / "b" / "anything", None)
    assert (draws.sampled, draws.acoustic, draws.voices) == (tmp_path / "c" / "pixelcnn", None, ())
    assert (reads.guidance, draws.guidance, draws.edit_guidance, draws.classifier) == (1.0, 1.5, 1.5, None)
    (tmp_path / "c" / "classifier").mkdir()
    assert (draws.classifier, draws.sampled) == (tmp_path / "c" / "classifier", tmp_path / "c" / "pixelcnn")
    layout = draws.sheets["run"]
    assert (layout.columns, layout.frames_per_second) == (3, 8)
    assert layout.prompts == ["n", "n 1", "n 2", "s", "s 1", "s 2"]
    assert layout.tags == [("idle n", 0, 1), ("run n", 1, 2), ("idle s", 3, 1), ("run s", 4, 2)]


def test_the_checkpoint_to_sample_must_be_the_only_one(tmp_path):
    write(tmp_path, MODEL)
    (tmp_path / "a" / "acoustic").mkdir()
    (entry,) = discover(tmp_path)
    with pytest.raises(ModelError, match="a: needs one directory with the checkpoint to sample; there are: none"):
        _ = entry.sampled
    for name in ("wavenet", "older"):
        (tmp_path / "a" / name).mkdir()
    with pytest.raises(ModelError, match="there are: older, wavenet"):
        _ = entry.sampled


def test_what_cannot_be_used_is_left_out_and_logged(tmp_path, caplog):
    write(tmp_path, MODEL)
    write(tmp_path, MODEL, "b")
    write(tmp_path, "{", "c")
    assert [entry.path.name for entry in discover(tmp_path)] == ["a"]
    assert ["b: a has the id a" in caplog.text, "c: model.json cannot be read" in caplog.text] == [True, True]
