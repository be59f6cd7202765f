"""What is sampled has the same bytes on every processor, whatever numpy makes of its instructions. Other processors are
simulated by the variables that choose code for them."""

import json
import os
import subprocess
import sys
from importlib import import_module

import pytest

from ancestral.models.native_build import variants
from tests.paths import ROOT

_CPU = import_module("numpy._core._multiarray_umath")
_TEXT = "The birch canoe slid on the smooth planks, and nobody saw it."
_PROGRAM = """
import hashlib, json, sys
import ancestral
from ancestral.catalog.catalog import CatalogConfig
from ancestral.loader import load_models
from ancestral.models.entries import discover
from pathlib import Path

def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]

found = {}
model = ancestral.load("wavenet-en")
found["probe"] = load_models(CatalogConfig(), only="wavenet-en").samplers["wavenet-en"].warm()
for number, voice in enumerate(("joe", "heart", "slt(2)+rms")):
    speech = model.voice(voice).speak(TEXT, seed=number, pitch=number - 1.0)
    found[voice] = digest(speech.samples.tobytes())
for entry in discover(Path(sys.argv[1])):
    if entry.kind == "image" and entry.id in sys.argv[2].split(","):
        prompt = None if entry.id.startswith("pixelrnn") else "any"
        loaded = load_models(CatalogConfig(), only=entry.id)
        found[f"probe of {entry.id}"] = loaded.samplers[entry.id].warm()
        found[entry.id] = digest(ancestral.load(entry.id).draw(prompt, seed=7).image.tobytes())
engine = model.voice("joe").engine
print(json.dumps([engine, found]))
""".replace("TEXT", repr(_TEXT))
_OTHER_NUMPY = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in _CPU.__cpu_dispatch__ if _CPU.__cpu_features__[name]),
}
_DRAWING = "pixelcnn-digits,pixelcnn-sprites,pixelcnn-fashion,pixelcnn-avatars,pixelrnn-row,pixelrnn-multiscale"


def _made(pictures, **environment):
    """The engine, and a hash of each output."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(ROOT / "models/zoo"), pictures],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    engine, found = json.loads(done.stdout)
    return engine, found


@pytest.mark.slow
def test_the_same_bytes_whatever_numpy_chooses():
    assert _made("pixelcnn-sprites") == _made("pixelcnn-sprites", **_OTHER_NUMPY)


@pytest.mark.slow
@pytest.mark.parametrize("instructions", variants()[1:])
def test_the_same_bytes_by_other_instructions(instructions):
    other = _OTHER_NUMPY | {"NATIVE_INSTRUCTIONS": instructions}
    here, there = _made(_DRAWING), _made(_DRAWING, **other)
    assert here == there
    assert len(here[1]) == 4 + 2 * (_DRAWING.count(",") + 1)
    assert here[0] == "native-int8"
