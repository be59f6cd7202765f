"""Spanish words to phonemes, by rules alone: it is spelled as it is spoken. The sounds are those of Spain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from ancestral.models.text.languages.language import words
from ancestral.models.text.phonemes import PAUSES

Phones = tuple[str, ...]

_WEAK: Final = words(
    """a al aun como con cual cuando cuanto cuyo cuya de del desde donde e el en entre hasta la las le les lo los me mi
    mis ni nos o os para pero por porque pues que se si sin sino sobre su sus tan te tu tus u y"""
)
"""Function words without stress, before another word."""
_ACCENTED: Final = dict(zip("áéíóú", "aeiou", strict=True))
_VOWEL: Final = "aeiouáéíóúü"
_CONSONANTS: Final[tuple[tuple[str, Phones], ...]] = (
    (r"^ps(?=[aeiouáéíóú])", ("S",)), (r"^[gm]n", ("N",)), (r"^pt", ("T",)), (r"^x", ("S",)), (r"^r", ("r",)),
    (r"^hi(?=[aeoáéó])", ("Y",)), (r"^y(?=[aeiouáéíóú])", ("Y",)), (r"ch", ("CH",)), (r"sh", ("S",)), (r"ph", ("F",)),
    (r"ll(?=[aeiouáéíóú])", ("ʎ",)), (r"ll", ("L",)), (r"rr", ("r",)), (r"tz", ("T", "S")), (r"zz", ("T", "S")),
    (r"(?<=[nls])r", ("r",)), (r"(?<=\bsub)r", ("r",)), (r"qu(?=[eiéí])", ("K",)),
    (r"gu(?=[eiéí])", ("G",)), (r"gü", ("G", "W")),
    (r"g(?=[eiéí])", ("x",)), (r"c(?=[eiéí])", ("TH",)), (r"n(?=[bvp])", ("M",)), (r"y(?=[aeiouáéíóú])", ("Y",)),
    (r"c(?=c[eiéí])", ("K",)), (r"([bcdfgjklmpqstvwx])(?=\1)", ()),
    ("b", ("B",)), ("c", ("K",)), ("ç", ("S",)), ("d", ("D",)), ("f", ("F",)), ("g", ("G",)), ("j", ("x",)),
    ("k", ("K",)), ("l", ("L",)), ("m", ("M",)), ("n", ("N",)), ("ñ", ("ɲ",)), ("p", ("P",)), ("q", ("K",)),
    ("r", ("ɾ",)), ("s", ("S",)), ("t", ("T",)), ("v", ("B",)), ("w", ("W",)), ("z", ("TH",)),
    (r"x", ("K", "S")), (r"[h']", ()),
)  # fmt: skip
"""Patterns at a place of a word, the first that fits, and their phonemes. Of a double letter the first is silent."""
_CONSONANT: Final = tuple((re.compile(pattern), phones) for pattern, phones in _CONSONANTS)
_PENULTIMATE: Final = re.compile(rf"[{_VOWEL}][ns]?\Z")
_MENTE: Final = re.compile(r"(.+[aelrzns])(mente)")
_NO_ADVERBS: Final = words(
    """lamente demente clemente inclemente vehemente complemente implemente incremente suplemente reglamente atormente
    fermente escarmente segmente"""
)
"""Words that end like adverbs, and are none."""
_OTHERS: Final = {
    "muy": "M u1 Y", "méxico": "M e1 x i0 K o0", "mexicano": "M e0 x i0 K a1 N o0", "mexicana": "M e0 x i0 K a1 N a0",
    "mexicanos": "M e0 x i0 K a1 N o0 S", "mexicanas": "M e0 x i0 K a1 N a0 S", "texas": "T e1 x a0 S",
    "oaxaca": "o0 a0 x a1 K a0", "software": "S o1 F T W e0 ɾ", "hardware": "x a1 ɾ W e0 ɾ", "web": "W e1 B",
    "wifi": "W i1 F i0", "online": "o0 N L a1 Y N", "email": "i1 M e0 Y L", "mail": "M e1 Y L", "google": "G u1 G e0 L",
    "facebook": "F e1 Y S B u0 K", "whatsapp": "W a1 S a0 P", "youtube": "Y u1 T u0 B", "twitter": "T W i1 T e0 ɾ",
    "marketing": "M a1 ɾ K e0 T i0 N", "jazz": "Y a1 S", "show": "CH o1 W", "iphone": "a1 Y F o0 N",
    "instagram": "i1 N S T a0 G ɾ a0 M", "byte": "B a1 Y T", "bytes": "B a1 Y T S", "hobby": "x o1 B i0",
    "jeans": "Y i1 N S", "rock": "r o1 K", "sandwich": "S a1 N G W i0 CH", "club": "K L u1 B", "pizza": "P i1 T S a0",
    "internet": "i0 N T e0 ɾ N e1 T", "microsoft": "M i0 K ɾ o0 S o1 F T", "new": "N i1 W", "york": "Y o1 ɾ K",
    "hotel": "o0 T e1 L", "test": "T e1 S T", "chat": "CH a1 T", "link": "L i1 N K", "fitness": "F i1 T N e0 S",
    "streaming": "e0 S T ɾ i1 M i0 N", "smartphone": "e0 S M a1 ɾ F o0 N", "hollywood": "x o1 L i0 B u0 D",
    "john": "Y o1 N", "michael": "M a1 Y K e0 L", "jack": "Y a1 K", "james": "Y e1 Y M S", "george": "Y o1 ɾ S",
    "steve": "e0 S T i1 B", "apple": "a1 P e0 L", "windows": "W i1 N D o0 W S", "gmail": "Y i1 M e0 Y L",
    "outlook": "a1 W T L u0 K", "skype": "e0 S K a1 Y P", "podcast": "P o1 D K a0 S T", "ximena": "x i0 M e1 N a0",
    "manager": "M a1 N a0 Y e0 ɾ", "feedback": "F i1 D B a0 K", "ranking": "r a1 N K i0 N",
    "spotify": "e0 S P o1 T i0 F a0 Y",
}  # fmt: skip
"""Words that their spelling does not give: loans, and an old x."""


def read(sentence: Sequence[str], i: int) -> Phones:
    """The phones of one word of a sentence; see `language.Read`."""
    word = sentence[i]
    after = sentence[i + 1] if i + 1 < len(sentence) and sentence[i + 1] not in PAUSES else None
    phones = _pronounce(word)
    if after is None:
        return phones
    if word in _WEAK:
        phones = tuple(phone.replace("1", "0") for phone in phones)
    if phones[-1] == "N" and after[0] in "bvp":
        return (*phones[:-1], "M")
    return phones


@lru_cache(maxsize=16384)
def _pronounce(word: str) -> Phones:
    if word in _OTHERS:
        return tuple(_OTHERS[word].split())
    if (adverb := _MENTE.fullmatch(word)) and word not in _NO_ADVERBS:
        return (*_by_rule(adverb[1]), *_by_rule(adverb[2]))
    return _by_rule(word) or _by_rule("hache")  # an h by itself is silent


def _by_rule(word: str) -> Phones:
    sounds = list(_sounds(word))
    nuclei = [i for i, (sound, _) in enumerate(sounds) if sound in _VOWEL]
    written = [i for i in nuclei if sounds[i][1]]
    if written:
        stressed = written[-1]
    elif nuclei:
        stressed = nuclei[-2] if len(nuclei) > 1 and _PENULTIMATE.search(word) else nuclei[-1]
    else:
        stressed = -1
    return tuple(f"{sound}{int(i == stressed)}" if sound in _VOWEL else sound for i, (sound, _) in enumerate(sounds))


def _sounds(word: str) -> Iterator[tuple[str, bool]]:
    """The sounds of a word, vowels without stress; and whether a vowel has a written accent."""
    at = 0
    while at < len(word):
        if word[at] in _VOWEL or (word[at] == "y" and not _is_consonant(word, at)):
            yield _vowel(word, at), word[at] in _ACCENTED
            at += 1
            continue
        end, phones = next(
            (found.end(), phones) for pattern, phones in _CONSONANT if (found := pattern.match(word, at))
        )
        yield from ((phone, False) for phone in phones)
        at = end


def _is_consonant(word: str, at: int) -> bool:
    """Whether a y is one: before a vowel."""
    return word[at + 1 : at + 2] in tuple("aeiouáéíóú")


def _vowel(word: str, at: int) -> str:
    """A vowel, or the glide that an i or u beside another vowel is."""
    letter = {"ü": "u", "y": "i"}.get(word[at], word[at])
    if letter in _ACCENTED:
        return _ACCENTED[letter]
    if letter not in "iu":
        return letter
    before, after = _neighbour(word, at, -1), _neighbour(word, at, 1)
    glide = "Y" if letter == "i" else "W"
    if after and after not in ("i", "u", "y", letter):
        return glide
    if after in ("i", "u") and after != letter and not before:
        return glide  # ciudad, ruido: the second is the vowel
    if before and before not in ("í", "ú", letter) and not (before in "iuü" and not _neighbour(word, at - 1, -1)):
        return glide
    return letter


def _neighbour(word: str, at: int, step: int) -> str:
    """The vowel next to a place, an h between them or not; empty if there is none."""
    near = at + step
    if word[near : near + 1] == "h" and 0 < near < len(word) - 1 and word[near - 1] != "c":
        near += step
    found = word[near] if 0 <= near < len(word) else ""
    silent = found == "u" and near > 0 and word[near - 1] in "qg" and step < 0 and word[near + 1] in "eiéí"
    return found if found in tuple(_VOWEL) and not silent else ""
