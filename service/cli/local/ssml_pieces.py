"""What speech-dispatcher sends, as pieces of SSML that a voice can speak."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from ancestral.models.text.script import Cast
from ancestral.service.speech.session.sentences import Sentences

_UNSPOKEN: Final = frozenset({"Cc", "Cs", "Co", "Cn"})
"""Categories of characters that no text has: they become spaces."""


def sentences_of(marked: Sequence[tuple[str, str | None]], cast: Cast) -> Iterator[tuple[str, Sequence[str]]]:
    """The text of a message, as SSML, and the marks after each piece: those within a sentence wait for its end."""
    sentences, said, marks = Sentences(cast=cast), "", list[str]()
    for (text, mark), (after, _) in zip(marked, [*marked[1:], ("", None)], strict=True):
        # Whether a full stop ends a sentence is seen by the space after it, which is after the mark.
        said += sentences.feed(_cleaned(text.lstrip() + after[: after[:1].isspace()]))
        if mark is not None:
            marks.append(mark)
            if not sentences.pending:
                yield escape(said), marks
                said, marks = "", []
    said += sentences.flush()
    if said.strip() or marks:
        yield escape(said), marks


def marked(document: str) -> list[tuple[str, str | None]]:
    """The text before each mark, with the mark; and after the last one."""
    found: list[tuple[str, str | None]] = []
    text: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "mark":
            found.append(("".join(text), attributes.get("name", "")))
            text.clear()

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.CharacterDataHandler = text.append
    parser.EntityDeclHandler = _refuse_entity
    parser.Parse(_without_controls(document).encode("utf-8", "replace"), True)
    return [*found, ("".join(text), None)]


def _refuse_entity(*_: object) -> None:
    raise expat.ExpatError("it declares an entity")


def spoken_name(text: str) -> list[tuple[str, Sequence[str]]]:
    """The name of a sound, in words."""
    return [(escape(_cleaned(text.replace("_", " ").replace("-", " "))), ())]


def spelled(text: str) -> str:
    words = [f'<say-as interpret-as="characters">{escape(word)}</say-as>' for word in text.split()]
    return ", ".join(words)


def _without_controls(text: str) -> str:
    return "".join(" " if c not in "\n\t" and unicodedata.category(c) in _UNSPOKEN else c for c in text)


def _cleaned(text: str) -> str:
    """A text without brackets, which are ours for directives."""
    return _without_controls(text).replace("[", " ").replace("]", " ")


def plain(piece: str) -> str:
    """The text of a piece of SSML."""
    return "".join(text for text, _ in marked(f"<speak>{piece}</speak>"))


def latin(text: str) -> str:
    """A text without letters of other scripts."""
    return "".join(c if not c.isalpha() or "LATIN" in unicodedata.name(c, "") else " " for c in text)
