"""Any Unicode text to the few characters the rest of the front-end knows: markup, emoji and symbols as words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from ancestral_models.text.rules import SpannedText
from ancestral_models.text.tables import table

# Emoji to their CLDR short names (Unicode CLDR, https://cldr.unicode.org): what a reader calls them.
#
# Skin tones are not spoken. A sequence that has no name of its own is spoken as the names of its parts.

_PICTURE: Final = "[←-⇿⌀-⏿─-➿⤀-⯿〰〽㊗㊙\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
_MODIFIERS: Final = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
SEQUENCE: Final = f"{_PICTURE}{_MODIFIERS}(?:\u200d{_PICTURE}{_MODIFIERS})*"
"""A pattern: one emoji, or several joined to one picture, with the characters that change their looks."""
FLAG: Final = "[\U0001f1e6-\U0001f1ff]{2}"
"""A pattern: the two letters of a country's flag."""

_VARIATIONS: Final = re.compile("[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]")
_TAGS: Final = re.compile("[\U000e0020-\U000e007f]")
# Bullets, lines, blocks and ornaments: layout, which has no spoken form.
_DECORATION: Final = re.compile("[─-◿✐-✒❘-❞❡-❧➲-➿]")
_OTHER_NAMES: Final = {
    "→": "right arrow", "←": "left arrow", "★": "star", "☆": "star", "✓": "check mark", "☐": "empty check box",
}  # fmt: skip


_LANGUAGES: Final = ("en", "es", "fr", "it", "pt")
"""The languages of the columns of emoji.txt."""


@cache
def _names(language: str) -> dict[str, str]:
    if language not in _LANGUAGES:
        return {}
    lines = (resources.files("ancestral_models.text") / "tables" / "emoji.txt").read_text("utf-8").splitlines()
    column = 1 + _LANGUAGES.index(language)
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {row[0]: row[column] for row in rows} | (_OTHER_NAMES if language == "en" else {})


def symbol_name(char: str, language: str) -> str:
    """The name of one symbol, from CLDR or, in English, else from Unicode; empty if it has none."""
    if char in _names(language) or language != "en":
        return _names(language).get(char, "")
    name = unicodedata.name(char, "").lower().replace("-", " ")
    return re.sub(r" (?:sign|symbol)$", "", name)


def speak_picture(sequence: str, language: str) -> str | None:
    """The words for one match of :data:`SEQUENCE`: empty for a decoration, None if a part of it has no name."""
    plain = _VARIATIONS.sub("", sequence)
    if not plain:
        return ""  # a skin tone by itself
    known = _names(language)
    if plain in known:
        return known[plain]
    if _TAGS.search(plain):
        return None  # text in invisible characters, other than the flags above
    parts = [part for part in plain.split("\u200d") if part]
    if all(_DECORATION.match(part) and part not in known for part in parts):
        return ""
    names = [symbol_name(part, language) for part in parts]
    return " ".join(names) if all(names) else None


def speak_flag(letters: str, language: str) -> str | None:
    """The words for one match of :data:`FLAG`; None if no country has it and the language has no word for that."""
    if letters in _names(language) or language != "en":
        return _names(language).get(letters)
    code = "".join(chr(ord(char) - 0x1F1E6 + ord("A")) for char in letters)
    return f"flag {code[0]}. {code[1]}."


# Any Unicode text to the few characters the rest of the front-end knows: ASCII, and what a language keeps beyond it.
#
# Accents, ligatures, full-width forms and typographic marks are folded; emoji and symbols become their names.
# Characters without a spoken form are dropped only where nothing is lost: invisible ones (`_INVISIBLE`), bullets and
# lines. Other scripts are skipped, and the caller gets what was. Control characters and unpaired surrogates are refused
# by name.


class Folding(NamedTuple):
    """The treatment of characters in one language."""

    language: str
    """The primary language of BCP 47."""
    name: str
    """English name, for messages."""
    kept: frozenset[str]
    """The characters beyond ASCII that its rules read."""
    words: Mapping[str, str]
    """Spoken words for other characters."""


# Written before a letter that later stages must speak by its name; `fold` refuses control characters in its input.
LETTER: Final = "\x01"
# Written after the hundreds of a number in words: "and" in British English, nothing in American.
AND: Final = "\x03"
# Written after a word that stands for something other than text (ancestral_models/text/script.py).
CUE: Final = "\x02"

