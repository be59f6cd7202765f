"""Languages other than English: what rules need to know of one, its numbers, and which there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ancestral_models.text.characters import ENGLISH, UnsupportedText
from ancestral_models.text.phonemes import PAUSES
from ancestral_models.text.rules import Rule
from ancestral_models.text.tables import Table

if TYPE_CHECKING:
    from unicode_rbnf import RbnfEngine


# What the rules of ancestral_models/text/languages need to know of a language.
#
# `ancestral_models/text/tables/spanish.txt` and its siblings have its words, a section for each attribute; `spanish.py`
# adds what only code can say, and makes the :class:`Language`, and its pronunciation. English has rules of
# its own (ancestral_models/text/english.py), tuned on many texts; what does not depend on the language is shared with
# it.

Gender = Literal["m", "f"]
Phones = tuple[str, ...]
Read = Callable[[Sequence[str]], Sequence[Phones]]
"""The phones of each word of a sentence, from its words and marks; nothing for a mark. Words are in lower case and NFC,
with their accents, and with their :attr:`Language.joints` inside them (`l'eau`); letters are words already (`be`). A
word has members of `phonemes.PHONEMES`, at least one, no pauses."""


def by_word(read: Callable[[Sequence[str], int], Phones]) -> Read:
    """A reader of sentences from one of the word at a place of them, as `read` of ancestral_models/text/g2p.py."""
    return lambda words: [() if word in PAUSES else read(words, i) for i, word in enumerate(words)]


CLOCK: Final = r"(?P<h>[01]?\d|2[0-4]):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d))?"
"""A pattern: a time as it is written in every language."""


class Letter(NamedTuple):
    """A consonant, a semivowel (`Y`, `W`), or a vowel as it is written."""

    name: str
    at: int
    """Place in the word."""

    @property
    def is_vowel(self) -> bool:
        return self.name in "aáàâãeéèêiíìîoóòôõuúùûü"


def letters_of(
    word: str, own: Callable[[int], Phones | None], pattern: re.Pattern[str], graphemes: Sequence[tuple[str, Phones]]
) -> list[Letter]:
    """The consonants of a word as they sound, and its vowels as they are written.

    Args:
        word: in lower case.
        own: the names of what stands at a place, and is one letter; None: a grapheme.
        pattern: with a group for each of the graphemes.
        graphemes: their patterns and sounds.
    """
    found: list[Letter] = []
    i = 0
    while i < len(word):
        names, end = own(i), i + 1
        if names is None and (match := pattern.match(word, i)) is not None:
            assert match.lastindex is not None, match
            names, end = graphemes[match.lastindex - 1][1], match.end()
        found += (Letter(name, i) for name in names or ())
        i = end
    return found


class Noun(NamedTuple):
    """What can be counted: a unit, a currency."""

    one: str
    many: str
    gender: Gender = "m"


class Currency(NamedTuple):
    """A currency and its hundredth, if that is in use."""

    whole: Noun
    hundredth: Noun | None = None


@dataclass(frozen=True)
class Numbers:
    """How numbers are written and said; their words are those of CLDR's rules (unicode-rbnf)."""

    locale: str
    """The locale whose rules read numbers: `es`, `fr`, `it`, `pt`, `pt_PT`."""
    minus: str
    decimals: Mapping[str, str]
    """The marks before decimals, and their names: `{",": "coma", ".": "punto"}`. The first is the usual one."""
    thousands: str
    """The marks between groups of three digits: `". "`. Where one is also in `decimals`, three digits after it are a
    group."""
    genders: bool = True
    """Whether CLDR has numbers for each gender."""
    rewrite: Callable[[str], str] = str
    """Corrects CLDR's words; hyphens are spaces already."""
    singular: Callable[[float], bool] = lambda number: abs(number) == 1
    """Whether a noun after this number is in the singular: below 2 in French and Portuguese."""
    of_millions: Callable[[str], str] = str
    """A noun after round millions: `euros` → `de euros`, `d'euros`."""
    millions: str = r"(?!)"
    """A pattern: the last word of a number after which :attr:`of_millions` is used: `mill(?:ón|ones)|billones`."""
    thousand: str = r"(?!)"
    """A pattern: the word of thousands, where sums are written with it: `mil`."""
    denominators: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Denominators of fractions, for one and for several: `{2: ("medio", "medios"), 3: ("tercio", "tercios")}`."""
    half: Mapping[Gender | None, str] = field(default_factory=dict)
    """`1/2` before a noun, where that is no "one half": `{"m": "medio", "f": "media"}`."""
    plural: str = ""
    """A pattern that finds the ending of every noun in the plural."""
    over: str = "/"
    """The line of other fractions: `sobre`."""

    @classmethod
    def of_table(cls, table: Table, **code: Any) -> Numbers:
        """Numbers of a table's sections [numbers], [decimals], [denominators] and [half]; ``code`` is the rest."""
        values: dict[str, Any] = table.entries("numbers")
        values |= {"decimals": table.entries("decimals"), "half": table.entries("half")}
        values["denominators"] = {int(key): tuple(value.split(", ")) for key, value in table.pairs("denominators")}
        return cls(**values, **code)


