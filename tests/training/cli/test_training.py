"""`ancestral corpus`, `train` and `evaluate`, from sound files to a report, with models too small to be of any use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from click.testing import Result
from PIL import Image

from ancestral.models import checkpoint
from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.architectures.wavenet import WaveNetSpec
from ancestral.models.text import phonemize
from tests.service.cli.conftest import Run
from tests.service.toys import VOICES

SENTENCES = ("The birch canoe slid on the smooth planks.", "Rice is often served in round bowls.")


def refused(result: Result, code: int, message: str) -> None:
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert isinstance(result.exception, SystemExit)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two voices of the tiny model, in LJSpeech's layout: Heart, and Heart slowed down. One clip of each held out."""
    from ancestral.training.corpora.teachers import Heart

    teacher, folders = Heart(), {}
    for voice, slower in zip(VOICES, (1.0, 1.3), strict=True):
        folder = folders[voice] = tmp_path_factory.mktemp("corpora") / voice
        (folder / "wavs").mkdir(parents=True)
        lines = []
        for name, text in zip(("s0000", "u0000"), SENTENCES, strict=True):
            wave, rate, _ = teacher.speak(phonemize(text)[0])
            sound = soxr.resample(wave, rate, 16000 * slower)
            soundfile.write(folder / "wavs" / f"{voice}_{name}.wav", sound, 16000)
            lines.append(f"{voice}_{name}|{text}|{text}\n")
        (folder / "metadata.csv").write_text("".join(lines))
    return folders


def test_from_sound_files_to_checkpoints(run: Run, corpora: dict[str, Path], tmp_path: Path) -> None:
    for voice, folder in corpora.items():
        aligned = run("corpus", "align", folder, "-o", tmp_path / voice)
        assert (aligned.exit_code, f"{tmp_path / voice}: 2 clips" in aligned.stderr) == (0, True), aligned.output
    folders = [tmp_path / voice for voice in corpora]
    prepared = run("corpus", "prepare", *folders, "-o", tmp_path / "arrays", "--processes", 1)
    assert (prepared.exit_code, "arrays: 4 of 4 clips" in prepared.stderr.replace("\n", "")) == (0, True)

    shared = ["--data", tmp_path / "arrays", "--speakers", "ann=2, bob", "--steps", 1, "--batch", 1, "--processes", 1]
    for kind in ("wavenet", "acoustic"):
        result = run("train", kind, *shared, "-o", tmp_path / kind, "--learning-rate", 0.001)
        assert result.exit_code == 0, result.output
        made = checkpoint.load(tmp_path / kind / "checkpoint")
        assert made.spec.kind == kind
        assert made.spec.speakers == VOICES
        assert "| steps | 1 |" in made.card
        assert "| learning_rate | 0.001 |" in made.card
    free = [*shared, "--free", "--crop", 20, "-o", tmp_path / "free"]
    assert run("train", "wavenet", *free, "--stacks", 2).exit_code == 0
    spec = checkpoint.load(tmp_path / "free" / "checkpoint").spec
    assert isinstance(spec, WaveNetSpec)
    assert (spec.local_channels, spec.layers, spec.receptive_field) == (0, 24, 8191)
    refused(run("train", "wavenet", *free, "--stacks", 5), 1, "stacks: 24 layers do not divide into 5 stacks")
    refused(
        run("train", "acoustic", *shared, "-o", tmp_path / "acoustic", "--seed", 1), 1, "seed: this run was started"
    )
    refused(
        run("train", "acoustic", *shared[:-1], 2, "-o", tmp_path / "acoustic"), 1, "processes: this run was started"
    )

    acoustic = tmp_path / "acoustic" / "checkpoint"
    predicted = run("corpus", "predict", tmp_path / "arrays", "--acoustic", acoustic, "-o", tmp_path / "predicted")
    assert (predicted.exit_code, "2 clips" in predicted.stderr) == (0, True), predicted.output
    refused(
        run(
            "corpus", "predict", tmp_path / "arrays", "--acoustic", tmp_path / "wavenet" / "checkpoint", "-o", tmp_path
        ),
        1,
        "expected 'acoustic'",
    )
    other = ["--data", tmp_path / "predicted", "--speakers", "eve", *shared[4:], "-o", tmp_path / "eve"]
    refused(run("train", "wavenet", *other), 1, "speakers: the data hold no clip of eve")


