"""Italian."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from ancestral_models.text import lexicon
from ancestral_models.text.languages import language
from ancestral_models.text.phonemes import is_vowel
from ancestral_models.text.rules import number_rule
from ancestral_models.text.senses import fits, senses
from ancestral_models.text.tables import table

# How Italian words are said: gruut's lexicon (MIT), forms of its words, then the rules of spelling.
#
# The lexicon has 29 000 words as dictionaries list them; an inflected form has the stress and the sounds of its stem.
# The rules of stress and of open e and o are those of most words of the lexicon with the same end.

_LEXICON: Final = "italian"
_TABLE: Final = table("italian")
_WORDS: Final = table("loanwords").phones("it") | _TABLE.phones("words")
_SENSES: Final = senses(_TABLE)
_UNSTRESSED: Final = _TABLE.words("unstressed")
_OF_IPA: Final = _TABLE.entries("ipa")
_IPA_VOWELS: Final = frozenset("aeɛioɔu")
_STOPS: Final = {("T", "CH"): "CH", ("D", "JH"): "JH", ("T", "ts"): "ts", ("D", "dz"): "dz"}
"""How the lexicon writes long affricates, and they are here: the same consonant twice."""
_GLIDES: Final = {"i0": "Y", "u0": "W"}
_ALWAYS_LONG: Final = ("ɲ", "ʎ", "SH")
_SIBILANTS: Final = ("S", "Z", "ts", "dz")
_SPELLED: Final = {"Z": "S", "dz": "ts"}
_FOREIGN: Final = re.compile("[jkwxy]|[^aeiouàèéìòù]$")
_TENS: Final = "venti|trenta|quaranta|cinquanta|sessanta|settanta|ottanta|novanta"
_UNITS: Final = (
    "uno|un|due|tr[eé]|quattro|cinque|sei|sette|otto|nove|dieci|undici|dodici|tredici|quattordici|quindici|sedici"
    "|diciassette|diciotto|diciannove"
)
_PART: Final = re.compile(
    rf"mille|mila|cent(?=ott)|cento|{_TENS}|(?:{_TENS.replace('i|', '|').replace('a|', '|')[:-1]})(?=[uo])|{_UNITS}"
)
_NUMBER: Final = re.compile(rf"(?:{_PART.pattern}){{2,}}")
_WHOLE: Final = {part[:-1]: part for part in ("cento", *_TENS.split("|"))}
_STEM_STRESSED: Final = re.compile(
    r"(?:er|ic|[^v]it|[mdg]in|[^ts]ol|ul|[bt]ig|collabor|elabor|evapor|interpret|[ctr]up|anim|stim|litig|occup|comod)$"
)
"""Verbs that are stressed before the last syllable of their stem: abita, telefona."""
_NOT_STEM_STRESSED: Final = re.compile(
    r"(?:camm|vic|cuc|rov|comb|cl|fin|stin|raff|sper|disper|tir|gir|mir)$|^in(?:vit)|imit$"
)
_CLITIC: Final = re.compile(r"(?<=[aei])(?:mi|ci|lo|la|ne|gli|melo|mela|telo|cela|selo)$")
_AFTER_INFINITIVE: Final = re.compile(r"(?<=[aei]r)(?:[mtcvs]i|l[oaie]|ne|gli|[mtcv]el[oaie]|sel[oaie]|gliel[oaie])$")
_ENDINGS: Final = ("are", "ere", "ire", "iare")
_REGULAR: Final = re.compile(r"(?:ano|ono|[oaie])$")


def _phones(entry: str) -> language.Phones:
    """An entry of the lexicon in this inventory; no stress where it has none."""
    found: list[str] = []
    stressed = False
    for symbol in entry.split():
        stressed |= symbol[0] in "ˈ"
        plain = symbol.lstrip("ˈˌ")
        if plain in _IPA_VOWELS:
            vowel = plain if stressed else plain.replace("ɛ", "e").replace("ɔ", "o")
            found.append(vowel + ("1" if stressed else "0"))
            stressed = False
            continue
        phone = _OF_IPA[plain]
        long = _STOPS.get((found[-1], phone)) if found else None
        if long:
            found[-1] = long
        if phone in _ALWAYS_LONG and found and found[-1] == phone:
            continue
        found.append(phone)
    return _northern(found)


def _northern(phones: Sequence[str]) -> language.Phones:
    """The lexicon's sounds as in the north: an s between vowels is voiced; the i of mai is a semivowel."""
    found = list(phones)
    for i in range(1, len(found)):
        before, phone, after = found[i - 1], found[i], found[i + 1] if i + 1 < len(found) else ""
        if phone == "S" and is_vowel(before) and is_vowel(after):
            found[i] = "Z"
        elif phone in _GLIDES and is_vowel(before) and before[0] not in "iu" and not after.endswith("1"):
            found[i] = _GLIDES[phone]
        elif before == "Y" and phone == "e1" and after in ("r", "N", "D", "L", "K", "G"):
            found[i] = "ɛ1"
        elif before == "NG" and phone not in ("K", "G"):
            found[i - 1] = "N"
    return tuple(found)


