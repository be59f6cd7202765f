"""`ancestral keys`: what it prints, what it writes, and what it leaves alone."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from starlette.datastructures import Headers

from ancestral.service.api.http.auth import Keys, digest
from ancestral.service.cli.main import ancestral
from ancestral.service.errors import Unauthorized
from ancestral.service.jobs.caller import Caller
from tests.service.api.http.support import bearer, make_app, served
from tests.service.servers import command
from tests.waiting import eventually

Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "keys"


@pytest.fixture
def run(file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `ancestral keys` on the file, in a directory that is there."""
    monkeypatch.delenv("ANCESTRAL_API_KEYS_FILE", raising=False)
    file.parent.mkdir()
    return lambda *arguments: CliRunner().invoke(ancestral, ["keys", *arguments, "--file", str(file)])


def refused(result: Result, code: int, message: str) -> None:
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)


def caller(file: Path, key: str) -> Caller:
    return Keys.load(file).identify(Headers({"xi-api-key": key}))


def test_a_key_is_shown_once_and_kept_as_a_hash(run: Run, file: Path) -> None:
    made = run("create", "laptop")
    assert made.exit_code == 0, made.output
    key = made.stdout.removesuffix("\n")
    assert (key[:4], len(key)) == ("anc_", 47)
    assert file.read_text() == f"laptop {digest(key).hex()}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "laptop added" in made.stderr
    assert key not in made.stderr
    assert caller(file, key) == Caller("laptop")


def test_limits_are_kept_with_the_key(run: Run, file: Path) -> None:
    run("create", "one", "--requests-per-minute", "60")
    key = run("create", "two", "--concurrent-streams", "2", "--requests-per-minute", "99999").stdout.strip()
    assert caller(file, key) == Caller("two", 99999, 2)
    listed = run("list")
    assert listed.stdout == "one requests_per_minute=60\ntwo requests_per_minute=99999 concurrent_streams=2\n"


@pytest.mark.parametrize("option", ["--requests-per-minute", "--concurrent-streams"])
@pytest.mark.parametrize("value", ["0", "-1", "100000", "many"])
def test_limits_out_of_range(run: Run, file: Path, option: str, value: str) -> None:
    refused(run("create", "one", option, value), 2, option)
    assert not file.exists()


@pytest.mark.parametrize("name", ["", "a b", "a#b", "a\nb", ".a", "älice", "a" * 65])
def test_names_that_are_none(run: Run, file: Path, name: str) -> None:
    refused(run("create", name), 2, "must be 1 to 64 letters")
    assert not file.exists()


def test_a_name_is_given_once(run: Run, file: Path) -> None:
    run("create", "laptop")
    before = file.read_bytes()
    refused(run("create", "laptop"), 1, "laptop has a key already")
    assert file.read_bytes() == before


def test_what_people_wrote_stays(run: Run, file: Path) -> None:
    file.write_text(f"# ours\nold {digest('a').hex()} # 2019\n\n  # theirs\nkept {digest('b').hex()}")
    file.chmod(0o640)
    key = run("create", "new").stdout.strip()
    assert run("revoke", "old").exit_code == 0
    kept = f"# ours\n\n  # theirs\nkept {digest('b').hex()}\nnew {digest(key).hex()}\n"
    assert file.read_text() == kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    refused(run("revoke", "old"), 1, "old has no key")
    refused(run("revoke", "ours"), 1, "ours has no key")
    assert file.read_text() == kept
    assert [path.name for path in file.parent.iterdir()] == ["keys"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(run: Run, file: Path) -> None:
    run("create", "a")
    os.chown(file, 12345, 54321)
    assert (run("create", "b").exit_code, run("revoke", "a").exit_code) == (0, 0)
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)


def test_a_link_stays_a_link(run: Run, file: Path, tmp_path: Path) -> None:
    file.symlink_to(tmp_path / "real")
    run("create", "a")
    assert run("create", "b").exit_code == 0
    assert file.is_symlink()
    assert (tmp_path / "real").read_text().count("\n") == 2


@pytest.mark.parametrize("arguments", [("create", "b"), ("revoke", "a"), ("list",)])
def test_a_wrong_file_is_left_alone(run: Run, file: Path, arguments: tuple[str, ...]) -> None:
    file.write_text("a anc_not-a-hash\n")
    refused(run(*arguments), 1, f"{file}: line 1: sha256: ")
    assert file.read_text() == "a anc_not-a-hash\n"
    assert "not-a-hash" not in run(*arguments).output


def test_what_is_not_there(run: Run, file: Path) -> None:
    for arguments in (("list",), ("revoke", "a")):
        refused(run(*arguments), 1, "cannot be read: No such file")
    file.parent.rmdir()
    refused(run("create", "a"), 1, "No such file")


def test_the_server_and_the_command_agree_where_the_file_is(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(CliRunner().invoke(ancestral, ["keys", "list"]), 2, "--file")
    run("create", "a")
    monkeypatch.setenv("ANCESTRAL_API_KEYS_FILE", str(file))
    assert CliRunner().invoke(ancestral, ["keys", "list"]).stdout == "a\n"


def test_commands_take_turns(run: Run, file: Path) -> None:
    first = run("create", "first").stdout.strip()
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        arguments = command("keys", "create", "second", "--file", str(file))
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=4)
            file.write_text(file.read_text().replace("first", "renamed"))
            fcntl.flock(directory, fcntl.LOCK_UN)
            second = process.communicate(timeout=120)[0].strip()
    finally:
        os.close(directory)
    assert [caller(file, key).name for key in (first, second)] == ["renamed", "second"]


def test_a_running_server_forgets_a_revoked_key(run: Run, file: Path) -> None:
    lost, kept = run("create", "lost").stdout.strip(), run("create", "kept").stdout.strip()
    with served(make_app(file)) as url:
        assert [httpx.get(f"{url}/v1/me", headers=bearer(key)).json() for key in (lost, kept)] == ["lost", "kept"]
        run("revoke", "lost")
        eventually(lambda: httpx.get(f"{url}/v1/me", headers=bearer(lost)).status_code == 401)
        assert httpx.get(f"{url}/v1/me", headers=bearer(kept)).json() == "kept"
        fresh = run("create", "lost").stdout.strip()
        eventually(lambda: httpx.get(f"{url}/v1/me", headers=bearer(fresh)).status_code == 200)
    with pytest.raises(Unauthorized):
        caller(file, lost)
