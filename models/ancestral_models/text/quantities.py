"""English quantities with their units, money, and formulas in words."""

from __future__ import annotations

import re
from typing import Final

from ancestral_models.text.characters import LETTER, in_quotation
from ancestral_models.text.numerals import (
    CODE_RULES,
    CURRENCIES,
    CURRENCY_CODES,
    DATE_RULES,
    UNITS,
    cardinal,
    digits,
    fraction,
    number,
    ordinal,
    pairs,
    plain_number,
    plural,
)
from ancestral_models.text.rules import END, LONG_NUMBER, START, Match, Rule, SpannedText, apply_all, number_rule, rule
from ancestral_models.text.tables import table

# Written quantities to words: money, units, fractions, plain numbers.
#
# Every rule is a pattern and a function of its match. They are tried in the order of `RULES`, most specific
# first, and what a rule has spoken has no digits left for a later one to find. Dates, and numbers that are names, are
# in numerals.py.

_NUMBER: Final = r"(?:(?<!\d)(?<!\d,)\d{1,3}(?:(?:,\d{2})*,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_SCALE: Final = r"(?:[\s-]?(hundred|thousand|million|billion|trillion|[kKmM]|bn|tn|[BT])\b)?"
_SCALES: Final = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "t": "trillion", "tn": "trillion"}
_SIGNS: Final = "$£€¥₹"
_CODE_NAMES: Final = "|".join(CURRENCY_CODES)
_SET: Final = r"\d{1,2}-\d{1,2}(?: ?\(\d{1,2}(?:-\d{1,2})?\))?"
_LEAST_OF_SET: Final = 6
_UNIT: Final = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_THOUSANDS: Final = {"": "", "k": "kilo ", "M": "mega "}
_PERIODS: Final = table("english").entries("periods")
_PER: Final = (
    "hour|hr|h|day|night|week|wk|month|mo|year|yr|minute|min|person|piece|item|unit|user|head|share|gallon|pound|lb|kg"
    f"|{_UNIT}"
)
_COUNTRIES: Final = {
    "US": f"{LETTER}u {LETTER}s ", "CA": "canadian ", "C": "canadian ", "AU": "australian ", "A": "australian ",
    "HK": "hong kong ", "NT": "taiwan ", "S": "singapore ", "NZ": "new zealand ", "": "",
}  # fmt: skip
# A quantity between one of these words and a noun is an adjective, and singular: "a $5 bill", "the 100m record".
_BEFORE_ADJECTIVE: Final = re.compile(
    r"(?:\b(?:an?|the|this|that|each|every|another|my|your|his|her|its|our|their|by)"
    r"|\b(?!(?:it|that|this|there|here|what|who|where|how|he|she|let|one|\w+(?:thing|one|body))'s)(?:[a-z]+'s|[a-z]+s'))"
    r" +(?:[\d.,]+ +to +)?$",
    re.IGNORECASE,
)
_LONGEST_BEFORE_ADJECTIVE: Final = 32
_NO_NOUN, _ADVERB = (table("english").pattern(section) for section in ("no_nouns", "adverbs"))
_LONE_ADVERB: Final = rf"(?:{_ADVERB})\b(?! +(?!(?:{_NO_NOUN}|{_ADVERB})\b)[A-Za-z]{{3}})"
_NOUN: Final = rf" +(?!(?:{_NO_NOUN})\b|{_LONE_ADVERB})(?:[A-Z]{{2}}|[A-Za-z]{{3}})"
_NOUN_AFTER: Final = re.compile(_NOUN)
# The other sides of a thing: "4 ft by 8 ft sheet".
_SIDES_AFTER: Final = re.compile(rf"(?: +by +{_NUMBER}[\s-]?(?:{_UNIT})){{1,2}}{_NOUN}")


