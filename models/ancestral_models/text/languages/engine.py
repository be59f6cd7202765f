"""The rules of any language that has a table: abbreviations, addresses, spelling, and <say-as>."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from ancestral_models.text.characters import ADDRESS, CUE, LONGEST_WORD, OF_ADDRESS, Folding, in_quotation
from ancestral_models.text.languages.language import SIGNS, Calendar, Currency, Gender, Language, Numerals
from ancestral_models.text.phonemes import PAUSES
from ancestral_models.text.rules import (
    Match,
    Rule,
    Span,
    SpannedText,
    Speak,
    apply_all,
    lay_out,
    layout,
    number_rule,
    rewriting,
    roman_value,
    rule,
    sentences,
    spoken_words,
)

# Addresses, abbreviations, acronyms, Roman numerals and single letters to words, by a language's table.

_ROMAN: Final = r"(?=[IVXLC]+\b)(?!C)(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?![IVXLC])"
_ANY_ROMAN: Final = re.compile(r"\b[IVXLC]+\b")
_LONGEST_SPELLED: Final = 3
_LONGEST_WITHOUT_VOWEL: Final = 4
_SHOUTED_WORDS: Final = 3
# Before a name it is a captain.
_CHAPTER: Final = re.compile(r"\bCap\.(?= ?(?:[IVXLC]+\b|\d))")
_DRAWN_OUT: Final = re.compile(r"([^\W\d_])\1{2,}")


_DOMAINS: Final = "com|org|net|edu|gob|gov|gouv|info|io|ai|dev|app|eu|es|fr|it|pt|br|mx|ar|cl|uk|de|ch|be|tv|cat|xyz"
_EXTENSIONS: Final = "pdf|txt|docx?|xlsx?|pptx?|csv|json|xml|html?|zip|png|jpe?g|gif|svg|mp[34]|wav|mov|py|md|epub"
_PART: Final = re.compile(r"[^\W\d_]+|\d+|\S")
_LONGEST_NUMBER: Final = 2
_LONGEST_SPELLED_PART: Final = 4
_VOWEL: Final = re.compile(r"[aeiouy]|[^a-z]", re.IGNORECASE)


class Addresses:
    """Rules of one language for web and e-mail addresses, file names, tags and mentions."""

    def __init__(self, language: Language) -> None:
        self._names = language.address
        self._rules: Final = (
            rule(
                ":.@",
                r"\b(?:https?|ftp)://(?=\S*\w)\S+|\bwww\.\S+|(?:\bmailto:|(?<![\w.+-]))[\w.+-]++@[\w-]+(?:\.[\w-]+)+",
                self._address,
                re.IGNORECASE,
            ),
            # What is none is passed over at once: each of its parts would be searched to its end.
            rule(
                ".",
                rf"(?<![\w.@])(?:(?:[\w-]+\.)+({_DOMAINS})(?:/\S*|\b(?![.]?\w))|[\w-]++(?:\.[\w-]++)*+)",
                self._address_or_words,
            ),
            rule(".", rf"\b[\w-]++(\.(?:{_EXTENSIONS})\b(?!\.?[\w@]))?", self._address_or_words, re.IGNORECASE),
            rule("/", r"(?<![\w/.~<])(?:~|\.{1,2})?(?:/[A-Za-z.][\w.-]*){2,}/?(?<![.])", self._address),
            rule("#@", rf"(?<![\w&])([#@])([^\W\d][\w{language.letters}]*)", self._tag),
        )

    def speak(self, text: SpannedText) -> SpannedText:
        """Replaces addresses by words, whose single letters are spelled later."""
        return apply_all(self._rules, text) if OF_ADDRESS.search(text.text) else text

    def _address(self, match: Match) -> str:
        text = re.sub(r"^(?:[a-z]+://|mailto:)", "", match[0], flags=re.IGNORECASE)
        body = text.rstrip(".,?!;:)]'\"")
        return f" {self._spoken(body.rstrip('/'))} {text[len(body) :]}"

    def _address_or_words(self, match: Match) -> str:
        return self._address(match) if match[1] else match[0]

    def _spoken(self, text: str) -> str:
        return " ".join(self._part(part) for part in _PART.findall(text))

    def _part(self, part: str) -> str:
        if part.isdigit():
            return part if len(part) <= _LONGEST_NUMBER else " ".join(part)
        spelled = len(part) <= _LONGEST_SPELLED_PART and not _VOWEL.search(part)
        return self._names.get(part.lower(), " ".join(part.upper()) if spelled else part)

    def _tag(self, match: Match) -> str:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|_", " ", match[2])
        return f" {self._names[match[1]]} {words} "


class Spelling:
    """Rules of one language for abbreviations, acronyms, Roman numerals and single letters."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._numerals = Numerals(language.numbers)
        capitals = "A-Z" + "".join(letter for letter in language.letters.upper() if letter != letter.lower())
        small = f"a-z{language.letters}"
        known = {**language.titles, **language.abbreviations}
        self._known = {key.replace(" ", ""): spoken for key, spoken in known.items()}
        self._titles = {key.replace(" ", "") for key in language.titles}
        self._abbreviation: Final = re.compile(
            rf"(?<![\w.°º{language.letters}])(?:{'|'.join(map(_as_written, sorted(known, key=len, reverse=True)))})"
        )
        self._sentence: Final = re.compile(rf"[\"')\]]*\s*(?:$|\n|[\"'(]?[{capitals}])")
        self._dotted: Final = re.compile(
            rf"\b(?:(?<!\b[{capitals}]\.)(?:[{capitals}]\.[\s-]?)+[{capitals}]\.|(?<!\b[{small}]\.)(?:[{small}]\.){{2,}}"
            rf"|[A-Z]\.(?=\s+[{small}\d])"
            rf"|(?<![\d°º])(?<![\d°º] )[{capitals}]\.(?=\s+[{capitals}]))(?!\w)"
        )
        self._name: Final = re.compile(rf"\s+([{capitals}][{small}']*)")
        nouns = "|".join((*language.lettered, *language.romans)) or "(?!)"
        self._lettered: Final = re.compile(rf"\b(?i:{nouns}) $")
        self._end: Final = re.compile(r"[\"')\]]*\s*$")
        joint = rf"\b(?: (?:{'|'.join(language.conjunctions)}|a|al|à|au|alla?|ao) |-)"
        self._romans: Final = [
            (re.compile(rf"\b((?i:{words})) +({_ROMAN}(?:{joint}{_ROMAN})?)\b(?!\.?\s*\d)"), kind)
            for words, kind in language.romans.items()
        ]
        self._roman_ordinals: Final = [
            (re.compile(rf"\b(?=[IVX])(X{{0,3}}(?:IX|IV|V?I{{0,3}}))(?:{mark})(?!\w)"), gender)
            for mark, gender in ((mark.replace(r"\s", r"\s+"), gender) for mark, gender in language.roman_marks.items())
        ]
        month = rf"(?i:{'|'.join(language.calendar.months)})\b"
        self._roman_day: Final = re.compile(
            rf"\b{_ROMAN}(?= {month})|\b(?=[IVX]{{2}}){_ROMAN}(?= {language.calendar.of} {month})"
        )
        self._days: Final = _short_days(language.calendar, month, capitals + small)
        # What is an abbreviation itself is not spelled: in Hindi kilometre and "before Christ" are such.
        dotted = alternatives(key for key in known if "." in key[:-1]) or "(?!)"
        initial, letter = f"(?>{language.initials})", f"[{capitals}{small}]"
        self._initials: Final = re.compile(
            rf"(?<!{letter})(?!{dotted})(?:(?:{initial}\.\s?)+{initial}\.|(?:{initial}\.)+{initial}(?!{letter}))"
        )
        # Two spaces follow an initial, which has lost its dot.
        self._regnal: Final = re.compile(rf"\b([{capitals}][{small}]{{2,}}) ({_ROMAN})\b(?!\.\w|  )")
        self._single: Final = frozenset(language.one_letter_words)
        self._rewritten: Final = rewriting(language.rewritten)

    def speak(self, text: SpannedText) -> SpannedText:
        """Replaces abbreviations and Roman numerals: before figures are read."""
        text = text.sub(_CHAPTER, "cap.").sub(self._days, self._named_days).sub(self._initials, self._letters)
        text = text.sub(self._abbreviation, self._expand).sub(self._dotted, self._letters)
        text = text.sub(self._roman_day, lambda m: str(roman_value(m[0])))
        for pattern, gender in self._roman_ordinals:
            text = text.sub(pattern, lambda m, gender=gender: self._numerals.ordinal(roman_value(m[1]), gender))  # type: ignore[misc]
        for pattern, kind in self._romans:
            text = text.sub(pattern, lambda m, kind=kind: self._counted(m, *kind.split(" ")))  # type: ignore[misc]
        return apply_all(self._rewritten, text.sub(self._regnal, self._king))

    def _expand(self, match: re.Match[str]) -> str:
        written = match[0].replace(" ", "")
        if written[1:] == "." and self._is_after_noun(match):
            return match[0]
        first, rest = written[0], written[1:]
        key = next(key for key in (written, first.lower() + rest, first.upper() + rest) if key in self._known)
        ends = self._end if key in self._titles else self._sentence
        stop = " . " if key.endswith(".") and ends.match(match.string, match.end()) else " "
        return f" {self._known[key]}{stop}"

    def _named_days(self, match: re.Match[str]) -> str:
        days = self._language.calendar.short_days
        ranged = re.sub(r"(?<=\.)\s?-\s?", f" {self._language.ranges} ", match[0])
        named = re.sub(r"\w+\.", lambda m: days.get(m[0][:-1].lower(), m[0]), ranged)
        return named + (" . " if match[0][-1] == "." and self._sentence.match(match.string, match.end()) else "")

    def _letters(self, match: re.Match[str]) -> str:
        """`D.P.R.`, `L. 121`, `J. Verne`, but "el plan B. Luego": none ends a sentence but at the end of the text."""
        after = self._name.match(match.string, match.end())
        if len(match[0]) == 2 and after and (after[1].lower() in self._language.openers or self._is_after_noun(match)):
            return match[0]
        return match[0].replace(".", " ") + (". " if self._end.match(match.string, match.end()) else "")

    def _is_after_noun(self, match: re.Match[str]) -> bool:
        start = max(0, match.start() - LONGEST_WORD)
        return self._lettered.search(match.string, start, match.start()) is not None

    def _counted(self, match: re.Match[str], kind: str, word: str = "") -> str:
        """A word and its Roman numeral, or two: "siglos XV y XVI"."""
        numerals = _ANY_ROMAN.sub(lambda found: self._roman(found[0], kind), match[2])
        return f"{word or match[1]} {numerals}"

    def _roman(self, numeral: str, kind: str) -> str:
        number = roman_value(numeral)
        if kind == "cardinal":
            return self._numerals.cardinal(number)
        gender: Gender = "f" if kind == "f" else "m"
        small = number <= self._language.regnal
        return self._numerals.ordinal(number, gender) if small else self._numerals.cardinal(number)

    def _king(self, match: re.Match[str]) -> str:
        if match[2] == "L" or ("I" not in match[2] and match[1].lower() in self._language.lettered):
            return match[0]
        return f"{match[1]} {self._roman(match[2], self._language.gender(match[1].lower()) or 'm')}"

    def words(self, written: Sequence[str]) -> Iterator[list[str]]:
        """The spoken form of each word or mark, in lower case; for single letters and acronyms their names."""
        for sentence in sentences(written):
            yield from self._sentence_words(written[sentence])

    def _sentence_words(self, words: Sequence[str]) -> Iterator[list[str]]:
        letters = [word for word in words if word not in PAUSES and word[-1] != CUE and len(word) > 1]
        shouted = len(letters) >= _SHOUTED_WORDS and all(word.isupper() for word in letters)
        first = True
        for word in words:
            yield [word] if word in PAUSES or word[-1] == CUE else list(self._word(word, first, shouted))
            first = word in PAUSES or (first and word[-1] == CUE)

    def _word(self, word: str, first: bool, shouted: bool) -> Iterator[str]:
        lower = word.lower()
        if len(word) == 1:
            is_word = lower in self._single and (first or word == lower or shouted)
            yield lower if is_word else self._letter(lower)
        elif self._is_spelled(word, shouted):
            yield from map(self._letter, filter(str.isalpha, lower))
        elif "'" in word and len(word) <= LONGEST_WORD and self._is_spelled(word.rpartition("'")[2], shouted):
            elided, _, spelled = lower.rpartition("'")
            yield f"{elided}'{self._letter(spelled[0])}"
            yield from map(self._letter, spelled[1:])
        else:
            short = _DRAWN_OUT.sub(r"\1", lower) if _has_vowel(lower) else lower
            yield from (short[i : i + LONGEST_WORD] for i in range(0, len(short), LONGEST_WORD))

    def _is_spelled(self, word: str, shouted: bool) -> bool:
        capitals = word.upper()
        if capitals in self._language.said or not word.isalpha():
            return False
        if not _has_vowel(word):
            distinct = len(set(capitals)) == len(word)
            return not _DRAWN_OUT.search(word) if word.isupper() else distinct and len(word) <= _LONGEST_WITHOUT_VOWEL
        if not word.isupper():
            return False
        if capitals in self._language.spelled:
            return True
        return not shouted and (
            len(word) <= _LONGEST_SPELLED or not re.fullmatch(self._language.pronounceable, word.lower())
        )

    def _letter(self, letter: str) -> str:
        plain = unicodedata.normalize("NFD", letter)[0]
        return self._language.letter_names.get(letter) or self._language.letter_names[plain]


