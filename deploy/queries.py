"""The PromQL of dashboards and alerts, read from the committed files."""

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
    """One query of a panel."""

    board: str
    panel: str
    text: str
    """PromQL, with Grafana variables."""

    def filled(self, interval: str) -> str:
        """The query with every variable set to All and rates over ``interval``."""
        return re.sub(r"\$\{?\w+\}?", ".*", self.text.replace("$__rate_interval", interval))


def boards() -> dict[str, dict[str, Any]]:
    """All dashboards by file name, without extension."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, without rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    """The queries of all panels of all dashboards."""
    return [
        Query(name, panel["title"], target["expr"])
        for name, board in boards().items()
        for panel in panels(board)
        for target in panel.get("targets", [])
    ]


def alerts() -> list[dict[str, Any]]:
    """All alerting rules."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def selectors(text: str) -> list[Any]:
    """All vector selectors of an expression.

    Raises:
        ValueError: the text is not PromQL.
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