_PARTS_AFTER: Final = re.compile(r" (?!across|always|less|plus|this)[a-z]{3,}s\b")
"""What stands after an adjective written as one: "9V batteries"."""
_COUNT: Final = r"\d{1,3}(?:,\d{3}|\d?)"
# Before and after what has been reached of a number that there is: HP 40/50, 3/5 wolves.
_COUNTED_BEFORE: Final = re.compile(
    r"\b(?:[HMXSEA]P|[Hh]ealth|[Mm]ana|[Qq]uests?|[Ww]ave|[Pp]rogress"
    r"|[Aa]mmo|[Ll]ives|[Ss]core|[Ll]ap|[Rr]ound|[Pp]age|[Ss]tep|[Pp]arty|[Tt]eam):? +\(?$"
)
_COUNTED_AFTER: Final = re.compile(
    r" +(?:complet|done\b|slain\b|found\b|collected\b|wolves\b|men\b|women\b|people\b"
    r"|(?!(?:cups|inches|miles|hours|pounds|lbs|ounces|acres|yards|days|years|weeks|months|t\w+spoons|times|as|is|was)\b)"
    r"[a-z]+s\b)"
)


def _is_adjective(match: Match) -> bool:
    before = match.string[max(0, match.start() - _LONGEST_BEFORE_ADJECTIVE) : match.start()]
    noun = _BEFORE_ADJECTIVE.search(before) and _NOUN_AFTER.match(match.string, match.end())
    return bool(noun or _SIDES_AFTER.match(match.string, match.end()))


def _money(amount: str, scale: str | None, sign: str, country: str = "", *, adjective: bool = False) -> str:
    names = CURRENCIES[sign]
    many = country + (names.one if adjective else names.many)
    if scale:
        return f"{number(amount)} {_SCALES.get(scale.lower(), scale.lower())} {many}"
    whole, _, cents = amount.replace(",", "").partition(".")
    if len(cents) == 1 or len(cents) > 2 or (cents and not names.cents):
        return f"{number(amount)} {many}"
    whole = whole or "0"
    small = int(cents or "0")
    cent_words = f"{cardinal(str(small))} {names.cent if small == 1 or adjective else names.cents}"
    if small and int(whole) == 0:
        return cent_words
    main = f"{cardinal(whole)} {country + names.one if whole == '1' else many}"
    return f"{main} and {cent_words}" if small else main


def _sets(match: Match) -> str:
    """The score of a match in tennis; other rows of pairs are ranges: `pages 6-7, 8-9`."""
    sets = [(int(first), int(second)) for first, second in re.findall(r"(\d+)-(\d+)", match[0])]
    won = all(max(pair) >= _LEAST_OF_SET for pair in sets) and any(first > second for first, second in sets)
    return match[0].replace("-", " ") if won else match[0]


def _ohms(match: Match) -> str:
    return f"{number(match[1])} {_THOUSANDS[match[2]]}ohm{'s' * (not _is_adjective(match))}"


def _money_range(match: Match) -> str:
    first = _money(match[2], None, match[1]) if "." in match[2] and not match[4] else number(match[2])
    return f"{first} to {_money(match[3], match[4], match[1])}"


def _signed(match: Match) -> str:
    return _money(match[3], match[4], match[2], _COUNTRIES[match[1] or ""], adjective=_is_adjective(match))


def _per(match: Match) -> str:
    unit = UNITS.get(match[2])
    return f"{match[1]} per {_PERIODS.get(match[2].lower()) or (unit.one if unit else match[2])}"


def _per_unit(symbol: str | None) -> str:
    return f" per {_PERIODS.get(symbol) or UNITS[symbol].one}" if symbol else ""


def _unit(match: Match) -> str:
    amount, hyphen, unit = match[1], match[2] == "-", UNITS[match[3]]
    part = match[2] == "" and match[3] in ("V", "W", "GB", "TB", "mm") and _PARTS_AFTER.match(match.string, match.end())
    name = unit.one if hyphen or amount == "1" or part or _is_adjective(match) else unit.many
    return f"{number(amount)} {name}{_per_unit(match[4])}"


def _fraction_of_unit(match: Match) -> str:
    unit = UNITS["in." if match[4] == '"' else match[4]]
    part = fraction(match[2], match[3]).removesuffix("s" * _is_adjective(match))
    return f"{cardinal(match[1])} and {part} {unit.many}" if match[1] else f"{part} {unit.one}"


def _dimensions(match: Match) -> str:
    return " by ".join(pairs(side) if len(side) == 4 else cardinal(side) for side in match.groups())


def _inches(match: Match) -> str:
    """Inches, unless a quotation ends there."""
    if in_quotation(match.string, match.start()):
        return match[0]
    article = match.string.endswith((" a ", "A "), 0, match.start())
    one = match[1] == "1" or article or _NOUN_AFTER.match(match.string, match.end())
    return f"{number(match[1])} inch{'' if one else 'es'}"


