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
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

from ancestral.catalog.catalog import BUNDLED, CatalogConfig, load_catalog
from ancestral.catalog.seeds import keyed_seeds
from ancestral.errors import InvalidRequest
from ancestral.local import first_that_speaks
from ancestral.provenance.c2pa import SignatureReport, make_trial_chain, read
from ancestral_models import checkpoint
from ancestral_service.cli import main
from ancestral_service.cli.local import model
from tests.paths import ROOT
from tests.service.cli.conftest import Run
from tests.service.refusals import at_the_door
from tests.service.servers import Server, command
from tests.service.toys import SPEECH, write_model

TEXT = str(SPEECH["input"])
SAY = ("--model", "tiny", "--voice", "ann", "--seed", "7", "-o")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [(["--help"], 0, b"Speak, draw or score every row"), (["batch", "a.csv", "-o", "b"], 1, b"pip install '.[batch]'"),
     (["phonemize", "Hi."], 0, b"sil HH AY1 .")],
)  # fmt: skip
def test_what_needs_no_extra(line: list[str], code: int, said: bytes) -> None:
    extras = [
        "av",
        "c2pa",
        "fastapi",
        "fsspec",
        "mcp",
        "onnxruntime",
        "pyarrow",
        "ray",
        "redis",
        "starlette",
        "torch",
        "wyoming",
    ]
    program = f"import sys; sys.modules |= dict.fromkeys({extras}); from ancestral_service.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, *line], capture_output=True, timeout=60, check=False)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stderr


def test_commands_without_a_server_log_as_told(ok: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(model, "configure_logging", lambda *given: told.append(given))
    for variables in ({}, {"ANCESTRAL_LOG_FORMAT": "json", "ANCESTRAL_LOG_LEVEL": "info"}):
        ok("say", TEXT, *SAY, tmp_path / "a.wav", **variables)
    assert told == [("warning", "text"), ("info", "json")]


def test_say_makes_what_the_server_makes(ok: Run, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    done = ok("say", TEXT, *SAY, path)
    assert (done.stdout, b"seed 7" in done.stderr) == (b"", True)
    samples, rate = soundfile.read(path, dtype="int16")
    expected, _ = soundfile.read(io.BytesIO(server.speak().content), dtype="int16")
    assert rate == 16000
    assert np.array_equal(samples, expected)
    assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8


def test_say_reads_standard_input_and_streams_to_standard_output(environment: dict[str, str], server: Server) -> None:
    line = command("say", "-", *SAY, "-")
    done = subprocess.run(line, input=TEXT.encode(), env=environment, capture_output=True, timeout=60, check=True)
    assert done.stdout == server.speak().content
    done = subprocess.run(line, input=b"Gr\xf6\xdfe", env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, b"TEXT: not UTF-8 at byte 2" in done.stderr) == (2, True)


def test_phonemize_tells_what_the_server_tells(ok: Run, server: Server, tmp_path: Path) -> None:
    text = "It is 249 km. Привет!"
    (tmp_path / "a.txt").write_text(text, "utf-8")
    told = httpx.get(f"{server.url}/v1/audio/phonemize", params={"text": text, "voice": "ann"}).json()
    for words in ((text, "--voice", "ann"), ("--file", tmp_path / "a.txt", "--language", "en")):
        assert json.loads(ok("phonemize", *words, "--json").stdout) == told
        done = ok("phonemize", *words)
        assert done.stdout.decode().splitlines() == [sentence["phonemes"] for sentence in told["sentences"]]
        assert done.stderr.decode() == "skipped: Привет\n"


def test_phonemize_names_skipped_code_in_one_short_line(ok: Run) -> None:
    code = "```\n" + "print(1)\n" * 100 + "```"
    (line,) = ok("phonemize", f"Look.\n\n{code}", "--input-format", "markdown").stderr.decode().splitlines()
    assert line.startswith("skipped: ")
    assert len(line) < 220


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


@at_the_door("command")
def test_refusals(ancestral: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str, told: str) -> None:
    monkeypatch.chdir(tmp_path)
    files = {
        "book.txt": b"Yes.\n", "latin.txt": "Größe".encode("latin-1"), "markup.txt": b"Chapter 1\n\nYes.\n\nNo <b>.\n",
        "zip.txt": b"PK\x03\x04\x14\x00mimetypeapplication/epub+zip", "voice.txt": b"Yes.\n\n[voice:zoe] No.\n",
        "nothing.txt": b"", "chapters.txt": "".join(f"Chapter {n}\n\n" for n in range(256)).encode(), "a.png": PNG,
    }  # fmt: skip
    for name, data in files.items():
        Path(name).write_bytes(data)
    Path("empty").mkdir()
    words = shlex.split(sent)
    variables = dict(word.split("=") for word in words if word.startswith("ANCESTRAL_"))
    words = words[len(variables) :] + ["--model", "tiny"] * (words[0] in ("say", "read") and "--model" not in words)
    done = ancestral(*words, **variables, HOME=str(tmp_path))
    code, message = told.split(" ", 1)
    assert (done.returncode, message in done.stderr.decode()) == (int(code), True), done.stderr
    assert b"Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {*files, "empty"}


PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


# Models


def test_models_in_the_data_directory_are_served_too(ancestral: Run, ok: Run, zoo: Path, tmp_path: Path) -> None:
    shutil.copytree(zoo / "tiny", tmp_path / "models" / "tiny")
    done = ancestral("models", ANCESTRAL_DATA_DIR=str(tmp_path))
    assert (done.returncode, b"tiny: two models have this id" in done.stderr) == (1, True)
    (tmp_path / "empty").mkdir()
    done = ok("models", ANCESTRAL_DATA_DIR=str(tmp_path), ANCESTRAL_MODELS_DIR=str(tmp_path / "empty"))
    assert b"tiny" in done.stdout


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


def _other_hop(model: Path) -> None:
    stored = checkpoint.load(model / "acoustic")
    checkpoint.save(model / "acoustic", dataclasses.replace(stored.spec, hop=80), stored.tensors, stored.card)


def _manifest(before: str, after: str) -> Callable[[Path], object]:
    return lambda model: (file := model / "model.json").write_text(file.read_text().replace(before, after))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, b"tiny: wavenet: weights.safetensors"), (_cut, b"rgb: pixelcnn: weights.safetensors"),
        (_other_kind, b"rgb: an image model needs the checkpoint of an image network"),
        (_manifest('"kind"', '"voices": [], "kind"'), b"rgb: voices"),
        (_swap, b"tiny: needs the checkpoint of a speech network"),
        (_other_hop, b"tiny: the acoustic model makes frames of (66, 80, 16000)"),
        (_manifest('"id": "bob"', '"id": "eve"'), b"tiny: voices: the checkpoints have no speaker 'eve'"),
        (_manifest('"id": "bob"', '"sampling": {"low_shelf_db": -4.0}, "id": "bob"'),
         b"tiny: voices: sampling: low_shelf_db needs a model with linear prediction"),
    ],
)  # fmt: skip
def test_damaged_models(ancestral: Run, zoo: Path, tmp_path: Path, damage: Any, message: bytes) -> None:
    name = message.partition(b":")[0].decode()
    shutil.copytree(zoo / name, tmp_path / name)
    damage(tmp_path / name)
    for line in ("models", "serve", "say Hi --model tiny -o a.wav", "draw dog --model rgb -o a.png"):
        if name not in line and ("say" in line or "draw" in line):
            continue
        done = ancestral(*line.split(), ANCESTRAL_MODELS_DIR=str(tmp_path))
        assert (done.returncode, message in done.stderr, b"Traceback" in done.stderr) == (1, True, False), done.stderr