@dataclass(frozen=True)
class Calendar:
    """Dates and times of day."""

    months: tuple[str, ...]
    """The twelve, in order."""
    short_months: Mapping[str, str]
    """Abbreviations of months, without full stops, in lower case, before a year or after a day: `{"ene": "enero"}`."""
    short_days: Mapping[str, str]
    """Abbreviations of the days of the week, without full stops, in lower case, beside another day, a date or a time:
    `{"lun": "lunes"}`."""
    date: str
    """`{day} de {month} de {year}`: of a date in figures (day, month, year; ISO 8601), whose parts are words."""
    time: Callable[[int, int], str]
    """An hour (0 to 24) and its minutes, in words."""
    seconds: str
    """`{time} y {seconds} segundos`: a time with seconds, in words."""
    first: str = ""
    """The first day of a month, where it is no plain number: `premier`. Used in dates in figures, and before the name
    of a month (with :attr:`of` between them)."""
    of: str = ""
    """The word that may stand between a day and its month: `de`."""
    before_day: str = r"(?!)"
    """A pattern: words after which `3/2` is a day: `lunes|hasta`."""
    near_day: str = r"(?!)"
    """A pattern: what else makes an abbreviation, `{}`, a day: `(?<=próxima ){}|{}(?= à noite)`."""
    clock: str = CLOCK
    """A pattern: a time in figures, with the groups h, m and, perhaps, s; m may be missing (`15 h`)."""
    halves: Mapping[str, str] = field(default_factory=dict)
    """Patterns after a time, and their words: `{r"a\\.? ?m\\.?": "de la mañana"}`."""

    @classmethod
    def of_table(cls, table: Table, time: Callable[[int, int], str]) -> Calendar:
        """Calendar of the sections [calendar], [months], [short_months], [short_days], [day_halves]."""
        values: dict[str, Any] = table.entries("calendar")
        values |= {name: table.entries(name) for name in ("short_months", "short_days")}
        values |= {"months": tuple(table.listed("months"))}
        return cls(**values, halves={pattern: words for words, pattern in table.pairs("day_halves")}, time=time)


