"""Web and e-mail addresses, files, paths and tags to words."""

from __future__ import annotations

import re
from typing import Final

from ancestral.models.text import lexicon
from ancestral.models.text.characters import LETTER
from ancestral.models.text.codes import HOSTS, each
from ancestral.models.text.rules import Match, Rule, apply_all, rule
from ancestral.models.text.spans import SpannedText

_SIGN: Final = re.compile(r"\.\w|[/\\#@:]")
_SIGNS: Final = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", "?": "question mark", "=": "equals",
    "&": "and", "#": "hash", "%": "percent", "~": "tilde", ":": "colon", "+": "plus", "$": "dollar", "*": "star",
    "!": "exclamation mark", ",": "comma", ";": "semicolon", "\\": "backslash", "|": "bar", "^": "caret",
}  # fmt: skip
_DOMAINS: Final = "com|org|net|edu|gov|mil|info|io|ai|dev|app|co|uk|us|ca|eu|de|fr|es|it|ru|jp|me|tv|xyz"
_SPELLED_DOMAINS: Final = frozenset({"uk", "us", "ca", "eu", "de", "fr", "es", "ru", "jp", "io", "ai", "tv", "www"})
_EXTENSIONS: Final = (
    "pdf|txt|docx?|xlsx?|pptx?|csv|json|xml|html?|css|jsx?|tsx?|py|rb|go|rs|c|cc|cpp|h|hpp|java|kt|php|sql|sh|bat|exe|dll"
    "|zip|tar|gz|iso|png|jpe?g|gif|svg|webp|bmp|mp[34]|wav|flac|ogg|mov|avi|mkv|md|rst|ya?ml|toml|ini|cfg|conf|env|log"
    "|lock|net|ipynb|bin|dat|db|key|pem|epub"
)
# Longer numbers inside an address are read digit by digit.
_LONGEST_NUMBER: Final = 2
_LONGEST_SPELLED_EXTENSION: Final = 2


def letters(text: str) -> str:
    """The letters of `text`, each marked to be spoken by its name."""
    return " ".join(LETTER + char.lower() for char in text if char.isalpha())


def _part(part: str) -> str:
    if part.isdigit():
        return part if len(part) <= _LONGEST_NUMBER else " ".join(part)
    if part in _SIGNS:
        return _SIGNS[part]
    return letters(part) if len(part) == 1 or part.lower() in _SPELLED_DOMAINS else part


def _speak(text: str) -> str:
    return " ".join(_part(part) for part in re.findall(r"[A-Za-z]+|\d+|\S", text))


def _address(match: Match) -> str:
    text = re.sub(
        r"^mailto:", "mail to ", re.sub(r"^[a-z]+://", "", match[0], flags=re.IGNORECASE), flags=re.IGNORECASE
    )
    tail = re.search(r"[.,?!;:)\]'\"]*$", text)
    end = text[tail.start() :] if tail else ""
    return f" {_speak(text[: len(text) - len(end)].rstrip('/'))} {end}"


def _file(match: Match) -> str:
    extension = match[1]
    spoken = letters(extension) if len(extension) <= _LONGEST_SPELLED_EXTENSION and extension.isalpha() else extension
    return f" dot {spoken} "


def _member(match: Match) -> str:
    """A dot in a name of a program; between two words it is a sentence's end without a space after it."""
    called = match.string[match.end(2) : match.end(2) + 1] in ("(", ".", "[")
    name = called or any(not lexicon.contains(word.lower()) for word in match.groups())
    return f"{match[1]} dot " if name else match[0]


def _tag(match: Match) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|_", " ", match[2])
    if match.string[: match.start()].lower().endswith(("hashtag ", "tag ")):
        return f" {words} "
    return f" {'hashtag' if match[1] == '#' else 'at'} {words} "


_RULES: Final[tuple[Rule, ...]] = (
    # A path, and the letter of a drive or of a forum before its slash.
    rule("/", r"(?<![\w/.~<])(?:~|\.{1,2})?/[A-Za-z.][\w.-]*(?:/[\w.-]+)*/?(?<![.])", lambda m: f" {_speak(m[0])} "),
    rule("$", r"\$[A-Za-z_]\w*(?:/[\w.-]+)+/?(?<![.])", lambda m: f" {_speak(m[0])} "),
    rule("\\", r"\b([A-Za-z]):(?=\\)", lambda m: f"{letters(m[1])} colon "),
    rule("/", r"(?<![\w/])([ru])/(?=\w)", lambda m: f"{letters(m[1])} slash "),
    rule(
        ":.@",
        r"\b(?:https?|ftp|file|wss?|redis|ssh|git)://(?=\S*\w)\S+|\blocalhost:\d+\S*|\bwww\.\S+"
        r"|(?:\bmailto:)?[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
        _address,
        re.IGNORECASE,
    ),
    rule(".", rf"(?<![\w.@])(?:[\w-]+\.)+(?:{_DOMAINS})(?:/\S*|\b(?![.]?\w))", _address),
    rule(".", rf"(?<=\w\w)\.({_EXTENSIONS})\b(?!\.?[\w@])", _file, re.IGNORECASE),
    rule(".", r"(?<![\w'])(\w*[A-Za-z_]{2})\.(?=([a-z_]\w+)(?![\w']|\.\s*[A-Z]))(?!\w+@)", _member),
    rule(".", r"\b([A-Z]{2,5})\.([A-HJ-Z])\b(?![.'])", lambda m: f"{letters(m[1])} dot {letters(m[2])}"),
    rule(".", r"(?<![\w.'])([A-Z])\.(?=[A-Z][a-z])(?!Sc\b)", lambda m: f"{letters(m[1])} "),
    rule("#", r"#(?=[\dA-Fa-f]*\d)(?=\d*[A-Fa-f])([\dA-Fa-f]{6})\b", lambda m: f" hash {each(m[1])} "),
    rule("#", r"(?<![\w&])#(?=[A-Z]{1,4}-?\d)", lambda _: "number "),
    rule("#@", r"(?<![\w&])([#@])([A-Za-z]\w*)", _tag),
)


def speak_addresses(text: SpannedText) -> SpannedText:
    """Replaces addresses, file names, paths, hashtags and mentions by words.

    Args:
        text: folded text (`characters.fold`), with its original capitals.
    """
    if not _SIGN.search(text.text):
        return text
    return apply_all((*_RULES, *HOSTS), text)