_SCALES_AND_POINTS: Final = {
    "C": " celsius", "F": " fahrenheit", "K": " kelvin", "N": " north", "S": " south", "E": " east", "W": " west",
}  # fmt: skip


def _degrees(match: Match) -> str:
    scale = _SCALES_AND_POINTS.get((match[2] or "").upper(), "")
    return f"{number(match[1])} degree{'' if match[1] == '1' else 's'}{scale}"


def _slashed(match: Match) -> str:
    before = _COUNTED_BEFORE.search(match.string, max(0, match.start() - 12), match.start())
    large = "," in match[0] or (max(map(len, match.groups())) > 2 and int(match[1]) <= int(match[2]))
    things = match[0] not in ("1/2", "1/4", "3/4") and _COUNTED_AFTER.match(match.string, match.end())
    if before or things or large or match[0] in ("5/5", "10/10"):
        return f"{cardinal(match[1])} out of {cardinal(match[2])}"
    shares = int(match[1]) >= int(match[2]) > 0 and int(match[1]) + int(match[2]) == 100
    if len(match[1]) > 2 > len(match[2]):  # in cricket
        return f"{cardinal(match[1])} for {cardinal(match[2])}"
    if match[0] in ("24/7", "9/11") or match[1] == match[2] or shares:
        return f"{cardinal(match[1])} {cardinal(match[2])}"
    return fraction(match[1], match[2])


def _scientific(match: Match) -> str:
    sign = "minus " if match[2].startswith("-") else ""
    unit = f" {UNITS[match[3]].many}{_per_unit(match[4])}" if match[3] else ""
    return f"{number(match[1])} times ten to the power of {sign}{cardinal(match[2].lstrip('+-'))}{unit}"


def _power(match: Match) -> str:
    names = {"2": "squared", "3": "cubed"}
    sign = "minus " if match[1].startswith("-") else ""
    unit = f" {UNITS[match[2]].many}{_per_unit(match[3])}" if match[2] else ""
    return names.get(match[1], f"to the power of {sign}{cardinal(match[1].lstrip('-'))}") + unit


def _bare(match: Match) -> str:
    text = match[0]
    round_number = text.endswith("000")
    if text.isdigit() and len(text) >= 7 and not round_number:
        return digits(text)  # a telephone or an account number, not a count
    return plain_number(text)


def _periods(match: Match) -> str:
    parts = [(n, UNITS["min" if unit == "m" else unit]) for n, unit in re.findall(r"(\d+)([hms])", match[0])]
    return " ".join(f"{cardinal(n)} {unit.one if n == '1' else unit.many}" for n, unit in parts)


