"""Written text to the words and marks that are spoken.

The stages run in a fixed order: characters, layout, markup, addresses and abbreviations (which need capitals and
digits), quantities, remaining symbols, and last the case of each word, which tells an acronym from a word. docs/text.md
describes what is spoken.
"""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text import lexicon
from ancestral.models.text.abbreviations import speak_abbreviations
from ancestral.models.text.addresses import speak_addresses
from ancestral.models.text.characters import CUE, LETTER, NothingToSpeak, fold
from ancestral.models.text.directives import read_plain
from ancestral.models.text.markup import speak_arrows, speak_markup
from ancestral.models.text.phonemes import PAUSES, PHRASE_PAUSE, SENTENCE_ENDS
from ancestral.models.text.quantities import speak_quantities
from ancestral.models.text.script import Cue, Pause, Pronounced, Prosody, Script, Text
from ancestral.models.text.units import CURRENCIES

# Acronyms that also are words, or that the lexicon gives in full.
_SPELLED: Final = frozenset(
    {
        "US",
        "UK",
        "UN",
        "EU",
        "TV",
        "PC",
        "IT",
        "ID",
        "AI",
        "PM",
        "AM",
        "DC",
        "IQ",
        "PR",
        "HR",
        "AD",
        "BC",
        "CE",
        "CO",
        "EST",
        "LA",
        "LED",
        "MIT",
        "OS",
        "PST",
    }
)
_SAID_AS: Final = {"JSON": "jason"}
# After these words a capital A is a letter: "A is for apple", "A and B".
_AFTER_LETTER: Final = frozenset({"is", "and", "or", "was", "for"})
# Unknown capitals are spelled up to this length; in a sentence all in capitals only the shorter ones.
_LONGEST_SPELLED: Final = 4
_LONGEST_SPELLED_SHOUTED: Final = 3
_SHOUTED_WORDS: Final = 3
_LONGEST_WORD: Final = 40
_SHORTEST_DRAWN_OUT: Final = 2
_SYMBOLS: Final = {
    "&": " and ", "+": " plus ", "=": " equals ", "@": " at ", "#": " hash ", "%": " percent ",
    "°": " degrees ", "µ": " mu ", "\\": " backslash ",
    **{sign: f" {currency.one} " for sign, currency in CURRENCIES.items()},
    **dict.fromkeys("_*~^/\"", " "),
    **dict.fromkeys("|()[]{};:", " , "),
}  # fmt: skip
_SYMBOL_TABLE: Final = str.maketrans(_SYMBOLS)
_EARLY: Final = (
    # Paragraphs and list items end a sentence.
    (re.compile(r"\n[ \t]*(?:\n\s*|(?=[-*#>]\s|\d+[.)]\s))"), " . "),
    (re.compile(r"(^|(?<= \. )|[.?!][\"')\]]*\s)\s*(?!>+\s*\d)[-*#>]+\s+"), r"\1 "),
    (re.compile(r"\s+"), " "),
    (re.compile(r"(?<![^\s(])\.(?=[A-Za-z])"), " dot "),
    (re.compile(r"(?<!\d) -+ | -+ (?!\d)|-{2,}|(?<=\S)- (?!(?:and|or)\b)"), " , "),
    (re.compile(r"\.{2,}(?=[\s\"')]+[A-Z])"), ". "),
    (re.compile(r"\.{2,}(?=[\s\"')]*[A-Za-z0-9])"), " , "),
)
_ABOUT: Final = re.compile(r"~(?=\s?[\d$£€¥])")
_WORD_OR_MARK: Final = re.compile(rf"[A-Za-z]+{CUE}|{LETTER}?[A-Za-z]+(?:'[A-Za-z]+)*|[.,?!]")
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONG_REPEAT: Final = re.compile(r"([a-z])\1{2,}")
_OF_WORD: Final = re.compile(r"[\w']")
_JOINED: Final = re.compile(r"[-(\"\s]?")
_LETTER_OR_DIGIT: Final = re.compile(r"[^\W_]")
_LONE_LETTER: Final = re.compile(r"(?<![A-Za-z\d'])([A-Za-z])(?=\d)")


def _is_acronym(word: str, shouted: bool) -> bool:
    if word in _SPELLED:
        return not shouted
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
    if word in _SAID_AS:
        return [_SAID_AS[word]]
    lower = word.lower()
    stem, apostrophe, clitic = word.partition("'")
    capitals = stem[:-1] if len(stem) > 2 and stem[-1] == "s" and stem[:-1].isupper() else stem
    if len(capitals) > 1 and capitals.isupper() and _is_acronym(capitals, shouted):
        tail = "'s" if capitals != stem or clitic.lower() == "s" else ""
        return [*capitals[:-1], capitals[-1] + tail]
    if lexicon.contains(lower):
        return [lower]
    if "'" not in word and len(word) <= _LONGEST_SPELLED and not re.search("[aeiouy]", lower):
        return list(word.upper())
    parts = _CAMEL.split(stem)
    if len(parts) > 1:
        spoken = [piece for part in parts for piece in _speak_word(part, shouted)]
        return [*spoken[:-1], spoken[-1] + (apostrophe + clitic).lower()]
    return [piece.strip("'") for piece in _pieces(_squeeze(lower))]


def _is_article(words: list[str], i: int) -> bool:
    """Whether a lone capital A is the article: it opens a sentence, or stands in a title or among capitals."""
    after = words[i + 1] if i + 1 < len(words) else "."
    before = words[i - 1] if i else "."
    if after in PAUSES or after[0] == LETTER or after in _AFTER_LETTER:
        return False
    return before in PAUSES or (after[0].isupper() and before[0].isupper())


