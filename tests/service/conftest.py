"""A real server on a real socket, with a tiny model of random weights made on the spot."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from ancestral.catalog.catalog import BUNDLED, Catalog, CatalogConfig, load_catalog
from ancestral_service.api.http.auth import digest, new_key
from ancestral_service.cli.main import ancestral as group
from ancestral_service.telemetry.logging import ACCESS_LOGGER
from tests.service.servers import Serve, ServeProcess, Server, Servers, command, running
from tests.service.toys import CALLERS, ENCODED, PICTURES, PREVIEW, once_a_run, write_model, write_picture_model


def make_models(directory: Path) -> None:
    """Write the toy models into a new directory."""
    write_model(directory / "tiny")
    write_model(directory / "broken", fails_on="ZH")
    write_model(directory / "free", kind="audio")
    write_model(directory / "shaped", shaping="linear_prediction")
    for name, spec in (PICTURES | ENCODED).items():
        write_picture_model(directory / name, spec)
    for name in ("broken/ann.mp3", "tiny/ann.mp3", "binary/Two.png"):
        file = directory / name.replace("/", "/previews/")
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(PREVIEW)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models: `tiny`, `broken`, which fails on one phoneme, the one in `vision`, `free`, which takes no text, and
    those that draw, from names or from pictures. `shaped` samples an excitation."""
    return once_a_run(tmp_path_factory, "zoo", make_models)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that have to do with an engine run on `native`; those marked, and with --full all, on `onnx-cpu` too."""
    if "engine" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("every_engine")
        engines = ["native"]
        if marked is not None or metafunc.config.getoption("--full"):
            quick = marked is not None and marked.kwargs.get("quick", False)
            engines.append(pytest.param("onnx-cpu", marks=() if quick else pytest.mark.slow))
        metafunc.parametrize("engine", engines, indirect=True, scope="session")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """Every engine that must pass these tests."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def environment(zoo: Path, engine: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a process of ours is started with. Warnings are errors there, too."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANCESTRAL_")}
    ours = {
        "ANCESTRAL_MODELS_DIR": str(zoo),
        "ANCESTRAL_ENGINE": engine,
        "ANCESTRAL_THREADS": "2",
        "PYTHONWARNINGS": "error",
    }
    return clean | ours


@pytest.fixture(scope="session")
def shared_servers(servers: Servers) -> Iterator[Callable[..., Server]]:
    """One server for each engine and settings. Started for the first test that needs it; it must survive all tests."""
    with ExitStack() as stack:
        started: dict[str, Server] = {}

        def server_of(environment: dict[str, str], **settings: str | int) -> Server:
            key = f"{environment['ANCESTRAL_ENGINE']} {sorted(settings.items())}"
            if key not in started:
                started[key] = stack.enter_context(servers.start(environment, **settings))
            return started[key]

        yield server_of
        for server in started.values():
            assert httpx.get(f"{server.url}/healthz").status_code == 200


@pytest.fixture(scope="session")
def shared(environment: dict[str, str], shared_servers: Callable[..., Server]) -> Callable[..., Server]:
    """`shared(setting=value)`: a server that tests with the same settings share. None may stop it."""
    return partial(shared_servers, environment)


@pytest.fixture(scope="session")
def catalog(zoo: Path) -> Catalog:
    """The tiny models."""
    return load_catalog(CatalogConfig((zoo,)))


@pytest.fixture(scope="module")
def bundled(serve: Serve) -> Iterator[Server]:
    """A server with the bundled models; it logs probes as well."""
    access = logging.getLogger(ACCESS_LOGGER)
    access.setLevel(logging.DEBUG)  # a server in a thread leaves the levels of this process alone
    with serve(models_dir=str(BUNDLED)) as server:
        yield server
    access.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def server(shared: Callable[..., Server]) -> Server:
    """The server that most tests share."""
    return shared(interactive_slots=4)


@pytest.fixture(scope="session")
def keys() -> dict[str, str]:
    """The key of each caller of `keyed`."""
    return {caller: new_key() for caller in CALLERS}


@pytest.fixture(scope="session")
def keyed(shared: Callable[..., Server], keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server that needs a key."""
    file = tmp_path_factory.mktemp("keyed") / "keys"
    file.write_text("".join(f"{caller} {digest(keys[caller]).hex()} {CALLERS[caller]}\n" for caller in CALLERS))
    return shared(api_keys_file=str(file))


@pytest.fixture(scope="session")
def serve(environment: dict[str, str], servers: Servers) -> Serve:
    """`with serve(setting=value) as server:` a server of one's own, in a thread."""
    return partial(servers.start, environment)


@pytest.fixture(scope="session")
def serve_process(environment: dict[str, str]) -> ServeProcess:
    """`with serve_process(setting=value) as server:` `ancestral serve`, for what needs a process."""
    return partial(running, environment)


@pytest.fixture(scope="session")
def ancestral(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run a command that only prints and writes files, within this process: a new one spends seconds on imports."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
        absent = {name: None for name in os.environ if name.startswith("ANCESTRAL_")}
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        done = CliRunner().invoke(group, arguments, env=absent | environment | variables, prog_name="ancestral")
        root.handlers[:] = handlers  # a command that logs has set its own
        root.setLevel(level)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout_bytes, done.stderr_bytes)

    return run


@pytest.fixture(scope="session")
def process(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run `ancestral` to its end, as a process of its own."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command(*arguments), env=environment | variables, capture_output=True, timeout=120, check=False
        )

    return run
