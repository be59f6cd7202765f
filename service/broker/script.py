"""A Lua script that names its keys and arguments once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ancestral.service.broker.keys import Keys


@dataclass(frozen=True)
class Script:
    """A Lua script, whose text has its keys and arguments as local variables. All arguments are strings there."""

    name: str
    """As metrics report it."""
    keys: str
    """The names of its keys, separated by spaces: kinds of keys.py, or else given by the caller."""
    args: str
    """The names of its arguments, separated by spaces."""
    body: str
    rest: str = ""
    """The name of a table of any number of further arguments."""

    @property
    def source(self) -> str:
        """The Lua text."""
        keys, args = self.keys.split(), self.args.split()
        lines = [_locals(keys, "KEYS"), _locals(args, "ARGV")]
        if self.rest:
            lines.append(f"local {self.rest} = {{}}")
            lines.append(f"for i = {len(args) + 1}, #ARGV do {self.rest}[i - {len(args)}] = ARGV[i] end")
        return "\n".join([*lines, self.body])

    def bind(self, keys: Keys, given: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
        """KEYS and ARGV of a call: what is given by name, and ``keys`` for the names of keys that are not."""
        names, args = self.keys.split(), self.args.split()
        unknown = given.keys() - {*names, *args, self.rest}
        assert not unknown, f"{self.name} has no {unknown}"
        values = [given[name] for name in args] + (list(given[self.rest]) if self.rest else [])
        return [given[name] if name in given else keys[name] for name in names], values


def _locals(names: Sequence[str], table: str) -> str:
    values = ", ".join(f"{table}[{number}]" for number in range(1, len(names) + 1))
    return f"local {', '.join(names)} = {values}" if names else ""