@lru_cache(maxsize=16384)
def _listed(word: str) -> language.Phones | None:
    """A word of the lexicon; the rules stress it if the lexicon does not."""
    if word in _WORDS:
        return _WORDS[word]
    found = next((_phones(entry) for entry, _ in lexicon.entries(word, _LEXICON)), None)
    return None if found is None or not any(map(is_vowel, found)) else _checked(word, found)


def _checked(word: str, listed: language.Phones) -> language.Phones:
    """A word of the lexicon, or what the rules say where it has a slip: another letter's sound, or luogo in three."""
    ruled = say(word)
    if not any(phone.endswith("1") for phone in listed):
        listed = _stressed_as(listed, ruled)
    stress, places = _stress_of(listed), [i for i, phone in enumerate(listed) if is_vowel(phone)]
    if stress is None:
        return ruled
    last = stress.vowel == len(places) - 1
    place = places[stress.vowel]
    split = listed[place] in ("i1", "u1") and not last and places[stress.vowel + 1] == place + 1 < len(listed) - 1
    if split or (last and len(places) > 1 and word[-1] in "aeiou" and is_vowel(listed[-1])):
        return _like(ruled, listed)
    if _FOREIGN.search(word) or (listed[place] == "i1" and places[stress.vowel :] == [place, len(listed) - 1]):
        return listed  # strategia
    if len(listed) - len(_letters_of(listed)) != len(ruled) - len(_letters_of(ruled)):
        return _like(ruled, listed)
    if _letters_of(listed) == _letters_of(ruled):
        return listed
    return _like(say(word, stress) if len(places) == len(_vowels(ruled)) else ruled, listed)


def _letters_of(phones: language.Phones) -> list[str]:
    """The consonants, as the spelling tells them."""
    return [_SPELLED.get(phone, phone) for phone in phones if not is_vowel(phone) and phone not in ("Y", "W")]


def _stressed_as(phones: language.Phones, model: language.Phones) -> language.Phones:
    """The phones with the stressed vowel of another reading of the same word."""
    places = [i for i, phone in enumerate(phones) if is_vowel(phone)]
    stress = _stress_of(model)
    if stress is None or stress.vowel >= len(places):
        return phones
    place = places[stress.vowel]
    return (*phones[:place], stress.quality + "1", *phones[place + 1 :])


def _softened(phones: language.Phones) -> language.Phones:
    """The phones with the c or g at their end softened before e and i."""
    soft = {"K": "CH", "G": "JH"}
    end = len(phones)
    while end and phones[end - 1] in soft:
        end -= 1
    if phones[end - 1 :] == ("S", "K"):
        return (*phones[: end - 1], "SH")
    return (*phones[:end], *(soft[phone] for phone in phones[end:]))


