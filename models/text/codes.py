"""Numbers that are names, not counts: telephone and card numbers, codes, addresses of hosts, models and streets.

They are read digit by digit, or in pairs as a person says them: "A three eighty", "two twenty one B".
"""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.characters import LETTER
from ancestral.models.text.numerals import ELEMENT, cardinal, digits, is_year, pairs, year
from ancestral.models.text.rules import LONG_NUMBER, Match, Rule, number_rule

_LARGEST_OCTET: Final = 255
_LONGEST_COUNT: Final = 2
_NAMED: Final = (
    r"(?:code|zip|pin|password|passcode|passwd|account|acct|card|cvv|cvc|ssn|isbn|id|port|routing|tracking|serial|policy"
    r"|confirmation|reference|ref|booking|reservation|claim|case|licen[cs]e|plate|passport|ext|extension|digits)"
)
_LINK: Final = r"(?:\s+(?:codes?|numbers?|digits|no\.|id|is|are|was|still|ending in|dot)|:|\s+#)*"
_GROUPS: Final = r"\d{2,19}(?:[ -]\d{2,7})*(?![\w.,-]*\d)(?!\w)"
_MIXED: Final = r"(?=[\w-]*\d)(?=[\w-]*[a-z])[a-z\d]+(?:-[a-z\d]+)*(?![\w-])"
_ENDS: Final = r"(?:end(?:s|ing|ed)? (?:in|with)|ending|last (?:four|4)(?: digits)?(?: are| is)?:?)"
_OF_CARD: Final = re.compile(r"\b(?:card|account|number|phone|visa|mastercard|amex)\b", re.IGNORECASE)
_STREET_KIND: Final = (
    "[Ss]treet|[Aa]venue|[Bb]oulevard|[Rr]oad|[Dd]rive|[Ll]ane|Way|[Cc]ourt|[Pp]lace|[Cc]ircle|[Tt]errace|[Tt]rail"
)
_AIRLINE: Final = "AA|AF|BA|CX|DL|EI|EK|EY|IB|JL|KL|LH|LX|NH|QF|QR|SK|SQ|TK|UA|VS|WN"
_STREET: Final = rf"(?:[A-Z][a-z]+|\d+(?:st|nd|rd|th)) (?:{_STREET_KIND})\b"


def spell(text: str) -> str:
    """Letters by their names; short runs of digits as counts, longer ones digit by digit. Signs are pauses."""
    parts = re.findall(r"[A-Za-z]|\d+|[^A-Za-z\d]+", text)
    return " ".join(
        LETTER + part.lower() if part.isalpha() else _short(part) if part.isdigit() else "," for part in parts
    )


def _short(number: str) -> str:
    return cardinal(number) if len(number) <= _LONGEST_COUNT else digits(number)


def each(text: str) -> str:
    """Every letter and digit by its name."""
    return " ".join(f"{LETTER}{char.lower()}" if char.isalpha() else digits(char) for char in text if char.isalnum())


def _groups(text: str) -> str:
    """Groups of letters and digits, a pause between them."""
    return " , ".join(each(group) for group in re.findall(r"[A-Za-z\d]+", text))


def _telephone(match: Match) -> str:
    groups = re.findall(r"\d+", match[0])
    # Toll-free prefixes are said as hundreds.
    spoken = [
        "eight hundred" if group == "800" and i <= 1 < len(groups) else digits(group) for i, group in enumerate(groups)
    ]
    return ("plus " if match[0].startswith("+") else "") + " , ".join(spoken)


def _lettered_telephone(match: Match) -> str:
    prefix = "eight hundred" if match[1] == "800" else digits(match[1])
    return f"one {prefix} , "


def _host(match: Match) -> str:
    octets = match[1].split(".")
    if any(int(octet) > _LARGEST_OCTET for octet in octets):
        return match[0]
    network = f" slash {cardinal(match[2])}" if match[2] else ""
    port = f" colon {_short(match[3])}" if match[3] else ""
    return " dot ".join(pairs(octet) if len(octet) == 3 else cardinal(octet) for octet in octets) + network + port


def _ipv6(match: Match) -> str:
    if "::" not in match[0] and match[0].count(":") < 7:
        return match[0]
    return " ".join("colon" if part == ":" else each(part) for part in re.findall(r":|[^:]+", match[0]))


def _named(match: Match) -> str:
    count = match[2].isdigit() and len(match[2]) <= _LONGEST_COUNT
    return f"{match[1]} {cardinal(match[2]) if count else _groups(match[2])}"


