"""Forced alignment of a recording with our phonemes, by pocketsphinx (BSD, its acoustic model inside the wheel).

The decoder gets every word with our own pronunciation, so what comes back are the times of our phonemes, stress
included. It knows English sounds alone: those of other languages are the nearest English ones to it.

Where it hears silence inside a sentence, there is a pause; where punctuation is not heard, its pause has no
length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder

from ancestral_models.text import Rest, Sentence, Word
from ancestral_models.text.frontend import in_language
from ancestral_models.text.phonemes import PHRASE_PAUSE, SCHWA, is_pause, without_stress
from ancestral_training.data.speech import TimedPhone

_RATE = 16000
_FRAME = 0.01
# Some clips only align with a little more or other silence around them; each row is (padding in seconds, dither, seed).
_TRIES = ((0.2, 3.0, 0), (0.0, 0.0, 0), (0.1, 1.0, 1), (0.3, 8.0, 2), (0.25, 3.0, 3))


class Aligner:
    """A decoder and its pronunciation dictionary."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._decoder: Any = Decoder(samprate=_RATE, lm=None, loglevel="FATAL")
        self._names: dict[tuple[str, ...], str] = {}

    def align(self, wave: NDArray[np.float32], sentence: Sentence) -> list[TimedPhone] | None:
        """Align mono 16 kHz sound with the sentence that is read in it.

        Returns:
            The timed phonemes, or None if the decoder finds no path (wrong text, music, noise).
        """
        for padding, dither, seed in _TRIES:
            rng = np.random.default_rng(seed)
            around = rng.standard_normal(int(padding * _RATE)) * dither
            sound = np.concatenate([around, wave.clip(-1.0, 1.0) * 32767.0, around]).astype(np.int16)
            words = self._decode(sound, self._teach(sentence))
            if words is not None:
                return _timed(words, sentence, padding, len(wave) / _RATE)
        return None

    def _teach(self, sentence: Sentence) -> list[str]:
        names = []
        for item in sentence.items:
            if not isinstance(item, Word):
                continue
            plain = tuple(sound for phone in item.phones for sound in _english(phone))
            if plain not in self._names:
                self._names[plain] = f"word{len(self._names)}"
                self._decoder.add_word(self._names[plain], " ".join(plain), True)
            names.append(self._names[plain])
        return names

    def _decode(self, sound: NDArray[np.int16], names: list[str]) -> list[list[tuple[int, int]] | int] | None:
        """Words as lists of ``(start, length)`` of their phones, silences as their length, all in 10 ms frames."""
        raw = sound.tobytes()
        try:
            self._decoder.set_align_text(" ".join(names))
            for level in ("words", "phones"):
                self._decoder.start_utt()
                self._decoder.process_raw(raw, full_utt=True)
                self._decoder.end_utt()
                if level == "words":
                    if self._decoder.hyp() is None:
                        return None
                    self._decoder.set_alignment()
            found: list[list[tuple[int, int]] | int] = []
            for word in self._decoder.get_alignment():
                phones = [(p.start, p.duration) for p in word]
                known = word.name.split("(")[0] in names
                found.append(phones if known else sum(d for _, d in phones))
        except RuntimeError:  # the decoder gives up on a clip and is of no use afterwards
            self._start()
            return None
        return found if sum(isinstance(f, list) for f in found) == len(names) else None


def _english(phone: str) -> tuple[str, ...]:
    """A phoneme of any language in the decoder's inventory: one sound, or two."""
    return tuple("AH" if near == SCHWA else without_stress(near) for near in in_language((phone,), "en"))


def _timed(
    found: list[list[tuple[int, int]] | int], sentence: Sentence, padding: float, total: float
) -> list[TimedPhone]:
    """Match recognised words and silences with the items of the sentence."""
    heard = iter(found)
    timed = [TimedPhone("sil", 0.0, False)]

    def silence(frames: int) -> None:
        if is_pause(timed[-1].phone):
            timed[-1] = timed[-1]._replace(seconds=timed[-1].seconds + frames * _FRAME)
        elif frames:
            timed.append(TimedPhone(PHRASE_PAUSE, frames * _FRAME, False))

    for item in sentence.items:
        if not isinstance(item, Word):
            timed.append(TimedPhone(item.mark if isinstance(item, Rest) else item, 0.0, False))
            continue
        for piece in heard:
            if isinstance(piece, int):
                silence(piece)
                continue
            lengths = iter([length for _, length in piece])
            for number, phone in enumerate(item.phones):
                frames = sum(next(lengths) for _ in _english(phone))
                timed.append(TimedPhone(phone, frames * _FRAME, number == 0))
            break
    # The padding lies in the outer silences; whatever rounding leaves over belongs to the last pause.
    timed[0] = timed[0]._replace(seconds=max(timed[0].seconds - padding, 0.0))
    rest = total - sum(p.seconds for p in timed[:-1])
    timed[-1] = timed[-1]._replace(seconds=max(rest, 0.0))
    return timed