@dataclass(frozen=True, eq=False)
class Language:
    """A language's table. All words are in lower case, as they are to be read, but for the keys of abbreviations."""

    tag: str
    """The primary language of BCP 47: `es`."""
    name: str
    """English name, for messages: `Spanish`."""
    letters: str
    """Letters beyond a to z that its words may have, in lower case: `áéíóúüñ`. Other Latin letters lose their marks."""
    letter_names: Mapping[str, str]
    """Names of a to z, and of :attr:`letters` if they have names of their own: `{"b": "be"}`."""
    one_letter_words: str
    """Lower-case letters that are words by themselves: `aeouy`; all of :attr:`letters` where a table does not say.
    Others are read by their name."""
    read: Read
    sounds: frozenset[str]
    """The members of `phonemes.PHONEMES` that :attr:`read` returns, vowels without their stress."""
    numbers: Numbers
    calendar: Calendar
    gender: Callable[[str], Gender | None]
    """The gender of a word after a number (or of a king's name before one); None if it is not counted: a preposition, a
    verb."""
    ordinal_marks: Mapping[str, Gender]
    """Patterns of what stands after the figures of an ordinal number: `{r"\\.?[ºo]": "m", "er": "m"}`."""
    currencies: Mapping[str, Currency]
    """Currencies by sign and by ISO 4217's code: `{"€": …, "EUR": …}`. Some sign of it stands before or after a
    number."""
    money: str
    """`{whole} con {cents}`: an amount with hundredths; `{number}` is the hundredths without their noun."""
    units: Mapping[str, Noun]
    """Units by symbol, as it is written after a number: `{"km": …, "h": …, "m²": …}`; powers as ² and ³; `x` is for how
    many times: `3x`."""
    per: str
    """The word between two units: `por` for the line in km/h."""
    symbols: Mapping[str, str]
    """Every sign of :data:`SIGNS`, and what is said for it; a sign without a word of its own is a space, or a pause if
    it is `,`."""
    address: Mapping[str, str]
    """The signs of addresses and of spelled text by their names: `.` punto, `/` barra, `@` arroba, `-`, `_`, `:` …, one
    for each of ASCII's signs."""
    titles: Mapping[str, str]
    """Abbreviations before a name or a number, as they are written, after which no sentence ends: `{"Sr.": "señor"}`;
    with their capitals: the first letter may be either, but for `M.` and for those without a full stop."""
    abbreviations: Mapping[str, str]
    """Others; a sentence ends after one that has a full stop and is followed by a capital."""
    said: frozenset[str]
    """What is read as a word though it is written in capitals: acronyms (`OTAN`), short words (`NO`)."""
    spelled: frozenset[str]
    """Acronyms read letter by letter though they could be words (`USA`); in capitals."""
    pronounceable: str
    """A pattern: a word of four and more capitals, in lower case, that is said and not spelled."""
    romans: Mapping[str, str]
    """Patterns of words before Roman numerals, in lower case, and how those are read: `cardinal`, `m` or `f` (ordinal),
    and what the word stands for if it is an abbreviation: `{r"siglos?": "m", r"s\\.": "m siglo"}`."""
    roman_marks: Mapping[str, Gender]
    """Patterns of what stands after the Roman numeral of an ordinal number: `XXe`; as in :attr:`ordinal_marks`."""
    regnal: int
    """The largest number of a king or pope that is an ordinal; above it they are cardinal."""
    lettered: frozenset[str]
    """Words before a letter that is no numeral and no initial: `talla`, `plan`, `rayos`."""
    openers: frozenset[str]
    """Words that begin a sentence, and are no surname."""
    conjunctions: frozenset[str]
    """Words before which a long sentence may be cut."""
    initials: str = r"(?!)"
    """A pattern: an initial in a script without capitals, of which two or more with full stops are spelled."""
    joints: str = "'"
    """What may stand between the letters of one word: in French the hyphen, too."""
    telephone: str = r"(?!)"
    """A pattern: a telephone number without a `+`, whose groups could be a number's: `[6-9]\\d\\d \\d{3} \\d{3}`."""
    telephone_by_groups: bool = False
    """Whether a telephone number's groups are read as numbers, and not digit by digit."""
    ranges: str = ","
    """The word of a dash between two numbers: `a`."""
    times: str = "x"
    """The word of `x` or `×` between two numbers: `por`."""
    rewritten: Sequence[tuple[str, str]] = ()
    """What stands for patterns, in order, after abbreviations: `("kilómetro", r"km(?= \\d)")`; `_` is a space."""
    scales: Sequence[tuple[str, str]] = ()
    """Short forms of millions and the like after a number, one and several: `("millón, millones", r"M(?=\\s?€)")`."""
    powers: Sequence[str] = ()
    """`²` and `³`."""
    rules: tuple[Rule, ...] = ()
    """The rules that no other language has: they come before all others that read numbers."""

    @classmethod
    def of_table(cls, table: Table, *, time: Callable[[int, int], str], gender: Any = None, **code: Any) -> Language:
        """Language of a table: a section for each attribute, [language] for those of one line; ``code`` is the rest.
        Where no ``gender`` is given, it is :func:`gender_by_ending`."""
        values: dict[str, Any] = table.entries("language")
        values.setdefault("one_letter_words", values["letters"])
        values["regnal"] = int(values["regnal"])
        values["telephone_by_groups"] = "telephone_by_groups" in values
        values |= {
            name: table.words(name) for name in ("sounds", "said", "spelled", "lettered", "openers", "conjunctions")
        }
        values |= {name: table.entries(name) for name in _ENTRIES}
        signs = [(sign, _currency(names)) for signs, names in table.pairs("currencies") for sign in signs.split()]
        values |= {
            "currencies": dict(signs),
            **{name: table.pairs(name) for name in ("rewritten", "scales")},
            "powers": [words for _, words in table.pairs("powers")],
            "units": {symbol: _noun(names) for symbol, names in table.pairs("units")},
            "romans": {pattern: kind for kind, pattern in table.pairs("romans")},
            "roman_marks": {pattern: kind for kind, pattern in table.pairs("roman_marks")},
            "ordinal_marks": {pattern: kind for kind, pattern in table.pairs("ordinal_marks")},
            "calendar": Calendar.of_table(table, time),
            "gender": gender or gender_by_ending(table),
        }
        return cls(**values, **code)


