"""French as it is read in France."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from ancestral_models.text import lexicon
from ancestral_models.text.languages.language import Language, Numbers, Numerals, gender_by_ending
from ancestral_models.text.phonemes import CONSONANTS, PAUSES, VOWELS
from ancestral_models.text.senses import fits, senses
from ancestral_models.text.tables import table

# French words to phonemes: gruut's lexicon and its model of letters, and over them liaison, silent e and heteronyms.
#
# A word is read in pieces, parted by its apostrophes and hyphens (`l'eau`, `dix-huit`). A consonant that liaison adds
# is the last of the word before ("les_amis": L e Z).

Phones = tuple[str, ...]
Symbols = tuple[str, ...]

_TABLE: Final = table("french")
_SENSES: Final = senses(_TABLE)
_ELIDED: Final = _TABLE.phones("elided")
_WORDS: Final = _TABLE.phones("words")
_JOINED: Final = _TABLE.words("joined")
_BEFORE_NOUN: Final = _TABLE.words("before_noun")
_PRONOUNS: Final = _TABLE.words("pronouns")
_AFTER_NOUN: Final = _TABLE.words("after_noun")
_PAIRS: Final = _TABLE.words("pairs")
_WEAK: Final = _TABLE.words("weak")
_PLURAL: Final = _TABLE.words("plural")
_LETTER_NAMES: Final = _TABLE.entries("letter_names")
_LEXICON: Final = "french"
_MAX_GUESSED: Final = 24
_SHORTEST_PLURAL: Final = 3
_PART: Final = re.compile(r"[^'-]+'?|-")
_VOWEL_LETTERS: Final = "aeiouyàâäéèêëîïôöùûüÿæœ"
_MUTE_E: Final = re.compile(r"(?:[^aeiouyéèêàâùûîïôœ]|[gq]u)(?:es?|ent)\Z")
_NEGATIONS: Final = frozenset(("ne", "n'", "non", "pas"))
_OBSTRUENTS: Final = frozenset("ptkbdɡfvszʃʒ")
_ASPIRATE: Final = re.compile(_TABLE.pattern("aspirate"))
_LATENT: Final = dict.fromkeys("sxz", "z") | dict.fromkeys("td", "t") | {"n": "n", "p": "p", "g": "ɡ"}
"""The consonant that liaison makes heard, by a word's last letter."""
_KEEP_NASAL: Final = _TABLE.words("keep_nasal")
_DIGITS: Final = _TABLE.words("digits")
_NUMERAL_WORDS: Final = _DIGITS | _TABLE.words("other_numerals")
_VOWEL_MONTHS: Final = _TABLE.words("vowel_months")
_ARTICLES: Final = _TABLE.words("articles")
_PRONOUN_AFTER_VERB: Final = _TABLE.words("pronouns_after_verb")
_VOWEL_PHONES: Final = frozenset(vowel[:-1] for vowel in VOWELS)
_FULL_VOWELS: Final = _VOWEL_PHONES - {"ə"}
_CONSONANTS: Final = frozenset(CONSONANTS)
_CONSONANT_NAMES: Final = {"ʃ": "SH", "ʒ": "ZH", "ɡ": "G", "ŋ": "NG", "j": "Y"}


class _Piece(NamedTuple):
    text: str
    joint: str
    """What parts it from the piece before: an apostrophe, a hyphen, or nothing for a space."""
    negated: bool
    """Whether a word of negation stands before it in its phrase."""


class _Place(NamedTuple):
    """A piece and its neighbours."""

    pieces: Sequence[_Piece]
    texts: Sequence[str]
    """The text of each piece."""
    at: int

    @property
    def text(self) -> str:
        return self.pieces[self.at].text

    def joint(self, step: int = 0) -> str:
        """What stands before the piece so many further on."""
        at = self.at + step
        return self.pieces[at].joint if 0 <= at < len(self.pieces) else ""

    def near(self, step: int) -> str:
        """The piece so many further on, of the same phrase; or nothing."""
        reach = range(self.at, self.at + step + 1) if step > 0 else range(self.at + step, self.at)
        if reach[0] < 0 or reach[-1] >= len(self.texts) or any(self.texts[j] in PAUSES for j in reach):
            return ""
        return self.texts[self.at + step]


def read(words: Sequence[str]) -> list[Phones]:
    """The phones of the words of a sentence; see `language.Read`."""
    pieces, starts = _pieces(words)
    texts = [piece.text for piece in pieces]
    said: list[Phones] = []
    for word, (start, end) in zip(words, pairwise(starts), strict=True):
        places = () if word in PAUSES else range(start, end)
        phones = tuple(phone for at in places for phone in _read_piece(_Place(pieces, texts, at)))
        said.append(phones or (() if word in PAUSES else _phones(_spelled(word), stressed=True)))
    return said


