"""Options of the test suite."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.golden_files import Golden
    from tests.service.servers import Servers

# As `ancestral` does (ancestral_service/cli/main.py), before numpy is loaded: more BLAS threads only wait for each
# other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell that starts pytest in the background has it ignore Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run: a test that fails fails again.
hypothesis.settings.register_profile("deterministic", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("deterministic")


_PROCESSES_FILE = "TEST_SERVER_PROCESSES"
"""The environment variable that names a file with a line for each `ancestral serve` that was started."""


def _count_servers(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and list(arguments[1][1:2]) == ["serve"]:
        with Path(os.environ[_PROCESSES_FILE]).open("a") as file:
            print(os.environ.get("PYTEST_CURRENT_TEST"), file=file)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="also what takes many minutes: every service test on onnx-cpu, parity over 4 000 steps",
    )
    parser.addoption(
        "--redis",
        choices=["one", "cluster"],
        default="one",
        help="what servers under test have that need no Redis of their own: the bundled Valkey, or a cluster of three",
    )
    parser.addoption("--write-golden", action="store_true", help="rewrite tests/golden, and run nothing else")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["TEST_REDIS"] = config.getoption("--redis")
    if not hasattr(config, "workerinput"):
        os.environ[_PROCESSES_FILE] = tempfile.mkstemp(prefix="ancestral-serve-")[1]
    sys.addaudithook(_count_servers)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--write-golden"):
        items[:] = [item for item in items if "golden" in getattr(item, "fixturenames", ())]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    started = Path(os.environ[_PROCESSES_FILE]).read_text().splitlines()
    terminalreporter.write_line(f"{len(started)} processes of `ancestral serve` were started:")
    for test in sorted(started):
        terminalreporter.write_line(f"  {test}")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        Path(os.environ.pop(_PROCESSES_FILE)).unlink()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Starts servers in threads of this process."""
    from tests.service.servers import Servers

    servers = Servers(tmp_path_factory.mktemp("valkey"))
    yield servers
    servers.close()


@pytest.fixture(scope="session", autouse=True)
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For every request httpx would read the certificates of all authorities: 5 ms. All is plain HTTP here."""
    end = "-----END CERTIFICATE-----\n"
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether everything is asked for."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Golden:
    """The golden files."""
    from tests.golden_files import Golden

    return Golden(write=request.config.getoption("--write-golden"))
