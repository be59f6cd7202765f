"""What is known of a job's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ArtifactInfo:
    media_type: str
    bytes: int
    sha256: str
    samples: int
    """Symbols that were sampled."""
    symbols_sha256: str
    """Hash of what the job's stream holds."""
    entries: Sequence[tuple[int, int]] = ()
    """Offset and size of each file inside an archive."""
    unsigned: tuple[int, str] | None = None
    """Size and SHA-256 of the file before it was signed; None if it is not."""
    c2pa: tuple[int, int] | None = None
    """Offset and size of a C2PA manifest beside the file; None if there is none, or it is inside."""
