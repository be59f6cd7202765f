"""Alignment of a text with a recording of it: the conditioning frames of the recording under that text.

The acoustic model says how the text would sound; dynamic time warping (Sakoe & Chiba 1978) of its log-mel energies with
the recording's own finds how long every phoneme lasts there; with those durations the acoustic model makes the frames.
Nothing but its timing is taken from the recording: under another text, the frames do not suit it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.features import log_mel, normalize_level
from ancestral.models.native import INTEGER, Function, array
from ancestral.models.spec import FeatureSpec
from ancestral.models.text.acoustic import AcousticModel, Speaker
from ancestral.models.text.phonemes import Phonemes

Array = NDArray[np.float32]
Integers = NDArray[np.intp]
_Rows = NDArray[np.int64]

_FASTEST, _SLOWEST = 5.0, 0.2
"""The range of speeds, relative to the acoustic model's, at which a recording can be one of the text."""
_BACKGROUND_PERCENTILE = 10
_SPOKEN_SHARE = 0.3
_SMOOTHING, _MARGIN = 9, 20
"""Frames: what is spoken stands out from the background by a share of what the loudest does, over some frames; some
frames around it belong to it, enough for the end of a sentence that fades."""
_SHORT = 1500
"""Frames of the longest recording that is aligned in one pass."""
_POOL = 4
"""Frames that are averaged to one in the rough alignment of a longer recording."""
_REACH = 60
"""Frames of the text by which the fine alignment may differ from the rough one."""
_STEP_COSTS = np.array([0.06, 0.0, 0.06, 0.12], np.float32)
"""The cost of 0, 1, 2 or 3 frames of the text that pass in one of the recording, in mean scaled log-mel energy."""

_PATH = Function(
    "alignment_path", array("f4"), INTEGER, array("f4"), INTEGER, INTEGER, array("i8"), *[INTEGER] * 3, array("f4"),
    INTEGER, array("u1"), array("f4"), array("i8"), returns=INTEGER,
)  # fmt: skip


class AlignmentError(ValueError):
    """A recording that cannot be one of the text."""


class Aligned(NamedTuple):
    """Sentences and their times in a recording."""

    frames: Array
    """``float32 [F, outputs]``, F = ⌈samples / hop⌉: for all of the recording."""
    durations: list[Integers]
    """Frames of every phoneme, ``intp [P]`` a sentence; their sum is F."""


def align(
    wave: Array, sentences: Sequence[Phonemes], frame_model: AcousticModel, speaker: Speaker, feature_spec: FeatureSpec
) -> Aligned:
    """When the phonemes of sentences are said in a recording, and the frames that it has therefore.

    Args:
        wave: mono, at the rate of ``feature_spec``, at any level. The likelihood under the frames means something for
            sound at the level of the corpora only: :func:`ancestral.models.audio.features.normalize_level`.
        sentences: all that is said, in order, from :func:`ancestral.models.text.phonemize`.
        frame_model: of the model that the sound is scored with.
        speaker: one of its speakers, or a mix of them.
        feature_spec: the analysis that its frames were learnt from.

    Raises:
        AlignmentError: the recording is silent, or much too short or too long for the text.
    """
    durations = _durations(wave, sentences, frame_model, speaker, feature_spec)
    return Aligned(_frames(sentences, frame_model, speaker, durations), durations)


def _durations(
    wave: Array, sentences: Sequence[Phonemes], frame_model: AcousticModel, speaker: Speaker, feature_spec: FeatureSpec
) -> list[Integers]:
    made = (frame_model.spec.outputs, frame_model.spec.hop, frame_model.spec.sample_rate)
    assert made == (feature_spec.channels, feature_spec.hop, feature_spec.sample_rate), made
    whole = np.pad(wave, (0, -len(wave) % feature_spec.hop))
    sound = log_mel(normalize_level(whole, feature_spec.sample_rate), feature_spec)
    # Neither sound nor text is quieter than the background, or noise would pass for speech.
    background = _background(sound)
    sound = np.maximum(sound, background)
    begin, end = _spoken(sound - background)
    expected = _expected(sentences, frame_model, speaker, end - begin)
    text = _frames(sentences, frame_model, speaker, expected)[:, : feature_spec.mel_bands]
    counts = np.concatenate(expected)
    path = _warp(sound[begin:end], np.maximum(text, background), int(counts[0]), int(counts[-1]))
    found = np.bincount(np.repeat(np.arange(len(counts)), counts)[path], minlength=len(counts))
    found[0] += begin
    found[-1] += len(sound) - end
    return np.split(found, np.cumsum([len(timing) for timing in expected])[:-1])


