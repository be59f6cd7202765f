"""How a word is said where it stands: homographs, the articles, and the weak forms of function words.

The candidates are the lexicon's; the neighbouring words choose among them. There is no parser here, so the
rules are few and take the side that is right more often.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ancestral.models.text.g2p import pronounce
from ancestral.models.text.lexicon import Pronunciation
from ancestral.models.text.phonemes import PAUSES, is_vowel, with_stress

Phones = tuple[str, ...]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BE: Final = _words(
    """is are was were be been being am isn't aren't wasn't weren't he's she's it's that's i'm you're we're
    they're get gets got"""
)
_HAVE: Final = _words("have has had having haven't hasn't hadn't i've you've we've they've could've i'd")
_DETERMINERS: Final = _words(
    """a an the this that these those my your his her its our their some any no every each another many few
    several two three four five six seven eight nine ten"""
)
_PREPOSITIONS: Final = _words("of in on at for with from by under over about into through during")
_BEFORE_NOUN: Final = _DETERMINERS | _PREPOSITIONS
_BEFORE_VERB: Final = _words(
    """to will can could would should may might must shall i you we they who don't doesn't didn't won't can't
    couldn't wouldn't shouldn't let's please never always often usually i'll you'll he'll she'll it'll we'll
    they'll do did cannot"""
)
_PLURAL_SUBJECTS: Final = _words("i you we they who")
_SINGULAR_SUBJECTS: Final = _words("he she it who which")
_OBJECTS: Final = _DETERMINERS | _words("it them him me us you")
_PAST_CUES: Final = _words("yesterday ago last once previously")
_LIVE_EVENTS: Final = _words(
    """music show shows concert concerts stream streams broadcast broadcasts audience band tv television
    performance recording album coverage wire wires bait animals video"""
)
_ON_AIR: Final = _words("went go going streamed performed")
_FISHING: Final = _words("fish fishing fishermen fisherman caught catch lake river sea pond fillet fillets")
_BOWING: Final = _words("take takes took taken taking")
_TINY: Final = _words(
    "detail details amount amounts quantity quantities particle particles difference differences trace"
)
_METAL: Final = _words("pipe pipes paint poisoning acid battery batteries pencil bullet bullets mine mines")

# Prepositions, conjunctions and auxiliaries: weak before a word, full at the end of a phrase.
_WEAK_INSIDE: Final = _words(
    """of and for from at in on by with as than but or nor if into am is are was were be been can could would
    should will shall must my your his its our their he she we they that"""
)
# Pronouns that stay weak at the end as well ("I like it").
_WEAK_ALWAYS: Final = _words("it me him her us them you i")


def _of_role(readings: Sequence[Pronunciation], *roles: str) -> Phones | None:
    for role in roles:
        for reading in readings:
            if reading.role == role:
                return reading.phones
    return None


def _full(readings: Sequence[Pronunciation]) -> Phones:
    """The first reading with a stressed vowel."""
    return next((r.phones for r in readings if any(p.endswith("1") for p in r.phones)), readings[0].phones)


def _weak(readings: Sequence[Pronunciation]) -> Phones:
    """The least stressed reading that keeps all its consonants, its stress taken away.

    A reading of one phone ("er" for "or") is passed over: it belongs to faster speech than this.
    """
    consonants = [sum(not is_vowel(phone) or phone.startswith("ER") for phone in r.phones) for r in readings]
    most = max(consonants)
    whole = [r.phones for r, count in zip(readings, consonants, strict=True) if count == most and len(r.phones) > 1]
    best = min(whole or [readings[0].phones], key=lambda phones: sum(phone.endswith("1") for phone in phones))
    return tuple(with_stress(phone, "0") for phone in best)


def _starts_with_vowel(word: str | None) -> bool:
    return word is not None and is_vowel(pronounce(word)[0].phones[0])


def _article_or_to(word: str, after: str | None) -> Phones | None:
    if word == "the":
        return ("DH", "IY0") if _starts_with_vowel(after) else ("DH", "AX0")
    if word == "a":
        return ("AX0",) if after else ("EY1",)
    if word == "an":
        return ("AX0", "N")
    if word == "to":
        if after is None:
            return ("T", "UW1")
        return ("T", "UW0") if _starts_with_vowel(after) else ("T", "AX0")
    return None


