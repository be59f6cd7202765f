"""Voices whose sound exists or is made elsewhere, to be aligned with its text: Asterisk's prompts and flite."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ancestral.training.corpora.sentences import script

Recording = tuple[str, str, NDArray[np.float32]]
"""Clip id, text, mono sound at 16 kHz."""

_SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
_PROMPTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")


def allison(held_out: int = 40) -> Iterator[Recording]:
    """Allison Smith's prompts for Asterisk (Debian's asterisk-core-sounds-en-g722, CC-BY-SA-3.0).

    Every thirteenth prompt of three words or more is held out, up to ``held_out``.

    Raises:
        FileNotFoundError: the packages are not installed; the message says how to get them.
    """
    import av

    if not _SOUNDS.exists() or not _PROMPTS.exists():
        raise FileNotFoundError(f"{_SOUNDS}: apt-get install asterisk-core-sounds-en asterisk-core-sounds-en-g722")
    spoken = 0
    for line in gzip.decompress(_PROMPTS.read_bytes()).decode().splitlines():
        name, separator, text = line.partition(":")
        text = re.sub(r"\s+", " ", text).strip()
        file = _SOUNDS / f"{name.strip()}.g722"
        # Bracketed prompts describe a sound instead of spelling it out.
        if line.startswith(";") or not separator or re.search(r"[\[\](){}<>]", text) or not re.search(r"\w", text):
            continue
        if not file.exists():
            continue
        with av.open(str(file), format="g722") as container:
            pieces = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
        if len(text.split()) >= 3:
            spoken += 1
        test = len(text.split()) >= 3 and spoken % 13 == 0 and spoken // 13 <= held_out
        suffix = f"s{spoken // 13 - 1:04d}" if test else name.strip().replace("/", "-").replace("_", "-")
        yield f"allison_{suffix}", text, np.concatenate(pieces).astype(np.float32) / 32768.0


def flite(voice: str, offset: int, count: int, scratch: Path) -> Iterator[Recording]:
    """One of flite's voices (Debian's flite, BSD-like) reading the script."""
    import soundfile

    scratch.mkdir(parents=True, exist_ok=True)
    file = scratch / f"{voice}.wav"
    for suffix, text in script(offset, count):
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(file)], check=True, capture_output=True)
        wave, rate = soundfile.read(file, dtype="float32")
        assert rate == 16000
        yield f"{voice}_{suffix}", text, wave
    file.unlink(missing_ok=True)
