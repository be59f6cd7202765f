"""`ancestral batch`: files of rows in every format, errors, and runs that are killed."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.service.cli.conftest import Run, contents
from tests.service.servers import command, command_line, descendants
from tests.waiting import eventually

pa = pytest.importorskip("pyarrow", reason="the extra batch")
parquet = pytest.importorskip("pyarrow.parquet")

from ancestral_service.cli.local.batch import Source  # noqa: E402 - it needs pyarrow

ROWS: list[dict[str, Any]] = [
    {"key": "1", "text": "It was day one.", "voice": "ann", "speed": 1.5, "seed": None, "id": 10},
    {"key": "2", "text": 'Was it, "two"?\nYes.', "voice": None, "speed": None, "seed": 7, "id": 20},
    {"key": "3", "text": "It was three.", "voice": "nobody", "speed": None, "seed": None, "id": 30},
]
MANY = [{"key": f"row {n}", "text": "It was a long day. " * (1 + n % 3), "voice": "ann"} for n in range(256)]
"""64 parts: more than are made while the test waits for its turn on a busy machine."""


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A file in the format of its name."""
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    return path


def made(run: Run, rows: Path, output: Path, *options: str) -> dict[str, bytes]:
    done = run("batch", str(rows), "-o", str(output), "--model", "tiny", "--seed", "3", *options)
    assert done.returncode == 0, done.stderr
    return contents(output)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_rows_of_every_format_are_the_same(tmp_path: Path, suffix: str) -> None:
    source = Source(str(write_rows(tmp_path / f"rows.{suffix}", ROWS)), ("speed", "seed", "id"))
    assert source.check(lambda names: None) == list(ROWS[0])
    assert len(source) == 3
    assert list(source.rows(0, 9)) == ROWS
    assert list(source.rows(1, 2)) == ROWS[1:2]


def test_a_part_has_the_results_and_the_columns_of_the_rows(process: Run, tmp_path: Path) -> None:
    kept = ["12e4567", "1.10", "null"]
    rows = write_rows(tmp_path / "rows.csv", [row | {"id": each} for row, each in zip(ROWS, kept, strict=True)])
    files = made(process, rows, tmp_path / "out", "--keep", "id")
    assert files.keys() == {"_batch.json", "part-000000.parquet"}
    one, two, three = parquet.read_table(tmp_path / "out").to_pylist()
    assert [row["id"] for row in (one, two, three)] == kept
    assert (one["key"], one["text"], one["voice"], one["error"]) == ("1", "It was day one.", "ann", None)
    assert (two["seed"], two["voice"]) == (7, None)
    assert [word["text"] for word in two["words"]] == ["was", "it", "two", "yes"]
    assert (three["error"][:7], three["audio"]) == ("voice: ", None)
    samples, rate = soundfile.read(io.BytesIO(one["audio"]))
    assert len(samples) == one["seconds"] * rate
    recipe = json.loads(files["_batch.json"])
    assert (recipe["model"], recipe["seed"], recipe["engine"]) == ("tiny", 3, "native-int8")


