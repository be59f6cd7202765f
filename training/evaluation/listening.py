"""A page on which people hear and see a model's voices beside the recordings that they were learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from ancestral.models.audio.features import LOG_MEL_SCALE, log_mel
from ancestral.models.spec import FeatureSpec
from ancestral.training.evaluation.speech import RATE, Wave
from ancestral.training.model_card import CREDITS

_COLOURS = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
_WIDTH, _ROWS = 2, 3
"""Pixels of a frame of 10 ms, and of a mel band."""


@dataclass(frozen=True)
class Heard:
    """One sentence in one voice."""

    text: str
    voice: Wave
    recording: Wave
    """Both mono, 16 kHz."""


def spectrogram(wave: Wave) -> NDArray[np.uint8]:
    """Log-mels as a picture ``[height, width, 3]``, low frequencies below, 60 dB from black to yellow."""
    mels = log_mel(wave, FeatureSpec()).T[::-1] * LOG_MEL_SCALE
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
        f"from. Seeds 0, 1, …; weights `{sha256[:12]}`. Spectrograms: 40 to 7800 Hz on the mel scale, 60 dB. Made by",
        "`ancestral evaluate listen`.", "",
        "| voice, and the origin of its recordings | | voice | recording |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, sentences in voices.items():
        credit = f": {CREDITS[name].partition(':')[0]}" if name in CREDITS else ""
        for number, sentence in enumerate(sentences):
            cells = []
            for kind, wave in (("voice", sentence.voice), ("recording", sentence.recording)):
                file = f"{name}-{number}-{kind}"
                soundfile.write(out / f"{file}.ogg", np.clip(wave, -1.0, 1.0), RATE, format="OGG", subtype="OPUS")
                Image.fromarray(spectrogram(wave)).quantize(64).save(out / f"{file}.png", optimize=True)
                cells.append(f"[hear]({file}.ogg)<br>![]({file}.png)")
            lines.append(f"| **{name}**{credit} | {sentence.text} | {cells[0]} | {cells[1]} |")
    (out / "README.md").write_text("\n".join(lines) + "\n", "utf-8")
