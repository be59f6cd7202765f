"""Written text to spoken words and marks in any language that has a table."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from ancestral.models.text.characters import CUE, Folding
from ancestral.models.text.languages.addresses import Addresses
from ancestral.models.text.languages.language import SIGNS, Language
from ancestral.models.text.languages.quantities import Quantities, alternatives
from ancestral.models.text.languages.saying import Saying
from ancestral.models.text.languages.spelling import Spelling
from ancestral.models.text.layout import lay_out, layout
from ancestral.models.text.spans import Span, SpannedText, cover

_ADDRESS: Final = re.compile(r"<([^<>\s]*(?:@|://|\w\.[A-Za-z])[^<>\s]*)>")
# After an elision whose next word was written in figures: "d'1 million".
_ELISION: Final = re.compile(r"(?<=[^\W\d_]')\s+(?=[^\W\d_])")
_ORDINALS: Final = "ºª"


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


@cache
def engine(language: Language) -> Engine:
    """The rules of a language, made at their first use."""
    return Engine(language)
