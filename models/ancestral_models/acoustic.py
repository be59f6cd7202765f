"""Acoustic features: frames that a voice says phonemes with, and where in them each phoneme is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.acoustic import AcousticSpec
from ancestral_models.arithmetic import product, sigmoid
from ancestral_models.audio import features
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.conditioning import speaker_vector
from ancestral_models.kernels.shared import ByteMatrix
from ancestral_models.native import INTEGER, Function, array
from ancestral_models.spec import FeatureSpec
from ancestral_models.text.phonemes import PHRASE_PAUSE, PLAIN, Control, Phonemes

# The acoustic model: phonemes to conditioning frames.
#
# The network is ancestral_models/networks/acoustic.py; this is inference of one sentence: no batch, no padding, no
# torch. Its sums have the same bits on every processor (ancestral_models/arithmetic.py).

Array = NDArray[np.float32]
Speaker = str | Mapping[str, float]
"""A speaker; or a mix of them: the share of each one's embedding in the mean, which add up to 1."""

_IN_INT8 = re.compile(r"(decoder|pitch)\.\d+\.(taps|out)$")
_POSITION_LIMIT = 20
_SEMITONE = math.log(2.0) / 12.0 / features.LOG_F0_SCALE
_DECIBEL = math.log(10.0) / 20.0 / features.LOG_MEL_SCALE
_WHISPER_TILT = -2.0, 1.0
"""What is added to the lowest and the highest mel of a voiced frame that is whispered. With 1 less Whisper understood
two thirds of joe and onyx; without the mean of five bands Praat found F0 in 2 to 25 % of the frames, now 0 to 5 %."""
SHORTEST_PAUSE = 4
"""Minimal length in frames of the pauses at both ends of a sentence, so that no sound is cut off."""
_LONGEST_PHONEME: Final = 1000.0
"""Frames that a phoneme has at most at the usual speed: ten seconds."""
_REST: Final = ("AX0", "N", "D", "DH", "AX0", "R", "EH1", "S", "T", ".")
_REST_STARTS: Final = (True, False, False, True, False, True, False, False, False, False)
"""What follows a clause that goes on, for its prosody: "and the rest". It is not spoken."""


def frame_positions(durations: NDArray[np.integer]) -> Array:
    """The position of each frame in its phoneme: relative, in frames from its start and to its end (scaled).

    Args:
        durations: frames of every phoneme ``[P]``.

    Returns:
        ``[durations.sum(), 3]``.
    """
    length = np.repeat(durations, durations)
    first = np.repeat(np.cumsum(durations) - durations, durations)
    since = np.arange(len(length)) - first
    until = length - 1 - since
    near = [np.minimum(x, _POSITION_LIMIT) / _POSITION_LIMIT for x in (since, until)]
    return np.column_stack([(since + 0.5) / length, *near]).astype(np.float32)


@dataclass(frozen=True)
class PitchControl:
    """How F0 differs from what the model predicts.

    Attributes:
        semitones: by which it is higher.
        intonation: factor of its distance, in log-F0, from its mean over the voiced frames of the sentence.
    """

    semitones: float = 0.0
    intonation: float = 1.0

    def apply(self, pitch: Array, spec: FeatureSpec, semitones: Array | None = None) -> Array:
        """Scaled log-F0 and voicing ``[F, 2]``, with other F0. It stays within :attr:`FeatureSpec.requested_hz`.

        Args:
            pitch: as predicted.
            spec: of the analysis.
            semitones: by which each frame is higher besides ``[F]``.
        """
        log_f0, voiced = pitch[:, 0], pitch[:, 1] > 0.0
        mean = log_f0[voiced].mean() if voiced.any() else log_f0.mean()
        moved = mean + (log_f0 - mean) * self.intonation + self.semitones * _SEMITONE
        if semitones is not None:
            moved = moved + semitones * _SEMITONE
        low, high = ((np.log(hz) - features.LOG_F0_MEAN) / features.LOG_F0_SCALE for hz in spec.requested_hz)
        return np.column_stack([np.clip(moved, low, high), pitch[:, 1]]).astype(np.float32)


AS_PREDICTED = PitchControl()


@dataclass(frozen=True)
class _Continued:
    """A clause that goes on, and what follows it. The corpora end no sentence with a comma."""

    phones: tuple[str, ...]
    word_starts: tuple[bool, ...]
    controls: tuple[Control, ...]


