"""Corpora whose frames are those of an acoustic model, to train a WaveNet on the frames that it gets in service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ancestral.models.text.acoustic import AcousticModel
from ancestral.training.data.speech import PCM, Dataset, PreparedClip, held_out, write_prepared


def _symbols_for(dataset: Dataset, clip: PreparedClip, frames: NDArray[np.float16]) -> NDArray[np.uint8]:
    """A clip's symbols where its frames are others: an excitation is that of the filter it will be served with."""
    if dataset.coding.shaping == "preemphasis":
        return dataset.symbols(clip)
    return dataset.coding.encode(dataset.wave(clip) / PCM, frames, dataset.spec)


def predict_corpus(model: AcousticModel, source: Path, out: Path, progress: Callable[[int], None]) -> int:
    """A copy of a prepared corpus whose mels are the model's own, for the true durations and the true F0.

    A WaveNet trained on these sees the same smoothed frames as in service (as in Tacotron 2, section 2.3). Predicted F0
    beside real sound would teach it to ignore F0; a model that predicts F0 beside the mels has no other. Clips without
    phonemes, and held-out ones, are left out.

    Returns:
        The number of clips.
    """
    dataset = Dataset(source)
    clips = [clip for clip in dataset.clips if clip.durations and not held_out(clip.id)]
    symbols, frames = list[NDArray[np.uint8]](), list[NDArray[np.float16]]()
    for number, clip in enumerate(clips):
        pitch = dataset.frames(clip)[:, model.spec.bands :].astype(np.float32)
        made = model.predict_timed(clip.phones, clip.word_starts, np.array(clip.durations), clip.speaker, pitch)
        frames.append(made.astype(np.float16))
        symbols.append(_symbols_for(dataset, clip, frames[-1]))
        progress(number + 1)
    waves = [dataset.wave(c) for c in clips]
    write_prepared(out, symbols, frames, waves, clips, dataset.spec, dataset.coding, dataset.pitch_ranges)
    return len(clips)
