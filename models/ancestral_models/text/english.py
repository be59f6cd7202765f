"""Written English to the words and marks that are spoken.

The stages run in a fixed order: layout, markup, addresses and abbreviations (which need capitals and digits),
quantities, remaining symbols, and last the case of each word, which tells an acronym from a word. docs/text.md
describes what is spoken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ancestral_models.text import lexicon
from ancestral_models.text.characters import AND, CUE, LETTER, LONGEST_WORD, OF_ADDRESS, speak_arrows, speak_markup
from ancestral_models.text.numerals import (
    BRITISH_RULES,
    CURRENCIES,
    ELEMENT,
    HOSTS,
    UNITS,
    cardinal,
    digits,
    each,
    ordinal,
)
from ancestral_models.text.phonemes import PAUSES
from ancestral_models.text.quantities import speak_formulas, speak_quantities
from ancestral_models.text.rules import (
    Match,
    Rule,
    Span,
    SpannedText,
    apply_all,
    lay_out,
    layout,
    rewriting,
    roman_value,
    rule,
    sentences,
    spoken_words,
)
from ancestral_models.text.tables import table

_SYMBOLS: Final = {
    "&": " and ", "+": " plus ", "=": " equals ", "@": " at ", "#": " hash ", "%": " percent ",
    "°": " degrees ", "µ": " mu ", "·": " , ", "\\": " backslash ",
    **{sign: f" {currency.one} " for sign, currency in CURRENCIES.items() if not sign.isalpha()},
    **dict.fromkeys("_*~^/\"", " "),
    **dict.fromkeys("|()[]{};:", " , "),
}  # fmt: skip
_SYMBOL: Final = re.compile(f"[{re.escape(''.join(_SYMBOLS))}]")
# The options of a command: `-m`, `-rf`, `--save-dev`.
_OPTION: Final = re.compile(
    r"(?<=[\w'\",:] )(--)(?=[A-Za-z]{2})"
    r"|(?<=[\w'\",:] )-(?!(?:a|[Ii]|as|at|by|he|if|in|is|it|no|of|or|so|to|we)\b)([A-Za-z]{1,2})\b(?!-|'\w)"
)
_LAYOUT: Final = layout("A-Z", "dot", "and|or")
_AND: Final = re.compile(AND)
_ABOUT: Final = re.compile(r"~(?=\s?[\d$£€¥])")
_WORD_OR_MARK: Final = re.compile(rf"[A-Za-z]+{CUE}|{LETTER}?[A-Za-z]+(?:'[A-Za-z]+)*|[.,?!]")
_LONE_LETTER: Final = re.compile(r"(?<![A-Za-z\d'])(?!(?<=\d )m[23]\b)([A-Za-z])(?=\d)")
# Acronyms that also are words, or that the lexicon gives in full.
_SPELLED: Final = frozenset({"US", "IT", "AM", "ASP", "ETA", "EST", "LED", "MIT", "PST", "SHA", "UPS"})
_TABLE: Final = table("english")
# All other pairs of capitals are spelled, such as OT, AB and ET, which the lexicon has as words.
_PAIRS_THAT_ARE_WORDS: Final = re.compile(_TABLE.pattern("pairs_that_are_words"), re.IGNORECASE)
_SIGNS_OF_FORMULAS: Final = rewriting(_TABLE.pairs("formula_signs"))
_SAID_AS: Final = {
    **_TABLE.phones("said_as"),
    **{word: tuple(word.upper()) for word in _TABLE.words("said_by_letters")},
}
_PROPER: Final = _TABLE.phones("proper")
# After these words a capital A is a letter: "A is for apple", "A and B".
_AFTER_LETTER: Final = frozenset({"is", "and", "or", "was", "for"})
# Unknown capitals are spelled up to this length; in a sentence all in capitals only the shorter ones.
_LONGEST_SPELLED: Final = 4
_LONGEST_SPELLED_SHOUTED: Final = 3
_SHOUTED_WORDS: Final = 3
_PAIR: Final = 2
_SHORTEST_SMALL: Final = 3
_SHORTEST_DRAWN_OUT: Final = 2
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Several chemical elements, one of them with two letters: NaCl.
_FORMULA: Final = re.compile(rf"(?:{ELEMENT}){{2,}}")
# Longer than anybody draws out a letter.
_ENDLESS: Final = re.compile(r"([a-z])\1{39,}")
_LONG_REPEAT: Final = re.compile(r"([a-z])\1{2,}")


def speak(folded: SpannedText, *, british: bool = False) -> list[tuple[str, Span]]:
    """The words and marks of a folded text, as in :class:`~ancestral_models.text.script.Token`, and their spans."""
    text = speak_formulas(apply_all(_SIGNS_OF_FORMULAS, folded))
    text = text.sub(_OPTION, lambda m: "dash dash " if m[1] else f"dash {letters(m[2])}")
    text = lay_out(speak_arrows(text).strip(), _LAYOUT)
    text = apply_all(_RULES, speak_addresses(speak_markup(text)))
    text = text.sub(_LONE_LETTER, lambda m: f"{LETTER}{m[1].lower()} ").sub(_ABOUT, " about ")
    if british:
        text = apply_all(BRITISH_RULES, text)
    text = speak_quantities(text).sub(_AND, " and " if british else " ").sub(_SYMBOL, lambda m: _SYMBOLS[m[0]])
    return spoken_words(text, _WORD_OR_MARK, _speak_words)


def _is_acronym(word: str, shouted: bool) -> bool:
    if word in _SPELLED:
        return not shouted
    if len(word) == _PAIR and not shouted:
        return not _PAIRS_THAT_ARE_WORDS.fullmatch(word)
    if lexicon.contains(word.lower()):
        return False
    if not re.search("[AEIOUY]", word):
        return True
    return len(word) <= (_LONGEST_SPELLED_SHOUTED if shouted else _LONGEST_SPELLED)


def _squeeze(word: str) -> str:
    """Letters drawn out for effect, brought back to a word: "sooooo" to "so"."""
    if not _LONG_REPEAT.search(word):
        return word
    twice, once = _LONG_REPEAT.sub(r"\1\1", word), _LONG_REPEAT.sub(r"\1", word)
    # Very short words (so, no, oh) are the ones people draw out; longer ones may have the double letter.
    short = len(once) == _SHORTEST_DRAWN_OUT
    return once if lexicon.contains(once) and (short or not lexicon.contains(twice)) else twice


def _pieces(word: str) -> list[str]:
    return [word[i : i + LONGEST_WORD] for i in range(0, len(word), LONGEST_WORD)]


def _speak_word(word: str, shouted: bool) -> list[str]:
    """One written word as spoken words; capital letters in the result are names of letters."""
    if word[0] == LETTER:
        return [word[1].upper() + word[2:]]
    if word[-1] == CUE:
        return [word]
    if len(word) == 1:
        return [word.lower() if word in "aiI" else word.upper()]
    if word.islower() and word not in _SAID_AS and lexicon.contains(word):
        return [word]
    lower = word.lower()
    stem, apostrophe, clitic = word.partition("'")
    if len(clitic) > LONGEST_WORD:
        return [piece.strip("'") for piece in _pieces(lower)]
    if stem.lower() in _SAID_AS:
        *words, last = _SAID_AS[stem.lower()]
        return [*words, last + (apostrophe + clitic).lower()]
    capitals = stem[:-1] if len(stem) > 2 and stem[-1] == "s" and stem[:-1].isupper() else stem
    is_capitals = len(capitals) > 1 and capitals.isupper()
    if not is_capitals and lexicon.contains(lower):
        return [lower]
    drawn_out = _squeeze(lower)
    if len(word) > _SHORTEST_DRAWN_OUT and drawn_out in lexicon.SOUNDS and word not in _SPELLED:
        return [drawn_out]
    if _ENDLESS.search(lower) or (not is_capitals and word != "NaN" and _FORMULA.fullmatch(word)):
        return list(word.upper())
    if is_capitals and _is_acronym(capitals, shouted):
        tail = (apostrophe + clitic).lower() or "'s" * (capitals != stem)
        return [*capitals[:-1], capitals[-1] + tail]
    if lexicon.contains(lower) or (capitals != stem and lexicon.contains(capitals.lower())):
        return [lower]
    if "'" not in word and len(word) <= _LONGEST_SPELLED and not re.search("[aeiouy]", lower):
        return list(word.upper())
    parts = _CAMEL.split(stem)
    if len(parts) > 1:
        spoken = [piece for part in parts for piece in _speak_word(part, shouted)]
        return [*spoken[:-1], spoken[-1] + (apostrophe + clitic).lower()]
    return [piece.strip("'") for piece in _pieces(drawn_out)]


def _is_article(words: list[str], i: int) -> bool:
    """Whether a lone capital A is the article: it opens a sentence, or stands in a title or among capitals."""
    after = words[i + 1] if i + 1 < len(words) else "."
    before = next((words[j] for j in range(i - 1, -1, -1) if words[j][-1] != CUE), ".")
    if after in PAUSES or after[0] == LETTER or after in _AFTER_LETTER:
        return False
    return before in PAUSES or (after[0].isupper() and before[0].isupper())


def _is_shouted(words: list[str]) -> bool:
    letters = [word for word in words if word not in PAUSES and word[0] != LETTER and word[-1] != CUE]
    return len(letters) >= _SHOUTED_WORDS and not any(char.islower() for char in "".join(letters))


def _speak_sentence(words: list[str]) -> Iterator[list[str]]:
    shouted = _is_shouted(words)
    # In a title every word has a capital.
    in_small_letters = any(len(word) > _SHORTEST_SMALL and word.islower() for word in words)
    for i, word in enumerate(words):
        if word in PAUSES:
            yield [word]
        elif word == "A":
            yield ["a" if _is_article(words, i) else "A"]
        elif word in _PROPER and i and in_small_letters:
            yield [word]
        else:
            yield _speak_word(word, shouted)


def _speak_words(words: list[str]) -> Iterator[list[str]]:
    """The spoken form of each written word or mark.

    Args:
        words: of a text, marks among them; a word may be marked by `LETTER` or `CUE`
        (ancestral_models/text/characters.py).

    Returns:
        One list for each: words in lower case, capitals for letters spoken by name.
    """
    for sentence in sentences(words):  # each on its own: only one of them may be shouted
        yield from _speak_sentence(words[sentence])


# English abbreviations, initials, Roman numerals and addresses in words.


# Web and e-mail addresses, files, paths and tags to words.

_SIGNS: Final = _TABLE.entries("address_signs")
_DOMAINS: Final = _TABLE.pattern("domains")
_SPELLED_DOMAINS: Final = _TABLE.words("spelled_domains")
_EXTENSIONS: Final = _TABLE.pattern("extensions")
# Longer numbers inside an address are read digit by digit.
_LONGEST_NUMBER: Final = 2
_LONGEST_SPELLED_EXTENSION: Final = 2


def letters(text: str) -> str:
    """The letters of `text`, each marked to be spoken by its name."""
    return " ".join(LETTER + char.lower() for char in text if char.isalpha())


def _part(part: str) -> str:
    if part.isdigit():
        return part if len(part) <= _LONGEST_NUMBER else " ".join(part)
    if part in _SIGNS:
        return _SIGNS[part]
    return letters(part) if len(part) == 1 or part.lower() in _SPELLED_DOMAINS else part


def _speak(text: str) -> str:
    return " ".join(_part(part) for part in re.findall(r"[A-Za-z]+|\d+|\S", text))


def _address(match: Match) -> str:
    text = re.sub(r"^[a-z]+://", "", match[0], flags=re.IGNORECASE)
    text = re.sub(r"^mailto:", "mail to ", text, flags=re.IGNORECASE)
    body = text.rstrip(".,?!;:)]'\"")
    return f" {_speak(body.rstrip('/'))} {text[len(body) :]}"


def _file(match: Match) -> str:
    extension = match[1]
    spoken = letters(extension) if len(extension) <= _LONGEST_SPELLED_EXTENSION and extension.isalpha() else extension
    return f" dot {spoken} "


def _member(match: Match) -> str:
    """A dot in a name of a program; between two words it is a sentence's end without a space after it."""
    called = match.string[match.end(2) : match.end(2) + 1] in ("(", ".", "[")
    name = called or any(not lexicon.contains(word.lower()) for word in match.groups())
    return f"{match[1]} dot " if name else match[0]


