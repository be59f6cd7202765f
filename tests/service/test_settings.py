"""Settings: from the environment, strictly, and each of them documented."""

from __future__ import annotations

import asyncio
import re

import pytest
from fastapi import FastAPI

from ancestral.settings import PREFIX, SettingsError
from ancestral_service.api.server import server_of
from ancestral_service.settings import Settings, load_settings
from tests.paths import ROOT

DOCUMENT = (ROOT / "docs" / "configuration.md").read_text()


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_the_documentation_has_every_setting_with_its_default_its_bounds_and_its_words() -> None:
    rows = re.findall(r"^\| `(ANCESTRAL_\w+)` \| (.*?) \| (?:(.*?) )?\| (.*) \|$", DOCUMENT, re.MULTILINE)
    documented = {name: row for name, *row in rows}
    assert len(rows) == len(documented) == len(Settings.model_fields)
    for setting, field in Settings.model_fields.items():
        default, bounds, words = documented[f"{PREFIX}{setting.upper()}"]
        assert words == " ".join(str(field.description).split())
        limits = [getattr(limit, kind) for kind in ("ge", "le") for limit in field.metadata if hasattr(limit, kind)]
        assert bounds == (" to ".join(map(str, [*limits, "…"][:2])) if limits else "")
        if field.default_factory is None and setting != "models_dir":
            assert default == f"`{field.default}`"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCESTRAL_PORT", "9000")
    monkeypatch.setenv("ANCESTRAL_LOG_LEVEL", "debug")
    assert (load_settings().port, load_settings().log_level) == (9000, "debug")


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCESTRAL_PORT", "9000")
    assert load_settings(port=9001, host=None).port == 9001
    assert load_settings(port=None).port == 9000


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ANCESTRAL_PORTS", "1", "ANCESTRAL_PORTS: no such setting; did you mean ANCESTRAL_PORT?"),
        ("ANCESTRAL_XYZZYQQQ", "1", "ANCESTRAL_XYZZYQQQ: no such setting$"),
        ("ANCESTRAL_CORS_ORIGINS", "*", "ANCESTRAL_CORS_ORIGINS: "),
        ("ANCESTRAL_PORT", "65536", "ANCESTRAL_PORT: "),
        ("ANCESTRAL_PORT", "http", "ANCESTRAL_PORT: "),
        ("ANCESTRAL_THREADS", "0", "ANCESTRAL_THREADS: "),
        ("ANCESTRAL_MODELS_DIR", "/nowhere", "ANCESTRAL_MODELS_DIR: "),
        ("ANCESTRAL_ENGINE", "steam", "ANCESTRAL_ENGINE: "),
    ],
)
def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        load_settings()


@pytest.mark.parametrize(
    ("given", "warned"),
    [({}, False), ({"host": "0.0.0.0"}, True), ({"host": "0.0.0.0", "public_url": "https://a.example"}, False)],
)
def test_urls_that_follow_host_headers_are_warned_of(
    caplog: pytest.LogCaptureFixture, given: dict[str, str], warned: bool
) -> None:
    app = FastAPI()
    app.state.draining = asyncio.Event()
    server_of(app, load_settings(**given), lambda: None)
    assert ("ANCESTRAL_PUBLIC_URL" in caplog.text) == warned
