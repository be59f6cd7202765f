"""What corpora are made of, in training/corpora/tables: TOML that is edited without Python."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def table(name: str) -> Any:
    """The contents of the file of this name; its lists become tuples."""
    return _frozen(tomllib.loads((Path(__file__).parent / "tables" / f"{name}.toml").read_text("utf-8")))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(part) for key, part in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
