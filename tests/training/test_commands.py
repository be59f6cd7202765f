"""`ancestral corpus`, `train`, `evaluate` and `voice add`, from sound files to a report and to a model that is
served; models and steps are too few to be of any use."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from click.testing import Result

from ancestral_models.architectures.classifier import EncoderSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.checkpoint import load
from ancestral_training.corpora import read, sentences
from tests.service.cli.conftest import Run
from tests.service.toys import VOICES
from tests.training.pictures import QUARTERS, quarters, write_set
from tests.training.sounds import SENTENCES, said, write_ljspeech

TINY = ("--layers", 2, "--features", 4, "--processes", 1)


def passed(result: Result, said: str = "") -> Result:
    assert result.exit_code == 0, result.output
    assert said in result.stderr.replace("\n", "")
    return result


def refused(result: Result, message: str, code: int = 1) -> None:
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert isinstance(result.exception, SystemExit)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two voices of the tiny model, in LJSpeech's layout: Heart, and Heart slowed down. One clip of each held out."""
    folders = {voice: tmp_path_factory.mktemp("corpora") / voice for voice in VOICES}
    for (voice, folder), slower in zip(folders.items(), (1.0, 1.3), strict=True):
        names = (f"{voice}_s0000", f"{voice}_u0000")
        write_ljspeech(folder, {n: (t, said("heart", t, slower)) for n, t in zip(names, SENTENCES, strict=True)})
    return folders


def test_from_sound_files_to_checkpoints(run: Run, corpora: dict[str, Path], tmp_path: Path) -> None:
    arrays, folders = tmp_path / "arrays", [tmp_path / voice for voice in corpora]
    for folder, out in zip(corpora.values(), folders, strict=True):
        passed(run("corpus", "align", folder, "-o", out), f"{out}: 2 clips")
    refused(run("corpus", "align", out, "-o", out / "wavs" / ".."), "output: must be another folder")
    passed(run("corpus", "prepare", *folders, "-o", arrays, "--processes", 1), "arrays: 4 of 4 clips")

    shared = ["--data", arrays, "--speakers", "ann=2, bob", "--steps", 1, "--batch", 1, "--processes", 1]
    for kind in ("wavenet", "acoustic"):
        passed(run("train", kind, *shared, "-o", tmp_path / kind, "--learning-rate", 0.001))
        made = load(tmp_path / kind / "checkpoint")
        assert (made.spec.kind, made.spec.speakers) == (kind, VOICES)
        assert "| steps | 1 |" in made.card
        assert "| learning_rate | 0.001 |" in made.card
    free = [*shared, "--free", "--crop", 20, "-o", tmp_path / "free"]
    passed(run("train", "wavenet", *free, "--stacks", 2))
    spec = load(tmp_path / "free" / "checkpoint").spec_as(WaveNetSpec)
    assert (spec.local_channels, spec.layers, spec.receptive_field) == (0, 24, 8191)
    refused(run("train", "wavenet", *free, "--blur", 0.5), "--blur: a network without frames", 2)
    refused(run("train", "acoustic", *shared, "-o", tmp_path / "acoustic", "--seed", 1), "seed: this run was started")


def test_a_trunk_of_the_excitation_and_its_branch(run: Run, corpus: Path, tmp_path: Path) -> None:
    shaped = ["--shaping", "linear_prediction"]
    passed(run("corpus", "prepare", corpus, "-o", tmp_path / "data", "--processes", 1, *shaped))
    sizes = ["--batch", 1, "--processes", 1, "--blur", 1, "--crop", 10]
    shared = ["train", "wavenet", "--data", tmp_path / "data", *sizes, "--speakers"]
    first, trunk, out = (tmp_path / name for name in ("first", "trunk", "branch"))
    rate = ["--learning-rate", 0.004, "--warmup", 1, "--decay", 0, "--steps", 1]
    passed(run(*shared, "ann", *shaped, *rate, "-o", first))
    passed(run(*shared, "ann,bob", *shaped, "--start", first / "checkpoint", "--steps", 2, "-o", trunk))
    branch = [*shared, "ann,bob", *shaped, "--anneal-from", trunk, "--steps", 3, "-o"]
    passed(run(*branch, out))
    made = load(out / "checkpoint")
    spec = made.spec_as(WaveNetSpec)
    assert (spec.shaping, spec.speakers) == ("linear_prediction", VOICES)
    for words in ("| steps | 5 |", "| decay | 0.6 |", "| learning_rate | 0.002 |", "| warmup | 1 |"):
        assert words in made.card
    assert load(first / "checkpoint").sha256 in load(trunk / "checkpoint").card
    refused(run(*branch, out, "--decay", 0.5), "decay: the learning rate of a branch")