def _pieces(words: Sequence[str]) -> tuple[list[_Piece], list[int]]:
    """The pieces of a sentence, and at which each word begins, with the end."""
    pieces: list[_Piece] = []
    starts = []
    negated = False
    for word in words:
        starts.append(len(pieces))
        joint = ""
        for part in [word] if word in _WORDS or word in PAUSES else _PART.findall(word):
            if part != "-":
                pieces.append(_Piece(part.lower(), joint, negated))
                negated = part not in PAUSES and (negated or part.lower() in _NEGATIONS)
            joint = "'" if part[-1] == "'" else "-" if part == "-" else ""
    return pieces, [*starts, len(pieces)]


def _read_piece(place: _Place) -> Phones:
    text, after = place.text, place.near(1)
    if text in _ELIDED:
        return _phones(_ELIDED[text], stressed=False)
    special = _numeral(place) or _heteronym(place)
    symbols = special or _alone(text)
    joined = _is_joined(place)
    if after and (joined or not opens(after)) and _needs_e(text, symbols):
        symbols = (*symbols, "ə")
    if joined:
        symbols = _join(text, symbols)
    return _phones(symbols, stressed=not after or special is not None or text not in _WEAK)


def _phones(symbols: Symbols, *, stressed: bool) -> Phones:
    """Symbols as phonemes, the last full vowel stressed."""
    full = [i for i, symbol in enumerate(symbols) if symbol in _FULL_VOWELS]
    last = full[-1] if stressed and full else -1
    phones = []
    for i, symbol in enumerate(symbols):
        if symbol in _VOWEL_PHONES:
            phones.append(symbol + ("1" if i == last else "0"))
        else:
            name = _CONSONANT_NAMES.get(symbol, symbol.upper())
            phones.append(name if name in _CONSONANTS else symbol)
    return tuple(phones)


def opens(text: str) -> bool:
    """Whether words are joined to a piece and elided before it: it begins with a vowel, and has no h aspiré."""
    return text != "" and text[0] in "h" + _VOWEL_LETTERS and not _ASPIRATE.match(text)


# A word by itself.


@lru_cache(maxsize=16384)
def _variants(text: str) -> tuple[Symbols, ...]:
    """All that the lexicon has, the preferred one first."""
    if text in _WORDS:
        return (_WORDS[text],)
    return tuple(tuple(symbols.split()) for symbols, _ in lexicon.entries(text, _LEXICON))


@lru_cache(maxsize=16384)
def _alone(text: str) -> Symbols:
    spellings = (text, text.replace("oe", "œ"), "é" + text[1:] if text[0] == "e" else text)
    known_as = next((found for spelling in spellings if (found := _variants(spelling))), None)
    if known_as is None and text[-1] in "sx" and len(text) > _SHORTEST_PLURAL:
        known_as = _variants(text[:-1])
    if known_as and (text in _WORDS or _has_vowel(known_as[0])):
        return _ending(known_as[0])
    if not set(_VOWEL_LETTERS).intersection(text):
        return _spelled(text)
    guessed = tuple(
        symbol
        for start in range(0, len(text), _MAX_GUESSED)
        for symbol in lexicon.sounds(text[start : start + _MAX_GUESSED], _LEXICON)
    )
    return _ending(guessed) if _has_vowel(guessed) else _spelled(text)


def _has_vowel(symbols: Symbols) -> bool:
    return any(symbol in _VOWEL_PHONES for symbol in symbols)


def _ending(symbols: Symbols) -> Symbols:
    """The symbols as French words end: no open o, and no g after NG."""
    if symbols[-1] == "ɔ":
        return (*symbols[:-1], "o")
    return symbols[:-1] if symbols[-2:] == ("ŋ", "ɡ") else symbols


def _spelled(text: str) -> Symbols:
    names = " ".join(_LETTER_NAMES.get(letter, "") for letter in text.lower())
    return tuple(symbol for name in names.split() for symbol in _alone(name))


# Words that sound differently by what is around them.


def _numeral(place: _Place) -> Symbols | None:
    """The reading of a numeral whose last consonant comes and goes; liaison is that of all words."""
    text, before, after = place.text, place.near(-1), place.near(1)
    weak = after in _WEAK and after != "pour"
    match text:
        case "six" | "dix" if not after or weak:
            return (text[0], "i", "s")
        case "six" | "dix" if opens(after) or (text == "dix" and after in ("huit", "neuf")):
            return (text[0], "i", "z")
        case "six" | "dix":
            return (text[0], "i")
        case "huit" if after and not weak and not opens(after):
            return ("ɥ", "i")
        case "neuf" if after in ("heure", "heures", "ans", "hommes", "autres"):
            return ("n", "œ", "v")
        case "vingt" if before != "quatre" and (after in _DIGITS or after == "et" or (opens(after) and not weak)):
            return ("v", "ɛ̃", "t")
    return None