def test_a_trunk_of_the_excitation_and_its_branch(run: Run, corpora: dict[str, Path], tmp_path: Path) -> None:
    arrays = [tmp_path / voice for voice in corpora]
    for folder, out in zip(corpora.values(), arrays, strict=True):
        aligned = tmp_path / f"{out.name}-aligned"
        assert run("corpus", "align", folder, "-o", aligned).exit_code == 0
        options = ["-o", out, "--processes", 1, "--shaping", "linear_prediction"]
        assert run("corpus", "prepare", aligned, *options).exit_code == 0
    data = [option for out in arrays for option in ("--data", out)]
    shared = [*data, "--batch", 1, "--processes", 1, "--blur", 1, "--crop", 10]
    both, shaped = ["--speakers", "ann,bob", *shared], ["--shaping", "linear_prediction"]
    refused(run("train", "wavenet", *both, "--steps", 1, "-o", tmp_path / "plain"), 1, "prepared with")

    ann = ["--speakers", "ann", *shared, *shaped, "--learning-rate", 0.004, "--warmup", 1, "--decay", 0, "--steps", 1]
    assert run("train", "wavenet", *ann, "-o", tmp_path / "first").exit_code == 0
    begun = ["--start", tmp_path / "first" / "checkpoint", "--steps", 2, "-o", tmp_path / "trunk"]
    assert run("train", "wavenet", *both, *shaped, *begun).exit_code == 0
    branch = [*both, *shaped, "--anneal-from", tmp_path / "trunk", "--steps", 3, "-o", tmp_path / "branch"]
    assert run("train", "wavenet", *branch).exit_code == 0
    made = checkpoint.load(tmp_path / "branch" / "checkpoint")
    assert isinstance(made.spec, WaveNetSpec)
    assert (made.spec.shaping, made.spec.speakers) == ("linear_prediction", VOICES)
    for words in ("| steps | 5 |", "| decay | 0.6 |", "| learning_rate | 0.002 |"):
        assert words in made.card
    first = checkpoint.load(tmp_path / "first" / "checkpoint").sha256
    assert first in checkpoint.load(tmp_path / "trunk" / "checkpoint").card
    refused(run("train", "wavenet", *branch[:-1], tmp_path / "trunk"), 1, "not a branch of another")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Noise of two classes."""
    rng = np.random.default_rng(0)
    arrays = {"attributes": np.array(["class"]), "values_class": np.array(["snow", "ash"])}
    for part in ("train", "test"):
        arrays[f"x_{part}"] = rng.integers(0, 256, (16, 6, 6, 1), np.uint8)
        arrays[f"labels_{part}"] = rng.integers(0, 2, (16, 1))
    np.savez(tmp_path / "noise.npz", **arrays)
    return tmp_path / "noise.npz"


def test_a_picture_run_begins_with_the_weights_of_another(run: Run, pictures: Path, tmp_path: Path) -> None:
    shared = ["train", "pixelcnn", "--data", pictures, "--levels", 2, "--layers", 2, "--batch", 4, "--processes", 1]
    small = [*shared, "--features", 4, "--output-features", 4, "--steps", 2, "--precision"]
    runs = {"first": ["float32"], "other": ["bfloat16"], "dropped": ["float32", "--label-dropout", 1]}
    for name, options in runs.items():
        result = run(*small, *options, "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
    first, *others = (checkpoint.load(tmp_path / name / "checkpoint") for name in runs)
    for other in others:
        assert any((first.tensors[name] != other.tensors[name]).any() for name in first.tensors), "the option is used"
    assert "started from" not in first.card

    again = [*small, "float32", "--start", first.path]
    result = run(*again, "-o", tmp_path / "second", "--learning-rate", 1e-9)
    assert result.exit_code == 0, result.output
    second = checkpoint.load(tmp_path / "second" / "checkpoint")
    assert f"| started from the weights of SHA-256 | {first.sha256} |" in second.card
    for name, tensor in first.tensors.items():
        np.testing.assert_allclose(second.tensors[name], tensor, atol=1e-7)

    refused(
        run(*again, "-o", tmp_path / "third", "--kernel-size", 5), 1, "its spec is not that of the network to train"
    )
    refused(run(*again[:-1], tmp_path, "-o", tmp_path / "third"), 1, "manifest.json: cannot be read")
    refused(run(*small, "float16", "-o", tmp_path / "third"), 2, "'float16' is not one of")


def test_an_encoder_is_trained_on_identities(run: Run, pictures: Path, tmp_path: Path) -> None:
    arrays = dict(np.load(pictures))
    arrays |= {"identity_train": np.arange(16) // 4, "identity_test": 10 + np.arange(16) // 2}
    np.savez(tmp_path / "people.npz", **arrays)
    shared = ["train", "encoder", "--layers", 2, "--features", 4, "--code", 3, "--steps", 2, "--processes", 1]
    command = [*shared, "--data", tmp_path / "people.npz", "-o", tmp_path / "faces"]
    refused(run(*command), 1, "only 4 identities have two pictures; a batch needs 64")
    refused(run(*shared, "--data", pictures, "-o", tmp_path / "faces"), 1, "identity_train is missing")
    result = run(*command, "--batch", 16)
    assert result.exit_code == 0, result.output
    made = checkpoint.load(tmp_path / "faces" / "checkpoint")
    assert made.spec == EncoderSpec(height=6, width=6, channels=1, layers=2, features=4, code=3)
    assert "| valid_chance_1 | 0.1250 |" in made.card


@pytest.mark.parametrize("weights", ["ann=much", "ann=0", "ann=-1", "=2", "ann,,bob"])
def test_weights_that_are_none(run: Run, tmp_path: Path, weights: str) -> None:
    arguments = ("--data", tmp_path, "-o", tmp_path / "run", "--steps", 1, "--speakers", weights)
    refused(run("train", "wavenet", *arguments), 2, weights)


def test_corpora_are_built(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ancestral.training.corpora import read, sentences

    refused(run("corpus", "build", "eve", "-o", tmp_path / "eve"), 1, "no corpus 'eve'")
    monkeypatch.setattr(sentences, "WORDNET", tmp_path)
    refused(run("corpus", "build", "heart", "-o", tmp_path / "heart"), 1, "apt-get install wordnet-base")
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{part}").write_text(f'00001740 03 n | "the {part} stood in the old garden"\n')
    monkeypatch.setattr(sentences, "HELD_OUT", 1)
    built = run("corpus", "build", "heart", "-o", tmp_path / "heart", "--count", 2)
    assert (built.exit_code, "heart: 3 clips" in built.stderr.replace("\n", "")) == (0, True), built.output
    assert [clip.id for clip in read(tmp_path / "heart")] == ["heart_s0000", "heart_u0000", "heart_u0001"]


def test_broken_corpora_are_refused(run: Run, corpora: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for command in ("align", "prepare"):
        refused(run("corpus", command, tmp_path / "none", "-o", tmp_path / "out"), 1, "neither metadata.csv")
        refused(run("corpus", command, tmp_path / "nowhere", "-o", tmp_path / "out"), 2, "does not exist")
    folder = tmp_path / "broken"
    (folder / "wavs").mkdir(parents=True)
    (folder / "wavs" / "a.wav").write_bytes(b"no sound")
    (folder / "metadata.csv").write_text("a|One.|One.\n")
    for arguments in (("align", folder), ("prepare", "--processes", 1, folder), ("prepare", folder)):
        refused(run("corpus", *arguments, "-o", tmp_path / "out"), 1, "a.wav")


@pytest.mark.slow
def test_speech_is_judged(run: Run, corpora: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    arguments = ("--model", "tiny", "--voice", "ann", "--corpus", corpora["ann"])
    result = run("evaluate", "speech", *arguments, "--sentences", 5, "--keep", tmp_path / "kept")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["model"], report["voice"]) == ("tiny", "ann")
    assert (report["engine"], report["sentences"]) == ("native-int8", 1)
    assert report["temperature"] == 1.0
    assert len(report["sha256"]) == 64
    assert report["wer"] > report["teacher"]["wer"]
    assert report["teacher"]["wer"] < 0.5
    assert report["dnsmos"] < report["teacher"]["dnsmos"] <= 5.0
    assert report["distillmos"] < report["teacher"]["distillmos"] <= 5.0
    assert report["bits_per_sample"] > 3.0
    assert tuple(report["f0_response"]) == ("0.85", "1.0", "1.15")
    assert 60.0 < report["teacher"]["median_f0"] < 500.0
    copied = report["copy_synthesis"]
    assert copied["distillmos"] < report["teacher"]["distillmos"]
    assert copied["distillmos"] != report["distillmos"]
    assert all(0.0 <= part["voiced_share"] <= 1.0 for part in (report, copied, report["teacher"]))
    assert report["real_time_factor"] > 0.0
    assert report["time_to_first_audio_seconds"] > 0.0
    assert len(report["heard"]) == len(report["teacher"]["heard"]) == 1
    (kept,) = (tmp_path / "kept").iterdir()
    wave, rate = soundfile.read(kept)
    assert (kept.name, rate) == ("000.wav", 16000)
    assert np.abs(wave).max() > 0.0
    refused(run("evaluate", "speech", *arguments[:3], "eve", *arguments[4:]), 1, "tiny has no such voice")


def test_voices_can_be_heard_beside_their_recordings(run: Run, corpora: dict[str, Path], tmp_path: Path) -> None:
    result = run("evaluate", "listen", corpora["ann"], corpora["bob"], "--model", "tiny", "-o", tmp_path / "page")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page" / "README.md").read_text()
    assert page.count(SENTENCES[0]) == 2  # one clip of each voice is held out
    files = {path.name for path in (tmp_path / "page").iterdir()} - {"README.md"}
    assert files == {f"{v}-0-{k}.{f}" for v in corpora for k in ("voice", "recording") for f in ("ogg", "png")}
    assert all(f"({name})" in page for name in files)
    recorded = soundfile.info(tmp_path / "page" / "ann-0-recording.ogg")
    with Image.open(tmp_path / "page" / "ann-0-recording.png") as picture:
        assert picture.width == pytest.approx(2 * recorded.duration * 100, abs=4)
        assert len(picture.convert("RGB").getcolors(4096) or ()) > 30
    refused(run("evaluate", "listen", corpora["ann"].parent, "--model", "tiny", "-o", tmp_path), 1, "metadata.csv")


def test_voices_are_judged(run: Run, corpora: dict[str, Path]) -> None:
    result = run("evaluate", "voices", corpora["ann"], corpora["bob"], "--model", "tiny", "--sentences", 1)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert tuple(report) == VOICES
    assert all(part["recognised"] in (0.0, 1.0) and -1.0 <= part["similarity"] <= 1.0 for part in report.values())
    # Noise sounds like neither: both are taken for one of the two.
    assert sum(part["recognised"] for part in report.values()) <= 2.0


def test_nothing_is_held_out(run: Run, corpora: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "ann"
    (folder / "wavs").mkdir(parents=True)
    (corpora["ann"] / "wavs" / "ann_u0000.wav").rename(folder / "wavs" / "a.wav")
    (folder / "metadata.csv").write_text("a|One.|One.\n")
    refused(run("evaluate", "voices", folder, "--model", "tiny"), 1, "no clip is held out")
    (folder / "wavs" / "a.wav").rename(corpora["ann"] / "wavs" / "ann_u0000.wav")