RULES: Final[tuple[Rule, ...]] = (
    number_rule("-", rf"(?<![\w.,-]){_SET}(?:,? (?:and )?{_SET})+(?![\w-])", _sets),
    *DATE_RULES,
    number_rule(
        "h",
        r"(?<![\w.])(\d{1,2})h([0-5]\d)\b",
        lambda m: f"{cardinal(m[1])} hour{'s' * (m[1] != '1')} {cardinal(str(int(m[2])))}",
    ),
    number_rule("m", r"(?<![\w.])(?:\d{1,3}h ?\d{1,2}m(?: ?\d{1,2}s)?|\d{1,3}m ?\d{1,2}s)\b", _periods),
    *CODE_RULES,
    number_rule(
        "/",
        rf"((?:[{_SIGNS}]\s?{_NUMBER}[kKM]?|(?<![\w.]){_NUMBER}(?:%|(?<=\.\d)k)?))/({_PER})\b(?!/)(?:\.(?=\s+[a-z]))?",
        _per,
    ),
    number_rule("/", rf"(?<![\w.])({_NUMBER}\s?(?:{_UNIT}))/(?=\d)", lambda m: f"{m[1]} per"),
    number_rule("x", r"(?<![\w.])(\d{1,2}) x (?=\d+ ?(?:mc?g|ml|mL|g)\b)", lambda m: f"{cardinal(m[1])} times"),
    rule("/", rf"(?<=[a-z])/({_UNIT})/(?={_PER}\b)", lambda m: f"/{m[1]} per "),
    number_rule("x ", rf"(?<![\w.])({_NUMBER}\s?(?:{_UNIT}))(?: ?x ?| +times +)(?={_NUMBER})", lambda m: f"{m[1]} by"),
    number_rule("o", rf"({_NUMBER}) ?([kM]?) *\bomega\b", _ohms),
    number_rule("x", r"(?<![\w.])(\d{3,4})\s?x\s?(\d{3,4})(?!\w|[.,]\d)", _dimensions),
    number_rule("x", rf"\b([Ww]hat(?:'s| is)) ({_NUMBER}) x (?={_NUMBER})", lambda m: f"{m[1]} {number(m[2])} times"),
    number_rule(
        "x", rf"(?<![\w.])({_NUMBER}) x (?={_NUMBER} (?:=|is\b|equals\b|makes\b)|[{_SIGNS}])", lambda m: f"{m[1]} times"
    ),
    number_rule("x", rf"(?<![\w.])({_NUMBER})\s?x\s?(?={_NUMBER}(?!\d*\^))", lambda m: f"{number(m[1])} by"),
    number_rule(
        "/",
        r"(?<![\w/])(?:(\d{1,3}) )?(\d{1,2})/(\d{1,3}) ?"
        r"(in\.|\"(?=[\s.,;)]|$)|(?:tsp|tbsp|oz|lbs?|mi|ml|l|L|hrs?|kg|km)\b)\.?",
        _fraction_of_unit,
    ),
    number_rule(" -", r"(?<=[ -]ft )(\d{1,2}) in\b", lambda m: f"{cardinal(m[1])} inch{'' if m[1] == '1' else 'es'}"),
    number_rule(
        ".",
        r"(?:(?<=ersion )|(?<=elease |Python )|(?<=Python \d\.\d to ))(\d+)\.([1-9]\d)(?![\w.]*\d)",
        lambda m: f"{cardinal(m[1])} point {cardinal(m[2])}",
    ),
    number_rule(":", r"(?<=\d):(?=\d)", lambda m: "to"),
    number_rule("-", rf"([{_SIGNS}])\s?({_NUMBER})\s?-\s?[{_SIGNS}]?({_NUMBER}){_SCALE}", _money_range),
    number_rule(",", rf"([{_SIGNS}])\s?(\d+),(\d\d)(?![\d,.]*\d)", lambda m: _money(f"{m[2]}.{m[3]}", None, m[1])),
    number_rule(",", r"(?<![\w.,])(\d+),(\d\d)\s?([€₹£])", lambda m: _money(f"{m[1]}.{m[2]}", None, m[3])),
    rule("'", r"(?<=\d)'(?=\d{3}\b)", lambda _: ","),
    number_rule("", rf"\b({_CODE_NAMES})\s?({_NUMBER}){_SCALE}(?!\w)", lambda m: _money(m[2], m[3], m[1])),
    number_rule("", rf"(?<![\w.,])({_NUMBER}){_SCALE}\s?({_CODE_NAMES})\b", lambda m: _money(m[1], m[2], m[3])),
    number_rule("$£€¥₹", rf"(?:\b(US|CA|AU|HK|NZ|NT|A|C|S))?([{_SIGNS}])\s?({_NUMBER}){_SCALE}", _signed),
    number_rule("$£€¥₹¢", rf"({_NUMBER}){_SCALE}\s?([{_SIGNS}¢])", lambda m: _money(m[1], m[2], m[3])),
    number_rule(
        "'", r"(?<![\d'°])(\d{1,3})' ?(\d\d?)(?:\"|''(?!\w))", lambda m: f"{cardinal(m[1])} foot {cardinal(m[2])}"
    ),
    number_rule("-", r"(?<![\d.])(\d+(?:\.\d+){2,})-(?=\d)", lambda m: f"{m[1]} dash"),
    # Names of models: Llama-3.1-8B.
    number_rule("-", r"(?<=[A-Za-z]-)(\d+(?:\.\d+)?)-(?=\d+(?:\.\d+)?[bBM]\b)", lambda m: number(m[1])),
    number_rule("-", rf"(?<=\d)\s?-\s?(?={_NUMBER})", lambda m: "to"),
    number_rule(
        "eE", rf"{START}(\d+(?:\.\d+)?)[eE]([+-]?\d{{1,3}}){END}(?:\s?({_UNIT})(?:/({_UNIT}))?(?!\w))?", _scientific
    ),
    number_rule(
        "/",
        r"(?<![\d/])(\d{1,3}) (\d{1,2})/(\d{1,3})(?![\d/])",
        lambda m: f"{cardinal(m[1])} and {fraction(m[2], m[3])}",
    ),
    number_rule("%", rf"({_NUMBER})\s?%", lambda m: f"{number(m[1])} percent"),
    number_rule(
        "MBKkn",
        rf"(?<![\w.$£€¥])({_NUMBER}(?:bn|tn)\b|\d+\.\d[kK]\b|\d+\.\d+[MB]\b|(?:{_NUMBER}[MB]|\d{{2,3}}[kK])"
        rf"(?= (?:people|[a-z]{{2,}}s|(?:a|per) (?:year|month))\b))",
        lambda m: f"{number(m[1].rstrip('MBKkbtn'))} {_SCALES[m[1].lstrip('.,0123456789').lower()]}",
    ),
    number_rule("/", rf"(?<=[A-Z]{{2}})/({_UNIT})\b", lambda m: f"per {UNITS[m[1]].one}"),
    number_rule("m", rf"(?<=population) +({_NUMBER})m\b", lambda m: f"{number(m[1])} million"),
    number_rule(
        "/", r"(?<![\w.])(\d{2,3})°?([FC]?)/(\d{2,3})°?([FC])\b", lambda m: f"{m[1]}°{m[2] or m[4]} {m[3]}°{m[4]}"
    ),
    number_rule("FC", r"\b((?i:at|to|about|around)) (\d{2,3}) ?([FC])\b", lambda m: f"{m[1]} {m[2]}°{m[3]}"),
    number_rule("°", rf"({_NUMBER})\s?°\s?([CFKNSEW]\b)?", _degrees),
    number_rule("/", rf"(?<![\d/.,])({_COUNT})/({_COUNT})(?![\d/]|,\d)", _slashed),
    number_rule("/", rf"(?<=\d)\s?/\s?(?={_NUMBER})", lambda m: "over"),
    number_rule(
        ".", r"(?<![\d.])(\d+\.\d+(?:\.\d+)+)(?!\d)", lambda m: " point ".join(cardinal(p) for p in m[1].split("."))
    ),
    number_rule("s", r"\b((?i:in|for|after|within|every)) (\d{1,3})s\b", lambda m: f"{m[1]} {cardinal(m[2])} seconds"),
    number_rule("'", r"(?<=\bnumber )(\d+)'s\b", lambda m: f"{cardinal(m[1])}'s"),
    number_rule("s", r"\b(\d{1,3}0)'?s\b", lambda m: plural(plain_number(m[1]))),
    number_rule("s", r"(?i:(?<=\bunder[ -])|(?<=\bover[ -]))(\d{1,2})s\b", lambda m: plural(cardinal(m[1]))),
    number_rule(LONG_NUMBER, r"(?<![\w.,$£€])[1-9]\d{2}(?=(?:[die]|xi)\b)", lambda m: pairs(m[0])),
    number_rule("r", r"\b(\d\d)ers\b", lambda m: f"{cardinal(m[1]).removesuffix('e')}ers"),
    number_rule(
        ".", r"(\d+)\.(\d*)(\d)(?:st|nd|rd|th)\b", lambda m: f"{cardinal(m[1])} point {digits(m[2])} {ordinal(m[3])}"
    ),
    number_rule("tdh", r"(\d[\d,]*+)((?:st|nd|rd|th)\b)?", lambda m: ordinal(m[1].replace(",", "")) if m[2] else m[0]),
    number_rule("s", r"(?<=[A-Za-z]-)(\d+)s\b", lambda m: plural(cardinal(m[1]))),
    number_rule('"', rf"(?<![\w.,\"])({_NUMBER})\"(?=[\s.,;:?!)]|$)", _inches),
    number_rule(
        ".",
        r"\b((?:hit|bat|slug|average)\w*(?: (?:at|of|an?|was|is))? )\.(\d{3})(?!\d)",
        lambda m: f"{m[1]} {pairs(m[2])}",
    ),
    number_rule(
        "",
        rf"(?<![\w.^])(?<!\^-)({_NUMBER})([\s-]?)({_UNIT})(?:/({_UNIT}|day|week|wk|mo|min))?(?!\w)"
        r"(?:\.(?=\s*(?:[a-z,;:)]|\d+ (?:min|sec|oz|in)\b)))?",
        _unit,
    ),
    rule("n", r"(?<=illion )(km|kg|mi|ha|kWh|lbs|L)\b", lambda m: UNITS[m[1]].many),
    number_rule("^", rf"\^(-?\d+)(?: ({_UNIT})(?:/({_UNIT}))?(?!\w))?", _power),
    number_rule("x", rf"({_NUMBER})\s?x\s?(?=10 +to the power)", lambda m: f"{number(m[1])} times"),
    number_rule("x", rf"({_NUMBER})x\b", lambda m: f"{number(m[1])} times"),
    number_rule("", _NUMBER, _bare),
)
_DIGIT: Final = re.compile("[0-9]")
_MINUS: Final = re.compile(r"(?<![^\s(=:,])-(?=[\d.$£€¥])(?!\.\D)")
# A hyphen between two quantities that had signs of their own (9am-5pm, 10%-20%): the rules left spaces around it.
_SPOKEN_RANGE: Final = re.compile(r"(?<=\w) +- +(?=\w)")
# Taken out first: the rules below would search a very long run of digits in quadratic time.
_ENDLESS: Final = re.compile(r"((?<=\d)\.)?(\d{19,})")
_SUBTRACTION: Final = re.compile(r"(?<=\d) - (?=[\d.]+ ?=)")
# One that is not carried out, beside a sum that is.
_CARRIED_OUT: Final = re.compile(r"(?<![\w.])\d+ ?[-+*/] ?\d+ ?= ?-?\d")
_BARE_SUBTRACTION: Final = re.compile(
    r"(?:(?<=^\d)|(?<=^\d\d)|(?<=[;,] \d)|(?<=[;,] \d\d)) - (?=\d{1,2}\s*(?:[;,?]|\.?$))"
)
_MULTIPLICATION: Final = re.compile(r"(?<=\d) ?[*] ?(?=\d)")


