"""Abbreviations, initials and Roman numerals to words.

Patterns here decide by capital letters and by the word that follows, because an abbreviation's full stop may
or may not end the sentence too.
"""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.addresses import letters
from ancestral.models.text.numerals import cardinal, ordinal
from ancestral.models.text.spans import SpannedText

Match = re.Match[str]

# Words that open a sentence far more often than they follow an abbreviation inside one.
_OPENERS: Final = (
    "The|A|An|It|He|She|We|They|You|I|This|That|These|Those|There|Here|In|On|At|But|And|Or|So|If|When|While|After|Before"
    "|As|For|What|Who|Why|How|Where|Is|Are|Was|Were|Do|Does|Did|My|Your|His|Her|Our|Their|Its|No|Yes|Then|Now|Today"
    "|However|Nobody|Everyone|Please|Let|Not|Some|Many|Most|All|One"
)
_SENTENCE_AFTER: Final = re.compile(rf"\s*[\"')\]]*\s*(?:$|\n)|[\"')\]]*\s+[\"'(]?(?:{_OPENERS})\b")
_NUMBER_AFTER: Final = re.compile(r"\s*\d")
_CAPITAL_AFTER: Final = re.compile(r"\s+[A-Z]")
_NAME_BEFORE: Final = re.compile(r"(?:[A-Z][a-z]+|\d+(?:st|nd|rd|th))\s+$")

_TITLES: Final = {
    "Mr": "mister", "Mrs": "missus", "Ms": "miz", "Messrs": "messieurs", "Prof": "professor",
    "Rev": "reverend", "Gen": "general", "Sgt": "sergeant", "Capt": "captain", "Lt": "lieutenant",
    "Col": "colonel", "Hon": "honorable", "Gov": "governor", "Sen": "senator", "Rep": "representative",
    "Pres": "president", "Mt": "mount", "Ft": "fort", "Cmdr": "commander", "Adm": "admiral",
    "Supt": "superintendent",
}  # fmt: skip
_DOTTED: Final = {
    "e.g": "for example", "i.e": "that is", "vs": "versus", "cf": "compare", "viz": "namely", "al": "al",
    "approx": "approximately", "dept": "department", "est": "established", "fig": "figure", "figs": "figures",
    "vol": "volume", "ch": "chapter", "sec": "section", "pp": "pages", "misc": "miscellaneous",
    "ext": "extension", "tel": "telephone", "min": "minutes", "max": "maximum", "govt": "government",
    "assn": "association", "intl": "international", "natl": "national", "bldg": "building",
    "apt": "apartment",
}  # fmt: skip
_ENDING: Final = {
    "etc": "et cetera", "inc": "incorporated", "ltd": "limited", "corp": "corporation", "co": "company",
    "jr": "junior", "sr": "senior", "bros": "brothers", "ave": "avenue", "blvd": "boulevard", "rd": "road",
    "jan": "January", "feb": "February", "mar": "March", "apr": "April", "jun": "June", "jul": "July",
    "aug": "August", "sep": "September", "sept": "September", "oct": "October", "nov": "November",
    "dec": "December", "mon": "monday", "tue": "tuesday", "tues": "tuesday", "wed": "wednesday",
    "thu": "thursday", "thurs": "thursday", "fri": "friday",
}  # fmt: skip
# Also words in lower case, or acronyms in capitals: they are abbreviations when capitalised, or before a number.
_CAPITALISED_ONLY: Final = frozenset({"co", "mar", "sep", "mon", "wed", "jun", "jul", "thu", "sec", "dec", "est"})
_KINGS: Final = (
    "Henry|George|Louis|Charles|Elizabeth|James|Edward|William|Richard|Mary|Catherine|Peter|Pius|Paul|Benedict|Francis"
    "|Leo|Philip|Frederick|Alexander|Napoleon|Nicholas|Ivan|Gregory|Urban|Clement|Innocent|Otto|Christian|Gustav"
    "|Ferdinand|Alfonso|Robert|David|Malcolm|Wilhelm|Felipe|Carlos|Juan|Constantine|Leopold|Albert|Ramses|Xerxes|Darius"
)
_PARTS: Final = (
    "Chapter|Part|Volume|Vol|Book|Act|Scene|Section|Article|Appendix|Phase|Stage|Level|Type|Class|Figure|Table|War"
    "|Episode|Lesson|Unit|Round|Grade|Title|Canto|Psalm|Mark|Bowl"
)
_DAYS: Final = {
    "Mon": "monday", "Tue": "tuesday", "Tues": "tuesday", "Wed": "wednesday", "Thu": "thursday", "Thur": "thursday",
    "Thurs": "thursday", "Fri": "friday", "Sat": "saturday", "Sun": "sunday",
}  # fmt: skip
_DAY: Final = "(Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)"
_ROMAN: Final = r"(?=[IVXLC])(?:X{0,3}|XL|LX{0,3}|XC|C{1,3})(?:IX|IV|V?I{0,3})(?<=[IVXLC])"
_ROMAN_VALUES: Final = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}


def _stop(match: Match) -> str:
    """What the abbreviation's full stop is worth: a sentence's end if a new sentence seems to follow."""
    return " . " if _SENTENCE_AFTER.match(match.string, match.end()) else " "


