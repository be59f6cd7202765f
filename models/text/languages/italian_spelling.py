"""How Italian is spelled: the sounds of a word's letters, and its stress where no dictionary knows better.

The rules of stress and of open e and o are those of most words of gruut's lexicon with the same end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ancestral.models.text.languages.language import Phones
from ancestral.models.text.tables import table

_VOWELS: Final = "aeiouàáèéìíîòóùú"
_ACCENTED: Final = "àáèéìíîòóùú"
_BASE: Final = str.maketrans("àáèéìíîòóùú", "aaeeiiioouu")
_FRONT: Final = "[eièéìíî]"
_BACK: Final = "[aouàáòóùú]"
_SINGLE: Final = {
    **{letter: letter.upper() for letter in "bdfgklmnptv"}, "c": "K", "q": "K", "r": "r",
}  # fmt: skip
_GRAPHEMES: Final[tuple[tuple[str, Phones], ...]] = (
    (f"sc(?={_FRONT})|sh", ("SH",)), (f"cc(?={_FRONT})", ("CH", "CH")),
    (f"tch|ch(?![{_VOWELS}])|c(?={_FRONT})", ("CH",)), (f"gg(?={_FRONT})", ("JH", "JH")),
    (f"g(?={_FRONT})|j(?=[ae])", ("JH",)), ("gn", ("ɲ",)),
    ("gl(?=i)", ("ʎ",)), ("cch|cq(?=u)|ck", ("K", "K")), ("ggh", ("G", "G")), ("ch", ("K",)), ("gh", ("G",)),
    ("qu", ("K", "W")), ("ph", ("F",)), ("h", ()), ("x", ("K", "S")), ("w", ("W",)), ("j", ("Y",)),
    ("(?<=i)zz(?=a(?:re|t|v|n|r|zion)|erà|i(?:amo|no)?$|o$)", ("dz", "dz")),
    ("zz", ("ts", "ts")), (r"\bz", ("dz",)), ("z", ("ts",)), ("ss", ("S", "S")),
    (rf"(?<=[{_VOWELS}])(?<!ndo)s(?=[{_VOWELS}])|s(?=[bdgvmnrl])", ("Z",)), ("s", ("S",)),
    (f"n(?=[kq]|c(?!{_FRONT})|g(?!n|{_FRONT}))", ("NG",)),
    *((letter * 2, (phone, phone)) for letter, phone in _SINGLE.items()),
    *((letter, (phone,)) for letter, phone in _SINGLE.items()),
)  # fmt: skip
_CONSONANT: Final = re.compile("|".join(f"({pattern})" for pattern, _ in _GRAPHEMES))
_SILENT_I: Final = re.compile(r"(?:[cg]|gl|sc)(i)(?=[aeouàèéòóù])")
_HARD_GL: Final = re.compile(r"\bgl(?=ic|if|iss)|(?<=ne)gl|(?<=n)gl")
_STRESSED_I: Final = re.compile(
    r"(?:log|graf|nom|sof|metr|pat|fon|urg|gog|terap|craz|erg|er|legr|latt|tas|tes|pazz|pol[iz]z|pagn|mac|bug|mag)i[ae]$"
    r"|^[bdfmpstvzrl]{1,2}i[aeo]$|^[sbt]u[aeo]$|^due$"
)
_THIRD_FROM_END: Final = re.compile(rf"(?:{table('italian').pattern('third_from_end')})$")
_SECOND_FROM_END: Final = re.compile(
    r"(?:ved|cad|sed|ten|man|vol|val|dol|sap|par|pot|av|dov|piac|tac|giac|god|tem|suad|i|err?)(?:ere|er[mtcvs]i|er[lgn]\w+)$"
)
_CLOSED: Final = re.compile(rf"(?:{table('italian').pattern('closed_ends')})$")
_OPEN: Final = re.compile(r"(?:er[tmn][oaie]|ervo|ente|enti)$")
_MENTE: Final = re.compile(r"m(?:ente|ent[oi])$")


class Stress(NamedTuple):
    """What a dictionary knows of a word's stress."""

    vowel: int
    """The index of its stressed vowel, counted from the first; semivowels do not count."""
    quality: str
    """The quality of that vowel."""


class _Letter(NamedTuple):
    """A consonant, a semivowel (`Y`, `W`), or a vowel as it is written."""

    name: str
    at: int
    """Place in the word."""

    @property
    def is_vowel(self) -> bool:
        return self.name in _VOWELS


