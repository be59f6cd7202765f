"""A voice of one's own: from recordings to a model, and the band above 8 kHz that it has."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from ancestral_models.architectures.acoustic import AcousticSpec, HighBandSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.audio.features import fft_size, log_mel, magnitudes, normalize_level, window_gain
from ancestral_models.audio.resampler import BAND_HZ, BANDS, INPUTS, LOW_HZ, RATE, inputs
from ancestral_models.checkpoint import load, save
from ancestral_models.entries import ACOUSTIC, HIGH_BAND, MANIFEST, ModelEntry, Voice
from ancestral_models.spec import FeatureSpec
from ancestral_models.text import PHONEMES
from ancestral_training.corpora import CorpusError, align_clips, read
from ancestral_training.corpora.packages import text_lines
from ancestral_training.data import speech, whole
from ancestral_training.data.speech import held_out
from ancestral_training.loop import LoopConfig, train
from ancestral_training.model_card import card
from ancestral_training.tasks.acoustic import AcousticTask
from ancestral_training.tasks.wavenet import WaveNetTask

# Fits the maps of the band above 8 kHz (ancestral_models/audio/resampler.py): least squares on clips at 24 kHz or more.

_DECIBELS = 10.0 / np.log(10.0)
_FLOOR = 1e-9
_MOST = 0.7
"""The most that a level is raised by so that the mean power is right, in e-folds: 3 dB."""
_RIDGE = 10.0
"""Added to the diagonal of the normal equations: a row of the data has a sum of squares of 100."""

Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


def fit_high_band(clips: Iterable[speech.Clip], out: Path, count: int = 100) -> dict[str, float]:
    """Write the maps of the voices of some clips as a checkpoint.

    Args:
        clips: at 24 kHz or more.
        out: the directory of the checkpoint.
        count: clips of each voice to fit to; as many held-out ones, at most, are measured.

    Returns:
        The root mean square error of the levels of each voice's held-out clips, in decibels: ``decibels_NAME``.

    Raises:
        CorpusError: there are no clips to fit to, or they have a lower rate.
    """
    voices: dict[str, list[speech.Clip]] = {}
    for clip in clips:
        voices.setdefault(clip.speaker, []).append(clip)
    tensors, minutes, figures = {}, {}, {}
    for name, group in voices.items():
        fitted, measured = ([c for c in group if held_out(c.id) is held][:count] for held in (False, True))
        rows = list(_rows(fitted))
        if not rows:
            raise CorpusError(f"{name}: no clip to fit to")
        tensors[f"maps.{name}"] = _least_squares(rows)
        minutes[name] = sum(len(levels) for _, levels in rows) / 6000.0
        errors = [given @ tensors[f"maps.{name}"] - levels for given, levels in _rows(measured)]
        if errors:
            figures[f"decibels_{name}"] = float(_DECIBELS * np.sqrt((np.concatenate(errors) ** 2).mean()))
    title = "The band above 8 kHz: levels of noise from the mels below, for each voice"
    trained = {"clips of a voice, at most": count, "ridge": _RIDGE}
    save(out, HighBandSpec(tuple(voices)), tensors, card(title, minutes, trained, figures, None), half=True)
    return figures


def _rows(clips: Sequence[speech.Clip]) -> Iterator[Rows]:
    """The inputs of the map in the frames of each clip ``[F, INPUTS]``, and the logarithms of the powers that follow
    ``[F, BANDS]``; frames at both ends are left out."""
    spec = FeatureSpec()
    for clip in clips:
        wave = normalize_level(speech.load_wave(clip.path, RATE), RATE)
        if (rate := speech.rate_of(clip.path)) < RATE:
            raise CorpusError(f"{clip.id}: {rate} Hz; the band above 8 kHz needs {RATE}")
        mels = log_mel(soxr.resample(wave, RATE, spec.sample_rate), spec)
        levels = _levels(wave, spec)
        length = min(len(mels), len(levels))
        yield inputs(mels[:length]), levels[1 : length - 1]


def _levels(wave: NDArray[np.float32], spec: FeatureSpec) -> NDArray[np.float64]:
    """The logarithm of the power of every band, relative to white noise of variance 1: ``[F, BANDS]``."""
    hop, window = (length * RATE // spec.sample_rate for length in (spec.hop, spec.window))
    spec = FeatureSpec(sample_rate=RATE, hop=hop, window=window)
    size, power = fft_size(spec), (magnitudes(wave, spec) / window_gain(spec)) ** 2
    first = [round((LOW_HZ + k * BAND_HZ) * size / RATE) for k in range(BANDS + 1)]
    bands = [power[:, low:high].mean(axis=1) for low, high in pairwise(first)]
    return np.log(np.stack(bands, axis=1) + _FLOOR)


def _least_squares(rows: Sequence[Rows]) -> NDArray[np.float32]:
    given, levels = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    found = np.linalg.solve(given.T @ given + _RIDGE * np.eye(INPUTS), given.T @ levels)
    # The mean of logarithms is not that of powers: without this the band would be 1 to 3 dB too quiet.
    found[-1] += np.log(np.exp(levels).mean(axis=0) / np.exp(given @ found).mean(axis=0)).clip(0.0, _MOST)
    return found.astype(np.float32)


# A voice of one's own: recordings and their text become a model that speaks with that voice.
#
# Both networks of a model are fine-tuned on the recordings alone, so the result is a model of its own and the voices of
# the first one stay as they are. Every step leaves its result in a work directory, where the same call goes on from.

SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
LEAST_SECONDS = 60.0
"""Least sound to train on."""
_HELD_OUT_EVERY = 12
"""One clip in so many is kept for evaluation."""
_WAVENET: Final = "wavenet"
"""The run of the network that is sampled, in the work directory."""
SOURCE: Final = "source.json"
"""What the work directory was made from."""

Report = Callable[[str], None]


class VoiceError(ValueError):
    """Recordings or a text file that no voice can be made from; the message names the file."""


@dataclass(frozen=True)
class NewVoice:
    """What to make, from which model, and for how long."""

    voice: Voice
    base: ModelEntry
    """The model whose two networks are fine-tuned."""
    work: Path
    """The folder of the corpus and the runs."""
    out: Path
    wavenet_steps: int
    acoustic_steps: int
    processes: int


def read_recordings(audio: Path, text: Path, voice: str) -> list[speech.Clip]:
    """The clips of a text file, ``FILE|TEXT`` a line (or LJSpeech's ``FILE|TEXT|NORMALISED TEXT``), named for training.

    Args:
        audio: the folder of the recordings, ``FILE.wav`` (flac, ogg, mp3).
        text: the text file.
        voice: the name of the voice.

    Raises:
        CorpusError: the text file is not UTF-8.
        VoiceError: a line is no such line, or a recording is missing.
    """
    clips: list[speech.Clip] = []
    for number, line in enumerate(text_lines(text), 1):
        if not line.strip():
            continue
        fields = line.split("|")
        if len(fields) not in (2, 3) or not fields[-1].strip():
            raise VoiceError(f"{text.name}:{number}: expected FILE|TEXT")
        clips.append(
            speech.Clip("", voice, _sound(audio, fields[0].strip(), f"{text.name}:{number}"), fields[-1].strip())
        )
    if len(clips) < _HELD_OUT_EVERY:
        raise VoiceError(f"{text.name}: {len(clips)} recordings; at least {_HELD_OUT_EVERY} are needed")
    held_out = range(_HELD_OUT_EVERY - 1, len(clips), _HELD_OUT_EVERY)
    names = {position: f"{voice}_s{count:04d}" for count, position in enumerate(held_out)}
    return [replace(clip, id=names.get(i, f"{voice}_{i:05d}")) for i, clip in enumerate(clips)]


def _sound(folder: Path, name: str, where: str) -> Path:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise VoiceError(f"{where}: {name!r} is not in {folder}")
    for path in (folder / name, *(folder / f"{name}{suffix}" for suffix in SOUNDS)):
        if path.is_file() and path.suffix.lower() in SOUNDS:
            return path
    raise VoiceError(f"{where}: {folder / name} is missing ({', '.join(SOUNDS)})")


def add_voice(new: NewVoice, clips: list[speech.Clip], report: Report) -> None:
    """Align, prepare, fine-tune both networks, and write the model; one that is there already stays as it is.

    Args:
        new: what to make.
        clips: of :func:`read_recordings`.
        report: told what is being done.

    Raises:
        ValueError: a recording is no sound file, too little of them can be used, or the work is of others.
    """
    _check_work(new, clips)
    if new.out.exists():
        report(f"{new.out}: there already")
        return
    prepared, weights = _prepared(new, clips, report), {new.voice.id: 1.0}
    wavenet, acoustic = _specs(new.base)
    report(f"Fine-tuning {new.base.id}/{new.base.sampled.name}: {new.wavenet_steps} steps")
    sampling = replace(wavenet, speakers=tuple(weights))
    task = WaveNetTask(sampling, (prepared,), weights, batch=2, crop_frames=40, blur=0.5, start=new.base.sampled)
    train(task, _config(new.wavenet_steps, 1e-3), new.work / _WAVENET, new.processes)
    report(f"Fine-tuning {new.base.id}/{ACOUSTIC}: {new.acoustic_steps} steps")
    predicting = replace(acoustic, speakers=tuple(weights), phonemes=PHONEMES)
    train(
        AcousticTask(predicting, (prepared,), weights, batch=4, start=new.base.path / ACOUSTIC),
        _config(new.acoustic_steps, 7e-4), new.work / ACOUSTIC, new.processes,
    )  # fmt: skip
    _write_model(new, clips)


def _check_work(new: NewVoice, clips: Sequence[speech.Clip]) -> None:
    """Refuse a work directory whose corpus and runs are of other recordings, texts or another base."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.id}|{clip.text}|{hashlib.sha256(clip.path.read_bytes()).hexdigest()}\n".encode())
    note, language = new.work / SOURCE, {"language": new.voice.language}
    source = language | {"base": load(new.base.sampled).sha256, "recordings": digest.hexdigest()}
    new.work.mkdir(parents=True, exist_ok=True)
    if not note.exists():
        with whole(note) as partial:
            partial.write_text(json.dumps(source), "utf-8")
    elif language | json.loads(note.read_text("utf-8")) != source:  # older notes have none
        raise VoiceError(
            f"{new.work} is of other recordings, texts, another base or language: remove it, or name another --work"
        )


