"""Any Unicode text to the few characters the rest of the front-end knows: ASCII and the signs in `KEPT`.

Accents, ligatures, full-width forms and typographic marks are folded; emoji and symbols become their names;
invisible characters disappear; anything else, first of all other scripts, is refused by name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

KEPT: Final = frozenset("£€¥₹¢°µ")
# Written before a letter that later stages must speak by its name; `fold` drops control characters from its input.
LETTER: Final = "\x01"

_MAX_NAMED: Final = 5
_MAX_GREEK_RUN: Final = 2
_REPLACED: Final[dict[str, str]] = {
    "\t": " ", "\r": "\n", "\x0b": "\n", "\x0c": "\n", "\x85": "\n", "\u2028": "\n", "\u2029": "\n\n",
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "ʼ": "'", "ʹ": "'", "′": "'", "`": "'", "´": "'",
    "″": '"', "—": " , ", "―": " , ", "⸺": " , ", "…": "...", "−": " minus ", "⁃": "-",
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "th", "Ð": "Th", "þ": "th", "Þ": "Th", "ı": "i", "ŋ": "ng", "Ŋ": "NG",
    "×": " times ", "÷": " divided by ", "±": " plus or minus ", "≈": " approximately ",
    "≠": " not equal to ", "≤": " less than or equal to ", "≥": " greater than or equal to ",
    "√": " square root of ", "∑": " sum of ", "∫": " integral of ", "∂": " partial ", "∆": " delta ",
    "∇": " nabla ", "∈": " in ", "∞": " infinity ", "§": " section ", "¶": " paragraph ", "©": " copyright ",
    "®": " ", "™": " ", "†": " ", "‡": " ", "‰": " per mille ", "¿": " ", "¡": " ", "·": " , ", "•": " , ",
    "‣": " , ", "※": " , ", "¬": " not ", "⁄": "/", "∕": "/", "。": ". ", "、": ", ", "・": " , ", "〜": "-",
    "№": " No. ", "₿": " bitcoin ", "\u00b5": "µ",
}  # fmt: skip
_EMOJI_NAMES: Final[dict[str, str]] = {
    "❤": "red heart", "♥": "heart", "☺": "smiling face", "⭐": "star", "✅": "check mark", "✔": "check mark",
    "❌": "cross mark", "🔟": "ten", "🤷": "shrug", "😂": "face with tears of joy", "🙏": "folded hands",
    "🤦": "facepalm", "💯": "one hundred", "🏻": "skin tone", "🏼": "skin tone", "🏽": "skin tone",
    "🏾": "skin tone", "🏿": "skin tone", "🆗": "okay",
    "→": "right arrow", "←": "left arrow", "🏴gbeng": "flag of England",
    "🏴gbsct": "flag of Scotland", "🏴gbwls": "flag of Wales",
}  # fmt: skip
_FLAGS: Final[dict[str, str]] = {
    "AU": "Australia", "BR": "Brazil", "CA": "Canada", "CH": "Switzerland", "CN": "China", "DE": "Germany",
    "ES": "Spain", "EU": "the European Union", "FR": "France", "GB": "the United Kingdom", "GR": "Greece",
    "IE": "Ireland", "IN": "India", "IT": "Italy", "JP": "Japan", "KR": "South Korea", "MX": "Mexico",
    "NL": "the Netherlands", "NZ": "New Zealand", "PL": "Poland", "PT": "Portugal", "RU": "Russia",
    "SE": "Sweden", "TR": "Turkey", "UA": "Ukraine", "US": "the United States", "ZA": "South Africa",
}  # fmt: skip

_PICTURE: Final = "[←-⇿⌀-⏿─-➿⤀-⯿〰〽\U0001f000-\U0001f1e5\U0001f200-\U0001faff]"
_MODIFIERS: Final = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
_TOKEN: Final = re.compile(
    "(?P<power>[⁰¹²³⁴-⁹⁺⁻]+)"
    "|(?P<keycap>[0-9#*])\ufe0f?\u20e3"
    "|(?P<flag>[\U0001f1e6-\U0001f1ff]{2})"
    f"|(?P<picture>{_PICTURE}{_MODIFIERS}(?:\u200d{_PICTURE}{_MODIFIERS})*)"
    "|.",
    re.DOTALL,
)
_DECORATION: Final = re.compile("[─-◿✐-✓❘-❞❡-❧➲-➿]")
_GREEK_LETTER: Final = re.compile(r"GREEK (?:\w+ )*LETTER (?:\w+ )*?(\w+)(?: WITH [\w ]+)?$")
_LATIN_LETTER: Final = re.compile(r"LATIN (SMALL|CAPITAL) LETTER ([A-Z])(?: WITH [\w ]+)?$")
# Combining marks that English text, loan words and mathematics use; others belong to other scripts.
_DROPPED_MARK: Final = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\U000e0100-\U000e01ef]"
)
# Symbols outside these blocks are parts of other scripts or have names that listeners would not understand.
_NAMED_SYMBOL: Final = re.compile("[\u00a0-\u00ff\u02c2-\u02df\u2000-\u27ff\u2900-\u2bff\U0001f000-\U0001faff]")


class UnsupportedText(ValueError):
    """The text cannot be spoken: it is empty of words, or it has characters of a script other than Latin."""


def _name(char: str) -> str:
    return unicodedata.name(char, f"unnamed character U+{ord(char):04X}")


def _refuse(found: Iterable[tuple[int, str]]) -> UnsupportedText:
    distinct: dict[str, int] = {}
    for position, char in found:
        distinct.setdefault(char, position)
    named = [f"{char!r} ({_name(char)}, at position {place})" for char, place in list(distinct.items())[:_MAX_NAMED]]
    if len(distinct) > _MAX_NAMED:
        named.append(f"and {len(distinct) - _MAX_NAMED} more")
    return UnsupportedText(f"cannot speak {', '.join(named)}: only English in Latin letters is supported")


def _picture_name(char: str) -> str:
    if char in _EMOJI_NAMES:
        return _EMOJI_NAMES[char]
    name = unicodedata.name(char, "").lower().replace("-", " ")
    return re.sub(r" (?:sign|symbol)$", "", name)


def _speak_picture(sequence: str) -> str | None:
    """The words for one emoji sequence, or None if a part of it has no name."""
    tags = "".join(chr(ord(char) - 0xE0000) for char in sequence if "\U000e0020" <= char < "\U000e007f")
    if sequence[0] + tags in _EMOJI_NAMES:
        return _EMOJI_NAMES[sequence[0] + tags]
    parts = [part[0] for part in sequence.split("\u200d") if part]
    sexes = [{"♀": "woman", "♂": "man"}[part] for part in parts[1:] if part in "♀♂"]
    pictures = [part for part in parts if part not in "♀♂"] or parts[:1]
    if all(_DECORATION.match(part) and part not in _EMOJI_NAMES for part in pictures):
        return ""
    names = [_picture_name(part) for part in pictures]
    return " ".join([*sexes, *names]) if all(names) else None


def _speak_flag(letters: str) -> str:
    code = "".join(chr(ord(char) - 0x1F1E6 + ord("A")) for char in letters)
    return f"flag of {_FLAGS[code]}" if code in _FLAGS else f"flag {code[0]}. {code[1]}."


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


def _fold_one(char: str) -> str | None:
    """The folded form of one character that decomposes no further; None if it cannot be spoken."""
    if char in _REPLACED:
        return _REPLACED[char]
    if char in KEPT or " " <= char <= "~" or char == "\n":
        return char
    category = unicodedata.category(char)
    if category[0] == "L":
        return _fold_letter(char)
    if category[0] == "P":
        return _fold_punctuation(char, category)
    if category[0] == "S":
        return f" {_picture_name(char)} " if category == "Sc" or _NAMED_SYMBOL.match(char) else None
    if category[0] == "Z":
        return " "
    if category in ("Cc", "Cf"):
        return ""
    return "" if _DROPPED_MARK.match(char) else None


def _fold_char(char: str) -> str | None:
    if char in _REPLACED:
        return _REPLACED[char]
    whole = unicodedata.normalize("NFKD", char)
    # A negated relation decomposes to the relation and a stroke; dropping the stroke would say the opposite.
    if "\u0338" in whole:
        return f" {_picture_name(char)} "
    parts = [_fold_one(part) for part in whole]
    folded = "".join(part for part in parts if part is not None) if None not in parts else None
    # "2½" must not become "21/2".
    return f" {folded}" if folded and "\u2044" in whole else folded


def _fold_token(token: re.Match[str]) -> str | None:
    if token["power"]:
        # Before NFKD, which would turn the 2 of x² into a plain digit.
        return "^" + unicodedata.normalize("NFKC", token[0]).replace("\u2212", "-")
    if token["keycap"]:
        return token["keycap"]
    if token["flag"]:
        return _speak_flag(token["flag"])
    return _speak_picture(token["picture"]) if token["picture"] else _fold_char(token[0])


def _greek_words(text: str) -> list[tuple[int, str]]:
    runs = re.finditer(f"[\u0370-\u03ff\u1f00-\u1fff]{{{_MAX_GREEK_RUN + 1},}}", text)
    return [(run.start(), run[0][0]) for run in runs]


def fold(text: str) -> str:
    """Brings any text to ASCII and the signs in `KEPT`.

    Args:
        text: any Unicode string.

    Returns:
        A string that may still be empty of words.

    Raises:
        UnsupportedText: for characters that have no English reading; the message gives each one's name and
            its position in `text`.
    """
    if text.isascii() and text.isprintable():
        return text.replace("`", "'")
    pieces: list[str] = []
    refused = _greek_words(text)
    last_picture = ""
    for token in _TOKEN.finditer(text):
        folded = _fold_token(token)
        if folded is None:
            refused.append((token.start(), token[0][0]))
        elif token["picture"] or token["flag"]:
            # A row of the same picture is said once.
            pieces.append("" if folded == last_picture else f" , {folded} , ")
            last_picture = folded
        else:
            pieces.append(folded)
            last_picture = last_picture if token[0].isspace() else ""
    if refused:
        raise _refuse(sorted(refused))
    return "".join(pieces)
