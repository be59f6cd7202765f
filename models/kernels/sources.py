"""What numba's cache on disk does not check: the files besides the loop's own that it is compiled from."""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path

from ancestral.models import categorical, noise, portable


@cache
def sources() -> int:
    """A checksum of all files that loops are compiled from; a loop that reads it is compiled anew when one changes."""
    others = Path(categorical.__file__), Path(noise.__file__), Path(portable.__file__)
    files = [*sorted(Path(__file__).parent.glob("*.py")), *others]
    return zlib.crc32(b"".join(file.read_bytes() for file in files))
