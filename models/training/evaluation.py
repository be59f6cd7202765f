"""Judges of speech: an ASR that listens, DNSMOS that looks for artefacts, and the model's own likelihood.

Word and character error rates are counted after Whisper's English normaliser, so that "5" and "five" are one word.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16000
"""What every judge listens at."""

Wave = NDArray[np.float32]


class Listener:
    """A Whisper model in a CTranslate2 folder, run offline by faster-whisper."""

    def __init__(self, model: Path) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        from faster_whisper import WhisperModel

        self._model = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=1)

    def transcribe(self, wave: Wave) -> str:
        """What is said in mono 16 kHz sound."""
        segments, _ = self._model.transcribe(wave, language="en", beam_size=5, condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)


def error_rates(texts: Sequence[str], heard: Sequence[str]) -> dict[str, float]:
    """``wer`` and ``cer`` over all sentences together, as shares."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    normal = EnglishTextNormalizer()
    references, hypotheses = [normal(t) for t in texts], [normal(h) for h in heard]
    return {"wer": float(jiwer.wer(references, hypotheses)), "cer": float(jiwer.cer(references, hypotheses))}


def noise_score(waves: Sequence[Wave]) -> float:
    """The mean overall DNSMOS (P.835): 1 is full of artefacts, 5 has none. It does not judge naturalness."""
    from speechmos import dnsmos

    return float(np.mean([dnsmos.run(np.clip(wave, -1.0, 1.0), RATE)["ovrl_mos"] for wave in waves]))
