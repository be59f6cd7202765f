"""Evaluation of speech: ASR errors, DNSMOS for artefacts, and the model's own likelihood.

Word and character error rates are counted after Whisper's English normaliser, or after our own front-end in other
languages, so that "5" and "five" are one word.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ancestral.models.audio.features import normalize_level
from ancestral.models.engines.base import Array
from ancestral.models.engines.speech.native import NativeEngine
from ancestral.models.spec import FeatureSpec
from ancestral.models.text import UnsupportedText, phonemize
from ancestral.models.text.languages.registry import primary
from ancestral.training.corpora import read
from ancestral.training.data.f0 import analyze, speaker_pitch_range
from ancestral.training.data.speech import Coding, held_out, load_wave

RATE = 16000
"""The sample rate of all evaluators."""

Wave = NDArray[np.float32]


def error_rates(texts: Sequence[str], heard: Sequence[str], language: str = "en") -> dict[str, float]:
    """``wer`` and ``cer`` over all sentences together, as shares. Texts are in a language ("en", "es-ES")."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    normal = EnglishTextNormalizer() if primary(language) == "en" else partial(_as_read, language=language)
    references, hypotheses = [normal(t) for t in texts], [normal(h) for h in heard]
    return {"wer": float(jiwer.wer(references, hypotheses)), "cer": float(jiwer.cer(references, hypotheses))}


def _as_read(text: str, language: str) -> str:
    """The words of a text as our front-end reads them, without marks; as it is written, if that cannot."""
    try:
        return " ".join(word.text for sentence in phonemize(text, language) for word in sentence.words)
    except UnsupportedText:
        return text.lower()


def noise_score(waves: Sequence[Wave]) -> float:
    """The mean overall DNSMOS (P.835): 1 is full of artefacts, 5 has none. It does not judge naturalness."""
    from speechmos import dnsmos

    return float(np.mean([dnsmos.run(np.clip(wave, -1.0, 1.0), RATE)["ovrl_mos"] for wave in waves]))


class OpinionJudge:
    """Predicts the opinion of listeners, 1 (bad) to 5 (excellent), with distillmos (Stahl & Gamper 2025).

    Raises:
        ImportError: distillmos is not installed.
    """

    def __init__(self) -> None:
        import torch

        # distillmos imports torchaudio for its command line alone; the real one has no build beside a CPU torch.
        missing = sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
        try:
            from distillmos import ConvTransformerSQAModel
        finally:
            if not hasattr(missing, "__file__"):
                del sys.modules["torchaudio"]
        with redirect_stdout(sys.stderr):  # it says which weights it loads
            self._model = ConvTransformerSQAModel().eval()
        self._torch = torch

    def score(self, waves: Sequence[Wave]) -> float:
        """The mean over mono 16 kHz recordings. One recording scatters by 0.3."""
        with self._torch.no_grad():
            return float(np.mean([float(self._model(self._torch.from_numpy(wave)[None])) for wave in waves]))


class VoiceJudge:
    """Identifies voices: a recording belongs to the voice whose mean embedding is nearest (Resemblyzer's
    d-vectors)."""

    def __init__(self, recordings: Mapping[str, Sequence[Wave]]) -> None:
        """Args: recordings: real sound of every voice, mono 16 kHz."""
        from resemblyzer import VoiceEncoder

        self._encoder = VoiceEncoder("cpu", verbose=False)
        self._voices = list(recordings)
        means = np.stack([np.mean([self._embed(w) for w in waves], axis=0) for waves in recordings.values()])
        self._centroids = means / np.linalg.norm(means, axis=1, keepdims=True)

    def _embed(self, wave: Wave) -> NDArray[np.float32]:
        from resemblyzer import preprocess_wav

        embedding: NDArray[np.float32] = self._encoder.embed_utterance(preprocess_wav(wave, source_sr=RATE))
        return embedding

    def voice_of(self, wave: Wave) -> tuple[str, float]:
        """The nearest voice, and the cosine similarity to its centroid."""
        found = self.similarities(wave)
        best = max(found, key=found.__getitem__)
        return best, found[best]

    def similarities(self, wave: Wave) -> dict[str, float]:
        """The cosine similarity to the centroid of each voice."""
        return dict(zip(self._voices, map(float, self._centroids @ self._embed(wave)), strict=True))


def recordings(corpus: Path, count: int) -> list[tuple[str, Wave]]:
    """Text and level-normalised sound of a corpus's first held-out clips, as the model's frames were made from.

    Raises:
        ValueError: the corpus holds out no clips.
    """
    clips = [clip for clip in read(corpus) if held_out(clip.id)][:count]
    if not clips:
        raise ValueError(f"{corpus}: no clip is held out (their names end in _s0000, _s0001, …)")
    return [(clip.text, normalize_level(load_wave(clip.path, RATE), RATE)) for clip in clips]


def frames_of(waves: Sequence[Wave], features: FeatureSpec) -> list[Array]:
    """The frames of a speaker's recordings. F0 is sought in the speaker's range, as in training: an F0 that the network
    has never seen of a speaker can cost hundreds of bits a sample."""
    pitch_range = speaker_pitch_range(waves, features)
    return [analyze(wave, features, pitch_range) for wave in waves]


def bits_per_sample(
    engine: NativeEngine, waves: Sequence[Wave], frames: Sequence[Array], speaker: int, features: FeatureSpec
) -> float:
    """Bits per sample of a speaker's recordings under the model, given their frames."""
    nats, samples, coding = 0.0, 0, Coding.of(engine.spec)
    for wave, of_wave in zip(waves, frames, strict=True):
        symbols = coding.encode(wave[: len(of_wave) * features.hop], of_wave, features)
        nats -= float(engine.score(symbols, of_wave, speaker).sum())
        samples += len(symbols)
    return nats / samples / math.log(2)
