"""English words to phonemes: the lexicon, letters to sounds, words that depend on their sentence, British accents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from ancestral_models.text import lexicon
from ancestral_models.text.lexicon import Pronunciation, part_of_speech
from ancestral_models.text.phonemes import PAUSES, SCHWA, SILENCE, from_ipa, is_vowel, with_stress, without_stress
from ancestral_models.text.senses import fits, senses
from ancestral_models.text.tables import table

# Pronunciation of any word: the lexicon, then word parts that the lexicon has, then a statistical guess.
#
# The guess comes from the conditional random field that ships with `gruut_lang_en` (MIT;
# ancestral_models/text/lexicon.py).

Phones = tuple[str, ...]

_MIN_PART: Final = 3
# Shorter first halves find compounds where there are none (ing-rain).
_MIN_FIRST_HALF: Final = 4
_MAX_GUESSED: Final = 24
_SIBILANTS: Final = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})
_VOICELESS: Final = frozenset({"P", "T", "K", "F", "TH", "S", "SH", "CH", "HH"})
_SONORANTS: Final = "RLMN"
_VOWEL_LETTERS: Final = frozenset("aeiouy")
_PREFIXES: Final = table("english").phones("prefixes")
_SUFFIXES: Final = table("english").phones("suffixes")
_PROPER: Final = table("english").phones("proper")
_CLITICS: Final = table("english").phones("clitics")
# Plurals that add a syllable are the only ones spelled -es after the stem.
_SYLLABIC_PLURAL: Final = ("ses", "xes", "zes", "ches", "shes", "ies")

_BRITISH_IZE: Final = re.compile(r"is(?=(?:e[drs]?|ers|ing|ations?|able)$)")

_ONE_SHORT_SYLLABLE: Final = re.compile(r"[^aeiouy]*[aeiouy][^aeiouywx]")


def _stressed(phones: Phones) -> Phones:
    """The phones with a main stress on the first full vowel if nothing in them is stressed."""
    if any(phone.endswith("1") for phone in phones):
        return phones
    vowels = [i for i, phone in enumerate(phones) if is_vowel(phone)]
    full = [i for i in vowels if phones[i] != SCHWA]
    if not vowels:
        return phones
    place = full[0] if full else vowels[0]
    strong = with_stress(phones[place], "1") if full else "AH1"
    return (*phones[:place], strong, *phones[place + 1 :])


def guess(word: str) -> Phones:
    """The statistical model's pronunciation; it may have no vowel, if the model finds letters silent.

    Args:
        word: lower-case letters `a` to `z`.
    """
    phones = tuple(map(from_ipa, lexicon.sounds(word)))
    if word.endswith("ed") and phones[-2:] in (("T", "D"), ("D", "D")):
        phones = _past(phones[:-1])  # the model tends to forget the vowel of "-ted"
    return _stressed(_syllabic(phones))


def _syllabic(phones: Phones) -> Phones:
    """The phones with a vowel for each sonorant that would stand between consonants, as in "-gre" or "-sm"."""
    found: list[str] = []
    for i, phone in enumerate(phones):
        after, before = phones[:i][-1:], phones[i + 1 : i + 2]
        # "Carl" and "film" are one syllable: their second sonorant is the weaker one.
        apart = after and not is_vowel(after[0]) and after[0] not in _SONORANTS[: _SONORANTS.find(phone)]
        if phone in _SONORANTS and apart and not any(map(is_vowel, before)):
            found += ("ER0",) if phone == "R" else (SCHWA, phone)
        else:
            found.append(phone)
    return tuple(found)


def spell(word: str) -> Phones:
    """The names of a word's letters, one after the other."""
    return tuple(phone for letter in word for phone in letter_name(letter))


def letter_name(letter: str) -> Phones:
    """The name of one letter (`a` is EY1), either case."""
    # The lexicon lists the letter "a" after the article.
    return lexicon.lookup(letter.lower())[-1].phones


def plural(stem: Phones) -> Phones:
    """A word with the ending of a plural, or of a possessive."""
    if stem[-1] in _SIBILANTS:
        return (*stem, "IH0", "Z")
    return (*stem, "S" if stem[-1] in _VOICELESS else "Z")


def _past(stem: Phones) -> Phones:
    if stem[-1] in ("T", "D"):
        return (*stem, "IH0", "D")
    return (*stem, "T" if stem[-1] in _VOICELESS else "D")


def _stems(word: str, ending: str) -> Iterator[str]:
    """Spellings that `word` may have had before `ending`: bak(e)ing, stop(p)ing, happi(y)ly."""
    stem = word.removesuffix(ending)
    if len(stem) < _MIN_PART:
        return
    if stem[-1] == "i":
        yield stem[:-1] + "y"
    if ending[0] in "aei" and _ONE_SHORT_SYLLABLE.fullmatch(stem):
        yield stem + "e"  # "cased" is from "case": "cas" would have given "cassed"
    yield stem
    if ending[0] in "aei":
        yield stem + "e"
        if stem[-1] == stem[-2]:
            yield stem[:-1]


def _first_known(words: Iterator[str]) -> Phones | None:
    return next((found[0].phones for word in words if (found := lexicon.lookup(word))), None)