def _singulars(word: str) -> Iterator[tuple[str, bool]]:
    """Words that differ only in their last vowel, and whether a c or g before it is soft here and hard there."""
    stem, last = word[:-1], word[-1]
    if last in "ie" and stem.endswith("h"):
        yield from ((stem[:-1] + end, False) for end in "oa")
    if last == "i":
        yield from ((stem + end, end in "oa") for end in ("o", "e", "io", "a"))
    elif last == "e":
        yield from ((stem + end, end == "a") for end in ("a", "ia" if stem[-1:] in "cg" else "o"))
    elif last == "a":
        yield from ((stem + end, False) for end in ("o", "e"))
    elif last == "o":
        yield from ((stem + end, False) for end in ("a",))


def _inflected(word: str) -> language.Phones | None:
    """A plural or a feminine of a listed word."""
    for singular, soft in _singulars(word):
        phones = _listed(singular)
        if phones is None or not phones[-1].endswith("0") or not is_vowel(phones[-1]):
            continue
        stem = phones[:-1]
        if singular.endswith("io") and word.endswith("i") and stem[-1] == "Y":
            stem = stem[:-1]
        if not any(phone.endswith("1") for phone in stem):
            continue
        return (*(_softened(stem) if soft and word[-1] in "ie" else stem), word[-1] + "0")
    return None


def _stress_of(phones: language.Phones) -> Stress | None:
    vowels = [phone for phone in phones if is_vowel(phone)]
    return next((Stress(n, vowel[:-1]) for n, vowel in enumerate(vowels) if vowel.endswith("1")), None)


def _infinitive(stem: str) -> language.Phones | None:
    """A listed infinitive with this stem."""
    return next((phones for end in _ENDINGS if (phones := _listed(stem + end)) is not None), None)


def _of_verb(word: str) -> language.Phones | None:
    """A form of the present that is stressed on its stem: parlano, prendono, abita."""
    match = _REGULAR.search(word)
    if match is None:
        return None
    stem = word[: match.start()].removesuffix("h")
    infinitive = _infinitive(stem) if len(stem) > 1 else None
    if infinitive is None:
        return None
    count = len(_vowels(say(stem + "a"))) - 1
    for end in ("ere", "o", "a", "e", "io", "ia"):
        known = _stress_of(_listed(stem + end) or ())
        if known is not None and known.vowel < count:
            return _like(say(word, known), infinitive)
    third = count > 1 and _STEM_STRESSED.search(stem) and not _NOT_STEM_STRESSED.search(stem)
    plain = say(stem + ("are" if third else "a"))
    index = count - (2 if third else 1)
    quality = _stress_of(say(stem + "a")) if not third else None
    vowel = quality.quality if quality and quality.vowel == index else _vowels(plain)[index][:-1]
    return _like(
        say(word, Stress(max(index, 0), {"e": "ɛ", "o": "ɔ"}.get(vowel, vowel) if third else vowel)), infinitive
    )


def _vowels(phones: language.Phones) -> list[str]:
    return [phone for phone in phones if is_vowel(phone)]


def _like(phones: language.Phones, listed: language.Phones) -> language.Phones:
    """The phones with the s and z of a listed word that has the same stem."""
    known = [phone for i, phone in enumerate(listed) if phone in _SIBILANTS and phone != listed[i - 1]]
    found = list(phones)
    places = [i for i, phone in enumerate(phones) if phone in _SIBILANTS and phone != phones[i - 1]]
    for place, sibilant in zip(places, known, strict=False):
        old = found[place]
        if _SPELLED.get(sibilant, sibilant) == _SPELLED.get(old, old):
            found[place] = sibilant
            if found[place + 1 : place + 2] == [old]:
                found[place + 1] = sibilant
    return tuple(found)


def _by_rules(word: str) -> language.Phones:
    """A word that is not listed, nor one of its simple forms."""
    phones = say(word)
    for cut in range(len(word) - 2, 2, -1):
        listed = _infinitive(word[:cut])
        if listed is not None:
            return _like(phones, listed)
    return phones