def _in_context(sentence: Phonemes) -> Phonemes:
    """The sentence, or the clause with a continuation that the networks see."""
    phones, controls = sentence.phones, sentence.controls
    if phones[-1] != PHRASE_PAUSE:
        return sentence
    rest = (PLAIN,) * len(_REST) if controls else ()
    return _Continued((*phones, *_REST), (*sentence.word_starts, *_REST_STARTS), (*controls, *rest))


def _changed(mels: Array, ripple: Array, pitch: Array, changes: Array) -> tuple[Array, Array, Array]:
    """Mels without their ripple, the ripple, F0 and voicing of frames that are louder, or whispered: unvoiced, and
    where they were voiced without the low frequencies of the glottis."""
    level, whispered = changes[:, 1:2] * np.float32(_DECIBEL), changes[:, 2:3]
    tilt = np.linspace(*_WHISPER_TILT, mels.shape[1], dtype=np.float32)
    kept = np.concatenate([np.ones_like(whispered), 1.0 - whispered], axis=1)
    mels = np.where(whispered > 0.0, features.smoothed(mels) + pitch[:, 1:2] * tilt, mels)
    return mels + level, ripple * (1.0 - whispered), pitch * kept


def in_int8(name: str, weights: NDArray[np.floating]) -> bool:
    """Whether a matrix is in int8 where mels and F0 are."""
    return _IN_INT8.match(name) is not None and ByteMatrix.takes(weights)