def _has_vowel(word: str) -> bool:
    """Whether it has a letter of a vowel; a word of a script without capitals always."""
    return word.lower() == word.upper() or not set(unicodedata.normalize("NFD", word.lower())).isdisjoint("aeiouy")


def _short_days(calendar: Calendar, month: str, letters: str) -> re.Pattern[str]:
    """A pattern: abbreviations that are days only beside another day, a date or a time ("seg. a sex.", "ter. às 9h"):
    by itself "ter." is a verb at the end of a sentence."""
    short = rf"(?:{alternatives(calendar.short_days) or '(?!)'})\."
    day = rf"(?:{short}|(?:{alternatives(calendar.short_days.values()) or '(?!)'})\b(?:-\w+)?)"
    joint = r"(?:\s?[-/,]\s?|,?\s(?-i:[aeouyà]|et|ou|a[lou]|até)\s)"
    when = rf",?\s(?:(?-i:[a-zà-ÿ]{{1,3}})\s)?\d{{1,2}}(?:[/.:]\d|h|\s(?:{calendar.of}\s)?{month})"
    # After these it is a noun, or the month: "un jeu. 5 mai", "12 de mar. 9:30".
    alone = rf"(?<!\b(?:un|um|la|en) )(?<!\ben el )(?<!\d de ){short}(?={when})"
    near = calendar.near_day.replace("{}", short)
    return re.compile(rf"(?<![{letters}])(?<!\d )(?i:{day}(?:{joint}{day})+|{alone}|{near})(?![{letters}])")


