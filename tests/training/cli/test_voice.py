"""`ancestral voice add`, from recordings to a model that is served, with steps too few to be of any use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
import soxr

from ancestral.models.text import phonemize
from tests.service.cli.conftest import Run

SENTENCES = ("The birch canoe slid on the smooth planks.", "Rice is often served in round bowls.")
SPEEDS = tuple(0.9 + 0.02 * step for step in range(15))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty recordings of Heart, each at its own speed, and their text."""
    from ancestral.training.corpora.teachers import Heart

    teacher, folder = Heart(), tmp_path_factory.mktemp("recordings")
    said = [teacher.speak(phonemize(text)[0])[:2] for text in SENTENCES]
    lines = []
    for number, slower in enumerate(SPEEDS):
        for kind, (text, (wave, rate)) in enumerate(zip(SENTENCES, said, strict=True)):
            name = f"{kind}_{number}"
            soundfile.write(folder / f"{name}.flac", soxr.resample(wave, rate, 16000 * slower), 16000)
            lines.append(f"{name}|{text}\n" if kind else f"{name}.flac|{text}|{text}\n")
    (folder / "metadata.csv").write_text("".join(lines))
    return folder


def test_a_voice_of_ones_own(run: Run, recordings: Path, tmp_path: Path) -> None:
    options = ("--audio", recordings, "--text", recordings / "metadata.csv", "--base", "tiny", "--gender", "female")
    steps = ("--wavenet-steps", 1, "--acoustic-steps", 1, "--processes", 1, "--work", tmp_path / "work")
    made = run("voice", "add", "mary", *options, *steps)
    assert made.exit_code == 0, made.output
    assert "30 recordings" in made.stderr

    listed = run("models")
    assert "mary" in listed.output
    spoken = run("say", "Hello.", "--model", "mary", "--voice", "mary", "-o", tmp_path / "hello.wav")
    assert spoken.exit_code == 0, spoken.output
    assert soundfile.info(tmp_path / "hello.wav").frames > 1000

    again = run("voice", "add", "mary", *options, *steps)
    assert (again.exit_code, "there is a model" in again.stderr) == (1, True)


@pytest.mark.slow
def test_a_new_voice_is_judged(run: Run, recordings: Path, tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    options = ("--audio", recordings, "--text", recordings / "metadata.csv", "--base", "tiny", "--evaluate")
    steps = ("--wavenet-steps", 1, "--acoustic-steps", 1, "--processes", 1, "--work", tmp_path / "work")
    made = run("voice", "add", "mary", *options, *steps)
    assert made.exit_code == 0, made.output
    report = json.loads(made.stdout)
    assert (report["model"], report["voice"], report["sentences"]) == ("mary", "mary", 2)
    assert report["distillmos"] < report["teacher"]["distillmos"] <= 5.0
    assert "Served from text" in (tmp_path / "data" / "models" / "mary" / "wavenet" / "README.md").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0_0 The birch canoe.\n", "metadata.txt:1: expected FILE|TEXT"),
        ("0_0|\n", "metadata.txt:1: expected FILE|TEXT"),
        ("nothing|The birch canoe.\n", "nothing is missing"),
        ("../secret|The birch canoe.\n", "'../secret' is not in"),
        ("0_0|The birch canoe.\n", "1 recordings; at least 12 are needed"),
        ("".join(f"0_{number % 15}|Тест.\n" for number in range(12)), "0 seconds of speech could be aligned"),
    ],
)
def test_recordings_that_cannot_be_used(run: Run, recordings: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metadata.txt").write_text(text)
    options = ("--audio", recordings, "--text", tmp_path / "metadata.txt", "--base", "tiny", "--processes", 1)
    result = run("voice", "add", "mary", *options, "--work", tmp_path / "work")
    assert result.exit_code == 1, result.output
    assert message in result.stderr


def test_names_that_cannot_be_used(run: Run, recordings: Path) -> None:
    options = ("--audio", recordings, "--text", recordings / "metadata.csv")
    for name, base, message in (
        ("tiny", "tiny", "there is a model"), ("../x", "tiny", "id: lowercase"), ("Mary", "tiny", "id: lowercase"),
        ("mary", "nope", "'nope' is no model that reads text"),
    ):  # fmt: skip
        result = run("voice", "add", name, *options, "--base", base)
        assert (result.exit_code, message in result.stderr) == (1, True), result.output
