"""Written English to the words and marks that are spoken.

The stages run in a fixed order: layout, markup, addresses and abbreviations (which need capitals and digits),
quantities, remaining symbols, and last the case of each word, which tells an acronym from a word. docs/text.md
describes what is spoken.
"""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.abbreviations import speak_abbreviations
from ancestral.models.text.addresses import letters, speak_addresses
from ancestral.models.text.characters import CUE, LETTER
from ancestral.models.text.dates import BRITISH_RULES
from ancestral.models.text.formulas import speak_formulas
from ancestral.models.text.layout import lay_out, layout
from ancestral.models.text.markup import speak_arrows, speak_markup
from ancestral.models.text.quantities import speak_quantities
from ancestral.models.text.rules import apply_all
from ancestral.models.text.spans import Span, SpannedText, cover
from ancestral.models.text.units import CURRENCIES
from ancestral.models.text.words import speak_words

_SYMBOLS: Final = {
    "&": " and ", "+": " plus ", "=": " equals ", "@": " at ", "#": " hash ", "%": " percent ",
    "°": " degrees ", "µ": " mu ", "·": " , ", "\\": " backslash ",
    **{sign: f" {currency.one} " for sign, currency in CURRENCIES.items()},
    **dict.fromkeys("_*~^/\"", " "),
    **dict.fromkeys("|()[]{};:", " , "),
}  # fmt: skip
_SYMBOL: Final = re.compile(f"[{re.escape(''.join(_SYMBOLS))}]")
# The options of a command: `-m`, `-rf`, `--save-dev`.
_OPTION: Final = re.compile(
    r"(?<=[\w'\",:] )(--)(?=[A-Za-z]{2})"
    r"|(?<=[\w'\",:] )-(?!(?:a|[Ii]|as|at|by|he|if|in|is|it|no|of|or|so|to|we)\b)([A-Za-z]{1,2})\b(?![-'])"
)
_LAYOUT: Final = layout("A-Z", "dot", "and|or")
_ABOUT: Final = re.compile(r"~(?=\s?[\d$£€¥])")
_WORD_OR_MARK: Final = re.compile(rf"[A-Za-z]+{CUE}|{LETTER}?[A-Za-z]+(?:'[A-Za-z]+)*|[.,?!]")
_LONE_LETTER: Final = re.compile(r"(?<![A-Za-z\d'])([A-Za-z])(?=\d)")


def speak(folded: SpannedText, *, british: bool = False) -> list[tuple[str, Span]]:
    """The words and marks of a folded text, as in :class:`~ancestral.models.text.tokens.Token`, and their spans."""
    text = speak_formulas(folded).sub(_OPTION, lambda m: "dash dash " if m[1] else f"dash {letters(m[2])}")
    text = lay_out(speak_arrows(text).strip(), _LAYOUT)
    text = speak_abbreviations(speak_addresses(speak_markup(text)))
    text = text.sub(_LONE_LETTER, lambda m: f"{LETTER}{m[1].lower()} ").sub(_ABOUT, " about ")
    if british:
        text = apply_all(BRITISH_RULES, text)
    text = speak_quantities(text).sub(_SYMBOL, lambda m: _SYMBOLS[m[0]])
    written = list(_WORD_OR_MARK.finditer(text.text))
    return [
        (word, span)
        for match, words in zip(written, speak_words([match[0] for match in written]), strict=True)
        for span in [cover(text.spans[match.start() : match.end()])]
        for word in words
    ]