def _noun(names: str) -> Noun:
    """`litro, litros`, and `, f` if it is feminine."""
    one, many, *gender = names.split(", ")
    return Noun(one, many, "f" if gender else "m")


def _currency(names: str) -> Currency:
    """`euro, euros; céntimo, céntimos`."""
    return Currency(*map(_noun, names.split("; ")))


def gender_by_ending(table: Table, plural: str = "") -> Callable[[str], Gender | None]:
    """:attr:`Language.gender` by the ends of words and by lists of a table.

    Args:
        table: with the sections [feminine], [feminine_words], [masculine], [masculine_endings], [not_counted].
        plural: a pattern: what may follow the ends.
    """
    feminine = re.compile(rf".*(?:{table.pattern('feminine')}){plural}")
    masculine = re.compile(
        rf".*(?:{table.pattern('masculine_endings') or '(?!)'}){plural}|{table.pattern('masculine')}"
    )
    feminine_words, not_counted = table.words("feminine_words"), table.words("not_counted")

    def gender(word: str) -> Gender | None:
        if word in not_counted:
            return None
        by_ending = feminine.fullmatch(word) and not masculine.fullmatch(word)
        return "f" if by_ending or word in feminine_words else "m"

    return gender


_ENTRIES: Final = ("letter_names", "symbols", "address", "titles", "abbreviations")


SIGNS: Final = (
    *"&+=@#%°µ\\<>_*~^/\"|()[]{};:-$£€¥₹¢×÷±≈≠≤≥√∞§©®™‰№→←", "<=", ">=", "!=", "==", "->", "<-", "=>",
)  # fmt: skip
"""What :attr:`Language.symbols` has words for."""


# Numbers in words, by CLDR's rules (unicode-rbnf) and a language's table.

# Beyond this many digits a number's name is hard to follow, and digits are read one by one.
MAX_NAMED_DIGITS: Final = 15
_MAX_NAMED_DECIMALS: Final = 3
_MAX_ORDINAL: Final = 9999
_MAX_NUMERATOR: Final = 10
_GENDERS: Final = {"m": "masculine", "f": "feminine"}


@cache
def _engine(locale: str) -> RbnfEngine:
    from unicode_rbnf import RbnfEngine

    return RbnfEngine.for_language(locale)


@lru_cache(maxsize=4096)
def spelled(locale: str, rule_set: str, number: int) -> str:
    """A whole number in words, without hyphens, by a rule set of CLDR."""
    words: str = _engine(locale).format_number(number, ruleset_names=[rule_set]).text
    return words.replace("\u00ad", "").replace("-", " ")


def _said(numbers: Numbers, rule_set: str, number: int) -> str:
    return numbers.rewrite(spelled(numbers.locale, rule_set, number))