def _inflected(word: str) -> Phones | None:
    if word.endswith("s") and not word.endswith("ss"):
        endings = ("es", "s") if word.endswith(_SYLLABIC_PLURAL) else ("s",)
        stem = next((stem for ending in endings if (stem := _first_known(_stems(word, ending)))), None)
        if stem:
            return plural(stem)
    if (american := _BRITISH_IZE.sub("iz", word)) != word and (found := lexicon.lookup(american)):
        return found[0].phones
    if word.endswith("ed") and (stem := _first_known(_stems(word, "ed"))):
        return _past(stem)
    for ending, phones in _SUFFIXES.items():
        if word.endswith(ending) and (stem := _first_known(_stems(word, ending))):
            return (*stem, *phones)
    for beginning, phones in _PREFIXES.items():
        rest = word.removeprefix(beginning)
        if rest != word and len(rest) > _MIN_PART and (found := lexicon.lookup(rest)):
            return (*phones, *found[0].phones)
    return None


def _compound(word: str) -> Phones | None:
    """Two known words written as one, split as evenly as can be; the second's stress becomes secondary."""
    middle = len(word) / 2
    for cut in sorted(range(_MIN_FIRST_HALF, len(word) - _MIN_PART + 1), key=lambda i: abs(i - middle)):
        first, second = lexicon.lookup(word[:cut]), lexicon.lookup(word[cut:])
        if first and second:
            weak = (with_stress(phone, "2") if phone.endswith("1") else phone for phone in second[0].phones)
            return (*first[0].phones, *weak)
    return None


def _with_apostrophe(word: str) -> Phones:
    if word.endswith("'s"):
        readings = pronounce(word.removesuffix("'s"))
        return plural(next((reading for reading in readings if reading.role == _NOUN[0]), readings[0]).phones)
    for clitic, phones in _CLITICS.items():
        if word.endswith(clitic) and len(word) > len(clitic):
            return (*pronounce(word.removesuffix(clitic))[0].phones, *phones)
    return pronounce(word.replace("'", ""))[0].phones


def _unknown(word: str) -> Phones:
    if "'" in word:
        return _with_apostrophe(word)
    if not _VOWEL_LETTERS.intersection(word):
        return spell(word)
    if len(word) > _MAX_GUESSED:
        # No English word is this long: say it in pieces, as a reader would.
        pieces = (word[i : i + _MAX_GUESSED] for i in range(0, len(word), _MAX_GUESSED))
        return tuple(phone for piece in pieces for phone in pronounce(piece)[0].phones)
    known = _inflected(word) or _compound(word)
    if known:
        return known
    guessed = guess(word)
    return guessed if any(map(is_vowel, guessed)) else spell(word)


@lru_cache(maxsize=16384)
def pronounce(word: str) -> tuple[Pronunciation, ...]:
    """All pronunciations of a word, the preferred one first.

    Args:
        word: a word as `normalize` writes it: lower-case letters with apostrophes inside (at least one
            letter), or one capital for a letter spoken by its name (`B`, or `B's` with an ending).

    Returns:
        At least one pronunciation; each has at least one phone.
    """
    if word in _PROPER:
        return (Pronunciation(_PROPER[word], ""),)
    if word[0].isupper():
        name = letter_name(word[0])
        return (Pronunciation(plural(name) if word[1:] else name, ""),)
    return lexicon.lookup(word) or (Pronunciation(_unknown(word), ""),)


# How a word is said where it stands: heteronyms, the articles, and the weak forms of function words.
#
# The candidates are the lexicon's; the neighbouring words choose among them. It tells most heteronyms apart by part of
# speech, which the tagger finds ("a live show", "we live here"). The few that have one part of speech and two meanings
# (the bass that is played, and the one that is caught) are told apart by the words around them.

_WINDOW: Final = 2
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
_TABLE: Final = table("english")
_ONE_READING: Final = _TABLE.words("one_reading")
_WEAK_INSIDE: Final = _TABLE.words("weak_inside")
_WEAK_ALWAYS: Final = _TABLE.words("weak_always")


_SENSES: Final = senses(_TABLE)


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


def _sensed(words: Sequence[str], i: int) -> Phones | None:
    """The reading of the table's first sense that fits."""
    return next(
        (
            sense.phones
            for sense in _SENSES.get(words[i], ())
            if fits(sense, words, i) and (not sense.tag or _tag(words, i).startswith(sense.tag))
        ),
        None,
    )


def _choose(readings: Sequence[Pronunciation], words: Sequence[str], i: int) -> Phones:
    """The reading of a heteronym where it stands.

    Args:
        readings: those of the lexicon, the preferred one first; at least one.
        words: the sentence as `normalize` gives it, words and marks.
        i: which of them.
    """
    word = words[i]
    if word in _ONE_READING:
        return readings[0].phones
    if sensed := _sensed(words, i):
        return sensed
    for role in _ROLES.get(_tag(words, i), ()):
        for reading in readings:
            if reading.role == role:
                return reading.phones
    return readings[0].phones


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
        return _sensed(words, i) or (_weak(readings) if after else _full(readings))
    if word in _WEAK_ALWAYS:
        return _full(readings) if first and after is None else _weak(readings)
    if len(readings) > 1 and any(reading.role for reading in readings):
        return _choose(readings, words, i)
    return readings[0].phones


# British English: how its words sound where an American says other phonemes, and dates with the day first.
#
# What follows from the sound alone (the silent r, the vowels of "lot" and "goat") a British voice says by itself: it
# has learnt it from the same phonemes. An r before a consonant makes a vowel long there: `AA1 R` is the vowel of
# "father".

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


def read_british(words: Sequence[str], i: int) -> Phones:
    """The phones of one word of a sentence, as :func:`ancestral_models.text.g2p.read`."""
    word = words[i]
    if word in _WORDS:
        return _WORDS[word]
    if word in ("Z", "z's"):
        return plural(_ZED) if word[1:] else _ZED
    return _changed(word.lower().removesuffix("'s"), read(words, i))


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