def _is_shouted(words: list[str]) -> bool:
    letters = [word for word in words if word not in PAUSES and word[0] != LETTER and word[-1] != CUE]
    return len(letters) >= _SHOUTED_WORDS and not any(char.islower() for char in "".join(letters))


def _speak_sentence(words: list[str]) -> list[str]:
    shouted = _is_shouted(words)
    spoken: list[str] = []
    for i, word in enumerate(words):
        if word in PAUSES:
            spoken.append(word)
        elif word == "A":
            spoken.append("a" if _is_article(words, i) else "A")
        else:
            spoken.extend(_speak_word(word, shouted))
    return spoken


def _speak_words(words: list[str]) -> list[str]:
    spoken: list[str] = []
    start = 0
    for i, word in enumerate(words, 1):
        # Each sentence on its own: only one of them may be shouted.
        if word in SENTENCE_ENDS or i == len(words):
            spoken.extend(_speak_sentence(words[start:i]))
            start = i
    return spoken


def _strongest(marks: list[str]) -> str:
    return next((mark for mark in "?!." if mark in marks), PHRASE_PAUSE)


def _cues(gap: list[str | Cue]) -> list[str | Cue]:
    """What stands before the first word: its pauses as one, and the last prosody."""
    seconds = sum(token.seconds for token in gap if isinstance(token, Pause))
    prosody: list[str | Cue] = [token for token in gap if isinstance(token, Prosody)]
    return ([Pause(seconds)] if seconds else []) + prosody[-1:]


def _between(gap: list[str | Cue]) -> list[str | Cue]:
    """What stands between two words, in one form: a pause before the mark whose length it is, or after a sentence."""
    marks = [token for token in gap if isinstance(token, str)]
    end = next((i for i, token in enumerate(gap) if token in SENTENCE_ENDS), len(gap))
    seconds = sum(token.seconds for token in gap[:end] if isinstance(token, Pause))
    found: list[str | Cue] = [Pause(seconds)] if seconds else []
    if marks or seconds:
        found.append(_strongest(marks))
    return found + _cues([token for i, token in enumerate(gap) if i >= end or isinstance(token, Prosody)])


def _merge_marks(tokens: list[str | Cue]) -> list[str | Cue]:
    """One mark where several stand together, none at the start, and a sentence's end at the end."""
    merged: list[str | Cue] = []
    gap: list[str | Cue] = []
    for token in tokens:
        if token in PAUSES or isinstance(token, Pause | Prosody):
            gap.append(token)
            continue
        merged += _between(gap) if merged else _cues(gap)
        merged.append(token)
        gap = []
    if not merged:
        return _cues(gap)
    if not any(token in SENTENCE_ENDS for token in gap):
        gap.append(".")
    return merged + [token for token in _between(gap) if not isinstance(token, Prosody)]


def _place_holder(number: int, capital: bool) -> str:
    """A word that no stage knows, with a capital where the text has one, which decides how its neighbours are read."""
    letters = f"q{number:012b}".replace("0", "v").replace("1", "z")
    return (letters.capitalize() if capital else letters) + CUE


def _folded(script: Script, cues: dict[str, Cue]) -> str:
    """The folded text of a script, with a word in place of each cue, which is added to `cues`."""
    folded = ""
    for number, piece in enumerate(script.pieces):
        if isinstance(piece, Text):
            text = fold(piece.spoken, piece.start)
            folded += f" {text}" if folded[-1:] == CUE and _OF_WORD.match(text) else text
            continue
        seen = piece.written if isinstance(piece, Pronounced) else _following(script, number)
        first = _LETTER_OR_DIGIT.search(seen)
        holder = _place_holder(number, first is not None and first[0].isupper())
        cues[holder.lower()] = piece
        folded += holder if _JOINED.fullmatch(folded[-1:]) else f" {holder}"
    return folded


def _following(script: Script, number: int) -> str:
    """What is written after a cue."""
    return next((piece.written for piece in script.pieces[number + 1 :] if isinstance(piece, Text | Pronounced)), "")


def normalize(text: str | Script) -> list[str | Cue]:
    """Text as a list of spoken words and marks.

    Args:
        text: any Unicode string; or a script of one.

    Returns:
        Words in lower case (apostrophes kept), single capitals for letters spoken by name (an ending may
        follow: `I's`), and the marks `,` `.` `?` `!`: never two in a row, never first, a sentence's end last. Among
        them stand the cues of a script. A pause stands before the mark whose length it is, or before the first word of
        a sentence; at the end of the text it may follow the last mark.

    Raises:
        UnsupportedText: if there is nothing to speak, for tags, or for characters that have no English reading.
    """
    script = read_plain(text) if isinstance(text, str) else text
    cues: dict[str, Cue] = {}
    folded = speak_arrows(_folded(script, cues)).strip()
    for pattern, replacement in _EARLY:
        folded = pattern.sub(replacement, folded)
    spoken = speak_abbreviations(speak_addresses(speak_markup(folded)))
    spoken = _LONE_LETTER.sub(lambda m: f"{LETTER}{m[1].lower()} ", spoken)
    spoken = speak_quantities(_ABOUT.sub(" about ", spoken))
    words = _WORD_OR_MARK.findall(spoken.translate(_SYMBOL_TABLE))
    tokens = _merge_marks([cues[token.lower()] if token[-1] == CUE else token for token in _speak_words(words)])
    if not any(
        isinstance(token, Pause | Pronounced) or (isinstance(token, str) and token not in PAUSES) for token in tokens
    ):
        raise NothingToSpeak("nothing to speak: the text has no letters, digits or symbols with a spoken name")
    return tokens