class Numerals:
    """How one language reads figures.

    Attributes:
        pattern: a number as it is written, with its marks, without a sign.
    """

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        marks = "".join(self._numbers.decimals)
        self.pattern: Final = _pattern(self._numbers)
        self._marks: Final = re.compile(rf"(?<=\d)[{re.escape(marks)}](?=\d)|^[{re.escape(marks)}]")
        self._groups: Final = re.compile(rf"(?<=\d)[{re.escape(self._numbers.thousands)}](?=\d{{3}}(?!\d))")

    def cardinal(self, number: int, gender: Gender | None = None) -> str:
        """A whole number: by itself, or before what it counts."""
        if gender is None or not self._numbers.genders:
            return _said(self._numbers, "spellout-numbering", number)
        return _said(self._numbers, f"spellout-cardinal-{_GENDERS[gender]}", number)

    def ordinal(self, number: int, gender: Gender = "m") -> str:
        """`3` as "tercero"."""
        if number > _MAX_ORDINAL:
            return self.cardinal(number)
        return _said(self._numbers, f"spellout-ordinal-{_GENDERS[gender]}", number)

    def digits(self, text: str) -> str:
        """Each digit of a text by its name; other characters are skipped."""
        return " ".join(self.cardinal(int(char)) for char in text if char in "0123456789")

    def plain(self, text: str) -> tuple[str, str, str]:
        """The whole part of a written number, its mark, and its decimals; without marks between groups."""
        whole = self._groups.sub("", text)
        mark = self._marks.search(whole)
        if mark is None:
            return whole, "", ""
        return whole[: mark.start()] or "0", mark[0], whole[mark.end() :]

    def value(self, text: str) -> float:
        whole, _, decimals = self.plain(text)
        return float(f"{whole}.{decimals or 0}")

    def number(self, text: str, gender: Gender | None = None) -> str:
        """A written number, with or without decimals."""
        whole, mark, decimals = self.plain(text)
        if not mark:
            return self.whole(whole, gender)
        return f"{self.whole(whole)} {self._numbers.decimals[mark]} {self._decimals(decimals, gender)}"

    def whole(self, digits: str, gender: Gender | None = None) -> str:
        """A whole number from its digits; zeros in front, and more digits than can be followed, one by one."""
        if len(digits) > MAX_NAMED_DIGITS or (len(digits) > 1 and digits[0] == "0"):
            return self.digits(digits)
        return self.cardinal(int(digits), gender)

    def _decimals(self, digits: str, gender: Gender | None) -> str:
        """Decimals as a number, zeros in front one by one; more than three digits one by one."""
        significant = digits.lstrip("0")
        zeros = digits[: len(digits) - len(significant)]
        if len(significant) > _MAX_NAMED_DECIMALS:
            return self.digits(digits)
        return " ".join(part for part in (self.digits(zeros), significant and self.whole(significant, gender)) if part)

    def counted(self, text: str, noun: Noun) -> str:
        """A written number and what it counts: "dos kilómetros"."""
        words, numbers = self.number(text, noun.gender), self._numbers
        named = noun.one if numbers.singular(self.value(text)) else noun.many
        return f"{words} {self.of(words, named)}"

    def of(self, words: str, noun: str) -> str:
        """A noun as it stands after a number in words: after round millions with "of" in many languages."""
        return self._numbers.of_millions(noun) if re.search(rf"\b(?:{self._numbers.millions})$", words) else noun

    def fraction(self, numerator: int, denominator: int, gender: Gender | None = None) -> str:
        """`3/4` as "tres cuartos", `1/2` of a noun as "media"; no ordinary fraction, with the word of its line."""
        if (numerator, denominator) == (1, 2) and gender in self._numbers.half:
            return self._numbers.half[gender]
        names = self._numbers.denominators.get(denominator)
        if names is None or not 0 < numerator < denominator or numerator > _MAX_NUMERATOR:
            return f"{self.cardinal(numerator)} {self._numbers.over} {self.cardinal(denominator)}"
        return f"{self.cardinal(numerator, 'm')} {names[numerator != 1]}"


def _pattern(numbers: Numbers) -> str:
    groups = "|".join(rf"\d{{1,3}}(?:{re.escape(mark)}\d{{3}}(?!\d)){{1,9}}" for mark in numbers.thousands)
    return rf"(?:{groups}|\d+)(?:[{re.escape(''.join(numbers.decimals))}]\d+)?"


# The languages that texts may have.

_MODULES: Final = {"es": "spanish", "fr": "french", "it": "italian", "pt": "portuguese", "hi": "hindi"}
LANGUAGES: Final = (ENGLISH.language, *_MODULES)
"""The primary languages that are read."""
_LONGEST_SHOWN: Final = 40


def language_of(tag: str) -> str:
    """The language of a tag such as ``en-US`` or ``en_US``, whether or not it is read."""
    return tag.replace("_", "-").partition("-")[0].lower()


def primary(tag: str) -> str:
    """The primary language of a BCP 47 tag: `es` of `es-MX`.

    Raises:
        UnsupportedText: it is none of :data:`LANGUAGES`; the message names it.
    """
    found = language_of(tag)
    if found not in LANGUAGES:
        raise UnsupportedText(f"language {tag[:_LONGEST_SHOWN]!r} is not read; there are {', '.join(LANGUAGES)}")
    return found


@cache
def language_table(language: str) -> Language:
    """The table of one of :data:`LANGUAGES` but English, which has rules of its own. Read at its first use."""
    module = import_module(f"ancestral_models.text.languages.{_MODULES[language]}")
    found: Language = module.LANGUAGE
    return found
