"""Prepared corpora: symbols and conditioning frames as memory-mapped arrays, shared by all processes.

A prepared directory holds ``symbols.npy`` (mu-law, ``uint8 [ΣF * hop]``), ``frames.npy`` (``float16 [ΣF, channels]``)
and ``clips.json``: the feature spec, the pre-emphasis and one entry a clip, in order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from models.audio.features import normalize_level
from models.audio.mu_law import encode_wave
from models.spec import FeatureSpec
from models.training.data.f0 import analyze, trim_silence

MINIMUM_FRAMES = 40


class TimedPhone(NamedTuple):
    """A phoneme of a recording."""

    phone: str
    seconds: float
    starts_word: bool


@dataclass(frozen=True)
class Clip:
    """One recording of a corpus, before preparation."""

    id: str
    speaker: str
    path: Path
    text: str
    phones: tuple[TimedPhone, ...] = ()
    """From the clip's start to its end, where the corpus knows them."""


@dataclass(frozen=True)
class PreparedClip:
    """Where one clip lies in the prepared arrays."""

    id: str
    speaker: str
    start: int
    """First frame."""
    frames: int
    text: str = ""
    phones: tuple[str, ...] = ()
    durations: tuple[int, ...] = ()
    """Frames of every phoneme; their sum is ``frames``."""
    word_starts: tuple[bool, ...] = ()


