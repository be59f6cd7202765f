"""Any Unicode text to the few characters the rest of the front-end knows: ASCII, and what a language keeps beyond it.

Accents, ligatures, full-width forms and typographic marks are folded; emoji and symbols become their names. Characters
without a spoken form are dropped only where nothing is lost: invisible ones (`_INVISIBLE`), bullets and lines. Other
scripts are skipped, and the caller gets what was. Control characters and unpaired surrogates are refused by name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ancestral.models.text.emoji import FLAG, SEQUENCE, speak_flag, speak_picture, symbol_name
from ancestral.models.text.spans import SpannedText


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
# Written after a word that stands for something other than text (models/text/script.py).
CUE: Final = "\x02"

_MAX_NAMED: Final = 5
_ENGLISH_WORDS: Final[dict[str, str]] = {
    "−": " minus ", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th",
    "×": " times ", "÷": " divided by ", "±": " plus or minus ", "≈": " approximately ",
    "≠": " != ", "≤": " <= ", "≥": " >= ",  # markup.py speaks them
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
}  # fmt: skip
"""Replacements in every language."""
ENGLISH: Final = Folding("en", "English", frozenset("£€¥₹¢°µ"), _ENGLISH_WORDS)
# Soft hyphen, joiners, marks of direction, zero-width spaces, byte-order mark: without sound and without shape.
_INVISIBLE: Final = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_TOKEN: Final = re.compile(
    "(?P<power>[⁺⁻]?[⁰¹²³⁴-⁹]+)"
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
    """Raise :class:`Unread` if :func:`fold` has skipped all letters of a text."""
    unread = {char for _, word in skipped for char in word}
    if skipped and not any(char.isalpha() and char not in unread for char in text):
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


def _speak_greek(char: str, name: str) -> str | None:
    letter = _GREEK_LETTER.match(name)
    return f" {letter[1].lower().replace('lamda', 'lambda')} " if letter else None


def _fold_letter(char: str) -> str | None:
    name = unicodedata.name(char, "")
    latin = _LATIN_LETTER.match(name)
    if latin:
        return latin[2] if latin[1] == "CAPITAL" else latin[2].lower()
    return _speak_greek(char, name)


def _fold_punctuation(char: str, category: str) -> str | None:
    if category == "Pd":
        return "-"
    if category in ("Pi", "Pf") or char in "„‟〝〞〟「」『』":
        return '"'
    if category in ("Ps", "Pe"):
        return " , "
    return " " if "\u2000" <= char <= "\u206f" or "\u2e00" <= char <= "\u2e7f" else None


def _fold_one(char: str, folding: Folding) -> str | None:
    """The folded form of one character that decomposes no further; None if it cannot be spoken."""
    if char in folding.kept:
        return char
    if char in folding.words:
        return folding.words[char]
    if char in _REPLACED:
        return _REPLACED[char]
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
    if char in folding.kept:
        return char
    if char in folding.words:
        return folding.words[char]
    if char in _REPLACED:
        return _REPLACED[char]
    whole = unicodedata.normalize("NFKD", char)
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