_MAX_NAMED: Final = 5
_ENGLISH_WORDS: Final[dict[str, str]] = {
    "−": " minus ", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th",
    "×": " times ", "÷": " divided by ", "±": " plus or minus ", "≈": " approximately ",
    "≠": " != ", "≤": " <= ", "≥": " >= ",  # spoken as relations below
    "√": " square root of ", "∑": " sum of ", "∫": " integral of ", "∂": " partial ", "∆": " delta ",
    "∇": " nabla ", "∈": " in ", "∞": " infinity ", "§": " section ", "¶": " paragraph ", "©": " copyright ",
    "®": " registered ", "™": " trademark ", "†": " dagger ", "‡": " double dagger ",
    "‰": " per mille ", "·": "·", "¬": " not ", "№": " No. ", "₿": " bitcoin ",
}  # fmt: skip
_REPLACED: Final[dict[str, str]] = {
    "\t": " ", "\r": "\n", "\x0b": "\n", "\x0c": "\n", "\x85": "\n", "\u2028": "\n", "\u2029": "\n\n",
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "ʼ": "'", "ʹ": "'", "′": "'", "`": "'", "´": "'",
    "″": '"', "—": " , ", "―": " , ", "⸺": " , ", "…": "...", "⁃": "-", "\u2212": "-",
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "t", "Þ": "T", "ı": "i", "ŋ": "ng", "Ŋ": "NG",
    "¿": " ", "¡": " ", "·": " , ", "•": " , ",
    "‣": " , ", "※": " , ", "⁄": "/", "∕": "/", "。": ". ", "、": ", ", "・": " , ", "〜": "-", "\u00b5": "µ",
    "।": ". ", "॥": ". ",
}  # fmt: skip
"""Replacements in every language."""
ENGLISH: Final = Folding("en", "English", frozenset("£€¥₹¢°µ"), _ENGLISH_WORDS)
# Soft hyphen, joiners, marks of direction, zero-width spaces, byte-order mark: without sound and without shape.
_INVISIBLE: Final = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_TOKEN: Final = re.compile(
    "(?P<power>[⁺⁻]?(?:[⁰¹²³⁴-⁹]+|[ⁿⁱ]))"
    "|(?P<keycap>[0-9#*])\ufe0f?\u20e3"
    r"|(?P<silent>(?<=\w)[®™†‡])"  # after a word they are not spoken
    "|(?P<foreign>[\u0370-\u03ff\u1f00-\u1fff]{3,})"  # a word; fewer are letters of formulas
    f"|(?P<flag>{FLAG})"
    f"|(?P<picture>{SEQUENCE})"
    "|(?P<line>\r\n)"
    "|[^\n -_a-~]"  # everything but the ASCII that stays as it is
)
_DECOMPOSED: Final = re.compile("[A-Za-z][\u0300-\u036f]+")
_SHRUG: Final = re.compile(r"¯\\_\(ツ\)_/¯")
_BACKQUOTE: Final = re.compile("`")
_GREEK_LETTER: Final = re.compile(r"GREEK (?:\w+ )*LETTER (?:\w+ )*?(\w+)(?: WITH [\w ]+)?$")
_LATIN_LETTER: Final = re.compile(r"LATIN (SMALL|CAPITAL) LETTER ([A-Z])(?: WITH [\w ]+)?$")
# Combining marks that English text, loan words and mathematics use; others belong to other scripts.
_DROPPED_MARK: Final = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\U000e0100-\U000e01ef]"
)
# Symbols outside these blocks are parts of other scripts or have names that listeners would not understand.
_NAMED_SYMBOL: Final = re.compile("[\u00a0-\u00ff\u02c2-\u02df\u2000-\u27ff\u2900-\u2bff\U0001f000-\U0001faff]")


class UnsupportedText(ValueError):
    """The text cannot be spoken: it has no words, a tag, or characters without a reading in its language."""

    code = "unsupported_text"
    """Code of the error that a client gets."""


class NothingToSpeak(UnsupportedText):
    """The text has no words."""


class Unread(UnsupportedText):
    """All letters of the text are of scripts that are not read."""