def _with_clitic(word: str) -> language.Phones | None:
    """An infinitive or an imperative with a pronoun: vederlo, raccontami."""
    infinitive = _AFTER_INFINITIVE.search(word)
    if infinitive is not None:
        base = pronounce(word[: infinitive.start()] + "e")
        return _like(say(word, _stress_of(base)), base)
    if word.endswith("iti") and (listed := _listed(word.removesuffix("iti") + "ere")) is not None:
        return say(word, _stress_of(listed))  # mettiti; a participle in -ito belongs to a verb in -ire
    match = _CLITIC.search(word)
    if match is None or _infinitive(word[: match.start() - 1]) is None:
        return None
    stress = _stress_of(pronounce(word[: match.start()]))
    return say(word, stress) if stress else None


def _cut_off(word: str) -> language.Phones | None:
    """A listed word without its last vowel: nessun, poter."""
    whole = _listed(word + "o") or _listed(word + "e")
    return whole[:-1] if whole and whole[-1].endswith("0") else None


def _number(word: str) -> language.Phones | None:
    """A number written as one word, stressed at its end."""
    if not _NUMBER.fullmatch(word):
        return None
    parts = _PART.findall(word)
    said = [
        pronounce(_WHOLE[part])[:-1] if part in _WHOLE else say(part) if part in _UNSTRESSED else pronounce(part)
        for part in parts
    ]
    return (*(phone for part in said[:-1] for phone in _weak(part)), *said[-1])


def _weak(phones: language.Phones) -> language.Phones:
    """The phones without stress; an unstressed e or o is closed."""
    return tuple(phone[:-1].replace("ɛ", "e").replace("ɔ", "o") + "0" if is_vowel(phone) else phone for phone in phones)


@lru_cache(maxsize=16384)
def pronounce(word: str) -> language.Phones:
    """A word by itself, in lower case, without apostrophes."""
    if word in _UNSTRESSED:
        return _weak(say(word))
    listed = _number(word) or _listed(word)
    if listed is None and word[-1:] in "aeio":
        listed = _inflected(word) or _of_verb(word) or _with_clitic(word)
    elif listed is None and word[-1:] in "nlrm":
        listed = _cut_off(word)
    return listed or _by_rules(word)


def read(words: Sequence[str], i: int) -> language.Phones:
    """The phones of one word of a sentence; see `language.Read`."""
    for sense in _SENSES.get(words[i], ()):
        if fits(sense, words, i):
            return sense.phones
    *elided, last = words[i].strip("'").split("'")
    before = (phone for part in elided for phone in _weak(say(part + last[:1])[:-1]))
    return (*before, *pronounce(last)) or ("e0",)


