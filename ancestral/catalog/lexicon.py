"""A lexicon in a file: a JSON object of words and their phonemes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ancestral.models.entries import ModelError
from ancestral.models.text import PronunciationError, Pronunciations


def read_lexicon(path: Path | None) -> Pronunciations:
    """The lexicon in a file; an empty one without a file.

    Raises:
        ModelError: the file cannot be read, or an entry cannot be used; the message names the entry.
    """
    if path is None:
        return Pronunciations({})
    try:
        entries = json.loads(path.read_bytes(), object_pairs_hook=_entries)
        if not isinstance(entries, dict):
            raise PronunciationError("must be one JSON object")
        return Pronunciations(entries)
    except PronunciationError as error:
        raise ModelError(f"pronunciations: {path.name}: {error}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"pronunciations: {path.name}: cannot be read as JSON") from error


def _entries(pairs: list[tuple[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry, phonemes in pairs:
        if not isinstance(phonemes, str):
            raise PronunciationError(f"{entry!r}: must be a string of phonemes")
        if entry in found:
            raise PronunciationError(f"{entry!r}: given twice")
        found[entry] = phonemes
    return found
