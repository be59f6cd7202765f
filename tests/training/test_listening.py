"""The page on which people hear voices beside their recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from ancestral.training.evaluation.listening import Heard, spectrogram, write_listening_page

RATE = 16000


def tone(hertz: float) -> np.ndarray:
    return (0.1 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)).astype(np.float32)


def test_low_frequencies_are_below() -> None:
    low, high = (int(spectrogram(tone(hertz)).sum(axis=(1, 2)).argmax()) for hertz in (200.0, 4000.0))
    assert high < low < len(spectrogram(tone(200.0)))


def test_the_page_shows_what_it_links_to(tmp_path: Path) -> None:
    heard = [Heard("A birch canoe.", tone(200.0), tone(300.0)), Heard("Glue the sheet.", tone(400.0), tone(500.0))]
    write_listening_page(tmp_path / "page", "tiny", "0123456789abcdef", {"allison": heard[:1], "mary": heard})
    text = (tmp_path / "page/README.md").read_text("utf-8")
    assert "weights `0123456789ab`" in text
    credit = "Allison Smith, from the Asterisk core sounds (Sangoma/Digium), CC-BY-SA-3.0"
    played = "[hear](allison-0-voice.ogg)<br>![](allison-0-voice.png)"
    assert f"| **allison**: {credit} | A birch canoe. | {played} |" in text
    assert "| **mary** | Glue the sheet. | [hear](mary-1-voice.ogg)" in text
    files = {path.name for path in (tmp_path / "page").iterdir()} - {"README.md"}
    names = [f"{name}-{kind}" for name in ("allison-0", "mary-0", "mary-1") for kind in ("voice", "recording")]
    assert files == {f"{name}.{suffix}" for name in names for suffix in ("ogg", "png")}
    assert all(file in text for file in files)
    sound, rate = soundfile.read(tmp_path / "page/mary-1-recording.ogg", dtype="float32")
    spectrum = np.abs(np.fft.rfft(sound))
    assert abs(spectrum.argmax() * rate / len(sound) - 500.0) < 5.0
    with Image.open(tmp_path / "page/mary-1-recording.png") as picture:
        assert picture.size == spectrogram(tone(500.0)).shape[1::-1]