_VOWELS: Final = "aeiouàáèéìíîòóùú"
_ACCENTED: Final = "àáèéìíîòóùú"
_BASE: Final = str.maketrans("àáèéìíîòóùú", "aaeeiiioouu")
_FRONT: Final = "[eièéìíî]"
_SINGLE: Final = {
    **{letter: letter.upper() for letter in "bdfgklmnptv"}, "c": "K", "q": "K", "r": "r",
}  # fmt: skip
_GRAPHEMES: Final[tuple[tuple[str, language.Phones], ...]] = (
    (f"sc(?={_FRONT})|sh", ("SH",)), (f"cc(?={_FRONT})", ("CH", "CH")),
    (f"tch|ch(?![{_VOWELS}])|c(?={_FRONT})", ("CH",)), (f"gg(?={_FRONT})", ("JH", "JH")),
    (f"g(?={_FRONT})|j(?=[ae])", ("JH",)), ("gn", ("ɲ",)),
    ("gl(?=i)", ("ʎ",)), ("cch|cq(?=u)|ck", ("K", "K")), ("ggh", ("G", "G")), ("ch", ("K",)), ("gh", ("G",)),
    ("qu", ("K", "W")), ("ph", ("F",)), ("h", ()), ("x", ("K", "S")), ("w", ("W",)), ("j", ("Y",)),
    ("(?<=i)zz(?=a(?:re|t|v|n|r|zion)|erà|i(?:amo|no)?$|o$)", ("dz", "dz")),
    ("zz", ("ts", "ts")), (r"\bz", ("dz",)), ("z", ("ts",)), ("ss", ("S", "S")),
    (rf"(?<=[{_VOWELS}])(?<!ndo)s(?=[{_VOWELS}])|s(?=[bdgvmnrl])", ("Z",)), ("s", ("S",)),
    (f"n(?=[kq]|c(?!{_FRONT})|g(?!n|{_FRONT}))", ("NG",)),
    *((letter * 2, (phone, phone)) for letter, phone in _SINGLE.items()),
    *((letter, (phone,)) for letter, phone in _SINGLE.items()),
)  # fmt: skip
_CONSONANT: Final = re.compile("|".join(f"({pattern})" for pattern, _ in _GRAPHEMES))
_SILENT_I: Final = re.compile(r"(?:[cg]|gl|sc)(i)(?=[aeouàèéòóù])")
_HARD_GL: Final = re.compile(r"\bgl(?=ic|if|iss)|(?<=ne)gl|(?<=n)gl")
_STRESSED_I: Final = re.compile(
    r"(?:log|graf|nom|sof|metr|pat|fon|urg|gog|terap|craz|erg|er|legr|latt|tas|tes|pazz|pol[iz]z|pagn|mac|bug|mag)i[ae]$"
    r"|^[bdfmpstvzrl]{1,2}i[aeo]$|^[sbt]u[aeo]$|^due$"
)
_THIRD_FROM_END: Final = re.compile(rf"(?:{_TABLE.pattern('third_from_end')})$")
_SECOND_FROM_END: Final = re.compile(
    r"(?:ved|cad|sed|ten|man|vol|val|dol|sap|par|pot|av|dov|piac|tac|giac|god|tem|suad|i|err?)(?:ere|er[mtcvs]i|er[lgn]\w+)$"
)
_CLOSED: Final = re.compile(rf"(?:{_TABLE.pattern('closed_ends')})$")
_OPEN: Final = re.compile(r"(?:er[tmn][oaie]|ervo|ente|enti)$")
_MENTE: Final = re.compile(r"m(?:ente|ent[oi])$")


class Stress(NamedTuple):
    """What a dictionary knows of a word's stress."""

    vowel: int
    """The index of its stressed vowel, counted from the first; semivowels do not count."""
    quality: str
    """The quality of that vowel."""


def _written(word: str) -> list[language.Letter]:
    """Consonants as they sound, and vowels as they are written, without the silent i of ciao."""
    silent = {match.start(1) for match in _SILENT_I.finditer(word)}
    if _STRESSED_I.search(word):
        silent.discard(len(word) - 2)
    hard = {match.start() for match in _HARD_GL.finditer(word)}

    def own(i: int) -> language.Phones | None:
        if word[i] in _VOWELS + "y":
            return () if i in silent else (word[i].replace("y", "i"),)
        return ("G",) if i in hard else None

    return language.letters_of(word, own, _CONSONANT, _GRAPHEMES)


def _is_glide(word: str, letters: Sequence[language.Letter], i: int) -> bool:
    """Whether an i or u is a semivowel."""
    name, at = letters[i]
    before, after = letters[i - 1] if i else None, letters[i + 1] if i + 1 < len(letters) else None
    if name not in "iu" or (at == len(word) - 2 and _STRESSED_I.search(word)):
        return False
    if after is not None and after.is_vowel and after.name != name:
        if name == "u":
            alone = before is None or before.name in ("K", "G", "NG") or after.name in "oò"
            return alone or (at == len(word) - 2 and after.name not in _ACCENTED)
        cluster = i > 1 and before is not None and before.name in ("r", "L") and not letters[i - 2].is_vowel
        return not (cluster and at < len(word) - 2)
    return before is not None and before.is_vowel and before.name not in "iuìù"