class UnknownSpeaker(UnsupportedText):
    """The text names a voice that there is not."""

    code = "voice_not_found"


def _name(char: str) -> str:
    kind = {"Cc": "control character", "Cs": "unpaired surrogate"}.get(unicodedata.category(char), "unnamed character")
    return unicodedata.name(char, f"{kind} U+{ord(char):04X}")


def check_read(text: str, skipped: Sequence[tuple[int, str]], folding: Folding) -> None:
    """Raise :class:`Unread` if :func:`fold` has skipped all letters of a text, or signs where it has no digits."""
    unread = {char for _, word in skipped for char in word}
    read = str.isalpha if any(map(str.isalpha, unread)) else str.isalnum
    if skipped and not any(read(char) and char not in unread for char in text):
        raise Unread(_refusal(skipped, folding))


def _refusal(found: Iterable[tuple[int, str]], folding: Folding) -> str:
    """Why a text cannot be spoken: its characters by name, with their positions."""
    distinct: dict[str, int] = {}
    for position, text in found:
        for offset, char in enumerate(text):
            distinct.setdefault(char, position + offset)
    named = [f"{char!r} ({_name(char)}, at position {place})" for char, place in list(distinct.items())[:_MAX_NAMED]]
    if len(distinct) > _MAX_NAMED:
        named.append(f"and {len(distinct) - _MAX_NAMED} more")
    letters = any(unicodedata.category(char)[0] != "C" for char in distinct)
    reason = f"they have no reading in {folding.name}" if letters else "it has no spoken form"
    return f"cannot speak {', '.join(named)}: {reason}"


def _fold_letter(char: str) -> str | None:
    name = unicodedata.name(char, "")
    latin = _LATIN_LETTER.match(name)
    if latin:
        return latin[2] if latin[1] == "CAPITAL" else latin[2].lower()
    greek = _GREEK_LETTER.match(name)
    return f" {greek[1].lower().replace('lamda', 'lambda')} " if greek else None


def _fold_punctuation(char: str, category: str) -> str | None:
    if category == "Pd":
        return "-"
    if category in ("Pi", "Pf") or char in "„‟〝〞〟「」『』":
        return '"'
    if category in ("Ps", "Pe"):
        return " , "
    return " " if "\u2000" <= char <= "\u206f" or "\u2e00" <= char <= "\u2e7f" else None


def _told(char: str, folding: Folding) -> str | None:
    """What tables say of a character."""
    return char if char in folding.kept else folding.words.get(char, _REPLACED.get(char))


def _fold_one(char: str, folding: Folding) -> str | None:
    """The folded form of one character that decomposes no further; None if it cannot be spoken."""
    if (told := _told(char, folding)) is not None:
        return told
    if " " <= char <= "~" or char == "\n":
        return char
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.digit(char))
    if category[0] == "L":
        return _fold_letter(char)
    if category[0] == "P":
        return _fold_punctuation(char, category)
    if category[0] == "S":
        named = symbol_name(char, folding.language) if category == "Sc" or _NAMED_SYMBOL.match(char) else ""
        return f" {named} " if named else None
    if category[0] == "Z":
        return " "
    dropped = _INVISIBLE.match(char) or (category[0] == "M" and _DROPPED_MARK.match(char))
    return "" if dropped else None


def _fold_char(char: str, folding: Folding) -> str | None:
    if (told := _told(char, folding)) is not None:
        return told
    whole, number = unicodedata.normalize("NFKD", char), unicodedata.numeric(char, None)
    if number is not None and (unicodedata.category(char) == "Nl" or "①" <= char <= "⓿"):
        whole = f" {number:g} "  # a Roman numeral, a circled number
    # A negated relation decomposes to the relation and a stroke; dropping the stroke would say the opposite.
    if "\u0338" in whole:
        negated = symbol_name(char, folding.language)
        return f" {negated} " if negated else None
    parts = [_fold_one(part, folding) for part in whole]
    folded = "".join(part for part in parts if part is not None) if None not in parts else None
    # "2½" must not become "21/2".
    return f" {folded}" if folded and "\u2044" in whole else folded


