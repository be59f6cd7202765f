"""Corpora on disk: our own layout, LJSpeech's and VCTK's, all read as :class:`~ancestral.training.data.speech.Clip`.

Ours is a superset of LJSpeech's: ``metadata.csv`` with ``id|speaker|text``, ``wavs/ID.wav`` and, where phonemes are
known, ``phones/ID.lab`` with ``begin<TAB>end<TAB>phoneme<TAB>starts a word (0 or 1)``, times in seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from ancestral.training.data.speech import Clip, TimedPhone


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
        with _whole(metadata) as partial:
            partial.write_text("".join(rows.values()), "utf-8")
        self._metadata = metadata.open("a", encoding="utf-8")

    def add(
        self, clip_id: str, speaker: str, text: str, wave: NDArray[np.float32], phones: Sequence[TimedPhone]
    ) -> None:
        """Add a clip of mono sound and its timed phonemes. Its row is written last: a clip with a row is whole."""
        wave = np.clip(wave, -1.0, 1.0)
        with _whole(self._directory / "wavs" / f"{clip_id}.wav") as partial:
            soundfile.write(partial, wave, self._rate, subtype="PCM_16", format="WAV")
        edges = np.cumsum([0.0, *(p.seconds for p in phones)])
        rows = [
            f"{begin:.4f}\t{end:.4f}\t{p.phone}\t{int(p.starts_word)}"
            for begin, end, p in zip(edges, edges[1:], phones, strict=False)
        ]
        if phones:
            with _whole(self._directory / "phones" / f"{clip_id}.lab") as partial:
                partial.write_text("\n".join(rows) + "\n")
        self._metadata.write(_row(clip_id, speaker, text))
        self._metadata.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._metadata.close()


def _row(clip_id: str, speaker: str, text: str) -> str:
    return f"{clip_id}|{speaker}|{text.replace('|', ' ')}\n"


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A file to write that gets its name when it is whole."""
    partial = path.with_name(".partial")
    yield partial
    os.replace(partial, path)


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


def _read_metadata(directory: Path) -> list[Clip]:
    clips = []
    for number, line in enumerate((directory / "metadata.csv").read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        fields = line.split("|")
        if len(fields) != 3:
            raise CorpusError(f"metadata.csv:{number}: expected 3 fields between '|', found {len(fields)}")
        clip_id, second, text = fields
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
    clips = [
        Clip(file.stem, file.parent.name, sounds[file.stem], file.read_text("utf-8").strip())
        for file in sorted((directory / "txt").glob("*/*.txt"))
        if file.stem in sounds
    ]
    if not clips:
        raise CorpusError(f"{directory}: no text under txt/ has its sound under wav48*/")
    return clips
