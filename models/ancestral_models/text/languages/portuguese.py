"""Portuguese."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ancestral_models.text.languages import language
from ancestral_models.text.phonemes import PAUSES, is_vowel, without_stress
from ancestral_models.text.rules import Match, number_rule
from ancestral_models.text.tables import table

# How Brazilian Portuguese words are said: by rules of spelling.
#
# gruut's lexicon is worse: it has no stress, and closes the vowels of `nove` and `hora`. Spelling says all but whether
# a stressed e or o without an accent is open: most depends on the end of the word, from the stressed vowel on; the rest
# are lists of common words.

_TABLE: Final = table("portuguese")
_VOWELS: Final = "aáâãàeéêiíoóôõuúü"
_FRONT: Final = "[eéêií]"
_BASE: Final = str.maketrans("áâãàéêíóôõúü", "aaaaeeiooouu")
_ACCENTED: Final = "áâéêíóôú"
_CODA: Final = "coda"
"""An m or n that makes the vowel before it nasal."""
_GRAPHEMES: Final[tuple[tuple[str, language.Phones], ...]] = (
    ("tch", ("CH",)), ("ch|sh", ("SH",)), ("lh", ("ʎ",)), ("nh", ("ɲ",)), ("rr", ("x",)), ("ph", ("F",)),
    ("th", ("T",)), (f"ss|s?ç|[sx]?c(?={_FRONT})", ("S",)), (f"qu(?={_FRONT})|ck", ("K",)),
    ("qu|qü", ("K", "W")), ("cc?|q|k", ("K",)), (f"gu(?={_FRONT})", ("G",)), ("gu(?=[aáâãoóô])|gü", ("G", "W")),
    (f"gg?(?={_FRONT})|j", ("ZH",)), ("gg?", ("G",)), ("h", ()), ("bb?", ("B",)), ("dd?", ("D",)), ("ff?", ("F",)),
    ("pp?", ("P",)), ("tt?", ("T",)), ("vv?", ("V",)),
    ("w", ("W",)), (rf"ll?(?![{_VOWELS}hy])", ("W",)), ("ll?", ("L",)), (rf"[mn](?![{_VOWELS}y])", (_CODA,)),
    ("mm?", ("M",)), ("nn?", ("N",)), (r"\br|(?<=[lns])r", ("x",)), ("r", ("ɾ",)),
    (rf"(?:(?<=[{_VOWELS}])|(?<=tr[aâ]n)(?!sex|sib))[sz](?=[{_VOWELS}])|z(?=[{_VOWELS}])|[sz](?=[bdglmnrv])", ("Z",)),
    ("[sz]", ("S",)),
)  # fmt: skip
_CONSONANT: Final = re.compile("|".join(f"({pattern})" for pattern, _ in _GRAPHEMES))
_SOUNDED_U: Final = re.compile(
    r"(?<=cin)qu(?=ent)|(?<=fre)qu|(?<=tran)qu|(?<=se)qu(?=[eê]n)|(?<=elo)qu|(?<=delin)qu|(?<=quin)qu(?=[eê]n)"
    r"|(?<=e)qu(?=estr|idad|in[oa])|(?<=lin)gu(?=[ei])|(?<=lín)gu(?=e)|(?<=pin)gu|(?<=a)gu(?=ent|ei\b)|(?<=un)gu(?=ent)"
)
_X_KS: Final = re.compile(
    r"t[áa]x[iíó]|fix|sex[oóua]|sexis|(?<!i)nex|convex|index|lex[io]|flu[xi]|flex|plex|rexi|t[óo]x[io]|[óo]x[iío][gdt]|diox|box|sax|maxil"
    r"|todox|radox|terodox|axil|galáx|l[ée]xic|prolix|mixa|clímax|x\b"
)
_X_S: Final = re.compile(r"próxim|proxim|m[áa]xim|auxíl|auxil|troux[eé]|sintax")
_X_Z: Final = re.compile(r"(?:in|co|re|pre|h)?[eê]")
"""What stands before an x that sounds as z between vowels: exame, inexato."""
_UNSTRESSED: Final = _TABLE.words("unstressed")
_WORDS: Final = table("loanwords").phones("pt") | _TABLE.phones("whole")
_ENDINGS: Final[dict[str, language.Phones]] = {
    "": (), "s": ("S",), "o": ("u0",), "a": ("ɐ0",), "os": ("u0", "S"), "as": ("ɐ0", "S"),
}  # fmt: skip
_VOICED: Final = frozenset(("B", "D", "G", "V", "Z", "ZH", "M", "N", "L", "x", "JH", "ʎ", "ɲ"))
_NASALS: Final = {"a": "ɐ̃", "e": "ẽ", "i": "ĩ", "o": "õ", "u": "ũ"}
_NASAL_GLIDES: Final = {"a": "W", "e": "Y"}
_OPEN: Final = {"e": "ɛ", "o": "ɔ"}
_FINAL: Final = {"a": "ɐ", "e": "i", "o": "u"}
_PALATAL: Final = {"T": "CH", "D": "JH"}
_AFTER_STOP: Final = frozenset(("ɾ", "L", "Y", "W", "x"))
_NEVER_LAST: Final = frozenset(("B", "K", "G", "F", "P", "V", "JH", "CH", "M", "N"))


_OPEN_ENDS: Final = re.compile(rf"(?:{_TABLE.pattern('open_ends')})[sm]?$")
_CLOSED_ENDS: Final = re.compile(rf"(?:{_TABLE.pattern('closed_ends')})s?m?$")
_OPEN_WORDS: Final = _TABLE.words("open")
_CLOSED_WORDS: Final = _TABLE.words("closed")
_OPEN_PLURALS: Final = _TABLE.words("open_plurals")
_VERBS: Final = _TABLE.words("verbs")
_BETWEEN: Final = _TABLE.words("between_eu_and_verb")
_OF: Final = _TABLE.words("after_gosto")
_ARTICLES: Final = _TABLE.words("before_gosto")


def _inside(pattern: re.Pattern[str], word: str, i: int) -> bool:
    return any(match.start() <= i < match.end() for match in pattern.finditer(word))


def _x(word: str, i: int) -> language.Phones:
    if _inside(_X_KS, word, i):
        return ("K", "S")
    if word[i + 1] not in _VOWELS + "h" or _inside(_X_S, word, i):
        return ("S",)
    return ("Z",) if _X_Z.fullmatch(word[:i]) else ("SH",)


def _written(word: str) -> list[language.Letter]:
    """Consonants as they sound, but for what depends on vowels, and vowels as they are written."""

    def own(i: int) -> language.Phones | None:
        if word[i] in _VOWELS + "y":
            return ("i" if word[i] == "y" else word[i],)
        return _x(word, i) if word[i] == "x" and not _CONSONANT.match(word, i) else None

    return language.letters_of(word, own, _CONSONANT, _GRAPHEMES)


def _is_glide(word: str, sounds: Sequence[language.Letter], i: int) -> bool:
    """Whether a written vowel is a semivowel."""
    name, at = sounds[i]
    rest = word[at + 1 :]
    if i and sounds[i - 1].is_vowel and word[at - 1] != "h":  # Bahia
        before = sounds[i - 1].name
        if before in "ãõ":
            return name in "oe"
        if before == "a" and name == "o":
            return rest in ("", "s")
        if name in "iu" and name != before.translate(_BASE):
            return not (re.match(rf"nh|[lrzmn](?![{_VOWELS}h])", rest) or (name == "i" and rest == "u"))
    accented = any(letter in _ACCENTED for letter in word[:at])
    return name in "iue" and accented and re.fullmatch("[aeo]s?", rest) is not None


def _sounds(word: str) -> list[language.Letter]:
    """The sounds of a word, with its semivowels told from its vowels."""
    sounds = _written(word)
    for i, sound in enumerate(sounds):
        if sound.is_vowel and _is_glide(word, sounds, i):
            sounds[i] = sound._replace(name="Y" if sound.name in "ie" else "W")
    return sounds


def _stressed(word: str, sounds: Sequence[language.Letter]) -> language.Letter:
    """The stressed vowel."""
    vowels = [sound for sound in sounds if sound.is_vowel]
    if marked := [sound for sound in vowels if sound.name in _ACCENTED]:
        return marked[0]
    if marked := [sound for sound in vowels if sound.name in "ãõ"]:
        return marked[-1]
    weak = vowels[-1].name in "aeo" and re.fullmatch("s?|m|ns", word[vowels[-1].at + 1 :])
    return vowels[-2] if weak and len(vowels) > 1 else vowels[-1]


def _is_open(word: str, at: int) -> bool:
    """Whether the stressed vowel of a word, at this place, is open.

    Args:
        word: in lower case.
        at: where its stressed e or o stands, without an accent.
    """
    if word in _OPEN_PLURALS:
        return True
    if word[at:] == "osos":
        return True
    if word[at:] == "eram":
        return word == "eram" or word.removesuffix("am") in _OPEN_WORDS  # tiveram, but: escolheram
    if word.endswith(("res", "zes")) and word not in _CLOSED_WORDS:
        return _is_open(word.removesuffix("es"), at)
    for form in (word, word.removesuffix("s"), word.removesuffix("m")):
        if form in _CLOSED_WORDS:
            return False
        if form in _OPEN_WORDS:
            return True
    return _OPEN_ENDS.match(word, at) is not None and not _CLOSED_ENDS.match(word, at)


def _is_verb(words: Sequence[str], i: int) -> bool:
    """Whether a noun with a closed vowel is the verb with an open one where it stands: eu jogo, não gosto de."""
    if words[i] not in _VERBS:
        return False
    if words[i] == "gosto" and words[i + 1 : i + 2] and words[i + 1] in _OF:
        return i == 0 or words[i - 1] not in _ARTICLES
    return next((word for word in reversed(words[max(0, i - 2) : i]) if word not in _BETWEEN), "") == "eu"


def _vowel(word: str, sounds: Sequence[language.Letter], i: int, *, stressed: bool) -> language.Phones:
    letter, at = sounds[i]
    base, digit = letter.translate(_BASE), "1" if stressed else "0"
    after = sounds[i + 1].name if i + 1 < len(sounds) else ""
    rest = word[at + 1 :]
    if letter in "ãõ":
        return (_NASALS[base] + digit,)
    if after == _CODA:
        glide = _NASAL_GLIDES.get(base) if re.fullmatch("m|ns?", rest) else None
        return (_NASALS[base] + digit, *([glide] if glide else []))
    if base == "a" and (after == "ɲ" or (stressed and letter != "á" and after in ("M", "N"))):
        return ("ɐ̃" + digit,)
    if stressed:
        open_one = letter in "éó" or (letter in "eo" and after not in ("M", "N", "ɲ") and _is_open(word, at))
        return ((_OPEN[base] if open_one else base) + "1",)
    if base == "a" and after in ("M", "N"):
        return ("ɐ0",)
    return ((_FINAL.get(base, base) if rest in ("", "s") else base) + "0",)


@lru_cache(maxsize=16384)
def pronounce(word: str) -> language.Phones:
    """A word by itself.

    Args:
        word: in lower case, with its accents.

    Returns:
        Its phones; none if it has no letters of Portuguese.
    """
    stem = "muit" if re.fullmatch("muit[oa]s?", word) else word.removesuffix("s")
    for form in (word, stem):
        if known := _WORDS.get(form):
            return (*known, *_ENDINGS[word.removeprefix(form)])
    spelled = _SOUNDED_U.sub(lambda match: match[0][0] + "ü", word)
    sounds = _sounds(spelled)
    phones: list[str] = []
    if any(sound.is_vowel for sound in sounds):
        stressed = None if word in _UNSTRESSED else _stressed(spelled, sounds)
        for i, sound in enumerate(sounds):
            if sound.is_vowel:
                phones += _vowel(spelled, sounds, i, stressed=sound == stressed)
            elif sound.name != _CODA:
                phones.append(sound.name)
    else:
        for sound in sounds:
            phones += ("N" if sound.name == _CODA else sound.name, "i0")
    return _palatal(_apart(phones)) if phones else ()


def _apart(phones: Sequence[str]) -> list[str]:
    """The phones with the vowel that is said after t and d before most consonants, and after a stop at the end:
    advogado, club."""
    found: list[str] = []
    for phone, after in zip(phones, (*phones[1:], ""), strict=True):
        found.append(phone)
        before_consonant = phone in _PALATAL and not is_vowel(after) and after not in _AFTER_STOP
        if before_consonant or (not after and phone in _NEVER_LAST):
            found.append("i0")
    return found


def _palatal(phones: Sequence[str]) -> language.Phones:
    """t and d before i."""
    return tuple(
        _PALATAL.get(phone, phone) if without_stress(after) in ("i", "ĩ", "Y") else phone
        for phone, after in zip(phones, (*phones[1:], ""), strict=True)
    )


def read(words: Sequence[str], i: int) -> language.Phones:
    """The phones of one word of a sentence; see `language.Read`. A final s is voiced before a voiced sound."""
    phones = pronounce(words[i]) or ("i0",)
    if _is_verb(words, i):
        phones = tuple({"e1": "ɛ1", "o1": "ɔ1"}.get(phone, phone) for phone in phones)
    after = words[i + 1] if i + 1 < len(words) else PAUSES[0]
    if phones[-1] == "S" and after not in PAUSES:
        following = pronounce(after)[:1]
        if following and (is_vowel(following[0]) or following[0] in _VOICED):
            return (*phones[:-1], "Z")
    return phones


# Portuguese as it is read in Brazil.

_NUMBERS: Final = language.Numbers.of_table(
    _TABLE, thousands=". ", singular=lambda number: abs(number) < 2, of_millions=lambda noun: f"de {noun}"
)
_NUMERALS: Final = language.Numerals(_NUMBERS)


def _time(hour: int, minute: int) -> str:
    hours = _NUMERALS.cardinal(hour, "f")
    if minute:
        return f"{hours} e {_NUMERALS.cardinal(minute)}"
    return f"{hours} {'hora' if hour < 2 else 'horas'}"


_CAPITAL: Final = "[A-ZÁÉÍÓÚÂÊÔ]"
_GOALS: Final = re.compile(r" 0 ?x|x ?0$| (?!4 x 4)(?:\d|1[0-5]) x (?:\d|1[0-5])$")
_UNIT: Final = "|".join(re.escape(symbol) for symbol, _ in _TABLE.pairs("units"))
_GAMES: Final = re.compile(r"\b(?:ganh|venc|perd|empat|placar|jog|gol|bat|derrot|final)\w*[^.?!]*$", re.IGNORECASE)


def _score(match: Match) -> str:
    """`2 x 0` in a text about games, or between two names; elsewhere a product, whose second number has its noun."""
    named = match[1] and match[4] and _GOALS.search(match[0])
    game = named or _GAMES.search(match.string, max(0, match.start() - 200), match.start())
    second = f"a {_NUMERALS.cardinal(int(match[3]))}" if game else f"por {match[3]}"
    return f"{match[1]}{_NUMERALS.cardinal(int(match[2]))} {second}"


LANGUAGE: Final = language.Language.of_table(
    _TABLE,
    read=language.by_word(read),
    numbers=_NUMBERS,
    time=_time,
    rules=(
        number_rule(
            "h",
            r"\b(dur\w+|lev\w+) (\d{1,2})h([0-5]\d)\b",
            lambda m: f"{m[1]} {_time(int(m[2]), 0)} e {_NUMERALS.cardinal(int(m[3]))} minutos",
        ),
        number_rule(
            "x",
            rf"((?:(?<![\w'-]){_CAPITAL}[\w'-]+ )?)(?<![\w.,])(\d{{1,2}}) ?x ?(\d{{1,2}})"
            rf"(?!\w|[.,]\d)(?=( {_CAPITAL})?)",
            _score,
        ),
        number_rule("m", r"(?<![\w.,])([12])m(\d\d)(?!\w)", lambda m: f"{m[1]} m e {_NUMERALS.cardinal(int(m[2]))}"),
        # Hours and what else is feminine by its article: "às 2 e meia", "à 1", "as 2".
        number_rule(
            "12",
            rf"\b((?i:[aà]s|[dn]as|pelas|(?:à|da)(?=\s1\b)))\s(2?[12])(?!\w|[.,:/-]\d|\s\d{{3}}\b|\s?(?:[h%$€]|(?:{_UNIT})(?!\w)))",
            lambda m: f"{m[1]} {_NUMERALS.cardinal(int(m[2]), 'f')}",
        ),
    ),
)