def _fold_token(token: re.Match[str], folding: Folding) -> str | None:
    if token["foreign"]:
        return None
    if token["power"]:
        # Before NFKD, which would turn the 2 of x² into a plain digit.
        return "^" + unicodedata.normalize("NFKC", token[0]).replace("\u2212", "-")
    if token["keycap"]:
        return token["keycap"]
    if token["silent"]:
        return ""
    if token["line"]:
        return "\n"
    if token["flag"]:
        return speak_flag(token["flag"], folding.language)
    if token["picture"] and token[0] not in folding.kept:
        return speak_picture(token["picture"], folding.language)
    return _fold_char(token[0], folding)


def fold(text: SpannedText, start: int, folding: Folding, skipped: list[tuple[int, str]]) -> SpannedText:
    """Brings any text to ASCII and the characters that its language keeps.

    Args:
        text: any Unicode string.
        start: its position in the input, for messages.
        folding: that of its language.
        skipped: gets the stretches without a reading, such as words in another script, and their positions.

    Returns:
        A text that may still be empty of words, with a comma for what is skipped.

    Raises:
        UnsupportedText: for control characters and the like; the message gives each one's name and its position in the
            input.
    """
    if text.text.isascii() and text.text.isprintable():
        return text.sub(_BACKQUOTE, "'")
    text = text.sub(_SHRUG, "🤷").sub(_DECOMPOSED, lambda match: unicodedata.normalize("NFC", match[0]))
    refused: list[tuple[int, str]] = []
    last_picture, end_of_last = "", 0

    def speak(token: re.Match[str]) -> str:
        nonlocal last_picture, end_of_last
        between = text.text[end_of_last : token.start()]
        end_of_last = token.end()
        if between and not between.isspace():
            last_picture = ""
        folded = _fold_token(token, folding)
        if folded is None:
            place, (before, word) = start + token.start(), skipped[-1] if skipped else (0, "")
            if unicodedata.category(token[0][0])[0] == "C":
                refused.append((place, token[0]))
            elif word and before + len(word) == place:
                skipped[-1] = before, word + token[0]
            else:
                skipped.append((place, token[0]))
            return " , "
        if token["picture"] or token["flag"]:
            # A row of the same picture is said once.
            said, last_picture = folded == last_picture, folded
            return "" if said else f" , {folded} , "
        last_picture = last_picture if token[0].isspace() else ""
        return folded

    folded = text.sub(_TOKEN, speak)
    if refused:
        raise UnsupportedText(_refusal(refused, folding))
    return folded


# Angle brackets, relations, arrows and emoticons to words; tags of a markup language are refused.
#
# What an angle bracket is follows from what it encloses:
#
# - a **tag**: ``<``, a name directly after it (or ``/`` and a name), nothing else but attributes (``name="value"``),
#   and ``>``; also ``<!--``, ``<?xml`` and the like. Refused: a tag is an instruction, which plain text cannot give.
# - an **address**: ``<``, text without white space that has an ``@``, a ``://`` or a dot before a letter, and ``>``.
#   The address is spoken; the brackets are pauses, like other brackets.
# - everything else is a **comparison**, spoken as "less than" and "greater than".

_NAME: Final = r"[A-Za-z][\w:-]*"
_ATTRIBUTE: Final = rf"\s+{_NAME}\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'|[^\s\"'<>=]+)"
_TAG: Final = re.compile(
    rf"<(?:/{_NAME}\s*|{_NAME}(?:{_ATTRIBUTE})*\s*/?)>|<(?:!--|!\[CDATA\[|!DOCTYPE\b|\?xml\b)", re.IGNORECASE
)
_OPEN_TAG: Final = re.compile(
    rf"<(?:/?|/?{_NAME}|{_NAME}(?:{_ATTRIBUTE})*\s+(?:{_NAME}(?:\s*=\s*(?:\"[^\"<]*|'[^'<]*)?)?)?)$"
)
_LONGEST_OPEN: Final = 200

