"""The phonemes that models are conditioned on, and the visemes of a mouth that says them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from ancestral_models.text.tables import table

# The phoneme inventory every text-conditioned model shares.
#
# English is ARPAbet with stress digits, as in the CMU Pronouncing Dictionary, with the schwa kept apart from the
# stressed `AH` (gruut's lexicon keeps it apart, and the two sound different). Spanish, French, Italian and Portuguese
# share its consonants; their vowels, and the consonants that English lacks, are written in IPA, vowels with a stress
# digit, too. A phoneme's index in `PHONEMES` is its id in a model's embedding table: append, never reorder.

SILENCE: Final = "sil"
PHRASE_PAUSE: Final = ","
SENTENCE_ENDS: Final[tuple[str, ...]] = (".", "?", "!")
PAUSES: Final[tuple[str, ...]] = (SILENCE, PHRASE_PAUSE, *SENTENCE_ENDS)

_STRESSED_VOWELS: Final = (
    "AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW",
)  # fmt: skip
SCHWA: Final = "AX0"
_ROMANCE_VOWELS: Final = (
    "a", "e", "ɛ", "i", "o", "ɔ", "u", "ɐ", "y", "ø", "œ", "ɐ̃", "ẽ", "ĩ", "õ", "ũ", "ɑ̃", "ɛ̃", "ɔ̃", "œ̃",
)  # fmt: skip
ENGLISH_VOWELS: Final = (SCHWA, *(vowel + stress for vowel in _STRESSED_VOWELS for stress in "012"))
_OTHER_VOWELS: Final = ("ə0", *(vowel + stress for vowel in _ROMANCE_VOWELS for stress in "01"))
VOWELS: Final[tuple[str, ...]] = (*ENGLISH_VOWELS, *_OTHER_VOWELS)
ENGLISH_CONSONANTS: Final = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG",
    "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
_OTHER_CONSONANTS: Final = ("ɲ", "ʎ", "ɾ", "r", "x", "ʁ", "ɥ", "ts", "dz", "ʈ", "ɖ", "ɽ", "ʰ")
CONSONANTS: Final[tuple[str, ...]] = (*ENGLISH_CONSONANTS, *_OTHER_CONSONANTS)
PHONEMES: Final[tuple[str, ...]] = (
    *PAUSES, *ENGLISH_VOWELS, *ENGLISH_CONSONANTS, *_OTHER_VOWELS, *_OTHER_CONSONANTS,
)  # fmt: skip

_PAUSE_SET: Final = frozenset(PAUSES)
_VOWEL_SET: Final = frozenset(VOWELS)
_STRESS_OF_MARK: Final = {"ˈ": "1", "ˌ": "2"}
ENGLISH_IPA: Final = table("phonemes").phones("english_ipa")


def is_pause(phoneme: str) -> bool:
    """Whether `phoneme` is a silence or a punctuation pause rather than a sound."""
    return phoneme in _PAUSE_SET


def is_vowel(phoneme: str) -> bool:
    """Whether `phoneme` is a vowel of the inventory (they all end in a stress digit)."""
    return phoneme in _VOWEL_SET


def without_stress(phoneme: str) -> str:
    """`AE1` becomes `AE`; consonants and pauses are returned as they are."""
    return phoneme[:-1] if phoneme in _VOWEL_SET else phoneme


def with_stress(phoneme: str, stress: str) -> str:
    """The same phoneme with another stress digit.

    Args:
        phoneme: any member of `PHONEMES`.
        stress: `"0"`, `"1"` or `"2"`; ignored for consonants, pauses and the schwas, which carry none. Vowels that no
            English word has know only 0 and 1.
    """
    if phoneme not in _VOWEL_SET or phoneme in (SCHWA, "ə0"):
        return phoneme
    changed = phoneme[:-1] + stress
    return changed if changed in _VOWEL_SET else phoneme[:-1] + "1"


def from_ipa(symbol: str) -> str:
    """One symbol of gruut's English lexicon or grapheme-to-phoneme model in this inventory.

    Args:
        symbol: for example `ɹ`, `t͡ʃ` or `ˈɛ` (a vowel carries its stress mark in front).

    Returns:
        A member of `VOWELS` or `CONSONANTS`.

    Raises:
        KeyError: for a symbol that is no English sound.
    """
    stress = _STRESS_OF_MARK.get(symbol[:1], "0")
    (phone,) = ENGLISH_IPA[symbol.lstrip("ˈˌ").replace("͡", "")]
    if phone in ENGLISH_CONSONANTS:
        return phone
    # A stressed schwa does not exist in English; the sound people then make is AH.
    return (phone if stress == "0" or phone != "AX" else "AH") + stress


@dataclass(frozen=True)
class Prosody:
    """How phonemes are spoken, other than the acoustic model predicts."""

    rate: float = 1.0
    """Divides the predicted lengths."""
    semitones: float = 0.0
    """Semitones by which F0 is higher."""
    decibels: float = 0.0
    """By which the level is higher."""
    whispered: bool = False
    """Whether nothing is voiced."""

    def beside(self, other: Prosody) -> Prosody:
        """This prosody and another one."""
        rate, semitones = round(self.rate * other.rate, 3), round(self.semitones + other.semitones, 3)
        return Prosody(rate, semitones, self.decibels + other.decibels, self.whispered or other.whispered)

    @property
    def changes(self) -> tuple[float, float, bool]:
        """What differs in the frames."""
        return self.semitones, self.decibels, self.whispered


@dataclass(frozen=True)
class Control(Prosody):
    """How one phoneme differs from what the acoustic model predicts."""

    seconds: float | None = None
    """Exact length, whatever the speed; None if it is predicted."""


PLAIN: Final = Control()
"""No change to the prediction."""


class Phonemes(Protocol):
    """What the acoustic model reads: the phonemes of one sentence, and where its words start."""

    @property
    def phones(self) -> tuple[str, ...]:
        """Members of `PHONEMES`, from `sil` to the sentence's end; `sil` alone is silence."""

    @property
    def word_starts(self) -> tuple[bool, ...]:
        """For each of `phones`, whether a word starts there."""

    @property
    def controls(self) -> tuple[Control, ...]:
        """One for each of `phones`; empty if all are as predicted."""


# Mouth shapes of phonemes: the 15 visemes of Oculus' lip sync, and Azure's numbers 1 to 21 for the same mouths.
#
# A phoneme has one shape. Of a diphthong that Azure does not number it is that of its first vowel, and of a nasal vowel
# that of the oral one. Silence, which is ``sil`` or 0, has no phoneme: it is where no viseme is.


class Viseme(NamedTuple):
    """One mouth shape, in two alphabets."""

    oculus: str
    azure: int


_OF_PHONEME: Final = {
    phoneme: Viseme(mouth.split()[0], int(mouth.split()[1]))
    for mouth, phonemes in table("phonemes").pairs("visemes")
    for phoneme in phonemes.split()
}


def viseme_of(phoneme: str) -> Viseme:
    """The mouth shape of a phoneme of the inventory that is no pause; a vowel's stress does not matter."""
    return _OF_PHONEME[phoneme.rstrip("012")]
