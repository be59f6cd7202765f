"""The command line: `say`, `draw`, `detect`, `models`, `provenance` and `--help`; what all commands refuse."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
from PIL import Image

from ancestral.catalog.catalog import BUNDLED, CatalogConfig, load_catalog
from ancestral.catalog.seeds import keyed_seeds
from ancestral.errors import InvalidRequest
from ancestral.models import checkpoint
from ancestral.provenance.c2pa import COMPOSITE, SignatureReport, make_trial_chain, read, sign
from ancestral.service.cli.local.model import model_that_speaks
from ancestral.service.cli.main import CommandModules
from tests.library.provenance.support import CLAIM, trial_signer
from tests.service.cli.conftest import Done, Ok
from tests.service.servers import Server, command
from tests.service.toys import SPEECH, write_model

Run = Callable[..., Done]
TEXT = str(SPEECH["input"])
SAY = ("--model", "tiny", "--voice", "ann", "--seed", "7", "-o")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_say_makes_what_the_server_makes(ok: Ok, server: Server, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    done = ok("say", TEXT, *SAY, path)
    assert (done.stdout, b"seed 7" in done.stderr) == (b"", True)
    samples, rate = soundfile.read(path, dtype="int16")
    expected, _ = soundfile.read(io.BytesIO(server.speak().content), dtype="int16")
    assert rate == 16000
    assert np.array_equal(samples, expected)
    if suffix == "wav":
        assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8


def test_say_reads_standard_input_and_streams_to_standard_output(environment: dict[str, str], server: Server) -> None:
    line = command("say", "-", *SAY, "-")
    done = subprocess.run(line, input=TEXT.encode(), env=environment, capture_output=True, timeout=60, check=True)
    assert done.stdout == server.speak().content


def test_say_ends_on_ctrl_c(environment: dict[str, str], tmp_path: Path) -> None:
    line = command("say", "The birch canoe slid on. " * 300, "--speed", "0.25", *SAY, str(tmp_path / "a.wav"))
    process = subprocess.Popen(line, env=environment | {"FORCE_COLOR": "1"}, stderr=subprocess.PIPE)
    with process.stderr:
        while (read := process.stderr.read(1)) != b"\x1b":  # of the progress bar; the log has no colours
            assert read
        process.send_signal(signal.SIGINT)
        assert b"Traceback" not in process.stderr.read()
    assert process.wait(30) == 130
    assert not (tmp_path / "a.wav").exists()


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("say Hi -o a.wav --voice nobody", 1, "voice: tiny has no such voice; it has ann, bob"),
        ("say Hi -o a.wav --model other", 1, "no such model; available: autoencoder, binary, broken, diagonal, "),
        ("say \u4f60\u597d -o a.wav", 1, "text: "),
        ("say 'Hi <break time=\"1s\"/>' -o a.wav", 1, "SSML"),
        ("say Hi -o a.ogg", 2, ".flac"),
        ("say Hi -o a.wav --speed 9", 2, "--speed"),
        ("say Hi -o a.wav --temperature nan", 2, "--temperature"),
        ("say Hi -o a.wav --seed -1", 2, "--seed"),
        ("say Hi", 2, "--output"),
        ("say Hi -o /nowhere/a.wav", 1, "/nowhere/a.wav: there is no directory /nowhere"),
        # The output is checked first: there is no model that could sample.
        ("ANCESTRAL_MODELS_DIR=empty say Hi -o /nowhere/a.wav", 1, "there is no directory /nowhere"),
        ("ANCESTRAL_MODELS_DIR=empty draw 1 -o /nowhere/a.png", 1, "there is no directory /nowhere"),
        ("ANCESTRAL_MODELS_DIR=empty models", 1, "there is no model in empty"),
        ("read book.txt -o a.ogg", 2, "must end in .m4b, .mp3, .flac, .opus, .wav, .epub"),
        ("read book.txt -o /nowhere/a.mp3", 1, "there is no directory /nowhere"),
        ("read book.txt -o a.mp3 --voice nobody", 1, "voice: tiny has no such voice; it has ann, bob"),
        ("read book.txt -o a.mp3 --voices ANNA=nobody", 1, "voices: ANNA: tiny has no such voice; it has ann, bob"),
        ("read book.txt -o a.mp3 --voices ANNA", 2, "'ANNA' is not like ANNA=emma"),
        ("read book.txt -o a.mp3 --model free", 1, "model: free is not made for speech"),
        ("read book.txt -o a.mp3 --model other", 1, "no such model"),
        ("read book.txt -o a.wav --cover book.txt", 2, "--cover: a .wav file has none; .m4b, .mp3, .flac have"),
        ("read book.txt -o a.mp3 --cover book.txt", 1, "cover: neither a PNG nor a JPEG"),
        ("read book.txt -o a.mp3 --api-key-file book.txt", 2, "--api-key-file is for --url"),
        ("read book.txt -o a.mp3 --url ftp://x", 1, "ftp://x: not the URL of a server"),
        ("read book.txt -o a.mp3 --url http://127.0.0.1:1", 1, "http://127.0.0.1:1: the server does not answer"),
        ("read book.txt -o a.mp3 --speed 9", 2, "--speed"),
        ("read book.txt -o a.epub", 1, "no EPUB"),
        ("read book.txt -o a.epub --split", 2, "an .epub shows its words itself"),
        ("read book.txt -o a.mp3 --captions ass", 2, "--captions"),
        ("read latin.txt -o a.mp3", 1, "not UTF-8 at byte 2; iconv"),
        ("read zip.txt -o a.mp3", 1, "zip.txt: a damaged ZIP file"),
        ("read markup.txt -o a.mp3", 1, "line 5: "),
        ("read voice.txt -o a.mp3", 1, "line 3: '[voice:zoe]' (a voice, at position 0): tiny has no such voice"),
        ("read nothing.txt -o a.mp3", 1, "there is nothing to speak in it"),
        ("read chapters.txt -o a.mp3", 1, "has 256 headings"),
        ("detect --recipe { a.png", 2, "Error"),
        ("detect --recipe @/nowhere a.png", 2, "Error"),
        ("detect --model nobody a.png", 1, "Error"),
        ("detect --counters 100 a.png", 2, "--counters needs ANCESTRAL_PROVENANCE_KEY"),
        ("detect book.txt", 1, "file: it is not a PNG"),
        ("mcp --http 8090", 2, "is not like 127.0.0.1:8090"),
        ("mcp --http 127.0.0.1:99999", 2, "is not like 127.0.0.1:8090"),
        ("mcp --http 0.0.0.0:8090", 2, "--token-file is needed"),
        ("mcp --http example.org:8090", 2, "--token-file is needed"),
        ("mcp --token-file book.txt", 2, "--token-file is for --http"),
        ("mcp --api-key-file book.txt", 2, "--api-key-file is for --url"),
        ("mcp --url http://127.0.0.1:1", 1, "the server does not answer"),
        ("speech-dispatcher --install --model tiny --voice nobody", 1, "no such voice"),
        ("speech-dispatcher --install --model rgb", 1, "not made for speech"),
        ("speech-dispatcher --install --api-key-file book.txt", 2, "--api-key-file is for --url"),
    ],
)  # fmt: skip
def test_refusals(
    ancestral: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "book.txt": b"Yes.\n", "latin.txt": "Größe".encode("latin-1"), "markup.txt": b"Chapter 1\n\nYes.\n\nNo <b>.\n",
        "zip.txt": b"PK\x03\x04\x14\x00mimetypeapplication/epub+zip", "voice.txt": b"Yes.\n\n[voice:zoe] No.\n",
        "nothing.txt": b"", "chapters.txt": "".join(f"Chapter {n}\n\n" for n in range(256)).encode(), "a.png": PNG,
    }  # fmt: skip
    for name, data in files.items():
        Path(name).write_bytes(data)
    Path("empty").mkdir()
    words = shlex.split(line)
    variables = dict(word.split("=") for word in words if word.startswith("ANCESTRAL_"))
    words = words[len(variables) :] + ["--model", "tiny"] * (words[0] in ("say", "read") and "--model" not in words)
    done = ancestral(*words, **variables, HOME=str(tmp_path))
    assert (done.returncode, message in done.stderr.decode()) == (code, True), done.stderr
    assert b"Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {*files, "empty"}


PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


def test_an_output_that_may_not_be_written() -> None:
    # As another user, because root may write everywhere.
    code = (
        "import os, pathlib, sys; from ancestral import command_line as cli; os.getuid() or os.setuid(65534); "
        "cli.check_output(pathlib.Path(sys.argv[1]))"
    )
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o555)
        line = [sys.executable, "-c", code, f"{directory}/a.wav"]
        done = subprocess.run(line, capture_output=True, timeout=60, check=False)
    assert f"ClickException: {directory}/a.wav: permission denied".encode() in done.stderr


# Models


def test_models_are_listed(ok: Ok) -> None:
    text = ok("models", COLUMNS="200").stdout.decode()
    words = ("tiny", "broken", "Ann", "Bob", "receptive field 7", "CC0-1.0", "rgb", "binary", "grey", "cat", "crayon",
             "Three", "8x6 pixels", "receptive field 3", "Random pictures.")  # fmt: skip
    assert all(word in text for word in words)


def test_models_in_the_data_directory_are_served_too(ancestral: Run, ok: Ok, zoo: Path, tmp_path: Path) -> None:
    shutil.copytree(zoo / "tiny", tmp_path / "models" / "tiny")
    done = ancestral("models", ANCESTRAL_DATA_DIR=str(tmp_path))
    assert (done.returncode, b"tiny: two models have this id" in done.stderr) == (1, True)
    (tmp_path / "empty").mkdir()
    done = ok("models", ANCESTRAL_DATA_DIR=str(tmp_path), ANCESTRAL_MODELS_DIR=str(tmp_path / "empty"))
    assert b"tiny" in done.stdout


SHAPED = b"tiny: voices: sampling: %s needs a model with linear prediction"


def _cut(model: Path) -> None:
    (weights, *_) = sorted(model.glob("*/weights.safetensors"), reverse=True)
    weights.write_bytes(weights.read_bytes()[:-1])


def _swap(model: Path) -> None:
    for before, after in (("wavenet", "other"), ("acoustic", "wavenet"), ("other", "acoustic")):
        (model / before).rename(model / after)


def _other_kind(model: Path) -> None:
    shutil.rmtree(model / "pixelcnn")
    write_model(other := model.parent.with_name(f"{model.parent.name}-other"), kind="audio")
    (other / "wavenet").rename(model / "pixelcnn")


def _no_voices(model: Path) -> None:
    manifest = model / "model.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"voices": []}))


def _other_hop(model: Path) -> None:
    stored = checkpoint.load(model / "acoustic")
    checkpoint.save(model / "acoustic", dataclasses.replace(stored.spec, hop=80), stored.tensors, stored.card)


def _bob_is(changed: str) -> Callable[[Path], object]:
    def damage(model: Path) -> None:
        manifest = model / "model.json"
        manifest.write_text(manifest.read_text().replace('"id": "bob"', changed))

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, b"tiny: wavenet: weights.safetensors"), (_cut, b"rgb: pixelcnn: weights.safetensors"),
        (_other_kind, b"rgb: an image model needs the checkpoint of an image network"), (_no_voices, b"rgb: voices"),
        (_swap, b"tiny: needs the checkpoint of a speech network"),
        (_other_hop, b"tiny: the acoustic model makes frames of (66, 80, 16000)"),
        (_bob_is('"id": "eve"'), b"tiny: voices: the checkpoints have no speaker 'eve'"),
        (_bob_is('"sampling": {"mel_correction": 0.5}, "id": "bob"'), SHAPED % b"mel_correction"),
        (_bob_is('"sampling": {"low_shelf_db": -4.0}, "id": "bob"'), SHAPED % b"low_shelf_db"),
    ],
)  # fmt: skip
def test_a_damaged_model_is_refused_by_name(
    ancestral: Run, zoo: Path, tmp_path: Path, damage: Callable[[Path], None], message: bytes
) -> None:
    name = message.partition(b":")[0].decode()
    shutil.copytree(zoo / name, tmp_path / name)
    damage(tmp_path / name)
    for line in ("models", "serve", "say Hi --model tiny -o a.wav", "draw dog --model rgb -o a.png"):
        if name not in line and ("say" in line or "draw" in line):
            continue
        done = ancestral(*line.split(), ANCESTRAL_MODELS_DIR=str(tmp_path))
        assert (done.returncode, message in done.stderr, b"Traceback" in done.stderr) == (1, True, False), done.stderr


def test_the_model_of_a_voice_is_found_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = load_catalog(CatalogConfig())
    shutil.copytree(BUNDLED, tmp_path / "zoo", ignore=shutil.ignore_patterns("*.safetensors", "*.onnx"))
    monkeypatch.setenv("ANCESTRAL_MODELS_DIR", str(tmp_path / "zoo"))
    voices = {voice.id for model in catalog.speech_models for voice in model.entry.voices}
    assert len(voices) > 20
    for voice in (*voices, *catalog.aliases.voices, "heart(2)+joe(1)"):
        assert model_that_speaks(voice) == catalog.model_and_voice(None, voice)[0].entry.id
    assert model_that_speaks(None) == catalog.speech_models[0].entry.id
    for wrong in ("nobody", "heart("):
        with pytest.raises(InvalidRequest) as refused:
            catalog.model_and_voice(None, wrong)
        with pytest.raises(InvalidRequest, match=re.escape(str(refused.value))):
            model_that_speaks(wrong)


# The program


def test_help_and_version(process: Run) -> None:
    listed = process("--help")
    assert listed.returncode == 0
    commands = re.findall(r"^  ([a-z][a-z-]*)  ", listed.stdout.decode(), re.MULTILINE)
    assert commands == [
        "serve", "worker", "keys", "provenance", "wyoming", "mcp", "speech-dispatcher",
        "say", "read", "draw", "batch", "detect", "models",
        "voice", "corpus", "train", "evaluate", "export",
    ]  # fmt: skip
    assert sorted(commands) == CommandModules().list_commands(click.Context(CommandModules()))
    without = process()
    assert (without.returncode, without.stderr.strip()) == (2, listed.stdout.strip())
    assert process("--version").stdout.startswith(b"ancestral, version ")
    assert process("sing").returncode == 2


def test_an_engine_whose_library_is_missing(process: Run, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError('it is not there', name='onnxruntime')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = process("say", TEXT, "--model", "tiny", "-o", "-", ANCESTRAL_ENGINE="onnx-cpu", PYTHONPATH=path)
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    assert b"tiny: the onnx-cpu engine needs onnxruntime, which is not installed: pip install '.[cpu]'" in done.stderr


# Detection


KEY = "0123456789abcdef" * 2


def test_a_picture_was_made_here_by_its_recipe_or_its_keyed_seed(ancestral: Run, ok: Ok, tmp_path: Path) -> None:
    picture, stripped = tmp_path / "a.png", tmp_path / "b.webp"
    ok("draw", "any", "--model", "rgb", "--seed", int(keyed_seeds(KEY.encode(), 41, 1)[0]), "-o", picture)
    assert ok("detect", picture).stdout.startswith(f"{picture}: made_with_model (p = 10^-".encode())
    with Image.open(picture) as image:  # without its recipe
        Image.fromarray(np.asarray(image)).save(stripped, lossless=True)
    done = ancestral("detect", "--model", "rgb", "--json", str(stripped))
    assert done.returncode == 1
    assert "no provenance key" in json.loads(done.stdout)["seed"]["reason"]
    searched = ("detect", "--model", "rgb", "--counters", "100", "--json", str(stripped))
    answer = json.loads(ok(*searched, ANCESTRAL_PROVENANCE_KEY=KEY).stdout)
    assert (answer["verdict"], answer["seed"]["counter"]) == ("made_here", 41)
    done = ancestral(*searched, ANCESTRAL_PROVENANCE_KEY=KEY[::-1])
    assert (done.returncode, json.loads(done.stdout)["seed"]["status"]) == (1, "not_found")


def test_a_recording_is_made_again_with_its_text(ok: Ok, tmp_path: Path) -> None:
    path, text = tmp_path / "a.flac", "The birch canoe slid."
    ok("say", text, "--model", "shaped", "--voice", "ann", "--seed", 7, "-o", path)
    answer = json.loads(ok("detect", path, "--text", text, "--json").stdout)
    seed = answer["seed"]
    assert (answer["recipe"]["status"], seed["status"], seed["seed"]) == ("equal", "found", 7)


# Signatures


@pytest.fixture
def signing(tmp_path: Path) -> dict[str, str]:
    """The settings of a command that signs."""
    certificate, key = make_trial_chain(tmp_path / "keys", "Commands")
    return {"ANCESTRAL_SIGNING_CERT": str(certificate), "ANCESTRAL_SIGNING_KEY": str(key)}


def _report(file: Path) -> SignatureReport:
    beside = file.with_suffix(".c2pa").read_bytes() if file.suffix == ".opus" else None
    report = read(file.read_bytes(), "", manifest=beside)
    assert (report.valid, report.signer) == (True, "Commands")
    return report


def test_init_makes_what_the_settings_take(ancestral: Run, ok: Ok, tmp_path: Path) -> None:
    done = ok("provenance", "init", tmp_path / "keys", "--name", "Commands")
    assert b"no verifier trusts this certificate" in done.stderr
    settings = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    ok("say", "Yes.", "--model", "tiny", "-o", tmp_path / "yes.wav", **settings)
    _report(tmp_path / "yes.wav")
    again = ancestral("provenance", "init", str(tmp_path / "keys"))
    assert (again.returncode, b"exists" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("line", "form"),
    [("say Yes. --seed 7 -o", form) for form in ("wav", "flac", "opus")]
    + [("read book.txt --title T --seed 7 -o", form) for form in ("m4b", "mp3", "opus")],
)
def test_say_and_read_sign_what_they_write(
    ok: Ok, signing: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, form: str
) -> None:
    monkeypatch.chdir(tmp_path)
    book, plain, signed = Path("book.txt"), Path(f"plain.{form}"), Path(f"signed.{form}")
    book.write_text("Yes. No.\n\nYes.\n")
    for file, settings in ((plain, {}), (signed, signing)):
        ok(*line.split(), file, "--model", "tiny", **settings)
    assert {"model": "tiny", "seed": 7, "voice": "ann"}.items() <= _report(signed).recipe.items()
    beside = {"signed.c2pa"} if form == "opus" else set()
    assert {path.name for path in tmp_path.iterdir()} == {"book.txt", "keys", plain.name, signed.name} | beside
    if form == "opus":
        assert signed.read_bytes() == plain.read_bytes()
    elif form != "m4b":
        assert np.array_equal(soundfile.read(plain)[0], soundfile.read(signed)[0])


def test_draw_signs_each_picture_and_a_sheet(ok: Ok, signing: dict[str, str], tmp_path: Path) -> None:
    common = ("draw", "elf", "--model", "palette", "--seed", 7, "-o")
    ok(*common, tmp_path / "elf.png", "-n", 2, **signing)
    recipes = [_report(tmp_path / f"elf-{index}.png").recipe for index in range(2)]
    assert recipes[0]["seed"] == 7
    assert recipes[0] != recipes[1]
    ok(*common, tmp_path / "sheet.png", "--sheet", "1x2", **signing)
    atlas = json.loads((tmp_path / "sheet.json").read_text())
    seeds = [str(sprite["seed"]) for sprite in atlas["frames"].values()]
    assert _report(tmp_path / "sheet.png").recipe["seeds"] == seeds


def test_draw_like_keeps_the_manifest_of_the_picture(ok: Ok, signing: dict[str, str], tmp_path: Path) -> None:
    like, new = tmp_path / "like.png", tmp_path / "new.png"
    Image.new("L", (8, 6), 255).save(like)
    like.write_bytes(sign(like.read_bytes(), "image/png", CLAIM, trial_signer(tmp_path / "other", "Other")))
    ok("draw", "--like", like, "--model", "autoencoder", "-o", new, **signing)
    report = _report(new)
    assert (report.ingredients, report.source != COMPOSITE) == (["upload"], True)


@pytest.mark.parametrize("command", ["serve", "say Yes. -o yes.wav", "draw elf -o elf.png"])
def test_a_certificate_that_cannot_be_used_ends_a_command_before_it_begins(
    command: str, ancestral: Run, signing: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = str(make_trial_chain(tmp_path / "other", "Other")[1])
    for name, value, message in (
        ("ANCESTRAL_SIGNING_KEY", None, "not set, but ANCESTRAL_SIGNING_CERT is"),
        ("ANCESTRAL_SIGNING_KEY", other, ""),
        ("ANCESTRAL_SIGNING_CERT", other, ""),
        ("ANCESTRAL_SIGNING_CERT", str(tmp_path / "none"), "Path does not point to a file"),
    ):
        settings = {name: value for name, value in (signing | {name: value}).items() if value is not None}
        done = ancestral(*command.split(), **settings)
        assert done.returncode == 1
        assert done.stderr.decode().startswith(f"Error: {name}: {message}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "other"]