@pytest.mark.slow
def test_webdataset_and_files_hold_what_parquet_holds(process: Run, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.parquet", [{k: v for k, v in row.items() if k != "id"} for row in ROWS])
    table = parquet.read_table(io.BytesIO(made(process, rows, tmp_path / "a")["part-000000.parquet"])).to_pylist()

    packed = made(process, rows, tmp_path / "b", "--to", "webdataset")["part-000000.tar"]
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    assert list(members) == [
        "000000000.flac", "000000000.json", "000000001.flac", "000000001.json", "000000002.json"
    ]  # fmt: skip
    single = made(process, rows, tmp_path / "c", "--to", "files")
    lines = [json.loads(line) for line in single["part-000000.jsonl"].splitlines()]
    for number, row in enumerate(table):
        audio = row.pop("audio")
        assert members.get(f"{number:09}.flac") == single.get(f"part-000000/{number:09}.flac") == audio
        rest = json.loads(members[f"{number:09}.json"])
        assert rest == lines[number] == {"name": f"{number:09}"} | row


@pytest.mark.slow
def test_pictures_and_their_likelihoods(ok: Run, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [{"prompt": "any", "seed": 1}, {"prompt": "nothing like this"}])
    done = ok("batch", rows, "-o", tmp_path / "a", "--model", "binary", "--to", "files")
    assert b"2 rows in 1 part, 2 of them new, 1 error: row 2: prompt: " in done.stderr
    drawn = json.loads((tmp_path / "a" / "part-000000.jsonl").read_text().splitlines()[0])
    png = tmp_path / "a" / "part-000000" / "000000000.png"
    scored = write_rows(tmp_path / "scored.jsonl", [{"image": str(png), "prompt": "any"}])
    ok("batch", scored, "-o", (tmp_path / "b").as_uri(), "--model", "binary", "--score")
    (row,) = parquet.read_table(tmp_path / "b" / "part-000000.parquet").to_pylist()
    assert (row["image"], row["error"]) == (str(png), None)
    assert row["bits"] == pytest.approx(drawn["bits"], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"text": "Yes."}\n{"text"', "row 2: it is not JSON"),
        ("a.jsonl", '{"text": "Yes.", "text": "No."}', "row 1: text: given twice"),
        ("a.jsonl", '{"text": "\\ud800"}', "row 1: 'utf-8' codec can't encode character '\\ud800'"),
        ("a.jsonl", '{"text": "Yes."}\n5\n', "row 2 is not a JSON object"),
        ("a.jsonl", '{"text": "Yes."}\n{"sped": 1}', "sped: tiny uses no such column"),
        ("a.csv", "text,voice\nYes.\n", "row 1 has 1 values"),
        ("a.parquet", "text", "a.parquet: "),
        ("a.txt", "Yes.", "must end in .jsonl, .csv, .parquet"),
        ("a.jsonl", "", "no rows in it"),
        ("a.jsonl", None, "a.jsonl: there is no such file"),
        ("a.parquet", None, "a.parquet: there is no such file"),
        ("a.csv", "text,id,id\nYes.,1,2\n", "a.csv: two of its columns are named id"),
    ],
)
def test_what_is_no_batch(ancestral: Run, tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    done = ancestral("batch", str(tmp_path / name), "-o", str(tmp_path / "out"), "--model", "tiny")
    assert (done.returncode, message in done.stderr.decode()) == (1, True)
    assert not (tmp_path / "out").exists()


def test_columns_that_cannot_be_kept_are_refused(ancestral: Run, tmp_path: Path) -> None:
    for name, more in (("words", {"words": "a"}), ("voice", {})):  # a result, and none
        rows = write_rows(tmp_path / "rows.jsonl", [{"text": "Yes."} | more])
        done = ancestral("batch", str(rows), "-o", str(tmp_path / "out"), "--keep", name, "--model", "tiny")
        assert (done.returncode, f"--keep {name}: ".encode() in done.stderr) == (1, True)


def test_a_folder_holds_one_batch(process: Run, ancestral: Run, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", MANY[:2])
    before = made(process, rows, tmp_path / "out")
    for seed, code, message in (
        ("3", 0, b"2 rows in 1 part, 0 of them new, 0 errors\n"),
        ("4", 1, b"seed was 3 and is 4"),
    ):
        done = ancestral("batch", str(rows), "-o", str(tmp_path / "out"), "--model", "tiny", "--seed", seed)
        assert (done.returncode, message in done.stderr) == (code, True)
    assert contents(tmp_path / "out") == before


def workers(pid: int) -> list[int]:
    """The processes that make the parts."""
    return [child for child in descendants(pid) if "--multiprocessing-fork" in command_line(child)]


def started(environment: dict[str, str], output: Path, rows: Path, *options: str) -> subprocess.Popen[bytes]:
    """A run that has made three parts and is still at work."""
    line = command("batch", str(rows), "-o", str(output), "--model", "tiny", "--seed", "3", *options)
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    while process.poll() is None and len(list(output.glob("part-*.*"))) < 3:
        time.sleep(0.005)
    assert process.poll() is None
    return process


@pytest.mark.parametrize("form", ["parquet", pytest.param("files", marks=pytest.mark.slow)])
def test_a_killed_run_goes_on(process: Run, environment: dict[str, str], tmp_path: Path, form: str) -> None:
    rows, output = write_rows(tmp_path / "rows.jsonl", MANY), tmp_path / "out"
    killed = started(environment, output, rows, "--to", form)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    before = {path: path.stat().st_mtime_ns for path in output.glob("part-*.*")}
    assert 3 <= len(before) < 64
    resumed = made(process, rows, output, "--to", form)
    assert before.items() <= {path: path.stat().st_mtime_ns for path in output.glob("part-*.*")}.items()
    assert resumed == made(process, rows, tmp_path / "whole", "--to", form)


def test_workers_end_with_the_command(environment: dict[str, str], tmp_path: Path) -> None:
    running = started(environment, tmp_path / "out", write_rows(tmp_path / "rows.jsonl", MANY))
    left = workers(running.pid)
    assert left
    running.kill()
    running.communicate()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), 30)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["processes", "ray"])
def test_a_killed_worker_is_replaced(process: Run, environment: dict[str, str], tmp_path: Path, by: str) -> None:
    rows, output, options = write_rows(tmp_path / "rows.jsonl", MANY), tmp_path / "out", []
    if by == "ray":
        pytest.importorskip("ray")
        environment = environment | {"PYTHONWARNINGS": "ignore", "RAY_TMPDIR": "/tmp/ray-test"}
        options = ["--engine", "ray"]
    running = started(environment, output, rows, *options)
    actors = [pid for pid in descendants(running.pid) if command_line(pid)[0].startswith("ray::PartWriter")]
    os.kill((actors if by == "ray" else workers(running.pid))[0], signal.SIGKILL)
    _, said = running.communicate(timeout=300)
    assert running.returncode == 0, said
    assert by == "ray" or b"256 rows in 64 parts, 256 of them new, 0 errors" in said
    assert contents(output) == made(process, rows, tmp_path / "whole")