def _as_written(key: str) -> str:
    """A pattern for an abbreviation; its first letter may be small or a capital, its spaces may be missing. A single
    capital with a full stop, and one without a full stop, is exact: `M.` is no metre. A single letter with a full stop
    begins no acronym, and `A. C.` is `a. C.` after a number only."""
    exact = not key[0].isalpha() or (key[0].isupper() and (key[1:] == "." or not key.endswith(".")))
    capital = ("" if key[0].isupper() or key[1:] == key[1:].lower() else r"(?<=[\dIVX]\s)") + key[0].upper()
    first = re.escape(key[0]) if exact else f"(?:{re.escape(key[0].lower())}|{capital})"
    rest = re.escape(key[1:]).replace(r"\ ", r"\s?")
    after = r"(?=\s?\w)" if exact and key[1:] == "." else "" if key[-1] in ".°º" else r"(?!\w)"
    single = (r"(?<!\b[A-Z]\. )", r"(?![^\W\d_]\.)") if key[1:] == "." else ("", "")
    return single[0] + first + rest + after + single[1]


# Written text to spoken words and marks in any language that has a table; and what SSML's ``<say-as>`` asks for.

# After an elision whose next word was written in figures: "d'1 million".
_ELISION: Final = re.compile(r"(?:(?<=\b[^\W\d_]')|(?<=\b[Qq]u')|(?<=ll'|nt'|st')|(?<=\b[Uu]n'))\s+(?=[^\W\d_])")
_ORDINALS: Final = "ºª"
# Kinds of <say-as>, and how what they are for is written, in every language.
CHARACTERS: Final = ("characters", "spell-out", "verbatim")
DIGITS: Final = re.compile(r"(?=[^0-9]*[0-9])[0-9\s.,-]+")
TELEPHONE: Final = re.compile(r"(?=[^0-9]*[0-9])\+?[0-9\s().-]+")
FRACTION: Final = re.compile(r"(?:([0-9]{1,9})\s+)?([0-9]{1,9})\s*/\s*([0-9]{1,9})")