def test_a_picture_run_begins_with_the_weights_of_another(run: Run, tmp_path: Path) -> None:
    pictures = write_set(tmp_path / "pictures.npz", dict(QUARTERS), quarters(16, 0), quarters(16, 1))
    size = ["--levels", 2, "--output-features", 4, "--batch", 4, "--steps", 2, *TINY]
    small = ["train", "pixelcnn", "--data", pictures, *size, "--precision"]
    runs = {"first": ["float32"], "other": ["bfloat16"], "dropped": ["float32", "--label-dropout", 1]}
    for name, options in runs.items():
        passed(run(*small, *options, "-o", tmp_path / name))
    first, *others = (load(tmp_path / name / "checkpoint") for name in runs)
    assert all(other.sha256 != first.sha256 for other in others), "the options are used"
    passed(run(*small, "float32", "--start", first.path, "-o", tmp_path / "second"))
    assert f"| started from the weights of SHA-256 | {first.sha256} |" in load(tmp_path / "second" / "checkpoint").card


def test_an_encoder_is_trained_on_identities(run: Run, tmp_path: Path) -> None:
    owners = {"identity_train": np.arange(16) // 4, "identity_test": 10 + np.arange(16) // 2}
    people = write_set(tmp_path / "people.npz", dict(QUARTERS), quarters(16, 0), quarters(16, 1), **owners)
    command = ["train", "encoder", "--code", 3, "--steps", 2, *TINY, "-o", tmp_path / "faces", "--data"]
    passed(run(*command, people, "--batch", 16))
    made = load(tmp_path / "faces" / "checkpoint")
    assert made.spec == EncoderSpec(height=8, width=8, channels=1, layers=2, features=4, code=3)
    assert "| valid_chance_1 | 0.1250 |" in made.card


def test_corpora_are_built(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "WORDNET", tmp_path)
    monkeypatch.setattr(sentences, "HELD_OUT", 1)
    heart = ["corpus", "build", "heart", "-o", tmp_path / "heart"]
    refused(run(*heart), "apt-get install wordnet-base")
    hindi = ["corpus", "build", "kokoro", "--voice", "hf_alpha", "-o", tmp_path / "alpha"]
    refused(run(*hindi), "count: there are 265 sentences in this language (hi)")
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{part}").write_text(f'00001740 03 n | "the {part} stood in the old garden"\n')
    passed(run(*heart, "--count", 2), "heart: 3 clips")
    assert [clip.id for clip in read(tmp_path / "heart")] == ["heart_s0000", "heart_u0000", "heart_u0001"]


def test_broken_corpora_are_refused(run: Run, tmp_path: Path) -> None:
    empty, broken, out = (tmp_path / name for name in ("ann", "broken", "out"))
    empty.mkdir()
    (broken / "wavs").mkdir(parents=True)
    (broken / "wavs" / "a.wav").write_bytes(b"no sound")
    (broken / "metadata.csv").write_text("a|One.|One.\n")
    for arguments in (("align", broken), ("prepare", "--processes", 1, broken), ("prepare", broken)):
        refused(run("corpus", *arguments, "-o", out), "a.wav")
    for arguments in (("voices", empty), ("listen", empty, "-o", out)):
        refused(run("evaluate", *arguments, "--model", "tiny"), "neither metadata.csv")


@pytest.mark.slow
def test_speech_is_judged(run: Run, corpora: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper")
    arguments = ("evaluate", "speech", "--model", "tiny", "--corpus", corpora["ann"], "--voice")
    report = json.loads(passed(run(*arguments, "ann", "--sentences", 5, "--keep", tmp_path / "kept")).stdout)
    assert (report["model"], report["voice"], report["engine"]) == ("tiny", "ann", "native-int8")
    assert (report["sentences"], report["temperature"], len(report["sha256"])) == (1, 1.0, 64)
    teacher, copied = report["teacher"], report["copy_synthesis"]
    assert report["wer"] > teacher["wer"] < 0.5
    assert report["dnsmos"] < teacher["dnsmos"] <= 5.0
    assert copied["distillmos"] != report["distillmos"] < teacher["distillmos"] <= 5.0
    assert copied["distillmos"] < teacher["distillmos"]
    assert report["bits_per_sample"] > 3.0
    assert tuple(report["f0_response"]) == ("0.85", "1.0", "1.15")
    assert report["real_time_factor"] > 0.0 < report["time_to_first_audio_seconds"]
    (kept,) = (tmp_path / "kept").iterdir()
    wave, rate = soundfile.read(kept)
    assert (kept.name, rate) == ("000.wav", 16000)
    assert np.abs(wave).max() > 0.0
    refused(run(*arguments, "eve"), "tiny has no such voice")


def test_voices_can_be_heard_beside_their_recordings(run: Run, corpora: dict[str, Path], tmp_path: Path) -> None:
    passed(run("evaluate", "listen", *corpora.values(), "--model", "tiny", "-o", tmp_path / "page"))
    assert (tmp_path / "page" / "README.md").read_text().count(SENTENCES[0]) == 2  # one clip of each voice is held out
    files = {path.name for path in (tmp_path / "page").iterdir()} - {"README.md"}
    assert files == {f"{v}-0-{k}.{f}" for v in corpora for k in ("voice", "recording") for f in ("ogg", "png")}


def test_language_tags(run: Run, corpora: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("ancestral_training.corpora.align_clips", lambda _c, _o, tag, _p: seen.append(tag) or [])
    for tag in ("en-GB", "xx"):
        result = run("corpus", "align", corpora["ann"], "-o", tmp_path, "--language", tag)
    refused(result, "language 'xx' is not read")
    assert seen == ["en-GB"]


def test_voices_are_judged(run: Run, corpora: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    judged = passed(run("evaluate", "voices", *corpora.values(), "--model", "tiny", "--sentences", 1))
    report = json.loads(judged.stdout)
    assert tuple(report) == VOICES
    assert all(part["recognised"] in (0.0, 1.0) and -1.0 <= part["similarity"] <= 1.0 for part in report.values())
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    monkeypatch.setattr("ancestral_training.cli.evaluate._spoken", None)
    refused(run("evaluate", "voices", corpora["ann"], "--model", "tiny"), "resemblyzer")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty recordings of Heart, each at its own speed, and their text."""
    folder, lines = tmp_path_factory.mktemp("recordings"), []
    for number in range(15):
        for kind, text in enumerate(SENTENCES):
            name = f"{kind}_{number}"
            wave = soxr.resample(said("heart", text, 0.9 + 0.02 * number), 16000, 24000)
            soundfile.write(folder / f"{name}.flac", wave, 24000)
            lines.append(f"{name}|{text}\n" if kind else f"{name}.flac|{text}|{text}\n")
    (folder / "metadata.csv").write_text("".join(lines))
    return folder


@pytest.fixture
def add(recordings: Path, tmp_path: Path) -> list[object]:
    """Trains a voice of the recordings for two steps."""
    steps = ("--wavenet-steps", 1, "--acoustic-steps", 1, "--processes", 1, "--work", tmp_path / "work")
    return ["voice", "add", "--audio", recordings, *steps, "--text"]


def test_a_voice_of_ones_own(
    run: Run, add: list[object], recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mary = [*add, recordings / "metadata.csv", "--base", "tiny", "--gender", "female", "mary"]
    passed(run(*mary), "30 recordings")
    assert "mary" in run("models").output
    passed(run("say", "Hello.", "--model", "mary", "--voice", "mary", "-o", tmp_path / "hello.wav"))
    hello = soundfile.info(tmp_path / "hello.wav")
    assert (hello.samplerate, hello.frames > 1000) == (24000, True), "the recordings say what lies above 8 kHz"
    refused(run(*mary[:-1], "eve"), "work is of other recordings, texts, another base or language")
    figures = dict.fromkeys(("wer", "distillmos", "dnsmos", "median_f0", "voiced_share"), 0.5)
    monkeypatch.setattr("ancestral_training.cli.voice.find_spec", lambda name: name)
    for judge in ("Listener", "OpinionJudge"):
        monkeypatch.setattr(f"ancestral_training.evaluation.speech.{judge}", object)
    report = {"sentences": 2, "teacher": figures, **figures}
    monkeypatch.setattr("ancestral_training.cli.evaluate.speech_report", lambda *_, **__: report)
    for _ in range(2):  # as after a stop while it was judged
        model = passed(run(*mary, "--evaluate"), "there already").stderr.split(":")[0]
        assert load(Path(model) / "wavenet").card.count("| wer | 0.500 | 0.500 |") == 1
    refused(run(*mary[:-1], "tiny", "--evaluate"), "there is a model")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0_0 The birch canoe.\n", "metadata.txt:1: expected FILE|TEXT"),
        ("0_0|\n", "metadata.txt:1: expected FILE|TEXT"),
        ("nothing|The birch canoe.\n", "nothing is missing"),
        ("../secret|The birch canoe.\n", "'../secret' is not in"),
        ("0_0|The birch canoe.\n", "1 recordings; at least 12 are needed"),
        ("".join(f"0_{number % 15}|Тест.\n" for number in range(12)), "must match their text, not 0"),
    ],
)
def test_recordings_that_cannot_be_used(run: Run, add: list[object], tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metadata.txt").write_text(text)
    refused(run(*add, tmp_path / "metadata.txt", "--base", "tiny", "mary"), message)


@pytest.mark.parametrize(
    ("name", "base", "message"),
    [("tiny", "tiny", "there is a model"), ("../x", "tiny", "id: lowercase"),
     ("mary", "nope", "'nope' is no model that reads text")],
)  # fmt: skip
def test_refused_names(run: Run, add: list[object], recordings: Path, name: str, base: str, message: str) -> None:
    refused(run(*add, recordings / "metadata.csv", "--base", base, name), message)