def _specs(base: ModelEntry) -> tuple[WaveNetSpec, AcousticSpec]:
    return load(base.sampled).spec_as(WaveNetSpec), load(base.path / ACOUSTIC).spec_as(AcousticSpec)


def _config(steps: int, learning_rate: float) -> LoopConfig:
    return LoopConfig(
        steps, learning_rate=learning_rate, warmup=50, decay=0.5, ema=0.995, evaluate_every=steps, log_every=10
    )


def _prepared(new: NewVoice, clips: list[speech.Clip], report: Report) -> Path:
    """The prepared directory, made in a directory that is renamed when it is whole."""
    corpus, prepared = new.work / "corpus", new.work / "prepared"
    if not corpus.exists():
        report(f"Aligning {len(clips)} recordings with their text")
        with whole(corpus) as partial:
            failed = align_clips(clips, partial, new.voice.language)
        if failed:
            names = ", ".join(clip.path.name for clip in failed)
            report(f"{len(failed)} recordings do not match their text, and teach no pronunciation: {names}")
    if not prepared.exists():
        report("Computing frames and symbols")
        wavenet, acoustic = _specs(new.base)
        with whole(prepared) as partial:
            speech.prepare(read(corpus), partial, acoustic.features, speech.Coding.of(wavenet), new.processes)
    groups = speech.by_speaker([speech.Dataset(prepared)], evaluation=False)
    known = {name: [item for item in group if item[1].durations] for name, group in groups.items()}
    seconds = 60.0 * speech.minutes_by_speaker(known).get(new.voice.id, 0.0)
    report(f"{seconds / 60.0:.1f} minutes of speech that match their text, to train on")
    if seconds < LEAST_SECONDS:
        shutil.rmtree(corpus)
        shutil.rmtree(prepared)
        (new.work / SOURCE).unlink()
        raise CorpusError(f"at least {LEAST_SECONDS:.0f} seconds of speech must match their text, not {seconds:.0f}")
    return prepared


def _write_model(new: NewVoice, clips: Sequence[speech.Clip]) -> None:
    with whole(new.out) as partial:
        partial.mkdir(parents=True)
        for name, run in ((new.base.sampled.name, _WAVENET), (ACOUSTIC, ACOUSTIC)):
            shutil.copytree(new.work / run / "checkpoint", partial / name)
        if min(speech.rate_of(clip.path) for clip in clips) >= RATE:
            fit_high_band(clips, partial / HIGH_BAND)
        voice = {name: value for name, value in asdict(new.voice).items() if value is not None}
        described = {
            "id": new.voice.id, "kind": "speech", "created": int(time.time()), "owned_by": "user",
            "description": f"The voice {new.voice.name}, fine-tuned from {new.base.id}",
            "temperature": new.base.temperature, "voices": [voice],
        }  # fmt: skip
        (partial / MANIFEST).write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", "utf-8")
