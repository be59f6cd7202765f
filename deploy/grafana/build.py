"""Writes the dashboards as Grafana reads them: ``python -m deploy.grafana.build``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards import dashboards

DIRECTORY = Path(__file__).with_name("dashboards")


_OF_INTERVALS = ("auto", "auto_count", "auto_min")
"""What the library gives every variable, and Grafana's schema none that is a query."""


def documents() -> dict[str, Any]:
    """Every dashboard as plain data, by the name of its file."""
    boards = {name: json.loads(json.dumps(board, cls=JSONEncoder)) for name, board in dashboards().items()}
    for board in boards.values():
        for variable in board["templating"]["list"]:
            for name in _OF_INTERVALS:
                variable.pop(name, None)
    return boards


def files() -> dict[Path, str]:
    """What is written, by path."""
    return {
        DIRECTORY / f"{name}.json": json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        for name, document in documents().items()
    }


def main() -> None:
    """Write them."""
    for path, text in files().items():
        path.write_text(text)
        print(path)


if __name__ == "__main__":
    main()