def test_the_model_of_a_voice_is_found_without_weights(tmp_path: Path) -> None:
    catalog = load_catalog(CatalogConfig())
    shutil.copytree(BUNDLED, tmp_path / "zoo", ignore=shutil.ignore_patterns("*.safetensors", "*.onnx"))
    config = CatalogConfig((tmp_path / "zoo",))
    voices = {voice.id for model in catalog.speech_models for voice in model.entry.voices}
    assert len(voices) > 20
    for voice in (*voices, *catalog.aliases.voices, "heart(2)+joe(1)"):
        assert first_that_speaks(config, voice) == catalog.model_and_voice(None, voice)[0].entry.id
    assert first_that_speaks(config) == catalog.speech_models[0].entry.id
    for wrong in ("nobody", "heart("):
        with pytest.raises(InvalidRequest) as refused:
            catalog.model_and_voice(None, wrong)
        with pytest.raises(InvalidRequest, match=re.escape(str(refused.value))):
            first_that_speaks(config, wrong)


# The program


def test_an_engine_whose_library_is_missing(process: Run, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError('it is not there', name='onnxruntime')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    for words in (("say", TEXT, "--model", "tiny", "-o", "-"), ("worker", "--check")):  # other models are native
        done = process(*words, ANCESTRAL_ENGINE="onnx-cpu", PYTHONPATH=path)
        assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
        assert b": the onnx-cpu engine needs onnxruntime, which is not installed: pip install '.[cpu]'" in done.stderr


@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [("redis", "serve", ("worker", "--check")), ("av", "aac", ("say", TEXT, "--model", "tiny", "-o", "a.opus")),
     ("av", "aac", ("read", os.devnull, "-o", "a.mp3")),  # before the text is read
     ("pyarrow", "batch", ("batch", "a.csv", "-o", "out"))],
)  # fmt: skip
def test_an_extra_that_is_not_installed(
    process: Run, tmp_path: Path, module: str, extra: str, words: tuple[str]
) -> None:
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('it is not there', name='{module}')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = process(*words, PYTHONPATH=path)
    assert done.returncode == 1
    assert done.stderr.endswith(f" needs {module}, which is not installed: pip install '.[{extra}]'\n".encode())


