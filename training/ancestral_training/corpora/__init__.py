"""``ancestral corpus build NAME``: makes the corpora from packages; reads LJSpeech and VCTK layouts, too.

Corpora of sound are folders in our layout (packages.py), those of pictures hold a ``pictures.npz`` (pictures.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soxr
from numpy.typing import NDArray

from ancestral_models.audio.resampler import RATE
from ancestral_models.text import Sentence, UnsupportedText, parse_text, phonemize
from ancestral_models.text.frontend import skipped
from ancestral_training.corpora import avatars, characters, sprites
from ancestral_training.corpora.avatars import STYLES
from ancestral_training.corpora.packages import CorpusError, Writer, read
from ancestral_training.corpora.pictures import Progress, digits, fashion
from ancestral_training.corpora.sentences import own_script, script
from ancestral_training.corpora.sprites import SPECIES
from ancestral_training.data.speech import Clip, TimedPhone

if TYPE_CHECKING:
    from ancestral_training.corpora.teachers import Teacher

__all__ = ["PICTURES", "CorpusError", "align_clips", "build", "expected", "read", "whole_sentence"]

# Where each voice starts in the list of sentences, so that no two read the same ones.
_OFFSETS = {"heart": 0, "joe": 6000, "slt": 12000, "awb": 15000, "rms": 18000, "kal16": 21000}
PICTURES: dict[str, Callable[[Path, Progress], int]] = {
    "digits": digits,
    "fashion": fashion,
    "sprites": sprites.make,
    "characters": characters.make,
    "avatars": avatars.make,
    "avatars-rgb": partial(avatars.make, indexed=False),
}
_KOKORO = "kokoro"
_NAMES = ("allison", *_OFFSETS, _KOKORO, *PICTURES)
_KOKORO_STRIDE = 900
"""Sentences between the starts of two voices of Kokoro."""
_KOKORO_HELD_OUT = 30
"""Held-out sentences that a voice of Kokoro reads: there are many voices."""
_REMARK_EVERY = 6
"""One in so many of the lines that teachers read is a remark."""

Labelled = tuple[str, str, NDArray[np.float32], list[TimedPhone]]


def expected(name: str) -> int | None:
    """The number of pictures that building a corpus makes before equal ones are left out; None where it is not known
    before."""
    if name == "sprites":
        return 2 * sprites.DRAWN * len(SPECIES)
    if name == "characters":
        return characters.COUNT
    return avatars.PEOPLE * avatars.PICTURES * len(STYLES) if name.startswith("avatars") else None


def build(
    name: str, out: Path, count: int, progress: Progress = lambda done: None, voice: str | None = None
) -> int:  # fmt: skip
    """Make corpus ``name`` in directory ``out``.

    Args:
        name: of the corpus.
        out: created, or its corpus replaced. One of ``kokoro`` is continued: its clips stay, if their text is the same.
        count: sentences besides the held-out ones; ``allison`` has the prompts that exist, and pictures have none.
        progress: called with the number of clips or pictures done.
        voice: of ``kokoro``, one of :data:`~ancestral_training.corpora.teachers.VOICES`.

    Returns:
        The number of clips or pictures written.

    Raises:
        CorpusError: there is no such corpus or voice.
    """
    if name not in _NAMES:
        raise CorpusError(f"name: no corpus {name!r}; there are {', '.join(_NAMES)}")
    if name == _KOKORO:
        return _build_kokoro(voice, out, count, progress)
    if voice is not None:
        raise CorpusError(f"voice: only {_KOKORO} has voices to choose from, {name} has not")
    if name in PICTURES:
        return PICTURES[name](out, progress)
    taught = name in ("heart", "joe")
    clips = _read_by(name, count) if taught else _aligned(name, count, out)
    first = [*islice(clips, 1)]  # which fails where something is not installed, before an earlier corpus is emptied
    with Writer(out, RATE if taught else 16000) as writer:
        return _add(chain(first, clips), writer, name, progress)


def _add(clips: Iterable[Labelled], writer: Writer, speaker: str, progress: Progress) -> int:
    """Write clips; returns how many there are then."""
    done = len(writer.made)
    for clip_id, text, wave, phones in clips:
        writer.add(clip_id, speaker, text, wave, phones)
        done += 1
        progress(done)
    return done


def _build_kokoro(voice: str | None, out: Path, count: int, progress: Progress) -> int:
    from ancestral_training.corpora.teachers import VOICES, Kokoro, language_of, name_of

    if voice not in VOICES:
        given = "none is given" if voice is None else f"no {voice!r}"
        raise CorpusError(f"voice: {given}; there are {', '.join(VOICES)}")
    speaker, language, offset = name_of(voice), language_of(voice), _KOKORO_STRIDE * VOICES.index(voice)
    if language.startswith("en"):
        lines = _lines(speaker, offset, count, _KOKORO_HELD_OUT)
    else:
        own = own_script(language, offset, count, _KOKORO_HELD_OUT)
        lines = [(f"{speaker}_{suffix}", text) for suffix, text in own]
    with Writer(out, RATE, [(clip_id, speaker, text) for clip_id, text in lines]) as writer:
        missing = [line for line in lines if line[0] not in writer.made]
        # Fetching the packages takes longer than making a clip.
        clips = _taught(Kokoro(voice), missing, language) if missing else ()
        return _add(clips, writer, speaker, progress)


def _read_by(name: str, count: int) -> Iterator[Labelled]:
    from ancestral_training.corpora.teachers import Heart, Joe

    return _taught(Heart() if name == "heart" else Joe(), _lines(name, _OFFSETS[name], count))


def _lines(speaker: str, offset: int, count: int, held_out: int | None = None) -> list[tuple[str, str]]:
    """Id and text of every clip of a teacher."""
    return [(f"{speaker}_{suffix}", text) for suffix, text in script(offset, count, _REMARK_EVERY, held_out)]


def _taught(teacher: Teacher, lines: Iterable[tuple[str, str]], language: str = "en") -> Iterator[Labelled]:
    """What a teacher makes of lines in its language."""
    for clip_id, text in lines:
        sentence = whole_sentence(text, language)
        if sentence is None:
            continue
        wave, rate, seconds = teacher.speak(sentence)
        phones = list(map(TimedPhone, sentence.phones, seconds, sentence.word_starts))
        yield clip_id, text, soxr.resample(wave, rate, RATE), phones


def _aligned(name: str, count: int, out: Path) -> Iterator[Labelled]:
    from ancestral_training.corpora.align import Aligner
    from ancestral_training.corpora.sentences import allison, flite

    aligner = Aligner()
    recordings = allison() if name == "allison" else flite(name, _OFFSETS[name], count, out)
    for clip_id, text, wave in recordings:
        sentence = whole_sentence(text)
        phones = aligner.align(wave, sentence) if sentence else None
        # A clip without phonemes still teaches WaveNet how the voice sounds.
        yield clip_id, text, wave, phones or []


def align_clips(clips: Sequence[Clip], out: Path, language: str, progress: Progress = lambda done: None) -> list[Clip]:
    """Align recordings with their text, and write them in our layout into ``out``.

    Args:
        clips: the recordings.
        out: created.
        language: of their texts, a tag of BCP 47.
        progress: called with the number of clips done.

    Returns:
        Those that could not be aligned: they are written without phonemes.

    Raises:
        ValueError: one is no sound file.
    """
    from ancestral_training.corpora.align import Aligner
    from ancestral_training.data.speech import load_wave

    aligner, failed = Aligner(), list[Clip]()
    with Writer(out) as writer:
        for done, clip in enumerate(clips, 1):
            wave, sentence = load_wave(clip.path, 16000), whole_sentence(clip.text, language)
            phones = aligner.align(wave, sentence) if sentence else None
            writer.add(clip.id, clip.speaker, clip.text, wave, phones or [])
            failed += [] if phones else [clip]
            progress(done)
    return failed


def whole_sentence(text: str, language: str = "en") -> Sentence | None:
    """A clip's text as one sentence, whatever full stops it has inside; None for text that cannot all be spoken."""
    try:
        sentences = phonemize(script := parse_text(text, language=language), language)
    except UnsupportedText:
        return None
    return None if skipped(script, "") else Sentence(tuple(item for sentence in sentences for item in sentence.items))