def _tag(match: Match) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|_", " ", match[2])
    if match.string[max(0, match.start() - 4) : match.start()].lower() == "tag ":
        return f" {words} "
    return f" {'hashtag' if match[1] == '#' else 'at'} {words} "


_ADDRESS_RULES: Final[tuple[Rule, ...]] = (
    # A path, and the letter of a drive or of a forum before its slash.
    rule("/", r"(?<![\w/.~<])(?:~|\.{1,2})?/[A-Za-z.][\w.-]*(?:/[\w.-]+)*/?(?<![.])", lambda m: f" {_speak(m[0])} "),
    rule("$", r"\$[A-Za-z_]\w*(?:/[\w.-]+)+/?(?<![.])", lambda m: f" {_speak(m[0])} "),
    rule("\\", r"\b([A-Za-z]):(?=\\)", lambda m: f"{letters(m[1])} colon "),
    rule("/", r"(?<![\w/])([ru])/(?=\w)", lambda m: f"{letters(m[1])} slash "),
    rule(
        ":.@",
        r"\b(?:https?|ftp|file|wss?|redis|ssh|git)://(?=\S*\w)\S+|\blocalhost:\d+\S*|\bwww\.\S+"
        r"|(?:\bmailto:|(?<![\w.+-]))[\w.+-]++@[\w-]+(?:\.[\w-]+)+|\bdoi: ?10\.\S+",
        _address,
        re.IGNORECASE,
    ),
    # What is none is passed over at once: each of its parts would be searched to its end.
    rule(
        ".",
        rf"(?<![\w.@])(?:(?:[\w-]+\.)+({_DOMAINS})(?:/\S*|\b(?![.]?\w))|[\w-]++(?:\.[\w-]++)*+)",
        lambda m: _address(m) if m[1] else m[0],
    ),
    rule(":", rf"(?<=\.)({_EXTENSIONS}):(\d+)(?::(\d+))?(?!\w)", lambda m: " colon ".join(filter(None, m.groups()))),
    rule(".", rf"(?<=\w\w)\.({_EXTENSIONS})\b(?!\.?[\w@])", _file, re.IGNORECASE),
    rule(".", r"(?<![\w'])(\w*[A-Za-z_]{2})\.(?=([a-z_]\w+)(?![\w']|\.\s*[A-Z]))(?!\w+@)", _member),
    rule(".", r"\b([A-Z]{2,5})\.([A-HJ-Z])\b(?![.'])", lambda m: f"{letters(m[1])} dot {letters(m[2])}"),
    rule(".", r"(?<![\w.'])([A-Z])\.(?=[A-Z][a-z])(?!Sc\b)", lambda m: f"{letters(m[1])} "),
    rule("#", r"#(?=[\dA-Fa-f]*\d)(?=\d*[A-Fa-f])([\dA-Fa-f]{6})\b", lambda m: f" hash {each(m[1])} "),
    rule("#", r"(?<![\w&])#(?=[A-Z]{1,4}-?\d)", lambda _: "number "),
    rule("#@", r"(?<![\w&])([#@])([A-Za-z]\w*)", _tag),
)


