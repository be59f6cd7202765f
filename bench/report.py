"""Reports of benchmarks, and figures from a server's /metrics."""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


# Read values from a `/metrics` page, for benchmarks without Prometheus.

_BUCKET = r'^{name}_bucket\{{(?:.*,)?le="([^"]+)"[^}}]*\}} (\S+)$'


def total(page: str, name: str) -> float:
    """The sum of all samples of this name."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE))


def quantile(page: str, name: str, q: float) -> float:
    """A quantile of a histogram over all its series, interpolated linearly within a bucket, as Prometheus does.

    Args:
        page: the metrics of one process.
        name: of the histogram.
        q: 0 … 1.

    Returns:
        NaN if there are no observations; the last finite bound if the quantile lies beyond it.
    """
    counts: dict[float, float] = {}
    for bound, count in re.findall(_BUCKET.format(name=name), page, re.MULTILINE):
        counts[float(bound)] = counts.get(float(bound), 0.0) + float(count)
    wanted, low, before = q * counts.get(math.inf, 0.0), 0.0, 0.0
    if not wanted:
        return math.nan
    for bound, count in sorted(counts.items()):
        if count >= wanted:
            return low if bound == math.inf else low + (bound - low) * (wanted - before) / (count - before)
        low, before = bound, count
    raise AssertionError("the last bucket holds all")


# The output of every benchmark: a table, and the same data as one line of JSON.


@dataclass(frozen=True)
class Target:
    """A target, and whether it was met."""

    target: str
    wanted: str
    measured: float
    met: bool


def at_least(wanted: Iterable[tuple[str, float, float]]) -> list[Target]:
    """Targets of at least so much: their names, what is wanted, and what was measured."""
    return [Target(name, f">= {least:g}", round(got, 2), got >= least) for name, least, got in wanted]


def milliseconds(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile of times, in milliseconds."""
    p50, p95 = np.quantile(seconds, (0.5, 0.95))
    return round(1000 * float(p50), 1), round(1000 * float(p95), 1)


def machine() -> str:
    """The CPU's name and the number of cores."""
    name = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        names = [line.split(":", 1)[1].strip() for line in listing.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def show(title: str, rows: Sequence[DataclassInstance], width: int) -> None:
    """Print rows of one type as a table, with their field names as column titles."""
    table = Table(title=title)
    for field in fields(rows[0]):
        table.add_column(field.name.replace("_", " "), justify="left" if field.type == "str" else "right")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in asdict(row).values()))
    Console(width=width).print(table)


def report(
    what: str,
    rows: Sequence[DataclassInstance],
    facts: Mapping[str, Any] | None = None,
    width: int = 120,
    targets: Sequence[Target] = (),
) -> None:
    """Print the table, then the JSON.

    Args:
        what: title of the table, without the machine.
        rows: rows of one type, at least one.
        facts: further fields of the JSON.
        width: width of the table in characters.
        targets: shown above it.
    """
    facts = dict(facts or {})
    if targets:
        show("Targets", targets, width=120)
        facts["targets"] = [asdict(target) for target in targets]
    show(f"{what} on {machine()}", rows, width)
    print(json.dumps({"machine": machine(), **facts, "rows": [asdict(row) for row in rows]}))
