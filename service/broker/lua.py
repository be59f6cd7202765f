"""A Lua script, whose text names its keys and arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ancestral.service.broker.keys import Keys


@dataclass(frozen=True)
class Script:
    """A Lua script, whose text has its keys and arguments as local variables. All arguments are strings there."""

    name: str
    """Name in metrics."""
    keys: str
    """The names of its keys, separated by spaces: kinds of keys.py, or else given by the caller."""
    args: str
    """The names of its arguments, separated by spaces."""
    body: str
    rest: str = ""
    """The name of a table of any number of further arguments."""
    more_keys: str = ""
    """The name of a table of any number of further keys."""

    @cached_property
    def _names(self) -> tuple[list[str], list[str], frozenset[str]]:
        """Keys, arguments, and what a call may give."""
        keys, args = self.keys.split(), self.args.split()
        return keys, args, frozenset([*keys, *args, self.rest, self.more_keys])

    @cached_property
    def source(self) -> str:
        keys, args, _ = self._names
        lines = [_locals(keys, "KEYS"), _locals(args, "ARGV")]
        lines += [_table(self.more_keys, len(keys), "KEYS"), _table(self.rest, len(args), "ARGV")]
        return "\n".join([*lines, self.body])

    @cached_property
    def sha1(self) -> str:
        """The name by which Redis knows the text."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def bind(self, keys: Keys, given: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
        """KEYS and ARGV of a call: what is given by name, and ``keys`` for what is not: the names of keys, and
        arguments called ``shard``, ``priority`` or ``KIND_prefix``."""
        names, args, known = self._names
        assert given.keys() <= known, f"{self.name} has no {given.keys() - known}"
        values = [given[name] if name in given else _derived(name, keys) for name in args]
        values += list(given[self.rest]) if self.rest else []
        more = list(given[self.more_keys]) if self.more_keys else []
        return [given[name] if name in given else keys[name] for name in names] + more, values


def _derived(name: str, keys: Keys) -> Any:
    """An argument that follows from the keys."""
    if name.endswith("_prefix"):
        return keys.prefix(name.removesuffix("_prefix"))
    return {"shard": keys.shard, "priority": keys.priority}[name]


def _locals(names: Sequence[str], table: str) -> str:
    values = ", ".join(f"{table}[{number}]" for number in range(1, len(names) + 1))
    return f"local {', '.join(names)} = {values}" if names else ""


def _table(name: str, first: int, table: str) -> str:
    if not name:
        return ""
    return f"local {name} = {{}}\nfor i = {first + 1}, #{table} do {name}[i - {first}] = {table}[i] end"