class Engine:
    """The rules of one language, in their fixed order.

    Attributes:
        folding: the characters that its rules read.
        saying: what SSML's ``<say-as>`` asks for.
    """

    def __init__(self, language: Language) -> None:
        letters = language.letters + language.letters.upper()
        signs = "".join(sign for sign in SIGNS if not sign.isascii())
        self.folding: Final = Folding(language.tag, language.name, frozenset(letters + _ORDINALS + signs), {})
        self._symbols = {**dict.fromkeys(_ORDINALS, ""), **language.symbols}
        word, joints = f"A-Za-z{letters}", re.escape(language.joints)
        between = rf"(?<=[{word}])[{joints}](?=[{word}])"
        self._symbol: Final = re.compile(rf"(?!{between})(?:{alternatives(self._symbols)})")
        self._layout: Final = layout(
            f"A-Z{language.letters.upper()}", language.address["."], "|".join(language.conjunctions)
        )
        self._addresses, self._spelling = Addresses(language), Spelling(language)
        self._quantities = Quantities(language)
        self.saying: Final = Saying(language)
        self._word: Final = re.compile(rf"[A-Za-z]+{CUE}|[{word}]+(?:[{joints}][{word}]+)*|[.,?!]")

    def speak(self, folded: SpannedText) -> list[tuple[str, Span]]:
        """The words and marks of a folded text, in lower case, and where each was written."""
        text = lay_out(folded.strip(), self._layout).sub(ADDRESS, lambda m: f" , {m[1]} , ")
        text = self._quantities.speak(self._spelling.speak(self._addresses.speak(text)))
        text = text.sub(self._symbol, lambda m: f" {self._symbols[m[0]]} ").sub(_ELISION, "")
        return spoken_words(text, self._word, self._spelling.words)