def test_commands_of_other_distributions(process: Run, tmp_path: Path) -> None:
    (info := tmp_path / "more-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: more\nVersion: 1.0\nSummary: More\n")
    names = ["zeta", "beta", "alpha", "broken", "delta"]
    lines = [f"{name} = {'nowhere:command' if name == 'broken' else 'more_commands:command'}" for name in names]
    (info / "entry_points.txt").write_text("\n".join(["[ancestral.commands]", *lines]))
    (tmp_path / "more_commands.py").write_text("import click\ncommand = click.Command('c', help='More.')\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    shown = process("--help", PYTHONPATH=path).stdout.decode().partition("\nMore:\n")[2]
    assert re.findall(r"^  (\w+) +More\.$", shown, re.MULTILINE) == ["zeta", "beta", "alpha", "delta"]
    done = process("broken", PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (1, b"Error: broken: No module named 'nowhere'\n")


@pytest.mark.parametrize("folder", ["integrations", "training"])
def test_commands_elsewhere_are_entry_points(folder: str) -> None:
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    assert main._ELSEWHERE[project["name"]] == (folder, tuple(project["entry-points"]["ancestral.commands"]))


# Detection


KEY = "0123456789abcdef" * 2


def test_a_picture_was_made_here_by_its_recipe_or_its_keyed_seed(ancestral: Run, ok: Run, tmp_path: Path) -> None:
    picture, stripped = tmp_path / "a.png", tmp_path / "b.webp"
    ok("draw", "any", "--model", "rgb", "--seed", int(keyed_seeds(KEY.encode(), 41, 1)[0]), "-o", picture)
    assert ok("detect", picture).stdout.startswith(f"{picture}: made_with_model (p = 10^-".encode())
    done = ancestral("detect", __file__, str(picture))
    assert (done.returncode, f"Error: {__file__}: file: ".encode() in done.stderr) == (1, True)
    assert done.stdout.startswith(f"{picture}: made_with_model".encode())
    with Image.open(picture) as image:  # without its recipe
        Image.fromarray(np.asarray(image)).save(stripped, lossless=True)
    searched = ("detect", "--model", "rgb", "--counters", "100", "--json", str(stripped))
    answer = json.loads(ok(*searched, ANCESTRAL_PROVENANCE_KEY=KEY).stdout)
    assert (answer["verdict"], answer["seed"]["counter"]) == ("made_here", 41)
    done = ancestral(*searched, ANCESTRAL_PROVENANCE_KEY=KEY[::-1])
    assert (done.returncode, json.loads(done.stdout)["seed"]["status"]) == (1, "not_found")


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


def test_init_makes_what_the_settings_take(ancestral: Run, ok: Run, tmp_path: Path) -> None:
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
    ok: Run, signing: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, form: str
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


def test_a_file_with_the_own_signature_was_made_here(ok: Run, signing: dict[str, str], tmp_path: Path) -> None:
    ok("draw", "any", "--model", "rgb", "-o", tmp_path / "a.png", **signing)
    for settings, verdict in ((signing, b"made_here"), ({}, b"made_with_model")):
        assert verdict in ok("detect", tmp_path / "a.png", **settings).stdout


def test_draw_signs_each_picture_and_a_sheet(ok: Run, signing: dict[str, str], tmp_path: Path) -> None:
    common = ("draw", "elf", "--model", "palette", "--seed", 7, "-o")
    ok(*common, tmp_path / "elf.png", "-n", 2, **signing)
    recipes = [_report(tmp_path / f"elf-{index}.png").recipe for index in range(2)]
    assert recipes[0]["seed"] == 7
    assert recipes[0] != recipes[1]
    ok(*common, tmp_path / "sheet.png", "--sheet", "1x2", **signing)
    atlas = json.loads((tmp_path / "sheet.json").read_text())
    seeds = [str(sprite["seed"]) for sprite in atlas["frames"].values()]
    assert _report(tmp_path / "sheet.png").recipe["seeds"] == seeds


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
