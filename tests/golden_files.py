"""What clients see, as JSON in ``tests/golden/``: a change there is a change of the interface, read in a diff.

``python -m pytest -n0 --write-golden`` runs the tests that hold a file, and rewrites every file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).with_name("golden")
WIDTH: Final = 120


class Golden:
    """Compares with the golden files, or writes them."""

    def __init__(self, *, write: bool) -> None:
        self._write = write
        self._rows: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, found: Any, row: str | None = None) -> None:
        """Assert that a value, as JSON, is what the file ``name`` has, or one row of the file."""
        path = FOLDER / f"{name}.json"
        if self._write:
            rows = self._rows.setdefault(name, {})
            if row is not None:
                rows[row] = found
            path.write_text(_laid_out(found if row is None else rows) + "\n", "utf-8")
        expected = json.loads(path.read_text("utf-8"))
        assert json.loads(json.dumps(found)) == (expected if row is None else expected[row])


def _laid_out(value: Any, depth: int = 0) -> str:
    """JSON with sorted keys, one entry a line, unless all of them fit into one."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if not isinstance(value, dict | list) or depth + len(line) <= WIDTH:
        return line
    pad, (begin, end) = " " * depth, "{}" if isinstance(value, dict) else "[]"
    entries = (
        [f"{json.dumps(name, ensure_ascii=False)}: {_laid_out(value[name], depth + 1)}" for name in sorted(value)]
        if isinstance(value, dict)
        else [_laid_out(entry, depth + 1) for entry in value]
    )
    return f"{begin}\n" + ",\n".join(f"{pad} {entry}" for entry in entries) + f"\n{pad}{end}"
