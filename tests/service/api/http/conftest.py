"""What several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.api.http.support import line, make_app, served


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(line("first") + line("second", "requests_per_minute=9") + line("third"))
    return path


@pytest.fixture(scope="module")
def url(file: Path) -> Iterator[str]:
    with served(make_app(file)) as address:
        yield address