def _special(word: str, before: str | None, after: str | None, sentence: Sequence[str]) -> str | None:
    """The role of the few homographs that the general rule gets wrong too often; None for all others."""
    if word == "read":
        infinitive = before in _BEFORE_VERB - _PLURAL_SUBJECTS
        past = before in _HAVE | _BE | _SINGULAR_SUBJECTS or not (infinitive or _PAST_CUES.isdisjoint(sentence))
        return "VBD" if past else "VB"
    if word == "live" and (after in _LIVE_EVENTS or before in _ON_AIR):
        return "JJ"
    if word == "live" and before in {"that", "people"}:
        return "VB"
    if word == "minute" and after in _TINY:
        return "JJ"
    if word == "invalid" and after is not None:
        return "JJ"
    if word == "produce" and before in {"fresh", "local", "organic"}:
        return "NN"
    if word == "close" and before not in _BEFORE_VERB and after == "to":
        return "JJ"
    return None


def _fixed(word: str, before: str | None, after: str | None, sentence: Sequence[str]) -> Phones | None:
    """Homographs whose readings the lexicon does not tell apart by part of speech."""
    if word == "used":
        habit = after == "to" and before not in _BE
        return ("Y", "UW1", "S", "T") if habit else ("Y", "UW1", "Z", "D")
    if word == "lead" and before not in _BEFORE_VERB:
        metal = after in _METAL or before in {"of", "from"}
        return ("L", "EH1", "D") if metal else ("L", "IY1", "D")
    if word == "does":
        return ("D", "AH1", "Z")  # the lexicon's other reading is the plural of "doe"
    if word == "refuse" and before in _BEFORE_NOUN:
        return ("R", "EH1", "F", "Y", "UW2", "S")  # the lexicon ends the noun in Z
    if word == "bass":
        return ("B", "EY1" if _FISHING.isdisjoint(sentence) else "AE1", "S")
    if word == "bow":
        bent = before in _BEFORE_VERB or not _BOWING.isdisjoint(sentence)
        return ("B", "AW1" if bent else "OW1")
    if word in ("tear", "tears"):
        torn = before in _BEFORE_VERB or after in _OBJECTS | {"up", "apart", "down"}
        return ("T", "EH1" if torn else "IH1", "R", *("Z" if word == "tears" else ""))
    return None


def _by_neighbours(word: str, before: str | None, after: str | None) -> tuple[str, ...]:
    """Parts of speech for a homograph, likeliest first; empty if the neighbours say nothing."""
    if before in _BEFORE_VERB or (word.endswith("s") and before in _SINGULAR_SUBJECTS):
        return ("VB", "VBD")
    if before in _HAVE:
        return ("VBD", "NN", "JJ")
    if before in _BE:
        return ("VBD", "JJ", "NN")
    if before in _BEFORE_NOUN or (before is not None and before.endswith("'s")):
        return ("NN", "JJ")
    if after in _OBJECTS:
        return ("VB", "VBD")
    return ()


def _homograph(readings: Sequence[Pronunciation], words: Sequence[str], i: int) -> Phones:
    word = words[i]
    before = words[i - 1] if i and words[i - 1] not in PAUSES else None
    after = words[i + 1] if i + 1 < len(words) and words[i + 1] not in PAUSES else None
    fixed = _fixed(word, before, after, words)
    if fixed:
        return fixed
    role = _special(word, before, after, words)
    roles = (role,) if role else _by_neighbours(word, before, after)
    return _of_role(readings, *roles) or readings[0].phones


def read(words: Sequence[str], i: int) -> Phones:
    """The phones of one word of a sentence.

    Args:
        words: the sentence as `normalize` gives it, words and marks.
        i: which of them to say; it must be a word.

    Returns:
        Members of `phonemes.PHONEMES`, at least one, no pauses.
    """
    word = words[i]
    after = words[i + 1] if i + 1 < len(words) and words[i + 1] not in PAUSES else None
    first = i == 0 or words[i - 1] in PAUSES
    special = _article_or_to(word, after)
    if special:
        return special
    readings = pronounce(word)
    if word in _WEAK_INSIDE:
        return _weak(readings) if after else _full(readings)
    if word in _WEAK_ALWAYS:
        return _full(readings) if first and after is None else _weak(readings)
    if len(readings) > 1 and any(reading.role for reading in readings):
        return _homograph(readings, words, i)
    return readings[0].phones
