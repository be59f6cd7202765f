"""The tables of words and sounds in models/text/tables: plain text that is edited without Python.

A section begins with ``[name]``. Its lines are entries, ``key = value``, or words with white space between them. Lines
that begin with ``##`` are comments.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final


class Table:
    """One file of the folder.

    Every method raises KeyError for a section that the file does not have.
    """

    def __init__(self, name: str) -> None:
        file = resources.files("ancestral.models.text") / "tables" / f"{name}.txt"
        self._sections: Final[dict[str, list[str]]] = {}
        lines: list[str] = []
        for line in file.read_text("utf-8").splitlines():
            if line.startswith("[") and line.endswith("]") and line[1:-1].isidentifier():
                lines = self._sections[line[1:-1]] = []
            elif line and not line.startswith("##"):
                lines.append(line)

    def pairs(self, section: str) -> list[tuple[str, str]]:
        """Keys and values in order; a key may occur twice."""
        split = (line.partition(" =") for line in self._sections[section])
        return [(key, value[1:]) for key, _, value in split]

    def entries(self, section: str) -> dict[str, str]:
        """Values by key."""
        return dict(self.pairs(section))

    def phones(self, section: str) -> dict[str, tuple[str, ...]]:
        """Phonemes, or other symbols, by key."""
        return {key: tuple(value.split()) for key, value in self.pairs(section)}

    def listed(self, section: str) -> list[str]:
        """Words in order."""
        return " ".join(self._sections[section]).split()

    def words(self, section: str) -> frozenset[str]:
        """Words as a set."""
        return frozenset(self.listed(section))

    def pattern(self, section: str) -> str:
        """A regular expression: any of the section's words, each of which is one."""
        return "|".join(self.listed(section))


@cache
def table(name: str) -> Table:
    """The file of this name."""
    return Table(name)
