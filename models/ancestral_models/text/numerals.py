"""English numbers, codes and dates in words."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ancestral_models.text import lexicon
from ancestral_models.text.characters import AND, LETTER
from ancestral_models.text.languages.language import MAX_NAMED_DIGITS, Noun, spelled
from ancestral_models.text.rules import END, LONG_NUMBER, START, Match, Rule, number_rule
from ancestral_models.text.tables import table

# Numbers as English words, by CLDR's rules, fitted to running text (no hyphens, no commas).

_FIRST_YEAR: Final = 1100
_LAST_YEAR: Final = 2099
_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DENOMINATORS: Final = {2: "half", 4: "quarter"}
_MAX_DENOMINATOR: Final = 100
# 87/100 is a score; 15/16 is a fraction.
_MAX_NUMERATOR: Final = 10
_MAX_INCHES: Final = 16


def _words(number: int, kind: str) -> str:
    return spelled("en", f"spellout-{kind}", number).replace(",", "").replace(" and ", AND)


def digits(text: str) -> str:
    """Each digit of `text` by its name; other characters are skipped."""
    return " ".join(_DIGITS[int(char)] for char in text if char in "0123456789")


def cardinal(text: str) -> str:
    """A whole number such as `1234`, `1,234` or `007` (digit by digit, as leading zeros ask for)."""
    plain = text.replace(",", "")
    if len(plain) > MAX_NAMED_DIGITS or (len(plain) > 1 and plain[0] == "0"):
        return digits(plain)
    return _words(int(plain), "cardinal-verbose")


def ordinal(text: str) -> str:
    """`21` as "twenty first"; longer numbers than can be followed are read digit by digit."""
    plain = text.replace(",", "")
    return digits(plain) if len(plain) > MAX_NAMED_DIGITS else _words(int(plain), "ordinal-verbose")


def number(text: str) -> str:
    """A number with or without a decimal point and thousands separators, `.5` included."""
    whole, point, fraction = text.partition(".")
    if not point:
        return cardinal(whole)
    return f"{cardinal(whole or '0')} point {digits(fraction)}"


def is_year(text: str) -> bool:
    """Whether four bare digits are likelier to be a year than a count."""
    return text.isdigit() and len(text) == 4 and _FIRST_YEAR <= int(text) <= _LAST_YEAR


def year(text: str) -> str:
    """`1999` as "nineteen ninety nine", `2005` as "two thousand and five"."""
    return cardinal(text) if text.startswith("200") else _words(int(text), "numbering-year")


def pairs(text: str) -> str:
    """Three or four digits as two numbers: "three eighty", "ten oh five"; round ones as a count."""
    first, last = text[:-2], text[-2:]
    if first.startswith("0") or last == "00":
        return cardinal(text)
    return f"{cardinal(first)} {'oh ' + cardinal(last[1]) if last[0] == '0' else cardinal(last)}"


def plain_number(text: str) -> str:
    """A number without a unit: four bare digits that can be a year are read as one."""
    return year(text) if is_year(text) else number(text)


def plural(words: str) -> str:
    """The plural of the last word of a number: "nineteen nineties"."""
    return words[:-1] + "ies" if words.endswith("y") else words + ("es" if words.endswith("x") else "s")


def fraction(numerator: str, denominator: str) -> str:
    """`3/4` as "three quarters"; what is no ordinary fraction is read with "over"."""
    over, under = int(numerator), int(denominator)
    if not (0 < over < under <= _MAX_DENOMINATOR) or (over > _MAX_NUMERATOR and under > _MAX_INCHES):
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    name = _DENOMINATORS.get(under) or ordinal(denominator)
    if over == 1:
        return f"one {name}"
    return f"{cardinal(numerator)} {'halves' if under == 2 else name + 's'}"


class Currency(NamedTuple):
    """A currency's name and its hundredth's, the latter empty if it has none in use."""

    one: str
    many: str
    cent: str
    cents: str


_TABLE: Final = table("english")


def _unit(names: str) -> Noun:
    one, _, many = names.partition(", ")
    return Noun(one, many or f"{one}s")


def _units() -> dict[str, Noun]:
    units = {symbol: _unit(names) for symbol, names in _TABLE.pairs("units")}
    for length in ("km", "m", "cm", "mm"):
        for power, word in (("2", "square"), ("3", "cubic")):
            units[length + power] = units[f"{length}^{power}"] = _unit(f"{word} {units[length].one}")
    return units


CURRENCY_CODES: Final = _TABLE.entries("currency_codes")
CURRENCIES: Final = {
    sign: Currency(*[*names.split(", "), "", ""][:4])
    for sign, names in (*_TABLE.pairs("currencies"), *CURRENCY_CODES.items())
}
UNITS: Final = _units()
ELEMENT: Final = (
    "A[cglmrstu]|B[aehikr]?|C[adeflmorsu]?|D[bsy]|E[rsu]|F[emr]?|G[ade]|H[efgos]?|I[nr]?|K[r]?|L[aiuv]|M[dgnot]|N[abdehiop]?"
    "|O[s]?|P[abdmortu]?|R[abefghnu]|S[bcegimnr]?|T[abehilm]|U|V|W|Xe|Y[b]?|Z[nr]"
)
"""A pattern: the symbol of a chemical element."""


# Numbers that are names, not counts: telephone and card numbers, codes, addresses of hosts, models and streets.
#
# They are read digit by digit, or in pairs as a person says them: "A three eighty", "two twenty one B".

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
_PLACE: Final = "(?i:track|seat|gate|row|room|unit|platform|bus|exit|hall|terminal|pier|lot|bay|runway)"
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
    word = re.match(r"([A-Za-z][a-z]{3,})(?=\d+$)", match[2])
    if word and lexicon.contains(word[1].lower()):
        return f"{match[1]} {word[1]} {_short(match[2][word.end() :])}"
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
_COUNTED: Final = r" ?(?!(?:after|and|as|because|errors?|for|if|in|instead|on|or|to|until|when|with)\b)[a-z%]"
"""What follows a number that counts something: "returned 450 books", but "returned 404 for it"."""
CODE_RULES: Final[tuple[Rule, ...]] = (
    number_rule("xb", r"\b0([xb])([\dA-Fa-f]+)\b", lambda m: f"zero {LETTER}{m[1]} {each(m[2])}"),
    # Hashes and UUIDs.
    number_rule(
        "abcdef",
        r"\b(?=[a-f]*\d)(?=\d*+(?:-\d++){0,4}-*[a-f])[\da-f]{7,}(?:-[\da-f]{4,}){0,4}\b",
        lambda m: _groups(m[0]),
    ),
    number_rule(LONG_NUMBER, r"\b802\.(\d{1,2})([a-z]{1,2})?\b(?!\.\d)", _wireless),
    number_rule(LONG_NUMBER, r"(?<!\d)(?:\+?\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)", _telephone),
    number_rule("+", r"\+\d{1,3}(?: ?\(\d{1,4}\) ?\d{1,4})?(?:[ -]\d{2,6}){1,5}(?!\d)", _telephone),
    number_rule("-", r"\b1-(8\d\d)-(?=[A-Z])", _lettered_telephone),
    number_rule(
        "-",
        r"\b((?:ISO|EN|IEC|DIN|BS|MIL)(?:[ /][A-Z]+)?) (\d{3,5})-(\d{1,4})\b",
        lambda m: f"{m[1]} {digits(m[2])} dash {cardinal(m[3])}",
    ),
    number_rule(LONG_NUMBER, r"(?<![\d-])\d{3}-\d{4}(?![\d-])", _telephone),
    number_rule(":", r"(?<![\w:.])(\d{4,5}):(\d{2,5})(?![\w:])", lambda m: f"{digits(m[1])} to {_short(m[2])}"),
    number_rule("*", r"(?<![\w*])\*(\d{1,3})\b(?!\*)", lambda m: f"star {m[1]}"),
    # Social security numbers, ISBNs, order numbers; ZIP+4; meetings and cards.
    number_rule("-", r"(?<![\w.,-])\d{1,7}(?:-\d{1,7}){2,}(?:-[\dXx])?(?![\w-]|\.\d)", lambda m: _groups(m[0])),
    number_rule(LONG_NUMBER, r"(?<![\w.,-])\d{5}-\d{4}(?![\w-])", lambda m: _groups(m[0])),
    number_rule(LONG_NUMBER, r"(?<![\d.,-])\d{3,4}(?:[ -]\d{3,4}){2,}(?![\d.,-]*\d)", lambda m: _groups(m[0])),
    number_rule(LONG_NUMBER, r"(?<![\d.,-])\(?0\d{1,4}\)?(?: \d{3,7}){1,2}(?![\d.,-]*\d)", lambda m: _groups(m[0])),
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
    number_rule("", rf"\b({_PLACE} +)(\d{{1,3}}[A-Z])\b", lambda m: f"{m[1]}{spell(m[2])}"),
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
    number_rule(
        LONG_NUMBER,
        rf"\b((?i:returns?|returned|throws?) )([45]\d\d)(?![\w,.]*\d|{_COUNTED})",
        lambda m: f"{m[1]}{pairs(m[2])}",
    ),
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


# Dates and times of day to words.

_MONTHS: Final = _TABLE.listed("months")
_MONTH: Final = (
    r"(Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# What stands before a day: 3/14 is a fraction elsewhere, unless only a date has a zero first.
_BEFORE_DAY: Final = re.compile(
    r"(?:day|date|deadline|\bsee you|\bmeet(?:ing)?|\barriv\w+|\bleav\w+|\bscheduled|\bpostponed to|\bas of|"
    r"\bdue|\bdated|\bends|\bstarts|\bon|\buntil|\bsince|\bborn)(?:,?| is):? +$",
    re.IGNORECASE,
)
_MAYBE_BEFORE_DAY: Final = re.compile(r"\b(?:by|before|after|from|through|to) +$", re.IGNORECASE)
_FRACTION_AFTER: Final = re.compile(r" (?:of|cups?|inch|inches|mile|tsp|tbsp|oz|in)\b")
_USUAL: Final = {"1", "16", "20", "24", "25", "30", "32", "64", "100"}
"""Numbers of usual fractions."""
_DAY_AFTER: Final = re.compile(r" (?:at|@|via)\s")
_SUM_BEFORE: Final = re.compile(r"(?:[=+*/-]|\b(?:is|equals|plus|minus|times|of|by)) *$")
_LONGEST_DAY_BEFORE: Final = 16
_LAST_MONTH: Final = 12
_BEFORE_DURATION: Final = re.compile(r"\b(?:took|takes|in|of|time|ran|run|lasts|lasted|finished|for|after)\W+$")


def _date(year_digits: str, month: int, day: str) -> str:
    if year_digits.startswith("0"):
        return f"{_MONTHS[month - 1]} {ordinal(day)} oh {cardinal(year_digits[1:])}"
    suffix = f" {plain_number(year_digits)}" if year_digits else ""
    return f"{_MONTHS[month - 1]} {ordinal(day)}{suffix}"


def _is_date(month: str, day: str) -> bool:
    return 1 <= int(month) <= _LAST_MONTH and 1 <= int(day) <= _DAYS[int(month) - 1]


def _iso_date(match: Match) -> str:
    year_digits, sign, month, day = match.groups()
    if not _is_date(month, day):
        return f" {'dash' if sign == '-' else 'slash'} ".join(map(cardinal, (year_digits, month, day)))
    return _date(year_digits, int(month), str(int(day)))


def _slash_date(match: Match) -> str:
    # The voice is American: 5/4/2026 is the fourth of May. A first number above twelve can only be a day.
    first, second, year_digits = match[1], match[3], match[4]
    month, day = (first, second) if _is_date(first, second) else (second, first)
    if not _is_date(month, day):
        return " slash ".join(map(cardinal, (first, second, year_digits))) if match[2] == "/" else match[0]
    return _date(year_digits, int(month), str(int(day)))


def _british_date(match: Match) -> str:
    day, month = match["day"], match["month"]
    return _day_of_month(match, day, int(month), match["year"]) if _is_date(month, day) else match[0]


def _british_day(match: Match) -> str:
    day, month = match[1], match[2]
    return _day_of_month(match, day, int(month)) if _is_date(month, day) and _is_day(match) else match[0]


def _is_day(match: Match) -> bool:
    """Whether two numbers with a slash between them are the day of a year, and no fraction."""
    before = match.string[max(0, match.start() - _LONGEST_DAY_BEFORE) : match.start()]
    above_month = max(int(match[1]), int(match[2])) > _LAST_MONTH
    is_day = _BEFORE_DAY.search(before) or (above_month and _MAYBE_BEFORE_DAY.search(before))
    zero = match[1][0] == "0" or match[2][0] == "0"
    odd = above_month and not {match[1], match[2]} & _USUAL and _DAY_AFTER.match(match.string, match.end())
    return bool(is_day or zero or (odd and not _SUM_BEFORE.search(before))) and not _FRACTION_AFTER.match(
        match.string, match.end()
    )


def _day(match: Match) -> str:
    month, day = match[1], match[2]
    return _date("", int(month), str(int(day))) if _is_date(month, day) and _is_day(match) else match[0]


def _days(match: Match) -> str:
    days = match.group(1, 2), match.group(3, 4)
    if _FRACTION_AFTER.match(match.string, match.end()) or not all(_is_date(*day) for day in days):
        return match[0]
    first, last = (_date("", int(month), str(int(day))) for month, day in days)
    return f"{first} to {last}"


def _month_number(name: str) -> int:
    return next(i for i, month in enumerate(_MONTHS, 1) if month.startswith(name.lower()[:3]))


def _month_day(match: Match) -> str:
    last = f" to {ordinal(match[3])}" if match[3] else ""
    return _date("", _month_number(match[1]), match[2]) + last + (f" {plain_number(match[4])}" if match[4] else "")


def _day_month(match: Match) -> str:
    return _day_of_month(match, match[1], _month_number(match[2]), match[3])


def _day_of_month(match: Match, day: str, month: int, year_digits: str | None = None) -> str:
    year_words = f" {plain_number(year_digits)}" if year_digits else ""
    article = (
        ""
        if match.string[max(0, match.start() - _LONGEST_DAY_BEFORE) : match.start()].rstrip().lower().endswith("the")
        else "the "
    )
    return f"{article}{ordinal(str(int(day)))} of {_MONTHS[month - 1]}{year_words}"


def _half_day(letter: str) -> str:
    return f"{LETTER}{letter.lower()} {LETTER}m"


def _time(match: Match) -> str:
    hour, minute, second, half = int(match[1]), match[2], match[3], match[5] or match[6]
    if hour > 24 or int(minute) > 59:
        return f"{cardinal(match[1])} to {cardinal(minute)}"
    if second and not half and _BEFORE_DURATION.search(match.string[max(0, match.start() - 12) : match.start()]):
        return _duration(hour, int(minute), int(second))
    spoken = cardinal(str(hour))
    if minute != "00":
        spoken += f" oh {cardinal(minute[1])}" if minute[0] == "0" else f" {cardinal(minute)}"
    elif not half and not second:
        spoken += " o'clock" if 1 <= hour <= 12 else " hundred"
    if second and second != "00":
        spoken += f" and {cardinal(str(int(second)))} seconds"
    if half:
        return f"{spoken} {_half_day(half)}"
    return f"{spoken} {LETTER}z" if match[4] else spoken


def _duration(*parts: int) -> str:
    named = [
        f"{cardinal(str(count))} {unit}{'' if count == 1 else 's'}"
        for count, unit in zip(parts, ("hour", "minute", "second"), strict=True)
        if count
    ]
    return " and ".join(filter(None, (" ".join(named[:-1]), *named[-1:])))


def _hours(match: Match) -> str:
    """`0730 hrs`."""
    hour, minute = (f"{'oh ' * (part[0] == '0')}{cardinal(str(int(part)))}" for part in match.groups())
    return f"{hour} {'hundred' if match[2] == '00' else minute} hours"


def _season(match: Match) -> str:
    first, sign, last = match[1], match[2], int(match[3])
    if last != (int(first) + 1) % 100:
        is_month = sign == "-" and 1 <= last <= min(_LAST_MONTH, int(first[2:]) - 1)
        return f"{_MONTHS[last - 1]} {year(first)}" if is_month else match[0]
    words = year(str(int(first) + 1)) if last == 0 else f"{'oh ' if last < 10 else ''}{cardinal(str(last))}"
    return f"{year(first)} to {words}"


def _expiry(match: Match) -> str:
    word = "expires" if match[1].rstrip(".").lower() == "exp" else match[1]
    return f"{word} {cardinal(match[2])} {cardinal(match[3])}"


BRITISH_RULES: Final[tuple[Rule, ...]] = (
    number_rule(
        "/.-", rf"{START}(?P<day>\d{{1,2}})([/.-])(?P<month>\d{{1,2}})\2(?P<year>\d{{4}}|\d\d){END}", _british_date
    ),
    number_rule("-", rf"{START}(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d){END}", _british_date),
    number_rule("/", r"(?<![\w/.,-])(\d{1,2})/(\d{1,2})(?![\w/])(?!\.\d)", _british_day),
)
"""The rules of British voices, before :data:`RULES`: the day comes first."""
DATE_RULES: Final[tuple[Rule, ...]] = (
    number_rule(
        LONG_NUMBER, r"(?:(?<=\b[Aa]t )|(?<=\b[Bb]y )|(?=\b0))([01]\d|2[0-3])([0-5]\d) ?(?:hrs?|hours)\b", _hours
    ),
    number_rule("'", rf"\b{_MONTH} '(\d\d)\b", lambda m: f"{_MONTHS[_month_number(m[1]) - 1]} {cardinal(m[2])}"),
    number_rule(
        "/", r"\b([Ee]xp\.?|[Ee]xpir\w+|[Vv]alid \w+|VALID \w+|EXP):? ?(0[1-9]|1[0-2])/(\d\d)(?![\d/])", _expiry
    ),
    number_rule("F", r"\bFY ?'?(\d{2}|\d{4})\b", lambda m: f"{LETTER}f {LETTER}y {plain_number(m[1])}"),
    number_rule(
        "/", r"(?<![\w/.])(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/])", lambda m: f"{_MONTHS[int(m[1]) - 1]} {year(m[2])}"
    ),
    number_rule("/-", r"(?<![\w/.-])((?:19|20)\d\d)([/-])(\d\d)(?![\w/-])", _season),
    number_rule("-/", rf"{START}(\d{{4}})([-/])(\d{{1,2}})\2(\d{{1,2}})(?:T(?=\d)|{END})", _iso_date),
    number_rule("/.-", rf"{START}(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}}){END}", _slash_date),
    number_rule("/", rf"{START}(\d{{1,2}})(/)(\d{{1,2}})/(\d{{2}})(?!/){END}", _slash_date),
    number_rule("-", r"(?<![\w/.,-])(\d{1,2})/(\d{1,2}) ?- ?(\d{1,2})/(\d{1,2})(?![\w/-])", _days),
    number_rule("/", r"(?<![\w/.,-])(\d{1,2})/(\d{1,2})(?![\w/])(?!\.\d)", _day),
    number_rule("'", r"(?<![\w'])'0(\d)\b(?!['\"])", lambda m: f"oh {cardinal(m[1])}"),
    number_rule("1", r"(?<=\b[Ii]n )10\d\d(?=[,;)]|\.(?!\d)|$)", lambda m: year(m[0])),
    number_rule(
        "",
        rf"\b{_MONTH} +([12]?\d|3[01])(?:st|nd|rd|th)?(?![\d:])(?: ?- ?([12]?\d|3[01])(?![\w:-]))?(?:,? (\d{{4}})\b)?",
        _month_day,
    ),
    number_rule("", rf"{START}([12]?\d|3[01])(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? (\d{{4}})\b)?", _day_month),
    number_rule("-", r"(?i:(?<=[ap]m)\s?-\s?(?=\d|noon|midnight|close\b)|(?<=\bnoon)\s?-\s?(?=\d))", lambda _: "to"),
    number_rule(
        ":",
        rf"{START}(\d{{1,2}}):(\d{{2}}\.\d{{1,3}})(?![\d:])",
        lambda m: f"{cardinal(m[1])} {'oh ' * (m[2][0] == '0')}{number(m[2].removeprefix('0'))}",
    ),
    number_rule(":", rf"{START}(\d{{1,2}}):(\d{{2}})(?::(\d{{2}}))?(?:(Z)|\s?([AaPp])[Mm]\b|([ap])\b)?{END}", _time),
    number_rule("aApP", rf"{START}(\d{{1,2}})\s?([AaPp])[Mm]\b", lambda m: f"{cardinal(m[1])} {_half_day(m[2])}"),
    number_rule("y", r"\b(year (?:is |was )?)(2[1-9]\d\d)\b(?!,\d)", lambda m: f"{m[1]}{year(m[2])}"),
    number_rule("B", r"(?<![\w.,])\d{3,4}(?= BCE?\b)", lambda m: year(m[0])),
)
"""Rules for what has digits. The order matters: the most specific first."""