class Saying:
    """The kinds of ``interpret-as`` that one language reads, but for dates.

    Attributes:
        kinds: for each, what is spoken for a text; None if it is not of the kind.
    """

    def __init__(self, language: Language) -> None:
        self._language = language
        self._numerals = Numerals(language.numbers)
        number, clock, halves = self._numerals.pattern, language.calendar.clock, "|".join(language.calendar.halves)
        sign, unit = alternatives(language.currencies), alternatives(language.units)
        self.kinds: Mapping[str, Callable[[str], str | None]] = {
            **dict.fromkeys(CHARACTERS, self._characters),
            **dict.fromkeys(("cardinal", "number"), self._number),
            "ordinal": self._ordinal,
            "digits": lambda text: self._numerals.digits(text) if DIGITS.fullmatch(text) else None,
            "telephone": lambda text: _telephone(language, self._numerals, text) if TELEPHONE.fullmatch(text) else None,
            "fraction": self._fraction,
            "time": _if(rf"(?:{clock})(?:\s?(?:{halves}))?"),
            "currency": _if(rf"(?:{sign})\s?(?:{number})|(?:{number})\s?(?:{sign})"),
            "unit": _if(rf"-?(?:{number})\s?(?:{unit})(?:/(?:{unit}))?"),
        }

    def _characters(self, text: str) -> str | None:
        return " , ".join(map(self._character, filter(str.strip, text))) or None

    def _character(self, char: str) -> str:
        lower, language = char.lower(), self._language
        plain = unicodedata.normalize("NFKD", lower)[0]
        if plain.isascii() and plain.isdigit():
            return self._numerals.digits(plain)
        return language.letter_names.get(lower) or language.letter_names.get(plain) or language.address.get(char, char)

    def _number(self, text: str) -> str | None:
        found = re.fullmatch(rf"(-?)({self._numerals.pattern})", text)
        minus = f"{self._language.numbers.minus} " if found and found[1] else ""
        return found and minus + self._numerals.number(found[2])

    def _ordinal(self, text: str) -> str | None:
        if re.fullmatch(r"\d{1,4}", text):
            return self._numerals.ordinal(int(text))
        for mark, gender in self._language.ordinal_marks.items():
            if found := re.fullmatch(rf"(\d{{1,4}})(?:{mark})", text):
                return self._numerals.ordinal(int(found[1]), gender)
        return None

    def _fraction(self, text: str) -> str | None:
        found = FRACTION.fullmatch(text)
        if found is None:
            return None
        whole = f"{self._numerals.whole(found[1])} {self._language.symbols['&']} " if found[1] else ""
        return whole + self._numerals.fraction(int(found[2]), int(found[3]))


def _telephone(language: Language, numerals: Numerals, text: str) -> str:
    plus = f"{language.symbols['+']} " if text[0] == "+" else ""
    say = numerals.whole if language.telephone_by_groups else numerals.digits
    return plus + " , ".join(map(say, re.findall(r"[0-9]+", text)))


def _if(pattern: str) -> Callable[[str], str | None]:
    """What the engine reads by itself, where it is written as it expects."""
    return lambda text: text if re.fullmatch(pattern, text, re.IGNORECASE) else None


@cache
def engine(language: Language) -> Engine:
    """The rules of a language, made at their first use."""
    return Engine(language)


# Everything with digits to words, by a language's table: dates, times, money, units, ordinal numbers, numbers.


_DIGIT: Final = re.compile("[0-9]")
_LAST_DAY, _LAST_MONTH = 31, 12
# A longer number without marks is that of a telephone or an account, not a count.
_LONGEST_COUNT: Final = 6
# Beyond it `3/5` of nothing is a mark, or what has been reached: "3/5 lobos".
_LARGEST_SHARE: Final = 4
_START: Final = r"(?<![\w.,])"
_DASH: Final = r"\s?-\s?"
_END: Final = r"(?![\w])(?![.,]\d)"


def alternatives(keys: Iterable[str]) -> str:
    """A pattern of fixed texts, the longest first."""
    return "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))


