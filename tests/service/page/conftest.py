"""A browser for the tests of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.paths import ROOT
from tests.service.page.browser import Visit, chromium, visiting
from tests.service.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Visiting = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all tests of this directory. After them the event loop of Playwright is gone: others have their own."""
    with chromium() as found:
        yield found


@pytest.fixture
def visit(browser: Browser) -> Visiting:
    """`with visit(server, …) as page:` a visit."""
    return partial(visiting, browser)


@pytest.fixture(scope="module")
def real(shared: Callable[..., Server]) -> Server:
    """A server with the bundled models."""
    settings: dict[str, Any] = {"models_dir": str(ROOT / "models/zoo")}
    return shared(**settings)
