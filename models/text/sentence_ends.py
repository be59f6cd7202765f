"""Whether the full stop of an abbreviation ends a sentence, too."""

from __future__ import annotations

import re
from typing import Final

# Words that open a sentence far more often than they follow an abbreviation inside one.
_OPENERS: Final = (
    "The|A|An|It|He|She|We|They|You|I|This|That|These|Those|There|Here|In|On|At|But|And|Or|So|If|When|While|After|Before"
    "|As|For|What|Who|Why|How|Where|Is|Are|Was|Were|Do|Does|Did|My|Your|His|Her|Our|Their|Its|No|Yes|Then|Now|Today"
    "|However|Nobody|Everyone|Please|Let|Not|Some|Many|Most|All|One"
)
SENTENCE_AFTER: Final = re.compile(rf"\s*[\"')\]]*\s*(?:$|\n)|[\"')\]]*\s+[\"'(]?(?:{_OPENERS})\b")
"""A pattern: what follows a full stop that ends a sentence."""


def stop(match: re.Match[str]) -> str:
    """What an abbreviation's full stop is worth: a sentence's end if a new sentence seems to follow."""
    return " . " if SENTENCE_AFTER.match(match.string, match.end()) else " "
