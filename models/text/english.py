"""Written English to the words and marks that are spoken.

The stages run in a fixed order: layout, markup, addresses and abbreviations (which need capitals and digits),
quantities, remaining symbols, and last the case of each word, which tells an acronym from a word. docs/text.md
describes what is spoken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ancestral.models.text import lexicon
from ancestral.models.text.abbreviations import letters, speak_abbreviations, speak_addresses
from ancestral.models.text.characters import CUE, LETTER, speak_arrows, speak_markup
from ancestral.models.text.numerals import BRITISH_RULES, CURRENCIES, ELEMENT
from ancestral.models.text.phonemes import PAUSES, SENTENCE_ENDS
from ancestral.models.text.quantities import speak_formulas, speak_quantities
from ancestral.models.text.rules import Span, SpannedText, apply_all, cover, lay_out, layout
from ancestral.models.text.tables import table

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
    r"|(?<=[\w'\",:] )-(?!(?:a|[Ii]|as|at|by|he|if|in|is|it|no|of|or|so|to|we)\b)([A-Za-z]{1,2})\b(?!-|'\w)"
)
_LAYOUT: Final = layout("A-Z", "dot", "and|or")
_ABOUT: Final = re.compile(r"~(?=\s?[\d$£€¥])")
_WORD_OR_MARK: Final = re.compile(rf"[A-Za-z]+{CUE}|{LETTER}?[A-Za-z]+(?:'[A-Za-z]+)*|[.,?!]")
_LONE_LETTER: Final = re.compile(r"(?<![A-Za-z\d'])([A-Za-z])(?=\d)")
# Acronyms that also are words, or that the lexicon gives in full.
_SPELLED: Final = frozenset({"US", "IT", "AM", "ASP", "ETA", "EST", "LED", "MIT", "PST", "SHA", "UPS"})
# All other pairs of capitals are spelled, such as OT, AB and ET, which the lexicon has as words.
_PAIRS_THAT_ARE_WORDS: Final = re.compile(
    "a[hnst]|b[ey]|do|eh|go|h[aeim]|i[fnst]|m[aemy]|no|o[fhknrwx]|pa|so|to|u[mps]|we|yo", re.IGNORECASE
)
_TABLE: Final = table("english")
_SAID_AS: Final = {
    **_TABLE.phones("said_as"),
    **{word: tuple(word.upper()) for word in _TABLE.words("said_by_letters")},
}
# After these words a capital A is a letter: "A is for apple", "A and B".
_AFTER_LETTER: Final = frozenset({"is", "and", "or", "was", "for"})
# Unknown capitals are spelled up to this length; in a sentence all in capitals only the shorter ones.
_LONGEST_SPELLED: Final = 4
_LONGEST_SPELLED_SHOUTED: Final = 3
_SHOUTED_WORDS: Final = 3
_PAIR: Final = 2
_LONGEST_WORD: Final = 40
_SHORTEST_DRAWN_OUT: Final = 2
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Several chemical elements, one of them with two letters: NaCl.
_FORMULA: Final = re.compile(rf"(?:{ELEMENT}){{2,}}")
# Longer than anybody draws out a letter.
_ENDLESS: Final = re.compile(r"([a-z])\1{39,}")
_LONG_REPEAT: Final = re.compile(r"([a-z])\1{2,}")


def speak(folded: SpannedText, *, british: bool = False) -> list[tuple[str, Span]]:
    """The words and marks of a folded text, as in :class:`~ancestral.models.text.script.Token`, and their spans."""
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
        for match, words in zip(written, _speak_words([match[0] for match in written]), strict=True)
        for span in [cover(text.spans[match.start() : match.end()])]
        for word in words
    ]


def _is_acronym(word: str, shouted: bool) -> bool:
    if word in _SPELLED:
        return not shouted
    if len(word) == _PAIR and not shouted:
        return not _PAIRS_THAT_ARE_WORDS.fullmatch(word)
    if lexicon.contains(word.lower()):
        return False
    if not re.search("[AEIOUY]", word):
        return True
    return len(word) <= (_LONGEST_SPELLED_SHOUTED if shouted else _LONGEST_SPELLED)


def _squeeze(word: str) -> str:
    """Letters drawn out for effect, brought back to a word: "sooooo" to "so"."""
    if not _LONG_REPEAT.search(word):
        return word
    twice, once = _LONG_REPEAT.sub(r"\1\1", word), _LONG_REPEAT.sub(r"\1", word)
    # Very short words (so, no, oh) are the ones people draw out; longer ones may have the double letter.
    short = len(once) == _SHORTEST_DRAWN_OUT
    return once if lexicon.contains(once) and (short or not lexicon.contains(twice)) else twice


def _pieces(word: str) -> list[str]:
    return [word[i : i + _LONGEST_WORD] for i in range(0, len(word), _LONGEST_WORD)]


def _speak_word(word: str, shouted: bool) -> list[str]:
    """One written word as spoken words; capital letters in the result are names of letters."""
    if word[0] == LETTER:
        return [word[1].upper() + word[2:]]
    if word[-1] == CUE:
        return [word]
    if len(word) == 1:
        return [word.lower() if word in "aiI" else word.upper()]
    if word.islower() and word not in _SAID_AS and lexicon.contains(word):
        return [word]
    lower = word.lower()
    stem, apostrophe, clitic = word.partition("'")
    if stem.lower() in _SAID_AS:
        *words, last = _SAID_AS[stem.lower()]
        return [*words, last + (apostrophe + clitic).lower()]
    capitals = stem[:-1] if len(stem) > 2 and stem[-1] == "s" and stem[:-1].isupper() else stem
    is_capitals = len(capitals) > 1 and capitals.isupper()
    if not is_capitals and lexicon.contains(lower):
        return [lower]
    drawn_out = _squeeze(lower)
    if len(word) > _SHORTEST_DRAWN_OUT and drawn_out in lexicon.SOUNDS and word not in _SPELLED:
        return [drawn_out]
    if _ENDLESS.search(lower) or (not is_capitals and word != "NaN" and _FORMULA.fullmatch(word)):
        return list(word.upper())
    if is_capitals and _is_acronym(capitals, shouted):
        tail = (apostrophe + clitic).lower() or "'s" * (capitals != stem)
        return [*capitals[:-1], capitals[-1] + tail]
    if lexicon.contains(lower) or (capitals != stem and lexicon.contains(capitals.lower())):
        return [lower]
    if "'" not in word and len(word) <= _LONGEST_SPELLED and not re.search("[aeiouy]", lower):
        return list(word.upper())
    parts = _CAMEL.split(stem)
    if len(parts) > 1:
        spoken = [piece for part in parts for piece in _speak_word(part, shouted)]
        return [*spoken[:-1], spoken[-1] + (apostrophe + clitic).lower()]
    return [piece.strip("'") for piece in _pieces(drawn_out)]


def _is_article(words: list[str], i: int) -> bool:
    """Whether a lone capital A is the article: it opens a sentence, or stands in a title or among capitals."""
    after = words[i + 1] if i + 1 < len(words) else "."
    before = next((words[j] for j in range(i - 1, -1, -1) if words[j][-1] != CUE), ".")
    if after in PAUSES or after[0] == LETTER or after in _AFTER_LETTER:
        return False
    return before in PAUSES or (after[0].isupper() and before[0].isupper())


def _is_shouted(words: list[str]) -> bool:
    letters = [word for word in words if word not in PAUSES and word[0] != LETTER and word[-1] != CUE]
    return len(letters) >= _SHOUTED_WORDS and not any(char.islower() for char in "".join(letters))


def _speak_sentence(words: list[str]) -> Iterator[list[str]]:
    shouted = _is_shouted(words)
    for i, word in enumerate(words):
        if word in PAUSES:
            yield [word]
        elif word == "A":
            yield ["a" if _is_article(words, i) else "A"]
        else:
            yield _speak_word(word, shouted)


def _speak_words(words: list[str]) -> Iterator[list[str]]:
    """The spoken form of each written word or mark.

    Args:
        words: of a text, marks among them; a word may be marked by `LETTER` or `CUE` (models/text/characters.py).

    Returns:
        One list for each: words in lower case, capitals for letters spoken by name.
    """
    start = 0
    for i, word in enumerate(words, 1):
        # Each sentence on its own: only one of them may be shouted.
        if word in SENTENCE_ENDS or i == len(words):
            yield from _speak_sentence(words[start:i])
            start = i
