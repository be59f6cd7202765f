"""The supervisor of child processes: restarts, signals, output."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path

import pytest

from ancestral.service.cli.local import supervisor
from ancestral.service.cli.local.supervised_process import SupervisedProcess
from tests.service.cli.child_processes import CHILD, HOLDER, SECONDS, STUBBORN, alive, eventually, pids, python


def test_it_is_restarted_again_and_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "output"
    with SupervisedProcess("child", python(CHILD.replace("600", "0")), grace_seconds=5, output=output):
        eventually(lambda: len(pids(output)) >= 4)
    restarts = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["pause_seconds"] for line in restarts[:3]] == [0.1, 0.2, 0.4]
    assert {line["exit_code"] for line in restarts} == {0}
    assert len({supervisor for _, supervisor in pids(output)}) == 1


def test_a_program_that_is_not_there_yet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program"
    with SupervisedProcess("child", [str(program)], grace_seconds=5, output=tmp_path / "output"):
        said = []
        eventually(lambda: said.append(capfd.readouterr().err) or "No such file" in "".join(said))
        written = program.with_suffix(".new")
        written.write_text(f"#!{sys.executable}\n{CHILD}\n")
        written.chmod(0o700)
        written.rename(program)
        eventually(lambda: pids(tmp_path / "output"))


def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    process = SupervisedProcess("child", python(STUBBORN), grace_seconds=0.2, output=tmp_path / "output")
    eventually(lambda: pids(tmp_path / "output"))
    process.stop()
    assert not any(alive(pid) for pid in pids(tmp_path / "output")[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_supervisor_that_ends_is_restarted(tmp_path: Path, number: int) -> None:
    output = tmp_path / "output"
    with SupervisedProcess("child", python(CHILD), grace_seconds=60, output=output):
        eventually(lambda: pids(output))
        child, supervisor_pid = pids(output)[0]
        os.kill(supervisor_pid, number)
        eventually(lambda: len(pids(output)) == 2)
        assert not alive(child)
    assert not any(alive(pid) for pid in pids(output)[1])


def test_children_of_the_child_go_with_it(tmp_path: Path) -> None:
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {CHILD!r}]); {CHILD}"
    with SupervisedProcess("child", python(program), grace_seconds=5, output=tmp_path / "output"):
        eventually(lambda: len(pids(tmp_path / "output")) == 2)
    eventually(lambda: not any(alive(pid) for pid, _ in pids(tmp_path / "output")))


def test_the_child_holds_what_it_is_given() -> None:
    reads, writes = os.pipe()
    with open(reads, "rb") as pipe:
        with SupervisedProcess("child", python(HOLDER.format(writes)), grace_seconds=5, descriptors=(writes,)):
            os.close(writes)
            assert select.select([pipe], [], [], SECONDS)[0]
            assert pipe.readline() == b"held\n"
        assert pipe.read() == b""  # end of file: no process holds it any more


def test_output_does_not_grow_for_ever(tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.write_bytes(b"x" * supervisor.OUTPUT_BYTES + b"\n")
    with SupervisedProcess("child", python(CHILD), grace_seconds=5, output=output):
        eventually(lambda: output.stat().st_size < 100 and pids(output))


def test_a_package_of_the_same_name_nearby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with SupervisedProcess("child", python(CHILD), grace_seconds=5, output=tmp_path / "output"):
        eventually(lambda: pids(tmp_path / "output"))
