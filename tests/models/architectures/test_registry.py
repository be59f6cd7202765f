"""The registry: what it finds, lazily, and how it refuses what cannot be used."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ancestral_models.architectures import ArchitectureError, architecture, kinds, load_object, register
from ancestral_models.architectures.pixelcnn import PIXELCNN

BUILT_IN = ("acoustic", "encoder", "pixelcnn", "pixelrnn", "wavenet")
ALL = [*BUILT_IN, "toy"]
TOY = Path(__file__).parents[2] / "toy_architecture"


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_part_of_a_built_in_architecture_exists(kind):
    found = architecture(kind)
    assert found.kind == kind
    parts = [found.network, found.kernel, found.task, found.engine("native"), found.engine("onnx")]
    if found.exporter is not None:
        parts += [found.exporter.graphs, found.exporter.check, found.exporter.engine]
    assert all(callable(load_object(part)) for part in parts if part is not None)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        (f"from ancestral_models.architectures import architecture as a; [*map(a, {ALL})]", "torch onnx onnxruntime"),
        ("import ancestral_models.text", "torch unicode_rbnf"),
        ("import ancestral_models.acoustic", "torch ancestral_training"),
    ],
    ids=["the registry", "the front-end", "alignment"],
)
def test_what_is_imported_is_light(code, heavy):
    code += f"; import sys; assert not {set(heavy.split())} & sys.modules.keys()"
    path = os.pathsep.join([str(TOY), *sys.path])
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=os.environ | {"PYTHONPATH": path})


def test_an_image_architecture_without_kernel_and_exporter_has_the_torch_engine_alone():
    bare = replace(PIXELCNN, kernel=None, exporter=None)
    assert (bare.engine("onnx"), bare.engine("native").endswith(":TorchImageEngine")) == (None, True)
    assert not any(architecture("acoustic").engine(name) for name in ("native", "onnx"))


def test_unknown_kinds_and_others_of_a_known_kind_are_refused():
    with pytest.raises(ArchitectureError, match="unknown kind 'melgan'"):
        architecture("melgan")
    register(PIXELCNN)
    with pytest.raises(ArchitectureError, match="'pixelcnn': another architecture of this kind"):
        register(replace(PIXELCNN, kernel=None))
    assert architecture("pixelcnn") is PIXELCNN


def install(directory, name, target, module):
    """A plugin, as pip would leave it."""
    info = directory / f"{name}_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ancestral.architectures]\n{name} = {target}\n")
    (directory / f"{name}_module.py").write_text(module)


@pytest.mark.parametrize(
    ("target", "module", "message"),
    [
        ("broken_module:A", "import nowhere", "cannot be loaded: No module named 'nowhere'"),
        ("broken_module:A", "", "cannot be loaded: .* has no attribute 'A'"),
        ("elsewhere:A", "", "cannot be loaded: No module named 'elsewhere'"),
        ("broken_module:A", "A = 1", "is not an architecture of this kind"),
        ("broken_module:A", "from ancestral_models.architectures.pixelcnn import PIXELCNN as A", "is not an arch"),
    ],
)
def test_a_broken_plugin_is_named(target, module, message, tmp_path, monkeypatch):
    install(tmp_path, "broken", target, module)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_module", raising=False)
    assert "broken" in kinds()
    with pytest.raises(ArchitectureError, match=rf"^'broken': the plugin broken-plugin \({target}\) {message}"):
        architecture("broken")
