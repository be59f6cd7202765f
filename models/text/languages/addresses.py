"""Web and e-mail addresses, file names, tags and mentions to words, by a language's table."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text.languages.language import Language
from ancestral.models.text.rules import Match, apply_all, rule
from ancestral.models.text.spans import SpannedText

_SIGN: Final = re.compile(r"\.\w|[/\\#@:]")
_DOMAINS: Final = "com|org|net|edu|gob|gov|gouv|info|io|ai|dev|app|eu|es|fr|it|pt|br|mx|ar|cl|uk|de|ch|be|tv|cat|xyz"
_EXTENSIONS: Final = "pdf|txt|docx?|xlsx?|pptx?|csv|json|xml|html?|zip|png|jpe?g|gif|svg|mp[34]|wav|mov|py|md|epub"
_PART: Final = re.compile(r"[^\W\d_]+|\d+|\S")
_LONGEST_NUMBER: Final = 2
_LONGEST_SPELLED: Final = 4
_VOWEL: Final = re.compile(r"[aeiouy]|[^a-z]", re.IGNORECASE)


class Addresses:
    """The rules of one language."""

    def __init__(self, language: Language) -> None:
        self._names = language.address
        self._rules: Final = (
            rule(
                ":.@",
                r"\b(?:https?|ftp)://(?=\S*\w)\S+|\bwww\.\S+|(?:\bmailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
                self._address,
                re.IGNORECASE,
            ),
            rule(".", rf"(?<![\w.@])(?:[\w-]+\.)+(?:{_DOMAINS})(?:/\S*|\b(?![.]?\w))", self._address),
            rule(".", rf"\b[\w-]+\.(?:{_EXTENSIONS})\b(?!\.?[\w@])", self._address, re.IGNORECASE),
            rule("/", r"(?<![\w/.~<])(?:~|\.{1,2})?(?:/[A-Za-z.][\w.-]*){2,}/?(?<![.])", self._address),
            rule("#@", r"(?<![\w&])([#@])([^\W\d]\w*)", self._tag),
        )

    def speak(self, text: SpannedText) -> SpannedText:
        """Replaces addresses by words, whose single letters are spelled later."""
        return apply_all(self._rules, text) if _SIGN.search(text.text) else text

    def _address(self, match: Match) -> str:
        text = re.sub(r"^(?:[a-z]+://|mailto:)", "", match[0], flags=re.IGNORECASE)
        body = re.sub(r"[.,?!;:)\]'\"]*$", "", text)
        return f" {self._spoken(body.rstrip('/'))} {text[len(body) :]}"

    def _spoken(self, text: str) -> str:
        return " ".join(self._part(part) for part in _PART.findall(text))

    def _part(self, part: str) -> str:
        if part.isdigit():
            return part if len(part) <= _LONGEST_NUMBER else " ".join(part)
        spelled = len(part) <= _LONGEST_SPELLED and not _VOWEL.search(part)
        return self._names.get(part.lower(), " ".join(part.upper()) if spelled else part)

    def _tag(self, match: Match) -> str:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|_", " ", match[2])
        return f" {self._names[match[1]]} {words} "