def _dotted(match: Match) -> str:
    word = match[1]
    if word.lower() in _CAPITALISED_ONLY and not word.istitle() and not _NUMBER_AFTER.match(match.string, match.end()):
        return match[0]
    if word.lower() in _ENDING:
        return _ENDING[word.lower()] + _stop(match)
    return _DOTTED[word.lower()] + " "


def _street_or(match: Match, street: str, title: str) -> str:
    """`St.` and `Dr.`: titles before a name, parts of an address after one."""
    after_name = _NAME_BEFORE.search(match.string, max(0, match.start() - 24), match.start())
    before_name = _CAPITAL_AFTER.match(match.string, match.end())
    new_sentence = _SENTENCE_AFTER.match(match.string, match.end())
    if before_name and not (after_name and new_sentence):
        return title + " "
    return street + (_stop(match) if match[0].endswith(".") else " ")


def _initialism(match: Match) -> str:
    return letters(match[1]) + (match[2] or _stop(match))


def _initial(match: Match) -> str:
    if match[1] == "I" or _SENTENCE_AFTER.match(match.string, match.end()):
        return match[0]
    return letters(match[1]) + " "


def _roman(numeral: str) -> str:
    values = [_ROMAN_VALUES[char] for char in numeral]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return str(sum(-value if value < following else value for value, following in pairs))


def _dotted_pattern() -> str:
    return "|".join(sorted((re.escape(word) for word in {**_DOTTED, **_ENDING}), key=len, reverse=True))


_RULES: Final = (
    (re.compile(rf"\b{_DAY}\.?\s?-\s?{_DAY}\b\.?"), lambda m: f"{_DAYS[m[1]]} to {_DAYS[m[2]]}"),
    (
        re.compile(rf"\b{_DAY}(?:\.(?=,?\s+[a-z\d])|(?=,?\s+(?:\d|Jan|Feb|Mar|Apr|May|Ju[nl]|Aug|Sep|Oct|Nov|Dec)))"),
        lambda m: _DAYS[m[1]],
    ),
    (re.compile(r"\bCtrl\b"), lambda m: "Control"),
    (re.compile(r"(?<=\b[Tt]he )WHO\b"), lambda m: letters(m[0])),
    (re.compile(r"\b([A-Z]{1,3})&([A-Z]{1,3})\b"), lambda m: f"{letters(m[1])} and {letters(m[2])}"),
    (re.compile(r"\((a)\)"), lambda m: f" , {letters(m[1])} , "),
    (re.compile(r"(?<!\w)#\s?(?=\d)"), lambda m: " number "),
    (re.compile(r"(?<!\w)'n'(?=\s)"), lambda m: "and"),
    (re.compile(rf"\b(?:({'|'.join(_TITLES)})\.|(Mrs?|Ms|Prof)\b(?=\s+[A-Z]))"), lambda m: _TITLES[m[1] or m[2]] + " "),
    (re.compile(r"\bSt\b\.?"), lambda m: _street_or(m, "street", "saint")),
    (re.compile(r"\bDr\b\.?"), lambda m: _street_or(m, "drive", "doctor")),
    (re.compile(r"\b(?:Ph\.?D|[BM]\.?Sc)\b\.?"), lambda m: letters(m[0]) + _stop(m)),
    (re.compile(r"\bw/(o?)(?!\w)"), lambda m: "without" if m[1] else "with"),
    (re.compile(r"\bWW(I{1,2})\b"), lambda m: f"World War {m[1]}"),
    (re.compile(r"(?<=\d)\s?([AaPp])\.\s?[Mm]\."), lambda m: f"{m[1]}m{_stop(m)}"),
    (re.compile(r"\b([CF])#(?!\w)"), lambda m: f"{m[1]} sharp"),
    (re.compile(r"\b([A-Za-z])\(([A-Za-z])\)"), lambda m: f"{m[1]} of {m[2]}"),
    (re.compile(rf"(?<![\w.])({_dotted_pattern()})\.(?![\w])", re.IGNORECASE), _dotted),
    (re.compile(r"\b(?:Nos?|nos?)\.\s?(?=\d)"), lambda m: "numbers " if "s" in m[0] else "number "),
    (re.compile(r"\bp\.\s?(?=\d)"), lambda m: "page "),
    (re.compile(r"(?<![\w.])((?:[A-Za-z]\.){2,}[A-Za-z]?(?![A-Za-z]))('s)?"), _initialism),
    (re.compile(r"(?<![\w.'])([A-Z])\.(?=\s+[A-Z])"), _initial),
    (re.compile(rf"\b({_KINGS}) ({_ROMAN})\b(?!')"), lambda m: f"{m[1]} the {ordinal(_roman(m[2]))}"),
    (re.compile(rf"\b({_PARTS}) ({_ROMAN})\b(?!')"), lambda m: f"{m[1]} {cardinal(_roman(m[2]))}"),
    (re.compile(rf"\b({_ROMAN})(?= centur)"), lambda m: ordinal(_roman(m[1]))),
    (re.compile(rf"(?<=[a-z] )(?=[IVX]{{2}})({_ROMAN})\b(?!')"), lambda m: cardinal(_roman(m[1]))),
)


def speak_abbreviations(text: SpannedText) -> SpannedText:
    """Replaces abbreviations, initials and Roman numerals by words.

    Args:
        text: folded text (`characters.fold`), with its original capitals.

    Returns:
        Text in which every remaining full stop between words ends a sentence, numbers aside.
    """
    for pattern, speak in _RULES:
        text = text.sub(pattern, speak)
    return text