class AcousticModel:
    """Sentences to frames for the voices of one checkpoint. Thread-safe: it has no state but its weights.

    Args:
        checkpoint: of an acoustic model.
        int8: whether the large matrices of mels and F0 are in int8, wherever their sizes allow it. Durations are the
            same with and without: their network is always in float32.
    """

    def __init__(self, checkpoint: Checkpoint, *, int8: bool = False) -> None:
        self.spec = checkpoint.spec_as(AcousticSpec)
        self._weights, self._bytes = dict(checkpoint.tensors), dict[str, ByteMatrix]()
        for name, weights in checkpoint.tensors.items():
            if int8 and in_int8(name, weights):
                self._bytes[name] = ByteMatrix(self._weights.pop(name))
        self._phoneme = {p: i for i, p in enumerate(self.spec.phonemes)}

    def predict(
        self, sentence: Phonemes, speaker: Speaker, speed: float = 1.0, control: PitchControl = AS_PREDICTED
    ) -> Array:
        """The frames of one sentence.

        Args:
            sentence: from :func:`ancestral_models.text.phonemize`, or its phonemes alone.
            speaker: one of ``spec.speakers``, or a mix of them.
            speed: above 1 is faster; divides the durations, except those that the sentence itself gives.
            control: of F0.

        Returns:
            ``float32 [F, outputs]``, one row per ``spec.hop`` samples.
        """
        return self.predict_with_timing(sentence, speaker, speed, control)[0]

    def predict_with_timing(
        self, sentence: Phonemes, speaker: Speaker, speed: float = 1.0, control: PitchControl = AS_PREDICTED
    ) -> tuple[Array, NDArray[np.intp]]:
        """What :meth:`predict` and :meth:`timing` give, for the cost of the former."""
        seen = _in_context(sentence)
        frames, durations = self._predict(seen, speaker, speed, control)
        if seen is sentence:
            return frames, durations
        durations = durations[: len(sentence.phones)]
        return frames[: durations.sum()], durations

    def _predict(
        self, sentence: Phonemes, speaker: Speaker, speed: float, control: PitchControl
    ) -> tuple[Array, NDArray[np.intp]]:
        who = self._speaker(speaker)
        encoded, logarithms = self._encode(sentence.phones, sentence.word_starts, who)
        durations = self.durations(logarithms, speed, sentence.controls)
        if not sentence.controls:
            return self._decode(encoded, durations, who, control, None), durations
        decoded = self._decoded_lengths(logarithms, speed, sentence.controls, durations)
        changes = None
        if any(any(part.changes) for part in sentence.controls):
            each = np.array([part.changes for part in sentence.controls], np.float32)
            changes = np.repeat(each, decoded, axis=0)
        frames = self._decode(encoded, decoded, who, control, changes)
        return self._lengthened(frames, decoded, durations), durations

    def timing(self, sentence: Phonemes, speaker: Speaker, speed: float = 1.0) -> NDArray[np.intp]:
        """The number of frames that :meth:`predict` gives every phoneme: ``[P]``."""
        seen = _in_context(sentence)
        _, logarithms = self._encode(seen.phones, seen.word_starts, self._speaker(speaker))
        return self.durations(logarithms, speed, seen.controls)[: len(sentence.phones)]

    def predict_timed(
        self, phones: Sequence[str], word_starts: Sequence[bool], durations: NDArray[np.integer], speaker: Speaker
    ) -> Array:
        """The frames of a sentence whose phonemes have known durations ``[P]``, in frames.

        Args:
            phones: of the sentence ``[P]``.
            word_starts: whether each begins a word ``[P]``.
            durations: frames of each.
            speaker: one of ``spec.speakers``, or a mix of them.
        """
        who = self._speaker(speaker)
        return self._decode(self._encode(phones, word_starts, who)[0], durations, who, AS_PREDICTED, None)

    def _speaker(self, speaker: Speaker) -> Array:
        index = self.spec.speakers.index
        if isinstance(speaker, str):
            return speaker_vector(self._weights["speaker"], index(speaker))
        return speaker_vector(self._weights["speaker"], {index(name): share for name, share in speaker.items()})

    def durations(self, logarithms: Array, speed: float, controls: Sequence[Control] = ()) -> NDArray[np.intp]:
        """Whole frames of every phoneme. The running sum is rounded, so that a sentence keeps its length.

        Args:
            logarithms: of the predicted durations ``[P]``.
            speed: above 1 is faster.
            controls: of the phonemes ``[P]``; empty if all are as predicted. Lengths in seconds become the nearest
                whole number of frames, at least one.

        Raises:
            ValueError: the weights make a phoneme longer than any is; the frames might not fit into memory.
        """
        exact = np.maximum(np.expm1(logarithms.astype(np.float64)), 0.0)
        if not (longest := exact.max()) <= _LONGEST_PHONEME:
            raise ValueError(f"duration_bias: a phoneme of {longest:g} frames; at most {_LONGEST_PHONEME:g}")
        exact /= speed
        if controls:
            exact /= [control.rate for control in controls]
        exact[0] = max(exact[0], SHORTEST_PAUSE)
        exact[-1] = max(exact[-1], SHORTEST_PAUSE)
        per_second = self.spec.sample_rate / self.spec.hop
        fixed = {i: c.seconds * per_second for i, c in enumerate(controls) if c.seconds is not None}
        exact[list(fixed)] = 0.0
        edges = np.round(np.cumsum(exact)).astype(np.intp)
        frames: NDArray[np.intp] = np.diff(edges, prepend=0)
        for i, length in fixed.items():
            frames[i] = max(1, round(length))
        return frames

    def _decoded_lengths(
        self, logarithms: Array, speed: float, controls: Sequence[Control], durations: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """The lengths that the decoder sees: a pause of given length is no longer than the model would have made it.

        The corpora have no pauses of seconds, and what the decoder makes of one is breath and noise.
        """
        natural = self.durations(logarithms, speed, [replace(control, seconds=None) for control in controls])
        given = np.array([control.seconds is not None for control in controls])
        return np.where(given, np.minimum(durations, np.maximum(natural, SHORTEST_PAUSE)), durations)

    def _lengthened(self, frames: Array, decoded: NDArray[np.intp], durations: NDArray[np.intp]) -> Array:
        """Frames with silence at the quietest place of each phoneme that is to be longer than it was decoded."""
        silence = frames[:1].copy()  # a sentence begins with it
        silence[:, -1] = 0.0
        bands, ends = self.spec.features.mel_bands, np.cumsum(decoded)
        pieces, done = [], 0
        for i in np.flatnonzero(durations - decoded):
            start = ends[i] - decoded[i]
            middle = start + int(frames[start : ends[i], :bands].mean(axis=1).argmin())
            pieces += [frames[done:middle], np.repeat(silence, durations[i] - decoded[i], axis=0)]
            done = middle
        return np.concatenate([*pieces, frames[done:]])

    def _encode(self, phones: Sequence[str], word_starts: Sequence[bool], who: Array) -> tuple[Array, Array]:
        x = self._weights["phoneme"][[self._phoneme[p] for p in phones]]
        starts = np.array(word_starts, np.float32)[:, None]
        x = x + starts * self._weights["word_start"] + product(who, self._weights["encoder_speaker"])
        x = self._blocks("encoder", [1] * self.spec.encoder_layers, x)
        d = self._blocks("duration", [1] * self.spec.duration_layers, x)
        return x, (product(d, self._weights["duration_out"]) + self._weights["duration_bias"])[:, 0]

    def _decode(
        self, encoded: Array, durations: NDArray[np.integer], who: Array, control: PitchControl, changes: Array | None
    ) -> Array:
        """Frames ``[F, C]``; ``changes [F, 3]`` are those of each one's phoneme (:attr:`Control.changes`)."""
        weights, spec = self._weights, self.spec
        repeated = np.repeat(encoded, durations, axis=0) + product(frame_positions(durations), weights["position"])
        x = repeated + product(who, weights["decoder_speaker"])
        semitones = None if changes is None else changes[:, 0]
        pitch = control.apply(self._pitch(repeated, who), spec.features, semitones)
        ripple = features.harmonic_ripple(pitch[:, 0], pitch[:, 1], spec.features)
        x += product(pitch, weights["pitch_in"]) + product(ripple, weights["ripple_in"])
        x = self._blocks("decoder", [1] * spec.decoder_layers, x)
        mels = product(x, weights["frames_out"]) + weights["frames_bias"]
        if changes is not None:
            mels, ripple, pitch = _changed(mels, ripple, pitch, changes)
        mels += ripple * (product(x, weights["ripple_out"]) + weights["ripple_bias"])
        return np.concatenate([mels, pitch], axis=1)

    def _pitch(self, repeated: Array, who: Array) -> Array:
        """Log-F0 and voicing, 0 or 1 as in the corpora: ``[F, 2]``."""
        x = self._blocks("pitch", self.spec.pitch_dilations, repeated + product(who, self._weights["pitch_speaker"]))
        pitch = product(x, self._weights["pitch_out"]) + self._weights["pitch_bias"]
        pitch[:, 1] = pitch[:, 1] > 0.0
        return pitch

    def _blocks(self, stack: str, dilations: Sequence[int], x: Array) -> Array:
        for number, dilation in enumerate(dilations):
            weights = {n: self._weights[f"{stack}.{number}.{n}"] for n in ("scale", "taps_bias", "out_bias")}
            taps = self.spec.duration_kernel_size if stack == "duration" else self.spec.kernel_size
            reach = taps // 2 * dilation
            # Sums of squares in double precision: rounded, they do not depend on their order.
            power = np.square(x, dtype=np.float64).mean(axis=1, keepdims=True).astype(np.float32)
            normal = x / np.sqrt(power + np.float32(1e-6)) * weights["scale"]
            padded = np.pad(normal, ((reach, reach), (0, 0)))
            seen = np.concatenate([padded[k * dilation : k * dilation + len(x)] for k in range(taps)], axis=1)
            z = self._product(seen, f"{stack}.{number}.taps") + weights["taps_bias"]
            gated = z[:, : x.shape[1]] * sigmoid(z[:, x.shape[1] :])
            x = x + self._product(gated, f"{stack}.{number}.out") + weights["out_bias"]
        return x

    def _product(self, x: Array, name: str) -> Array:
        """``x [N, in]`` by a matrix of a block, in its precision."""
        matrix = self._bytes.get(name)
        return product(x, self._weights[name]) if matrix is None else matrix.product(x)


# Alignment of a text with a recording of it: the conditioning frames of the recording under that text.
#
# The acoustic model says how the text would sound; dynamic time warping (Sakoe & Chiba 1978) of its log-mel energies
# with the recording's own finds how long every phoneme lasts there; with those durations the acoustic model makes the
# frames. Nothing but its timing is taken from the recording: under another text, the frames do not suit it.

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
            sound at the level of the corpora only: :func:`ancestral_models.audio.features.normalize_level`.
        sentences: all that is said, in order, from :func:`ancestral_models.text.phonemize`.
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
    sound = features.log_mel(features.normalize_level(whole, feature_spec.sample_rate), feature_spec)
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
    return np.asarray(rows[index].reshape(-1, _POOL, rows.shape[1]).mean(axis=1))


def _path(sound: Array, text: Array, low: _Rows, width: int, first: int, last: int, step_costs: Array) -> _Rows:
    """The cheapest way from row to row of ``sound``: each stands for one row of ``text``.

    Row j can stand for rows ``low[j]`` … ``low[j] + width - 1``; the way starts among the ``first`` rows of ``text``
    and ends among the ``last``. Memory: one byte for each row and column of that band.

    Raises:
        AlignmentError: there is no way.
    """
    path, costs = np.empty(len(sound), np.int64), np.empty(2 * width, np.float32)
    steps = np.empty((len(sound), width), np.uint8)
    sound, text = (np.ascontiguousarray(rows, np.float32) for rows in (sound, text))
    found = _PATH(
        sound, len(sound), text, len(text), sound.shape[1], low, width, first, last, step_costs, len(step_costs),
        steps, costs, path,
    )  # fmt: skip
    if not found:  # pauses of given length pass no faster, however much shorter the recording is
        raise AlignmentError("the recording is too short for the text and its pauses")
    return path
