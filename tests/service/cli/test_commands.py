"""The command line: `ancestral say`, `draw`, `models` and `--help`, and its error messages."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile

from ancestral.models import checkpoint
from ancestral.service.cli.main import CommandModules
from tests.service.servers import Server, command
from tests.service.toys import SPEECH

Run = Callable[..., subprocess.CompletedProcess[bytes]]
TEXT = str(SPEECH["input"])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_say_makes_what_the_server_makes(ancestral: Run, server: Server, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    done = ancestral("say", TEXT, "--model", "tiny", "--voice", "ann", "--seed", "7", "-o", str(path))
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"seed 7" in done.stderr
    samples, rate = soundfile.read(path, dtype="int16")
    expected, _ = soundfile.read(io.BytesIO(server.speak().content), dtype="int16")
    assert rate == 16000
    assert np.array_equal(samples, expected)


def test_say_has_lines_said_by_their_voices(ancestral: Run, server: Server, tmp_path: Path) -> None:
    path, text, names = tmp_path / "a.wav", "No!\nBEN: No!\n[voice:ann] No!", ("--voices", "BEN=bob")
    done = ancestral("say", text, *names, "--voice", "ann", "--model", "tiny", "--seed", "7", "-o", str(path))
    assert done.returncode == 0, done.stderr
    expected, _ = soundfile.read(io.BytesIO(server.speak(input=text, voices={"BEN": "bob"}).content), dtype="int16")
    assert np.array_equal(soundfile.read(path, dtype="int16")[0], expected)


def test_a_stored_wav_has_its_real_size(ancestral: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert ancestral("say", TEXT, "--model", "tiny", "-o", str(path)).returncode == 0
    assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8


def test_say_streams_to_standard_output(process: Run, server: Server) -> None:
    done = process("say", TEXT, "--model", "tiny", "--voice", "ann", "--seed", "7", "-o", "-")
    assert done.stdout == server.speak().content


def test_say_reads_standard_input(environment: dict[str, str], server: Server) -> None:
    line = command("say", "-", "--model", "tiny", "--voice", "ann", "--seed", "7", "-o", "-")
    done = subprocess.run(line, input=TEXT.encode(), env=environment, capture_output=True, timeout=60, check=True)
    assert done.stdout == server.speak().content


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([TEXT, "-o", "a.wav", "--voice", "nobody"], 1, b"voice: tiny has no such voice; it has ann, bob"),
        (
            [TEXT, "-o", "a.wav", "--model", "other"],
            1,
            b"no such model; available: autoencoder, binary, broken, diagonal, ",
        ),
        (["\u4f60\u597d", "-o", "a.wav"], 1, b"text: "),
        (['Hi <break time="1s"/>', "-o", "a.wav"], 1, b"SSML"),
        ([TEXT, "-o", "a.ogg"], 2, b".flac"),
        ([TEXT, "-o", "a.wav", "--speed", "9"], 2, b"--speed"),
        ([TEXT, "-o", "a.wav", "--temperature", "nan"], 2, b"--temperature"),
        ([TEXT, "-o", "a.wav", "--seed", "-1"], 2, b"--seed"),
        ([TEXT, "-o", "/nowhere/a.wav"], 1, b"/nowhere/a.wav: there is no directory /nowhere"),
        ([TEXT], 2, b"--output"),
    ],
)
def test_say_refuses_wrong_options_with_a_message(
    ancestral: Run, arguments: list[str], code: int, message: bytes
) -> None:
    chosen = arguments if "--model" in arguments else [*arguments, "--model", "tiny"]
    done = ancestral("say", *chosen)
    assert done.returncode == code
    assert message in done.stderr
    assert b"Traceback" not in done.stderr
    assert not Path("a.wav").exists()


@pytest.mark.parametrize("arguments", [("say", TEXT, "-o", "/nowhere/a.wav"), ("draw", "1", "-o", "/nowhere/a.png")])
def test_the_output_is_checked_first(ancestral: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = ancestral(*arguments, ANCESTRAL_MODELS_DIR=str(tmp_path))  # there is no model that could sample
    assert done.returncode == 1
    assert b"there is no directory /nowhere" in done.stderr


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


def test_no_models(ancestral: Run, tmp_path: Path) -> None:
    done = ancestral("models", ANCESTRAL_MODELS_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"there is no model in {tmp_path}".encode() in done.stderr


def test_draw_names_the_files_that_it_writes(ancestral: Run, tmp_path: Path) -> None:
    options = ("--model", "binary", "--seed", "7", "-o", str(tmp_path / "one.png"))
    done = ancestral("draw", "One", *options, "-n", "3")
    assert done.returncode == 0
    assert f"{tmp_path}/one-0.png to {tmp_path}/one-2.png: 3 of ".encode() in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one-0.png", "one-1.png", "one-2.png"]
    done = ancestral("draw", "One", *options)
    assert f"{tmp_path}/one.png: 1 of ".encode() in done.stderr
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "one-0.png").read_bytes()


def test_say_ends_on_ctrl_c(environment: dict[str, str], tmp_path: Path) -> None:
    line = command(
        "say", "The birch canoe slid on. " * 300, "--speed", "0.25", "--model", "tiny", "-o", str(tmp_path / "a.wav")
    )
    process = subprocess.Popen(line, env=environment | {"FORCE_COLOR": "1"}, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr:
        while (read := process.stderr.read(1)) != b"\x1b":  # of the progress bar; the log has no colours
            assert read
        process.send_signal(signal.SIGINT)
        assert b"Traceback" not in process.stderr.read()
    assert process.wait(30) == 130
    assert not (tmp_path / "a.wav").exists()


def test_models_are_listed(ancestral: Run) -> None:
    done = ancestral("models", COLUMNS="200")
    assert done.returncode == 0
    text = done.stdout.decode()
    assert all(word in text for word in ("tiny", "broken", "Ann", "Bob", "receptive field 7", "CC0-1.0"))


def test_a_damaged_checkpoint_is_refused_by_name(ancestral: Run, process: Run, zoo: Path, tmp_path: Path) -> None:
    shutil.copytree(zoo / "tiny", tmp_path / "tiny")
    weights = tmp_path / "tiny" / "wavenet" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    commands = ((ancestral, "models"), (process, "serve"), (ancestral, "say", TEXT, "--model", "tiny", "-o", "a.wav"))
    for run, *arguments in commands:
        done = run(*arguments, ANCESTRAL_MODELS_DIR=str(tmp_path))
        assert done.returncode == 1
        assert b"tiny: weights.safetensors" in done.stderr
        assert b"Traceback" not in done.stderr


def test_models_in_the_data_directory_are_served_too(ancestral: Run, zoo: Path, tmp_path: Path) -> None:
    shutil.copytree(zoo / "tiny", tmp_path / "models" / "tiny")
    done = ancestral("models", ANCESTRAL_DATA_DIR=str(tmp_path))
    assert (done.returncode, b"tiny: two models have this id" in done.stderr) == (1, True)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = ancestral("models", ANCESTRAL_DATA_DIR=str(tmp_path), ANCESTRAL_MODELS_DIR=str(empty))
    assert (done.returncode, b"tiny" in done.stdout) == (0, True)


def test_help_and_version(process: Run) -> None:
    listed = process("--help")
    assert listed.returncode == 0
    commands = re.findall(r"^  ([a-z][a-z-]*)  ", listed.stdout.decode(), re.MULTILINE)
    assert commands == [
        "serve", "worker", "keys", "provenance", "wyoming", "mcp", "speech-dispatcher",
        "say", "read", "draw", "batch", "detect", "models",
        "voice", "picture", "corpus", "train", "evaluate", "export",
    ]  # fmt: skip
    assert sorted(commands) == CommandModules().list_commands(click.Context(CommandModules()))
    without = process()
    assert (without.returncode, without.stderr.strip()) == (2, listed.stdout.strip())
    assert process("--version").stdout.startswith(b"ancestral, version ")
    assert process("sing").returncode == 2


def test_serving_needs_no_torch() -> None:
    code = (
        "import sys, ancestral.service.cli.main, ancestral.service.api.server, ancestral.service.cli.say; "
        "from ancestral.models.engines.speech.native import NativeEngine; assert 'torch' not in sys.modules"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60, env=os.environ)
    assert time.perf_counter() - start < 30


def _swap(model: Path) -> None:
    (model / "wavenet").rename(model / "other")
    (model / "acoustic").rename(model / "wavenet")
    (model / "other").rename(model / "acoustic")


def _other_hop(model: Path) -> None:
    stored = checkpoint.load(model / "acoustic")
    spec = dataclasses.replace(stored.spec, hop=80)
    checkpoint.save(model / "acoustic", spec, stored.tensors, stored.card)


def _unknown_voice(model: Path) -> None:
    manifest = model / "model.json"
    manifest.write_text(manifest.read_text().replace('"id": "bob"', '"id": "eve"'))


def _low_shelf(model: Path, sampling: str = '"low_shelf_db": -4.0') -> None:
    manifest = model / "model.json"
    manifest.write_text(manifest.read_text().replace('"id": "bob"', f'"sampling": {{{sampling}}}, "id": "bob"'))


def _correction(model: Path) -> None:
    _low_shelf(model, '"mel_correction": 0.5')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_swap, b"tiny: needs the checkpoint of a speech network"),
        (_other_hop, b"tiny: the acoustic model makes frames of (66, 80, 16000)"),
        (_unknown_voice, b"tiny: voices: the checkpoints have no speaker 'eve'"),
        (_correction, b"tiny: voices: sampling: mel_correction needs a model with linear prediction"),
        (_low_shelf, b"tiny: voices: sampling: low_shelf_db needs a model with linear prediction"),
    ],
)
def test_parts_that_do_not_fit(
    ancestral: Run, zoo: Path, tmp_path: Path, damage: Callable[[Path], None], message: bytes
) -> None:
    shutil.copytree(zoo / "tiny", tmp_path / "tiny")
    damage(tmp_path / "tiny")
    done = ancestral("models", ANCESTRAL_MODELS_DIR=str(tmp_path))
    assert done.returncode == 1
    assert message in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_engine_whose_library_is_missing(process: Run, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    done = process("say", TEXT, "--model", "tiny", "-o", "-", ANCESTRAL_ENGINE="torch", PYTHONPATH=path)
    assert done.returncode == 1
    assert b"tiny: the torch engine needs torch, which is not installed: pip install '.[train]'" in done.stderr
    assert b"Traceback" not in done.stderr
