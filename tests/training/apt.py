"""A stand-in for Debian's archive: a source package that a test makes, and an `apt-get` that brings it."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from ancestral.training.corpora.debian import SourcePackage

DEB822 = "# Debian's\nTypes: deb deb-src\nURIs: https://debian.invalid/debian\nSuites: trixie\nComponents: main\n"


def apt(directory: Path, script: str) -> None:
    """A stand-in for apt-get, since no test may need a network."""
    file = directory / "apt-get"
    file.write_text(f'#!/bin/sh\necho "$@" >> {directory}/asked\n{script}\n')
    file.chmod(0o755)


def packed(directory: Path, files: Mapping[str, bytes]) -> SourcePackage:
    """A source package, its tarball beside the stand-in that brings it, and what pins it."""
    tarball = directory / "crawl_1.orig.tar.xz"
    with tarfile.open(tarball, "w:xz") as tar:
        link = tarfile.TarInfo("crawl-1/source/rltiles/player/base/link_m.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        for path, content in files.items():
            entry = tarfile.TarInfo(f"crawl-1/{path}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    apt(directory, f'case "$*" in *" source "*) cp {tarball} .;; esac')
    return SourcePackage("crawl", "1-1", hashlib.sha256(tarball.read_bytes()).hexdigest())
