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

Phones = tuple[str, ...]

_WORDS: Final = {
    "address": "AX0 D R EH1 S", "addresses": "AX0 D R EH1 S IH0 Z", "adult": "AE1 D AH2 L T",
    "advertisement": "AX0 D V ER1 T IH0 S M AX0 N T", "advertisements": "AX0 D V ER1 T IH0 S M AX0 N T S",
    "aluminium": "AE2 L Y UW0 M IH1 N IY0 AX0 M", "anthony": "AE1 N T AX0 N IY0", "ate": "EH1 T",
    "avocado": "AE2 V AX0 K AA1 R D OW0", "ballet": "B AE1 L EY2", "because": "B IH0 K AA1 Z", "been": "B IY1 N",
    "berkshire": "B AA1 R K SH ER0", "birmingham": "B ER1 M IH0 NG AX0 M", "borough": "B AH1 R AX0",
    "brochure": "B R OW1 SH ER0", "buffet": "B UH1 F EY2", "cafe": "K AE1 F EY2", "chicago": "SH IH0 K AA1 R G OW0",
    "clerk": "K L AA1 R K", "clerks": "K L AA1 R K S", "colin": "K AA1 L IH0 N", "colorado": "K AA2 L ER0 AA1 R D OW0",
    "data": "D EY1 T AX0", "database": "D EY1 T AX0 B EY2 S", "debris": "D EH1 B R IY2", "debut": "D EY1 B Y UW2",
    "depot": "D EH1 P OW2", "derby": "D AA1 R B IY0", "dynasty": "D IH1 N AX0 S T IY0",
    "edinburgh": "EH1 D IH0 N B R AX0", "either": "AY1 DH ER0", "evolution": "IY2 V AX0 L UW1 SH AX0 N",
    "figurative": "F IH1 G ER0 AX0 T IH0 V", "figure": "F IH1 G ER0", "figured": "F IH1 G ER0 D",
    "figures": "F IH1 G ER0 Z", "finale": "F IH0 N AA1 R L IY0", "gala": "G AA1 R L AX0", "garage": "G AE1 R AA2 R ZH",
    "garages": "G AE1 R AA2 R ZH IH0 Z", "glacier": "G L AE1 S IY0 ER0", "glasgow": "G L AA1 R Z G OW0",
    "greenwich": "G R EH1 N IH0 CH", "herb": "HH ER1 B", "herbal": "HH ER1 B AX0 L", "herbs": "HH ER1 B Z",
    "laboratory": "L AX0 B AA1 R AX0 T R IY0", "leisure": "L EH1 ZH ER0", "lever": "L IY1 V ER0",
    "levers": "L IY1 V ER0 Z", "lieutenant": "L EH0 F T EH1 N AX0 N T", "magazine": "M AE2 G AX0 Z IY1 N",
    "medicine": "M EH1 D S IH0 N", "migraine": "M IY1 G R EY2 N", "missile": "M IH1 S AY2 L", "mobile": "M OW1 B AY2 L",
    "moustache": "M AX0 S T AA1 R SH", "neither": "N AY1 DH ER0", "pasta": "P AE1 S T AX0", "patent": "P EY1 T AX0 N T",
    "patents": "P EY1 T AX0 N T S", "premier": "P R EH1 M IY0 ER0", "privacy": "P R IH1 V AX0 S IY0",
    "process": "P R OW1 S EH2 S", "processed": "P R OW1 S EH2 S T", "processes": "P R OW1 S EH2 S IH0 Z",
    "processing": "P R OW1 S EH2 S IH0 NG", "processor": "P R OW1 S EH2 S ER0", "progress": "P R OW1 G R EH2 S",
    "pyjamas": "P AX0 JH AA1 R M AX0 Z", "route": "R UW1 T", "router": "R UW1 T ER0", "routes": "R UW1 T S",
    "schedule": "SH EH1 D Y UW0 L", "scheduled": "SH EH1 D Y UW0 L D", "schedules": "SH EH1 D Y UW0 L Z",
    "scone": "S K AA1 N", "scones": "S K AA1 N Z", "semi": "S EH1 M IY0", "shone": "SH AA1 N",
    "simultaneous": "S IH2 M AX0 L T EY1 N IY0 AX0 S", "solder": "S OW1 L D ER0", "status": "S T EY1 T AX0 S",
    "thorough": "TH AH1 R AX0", "tomato": "T AX0 M AA1 R T OW0", "tomatoes": "T AX0 M AA1 R T OW0 Z",
    "tuesday": "T Y UW1 Z D EY2", "vase": "V AA1 R Z", "vases": "V AA1 R Z IH0 Z", "vitamin": "V IH1 T AX0 M IH0 N",
    "vitamins": "V IH1 T AX0 M IH0 N Z", "warwick": "W AA1 R IH0 K", "wednesday": "W EH1 N Z D EY2", "what": "W AA1 T",
    "yoghurt": "Y AA1 G ER0 T", "yogurt": "Y AA1 G ER0 T", "zebra": "Z EH1 B R AX0", "zebras": "Z EH1 B R AX0 Z",
}  # fmt: skip
_ZED: Final = ("Z", "EH1", "D")
_BATH: Final = re.compile(
    r"(?:ask|answer|aunt|behalf|calf|calves|halves|laugh|draught|draft|shaft|raft|staff|graph|giraffe|brass|mast|cast|"
    r"blast|vast|contrast|forecast|disaster|plaster|castle|nasty|basket|flask|mask|task|dance|chance|glance|france|"
    r"advance|branch|enhance|entrance|lance|stance|trance|grant|plant|slant|chant|advantage|command|demand|example|"
    r"sample|can't|shan't|rather|lather|ghastly|grasp|clasp|gasp|rasp|caste|banana|sultana|photograph|telegraph|"
    r"paragraph|autograph|aircraft|overpass|trespass|surpass|broadcast)(?:s|es|ed|d|ing|er|ers|y|ly|ment|ball)?|"
    r"(?:after|bath|class|grass|glass|half|pass|past|fast|last|master|craft|path)[a-z]*"
)
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
        return tuple(_WORDS[word].split())
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
