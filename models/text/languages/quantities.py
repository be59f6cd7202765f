"""Everything with digits to words, by a language's table: dates, times, money, units, ordinal numbers, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ancestral.models.text.languages.language import Calendar, Currency, Gender, Language, Numerals
from ancestral.models.text.rules import Match, Rule, SpannedText, Speak, apply_all, number_rule, rule

_DIGIT: Final = re.compile("[0-9]")
_LAST_DAY, _LAST_MONTH = 31, 12
# A longer number without marks is that of a telephone or an account, not a count.
_LONGEST_COUNT: Final = 6
_START: Final = r"(?<![\w.,])"
_END: Final = r"(?![\w])(?![.,]\d)"


def alternatives(keys: Iterable[str]) -> str:
    """A pattern of fixed texts, the longest first."""
    return "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))


class Quantities:
    """The rules of one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._numerals = Numerals(language.numbers)
        self._units = {symbol.replace("²", "^2").replace("³", "^3"): unit for symbol, unit in language.units.items()}
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
            number_rule(
                "", rf"{_START}(\d{{1,2}})({of}) ({month})(?!\w)", self._day_and_month, re.IGNORECASE
            ),
            number_rule("", rf"\b({alternatives(short)})(?={of} \d{{4}}\b)", lambda m: self._month(m[1])),
            # Two figures for the month, or no fraction.
            number_rule("/", rf"{_START}(\d{{1,2}})/(0[1-9]|1[0-2])(?!/){_END}", self._short_date),
        ]  # fmt: skip

    def _month(self, written: str) -> str:
        return self._months.get(written.lower(), written)

    def _day(self, day: int) -> str:
        return _spoken_day(self._language.calendar, self._numerals, day)

    def _date(self, match: Match, day: str, month: str, year: str) -> str:
        if not (1 <= int(day) <= _LAST_DAY and 1 <= int(month) <= _LAST_MONTH):
            return match[0]
        calendar = self._language.calendar
        return calendar.date.format(
            day=self._day(int(day)), month=calendar.months[int(month) - 1], year=self._numerals.whole(year)
        )

    def _short_date(self, match: Match) -> str:
        day, month, calendar = int(match[1]), int(match[2]), self._language.calendar
        if not month < day <= _LAST_DAY and match[2][0] != "0":
            return match[0]
        return f"{self._day(day)} {calendar.of} {calendar.months[month - 1]}" if 0 < day <= _LAST_DAY else match[0]

    def _day_and_month(self, match: Match) -> str:
        return f"{self._day(int(match[1]))}{match[2]} {self._month(match[3])}"

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
        dash = r"(?P<dash>\s?[-–]\s?(?=\d{1,2}[:.h]))?"
        clocks = [number_rule("", rf"(?<!\$){_START}{calendar.clock}{_END}{half}{dash}", speak)]
        if halves:
            clocks.append(number_rule("", rf"{_START}(?P<h>1[0-2]|0?\d)\s?(?:{halves})", speak))
        return clocks

    def _codes(self) -> list[Rule]:
        language, numerals = self._language, self._numerals
        group = numerals.whole if language.telephone_by_groups else numerals.digits

        def telephone(match: Match) -> str:
            plus = f"{language.symbols['+']} " if match[0][0] == "+" else ""
            return plus + " , ".join(group(part) for part in re.findall(r"\d+", match[0]))

        point = language.address["."]
        return [
            number_rule("-", r"(?<=\d)\s-\s(?=[\d.,]+\s?=)|(?<=\d[xyz])\s-\s(?=\d)", lambda _: language.numbers.minus),
            number_rule("+", r"(?<![\w+])(?=(?:[+() -]?\d){7})\+\d{1,3}(?:[ -]?\(?\d{1,5}\)?)+(?!\w)", telephone),
            number_rule("", rf"{_START}(?:{language.telephone}){_END}", telephone),
            number_rule(
                ".", r"(?<![\w.,])\d+(?:\.\d+){2,}(?![\w])", lambda m: self._version(m, point)
            ),
            number_rule("(", r"\b([fgh])\((\w{1,3})\)", lambda m: f"{m[1]} {language.numbers.of_millions(m[2])} "),
            number_rule("-", r"(?<![\w)])-(?=[$£€]?\d)", lambda _: language.numbers.minus),
        ]  # fmt: skip

    def _version(self, match: Match, point: str) -> str:
        if re.fullmatch(self._numerals.pattern, match[0]):
            return match[0]
        return f" {point} ".join(self._numerals.whole(part) for part in match[0].split("."))

    def _money(self) -> list[Rule]:
        currencies, number = self._language.currencies, self._numerals.pattern
        sign, scale = alternatives(currencies), rf"(?:\s(?P<scale>{self._language.numbers.millions}))?"

        def speak(match: Match) -> str:
            currency = currencies[match.groupdict().get("code") or match["sign"]]
            amount = self._amount(match["number"], match["scale"], currency)
            each = match["each"]
            return f"{amount} {self._language.per} {units[each].one if each in units else each}" if each else amount

        units = self._units
        names = {currency.whole.many: sign for sign, currency in currencies.items() if not sign.isalpha()}
        per = r"(?:/(?P<each>[^\W\d]+))?(?!\w)"
        code = rf"(?:\s?(?P<code>{alternatives(sign for sign in currencies if sign.isalpha())})\b)?"
        return [
            # As in America: $1,250.00.
            rule("$", r"(?<=\$)\d{1,3}(?:,\d{3})+(?:\.\d\d)?(?!\d)", lambda m: m[0].replace(",", "").replace(".", ",")),
            rule(",.", rf"(?<=\d[.,]\d\d) ({alternatives(names)})\b", lambda m: f" {names[m[1]]}"),
            number_rule("", rf"(?<!\w)(?P<sign>{sign})\s?(?P<number>{number}){code}{scale}{per}", speak),
            number_rule("", rf"(?P<number>(?<![\w.,]){number}){scale}\s?(?P<sign>{sign}){per}", speak),
        ]

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
        unit = alternatives(units)

        def speak(match: Match) -> str:
            per = f" {self._language.per} {units[match[3]].one}" if match[3] else ""
            return numerals.counted(match[1], units[match[2]]) + per

        def part(match: Match) -> str:
            unit = units[match[3]]
            words, noun = numerals.fraction(int(match[1]), int(match[2]), unit.gender), unit.one
            return f"{words} {noun if match[2] == '2' else numerals.part_of(noun)}"

        dash = r"\s?[-–]\s?"
        return [
            *(
                number_rule("", rf"(?<![\w.,])(\d{{1,4}})(?:{mark})(?!\w)", _ordinal(numerals, gender))
                for mark, gender in self._language.ordinal_marks.items()
            ),
            number_rule("/", rf"(?<![\w.,/])(\d{{1,2}})/(\d{{1,2}})\s?({unit})(?!\w)", part),
            rule("x×", rf"(\d(?:\s?(?:{unit}))?)\s?[x×]\s?(?=\d)", lambda m: f"{m[1]} {self._language.times} "),
            number_rule("-", rf"((?<![\w.,-]){number}){dash}(?={number}(?![\w-]*-))", lambda m: self._range(m[1])),
            number_rule("", rf"((?<![\w.,]){number})\s?({unit})(?:/({unit}))?(?![\w'])(?!\^)", speak),
        ]

    def _range(self, number: str) -> str:
        return f"{self._numerals.number(number)} {self._language.ranges}"

    def _others(self) -> list[Rule]:
        number = self._numerals.pattern
        return [
            number_rule("/", r"(?<![\d/])(\d{1,3}) (\d{1,2})/(\d{1,3})(?![\d/])(?: ([^\W\d_]+))?", self._mixed),
            number_rule("/", r"(?<![\d/.,])(\d{1,3})/(\d{1,3})(?![\d/])(?=(?:\s+([^\W\d_]+))?)", self._fraction),
            number_rule("", rf"({number})(?=(?:\s+([^\W\d_]+))?)", self._plain),
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
        gender = self._language.gender(match[3].lower()) if match[3] else None
        return self._numerals.fraction(int(match[1]), int(match[2]), gender)

    def _plain(self, match: Match) -> str:
        if match[1].isdigit() and len(match[1]) > _LONGEST_COUNT and not match[1].endswith("000"):
            return self._numerals.digits(match[1])
        counted = match[2] and (match[1] == "1" or re.search(self._language.numbers.plural, match[2]))
        return self._numerals.number(match[1], self._language.gender(match[2].lower()) if counted else None)


def _ordinal(numerals: Numerals, gender: Gender) -> Speak:
    return lambda match: numerals.ordinal(int(match[1]), gender)


def _spoken_day(calendar: Calendar, numerals: Numerals, day: int) -> str:
    """The day of a month in words."""
    return calendar.first if day == 1 and calendar.first else numerals.cardinal(day)


def day_and_month(calendar: Calendar, numerals: Numerals) -> Speak:
    """`il 12/11` as the day that it is: the groups of a match are what stands before, the day and the month."""

    def speak(match: Match) -> str:
        day, month = int(match[2]), int(match[3])
        if not (1 <= day <= _LAST_DAY and 1 <= month <= _LAST_MONTH):
            return match[0]
        of = f"{calendar.of} " if calendar.of else ""
        return f"{match[1]}{_spoken_day(calendar, numerals, day)} {of}{calendar.months[month - 1]}"

    return speak


def power(square: str, cube: str) -> Rule:
    """`x²`; that of a unit is read with it."""

    def speak(match: Match) -> str:
        if re.search(r"\d\s?\w{1,2}$", match.string[: match.start()]):
            return match[0]
        return square if match[1] == "2" else cube

    return number_rule("^", r"\^([23])(?!\w)", speak)


MINUTES: Final = rule("m", r"(?<=\d )min\.(?= [a-z])", lambda _: "min")
"""The full stop of `min.` within a sentence ends none."""
