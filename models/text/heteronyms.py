"""Words that are spelled alike and said differently: "a live show", "we live here".

The lexicon tells most of them apart by part of speech, which the tagger finds. The few that have one part of speech and
two meanings (the bass that is played, and the one that is caught) are told apart by the words around them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ancestral.models.text.lexicon import Pronunciation
from ancestral.models.text.phonemes import SILENCE
from ancestral.models.text.tagger import part_of_speech

Phones = tuple[str, ...]

_WINDOW: Final = 2
_NEAR: Final = 5
_NOUN: Final = ("NN",)
_VERB: Final = ("VB", "VBD", "JJ")
_PAST: Final = ("VBD", "VB", "JJ")
_OTHER: Final = ("JJ", "RB")
_ROLES: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("NN", "NNS", "NNP", "NNPS"), _NOUN),
    **dict.fromkeys(("VB", "VBP", "VBZ", "VBG", "MD"), _VERB),
    **dict.fromkeys(("VBD", "VBN"), _PAST),
    **dict.fromkeys(("JJ", "JJR", "JJS", "RB", "RBR", "RP", "UH"), _OTHER),
}
"""The parts of speech in the lexicon for a tag of the tagger, likeliest first."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of these the lexicon's first reading is always right: the other is an archaism, a name or a slip ("nice" as "niece").
_ONE_READING: Final = _words(
    """closer consist consists de do evening evenings hinder hinders lied mare marked me moped multiply nemo nice pace
    pram pussy putting re real reals sake shower showers slaver supply apply tales tarry thou tier tiers vale were
    won"""
)


class _Sense(NamedTuple):
    """A reading, and what asks for it; without conditions it is the usual one."""

    phones: str
    tag: str = ""
    """Beginning of the word's tag."""
    near: frozenset[str] = frozenset()
    """Words not farther than five, "x-" for the word before and "-x" for the one after. One of them must be there."""


def _sense(phones: str, tag: str = "", *, before: str = "", after: str = "", near: str = "") -> _Sense:
    neighbours = [*(f"{word}-" for word in before.split()), *(f"-{word}" for word in after.split()), *near.split()]
    return _Sense(phones, tag, frozenset(neighbours))


