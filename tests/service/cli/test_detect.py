"""`ancestral detect`: files that were made here, and others, without a server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ancestral.catalog.seeds import keyed_seeds

Run = Callable[..., subprocess.CompletedProcess[bytes]]
KEY = "0123456789abcdef" * 2


@pytest.fixture
def picture(ancestral: Run, tmp_path: Path) -> Path:
    path, seed = tmp_path / "a.png", int(keyed_seeds(KEY.encode(), 41, 1)[0])
    assert ancestral("draw", "any", "--model", "rgb", "--seed", str(seed), "-o", str(path)).returncode == 0
    return path


def stripped(path: Path) -> Path:
    """The picture without its recipe."""
    with Image.open(path) as image:
        Image.fromarray(np.asarray(image)).save(path.with_name("b.webp"), lossless=True)
    return path.with_name("b.webp")


def test_a_file_with_its_recipe_was_made_with_a_model_here(ancestral: Run, picture: Path) -> None:
    done = ancestral("detect", str(picture))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{picture}: made_with_model (p = 10^-".encode())


def test_without_recipe_and_key_nothing_is_known_and_with_the_key_it_was_made_here(
    ancestral: Run, picture: Path
) -> None:
    done = ancestral("detect", "--model", "rgb", "--json", str(stripped(picture)))
    assert done.returncode == 1
    assert "no provenance key" in json.loads(done.stdout)["seed"]["reason"]
    assert ancestral("detect", "--counters", "100", str(picture)).returncode == 2, "whose seeds?"
    searched = ("detect", "--model", "rgb", "--counters", "100", "--json", str(stripped(picture)))
    done = ancestral(*searched, ANCESTRAL_PROVENANCE_KEY=KEY)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["verdict"], answer["seed"]["counter"]) == ("made_here", 41)
    done = ancestral(*searched, ANCESTRAL_PROVENANCE_KEY=KEY[::-1])
    assert (done.returncode, json.loads(done.stdout)["seed"]["status"]) == (1, "not_found")


def test_a_recording_is_made_again_with_its_text(ancestral: Run, tmp_path: Path) -> None:
    path, text = tmp_path / "a.flac", "The birch canoe slid."
    ancestral("say", text, "--model", "shaped", "--voice", "ann", "--seed", "7", "-o", str(path))
    done = ancestral("detect", str(path), "--text", text, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["recipe"]["status"] == "equal"
    assert (answer["seed"]["status"], answer["seed"]["seed"]) == ("found", 7)


@pytest.mark.parametrize("arguments", [["--recipe", "{"], ["--recipe", "@/nowhere"], ["--model", "nobody"]])
def test_what_cannot_be_used_is_said(ancestral: Run, picture: Path, arguments: list[str]) -> None:
    done = ancestral("detect", *arguments, str(picture))
    assert done.returncode in (1, 2)
    assert b"Error" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_file_of_another_kind_is_refused(ancestral: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("hello")
    done = ancestral("detect", str(path))
    assert done.returncode == 1
    assert b"file: it is not a PNG" in done.stderr
