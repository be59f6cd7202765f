"""Markdown, as chat models write it, to the plain text that a person would read aloud.

Marks go, and words stay. What is left out is named, as everything is that is not said: blocks of code with more than
one line, and emoji.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from ancestral_models.text.characters import FLAG, SEQUENCE

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_ADDRESS: Final = re.compile(
    r"\b(?:https?://(?:www\.)?|www\.)([\w-]+(?:\.[\w-]+)*(?::\d+)?)(?:[/?#](?:[^\s<>\[\]\"']*[\w/=])?)?", re.IGNORECASE
)
_TASK: Final = re.compile(r"\A\[[ xX]\]\s+")
_FOOTNOTE: Final = re.compile(r"^ {0,3}\[\^[^\]\s]+\]:", re.MULTILINE)
_REFERENCE: Final = re.compile(r"\[\^[^\]\s]+\]")
_EMOJI: Final = re.compile(f"(?=[⌚-⏿☀-➿⬛-⭕〰〽㊗㊙\U0001f000-\U0001faff]){SEQUENCE}|{FLAG}")
_LAST_MARK: Final = re.compile(r"[.!?…:;,।]$")
_END: Final = "\n\n"
"""Ends a sentence of plain text."""


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def read_markdown(text: str) -> tuple[str, tuple[str, ...]]:
    """The plain text of a document, and what of it is left out, each once.

    Headings, list items, rows of tables and quotations are sentences of their own. A link is its text, an address
    its host, a picture its description; one line of code is read.
    """
    left: dict[str, None] = {}
    parts = list(_blocks(_parser().parse(_FOOTNOTE.sub("", text)), left))
    return "".join(parts).strip("\n"), tuple(left)


def _blocks(tokens: Sequence[Token], left: dict[str, None]) -> Iterator[str]:
    in_row = False
    for token in tokens:
        match token.type:
            case "inline":
                words = _inline(token.children or (), left)
                yield words if not in_row else f"{words} " if _LAST_MARK.search(words) else f"{words}, "
            case "fence" | "code_block":
                lines = token.content.strip("\n").split("\n")
                if len(lines) == 1:
                    yield _without_tags(lines[0]) + _END
                else:
                    left[lines[0].strip()] = None
            case "list_item_open" if token.info:
                yield f"{token.info}. "
            case "tr_open" | "tr_close":
                in_row = token.type == "tr_open"
                yield _END
            case "paragraph_close" | "heading_close" | "hr" | "table_close":
                yield _END
            case "html_block":
                left[token.content.strip()] = None


def _inline(tokens: Sequence[Token], left: dict[str, None]) -> str:
    """The words of a paragraph, a heading or a cell."""
    words = ""
    for token in tokens:
        match token.type:
            case "text":
                words += _without_tags(_REFERENCE.sub("", token.content))
            case "code_inline":
                words += _without_tags(token.content)
            case "softbreak":
                words += "\n"
            case "hardbreak":
                words += _END
            case "html_inline":
                words += " "
                if not token.content.lower().startswith("<br"):
                    left[token.content] = None
            case "image":
                words += _inline(token.children or (), left)
    words = _ADDRESS.sub(r"\1", _TASK.sub("", words))
    left |= dict.fromkeys(_EMOJI.findall(words))
    return re.sub(r"  +", " ", _EMOJI.sub("", words)).strip(" ")


def _without_tags(text: str) -> str:
    """Text in which nothing looks like a tag."""
    return re.sub(r"<(?=[a-z/!?])", "< ", text, flags=re.IGNORECASE)