def _background(sound: Array) -> Array:
    """What every mel band falls to between the words.

    Raises:
        AlignmentError: there is no sound.
    """
    if not len(sound):
        raise AlignmentError("the recording is empty")
    return np.percentile(sound, _BACKGROUND_PERCENTILE, axis=0).astype(np.float32)


def _spoken(raised: Array) -> tuple[int, int]:
    """The first and the last frame of speech, given log-mels above the background.

    Raises:
        AlignmentError: no speech was found.
    """
    window = np.full(_SMOOTHING, 1.0 / _SMOOTHING)
    loudness = np.convolve(raised.mean(axis=1), window)[_SMOOTHING // 2 :][: len(raised)]
    spoken = np.flatnonzero(loudness > _SPOKEN_SHARE * loudness.max())
    if not len(spoken):
        raise AlignmentError("the recording is silent")
    return max(int(spoken[0]) - _MARGIN, 0), min(int(spoken[-1]) + 1 + _MARGIN, len(raised))


def _expected(sentences: Sequence[Phonemes], model: AcousticModel, speaker: Speaker, frames: int) -> list[Integers]:
    """Frames of every phoneme of every sentence if the acoustic model were to fill about ``frames`` with them."""
    natural = sum(int(model.timing(sentence, speaker).sum()) for sentence in sentences)
    speed = natural / frames
    if not _SLOWEST <= speed <= _FASTEST:
        second = model.spec.sample_rate / model.spec.hop
        low, high = natural / _FASTEST / second, natural / _SLOWEST / second
        problem = "short" if speed > 1.0 else "long"
        raise AlignmentError(
            f"the recording is too {problem} for the text: {frames / second:.2f} s of it are spoken, "
            f"and the text takes between {low:.2f} and {high:.2f} s"
        )
    return [model.timing(sentence, speaker, speed) for sentence in sentences]


def _frames(
    sentences: Sequence[Phonemes], model: AcousticModel, speaker: Speaker, durations: Sequence[Integers]
) -> Array:
    made = [
        model.predict_timed(sentence.phones, sentence.word_starts, frames, speaker)
        for sentence, frames in zip(sentences, durations, strict=True)
    ]
    return np.concatenate(made)


def _warp(sound: Array, text: Array, first: int, last: int) -> _Rows:
    """The frame of the text that each frame of the sound stands for.

    What is long is aligned roughly first, then within reach of that (Salvador & Chan 2007), so that memory and work
    grow with its length alone.

    Args:
        sound: ``[S, bands]``.
        text: ``[T, bands]``.
        first: frames of the opening pause; the sound may begin with any of them.
        last: frames of the closing pause; the sound may end with any of them.

    Returns:
        ``[S]``, never falling.
    """
    low, width = np.zeros(len(sound), np.int64), len(text)
    if len(sound) > _SHORT:
        rough = _warp(_pooled(sound), _pooled(text), first // _POOL, last // _POOL)
        width = min(2 * _REACH + _POOL, len(text))
        low = np.clip(np.repeat(rough, _POOL)[: len(sound)] * _POOL - _REACH, 0, len(text) - width)
    return _path(sound, text, low, width, first + 1, last + 1, _STEP_COSTS)


def _pooled(rows: Array) -> Array:
    """Means over :data:`_POOL` rows; the last row stands for those that are missing."""
    index = np.minimum(np.arange(-(-len(rows) // _POOL) * _POOL), len(rows) - 1)
    pooled: Array = rows[index].reshape(-1, _POOL, rows.shape[1]).mean(axis=1)
    return pooled


def _path(sound: Array, text: Array, low: _Rows, width: int, first: int, last: int, step_costs: Array) -> _Rows:
    """The cheapest way from row to row of ``sound``: each stands for one row of ``text``.

    Row j can stand for rows ``low[j]`` … ``low[j] + width - 1``; the way starts among the ``first`` rows of ``text``
    and ends among the ``last``. Memory: one byte for each row and column of that band.
    """
    path, steps, costs = (
        np.empty(len(sound), np.int64),
        np.empty((len(sound), width), np.uint8),
        np.empty(2 * width, np.float32),
    )
    sound, text = (np.ascontiguousarray(rows, np.float32) for rows in (sound, text))
    found = _PATH(
        sound, len(sound), text, len(text), sound.shape[1], low, width, first, last, step_costs, len(step_costs),
        steps, costs, path,
    )  # fmt: skip
    assert found, "there is a way, since the text is neither much longer nor much shorter than the sound"
    return path