def load_wave(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """A sound file as mono float32 at ``sample_rate``.

    Raises:
        ValueError: it is no sound file.
    """
    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(str(error)) from error
    mono = wave.mean(axis=1)
    resampled: NDArray[np.float32] = mono if rate == sample_rate else soxr.resample(mono, rate, sample_rate)
    return resampled


def frame_durations(seconds: Sequence[float], begin: float, frames: int, frame_seconds: float) -> tuple[int, ...]:
    """Durations on the frame grid of a clip trimmed to ``begin`` … ``begin + frames * frame_seconds``.

    Rounding is done on the boundaries, so that errors never add up; what was trimmed comes off the outer phonemes.
    """
    edges = np.cumsum([0.0, *seconds]) - begin
    grid = np.clip(np.round(edges / frame_seconds), 0, frames).astype(int)
    grid[0], grid[-1] = 0, frames
    return tuple(int(d) for d in np.diff(grid))


_Prepared = tuple[NDArray[np.uint8], NDArray[np.float16], tuple[int, ...]]


def _prepare_clip(clip: Clip, spec: FeatureSpec, preemphasis: float, gain: float) -> _Prepared | None:
    wave = normalize_level(load_wave(clip.path, spec.sample_rate), spec.sample_rate)
    begin, end = trim_silence(wave, spec.sample_rate)
    frames = (end - begin) // spec.hop
    if frames < MINIMUM_FRAMES:
        return None
    cut = wave[begin : begin + frames * spec.hop]
    durations = frame_durations(
        [p.seconds for p in clip.phones], begin / spec.sample_rate, frames, spec.hop / spec.sample_rate
    ) if clip.phones else ()  # fmt: skip
    return encode_wave(cut, preemphasis, gain), analyze(cut, spec).astype(np.float16), durations


def prepare(
    clips: Sequence[Clip], out: Path, spec: FeatureSpec, preemphasis: float, gain: float, processes: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> int:  # fmt: skip
    """Analyse clips into a prepared directory. Clips under 0.4 s of sound are left out.

    Returns:
        The number of clips kept.

    Raises:
        ValueError: there is none to keep, or one is no sound file.
    """
    symbols: list[NDArray[np.uint8]] = []
    frames: list[NDArray[np.float16]] = []
    entries: list[PreparedClip] = []
    position = 0
    work = partial(_prepare_clip, spec=spec, preemphasis=preemphasis, gain=gain)
    with ExitStack() as stack:
        results: Iterable[_Prepared | None] = map(work, clips)
        if processes > 1:
            # Spawned: a fork of a process with threads (torch's, BLAS's) may hang.
            pool = stack.enter_context(ProcessPoolExecutor(processes, get_context("spawn")))
            results = pool.map(work, clips, chunksize=8)
        for number, (clip, made) in enumerate(zip(clips, results, strict=True)):
            progress(number + 1)
            if made is None:
                continue
            symbols.append(made[0])
            frames.append(made[1])
            names, starts = tuple(p.phone for p in clip.phones), tuple(p.starts_word for p in clip.phones)
            entries.append(
                PreparedClip(clip.id, clip.speaker, position, len(made[1]), clip.text, names, made[2], starts)
            )
            position += len(made[1])
    if not entries:
        raise ValueError(f"none of {len(clips)} clips has {MINIMUM_FRAMES} frames of sound")
    write_prepared(out, symbols, frames, entries, spec, preemphasis, gain)
    return len(entries)


def write_prepared(
    out: Path,
    symbols: Sequence[NDArray[np.uint8]],
    frames: Sequence[NDArray[np.float16]],
    clips: Sequence[PreparedClip],
    spec: FeatureSpec,
    preemphasis: float,
    gain: float,
) -> None:
    """Write a prepared directory; clip i has ``symbols[i]`` and ``frames[i]``."""
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "symbols.npy", np.concatenate(symbols))
    np.save(out / "frames.npy", np.concatenate(frames))
    index = {"features": spec.to_json(), "preemphasis": preemphasis, "gain": gain, "clips": [asdict(c) for c in clips]}
    (out / "clips.json").write_text(json.dumps(index))


def _frozen(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


class Dataset:
    """A prepared directory, opened: clips, and their symbols and frames by view."""

    def __init__(self, directory: Path) -> None:
        index: dict[str, Any] = json.loads((directory / "clips.json").read_text())
        self.spec = FeatureSpec.from_json(index["features"])
        self.preemphasis: float = index["preemphasis"]
        self.gain: float = index["gain"]
        self.clips = [PreparedClip(**_frozen(clip)) for clip in index["clips"]]
        self._symbols: NDArray[np.uint8] = np.load(directory / "symbols.npy", mmap_mode="r")
        self._frames: NDArray[np.float16] = np.load(directory / "frames.npy", mmap_mode="r")

    def symbols(self, clip: PreparedClip) -> NDArray[np.uint8]:
        """``[frames * hop]``."""
        hop = self.spec.hop
        return self._symbols[clip.start * hop : (clip.start + clip.frames) * hop]

    def frames(self, clip: PreparedClip) -> NDArray[np.float16]:
        """``[frames, channels]``."""
        return self._frames[clip.start : clip.start + clip.frames]


def held_out(clip_id: str) -> bool:
    """Whether a clip belongs to the evaluation set, which nothing is ever trained on: the corpora name them
    ``…_s0000``."""
    tail = clip_id.rsplit("_", 1)[-1]
    return tail.startswith("s") and tail[1:].isdigit()


def by_speaker(datasets: Iterable[Dataset], *, evaluation: bool) -> dict[str, list[tuple[Dataset, PreparedClip]]]:
    """The clips of several data sets, grouped by speaker: those held out, or all others."""
    groups: dict[str, list[tuple[Dataset, PreparedClip]]] = {}
    for dataset in datasets:
        for clip in dataset.clips:
            if held_out(clip.id) == evaluation:
                groups.setdefault(clip.speaker, []).append((dataset, clip))
    return groups


def require_clips(groups: Mapping[str, Sequence[object]]) -> None:
    """Raise ValueError, with their names, if there are speakers without a clip."""
    if missing := [name for name, clips in groups.items() if not clips]:
        raise ValueError(f"speakers: the data hold no clip of {', '.join(missing)} to train on")


def minutes_by_speaker(groups: Mapping[str, Sequence[tuple[Dataset, PreparedClip]]]) -> dict[str, float]:
    """How much sound each speaker's clips hold. A clip that is there twice, with other frames, counts once."""
    totals = {}
    for name, group in groups.items():
        once = {clip.id: clip.frames * dataset.spec.hop / dataset.spec.sample_rate for dataset, clip in group}
        totals[name] = sum(once.values()) / 60.0
    return totals
