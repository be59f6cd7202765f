"""Splits SSML that arrives in pieces into documents: each ends with ``</speak>``, and is spoken when it has ended."""

from __future__ import annotations

import re
from typing import Final

_END: Final = re.compile(r"</speak\s*>")


class Documents:
    """Takes pieces of SSML, returns complete documents. Has the interface of :class:`Sentences`."""

    def __init__(self, pending: str = "") -> None:
        self.pending = pending
        """A document that is not complete yet."""

    def feed(self, text: str) -> str:
        """Add a piece of text.

        Returns:
            Everything up to the end of the last document; may be empty.
        """
        self.pending += text
        end = max((match.end() for match in _END.finditer(self.pending)), default=0)
        complete, self.pending = self.pending[:end], self.pending[end:]
        return complete

    def flush(self) -> str:
        """The remaining text, complete or not."""
        rest, self.pending = self.pending, ""
        return rest

    lead = ""
    """A document ends with the voice that it began with."""

    @property
    def says_nothing(self) -> bool:
        return not self.pending.strip()

    def first(self, complete: str) -> str:
        """What of a complete text is spoken as one utterance: a document."""
        end = _END.search(complete)
        return complete if end is None else complete[: end.end()]

    def clause(self, least: int) -> str:
        """Nothing: a document is spoken when it has ended."""
        return ""

    seems_complete = is_certain = False
    """A document that has ended is not pending any more."""
