"""Data sets as arrays that training maps into memory; files and folders that are whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file or folder to write that gets its name when it is whole."""
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    os.replace(partial, path)