def speak_quantities(text: SpannedText) -> SpannedText:
    """Replaces every digit of `text` by words.

    Args:
        text: folded text (`characters.fold`).

    Returns:
        Text without digits.
    """
    if not _DIGIT.search(text.text):
        return text
    text = text.sub(_ENDLESS, lambda match: f"{' point ' if match[1] else ''}{digits(match[2])} ")
    if _CARRIED_OUT.search(text.text):
        text = text.sub(_BARE_SUBTRACTION, " minus ")
    text = text.sub(_SUBTRACTION, " minus ").sub(_MINUS, " minus ").sub(_MULTIPLICATION, " times ")
    return apply_all(RULES, text).sub(_SPOKEN_RANGE, " to ")


# Formulas to words: variables, their products and powers, operators.
#
# A formula is a row of numbers, variables and brackets joined by operators, with ``=``, a power, a root, a product
# ``a*b`` or a function of an expression in it, as in ``f(n-1)``.
# Elsewhere a hyphen is no minus, "m" is a meter and "4x" is four times.

_FUNCTIONS: Final = table("english").entries("functions")
_WORDS: Final = "is|in|on|no|if|or|of|to|at|by|an|as|be|do|go|he|it|me|my|so|up|us|we|am|ok|pi"
_VARIABLES: Final = rf"(?!(?i:{_WORDS})(?![A-Za-z]))[A-Za-z]{{1,2}}"
_ATOM: Final = rf"(?:\d++(?:\.\d++)?+[A-Za-z]{{0,3}}|{_VARIABLES}\d?|pi)(?:\^-?\w+)?(?![\w'.]*\w)"
_FUNCTION: Final = "|".join(_FUNCTIONS)
_GREEK: Final = "alpha|beta|gamma|theta|lambda|phi|omega"
_OPEN: Final = (
    r"(?:[(\[] ?|-(?!-)|(?:square root of|absolute value of|plus or minus|minus)\s+"
    rf"|(?:(?:{_FUNCTION})(?:\^\d)?|\d|[A-Za-z]'{{0,2}})\( ?){{0,12}}"
)
_CLOSE: Final = r"(?: ?[)\]](?:\^-?\w+)?|(?<=[\d)])!(?!=))*"
_OPERATOR: Final = r" *(?:[-+*/=]|times|divided by|(?:plus or )?minus|(?<=[)\d])(?=\()) *"
_FORMULA: Final = re.compile(rf"(?<![\w.,'^/?&|-])(?<!\d ){_OPEN}{_ATOM}{_CLOSE}(?:{_OPERATOR}{_OPEN}{_ATOM}{_CLOSE})+")
_IS_FORMULA: Final = re.compile(
    rf"[=^]|square root|absolute value|\) ?/ ?\(|[-+*/] ?\w+\) ?/|(?<![A-Za-z])\w\*\w(?![A-Za-z])"
    rf"|(?:{_FUNCTION})\(|\d\([a-z] ?[-+]|(?<![A-Za-z])[A-Za-z]\([^()]*[-+*/]"
    r"|\d[xyz] +(?:[-+]|minus) +(?!\d+(?:x\b| times))|(?:\+|minus) +\d+[xyz]\b|^(?:-|minus +)\d+[xyz]\b"
)
_HAS_VARIABLE: Final = re.compile(
    r"(?<![A-Za-z])(?!(?:plus|minus|or|times|square|root|absolute|value|of|divided|by)\b)[A-Za-z]|!"
)
_PART: Final = re.compile(
    rf"(?P<word>(?:plus or )?minus|square root of|absolute value of|times|divided by|pi\b)"
    rf"|(?P<function>{_FUNCTION})(?=(?:\^\d)?\()"
    r"|(?P<prime>'+)(?=\()|(?P<power>\^-?\d+)|\^(?P<raised>-?[A-Za-z]\w*)|(?P<letters>[A-Za-z]+)|(?P<number>\d+(?:\.\d+)?)|(?P<sign>[-+*/=!()\[\]])"
)
_PRODUCTS: Final = frozenset("abcknmxyz")
_SUM: Final = re.compile(r"\([^()]{0,60}[-+*/][^()]{0,60}\)")
_OPERATORS: Final = {"-": "minus", "+": "plus", "*": "times", "/": "over", "=": "equals", "!": "factorial"}
# Operators that are such wherever they stand: before layout is read, where a hyphen is none.
_CODE: Final = (
    (re.compile(r"\blog(2|10)(?= ?\(| +[\dn])"), lambda m: f"log base {cardinal(m[1])}"),
    (re.compile(rf"\b(sin|cos|tan|ln) +(?=(?:{_GREEK}|[xyz])\b|\d+ ?°)"), lambda m: f"{_FUNCTIONS[m[1]]} "),
    (re.compile(rf"(?<=[a-z]) +/ *(?={_GREEK}|{'|'.join(_FUNCTIONS.values())})"), lambda _: " over "),
    (re.compile(r"(?:(?<=\ban )|(?<=\ba )|(?<=\bgot ))([A-DF])-(?![\w-])"), lambda m: f"{_letters(m[1])} minus"),
    (
        re.compile(rf"(?<![-+*/=(])(?<![-+*/=] )\b({_FUNCTION})\(([a-z])\)(?! ?[-+*/=^)])"),
        lambda m: f"{_FUNCTIONS[m[1]]} of {_letters(m[2])}",
    ),
    (re.compile(r"(?<![\w'])([a-z])!(?= [a-z])"), lambda m: f"{_letters(m[1])} factorial"),
    (re.compile(r"(?<![A-Za-z])([a-z])\^(?:\(|(?=-?[a-z]\b))(-?)(\w{1,6})(?:\)|\b)"), lambda m: _raised(*m.groups())),
    (re.compile(r"\b(as [a-z])[ ,]*(?:->|right arrow)[ ,]*"), lambda m: f"{m[1]} approaches "),
    (re.compile(r"\b([a-z]) *(?:times|x) *(?=[a-z] (?:matri|grid|board))"), lambda m: f"{_letters(m[1])} by "),
    (re.compile(r"(?<![\w/)])(\d)/(\d)(?=\()"), lambda m: f"{fraction(m[1], m[2])} "),
    (re.compile(r"\bP\(([A-Z])(?: *(\||,|[a-z]+) *([A-Z]))?\)(?: *([/*·]) *(?=P))?"), lambda m: _probability(m)),
    (re.compile(r"(?<![\w*])([A-Za-z]|\d+)\*\*(\d+|[A-Za-z])(?![\w*])"), lambda m: f"{m[1]}^{m[2]}"),
    (re.compile(r"(?<![\w|])\|(-?\w{1,3}(?: ?[-+*/] ?\w{1,3})*)\|(?![\w|])"), lambda m: _absolute(m[1])),
    (
        re.compile(r"(\(\d+(?:\.\d+)? ?[-+*/] ?\d+(?:\.\d+)?\)) ?([-/]) ?(?=[\d(])"),
        lambda m: f"{m[1]} {_OPERATORS[m[2]]} ",
    ),
)
# Of one variable, outside a formula.
_DIFFERENCE: Final = re.compile(r"(?<=\w\[)([a-z])-(?=\w{1,2}\])|(?<![\w'-])([ijnxyz])-(?=\d+(?![\w-]))")
_MULTIPLE: Final = re.compile(r"((?:minus +|[<>]=? ?)\d+|(?<!\d)\d++(?=[xyz] ?[<>]))([xyz])\b")
_AFTER_FUNCTION: Final = re.compile(rf"(?:{_FUNCTION})(?:\^\d)?$")