def _written(word: str) -> list[_Letter]:
    """Consonants as they sound, and vowels as they are written, without the silent i of ciao."""
    silent = {match.start(1) for match in _SILENT_I.finditer(word)}
    if _STRESSED_I.search(word):
        silent.discard(len(word) - 2)
    hard = {match.start() for match in _HARD_GL.finditer(word)}
    found: list[_Letter] = []
    i = 0
    while i < len(word):
        names: Phones = ()
        end = i + 1
        match = _CONSONANT.match(word, i)
        if word[i] in _VOWELS + "y":
            names = () if i in silent else (word[i].replace("y", "i"),)
        elif i in hard:
            names = ("G",)
        elif match is not None:
            assert match.lastindex is not None, match
            names, end = _GRAPHEMES[match.lastindex - 1][1], match.end()
        found += (_Letter(name, i) for name in names)
        i = end
    return found


def _is_glide(word: str, letters: Sequence[_Letter], i: int) -> bool:
    """Whether an i or u is a semivowel."""
    name, at = letters[i]
    before, after = letters[i - 1] if i else None, letters[i + 1] if i + 1 < len(letters) else None
    if name not in "iu" or (at == len(word) - 2 and _STRESSED_I.search(word)):
        return False
    if after is not None and after.is_vowel and after.name != name:
        if name == "u":
            alone = before is None or before.name in ("K", "G", "NG") or after.name in "oò"
            return alone or (at == len(word) - 2 and after.name not in _ACCENTED)
        cluster = i > 1 and before is not None and before.name in ("r", "L") and not letters[i - 2].is_vowel
        return not (cluster and at < len(word) - 2)
    return before is not None and before.is_vowel and before.name not in "iuìù"


def _letters(word: str) -> list[_Letter]:
    """A word with its semivowels told from its vowels."""
    letters = _written(word)
    for i, letter in enumerate(letters):
        if letter.is_vowel and _is_glide(word, letters, i):
            letters[i] = letter._replace(name="Y" if letter.name == "i" else "W")
    return letters


def _stressed(word: str, vowels: Sequence[_Letter]) -> int:
    """The stressed vowel, told from the word's end."""
    marked = next((n for n, letter in enumerate(vowels) if letter.name in _ACCENTED), None)
    if marked is not None:
        return marked
    if re.search("[aeo]i$", word):
        return len(vowels) - 1  # vorrei, operai
    third = len(vowels) > 2 and _THIRD_FROM_END.search(word) and not _SECOND_FROM_END.search(word)
    return max(0, len(vowels) - (3 if third else 2))


def _quality(word: str, letter: _Letter, *, antepenult: bool) -> str:
    """A stressed vowel, open or closed."""
    base = letter.name.translate(_BASE)
    if base not in "eo" or letter.name in "éó":
        return base
    opened = {"e": "ɛ", "o": "ɔ"}[base]
    if letter.name in "èò":
        return opened
    end = word[letter.at :]
    if _MENTE.search(word) and letter.at > 0 and word[letter.at - 1] == "m":
        return base
    if _OPEN.match(end) and not antepenult:
        return opened
    after_i = (
        base == "e" and word[letter.at - 1 : letter.at] == "i" and not end.startswith(("ett", "ezz", "evo", "esc"))
    )
    return base if _CLOSED.match(end) and not after_i else opened


def say(word: str, stress: Stress | None = None) -> Phones:
    """A word's sounds by its spelling.

    Args:
        word: in lower case.
        stress: if it is known.

    Returns:
        Its phones; none if it has no letters of Italian. Only vowels carry stress; a word of consonants gets vowels.
    """
    letters = _letters(word)
    vowels = [letter for letter in letters if letter.is_vowel]
    if not vowels:
        return tuple(phone for letter in letters for phone in (letter.name, "e0"))
    index = min(stress.vowel, len(vowels) - 1) if stress else _stressed(word, vowels)
    phones: list[str] = []
    for letter in letters:
        if letter is vowels[index]:
            third = index < len(vowels) - 2
            phones.append((stress.quality if stress else _quality(word, letter, antepenult=third)) + "1")
        else:
            phones.append(letter.name.translate(_BASE) + "0" if letter.is_vowel else letter.name)
    return tuple(phones)
