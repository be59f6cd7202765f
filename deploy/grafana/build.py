"""Write the dashboards as JSON files for Grafana: ``python -m deploy.grafana.build``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards import dashboards

DIRECTORY = Path(__file__).with_name("dashboards")


_INTERVAL_FIELDS = ("auto", "auto_count", "auto_min")
"""Fields that the library adds to every variable, but that Grafana's schema does not allow in query variables."""


def documents() -> dict[str, Any]:
    """All dashboards as plain data, by file name without extension."""
    boards = {name: json.loads(json.dumps(board, cls=JSONEncoder)) for name, board in dashboards().items()}
    for board in boards.values():
        for variable in board["templating"]["list"]:
            for name in _INTERVAL_FIELDS:
                variable.pop(name, None)
    return boards


def files() -> dict[Path, str]:
    """The text of every JSON file, by path."""
    return {
        DIRECTORY / f"{name}.json": json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        for name, document in documents().items()
    }


def main() -> None:
    """Write the files and print their paths."""
    for path, text in files().items():
        path.write_text(text)
        print(path)


if __name__ == "__main__":
    main()
