"""The Grafana dashboards. Each module defines one: its docstring is the description, ``rows()`` has the panels."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import Dashboard, DashboardCursorSync, DashboardLinkType

from deploy.grafana.boards import gpu, images, overview, queue, redis, speech
from deploy.grafana.boards.common import INSTANCE, MODEL, OPERATION, PRIORITY, ROUTE

_ALL: Final[dict[str, tuple[str, ModuleType, Sequence[builders.QueryVariable]]]] = {
    "overview": ("Overview", overview, [MODEL, ROUTE]),
    "speech": ("Speech", speech, [MODEL]),
    "images": ("Images", images, [MODEL]),
    "queue": ("Queue and workers", queue, [PRIORITY, INSTANCE]),
    "redis": ("Redis", redis, [OPERATION]),
    "gpu": ("GPU", gpu, [INSTANCE]),
}


def dashboards() -> dict[str, Dashboard]:
    """All dashboards by file name, without extension."""
    return {name: _dashboard(name, *rest) for name, rest in _ALL.items()}


def _dashboard(name: str, title: str, module: ModuleType, variables: Sequence[builders.QueryVariable]) -> Dashboard:
    assert module.__doc__ is not None
    board = (
        builders.Dashboard(f"Ancestral: {title}")
        .uid(f"ancestral-{name}")
        .description(module.__doc__)
        .tags(["ancestral"])
        .readonly()
        .refresh("10s")
        .time("now-30m", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Ancestral")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["ancestral"])
            .as_dropdown(False)
            .keep_time(True)
        )
    )
    for variable in variables:
        board.with_variable(variable)
    for row, panels in module.rows():
        board.with_row(builders.Row(row))
        for panel in panels:
            board.with_panel(panel)
    built = board.build()
    for number, panel in enumerate(built.panels or (), 1):
        panel.id_val = number
    return built