def _heteronym(place: _Place) -> Symbols | None:
    text, before, after = place.text, place.near(-1), place.near(1)
    match text:
        case "plus" if _is_more(place):
            return ("p", "l", "y", "s")
        case "tous" if after not in _PLURAL | _NUMERAL_WORDS | {"ceux", "risques", "azimuts"}:
            return ("t", "u", "s")
        case "est" if before in ("nord", "sud") or (before == "l'" and place.near(-2) in ("à", "de", "vers", "dans")):
            return ("ɛ", "s", "t")
    for sense in _SENSES.get(text, ()):
        if fits(sense, place.texts, place.at):
            return sense.phones
    if text.endswith("ent"):
        return _in_ent(place)
    if text.endswith("tions") and before == "nous":
        return next((reading for reading in _variants(text) if reading[-3:] == ("t", "j", "ɔ̃")), None)
    return None


def _is_more(place: _Place) -> bool:
    """Whether "plus" is said with its s: "en plus", "deux plus deux", "un peu plus", but "je n'en veux plus"."""
    before, after = place.near(-1), place.near(1)
    if before in _NUMERAL_WORDS:
        return True
    return not after and not place.pieces[place.at].negated


def _in_ent(place: _Place) -> Symbols | None:
    """A word in -ent that is a noun or adjective, or else, in the plural, a verb: "le président", "ils président"."""
    nasal = [reading[-1] == "ɑ̃" for reading in _variants(place.text)]
    if len(set(nasal)) != 2:
        return None
    before, earlier = place.near(-1), place.near(-2)
    is_verb = before in ("ils", "elles") or (before[-1:] in ("s", "x") and earlier in _PLURAL)
    return _variants(place.text)[nasal.index(not is_verb)]


def _is_plural_verb(text: str) -> bool:
    """Whether a word ends in a silent -ent: "les autres arrivent"."""
    return text.endswith("ent") and _alone(text)[-1] != "ɑ̃"


# Between words.


def _is_joined(place: _Place) -> bool:
    """Whether the word's last consonant is heard before the next one."""
    text, after = place.text, place.near(1)
    if not after or not opens(after):
        return False
    if place.joint(1) == "-" and after in _PRONOUN_AFTER_VERB and text[-1] in "tdszx":
        return True
    if f"{text}_{after}" in _PAIRS:
        return True
    inverted = place.joint() == "-" and (text in _PRONOUNS or text in ("les", "en"))
    if inverted and place.joint(1) != "-":
        return False
    if text in _JOINED:
        return text != "est" or not (place.joint() and place.near(-1) in ("nord", "sud"))
    if text not in _BEFORE_NOUN and text not in _PRONOUNS:
        return False
    if after in _AFTER_NOUN or (text in ("deux", "trois") and after in _VOWEL_MONTHS):
        return False
    if text not in _PRONOUNS and _is_plural_verb(after):
        return False
    if text in ("premier", "dernier") and place.near(-1) not in _ARTICLES:
        return False
    return text != "un" or place.near(-1) not in ("l'", "quelqu'")


def _join(text: str, symbols: Symbols) -> Symbols:
    """A word with its latent consonant: "bon" B ɔ N, "premier" P ʁ ə M Y ɛ ʁ."""
    if text.endswith("er"):
        return (*symbols[:-1], "ɛ", "ʁ")
    if text.endswith("n") and text not in _KEEP_NASAL:
        return (*symbols[:-1], symbols[-1][0], "n")
    latent = _LATENT.get(text[-1], "")
    return symbols if not latent or symbols[-1] == latent else (*symbols, latent)


def _needs_e(text: str, symbols: Symbols) -> bool:
    """Whether a silent e after two consonants is said before a third: "quatre chats", "quelque chose"."""
    if len(symbols) < 2 or not _MUTE_E.search(text):
        return False
    first, second = symbols[-2:]
    liquid = second in ("ʁ", "l") and first in _OBSTRUENTS
    return liquid or (second == "k" and first in ("s", "l"))


# French as it is read in France.

_VOWELS: Final = "aàâäeéèêëiîïoôöuùûüyhœæ"
_NUMBERS: Final = Numbers.of_table(
    _TABLE,
    thousands=" .",
    singular=lambda number: abs(number) < 2,
    of_millions=lambda noun: f"d'{noun}" if noun[0] in _VOWELS else f"de {noun}",
)
_NUMERALS: Final = Numerals(_NUMBERS)


def _time(hour: int, minute: int) -> str:
    hours = f"{_NUMERALS.cardinal(hour, 'f')} {'heure' if hour < 2 else 'heures'}"
    return f"{hours} {_NUMERALS.cardinal(minute, 'f')}" if minute else hours


LANGUAGE: Final = Language.of_table(
    _TABLE, read=read, numbers=_NUMBERS, time=_time, gender=gender_by_ending(_TABLE, plural="s?")
)
