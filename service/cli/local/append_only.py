"""Valkey's append-only file after a power loss.

A file system may have extended a file without having written its blocks: the file then ends with zeros. Valkey drops a
torn command at the end by itself (``aof-load-truncated``), but refuses zeros, which no command ends with.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_BLOCK: Final = 1 << 16


def repair(directory: Path) -> None:
    """Cut zeros off the end of the files of commands, and keep a copy of what was there.

    Args:
        directory: Valkey's ``dir``.
    """
    for path in directory.glob("appendonlydir/*.incr.aof"):
        size, end = path.stat().st_size, _end(path)
        if end == size:
            continue
        copy = path.with_name(f"{path.name}.damaged")
        shutil.copy2(path, copy)
        os.truncate(path, end)
        log.warning(
            "zeros cut off the append-only file", extra={"file": str(path), "zeros": size - end, "copy": str(copy)}
        )


def _end(path: Path) -> int:
    """The number of bytes before the zeros at the end."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            if block := file.read(end - start).rstrip(b"\0"):
                return start + len(block)
            end = start
    return 0
