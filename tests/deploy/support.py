"""What the tests of containers share: what an environment of theirs would mean to the program."""

from __future__ import annotations

import os
from collections.abc import Mapping
from unittest import mock

from ancestral.settings import PREFIX
from ancestral_service.settings import Settings, load_settings

UID = 10001
"""Id of the user in the image."""


def settings(environment: Mapping[str, str]) -> Settings:
    """What the program reads from an environment; fails as the program does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with mock.patch.dict(os.environ, clean | dict(environment), clear=True):
        return load_settings()