_BE: Final = "am is are was were be been being i'm he's she's it's you're we're they're isn't aren't wasn't weren't"
_FISHING: Final = (
    "fish fishing fishermen fisherman caught catch lake river sea pond fillet fillets striped grilled trout"
)
_OF_METAL: Final = (
    "pipe pipes paint poisoning acid battery batteries pencil bullet bullets mine mines exposure levels free"
)
_STAGE: Final = "take takes took taken taking ship ship's boat stern deck curtain deep final applause"
_TINY: Final = (
    "detail details amount amounts quantity quantities particle particles difference differences trace traces"
)
_EYES: Final = "eye eyes cheek cheeks face cry crying wept shed joy"
_FIBRE: Final = "ligament muscle cartilage acl wear"
_NATION: Final = (
    "team people man woman government army border language citizen citizens president food restaurant poland"
)
_SPEAK: Final = "speak speaks speaking spoke learn learns learning learned fluent in russian czech your"
# The first sense that fits is taken; if none does, the lexicon's reading for the part of speech.
_SENSES: Final[Mapping[str, Sequence[_Sense]]] = {
    "aged": (_sense("EY1 JH IH0 D", before="the"), _sense("EY1 JH D")),
    "bass": (_sense("B AE1 S", near=_FISHING), _sense("B EY1 S")),
    "bow": (_sense("B AW1", "V"), _sense("B AW1", near=_STAGE), _sense("B OW1")),
    "bows": (_sense("B AW1 Z", "V"), _sense("B AW1 Z", near=_STAGE), _sense("B OW1 Z")),
    "close": (_sense("K L OW1 S", after="to"), _sense("K L OW1 S", "J"), _sense("K L OW1 S", "R"), _sense("K L OW1 Z")),
    "content": (
        _sense("K AX0 N T EH1 N T", "J", before=f"{_BE} seem seems feel feels felt quite very not", after="with to"),
        _sense("K AA1 N T EH0 N T"),
    ),
    "does": (
        _sense("D OW1 Z", "NNS", before="the two three four five many few these those some wild"),
        _sense("D AH1 Z"),
    ),
    "dove": (_sense("D OW1 V", "V"), _sense("D OW1 V", before="i he she it we they who dove"), _sense("D AH1 V")),
    "invalid": (_sense("IH1 N V AX0 L IH0 D", "N", before="the an this that her his"), _sense("IH0 N V AE1 L IH0 D")),
    "lead": (
        _sense("L IY1 D", "V"),
        _sense("L EH1 D", "N", after="out"),
        _sense("L EH1 D", before="of from", after=_OF_METAL, near="paint metal zinc copper mercury toxic"),
        _sense("L IY1 D"),
    ),
    "live": (
        _sense("L AY1 V", before="went go goes going streamed broadcast aired recorded", after="from at on"),
        _sense("L IH1 V", "V"),
        _sense("L AY1 V"),
    ),
    "minute": (_sense("M AY0 N UW1 T", after=_TINY), _sense("M IH1 N IH0 T")),
    "number": (
        _sense("N AH1 M ER0", before="grew grow got get getting felt feel feeling went became become even"),
        _sense("N AH1 M B ER0"),
    ),
    "polish": (
        _sense("P OW1 L IH0 SH", "J"),
        _sense("P OW1 L IH0 SH", before=_SPEAK, after=_NATION),
        _sense("P AA1 L IH0 SH"),
    ),
    "read": (
        _sense("R EH1 D", before=f"{_BE} he she who have has had i've you've we've they've"),
        _sense("R IY1 D", "V", near="every daily usually often"),
    ),
    "refuse": (_sense("R EH1 F Y UW2 S", "N"), _sense("R IH0 F Y UW1 Z")),
    "resume": (_sense("R IH0 Z UW1 M", after="playback game download recording"),),
    "resumes": (
        _sense("R EH1 Z AX0 M EY2 Z", "N", before="the their your our these of all"),
        _sense("R IH0 Z UW1 M Z"),
    ),
    "row": (
        _sense(
            "R AW1", "N", before="terrible blazing furious almighty", after="over", near="quarrel argument shouting"
        ),
        _sense("R OW1"),
    ),
    "sow": (_sense("S AW1", "N"), _sense("S OW1")),
    "sows": (_sense("S AW1 Z", "N"), _sense("S OW1 Z")),
    "tear": (
        _sense("T EH1 R", "V"),
        _sense("T IH1 R", near=_EYES),
        _sense("T EH1 R", after="in up apart", near=_FIBRE),
        _sense("T IH1 R"),
    ),
    "tears": (_sense("T EH1 R Z", "V"), _sense("T EH1 R Z", near=_FIBRE), _sense("T IH1 R Z")),
    "used": (_sense("Y UW1 Z D", before=_BE), _sense("Y UW1 S T", after="to"), _sense("Y UW1 Z D")),
}


def _fits(sense: _Sense, words: Sequence[str], i: int) -> bool:
    around = {f"{words[i - 1]}-" if i else "", f"-{words[i + 1]}" if i + 1 < len(words) else ""}
    if sense.near and sense.near.isdisjoint(around.union(words[max(0, i - _NEAR) : i + _NEAR + 1])):
        return False
    return not sense.tag or _tag(words, i).startswith(sense.tag)


def _parts(word: str) -> tuple[str, ...]:
    """A word as the tagger's treebanks write it: "i", "job's" and "don't" as "I", "job 's" and "do n't"."""
    if word in ("i", SILENCE):
        return ("I" if word == "i" else ",",)
    cut = len(word) - 3 if word.endswith("n't") else word.find("'")
    return (word[:cut], word[cut:]) if cut > 0 else (word,)


def _tag(words: Sequence[str], i: int) -> str:
    start = max(0, i - _WINDOW)
    before = [part for word in words[start:i] for part in _parts(word)]
    around = [*before, words[i], *(part for word in words[i + 1 : i + _WINDOW + 1] for part in _parts(word))]
    if not start:
        around[0] = around[0].capitalize()
    return part_of_speech(tuple(around), len(before))


def choose(readings: Sequence[Pronunciation], words: Sequence[str], i: int) -> Phones:
    """The reading of a heteronym where it stands.

    Args:
        readings: those of the lexicon, the preferred one first; at least one.
        words: the sentence as `normalize` gives it, words and marks.
        i: which of them.
    """
    word = words[i]
    if word in _ONE_READING:
        return readings[0].phones
    for sense in _SENSES.get(word, ()):
        if _fits(sense, words, i):
            return tuple(sense.phones.split())
    for role in _ROLES.get(_tag(words, i), ()):
        for reading in readings:
            if reading.role == role:
                return reading.phones
    return readings[0].phones
