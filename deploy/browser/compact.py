"""Files of the page in fewer bytes: columns of numbers and texts, which deflate better than what the library reads.

deploy/browser/site.py packs, and the worker restores in Pyodide. Networks and dictionaries become the same again; an
acoustic model keeps of its matrices in bytes what :class:`~ancestral.models.kernels.shared.ByteMatrix` does.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.models.checkpoint import format_tensors, parse_tensors
from ancestral.models.kernels.shared import LEVELS as MOST_LEVEL
from ancestral.models.kernels.shared import levels_of
from ancestral.models.text.lexicon import CHUNK, FEATURE, HEADER, TABLE, Tagger

TAGGER, LEXICON, PACKED, LEVELS = "model.compact", "lexicon.compact", "weights.compact", "levels.compact"
"""Names of packed files; the last, of an acoustic model, stays as it is."""
_TABLE_OF_WORDS: Final = "CREATE TABLE word_phonemes (id INTEGER PRIMARY KEY, word TEXT, phonemes TEXT, role TEXT)"
Columns = dict[str, NDArray[Any]]


def _planes(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """The first bytes of all numbers, then the second ones, and so on ``[bytes, *shape]``."""
    flat = np.ascontiguousarray(numbers).reshape(-1, 1).view(np.uint8)
    return np.ascontiguousarray(flat.T).reshape(-1, *numbers.shape)


def _joined(planes: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    """What :func:`_planes` was given."""
    return np.ascontiguousarray(planes.reshape(len(planes), -1).T).view(dtype).reshape(planes.shape[1:])


def _text(lines: Sequence[str]) -> NDArray[np.uint8]:
    assert not any("\n" in line for line in lines)
    return np.frombuffer("\n".join(lines).encode(), np.uint8)


def _lines(text: NDArray[np.uint8]) -> list[str]:
    return text.tobytes().decode().split("\n")


def packed_weights(data: bytes, in_bytes: Callable[[str, NDArray[Any]], bool] = lambda _name, _matrix: False) -> bytes:
    """A file of weights; the matrices for which ``in_bytes`` says so as levels and the largest weights of outputs."""
    found: Columns = {}
    for name, tensor in parse_tensors(data).items():
        assert tensor.dtype in (np.float16, np.float32)
        if in_bytes(name, tensor):
            levels, _ = levels_of(tensor.astype(np.float64))
            found[f"levels {name}"] = levels.astype(np.int8).view(np.uint8)
            found[f"most {name}"] = np.abs(tensor).max(axis=0)
        else:
            found[f"{tensor.dtype} {name}"] = _planes(tensor)
    return format_tensors(found)


def weights(data: bytes) -> Columns:
    """The tensors of :func:`packed_weights`: as they were, and in float32 what levels stand for."""
    found: Columns = {}
    for key, column in (columns := parse_tensors(data)).items():
        kind, name = key.split(" ")
        if kind == "levels":
            scales = columns[f"most {name}"].astype(np.float64) / MOST_LEVEL
            found[name] = (column.view(np.int8) * scales).astype(np.float32)
        elif kind != "most":
            found[name] = _joined(column, kind)
    return found


def packed_lexicon(path: Path) -> bytes:
    """The words of a lexicon of gruut's, and how they sound."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT id, word, phonemes, role FROM word_phonemes ORDER BY id").fetchall()
    database.close()
    assert [row[0] for row in rows] == [*range(1, len(rows) + 1)]
    _, *columns = zip(*rows, strict=True)
    return format_tensors(dict(zip(("words", "phonemes", "roles"), map(_text, columns), strict=True)))


def _restore_lexicon(columns: Columns, path: Path) -> None:
    rows = zip(*(_lines(columns[name]) for name in ("words", "phonemes", "roles")), strict=True)
    with sqlite3.connect(path) as database:
        database.execute(_TABLE_OF_WORDS)
        database.executemany("INSERT INTO word_phonemes (word, phonemes, role) VALUES (?, ?, ?)", rows)
    database.close()


def packed_tagger(path: Path) -> bytes:
    """A model of CRFsuite's: what :class:`~ancestral.models.text.lexicon.Tagger` reads of it."""
    model = Tagger(path)
    found = [model.features_of(model.sources, number) for number in range(len(model.labels))]
    found += [model.features_of(model.references, number) for number in range(len(model.attributes))]
    targets, of_targets = zip(*found, strict=True)
    return format_tensors({
        "counts": np.array([*map(len, targets)], np.int32), "targets": np.concatenate(targets).astype(np.uint8),
        "weights": _planes(np.concatenate(of_targets).astype(np.float32)), "labels": _text(model.labels),
        "attributes": _text([*model.attributes]),
    })  # fmt: skip


def _restored_tagger(columns: Columns) -> bytes:
    features = np.zeros(len(columns["targets"]), FEATURE)
    features["target"], features["weight"] = columns["targets"], _joined(columns["weights"], "float32")
    labels, attributes, counts = _lines(columns["labels"]), _lines(columns["attributes"]), columns["counts"]
    ends, parts, begins = np.cumsum(counts), [HEADER.pack(b"", 0, b"", *[0] * 9)], list[int]()

    def add(part: bytes) -> None:
        begins.append(sum(map(len, parts)))
        parts.append(part)

    add(struct.pack("<4sII", b"FEAT", 0, len(features)) + features.tobytes())
    add(_table(labels))
    add(_table(attributes))
    for chosen in slice(len(labels)), slice(len(labels), None):
        add(_references(ends[chosen], counts[chosen], sum(map(len, parts))))
    parts[0] = HEADER.pack(b"lCRF", sum(map(len, parts)), b"FOMC", 100, 0, len(labels), len(attributes), *begins)
    return b"".join(parts)


def _table(keys: Sequence[str]) -> bytes:
    """A table of keys by their numbers, without what finds a number by its key."""
    entries = [
        struct.pack("<II", number, len(key) + 1) + key + b"\0" for number, key in enumerate(map(str.encode, keys))
    ]
    offsets = TABLE.size + np.cumsum([0, *map(len, entries)], dtype=np.uint32)
    head = TABLE.pack(b"CQDB", 0, 0, 0, len(keys), int(offsets[-1]))
    return b"".join([head, *entries, offsets[:-1].tobytes()])


def _references(ends: NDArray[np.integer], counts: NDArray[np.integer], begin: int) -> bytes:
    """Which features each of some entries has, where all are in order, and before that where each list begins."""
    lists = [
        struct.pack("<I", n) + np.arange(end - n, end, dtype="<u4").tobytes()
        for end, n in zip(ends, counts, strict=True)
    ]
    offsets = begin + CHUNK + 4 * len(lists) + np.cumsum([0, *map(len, lists[:-1])])
    return b"".join([struct.pack("<4sII", b"AFRF", 0, len(lists)), offsets.astype("<u4").tobytes(), *lists])


def restore(folder: str) -> None:
    """Make of every packed file below a folder the one that the library reads."""
    for path in sorted(Path(folder).rglob("*.compact")):
        if path.name == LEVELS:
            continue
        data = path.read_bytes()
        if path.name == LEXICON:
            _restore_lexicon(parse_tensors(data), path.with_suffix(".db"))
        elif path.name == TAGGER:
            path.with_suffix(".crf").write_bytes(_restored_tagger(parse_tensors(data)))
        else:
            path.with_suffix(".safetensors").write_bytes(format_tensors(weights(data)))
        path.unlink()