def speak_addresses(text: SpannedText) -> SpannedText:
    """Replaces addresses, file names, paths, hashtags and mentions by words.

    Args:
        text: folded text (`characters.fold`), with its original capitals.
    """
    if not OF_ADDRESS.search(text.text):
        return text
    return apply_all((*_ADDRESS_RULES, *HOSTS), text)


# Abbreviations, initials, Roman numerals and postal addresses to words.
#
# Patterns here decide by capital letters and by the word that follows, because an abbreviation's full stop may
# or may not end the sentence too.

_SENTENCE_AFTER: Final = re.compile(
    rf"\s*[\"')\]]*\s*(?:$|\n)|[\"')\]]*\s+[\"'(]?(?:{_TABLE.pattern('openers')})\b|\s+[A-Z][a-z]+:"
)
"""A pattern: what follows a full stop that ends a sentence."""
_NUMBER_AFTER: Final = re.compile(r"\s*\d")

_TITLES: Final = _TABLE.entries("titles")
_DOTTED: Final = _TABLE.entries("dotted")
_ENDING: Final = _TABLE.entries("ending")
_CAPITALISED_ONLY: Final = _TABLE.words("capitalised_only")
_WORDS: Final = _TABLE.words("abbreviated_words")
_BOOKS: Final = _TABLE.entries("bible")
_BOOK: Final = "|".join(dict.fromkeys([*_BOOKS, *_BOOKS.values()]))
_BEFORE_NUMBER: Final = _TABLE.entries("before_number")
_SLANG: Final = _TABLE.entries("slang")
_PARTS: Final = _TABLE.pattern("parts")
_DAYS: Final = _TABLE.entries("days")
_KINGS: Final = _TABLE.pattern("kings")
_GIVEN: Final = f"{_KINGS}|{_TABLE.pattern('given_names')}"
_RULERS: Final = "Pope|King|Queen|Emperor|Empress|Tsar|Czar|Sultan|Prince"
_PIECES: Final = {"K": "king", "Q": "queen", "R": "rook", "B": "bishop", "N": "knight"}
_DAY: Final = "(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)"
_MONTH: Final = "(?:Jan|Feb|Mar|Apr|May|Ju[nl]|Aug|Sept?|Oct|Nov|Dec)"
_ROMAN: Final = r"(?=[IVXLC])(?:X{0,3}|XL|LX{0,3}|XC|C{1,3})(?:IX|IV|V?I{0,3})(?<=[IVXLC])"
_ROMAN_YEAR: Final = "M{1,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_NOT_SHORTENED: Final = r"\b(?!'(?!s\b))"

_STATES: Final = _TABLE.entries("states")
_STATE: Final = "|".join(_STATES)
_BARE_STATE: Final = "|".join(_STATES.keys() - _TABLE.words("states_with_zip_only"))
_DOTTED_STATES: Final = _TABLE.entries("dotted_states")
_PARTIES: Final = {"D": "Democrat", "R": "Republican", "I": "Independent"}
_POINTS: Final = _TABLE.entries("points")
_STREETS: Final = _TABLE.entries("streets")
_NAME_BEFORE: Final = re.compile(r"(?:\b[A-Z][a-z]*|\d+(?:st|nd|rd|th))\s+$")
_CAPITAL_AFTER: Final = re.compile(r"\s+(?![NS][EW]\b)[A-Z]")
_LONGEST_NAME: Final = 24
_TOWN_BEFORE: Final = re.compile(r"([a-z,;:] +)?[A-Z][\w'-]*, $")
_STATES_OR_NAMES: Final = ("Miss", "Mo", "Del")


def _dotted_state(match: re.Match[str]) -> str:
    """A state after its town: "in Jackson, Miss."; not "Yes, Miss."."""
    town = _TOWN_BEFORE.search(match.string, max(0, match.start() - _LONGEST_NAME), match.start())
    known = town is not None and (town[1] or match[1] not in _STATES_OR_NAMES)
    return _DOTTED_STATES[match[1]] + stop(match) if known else match[0]


def stop(match: re.Match[str]) -> str:
    """What an abbreviation's full stop is worth: a sentence's end if a new sentence seems to follow."""
    return " . " if _SENTENCE_AFTER.match(match.string, match.end()) else " "


def _street_or(match: Match, street: str, title: str) -> str:
    """`St.` and `Dr.`: titles before a name, parts of an address after one."""
    start = max(0, match.start() - _LONGEST_NAME)
    after_name = _NAME_BEFORE.search(match.string, start, match.start())
    before_name = _CAPITAL_AFTER.match(match.string, match.end())
    new_sentence = _SENTENCE_AFTER.match(match.string, match.end())
    article = re.search(r"\b(?:[Tt]he|[Aa]|[Mm]y|[Oo]ur)\s$", match.string[start : match.start()])
    if (article and title == "doctor") or (before_name and not (after_name and new_sentence)):
        return title + " "
    return street + (stop(match) if match[0].endswith(".") else " ")


def _street(match: Match) -> str:
    return _STREETS[match[1]] + (stop(match) if match[0].endswith(".") else "")


def _state(match: Match) -> str:
    if match[1] in ("DC", "D.C."):
        return f"{letters('DC')} {digits(match[2])}"
    return f"{_STATES[match[1]]} {digits(match[2])}"


def _dotted(match: Match) -> str:
    word = match[1]
    if word.lower() in _CAPITALISED_ONLY and not word.istitle() and not _NUMBER_AFTER.match(match.string, match.end()):
        return match[0]
    if word.lower() == "sec" and re.search(r"\d\s?$", match.string[max(0, match.start() - 2) : match.start()]):
        return match[0]
    if not (word.islower() or word.istitle() or word.isupper()):
        return match[0]
    if word.lower() in _WORDS and _SENTENCE_AFTER.match(match.string, match.end()):
        return match[0]
    if word.lower() in _ENDING:
        return _ENDING[word.lower()] + stop(match)
    includes = re.compile(r" (?!(?:in|with)\b)[\w$]").match(match.string, match.end()) and stop(match) == " "
    if word.lower() in ("incl", "excl") and not includes:
        return f"{word}uded{stop(match)}"
    return _DOTTED[word.lower()] + " "


def _days(match: Match) -> str:
    named = re.sub(_DAY + r"\.?", lambda day: _DAYS[day[0].rstrip(".")], match[0])
    return re.sub(r"\s?([-&/])\s?", lambda sign: {"-": " to ", "&": " and ", "/": " , "}[sign[1]], named)


def _function(match: Match) -> str:
    return f"{match[1] or match[3]} of {match[2] or match[4]} "


def _verse(match: Match) -> str:
    book = f"{ordinal(match[1]) if match[1] else ''} {_BOOKS.get(match[2], match[2])}"
    return f"{book} {cardinal(match[3])} {cardinal(match[4])}{f' to {cardinal(match[5])}' if match[5] else ''}"


def _square(match: Match) -> str:
    one = re.search(r"(?:\bper |/|\b1 )$", match.string[max(0, match.start() - 4) : match.start()])
    unit = UNITS["in." if match[1] == "in" else match[1]]
    return f"square {unit.one if one else unit.many}{stop(match) if match[0].endswith('.') else ''}"


def _cups(match: Match) -> str:
    one = match[1] == "1" or ("/" in match[1] and " " not in match[1])
    return f"{match[1]} {'cup' if one else 'cups'}"


def _initialism(match: Match) -> str:
    return letters(match[1]) + (match[2] or stop(match))


def _initial(match: Match) -> str:
    if match[1] == "I" or _SENTENCE_AFTER.match(match.string, match.end()):
        return match[0]
    return letters(match[1]) + " "


def _small_roman(match: Match) -> str:
    numeral = match[2].upper()
    return f"{match[1]} {cardinal(str(roman_value(numeral)))}" if re.fullmatch(_ROMAN, numeral) else match[0]


def _chess(match: Match) -> str:
    """`Qxf7#`, `exd5`, `O-O`."""
    if match["castle"]:
        return f"castles {'queenside ' if len(match['castle']) > 3 else ''}"
    begin, takes, square = match["from"] or match["pawn"] or "", match["takes"] and "takes", match["to"]
    origin = (_PIECES.get(match["piece"]), letters(begin), begin.lstrip("abcdefgh"), takes)
    end = {"+": "check", "#": "mate"}.get(match["end"], "")
    return " ".join(filter(None, (*origin, letters(square), square[1], end))) + " "


_ANY_DOTTED: Final = "|".join(sorted(map(re.escape, {**_DOTTED, **_ENDING}), key=len, reverse=True))


# Postal addresses.
_PLACES: Final[tuple[Rule, ...]] = (
    rule("S", r"\bSt\b\.?", lambda m: _street_or(m, "street", "saint")),
    rule("D", r"\bDr\b\.?", lambda m: _street_or(m, "drive", "doctor")),
    rule({street[0] for street in _STREETS}, rf"(?<=[a-zA-Z\d] )({'|'.join(_STREETS)})\b\.?(?=[\s,;.]|$)", _street),
    rule("fFm", r"(?<=(?:st|nd|rd|th) )(?:([Ff]l)|min)\.", lambda m: f"{'floor' if m[1] else 'minute'}{stop(m)}"),
    rule("NSEW", r"(?<=\d )([NS][EW]|[NSEW])\b\.?(?= (?:[A-Z][a-z]|\d+(?:st|nd|rd|th)\b))", lambda m: _POINTS[m[1]]),
    rule(
        "NSEW",
        r"\b((?:I-?|Highway |Route |US-? ?)\d+|[Hh]ead|[Tt]urn|[Dd]rive|[Gg]o) ([NSEW])\b",
        lambda m: f"{m[1]} {_POINTS[m[2]]}",
    ),
    rule(
        "NS",
        r"(\d (?:[A-Z]\w+ ){1,3}(?i:avenue|street|road|drive|boulevard|lane|court|place)) +([NS][EW])\b",
        lambda m: f"{m[1]} {_POINTS[m[2]]}",
    ),
    rule("NSEW", r"(?<=[a-z] )([NS][EW]|[NSEW])(?= of [A-Z])", lambda m: _POINTS[m[1]]),
    rule("(", rf"\(([DRI])-({_STATE})\)", lambda m: f" , {_PARTIES[m[1]]} , {_STATES[m[2]]} , "),
    rule(" ", rf"(?<=[a-z.,] )({_STATE}|DC|D\.C\.),? (\d{{5}}(?:-\d{{4}})?)\b", _state),
    rule(",", rf"(?<=[a-z], )({'|'.join(_DOTTED_STATES)})\.", _dotted_state),
    rule(",", rf"(?<=[a-z], )({_BARE_STATE})(?=[\s,.;!?)]|$)", lambda m: _STATES[m[1]]),
)
# Afterwards every remaining full stop between words ends a sentence, numbers aside.
_RULES: Final[tuple[Rule, ...]] = (
    *rewriting(_TABLE.pairs("rewritten")),
    rule(
        "12345678O",
        r"(?<![\w'-])(?<![^\d\s]\.)(?:(?P<castle>O-O(?:-O)?)"
        r"|(?:(?P<piece>[KQRBN])(?P<from>[a-h]?[1-8]?)|(?P<pawn>[a-h])(?=x))(?P<takes>x?)(?P<to>[a-h][1-8]))(?P<end>[+#]?)(?![\w'-])",
        _chess,
    ),
    rule("MTWFS", rf"\b{_DAY}\b\.?(?:\s?[-&/,]\s?{_DAY}\b\.?)+", _days),
    rule("MTWFS", rf"\b({_DAY})(?:\.(?=,?\s+[a-z\d])|(?=,?\s+(?:\d|{_MONTH}\b)))", lambda m: _DAYS[m[1]]),
    rule("TWFS", r"(?<=[a-z,] )(Tues?|Wed|Thurs?|Fri|Sat)\.?(?=[,;!?]|\s*$)", lambda m: _DAYS[m[1]]),
    rule("-", rf"\b({_MONTH})\.?\s?-\s?(?={_MONTH}\b)", lambda m: f"{_ENDING.get(m[1].lower(), m[1])} to "),
    rule(
        "I",
        rf"\b((?:{_GIVEN}) (?:[A-Z]\.? )?[A-Z][A-Za-z]+) (I[IV]I?)\b(?!'[^s])",
        lambda m: f"{m[1]} the {ordinal(str(roman_value(m[2])))}",
    ),
    rule(":", rf"(?:\b([123]) )?\b({_BOOK})\.? (\d{{1,3}}):([1-9]\d{{0,2}})(?:-(\d{{1,3}}))?(?![\w:])", _verse),
    rule(".", r"\b([123]) (Cor|Tim|Sam|Chr|Pet|Thess)\.(?=\s*\d)", lambda m: f"{ordinal(m[1])} {_BOOKS[m[2]]}"),
    rule(".", r"\bed\.(?=\s*\d)|(?<=(?:st|nd|rd|th) )ed\.", lambda m: f"edition{stop(m)}"),
    rule(".", r"(?<!\d )(?<=[A-Za-z] )yr\.", lambda m: f"year{stop(m)}"),
    rule("P", r"\bPt\.(?=\s+(?![IVX]+\b)[A-Z])", lambda _: "Point"),
    rule("q", r"\b[Ss]q\.? ?(ft|in|mi|yd|m|km|cm)\b\.?", _square),
    rule(
        ".",
        rf"\b({'|'.join(_BEFORE_NUMBER)})\.(?=\s*\(?(?:\d|[IVXLC]+\b|[ivxl]+\b))",
        lambda m: _BEFORE_NUMBER[m[1].title()] + " ",
        re.IGNORECASE,
    ),
    rule("WS", r"(?<=\b[Tt]he )(?:WHO|SAT)\b|\bSAT(?= (?:scores?|prep|exams?|tests?)\b)", lambda m: letters(m[0])),
    rule("&", r"\b([A-Z]{1,3})&([A-Z]{1,3})\b", lambda m: f"{letters(m[1])} and {letters(m[2])}"),
    rule("(", r"\((a)\)", lambda m: f" , {letters(m[1])} , "),
    rule(
        {title[0] for title in _TITLES},
        rf"\b(?:({'|'.join(_TITLES)})\.|(Mrs?|Ms|Prof)\b(?=\s+[A-Z]))",
        lambda m: _TITLES[m[1] or m[2]] + " ",
    ),
    *_PLACES,
    rule("DcB", r"\b(?:Ph\.?D|[BM]\.?Sc)\b\.?", lambda m: letters(m[0]) + stop(m)),
    rule("1k", r"\b([aiklp])(8|1[0138])([nsy])\b", lambda m: f"{letters(m[1])} {cardinal(m[2])} {letters(m[3])}"),
    rule("/", r"(?<!/)\b([A-Z]/[A-Z])\b(?!/)", lambda m: letters(m[1])),
    rule("-", r"(?<=\d)-(alpha|beta|rc|dev|pre)\.(?=\d)", lambda m: f" {m[1]} point "),
    rule(".", r"\b(\d+ \d/\d|\d+/\d|\d+) c\.(?=\s+[a-z])", _cups),
    rule(".", r"(?<=\d)\s?([AaPp])\.\s?[Mm]\.", lambda m: f"{m[1]}m{stop(m)}"),
    rule("2848/", rf"\b({'|'.join(_SLANG)})\b", lambda m: _SLANG[m[1].lower()], re.IGNORECASE),
    rule("|", r"(?<=\b[A-Z]\()(\w+) ?\| ?(\w+)(?=\))", lambda m: f"{m[1]} given {m[2]}"),
    rule("(", r"\b([A-Za-z])\(([A-Za-z](?: given [A-Za-z])?)\)|\b(O)\(([^()]+)\)", _function),
    rule(".", rf"(?<![\w.])({_ANY_DOTTED})\.(?![\w])", _dotted, re.IGNORECASE),
    rule("oO", r"\b[Nn]o(?:s?\.\s?(?=\d)|\.(?= (?:of|is|was)\b))", lambda m: f"number{'s' * ('s' in m[0])} "),
    rule(".", r"\b([A-Z])\.\s?([23])d\b", lambda m: f"{letters(m[1])} {ordinal(m[2])}"),
    rule(".", r"(?<=\d )est\.", lambda m: f"estimated{stop(m)}"),
    rule(".", r"(?<![\w.])((?:[A-Za-z]\.){2,}[A-Za-z]?(?![A-Za-z]))('s)?", _initialism),
    rule(".", r"(?<![\w.'])([A-Z])\.(?=\s+[A-Z])", _initial),
    rule(
        "IVX",
        rf"\b(?!Malcolm X\b)({_KINGS}|(?:{_RULERS})(?: [A-Z][a-z]+){{1,2}}(?= [IVX]{{2}})) ({_ROMAN}){_NOT_SHORTENED}",
        lambda m: f"{m[1]} the {ordinal(str(roman_value(m[2])))}",
    ),
    rule(
        "IVXLC",
        rf"\b({_PARTS}|(?:volume|chapter|section)(?= +(?:[IVXLC]{{2}}|[VX]\b))) +({_ROMAN}){_NOT_SHORTENED}",
        lambda m: f"{m[1]} {cardinal(str(roman_value(m[2])))}",
    ),
    rule("ivx", rf"\b({_PARTS}|act|scene|pages?) +([ivxl]{{2,}}|(?:(?<=[Aa]ct )|(?<=[Ss]cene ))[ivx])\b", _small_roman),
    rule("MDCLXVI", rf"(?<=\b[Ii]n )(?=[MDCLXVI]{{4}})({_ROMAN_YEAR})\b", lambda m: str(roman_value(m[1]))),
    rule("IVX", rf"\b({_ROMAN})(?= centur)", lambda m: ordinal(str(roman_value(m[1])))),
    rule("IVX", rf"(?<=[a-z] )(?=[IVX]{{2}})({_ROMAN}){_NOT_SHORTENED}", lambda m: cardinal(str(roman_value(m[1])))),
)
