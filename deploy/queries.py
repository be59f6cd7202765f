"""The PromQL in our dashboards and alerts, read from the files that Grafana and Prometheus read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import promql_parser
import yaml

HERE: Final = Path(__file__).parent
PROMETHEUS: Final = HERE / "prometheus"
DASHBOARDS: Final = HERE / "grafana" / "dashboards"


@dataclass(frozen=True)
class Query:
    """One of a panel's."""

    board: str
    panel: str
    text: str
    """As it stands there."""

    def filled(self, interval: str) -> str:
        """With what Grafana puts in: everything chosen, and rates over this interval."""
        return re.sub(r"\$\{?\w+\}?", ".*", self.text.replace("$__rate_interval", interval))


def boards() -> dict[str, dict[str, Any]]:
    """Every dashboard, by its file's name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Its panels, without the rows' titles."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    """Of every panel of every dashboard."""
    return [
        Query(name, panel["title"], target["expr"])
        for name, board in boards().items()
        for panel in panels(board)
        for target in panel.get("targets", [])
    ]


def alerts() -> list[dict[str, Any]]:
    """Every alerting rule."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def selectors(text: str) -> list[Any]:
    """Every selector of an expression.

    Raises:
        ValueError: it is no PromQL.
    """
    return list(_selectors(promql_parser.parse(text)))


def _selectors(expression: Any) -> Iterator[Any]:
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for name in dir(expression):
        part = getattr(expression, name) if not name.startswith("_") else None
        for inner in part if isinstance(part, list) else [part]:
            if isinstance(inner, promql_parser.Expr):
                yield from _selectors(inner)
