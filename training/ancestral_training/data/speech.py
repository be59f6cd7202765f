"""Corpora of speech as they are trained on: clips with frames and F0, prepared once, and packed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ancestral_models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE, log_mel, normalize_level
from ancestral_models.audio.mu_law import encode_wave
from ancestral_models.audio.shaping import encode_excitation, predictor
from ancestral_models.spec import FeatureSpec, SpeechSpec
from ancestral_models.text.phonemes import is_pause

# Sound to conditioning frames: log-mel energies (ancestral_models/audio/features.py), F0 and voicing per 10 ms.
#
# F0 is searched in a range of each speaker's own: in a wider one creaks and overtones are taken for pitch. How well the
# harmonics of each candidate fit the spectrum is SWIPE's measure (Camacho & Harris 2008, section II): the product of
# the root of the magnitudes with a kernel that is positive at the harmonics of the candidate, negative between them,
# and falls with the root of the frequency. The path through the candidates is found by dynamic programming, as in RAPT
# (Talkin 1995), with one state more for unvoiced frames.
#
# On a voice with little periodicity, WORLD's Harvest and DIO found F0 that the harmonics in the spectrum do not have:
# for ``joe`` its ripple (ancestral_models/audio/features.py) and that of the mels had a correlation of 0.14; here it is
# 0.54.

PitchRange = tuple[float, float]
"""Lowest and highest F0 of the search, in Hz."""

_STEPS_PER_OCTAVE = 48
_PERIODS = 7
"""Periods in one window, of F0 in the middle of the range."""
_MIDDLE = 0.6
"""The lowest F0 of a range, relative to that."""
_HIGHEST_HZ = 2000.0
_HARMONICS = 12
_TRANSFORM = 4096
_UNVOICED = 0.2
"""The fit below which a frame is unvoiced."""
_STEP_COST, _SWITCH_COST = 0.02, 0.15
"""Cost of a change of F0 by one step of the grid, and of a change between voiced and unvoiced."""
_FURTHEST = 12
"""Steps by which F0 can change from one frame to the next: a quarter of an octave."""
_FAINT = 1e-3


class _Candidates(NamedTuple):
    """What does not depend on the sound."""

    f0: NDArray[np.float64]
    """``[C]``"""
    window: NDArray[np.float64]
    bins: slice
    """Bins of the transform."""
    kernels: NDArray[np.float32]
    """``[bins, C]``"""


@cache
def _candidates(sample_rate: int, pitch_range: PitchRange) -> _Candidates:
    low, high = pitch_range
    f0 = low * 2.0 ** (np.arange(int(np.log2(high / low) * _STEPS_PER_OCTAVE) + 1) / _STEPS_PER_OCTAVE)
    size = round(_PERIODS * sample_rate * _MIDDLE / low / 2) * 2
    step = sample_rate / _TRANSFORM
    bins = slice(int(np.ceil(low / 2 / step)), int(_HIGHEST_HZ / step) + 1)
    hz = np.arange(bins.start, bins.stop)[:, None] * step
    harmonic = hz / f0
    wave = np.cos(2.0 * np.pi * harmonic) / np.sqrt(hz)
    # The first harmonic has half a lobe below it; there is nothing above the last one.
    kernels = wave * np.select([harmonic < 0.25, harmonic < 0.75, harmonic < _HARMONICS + 0.25], [0.0, 0.5, 1.0])
    kernels /= np.sqrt((np.maximum(kernels, 0.0) ** 2).sum(axis=0))
    return _Candidates(f0, np.hanning(size + 1)[:-1], bins, kernels.astype(np.float32))


def track(wave: NDArray[np.floating], sample_rate: int, hop: int, pitch_range: PitchRange) -> NDArray[np.float64]:
    """F0 in the middle of every frame of ``hop`` samples, in Hz, 0 where it is unvoiced: ``[len(wave) // hop]``."""
    count = len(wave) // hop
    if not count:
        return np.zeros(0)
    candidates = _candidates(sample_rate, pitch_range)
    size = len(candidates.window)
    padded = np.pad(np.asarray(wave, np.float64), (size // 2 - hop // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: count * hop : hop]
    magnitudes = np.abs(np.fft.rfft(frames * candidates.window, _TRANSFORM, axis=1))[:, candidates.bins]
    loudness = np.sqrt(magnitudes)
    loudness /= np.linalg.norm(loudness, axis=1, keepdims=True) + _FAINT
    fits = loudness.astype(np.float32) @ candidates.kernels
    path = _best_path(fits)
    voiced = np.flatnonzero(path < len(candidates.f0))
    hz = np.zeros(count)
    hz[voiced] = candidates.f0[path[voiced]] * 2.0 ** (_peaks(fits[voiced], path[voiced]) / _STEPS_PER_OCTAVE)
    return hz


def _peaks(fits: NDArray[np.float32], path: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far from its candidate the top of the parabola through each fit ``[N, C]`` and its neighbours lies."""
    inner = np.clip(path, 1, fits.shape[1] - 2)
    before, here, after = (fits[np.arange(len(path)), inner + d].astype(np.float64) for d in (-1, 0, 1))
    bend = before - 2.0 * here + after
    top = np.where((bend < 0.0) & (inner == path), 0.5 * (before - after) / np.minimum(bend, -1e-9), 0.0)
    return np.clip(top, -1.0, 1.0)


def _best_path(fits: NDArray[np.float32]) -> NDArray[np.int64]:
    """The candidate of every frame ``[T]`` that makes fits less costs highest; C stands for unvoiced."""
    frames, count = fits.shape
    near = np.lib.stride_tricks.sliding_window_view(np.arange(-_FURTHEST, count + _FURTHEST), 2 * _FURTHEST + 1)
    step_costs = _STEP_COST * np.abs(np.arange(-_FURTHEST, _FURTHEST + 1))
    voiced, unvoiced, padding = fits[0].astype(np.float64), _UNVOICED, np.full(_FURTHEST, -np.inf)
    source, every = np.empty((frames, count + 1), np.int64), np.arange(count)
    for t in range(1, frames):
        windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([padding, voiced, padding]), len(step_costs))
        values = windows - step_costs
        best = values.argmax(axis=1)
        values = values[every, best]
        starts, top = unvoiced - _SWITCH_COST, int(voiced.argmax())
        source[t, :count] = np.where(values > starts, near[every, best], count)
        ends = float(voiced[top]) - _SWITCH_COST
        source[t, count] = count if unvoiced >= ends else top
        voiced, unvoiced = np.maximum(values, starts) + fits[t], _UNVOICED + max(unvoiced, ends)
    path = np.empty(frames, np.int64)
    path[-1] = np.append(voiced, unvoiced).argmax()
    for t in range(frames - 1, 0, -1):
        path[t - 1] = source[t, path[t]]
    return path


Array = NDArray[np.float32]
_LOUD = 0.05
"""Energy of a loud frame, relative to the loudest one."""
_SILENCE_DB = -45.0
"""Below full scale; speech is at -20 dB."""


def sounding_frames(wave: Array, hop: int) -> NDArray[np.bool_]:
    """Which frames of ``hop`` samples of a clip at the level of the corpora are no silence: ``[len(wave) // hop]``."""
    energy = (np.asarray(wave[: len(wave) // hop * hop], np.float64).reshape(-1, hop) ** 2).mean(axis=1)
    return np.asarray(energy > 10 ** (_SILENCE_DB / 10))


def trim_silence(wave: Array, sample_rate: int) -> tuple[int, int]:
    """First and last sample of a clip after its outer silence is cut to 80 ms, on a grid of 10 ms."""
    size, keep = sample_rate // 100, 8
    count = len(wave) // size
    if not count:
        return 0, len(wave)
    active = np.flatnonzero(sounding_frames(wave, size))
    if not len(active):
        return 0, count * size
    return max(int(active[0]) - keep, 0) * size, min(int(active[-1]) + 1 + keep, count) * size


def pitch(wave: Array, spec: FeatureSpec, pitch_range: PitchRange | None = None) -> tuple[Array, Array]:
    """Scaled log-F0 (interpolated through unvoiced frames) and voicing, both ``[F]``."""
    count = len(wave) // spec.hop
    hz = track(wave, spec.sample_rate, spec.hop, pitch_range or whole_range(spec))
    known = np.flatnonzero(hz > 0.0)
    if not len(known):
        return np.zeros(count, np.float32), np.zeros(count, np.float32)
    log_f0 = np.interp(np.arange(count), known, np.log(hz[known]))
    scaled = (log_f0 - LOG_F0_MEAN) / LOG_F0_SCALE
    return scaled.astype(np.float32), (hz > 0.0).astype(np.float32)


def whole_range(spec: FeatureSpec) -> PitchRange:
    """The range of all voices."""
    return spec.pitch_low_hz, spec.pitch_high_hz


def loud_frames(wave: Array, hop: int) -> NDArray[np.bool_]:
    """Which frames of ``hop`` samples are loud, beside the loudest one: ``[len(wave) // hop]``."""
    energy = (wave[: len(wave) // hop * hop].reshape(-1, hop) ** 2).mean(axis=1)
    return np.asarray(energy > _LOUD * energy.max(initial=0.0))


def speaker_pitch_range(waves: Iterable[Array], spec: FeatureSpec) -> PitchRange:
    """The search range of a speaker's F0: 0.6 to 1.8 times its median in the loud parts of some clips."""
    found = [np.zeros(0)]
    for wave in waves:
        hz = track(wave, spec.sample_rate, spec.hop, whole_range(spec))
        found.append(hz[(hz > 0.0) & loud_frames(wave, spec.hop)])
    known = np.concatenate(found)
    if not len(known):
        return whole_range(spec)
    low, high = 0.6 * float(np.median(known)), 1.8 * float(np.median(known))
    return max(low, spec.pitch_low_hz), min(high, spec.pitch_high_hz)


def analyze(wave: Array, spec: FeatureSpec, pitch_range: PitchRange | None = None) -> Array:
    """The conditioning frames of a clip: ``[len(wave) // hop, spec.channels]``."""
    log_f0, voicing = pitch(wave, spec, pitch_range)
    return np.column_stack([log_mel(wave, spec), log_f0, voicing])


# Prepared corpora: symbols and conditioning frames as memory-mapped arrays, shared by all processes.
#
# A prepared directory holds ``symbols.npy`` (mu-law, ``uint8 [ΣF * hop]``), ``frames.npy`` (``float16 [ΣF, channels]``)
# and ``clips.json``: the feature spec, how sound became symbols, where F0 was looked for, and one entry a clip, in
# order. Where the symbols are an excitation, ``wave.npy`` (``int16 [ΣF * hop]``) has the sound, for other filters than
# that of the clip's own frames.

MINIMUM_FRAMES = 40
PCM = 32767.0
"""The int16 of a sample of 1."""
_RANGED = 12
"""Clips from which a speaker's range of F0 is measured."""
_RUMBLE_HZ = 30.0, 45.0
"""What is below the first is taken away, what is above the second stays."""
_SHIFTED_EVERY = 4
"""One in so many of a speaker's clips is prepared a second time with another F0."""


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
    """Phones from the clip's start to its end, where the corpus knows them."""
    semitones: float = 0.0
    """Semitones by which it is moved before its analysis: resampled, so that its formants move, too."""


@dataclass(frozen=True)
class PreparedClip:
    """The position of one clip in the prepared arrays."""

    id: str
    speaker: str
    start: int
    frames: int
    text: str = ""
    phones: tuple[str, ...] = ()
    durations: tuple[int, ...] = ()
    """Frames of every phoneme; their sum is ``frames``."""
    word_starts: tuple[bool, ...] = ()


def load_wave(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """A sound file as mono float32 at ``sample_rate``, without what lies below every voice.

    Raises:
        ValueError: it is no sound file, or an empty one.
    """
    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(str(error)) from error
    mono = wave.mean(axis=1) if rate == sample_rate else soxr.resample(wave.mean(axis=1), rate, sample_rate)
    if not len(mono):
        raise ValueError(f"{path}: a recording without sound")
    return without_rumble(mono, sample_rate)


def rate_of(path: Path) -> int:
    """The rate of a sound file, in hertz."""
    return int(soundfile.info(path).samplerate)


def without_rumble(wave: NDArray[np.floating], sample_rate: int) -> NDArray[np.float32]:
    """A high-pass of zero phase. Some of Kokoro's voices rumble at 10 to 30 Hz, up to 17 dB below the speech and on
    after its end: nobody hears it, but its sound would never count as silence, and a model would have to learn it."""
    low, high = _RUMBLE_HZ
    spectrum = np.fft.rfft(np.asarray(wave, np.float64))
    hz = np.fft.rfftfreq(len(wave), 1.0 / sample_rate)
    spectrum *= 0.5 - 0.5 * np.cos(np.pi * np.clip((hz - low) / (high - low), 0.0, 1.0))
    return np.fft.irfft(spectrum, len(wave)).astype(np.float32)


@dataclass(frozen=True)
class Coding:
    """The coding of the symbols of a prepared directory; see ``SpeechSpec``."""

    preemphasis: float
    gain: float
    shaping: str = "preemphasis"

    @classmethod
    def of(cls, spec: SpeechSpec) -> Self:
        return cls(spec.preemphasis, spec.gain, spec.shaping)

    def encode(self, wave: NDArray[np.floating], frames: NDArray[np.floating], spec: FeatureSpec) -> NDArray[np.uint8]:
        """Sound ``[F * hop]`` and its frames ``[F, channels]`` to symbols ``[F * hop]``."""
        if self.shaping == "linear_prediction":
            return encode_excitation(wave, predictor(frames, spec))
        return encode_wave(wave, self.preemphasis, self.gain)


class _Prepared(NamedTuple):
    symbols: NDArray[np.uint8]
    frames: NDArray[np.float16]
    durations: tuple[int, ...]
    wave: NDArray[np.int16]


def pitch_ranges(clips: Sequence[Clip], spec: FeatureSpec) -> dict[str, PitchRange]:
    """The search range of every speaker's F0, from some of its clips."""
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(clip.speaker, []).append(clip)
    rate, ranges = spec.sample_rate, dict[str, PitchRange]()
    for name, group in groups.items():
        some = group[:: max(len(group) // _RANGED, 1)][:_RANGED]
        ranges[name] = speaker_pitch_range((normalize_level(load_wave(c.path, rate), rate) for c in some), spec)
    return ranges


def shifted(clips: Sequence[Clip], semitones: float) -> list[Clip]:
    """Some of the clips that are trained on, with a lower or a higher F0 in turn, for WaveNet: a request may ask for
    an F0 that its speaker does not have. They have no phonemes, so no acoustic model learns from them."""
    some = [clip for clip in clips if not held_out(clip.id)][::_SHIFTED_EVERY]
    return [replace(clip, semitones=semitones if n % 2 else -semitones, phones=()) for n, clip in enumerate(some)]


def _prepare_clip(clip: Clip, spec: FeatureSpec, coding: Coding, ranges: Mapping[str, PitchRange]) -> _Prepared | None:
    wave, factor = load_wave(clip.path, spec.sample_rate), 2.0 ** (clip.semitones / 12.0)
    if clip.semitones:
        wave = soxr.resample(wave, spec.sample_rate * factor, spec.sample_rate)
    wave = normalize_level(wave, spec.sample_rate)
    begin, end = trim_silence(wave, spec.sample_rate)
    frames = (end - begin) // spec.hop
    if frames < MINIMUM_FRAMES:
        return None
    cut = wave[begin : begin + frames * spec.hop]
    durations = tuple[int, ...]()
    if clip.phones:
        seconds = [p.seconds for p in clip.phones]
        durations = frame_durations(seconds, begin / spec.sample_rate, frames, spec.hop / spec.sample_rate)
        durations = pauses_of_silence([p.phone for p in clip.phones], durations, sounding_frames(cut, spec.hop))
    low, high = ranges[clip.speaker]
    made = analyze(cut, spec, (max(low * factor, spec.pitch_low_hz), high * factor)).astype(np.float16)
    sound = np.round(cut * PCM).astype(np.int16) if coding.shaping == "linear_prediction" else np.empty(0, np.int16)
    return _Prepared(coding.encode(cut, made, spec), made, durations, sound)


def prepare(
    clips: Sequence[Clip], out: Path, spec: FeatureSpec, coding: Coding, processes: int = 2,
    progress: Callable[[int], None] = lambda done: None,
) -> int:  # fmt: skip
    """Analyse clips into a prepared directory. Clips under 0.4 s of sound are left out.

    Returns:
        The number of clips kept.

    Raises:
        ValueError: there is none to keep, or one is no sound file.
    """
    kept: list[tuple[PreparedClip, _Prepared]] = []
    ranges = pitch_ranges(clips, spec)
    work = partial(_prepare_clip, spec=spec, coding=coding, ranges=ranges)
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
            names, starts = tuple(p.phone for p in clip.phones), tuple(p.starts_word for p in clip.phones)
            entry = PreparedClip(clip.id, clip.speaker, 0, len(made.frames), clip.text, names, made.durations, starts)
            kept.append((entry, made))
    if not kept:
        raise ValueError(f"none of {len(clips)} clips has {MINIMUM_FRAMES} frames of sound")
    write_prepared(out, kept, spec, coding, ranges)
    return len(kept)


def write_prepared(
    out: Path,
    clips: Sequence[tuple[PreparedClip, _Prepared]],
    spec: FeatureSpec,
    coding: Coding,
    ranges: Mapping[str, PitchRange],
) -> None:
    """Write a prepared directory of clips and their arrays.

    The clips' :attr:`~PreparedClip.start` is set here: where they were in another directory means nothing in this one.
    """
    starts = np.cumsum([0, *(len(made.frames) for _, made in clips)]).tolist()
    placed = [replace(clip, start=start) for (clip, _), start in zip(clips, starts[:-1], strict=True)]
    out.mkdir(parents=True, exist_ok=True)
    # The index first, so that none points into other arrays; a run that has mapped earlier arrays keeps them.
    for name in ("clips.json", "symbols.npy", "frames.npy", "wave.npy"):
        (out / name).unlink(missing_ok=True)
    _save(out / "symbols.npy", [made.symbols for _, made in clips])
    _save(out / "frames.npy", [made.frames for _, made in clips])
    if coding.shaping == "linear_prediction":
        _save(out / "wave.npy", [made.wave for _, made in clips])
    index = {
        "features": spec.to_json(), **asdict(coding), "pitch_ranges": ranges, "clips": [asdict(c) for c in placed],
    }  # fmt: skip
    (out / "clips.json").write_text(json.dumps(index))


def _save(file: Path, parts: Sequence[NDArray[Any]]) -> None:
    """Write arrays behind each other as one, which is never in memory as a whole."""
    shape = sum(map(len, parts)), *parts[0].shape[1:]
    np.concatenate(parts, out=np.lib.format.open_memmap(file, "w+", parts[0].dtype, shape))


def _frozen(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


class Dataset:
    """A prepared directory, opened: clips, and their symbols and frames by view.

    Raises:
        ValueError: the directory is not prepared.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        if not (directory / "clips.json").exists():
            raise ValueError(f"{directory}: not prepared (ancestral corpus prepare)")
        index: dict[str, Any] = json.loads((directory / "clips.json").read_text())
        self.spec = FeatureSpec.from_json(index["features"])
        # ``shaping`` and ``pitch_ranges`` may be missing.
        self.coding = Coding(index["preemphasis"], index["gain"], index.get("shaping", "preemphasis"))
        self.pitch_ranges: dict[str, PitchRange] = {k: (v[0], v[1]) for k, v in index.get("pitch_ranges", {}).items()}
        self.clips = [PreparedClip(**_frozen(clip)) for clip in index["clips"]]
        self._symbols: NDArray[np.uint8] = np.load(directory / "symbols.npy", mmap_mode="r")
        self._frames: NDArray[np.float16] = np.load(directory / "frames.npy", mmap_mode="r")
        self._wave: NDArray[np.int16] = np.empty(0, np.int16)
        if self.coding.shaping == "linear_prediction":
            self._wave = np.load(directory / "wave.npy", mmap_mode="r")

    def __reduce__(self) -> tuple[type[Dataset], tuple[Path]]:
        """Another process maps the arrays, too: pickled arrays would be a copy of its own of all the data."""
        return Dataset, (self._directory,)

    def symbols(self, clip: PreparedClip) -> NDArray[np.uint8]:
        """``[frames * hop]``."""
        hop = self.spec.hop
        return self._symbols[clip.start * hop : (clip.start + clip.frames) * hop]

    def wave(self, clip: PreparedClip) -> NDArray[np.int16]:
        """``[frames * hop]``: the sound; empty unless the symbols are an excitation."""
        hop = self.spec.hop
        return self._wave[clip.start * hop : (clip.start + clip.frames) * hop]

    def frames(self, clip: PreparedClip) -> NDArray[np.float16]:
        """``[frames, channels]``."""
        return self._frames[clip.start : clip.start + clip.frames]


def held_out(clip_id: str) -> bool:
    """Whether a clip belongs to the evaluation set, which nothing is ever trained on: the corpora name them
    ``…_s0000``."""
    return re.search(r"_s[0-9]{4}\Z", clip_id) is not None


def by_speaker(datasets: Iterable[Dataset], *, evaluation: bool) -> dict[str, list[tuple[Dataset, PreparedClip]]]:
    """The clips of several data sets, grouped by speaker: those held out, or all others."""
    groups: dict[str, list[tuple[Dataset, PreparedClip]]] = {}
    for dataset in datasets:
        for clip in dataset.clips:
            if held_out(clip.id) == evaluation:
                groups.setdefault(clip.speaker, []).append((dataset, clip))
    return groups


def require_clips(groups: Mapping[str, Sequence[object]], such: str) -> None:
    """Raise ValueError, with their names, if there are speakers without a clip; ``such`` says of what kind."""
    if missing := [name for name, clips in groups.items() if not clips]:
        raise ValueError(f"speakers: the data hold no clip of {', '.join(missing)} to train on, {such}")


def minutes_by_speaker(groups: Mapping[str, Sequence[tuple[Dataset, PreparedClip]]]) -> dict[str, float]:
    """Minutes of sound of each speaker. A clip that occurs twice, with other frames, counts once."""
    totals = {}
    for name, group in groups.items():
        once = {clip.id: clip.frames * dataset.spec.hop / dataset.spec.sample_rate for dataset, clip in group}
        totals[name] = sum(once.values()) / 60.0
    return totals


_SHORTEST_PHONE, _SHORTEST_PAUSE = 2, 5
"""Fewest frames of a phone and of a pause, where a pause is set to its silence."""


def frame_durations(seconds: Sequence[float], begin: float, frames: int, frame_seconds: float) -> tuple[int, ...]:
    """Durations on the frame grid of a clip trimmed to ``begin`` … ``begin + frames * frame_seconds``.

    Rounding is done on the boundaries, so that errors never add up; what was trimmed comes off the outer phonemes.
    """
    edges = np.cumsum([0.0, *seconds]) - begin
    grid = np.clip(np.round(edges / frame_seconds), 0, frames).astype(int)
    grid[0], grid[-1] = 0, frames
    return tuple(int(d) for d in np.diff(grid))


def pauses_of_silence(phones: Sequence[str], durations: Sequence[int], sounding: NDArray[np.bool_]) -> tuple[int, ...]:
    """Durations of which a pause has the whole silence: teachers give some of it to the phoneme before the pause.

    Args:
        phones: of a clip.
        durations: of each, in frames.
        sounding: which frames are no silence, ``[sum(durations)]``.
    """
    edges = np.cumsum([0, *durations])
    for i in range(1, len(phones)):
        if is_pause(phones[i]):
            first = edges[i - 1] + _SHORTEST_PHONE
            bounds = np.flatnonzero(np.diff(sounding[first : edges[i + 1]], prepend=True, append=True))
            runs = bounds.reshape(-1, 2)
            begin, end = max(runs.tolist(), key=lambda run: run[1] - run[0], default=(0, 0))
            if end - begin >= _SHORTEST_PAUSE:
                edges[i] = first + begin + 1
    return tuple(int(d) for d in np.diff(edges))


# Prepared corpora in parts of a limited size, for machines that accept only so much at a time.
#
# A part is itself a prepared directory (:mod:`ancestral_training.data.speech`), so that training reads as many parts as
# there are. Every part has its share of each speaker and of the held-out clips.

_INDEX_BYTES = 4096
"""Allowed for a clip's entry in ``clips.json``, and for the arrays' headers."""


def _size(dataset: Dataset, clip: PreparedClip) -> int:
    arrays = dataset.symbols(clip), dataset.frames(clip), dataset.wave(clip)
    return sum(array.nbytes for array in arrays) + _INDEX_BYTES + 64 * len(clip.phones)


def pack(prepared: Sequence[Path], out: Path, limit: int) -> list[Path]:
    """Divide prepared directories of one coding into ``part-000``, ``part-001``, … of at most ``limit`` bytes each.

    Args:
        prepared: the directories.
        out: the folder of the parts.
        limit: bytes of a part, its index included.

    Returns:
        The parts.

    Raises:
        ValueError: the directories are of different codings or features, a clip is larger than a part, or ``out`` is
            not empty.
    """
    datasets = [Dataset(path) for path in prepared]
    for path, dataset in zip(prepared, datasets, strict=True):
        if (dataset.coding, dataset.spec) != (datasets[0].coding, datasets[0].spec):
            raise ValueError(f"{path}: prepared with {dataset.coding}, but {prepared[0]} with {datasets[0].coding}")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out}: not empty")
    every = [(dataset, clip) for dataset in datasets for clip in dataset.clips]
    groups: list[list[tuple[Dataset, PreparedClip]]] = [[]]
    room = limit
    for index in np.random.default_rng(0).permutation(len(every)):
        size = _size(*every[index])
        if size > limit:
            raise ValueError(f"{every[index][1].id}: a clip of {size} bytes does not fit into a part of {limit}")
        if size > room:
            groups.append([])
            room = limit
        groups[-1].append(every[index])
        room -= size
    ranges = {name: found for dataset in datasets for name, found in dataset.pitch_ranges.items()}
    return [_write(group, out / f"part-{number:03d}", ranges) for number, group in enumerate(groups) if group]


def _write(group: Sequence[tuple[Dataset, PreparedClip]], out: Path, ranges: dict[str, tuple[float, float]]) -> Path:
    parts = [(c, _Prepared(d.symbols(c), d.frames(c), c.durations, d.wave(c))) for d, c in group]
    write_prepared(out, parts, group[0][0].spec, group[0][0].coding, ranges)
    return out
