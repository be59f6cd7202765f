"""The tables of refusals.txt: what is sent at a door and, below it, what it is refused with.

That is the status, the field, the code and a part of the message, as far as the test of a door looks at them; - stands
for none. ‹a×3› is aaa.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def rows(section: str) -> list[tuple[str, str]]:
    """What is sent at a door, and what it is refused with."""
    text = Path(__file__).with_name("refusals.txt").read_text("utf-8")
    lines = text.partition(f"=== {section}\n")[2].partition("\n=== ")[0].splitlines()
    assert lines, section
    sent = [re.sub("‹(.*?)×(\\d+)›", lambda match: match[1] * int(match[2]), line) for line in lines[::2]]
    return list(zip(sent, (line.strip() for line in lines[1::2]), strict=True))


def at_the_door(section: str, *more: tuple[str, str]) -> pytest.MarkDecorator:
    """A test of every row."""
    names = [f"{sent[:60]}: {told}".encode("ascii", "replace").decode() for sent, told in (*rows(section), *more)]
    return pytest.mark.parametrize(("sent", "told"), [*rows(section), *more], ids=names)