class Quantities:
    """The rules of one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._numerals = Numerals(language.numbers)
        self._word = rf"[\w{language.letters}]"  # a letter with its marks, which are none for \w
        # What is counted: the noun after thousands, too, whose gender the number has.
        self._noun = rf"(?:\s+(?:(?:{language.numbers.thousand})\s+(?=[^\W\d_]+s\b))?([^\W\d_]+))?"
        self._units = {
            s.translate({178: f"{to}2", 179: f"{to}3"}): u
            for s, u in language.units.items()
            if s != "x"
            for to in ("^", "")
        }
        self._rules: Final = (
            *language.rules, *self._dates(), *self._times(), *self._codes(), *self._money(), *self._measures(),
            *self._others(),
        )  # fmt: skip

    def speak(self, text: SpannedText) -> SpannedText:
        """Replaces every digit of a folded text by words."""
        return apply_all(self._rules, text) if _DIGIT.search(text.text) else text

    def _dates(self) -> list[Rule]:
        calendar = self._language.calendar
        names = {month: month for month in calendar.months}
        short = {f"{key}{dot}": month for key, month in calendar.short_months.items() for dot in (".", "")}
        self._months = names | short
        of = rf"(?: {calendar.of})?" if calendar.of else ""
        month = alternatives(self._months)
        return [
            number_rule("-", rf"{_START}(\d{{4}})-(\d\d)-(\d\d){_END}", lambda m: self._date(m, m[3], m[2], m[1])),
            number_rule(
                "/.-",
                rf"{_START}(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}}|\d\d){_END}",
                lambda m: self._date(m, m[1], m[3], m[4]),
            ),
            self._to(rf"{_START}(\d{{1,2}})", rf"\d{{1,2}}{of} (?i:{month})(?!{self._word})"),
            number_rule(
                "", rf"{_START}(\d{{1,2}})({of}) ({month})(?!{self._word})",
                lambda m: f"{self._day(int(m[1]))}{m[2]} {self._month(m[3])}", re.IGNORECASE,
            ),
            number_rule("", rf"\b({alternatives(short)})(?={of} \d{{4}}\b)", lambda m: self._month(m[1])),
            # After a day of the week and the like, or with two figures for the month: elsewhere it is a fraction.
            number_rule(
                "/",
                rf"(?:\b((?i:{calendar.before_day})(?:\s?,)?\s+)|{_START})(\d{{1,2}})/(\d{{1,2}})(?![/\"]|\s?d['aeiou]){_END}",
                self._short_date,
            ),
        ]  # fmt: skip

    def _month(self, written: str) -> str:
        return self._months.get(written.lower(), written)

    def _day(self, day: int) -> str:
        calendar = self._language.calendar
        return calendar.first if day == 1 and calendar.first else self._numerals.cardinal(day)

    def _date(self, match: Match, day: str, month: str, year: str) -> str:
        if not (1 <= int(day) <= _LAST_DAY and 1 <= int(month) <= _LAST_MONTH):
            return match[0]
        calendar = self._language.calendar
        return calendar.date.format(
            day=self._day(int(day)), month=calendar.months[int(month) - 1], year=self._numerals.whole(year)
        )

    def _short_date(self, match: Match) -> str:
        day, month, calendar = int(match[2]), int(match[3]), self._language.calendar
        named = match[1] or match[3][0] == "0" or (len(match[3]) > 1 and month < day)
        if not (named and 1 <= day <= _LAST_DAY and 1 <= month <= _LAST_MONTH):
            return match[0]
        return f"{match[1] or ''}{self._day(day)} {calendar.of} {calendar.months[month - 1]}"

    def _times(self) -> list[Rule]:
        calendar = self._language.calendar
        halves = "|".join(f"(?P<half{i}>{pattern})" for i, pattern in enumerate(calendar.halves))
        words = tuple(calendar.halves.values())

        def speak(match: Match) -> str:
            parts = match.groupdict()
            time = calendar.time(int(parts["h"]), int(parts.get("m") or 0))
            if parts.get("s"):
                time = calendar.seconds.format(time=time, seconds=self._numerals.cardinal(int(parts["s"])))
            half = next((words[i] for i in range(len(words)) if parts[f"half{i}"]), "")
            return f"{time} {half} {self._language.ranges if parts.get('dash') else ''}"

        half = rf"(?:\s?(?:{halves}))?"
        dash = rf"(?P<dash>{_DASH}(?=\d{{1,2}}(?:[:.]|\s?h)))?"
        clocks = [self._to(rf"{_START}(\d{{1,2}})", r"\d{1,2}\s?h\b", "f")]
        clocks += [number_rule("", rf"(?<!\$){_START}{calendar.clock}{_END}{half}{dash}", speak)]
        if halves:
            clocks.append(number_rule("", rf"{_START}(?P<h>1[0-2]|0?\d)\s?(?:{halves})", speak))
        return clocks

    def _to(self, before: str, after: str, gender: Gender | None = None) -> Rule:
        """A rule for the dash between a number, the group of ``before``, and what is ``after`` it."""
        to, number = self._language.ranges, self._numerals.number
        pattern = rf"{before}{_DASH}(?={after}{self._noun})"
        return number_rule("-", pattern, lambda m: f"{number(m[1], gender) if gender else self._plain(m)} {to} ")

    def _codes(self) -> list[Rule]:
        language, numerals = self._language, self._numerals
        point, mark, of = language.address["."], next(iter(language.numbers.decimals)), language.numbers.of_millions
        number, money, minus = numerals.pattern, alternatives(language.currencies), language.numbers.minus
        sign = alternatives((*self._units, *language.currencies, "%"))
        return [
            rule(".", rf"(?<![\w.,)])\.(?=\d+(?:\s?(?:{sign}))?(?!\w))", lambda _: f"0{mark}"),
            number_rule(
                "-", rf"(?<=\d)(\s?(?:{sign})){_DASH}(?={number}\s?(?:{sign})(?!\w))",
                lambda m: f"{m[1].strip()} {language.ranges}",
            ),
            number_rule(
                "-", rf"(?<!{self._word})(?<![A-Z]/)({money})\s?-(?=\d)(?![\d.,]+\s?%)", lambda m: f"{minus} {m[1]}"
            ),
            number_rule(
                "-",
                rf"(?<=\d)\s-\s(?=[\d.,]+\s?=)|(?:(?<=\d[xyz])|(?<=\^\d))\s-\s(?=\d)"
                rf"|(?<!{self._word})(?<!\))-(?=(?:(?:{money})\s?)?\d)",
                lambda _: minus,
            ),
            number_rule(
                "",
                r"(?<![\w+])(?=(?:[+() -]?\d){7})\+\d{1,3}(?>(?:[ -]?\(?\d{1,5}\)?)+)(?!\w)"
                rf"|{_START}(?:{language.telephone}){_END}",
                lambda m: _telephone(language, numerals, m[0]),
            ),
            # The check digit of an account or a document, which is no range; years need a word before them.
            number_rule(
                "-", r"(?:(\b(?i:conta|agência|cuenta|RUT)\b(?:(?! e[mn]\b)[^\d;.-]){1,20})|(?<![\w.,-]))"
                r"(?(1)|(?!(?:1[5-9]|20)\d\d-\d|2100-\d|\d\.\d{3}-\d))"
                r"(\d{1,3}(?:\.\d{3})+|\d{4,})-([\dXx])(?![\w-]|[.,]\d)",
                lambda m: f"{m[1] or ''}{numerals.digits(m[2])} {language.address['-']} "
                + (numerals.digits(m[3]) or language.letter_names["x"]),
            ),
            number_rule(
                ".", r"(?:(?<=\bv)|(?<![\w.,]))\d+(?:\.\d+){2,}(?!\w)", lambda m: self._version(m, point)
            ),
            number_rule("(", r"\b([fgh])\((\w{1,3})\)", lambda m: f"{m[1]} {of(m[2].replace('x', ' x'))} "),
        ]  # fmt: skip

    def _version(self, match: Match, point: str) -> str:
        if re.fullmatch(self._numerals.pattern, match[0]):
            return match[0]
        return f" {point} ".join(self._numerals.whole(part) for part in match[0].split("."))

    def _money(self) -> list[Rule]:
        currencies, number = self._language.currencies, self._numerals.pattern
        sign, word = alternatives(currencies), self._word
        scale = rf"(?:\s(?P<scale>{self._language.numbers.millions}|{self._language.numbers.thousand}))?"

        def speak(match: Match) -> str:
            currency = currencies[match.groupdict().get("code") or match["sign"]]
            amount = self._amount(match["number"], match["scale"], currency)
            return amount + self._each(match["each"])

        names = {currency.whole.many: sign for sign, currency in currencies.items() if not sign.isalpha()}
        per = rf"(?:/(?P<each>(?:(?!\d){word})+))?(?!{word})"
        code = rf"(?:\s?(?P<code>{alternatives(sign for sign in currencies if sign.isalpha())})\b)?"
        return [
            number_rule(
                "-", rf"(?<!\w)({sign})\s?({number}){_DASH}(?:(?:{sign})\s?)?(?={number})",
                lambda m: f"{self._numerals.number(m[2])} {self._language.ranges} {m[1]}",
            ),
            self._to(rf"((?<![\w.,-]){number})", rf"{number}(?:\s\w+)?\s?(?:{sign})(?!\w)"),
            # As in America: $1,250.00.
            rule("$", r"(?<=\$)\d{1,3}(?:,\d{3})+(?:\.\d\d)?(?!\d)", lambda m: m[0].replace(",", "").replace(".", ",")),
            rule(",.", rf"(?<=\d[.,]\d\d) ({alternatives(names)})\b", lambda m: f" {names[m[1]]}"),
            *(
                rule("", rf"{_START}({number})\s?(?:{pattern})(?!\w)", lambda m, words=words: self._scaled(m[1], words))  # type: ignore[misc]
                for words, pattern in self._language.scales
            ),
            number_rule("", rf"(?<!\w)(?P<sign>{sign})\s?(?P<number>{number}){code}{scale}{per}", speak),
            number_rule("", rf"(?P<number>(?<![\w.,]){number}){scale}\s?(?P<sign>{sign}){per}", speak),
        ]  # fmt: skip

    def _scaled(self, number: str, words: str) -> str:
        """`3,2 Md` as `3,2 milliards`."""
        one, many = words.split(", ")
        return f"{number} {one if self._language.numbers.singular(self._numerals.value(number)) else many}"

    def _each(self, unit: str | None) -> str:
        """What stands behind a line after an amount or a unit: `/h`, `/mes`."""
        return f" {self._language.per} {self._units[unit].one if unit in self._units else unit}" if unit else ""

    def _amount(self, number: str, scale: str | None, currency: Currency) -> str:
        numerals = self._numerals
        if scale is not None:
            return f"{numerals.number(number, 'm')} {scale} {numerals.of(scale, currency.whole.many)}"
        whole, _, cents = numerals.plain(number)
        if currency.hundredth is None or len(cents) not in (1, 2):
            return numerals.counted(number, currency.whole)
        hundredths = numerals.counted(str(int(cents.ljust(2, "0"))), currency.hundredth)
        if int(cents) == 0:
            return numerals.counted(whole, currency.whole)
        if int(whole) == 0:
            return hundredths
        return self._language.money.format(
            whole=numerals.counted(whole, currency.whole),
            cents=hundredths,
            number=numerals.cardinal(int(cents.ljust(2, "0"))),
        )

    def _measures(self) -> list[Rule]:
        units, number, numerals = self._units, self._numerals.pattern, self._numerals
        unit, times, minus = alternatives(units), self._language.units["x"], self._language.numbers.minus

        def speak(match: Match) -> str:
            return numerals.counted(match[1], units[match[2]]) + self._each(match[3])

        def part(match: Match) -> str:
            unit = units[match[3]]
            words, noun = numerals.fraction(int(match[1]), int(match[2]), unit.gender), unit.one
            return f"{words} {noun if match[2] == '2' else self._language.numbers.of_millions(noun)}"

        return [
            # Feet and inches; no inches where a quotation ends.
            rule(
                "'", r"(?<![\"°'\w.,])(\d{1,3})'( ?[x×]? ?\d{1,3})(\"|'{1,2})(?![\w'])",
                lambda m: f"{m[1]} ′ {m[2].strip()} {'′' if m[3] == chr(39) else '″'}",
            ),
            rule(
                '"', rf"(?<![\"\w.,])({number})\"(?=[\s.,;)]|$)",
                lambda m: m[0] if in_quotation(m.string, m.start()) else f"{m[1]} ″",
            ),
            # A number or a participle follows: a verb, and no hectares.
            number_rule("h", r"(?<!\d)(\d++) ha (?=\d|\w+(?:[ts]|ch|d)[oa]\b)", lambda m: f"{numerals.whole(m[1])} ha"),
            *(
                number_rule("", rf"(?<![\w.,])(\d{{1,4}})(?:{mark})(?!\w)", _ordinal(numerals, gender))
                for mark, gender in self._language.ordinal_marks.items()
            ),
            number_rule("/", rf"(?<![\w.,/])(\d{{1,2}})/(\d{{1,2}})\s?({unit})(?!\w)", part),
            # No variable of a formula.
            number_rule(
                "x",
                rf"(?<![\w.,])(?<![\w√)]\()(?<![-=+*/<>^])(?<![-=+*/<>^]\s)(?<![xyz],\s)(?<![\dx]\s{minus}\s)({number})x(?!\w)(?!\s?(?:\)\s?)?[-=+*/<>^(\d]|\s+{minus}\s+\d)",
                lambda m: f"{numerals.number(m[1], times.gender)} {times.one if m[1] == '1' else times.many}",
            ),
            rule("x×*", rf"(\d(?:\s?(?:{unit}))?)\s?[x×*]\s?(?=\d)", lambda m: f"{m[1]} {self._language.times} "),
            self._to(rf"((?<![\w.,-]){number})", rf"{number}(?![\w-]*-)"),
            number_rule(
                "",
                rf"((?<![\w.,]){number})\s?({unit})(?:/({unit}|[^\W\d_]{{3,}}))?(?!{self._word}|')(?!\^)(?:\.(?=\s[a-zà-ÿ]))?",
                speak,
            ),
        ]  # fmt: skip

    def _others(self) -> list[Rule]:
        number = self._numerals.pattern
        group = rf"[{re.escape(self._language.numbers.thousands)}]\d{{3}}"
        return [
            number_rule("^", r"\^([23])(?!\w)", lambda m: self._language.powers[int(m[1]) - 2]),
            number_rule(
                "/",
                rf"(?<![\w.,])(\d{{1,3}}(?:{group})+)/(?=\d{{1,3}}{group})",
                lambda m: f"{self._numerals.number(m[1])} {self._language.numbers.over}",
            ),
            number_rule("/", r"(?<![\d/])(\d{1,3}) (\d{1,2})/(\d{1,3})(?![\d/])(?: ([^\W\d_]+))?", self._mixed),
            number_rule("/", r"(?<![\d/.,])(\d{1,3})/(\d{1,3})(?![\d/])(?=(?:\s+([^\W\d_]+))?)", self._fraction),
            number_rule("", rf"({number})(?={self._noun})", self._plain),
        ]

    def _mixed(self, match: Match) -> str:
        """`2 1/2 horas` as "dos horas y media"."""
        noun, numerals, and_ = match[4] or "", self._numerals, self._language.symbols["&"]
        gender = self._language.gender(noun.lower()) if noun else "m"
        half = numerals.fraction(int(match[2]), int(match[3]), gender)
        if match[2] + match[3] == "12" and noun and gender and self._language.numbers.half:
            return f"{numerals.whole(match[1], gender)} {noun} {and_} {half.split()[-1]}"
        return f"{numerals.whole(match[1])} {and_} {half} {noun}"

    def _fraction(self, match: Match) -> str:
        after = (match[3] or "").lower()
        gender = self._language.gender(after) if after else None
        if after[:1] != "d" and (match[2] in ("10", "20", "100") or (after and int(match[2]) > _LARGEST_SHARE)):
            numbers = (self._numerals.cardinal(int(number)) for number in match.group(1, 2))
            return f" {self._language.numbers.over} ".join(numbers)
        return self._numerals.fraction(int(match[1]), int(match[2]), gender)

    def _plain(self, match: Match) -> str:
        if match[1].isdigit() and len(match[1]) > _LONGEST_COUNT and not match[1].endswith("000"):
            return self._numerals.digits(match[1])
        counted = match[2] and (match[1] == "1" or re.search(self._language.numbers.plural, match[2]))
        return self._numerals.number(match[1], self._language.gender(match[2].lower()) if counted else None)


def _ordinal(numerals: Numerals, gender: Gender) -> Speak:
    return lambda match: numerals.ordinal(int(match[1]), gender)
