"""The rows of a batch: a file of JSON lines, CSV or Parquet at an address that fsspec knows."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterator
from functools import cached_property, lru_cache
from typing import Any

import fsspec

from ancestral.errors import AncestralError

_TEXTS = ("key", "text", "voice", "input_format", "language", "prompt", "style", "background", "recording", "image")


class BatchError(Exception):
    """A batch that cannot be run; the message names the place."""


class Source:
    """Rows by their number. Lines are kept in memory, groups of Parquet one at a time.

    Args:
        address: of a ``.jsonl``, ``.csv`` or ``.parquet`` file.

    Raises:
        BatchError: its name ends in something else, or it cannot be read.
    """

    def __init__(self, address: str) -> None:
        suffix = address.rpartition(".")[2].lower()
        readers = {"jsonl": self._json_lines, "csv": self._csv_lines, "parquet": self._parquet}
        if suffix not in readers:
            raise BatchError(f"{address}: the name must end in .{', .'.join(readers)}")
        self.address = address
        self._read: Callable[[int, int], Iterator[dict[str, Any]]] = readers[suffix]

    def __len__(self) -> int:
        return self._file.metadata.num_rows if self._read == self._parquet else len(self._lines)

    def rows(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Rows ``start`` to ``stop - 1``."""
        return self._read(start, min(stop, len(self)))

    def sha256(self) -> str:
        """Hash of the file."""
        with fsspec.open(self.address, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def check(self, check: Callable[[Collection[str]], None]) -> list[str]:
        """The columns that occur, after ``check`` has seen those of every row.

        Raises:
            BatchError: a line is no row, or ``check`` refuses its columns.
        """
        found: dict[str, None] = {}
        if self._read == self._parquet:
            found = dict.fromkeys(self._file.schema_arrow.names)
            check(found)
            return list(found)
        try:
            for row in self.rows(0, len(self)):
                check(row.keys())
                found |= dict.fromkeys(row)
        except AncestralError as error:
            raise BatchError(f"{self.address}: {error}") from error
        return list(found)

    @cached_property
    def _data(self) -> str:
        try:
            with fsspec.open(self.address, "rb") as file:
                return str(file.read(), "utf-8-sig")
        except UnicodeDecodeError as error:
            raise BatchError(f"{self.address}: not UTF-8 at byte {error.start}") from error

    @cached_property
    def _lines(self) -> list[Any]:
        if self._read == self._csv_lines:
            return self._table[1:]
        return [line for line in self._data.split("\n") if line.strip()]

    def _json_lines(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        for number in range(start, stop):
            try:
                row = json.loads(self._lines[number])
            except ValueError as error:
                raise BatchError(f"{self.address}: row {number + 1} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise BatchError(f"{self.address}: row {number + 1} is not a JSON object")
            yield row

    @cached_property
    def _table(self) -> list[list[str]]:
        try:
            return [row for row in csv.reader(io.StringIO(self._data, newline=""), strict=True) if row]
        except csv.Error as error:
            raise BatchError(f"{self.address}: {error}") from error

    def _csv_lines(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        for number in range(start, stop):
            header, values = self._table[0], self._lines[number]
            if len(values) != len(header):
                found = f"{len(values)} values, and the header {len(header)} names"
                raise BatchError(f"{self.address}: row {number + 1} has {found}")
            yield {name: _typed(name, value) for name, value in zip(header, values, strict=True)}

    @cached_property
    def _file(self) -> Any:
        from pyarrow import ArrowInvalid, parquet

        try:
            return parquet.ParquetFile(fsspec.open(self.address, "rb").open())
        except ArrowInvalid as error:
            raise BatchError(f"{self.address}: {error}") from error

    def _parquet(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        end = 0
        for group in range(self._file.num_row_groups):
            begin, end = end, end + self._file.metadata.row_group(group).num_rows
            if begin < stop and start < end:
                first = max(start - begin, 0)
                yield from self._group(group).slice(first, min(stop, end) - begin - first).to_pylist()

    @cached_property
    def _group(self) -> Callable[[int], Any]:
        return lru_cache(1)(self._file.read_row_group)


def _typed(name: str, value: str) -> Any:
    """A value of CSV: a number or an object, as JSON, where the column is no text; None if it is empty."""
    if not value or name in _TEXTS:
        return value or None
    try:
        return json.loads(value)
    except ValueError:
        return value