_EMOTICONS: Final = table("english").entries("emoticons")
_EMOTICON: Final = re.compile(rf"(?<!\S)({'|'.join(map(re.escape, _EMOTICONS))})(?=[\s.,!?)]|$)")
# Not after a verb, as in "if it is <3".
_HEART: Final = re.compile(
    r"(?:(?<=\bI )|(?<=\b[Ww]e ))<3(?!\S)"
    r"|(?:^|(?<=^ )|(?<=[.!?,] )|(?<=[A-Za-z]{2} )(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bbe )(?<!\bif ))"
    r"<3(?=\s*(?:[.!?,]|$))"
)
ADDRESS: Final = re.compile(r"<([^<>\s]*(?:@|://|\w\.[A-Za-z])[^<>\s]*)>")
OF_ADDRESS: Final = re.compile(r"\.\w|[/\\#@:]")
LONGEST_WORD: Final = 40
"""Longer ones are said in pieces."""
# The variable of a formula, not the article: "a <= b", "x = a".
_VARIABLE: Final = re.compile(
    r"(?<![\w'.@-])[aA](?=[<>=+^]|!=|\s(?:[<>=+*^]|[<>!=]=)\s)|(?<=[<>=+^])[aA](?!\w)|(?<=\s[<>=+*^]\s)[aA](?=\s*(?:[.,;)]|$))"
)
_ARROW: Final = re.compile(r"((?<![\w'.@-])[aA]\s?)?(<?(?:-+|=)>|<-+(?![-\d.]))")
_RELATIONS: Final = (
    (re.compile(r"<=|=<"), " less than or equal to "),
    (re.compile(r">="), " greater than or equal to "),
    (re.compile(r"!==?|=/="), " not equal to "),
    (re.compile(r"={2,3}(?!=)"), " equals "),
    (re.compile(r"(?<=[A-Za-z]{2}) \* (?=[A-Za-z]{2})"), " star "),
    (re.compile(r"(?<=[\w)\]]) \* (?=[\w(\[])"), " times "),
    (re.compile(r"<"), " less than "),
    (re.compile(r">"), " greater than "),
)
_SIGNS: Final = re.compile(r"[<>=^+*]|[:;]\S")


def in_quotation(text: str, at: int) -> bool:
    """Whether a quotation has not ended at a place: the mark after a number is not that of inches."""
    opened = text.rfind('"', 0, at)
    return opened == 0 or (opened > 0 and (text[opened - 1].isspace() or text[opened - 1] == "("))


def shown(text: str) -> str:
    """A text as messages show it: the first 40 characters."""
    return text if len(text) <= 40 else f"{text[:40]}…"


def refuse_tags(text: str) -> None:
    """Check that a text has no tags.

    Raises:
        UnsupportedText: it has one; the message shows the first.
    """
    found = _TAG.search(text) if "<" in text else None
    if found:
        raise UnsupportedText(
            f"cannot speak {shown(found[0])!r} (a tag, at position {found.start()}): plain text has no tags; SSML "
            'needs input_format ssml; to compare, put a space after the sign, as in "a < b"'
        )


def ends_in_open_tag(text: str) -> bool:
    """Whether a tag begins in `text` that later text may complete."""
    start = text.rfind("<", max(0, len(text) - _LONGEST_OPEN))
    return start >= 0 and _OPEN_TAG.match(text, start) is not None


def _speak_arrow(match: re.Match[str]) -> str:
    direction = "right" if match[2][-1] == ">" else "left"
    return f"{f'{LETTER}a' if match[1] else ''} {direction} arrow "


def speak_arrows(text: SpannedText) -> SpannedText:
    """Replaces ``->``, ``=>``, ``<-`` by words: before layout is read, where a dash is a pause."""
    if "<" not in text.text and ">" not in text.text:
        return text
    return text.sub(_ARROW, _speak_arrow)


def speak_markup(text: SpannedText) -> SpannedText:
    """Replaces angle brackets, relations and emoticons by words.

    Args:
        text: folded text (`characters.fold`) without tags, its layout reduced to single spaces.

    Returns:
        Text without ``<`` and ``>``.
    """
    if not _SIGNS.search(text.text):
        return text
    text = text.sub(_EMOTICON, lambda match: f" , {_EMOTICONS[match[1]]} , ")
    text = text.sub(ADDRESS, lambda match: f" , {match[1]} , ").sub(_HEART, "heart")
    text = text.sub(_VARIABLE, f"{LETTER}a")
    for pattern, spoken in _RELATIONS:
        text = text.sub(pattern, spoken)
    return text
