"""Sheets that a model of pictures can draw in one request: one thing in all its directions and frames.

``model.json`` says which values of which attributes they are, so nothing else knows the names of a model's attributes:

    "sheets": {"run": {
        "rows": ["north", "east", "south", "west"],
        "animations": {"idle": ["standing {row}"], "run": ["running {row} 1", "running {row} 2"]},
        "frames_per_second": 12
    }}

Every frame is a prompt. A row of the sheet has the frames of all animations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

MAX_FRAMES: Final = 256
"""Most frames of a sheet."""
_FIELDS: Final = frozenset({"rows", "animations", "frames_per_second"})
_ROW: Final = "{row}"


class Tag(NamedTuple):
    """One animation in one row."""

    name: str
    """The animation and the row: ``run north``."""
    first: int
    """The index of its first picture in the sheet."""
    length: int


@dataclass(frozen=True)
class SheetLayout:
    """What the pictures of a sheet show, row by row."""

    rows: tuple[str, ...]
    animations: Mapping[str, tuple[str, ...]]
    """The prompts of their frames, in which ``{row}`` stands for the name of a row."""
    frames_per_second: int

    @property
    def columns(self) -> int:
        """Pictures in a row."""
        return sum(map(len, self.animations.values()))

    @property
    def prompts(self) -> list[str]:
        """One for every picture."""
        every = [frame for frames in self.animations.values() for frame in frames]
        return [frame.replace(_ROW, row) for row in self.rows for frame in every]

    @property
    def tags(self) -> list[Tag]:
        """Every animation in every row."""
        found, first = [], 0
        for row in self.rows:
            for name, frames in self.animations.items():
                found.append(Tag(f"{name} {row}", first, len(frames)))
                first += len(frames)
        return found

    @classmethod
    def read(cls, data: Any) -> Self:
        """Parse a value of ``sheets``, strictly.

        Raises:
            ValueError: a field is missing, unknown or of the wrong type; the message names it.
        """
        if not isinstance(data, dict):
            raise ValueError("expected a JSON object")
        if wrong := sorted(_FIELDS ^ data.keys()):
            raise ValueError(f"{wrong[0]}: {'unknown key' if wrong[0] in data else 'missing'}")
        rows, animations, rate = data["rows"], data["animations"], data["frames_per_second"]
        if not _names(rows) or len(set(rows)) < len(rows):
            raise ValueError("rows: expected a list of different names")
        if not isinstance(animations, dict) or not animations or not all(map(_names, animations.values())):
            raise ValueError("animations: expected a JSON object of lists of prompts")
        if type(rate) is not int or not 1 <= rate <= 100:
            raise ValueError(f"frames_per_second: must be a whole number in 1 … 100, not {rate!r}")
        layout = cls(tuple(rows), {name: tuple(frames) for name, frames in animations.items()}, rate)
        if len(layout.rows) * layout.columns > MAX_FRAMES:
            raise ValueError(f"animations: at most {MAX_FRAMES} frames in all rows")
        return layout


def _names(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and all(isinstance(name, str) and name for name in data)