def _ending(match: Match) -> str:
    before = match.string[max(0, match.start() - 40) : match.start()]
    if is_year(match[2]) and not match[1].lower().startswith("last") and not _OF_CARD.search(before):
        return match[0]
    return f"{match[1]} {digits(match[2])}"


def _wireless(match: Match) -> str:
    return f"eight zero two dot {cardinal(match[1])} {each(match[2] or '')}"


def _hyphenated(match: Match) -> str:
    """`45-17 21st Street`, unless it is a range: `12-14 Main Street`."""
    first = cardinal(match[1]) if len(match[1]) == 2 else pairs(match[1])
    is_range = int(match[1]) < int(match[2]) and not match.string[match.end() + 1].isdigit()
    return match[0] if is_range else f"{first} {cardinal(match[2])}"


def _street_number(match: Match) -> str:
    if match[0].endswith("000"):
        return cardinal(match[0])
    if match[0].endswith("00") and len(match[0]) > 3:
        return f"{cardinal(match[0][:-2])} hundred"
    return year(match[0]) if is_year(match[0]) else pairs(match[0])


HOSTS: Final[tuple[Rule, ...]] = (
    number_rule(".", r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?:/(\d{1,2})|:(\d{1,5}))?(?![\d./]*\d)", _host),
    number_rule(":-", r"(?<![\w:-])(?:[\dA-Fa-f]{2}[:-]){5}[\dA-Fa-f]{2}(?![\w:-])", lambda m: _groups(m[0])),
    number_rule(":", r"(?<![\w:])(?:[\dA-Fa-f]{0,4}:){2,7}[\dA-Fa-f]{0,4}(?![\w:])", _ipv6),
)
"""Addresses in a network."""
RULES: Final[tuple[Rule, ...]] = (
    number_rule("xb", r"\b0([xb])([\dA-Fa-f]+)\b", lambda m: f"zero {LETTER}{m[1]} {each(m[2])}"),
    # Hashes and UUIDs.
    number_rule("abcdef", r"\b(?=[a-f]*\d)(?=[\d-]*[a-f])[\da-f]{7,}(?:-[\da-f]{4,}){0,4}\b", lambda m: _groups(m[0])),
    number_rule(LONG_NUMBER, r"\b802\.(\d{1,2})([a-z]{1,2})?\b(?!\.\d)", _wireless),
    number_rule(LONG_NUMBER, r"(?<!\d)(?:\+?\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)", _telephone),
    number_rule("+", r"\+\d{1,3}(?: ?\(\d{1,4}\) ?\d{1,4})?(?:[ -]\d{2,6}){1,5}(?!\d)", _telephone),
    number_rule("-", r"\b1-(8\d\d)-(?=[A-Z])", _lettered_telephone),
    number_rule(LONG_NUMBER, r"(?<![\d-])\d{3}-\d{4}(?![\d-])", _telephone),
    number_rule(":", r"(?<![\w:.])(\d{4,5}):(\d{2,5})(?![\w:])", lambda m: f"{digits(m[1])} to {_short(m[2])}"),
    number_rule("*", r"(?<![\w*])\*(\d{1,3})\b(?!\*)", lambda m: f"star {m[1]}"),
    # Social security numbers, ISBNs, order numbers; ZIP+4; meetings and cards.
    number_rule("-", r"(?<![\w.,-])\d{1,7}(?:-\d{1,7}){2,}(?:-[\dXx])?(?![\w-]|\.\d)", lambda m: _groups(m[0])),
    number_rule(LONG_NUMBER, r"(?<![\w.,-])\d{5}-\d{4}(?![\w-])", lambda m: _groups(m[0])),
    number_rule(LONG_NUMBER, r"(?<![\d.,-])\d{3,4}(?:[ -]\d{3,4}){2,}(?![\d.,-]*\d)", lambda m: _groups(m[0])),
    number_rule(LONG_NUMBER, r"(?<![\d.,-])0\d{2,4}(?: \d{3,7}){1,2}(?![\d.,-]*\d)", lambda m: _groups(m[0])),
    number_rule("", rf"\b({_NAMED}{_LINK}\s*)({_GROUPS}|{_MIXED})", _named, re.IGNORECASE),
    number_rule("", rf"\b({_ENDS}\s+)(\d{{2,6}})(?![\w.,-]*\d)(?![%\w])", _ending, re.IGNORECASE),
    number_rule(LONG_NUMBER, r"(?<=\bnumber )\d{5,}(?![\d.,-]*\d)", lambda m: digits(m[0])),
    number_rule(
        LONG_NUMBER,
        r"\b((?:call|dial|ring|chmod|phone|text|texting|(?:text|send) (?-i:[A-Z]+) to)\s+)(\d{3,6})(?![\d.,:-]*\d)",
        lambda m: f"{m[1]} {digits(m[2])}",
        re.IGNORECASE,
    ),
    number_rule(LONG_NUMBER, r"(?<![\w.,$£€])911(?![\w,.]*\d)", lambda m: digits(m[0])),
    number_rule(
        LONG_NUMBER,
        rf"(?<![\w.,$£€-])\d{{3,4}}(?= (?:(?:North|South|East|West) [A-Z\d]|(?:[A-Z][a-z]+ )?{_STREET}))",
        _street_number,
    ),
    # Addresses in Queens, flights, articles and coupons.
    number_rule(
        "-", rf"(?<![\w.,-])(\d{{2,3}})-(\d\d)(?= (?:[A-Z][a-z]+|\d+(?:st|nd|rd|th)) (?:{_STREET_KIND})\b)", _hyphenated
    ),
    number_rule(LONG_NUMBER, rf"\b({_AIRLINE}) (\d{{3,4}})(?![\w,.]*\d)", lambda m: f"{spell(m[1])} {pairs(m[2])}"),
    number_rule(
        "-",
        r"(?<![\w-])(?=[A-Z\d-]*[A-Z])(?=[A-Z-]*\d)(?:[A-Z]+\d+-\d+[A-Z]+|(?:[A-Z]+|\d+|[A-Z]+\d+|\d+[A-Z]+)(?:-[A-Z\d]+){2,})(?![\w-])",
        lambda m: _groups(m[0]),
    ),
    number_rule(LONG_NUMBER, r"(?<=[A-Z]-)\d{5,}(?![\w.,-]*\d)", lambda m: digits(m[0])),
    number_rule(LONG_NUMBER, r"\b[A-Z]{2,5}\d{5,}\b", lambda m: _groups(m[0])),
    # Plates, postcodes and formulas: several runs of letters and digits, such as 7ABC123, SW1A, C6H12O6.
    number_rule("", r"\b(?:[A-Z]+\d+[A-Z]+\d*|\d+[A-Z]+\d+)[A-Z\d]*\b", lambda m: spell(m[0])),
    number_rule("", rf"(?<![\w.,])\d*(?=\w*[a-z])(?=\w*\d)(?:(?:{ELEMENT})\d*){{2,}}(?!\w)", lambda m: spell(m[0])),
    # Status codes, graphics cards, videos, airliners.
    number_rule(LONG_NUMBER, r"\b(HTTP(?:/\d(?:\.\d)?)? |[GR]TX |RX )(\d{3,4})\b", lambda m: f"{m[1]} {pairs(m[2])}"),
    number_rule(LONG_NUMBER, r"\b(480|720|1080|1440|2160)([pi])\b", lambda m: f"{pairs(m[1])} {LETTER}{m[2]}"),
    number_rule(LONG_NUMBER, r"\bH\.(26\d)\b", lambda m: f"{LETTER}h dot {pairs(m[1])}"),
    number_rule("-", r"\b(7[0-8]7)-([1-9]00|8|9|10)(?![\d-])", lambda m: f"{pairs(m[1])} {cardinal(m[2])}"),
    # SHA-256, Uranium-235, Highway 101, Suite 210.
    number_rule(
        LONG_NUMBER,
        r"\b([A-Z][A-Za-z]*-|(?:Highway|Route|[Ss]uite|Box) +)(\d{3})(?![\d.,]*\d|s\b)",
        lambda m: f"{m[1]} {pairs(m[2])}",
    ),
    number_rule(LONG_NUMBER, r"\b\d{3}(?=\([a-z]\))", lambda m: pairs(m[0])),
    # Without a noun it is a name: "a 404".
    number_rule(LONG_NUMBER, r"(?<=\b[Aa] )\d{3}(?=[,;!?)]|\.(?!\d)|$| (?:error|page)\b)", lambda m: pairs(m[0])),
    # Flights and model numbers: BA2490, A380.
    number_rule(LONG_NUMBER, r"(?<=[A-Z])\d{4}(?!\w)", lambda m: digits(m[0])),
    number_rule(LONG_NUMBER, rf"(?:(?<=[A-Z])|(?<={LETTER}[a-z] ))\d{{3}}(?!\w)(?!\.\d)", lambda m: pairs(m[0])),
    number_rule(LONG_NUMBER, r"(?<![\w.,])\d{3}(?=[A-Z]\b\s+[A-Z])", lambda m: pairs(m[0])),
)
"""Patterns and what is said for them. The order matters: the most specific first."""
