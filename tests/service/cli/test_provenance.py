"""`ancestral provenance`, and the commands that sign what they write."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from ancestral.provenance.c2pa import COMPOSITE, SignatureReport, read, sign
from ancestral.provenance.signer import make_trial_chain
from tests.library.provenance.support import CLAIM, trial_signer

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def signing(tmp_path: Path) -> dict[str, str]:
    certificate, key = make_trial_chain(tmp_path / "keys", "Commands")
    return {"ANCESTRAL_SIGNING_CERT": str(certificate), "ANCESTRAL_SIGNING_KEY": str(key)}


def _report(file: Path, manifest: Path | None = None) -> SignatureReport:
    beside = None if manifest is None else manifest.read_bytes()
    report = read(file.read_bytes(), "", manifest=beside)
    assert report is not None
    assert (report.valid, report.signer) == (True, "Commands")
    return report


def test_init_makes_what_the_settings_take(ancestral: Run, tmp_path: Path) -> None:
    done = ancestral("provenance", "init", str(tmp_path / "keys"), "--name", "Commands")
    assert done.returncode == 0, done.stderr
    assert b"no verifier trusts this certificate" in done.stderr
    settings = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    done = ancestral("say", "Yes.", "--model", "tiny", "-o", str(tmp_path / "yes.wav"), **settings)
    assert done.returncode == 0, done.stderr
    _report(tmp_path / "yes.wav")
    again = ancestral("provenance", "init", str(tmp_path / "keys"))
    assert (again.returncode, b"exists" in again.stderr) == (1, True)


@pytest.mark.parametrize("form", ["wav", "flac", "opus"])
def test_say_signs_what_it_says(form: str, ancestral: Run, signing: dict[str, str], tmp_path: Path) -> None:
    plain, signed = tmp_path / f"plain.{form}", tmp_path / f"signed.{form}"
    for file, settings in ((plain, {}), (signed, signing)):
        done = ancestral("say", "Yes.", "--model", "tiny", "--seed", "7", "-o", str(file), **settings)
        assert done.returncode == 0, done.stderr
    assert np.array_equal(soundfile.read(plain)[0], soundfile.read(signed)[0])
    report = _report(signed, signed.with_suffix(".c2pa") if form == "opus" else None)
    assert report.recipe is not None
    assert (report.recipe["model"], report.recipe["seed"], report.recipe["voice"]) == ("tiny", 7, "ann")
    assert (tmp_path / "plain.c2pa").exists() is False


def test_draw_signs_each_picture_and_a_sheet(ancestral: Run, signing: dict[str, str], tmp_path: Path) -> None:
    common = ("draw", "elf", "--model", "palette", "--seed", "7")
    done = ancestral(*common, "-n", "2", "-o", str(tmp_path / "elf.png"), **signing)
    assert done.returncode == 0, done.stderr
    recipes = [_report(tmp_path / f"elf-{index}.png").recipe for index in range(2)]
    assert recipes[0] is not None
    assert recipes[0]["seed"] == 7
    assert recipes[0] != recipes[1]
    done = ancestral(*common, "--sheet", "1x2", "-o", str(tmp_path / "sheet.png"), **signing)
    assert done.returncode == 0, done.stderr
    sheet = _report(tmp_path / "sheet.png").recipe
    assert sheet is not None
    atlas = json.loads((tmp_path / "sheet.json").read_text())
    assert sheet["seeds"] == [str(sprite["seed"]) for sprite in atlas["frames"].values()]


def test_draw_like_keeps_the_manifest_of_the_picture(ancestral: Run, signing: dict[str, str], tmp_path: Path) -> None:
    Image.new("L", (8, 6), 255).save(tmp_path / "like.png")
    signed = sign((tmp_path / "like.png").read_bytes(), "image/png", CLAIM, trial_signer(tmp_path / "other", "Other"))
    (tmp_path / "like.png").write_bytes(signed)
    common = ("draw", "--like", str(tmp_path / "like.png"), "--model", "autoencoder", "-o", str(tmp_path / "new.png"))
    done = ancestral(*common, **signing)
    assert done.returncode == 0, done.stderr
    report = _report(tmp_path / "new.png")
    assert (report.ingredients, report.source != COMPOSITE) == (["upload"], True)


@pytest.mark.parametrize("form", ["m4b", "mp3", "opus"])
def test_read_signs_a_book(form: str, ancestral: Run, signing: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("Yes. No.\n\nYes.\n")
    for name, settings in (("plain", {}), ("signed", signing)):
        output = str(tmp_path / f"{name}.{form}")
        done = ancestral(
            "read", str(tmp_path / "book.txt"), "--model", "tiny", "--title", "T", "-o", output, **settings
        )
        assert done.returncode == 0, done.stderr
    signed = tmp_path / f"signed.{form}"
    report = _report(signed, signed.with_suffix(".c2pa") if form == "opus" else None)
    assert report.recipe is not None
    assert (report.recipe["model"], report.recipe["seed"]) == ("tiny", 0)
    beside = {"signed.c2pa"} if form == "opus" else set()
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"book.txt", "keys", f"plain.{form}", f"signed.{form}"} | beside
    if form == "opus":
        assert signed.read_bytes() == (tmp_path / "plain.opus").read_bytes()


@pytest.mark.parametrize("command", [("serve",), ("say", "Yes.", "-o", "yes.wav"), ("draw", "elf", "-o", "elf.png")])
def test_a_certificate_that_cannot_be_used_ends_a_command_before_it_begins(
    command: tuple[str, ...], ancestral: Run, signing: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, other = make_trial_chain(tmp_path / "other", "Other")
    cases = {
        "ANCESTRAL_SIGNING_KEY: not set, but ANCESTRAL_SIGNING_CERT is": {"ANCESTRAL_SIGNING_KEY": None},
        "ANCESTRAL_SIGNING_KEY: ": {"ANCESTRAL_SIGNING_KEY": str(other)},
        "ANCESTRAL_SIGNING_CERT: ": {"ANCESTRAL_SIGNING_CERT": str(other)},
        "ANCESTRAL_SIGNING_CERT: Path does not point to a file": {"ANCESTRAL_SIGNING_CERT": str(tmp_path / "none")},
    }
    for message, changes in cases.items():
        settings = {name: value for name, value in (signing | changes).items() if value is not None}
        done = ancestral(*command, **settings)
        assert done.returncode == 1
        assert done.stderr.decode().startswith(f"Error: {message}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "other"]
