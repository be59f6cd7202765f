"""British English: how its words sound where an American says other phonemes, and dates with the day first.

What follows from the sound alone (the silent r, the vowels of "lot" and "goat") a British voice says by itself: it has
learnt it from the same phonemes. An r before a consonant makes a vowel long there: `AA1 R` is the vowel of "father".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ancestral.models.text import reading
from ancestral.models.text.g2p import plural
from ancestral.models.text.phonemes import is_vowel, without_stress
from ancestral.models.text.tables import table

Phones = tuple[str, ...]

_WORDS: Final = table("english").phones("british")
_ZED: Final = ("Z", "EH1", "D")
_BATH: Final = re.compile(table("english").pattern("bath"))
"""Words with the vowel of "father"."""
_NOT_BATH: Final = re.compile(
    r"(?:classi[cf]|passage|passenger|passi(?:on|v)|pastel|paste|pastr|pastiche|patho|passé).*"
)
_PALM: Final = re.compile(r"(?!.*(?:w|wh|qu)a)(?!.*aw)[^o]*a[^o]*")
"""Words whose AA is written with an a, and none with an o, and is the vowel of "father", too."""
_AR: Final = re.compile(r"(?!.*(?:or|war|quar)).*ar.*")
"""Words whose AA before an r that is said is that vowel, too: "starring"."""
_WANT: Final = re.compile(r".*(?:w|wh|qu)a(?!l(?:[kt]|ls?$|led|ling|p)|r|ter).*")
_CLOTH: Final = re.compile(r"(?!.*(?:au|aw|ou|oa|oo|al[lktdsmw])).*o.*")
_SHORT_OR: Final = re.compile(
    r".*(?:orr|forest|foreign|orang|moral|coral|origin|[a-z]orit|histori|florid|dorothy|oregon|warr|quarr|laure).*"
)
"""Words with the vowel of "lot", where an American has that of "law"."""
_MARRY: Final = re.compile(
    r".*(?:arr(?!ear)|arit|paris|aris[oti]|parish|charac|carol|ara[bdglmns]|aramel|aravan|harold|baron|karen|"
    r"gary|aritone|tariff|clari|carat|carib|guaran|apparel|apparent|transparen|narra|asparag).*"
)
"""Words whose EH before an R is the vowel of "trap"."""
_NOT_MARRY: Final = re.compile(r"(?:grand|god|step)?parents?")
_YOD: Final = re.compile(r".*(?:[tdn](?:u|ew|eu)|ssum|[nre]sum|pursu|enthus).*")
_BEFORE_YOD: Final = frozenset({"T", "D", "N", "S", "Z", "TH"})


def is_british(language: str) -> bool:
    """Whether a voice of this language, a tag of BCP 47, reads as Britons of the south do; Scots (`en-GB-scotland`)
    sound each r, and have one vowel in "bath" and "trap"."""
    return language.replace("_", "-").lower() == "en-gb"


def read(words: Sequence[str], i: int) -> Phones:
    """The phones of one word of a sentence, as :func:`ancestral.models.text.reading.read`."""
    word = words[i]
    if word in _WORDS:
        return _WORDS[word]
    if word in ("Z", "z's"):
        return plural(_ZED) if word[1:] else _ZED
    return _changed(word.lower().removesuffix("'s"), reading.read(words, i))


def _changed(word: str, phones: Phones) -> Phones:
    """American phonemes as a Briton says the word."""
    return _ending(word, tuple(phone for i in range(len(phones)) for phone in _phone(word, phones, i)))


def _phone(word: str, phones: Phones, i: int) -> Phones:
    phone, plain, stress = phones[i], without_stress(phones[i]), phones[i][-1:]
    before, after, second = ("".join(phones[j : j + 1]) if j >= 0 else "" for j in (i - 1, i + 1, i + 2))
    sounded_r = after == "R" and is_vowel(second)
    if plain == "AE" and stress == "1" and _BATH.fullmatch(word) and not _NOT_BATH.fullmatch(word):
        return ("AA1", "R")
    if plain == "AA" and "aw" in word:
        return ("AO" + stress,)
    if plain == "AA" and (_AR.fullmatch(word) if sounded_r else after != "R" and _PALM.fullmatch(word)):
        return (phone, "R")
    want = before == "W" and _WANT.fullmatch(word)
    if plain == "AO" and (
        _SHORT_OR.fullmatch(word) if sounded_r else after != "R" and (want or _CLOTH.fullmatch(word))
    ):
        return ("AA" + stress,)
    if plain == "EH" and sounded_r and _MARRY.fullmatch(word) and not _NOT_MARRY.fullmatch(word):
        return ("AE" + stress,)
    if plain in ("UW", "UH") and before in _BEFORE_YOD and _YOD.fullmatch(word):
        return ("Y", phone)
    return (phone,)


def _ending(word: str, phones: Phones) -> Phones:
    """Endings such as "-ary", "-ory", "-mony" and "-berry" without their second stress, and "-ile" as in "smile"."""
    if word.endswith("ies") and phones[-1] == "Z":
        return (*_ending(word[:-3] + "y", phones[:-1]), "Z")
    if phones[-3:] in (("EH2", "R", "IY0"), ("AO2", "R", "IY0"), ("AO0", "R", "IY0"), ("EH2", "R", "IY2")):
        return (*phones[:-3], "AX0", "R", "IY0")
    if re.search(r"i[sz]ations?$", word):
        return tuple("AY0" if phones[i + 1 : i + 3] == ("Z", "EY1") else phone for i, phone in enumerate(phones))
    if word.endswith("mony") and phones[-3:] == ("OW2", "N", "IY0"):
        return (*phones[:-3], "AX0", "N", "IY0")
    return (*phones[:-2], "AY2", "L") if word.endswith("ile") and phones[-2:] == ("AX0", "L") else phones
