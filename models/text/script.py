"""A text with what its writer has said about how it is read: the common form of plain text and of SSML.

models/text/directives.py and models/text/ssml.py make it, models/text/normalize.py reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ancestral.models.text.characters import UnknownSpeaker, UnsupportedText
from ancestral.models.text.phonemes import Prosody

MAX_PAUSE_SECONDS: Final = 10.0
"""Longest single pause."""
MAX_SILENCE_SECONDS: Final = 120.0
"""Longest sum of all pauses of a text."""
MIN_RATE, MAX_RATE = 0.25, 4.0
MAX_SEMITONES: Final = 12.0


@dataclass(frozen=True)
class Text:
    """Text that the front-end reads."""

    spoken: str
    written: str
    """What stands for it in captions and alignments: the text itself, unless it is read as something else."""
    start: int = 0
    """Position in the input, for messages."""
    language: str = "en"
    """The primary language whose rules read it."""


@dataclass(frozen=True)
class Pronounced:
    """Words whose phonemes are given."""

    written: str
    words: tuple[tuple[str, tuple[str, ...]], ...]
    """The text of each, and its phonemes: at least one, no pauses."""
    entry: str | None = None
    """The entry of a lexicon that gave them."""


@dataclass(frozen=True)
class Pause:
    """A pause of exact length."""

    seconds: float


@dataclass(frozen=True)
class Speaker:
    """The speaker from here on."""

    name: str
    """Name in the text."""
    voice: str
    """The canonical form of a voice or of a mix."""
    language: str
    """Language of the voice, as a tag of BCP 47."""
    text_language: str
    """Language of their text, unless it says otherwise."""


@dataclass(frozen=True)
class Cast:
    """The speakers of a text."""

    default: Speaker
    """The speaker of all that nobody else is named for."""
    find: Callable[[str], Speaker]
    """Finds a speaker by name; raises :class:`UnknownSpeaker`."""
    names: tuple[str, ...] = ()
    """Names that begin a line of plain text, with a colon behind them."""

    @classmethod
    def of_one(cls, language: str, text_language: str | None = None) -> Cast:
        """A single voice, which no text names; the text is in its language if None."""

        def refuse(name: str) -> Speaker:
            raise UnknownSpeaker("here one voice speaks all of the text")

        return cls(Speaker("", "", language, text_language or language), refuse)


Cue = Pronounced | Pause | Prosody
Piece = Text | Cue | Speaker


@dataclass(frozen=True)
class Script:
    """A text in pieces, in the order in which they are spoken."""

    pieces: tuple[Piece, ...]

    @property
    def written(self) -> str:
        """The text as it was written, without pauses, tags and the like."""
        return "".join(shown for _, shown, _ in self.placed())

    def placed(self) -> Iterator[tuple[Piece, str, int]]:
        """Each piece, what of :attr:`written` it is, and where that begins. A pause between two words is a space, and
        so is another voice."""
        last, start = " ", 0
        for piece in self.pieces:
            if isinstance(piece, Pause | Speaker):
                shown = "" if last.isspace() else " "
            else:
                shown = "" if isinstance(piece, Prosody) else piece.written
            yield piece, shown, start
            last, start = shown[-1:] or last, start + len(shown)

    def turns(self, default: Speaker) -> Iterator[tuple[Speaker, Script, int]]:
        """The speakers in turn, their text, and where it begins in :attr:`written`; at first the default."""
        speaker, said, begin = default, list[Piece](), 0
        for piece, shown, start in self.placed():
            if isinstance(piece, Speaker):
                yield speaker, Script(tuple(said)), begin
                speaker, said, begin = piece, [], start + len(shown)
            else:
                said.append(piece)
        yield speaker, Script(tuple(said)), begin

    @property
    def entries(self) -> tuple[str, ...]:
        """The entries of lexicons that are used, each once."""
        used = (piece.entry for piece in self.pieces if isinstance(piece, Pronounced))
        return tuple(dict.fromkeys(entry for entry in used if entry is not None))

    def check(self) -> Script:
        """This script, if it has no more silence than it may.

        Raises:
            UnsupportedText: it has.
        """
        silence = sum(piece.seconds for piece in self.pieces if isinstance(piece, Pause))
        if silence > MAX_SILENCE_SECONDS:
            raise UnsupportedText(f"{silence:g} s of pauses; all together may take {MAX_SILENCE_SECONDS:g} s")
        return self


def pause_of(number: str, unit: str, shown: str) -> Pause | None:
    """A pause from its number and its unit, ``s`` or ``ms``; None if it is empty.

    Raises:
        UnsupportedText: it is too long; the message shows it.
    """
    seconds = round(float(number) / (1000.0 if unit.lower() == "ms" else 1.0), 3)
    if seconds > MAX_PAUSE_SECONDS:
        raise UnsupportedText(f"{shown!r}: a pause may take {MAX_PAUSE_SECONDS:g} s")
    return Pause(seconds) if seconds else None
