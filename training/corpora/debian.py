"""Source packages of Debian that corpora are made from, each pinned by the hash of its upstream tarball."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ancestral.training.corpora.layouts import CorpusError

_ENTRIES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
"""Debian's lists of package sources; the first that exists is used."""


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
            for command in (["update"], ["source", "--download-only", "--tar-only", spelt]):
                done = subprocess.run([*options, *command], cwd=scratch, capture_output=True, text=True, check=False)
                if done.returncode:
                    why = done.stderr.strip()[-300:]
                    raise CorpusError(f"{spelt}: apt-get {command[0]} failed: {why}")
            (tarball,) = Path(scratch).glob("*.orig.tar.*")
            data = tarball.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise CorpusError(f"{spelt}: the package is not the one that this corpus was made from")
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
