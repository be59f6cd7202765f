"""The lexicons and taggers of ancestral_models/text/lexicons, packed from gruut's packages.

``python -m ancestral_training.corpora.lexicons`` rewrites them. Of each package it takes the pronunciations, the model
of the sounds of letters and, in English, that of parts of speech. Weights are rounded to float32. gruut's folders
``espeak`` are under another licence and are never read.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

PACKED: Final = {
    "english": ("gruut_lang_en", {"sounds": "g2p", "tags": "pos"}),
    "french": ("gruut_lang_fr", {"sounds": "g2p"}),
    "italian": ("gruut_lang_it", {}),
}
"""By language: gruut's package, and the taggers that are taken of it, by their names here."""
_FOLDER: Final = Path(__file__).parents[3] / "models/ancestral_models/text/lexicons"
_ROLE_PREFIX: Final = "gruut:"
Columns = dict[str, NDArray[Any]]


def pack(language: str) -> Columns:
    """The arrays of the file of a language.

    Raises:
        ModuleNotFoundError: gruut's package of the language is not installed.
    """
    package, taggers = PACKED[language]
    folder = Path(str(resources.files(package)))
    found = {"lexicon/words": _text(_lexicon(folder / "lexicon.db"))}
    for part, name in taggers.items():
        columns = _tagger((folder / name / "model.crf").read_bytes())
        found |= {f"{part}/{column}": array for column, array in columns.items()}
    return found


def _text(lines: Iterable[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(lines).encode(), np.uint8)


def _lexicon(path: Path) -> list[str]:
    """A line for each word, in the order of their bytes: the word, and after tabs its pronunciations in order, each
    with ``|`` and its part of speech if it has one."""
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    rows = database.execute("SELECT word, phonemes, role FROM word_phonemes ORDER BY word, id").fetchall()
    database.close()
    assert not any(mark in field for row in rows for field in row for mark in "\t\n|")
    lines = []
    for word, said in groupby(rows, key=lambda row: row[0]):
        pairs = [(symbols, role.removeprefix(_ROLE_PREFIX)) for _, symbols, role in said]
        lines.append("\t".join([word, *(f"{symbols}|{role}" if role else symbols for symbols, role in pairs)]))
    return lines


# Models of CRFsuite (its format ``FOMC``).

_HEADER: Final = struct.Struct("<4sI4s9I")
_KEYS: Final = struct.Struct("<4s5I")
"""The header of a table of keys, which ends with where the offsets of its entries are listed."""
_CHUNK: Final = 12
"""Bytes before the entries of other chunks: a name, a size, and how many there are."""
_FEATURE: Final = np.dtype([("kind", "<u4"), ("source", "<u4"), ("target", "<u4"), ("weight", "<f8")])


def _tagger(data: bytes) -> Columns:
    """The columns of a :class:`~ancestral_models.text.lexicon.Tagger`."""
    *_, label_count, attribute_count, begin, names, keys, sources, references = _HEADER.unpack_from(data)
    (count,) = struct.unpack_from("<I", data, begin + _CHUNK - 4)
    features = np.frombuffer(data, _FEATURE, count, begin + _CHUNK)
    labels, attributes = _keys(data, names, label_count), _keys(data, keys, attribute_count)
    order = sorted(range(attribute_count), key=lambda number: attributes[number].encode())
    listed = [_references(data, sources, number) for number in range(label_count)]
    listed += [_references(data, references, number) for number in order]
    found = features[np.concatenate(listed)]
    return {
        "labels": _text(labels),
        "attributes": _text(attributes[number] for number in order),
        "counts": np.array([*map(len, listed)], np.int32),
        "targets": found["target"].astype(np.uint8),
        "weights": found["weight"].astype(np.float32),
    }


def _keys(data: bytes, table: int, count: int) -> list[str]:
    """The keys of a table by their numbers."""
    *_, listed = _KEYS.unpack_from(data, table)
    found = []
    for offset in np.frombuffer(data, "<u4", count, table + listed).tolist():
        begin = table + offset + 8
        (size,) = struct.unpack_from("<I", data, begin - 4)
        found.append(data[begin : begin + size - 1].decode())  # without the zero behind it
    return found


def _references(data: bytes, chunk: int, number: int) -> NDArray[np.uint32]:
    """The features that entry ``number`` of a chunk of references names."""
    (offset,) = struct.unpack_from("<I", data, chunk + _CHUNK + 4 * number)
    (count,) = struct.unpack_from("<I", data, offset)
    return np.frombuffer(data, "<u4", count, offset + 4)


def write(folder: Path) -> None:
    """Write the files of all languages."""
    for language in PACKED:
        np.savez_compressed(folder / f"{language}.npz", allow_pickle=False, **pack(language))


if __name__ == "__main__":
    write(_FOLDER)
