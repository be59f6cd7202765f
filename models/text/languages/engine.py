"""Written text to spoken words and marks in any language that has a table; and what SSML's ``<say-as>`` asks for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from ancestral.models.text.characters import CUE, Folding
from ancestral.models.text.languages.language import SIGNS, Language
from ancestral.models.text.languages.numerals import Numerals
from ancestral.models.text.languages.quantities import Quantities, alternatives
from ancestral.models.text.languages.spelling import Addresses, Spelling
from ancestral.models.text.rules import lay_out, layout
from ancestral.models.text.spans import Span, SpannedText, cover

_ADDRESS: Final = re.compile(r"<([^<>\s]*(?:@|://|\w\.[A-Za-z])[^<>\s]*)>")
# After an elision whose next word was written in figures: "d'1 million".
_ELISION: Final = re.compile(r"(?<=[^\W\d_]')\s+(?=[^\W\d_])")
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
        self._addresses, self._spelling, self._quantities = (
            Addresses(language),
            Spelling(language),
            Quantities(language),
        )
        self.saying: Final = Saying(language)
        self._word: Final = re.compile(rf"[A-Za-z]+{CUE}|[{word}]+(?:[{joints}][{word}]+)*|[.,?!]")

    def speak(self, folded: SpannedText) -> list[tuple[str, Span]]:
        """The words and marks of a folded text, in lower case, and where each was written."""
        text = lay_out(folded.strip(), self._layout).sub(_ADDRESS, lambda m: f" , {m[1]} , ")
        text = self._quantities.speak(self._spelling.speak(self._addresses.speak(text)))
        text = text.sub(self._symbol, lambda m: f" {self._symbols[m[0]]} ").sub(_ELISION, "")
        written = list(self._word.finditer(text.text))
        return [
            (spoken, span)
            for match, words in zip(written, self._spelling.words([match[0] for match in written]), strict=True)
            for span in [cover(text.spans[match.start() : match.end()])]
            for word in words
            for spoken in word.split()
        ]


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
            "digits": self._digits,
            "telephone": self._telephone,
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

    def _digits(self, text: str) -> str | None:
        return self._numerals.digits(text) if DIGITS.fullmatch(text) else None

    def _telephone(self, text: str) -> str | None:
        if not TELEPHONE.fullmatch(text):
            return None
        plus = f"{self._language.symbols['+']} " if text[0] == "+" else ""
        say = self._numerals.whole if self._language.telephone_by_groups else self._numerals.digits
        return plus + " , ".join(map(say, re.findall(r"[0-9]+", text)))

    def _fraction(self, text: str) -> str | None:
        found = FRACTION.fullmatch(text)
        if found is None:
            return None
        whole = f"{self._numerals.whole(found[1])} {self._language.symbols['&']} " if found[1] else ""
        return whole + self._numerals.fraction(int(found[2]), int(found[3]))


def _if(pattern: str) -> Callable[[str], str | None]:
    """What the engine reads by itself, where it is written as it expects."""
    return lambda text: text if re.fullmatch(pattern, text, re.IGNORECASE) else None


@cache
def engine(language: Language) -> Engine:
    """The rules of a language, made at their first use."""
    return Engine(language)
