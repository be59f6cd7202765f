"""ZIP archives of several files. The same files always give the same bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from typing import IO, Final

ZIP: Final = "application/zip"


def write_archive(target: IO[bytes], files: Iterable[bytes], suffix: str) -> list[tuple[int, int]]:
    """Write ``0.SUFFIX``, ``1.SUFFIX`` and so on, uncompressed. Returns the offset and the size of each file."""
    entries = list[tuple[int, int]]()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for index, data in enumerate(files):
            archive.writestr(zipfile.ZipInfo(f"{index}.{suffix}", date_time=(1980, 1, 1, 0, 0, 0)), data)
            entries.append((target.tell() - len(data), len(data)))
    return entries
