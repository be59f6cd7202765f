"""The tables of words and sounds in ancestral_models/text/tables: plain text that is edited without Python.

A section begins with ``[name]``. Its lines are entries, ``key = value``, or words with white space between them. Lines
that begin with ``##`` are comments. emoji.txt alone has columns instead (characters.py).
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final


class Table:
    """One file of the folder.

    Every method raises KeyError for a section that the file does not have.

    Args:
        name: of the file, for messages.
        text: its contents.

    Raises:
        ValueError: a section occurs twice; the message names it.
    """

    def __init__(self, name: str, text: str) -> None:
        self._name: Final = name
        self._sections: Final[dict[str, list[str]]] = {}
        lines: list[str] = []
        for line in text.splitlines():
            if line.startswith("[") and line.endswith("]") and line[1:-1].isidentifier():
                if (section := line[1:-1]) in self._sections:
                    raise ValueError(f"tables/{name}.txt: [{section}] occurs twice")
                lines = self._sections[section] = []
            elif line and not line.startswith("##"):
                lines.append(line)

    def pairs(self, section: str) -> list[tuple[str, str]]:
        """Keys and values in order; a key may occur twice.

        Raises:
            ValueError: a line is not an entry; the message has it.
        """
        found = []
        for line in self._sections[section]:
            key, sign, value = line.partition(" =")
            if not sign:
                raise ValueError(f"tables/{self._name}.txt: [{section}]: {line!r} is not key = value")
            found.append((key, value[1:]))
        return found

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
    file = resources.files("ancestral_models.text") / "tables" / f"{name}.txt"
    return Table(name, file.read_text("utf-8"))