def _letters(word: str) -> list[language.Letter]:
    """A word with its semivowels told from its vowels."""
    letters = _written(word)
    for i, letter in enumerate(letters):
        if letter.is_vowel and _is_glide(word, letters, i):
            letters[i] = letter._replace(name="Y" if letter.name == "i" else "W")
    return letters


def _stressed(word: str, vowels: Sequence[language.Letter]) -> int:
    """The stressed vowel, told from the word's end."""
    marked = next((n for n, letter in enumerate(vowels) if letter.name in _ACCENTED), None)
    if marked is not None:
        return marked
    if re.search("[aeo]i$", word):
        return len(vowels) - 1  # vorrei, operai
    third = len(vowels) > 2 and _THIRD_FROM_END.search(word) and not _SECOND_FROM_END.search(word)
    return max(0, len(vowels) - (3 if third else 2))


def _quality(word: str, letter: language.Letter, *, antepenult: bool) -> str:
    """A stressed vowel, open or closed."""
    base = letter.name.translate(_BASE)
    if base not in "eo" or letter.name in "éó":
        return base
    opened = {"e": "ɛ", "o": "ɔ"}[base]
    if letter.name in "èò":
        return opened
    end = word[letter.at :]
    if _MENTE.search(word) and letter.at > 0 and word[letter.at - 1] == "m":
        return base
    if _OPEN.match(end) and not antepenult:
        return opened
    after_i = (
        base == "e" and word[letter.at - 1 : letter.at] == "i" and not end.startswith(("ett", "ezz", "evo", "esc"))
    )
    return base if _CLOSED.match(end) and not after_i else opened


def say(word: str, stress: Stress | None = None) -> language.Phones:
    """A word's sounds by its spelling.

    Args:
        word: in lower case.
        stress: if it is known.

    Returns:
        Its phones; none if it has no letters of Italian. Only vowels carry stress; a word of consonants gets vowels.
    """
    letters = _letters(word)
    vowels = [letter for letter in letters if letter.is_vowel]
    if not vowels:
        return tuple(phone for letter in letters for phone in (letter.name, "e0"))
    index = min(stress.vowel, len(vowels) - 1) if stress else _stressed(word, vowels)
    phones: list[str] = []
    for letter in letters:
        if letter is vowels[index]:
            third = index < len(vowels) - 2
            phones.append((stress.quality if stress else _quality(word, letter, antepenult=third)) + "1")
        else:
            phones.append(letter.name.translate(_BASE) + "0" if letter.is_vowel else letter.name)
    return tuple(phones)


# Italian.

_LONGEST: Final = 40
"""Letters of a number in one word."""


def _as_said(number: str) -> str:
    """CLDR's words without its agreement of 21 with what it counts; very long ones in two."""
    number = re.sub(r"(?<=[a-z])(?:una|un)\b", "uno", number)
    number = re.sub(r"(?<=[a-z])tre\b", "tré", number)
    return number if len(number) < _LONGEST else number.replace("mila", "mila ")


_NUMBERS: Final = language.Numbers.of_table(
    _TABLE, thousands=". ", rewrite=_as_said, of_millions=lambda noun: f"di {noun}"
)
_NUMERALS: Final = language.Numerals(_NUMBERS)


def _time(hour: int, minute: int) -> str:
    hours = "una" if hour == 1 else _NUMERALS.cardinal(hour)
    return f"{hours} e {_NUMERALS.cardinal(minute)}" if minute else hours if hour else "mezzanotte"


LANGUAGE: Final = language.Language.of_table(
    _TABLE,
    read=language.by_word(read),
    numbers=_NUMBERS,
    time=_time,
    rules=(number_rule("e", r"\b(\d\d)enn([ei])\b", lambda m: f"{_NUMERALS.cardinal(int(m[1]))[:-1]}enn{m[2]}"),),
)