def _letters(text: str) -> str:
    return " ".join(LETTER + letter.lower() for letter in text)


def _probability(match: Match) -> str:
    """`P(A|B)/P(B)`, up to the next one."""
    first, sign, second, operator = match.groups("")
    given = {"|": "given", ",": "and"}.get(sign, sign)
    joint = _OPERATORS.get(operator.replace("·", "*"), "")
    return f" {LETTER}p of {_letters(first)} {given} {_letters(second)} {joint} "


def _raised(base: str, sign: str, exponent: str) -> str:
    """`e^(2x)`."""
    factors = " ".join(_letters(part) if part.isalpha() else part for part in re.findall(r"\d+|[A-Za-z]", exponent))
    return f" {_letters(base)} to the power of {'minus ' if sign else ''}{factors} "


def _absolute(inside: str) -> str:
    return f" the absolute value of {_letters(inside) if inside.isalpha() and len(inside) == 1 else inside} "


def _is_called(match: Match) -> bool:
    """Whether a letter is a function of the bracket after it, and no factor: f(n-1), but n(n-1)."""
    product = _SUM.match(match.string, match.end()) and match["letters"] in _PRODUCTS
    return len(match["letters"]) == 1 and match.string[match.end() : match.end() + 1] == "(" and not product


def _part(match: Match) -> str:
    if match["function"]:
        return f" {_FUNCTIONS[match['function']]} "
    if match["raised"]:
        sign, letters = ("minus ", match["raised"][1:]) if match["raised"][0] == "-" else ("", match["raised"])
        return f" to the power of {sign}{_letters(letters)} "
    if match["letters"] and len(match["letters"]) > 1 and match["letters"] in UNITS:
        return match[0]
    if match["letters"]:
        return f" {_letters(match['letters'])}{' of' if _is_called(match) else ''} "
    if match["prime"]:
        return f" {'double ' * (len(match['prime']) - 1)}prime of "
    if match["sign"] == "(" and _AFTER_FUNCTION.search(match.string, max(0, match.start() - 6), match.start()):
        return " of "
    before = match.string[match.start() - 1 : match.start()] if match["sign"] in ("(", "[") else ""
    if before in tuple("0123456789)") or (before in _PRODUCTS and _SUM.match(match.string, match.start())):
        return " times "
    if match["sign"]:
        return f" {_OPERATORS.get(match['sign'], '')} "
    return match[0]


def _speak_difference(match: Match) -> str:
    return f"{LETTER}{match[1] or match[2]} minus "


def speak_formulas(text: SpannedText) -> SpannedText:
    """Replaces the letters and operators of formulas by words; their numbers stay.

    Args:
        text: folded text (`characters.fold`).
    """
    for pattern, speak in _CODE:
        text = text.sub(pattern, speak)
    places = _IS_FORMULA.search(text.text) and [
        match.span()
        for match in _FORMULA.finditer(text.text)
        if _IS_FORMULA.search(match[0]) and _HAS_VARIABLE.search(match[0])
    ]
    if not places:
        return text.sub(_DIFFERENCE, _speak_difference).sub(_MULTIPLE, lambda m: f"{m[1]} {_letters(m[2])}")
    inside = bytearray(len(text.text))
    for start, end in places:
        inside[start:end] = b"\1" * (end - start)
    text = text.sub(_PART, lambda match: _part(match) if inside[match.start()] else match[0])
    return text.sub(_DIFFERENCE, _speak_difference)
