"""The package as it is imported and documented."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ancestral
from tests.paths import ROOT

HEAVY = ("torch", "fastapi", "starlette", "redis", "pydantic", "uvicorn")


def test_speaking_and_drawing_load_no_torch_and_no_server(tmp_path):
    for name in ("models", "service", "training"):  # a user may have packages of these names
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not ours')\n")
    code = (
        "import sys, ancestral\n"
        "assert not any(name.startswith(('numpy', 'numba')) for name in sys.modules), 'the import is light'\n"
        "print(len(ancestral.load('wavenet-en').voice('joe').speak('Yes.', seed=1).samples))\n"
        "print(ancestral.load('pixelcnn-digits').draw('7', seed=1).bits)\n"
        f"print(sorted({set(HEAVY)!r} & sys.modules.keys()))\n"
    )
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def public_names():
    """Every public name, and those of the public classes."""
    found = list(ancestral.__all__)
    for name in ("Model", "Voice", "Speech", "Picture", "Pictures", "Server"):
        kind = getattr(ancestral, name)
        found += [f"{name}.{member}" for member in vars(kind) if not member.startswith("_")]
    return found


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_documented(name):
    assert f"`{name.rpartition('.')[2]}" in (ROOT / "docs/library.md").read_text()
    owner, _, member = name.partition(".")
    thing = inspect.getattr_static(getattr(ancestral, owner), member) if member else getattr(ancestral, owner)
    assert inspect.getdoc(thing), name


def test_types_are_shipped():
    assert Path(ancestral.__file__).with_name("py.typed").exists()


def test_the_notebook_runs(tmp_path):
    notebook = json.loads((ROOT / "docs/notebook.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 4
    line = [sys.executable, "-c", "\n\n".join(cells)]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
