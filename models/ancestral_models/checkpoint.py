"""A checkpoint is a directory: configuration, weights, model card and a manifest of hashes. numpy only, never pickle.

    config.json          the spec, as ``to_json`` gives it
    weights.safetensors  float32 tensors, named as in the network's state_dict
    README.md            the model card
    manifest.json        SHA-256 and size of each of the other files

Everything is checked before a model is built from it, against the tensor table of its architecture: loading a damaged
download fails with a message that names the file or the tensor.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import shutil
import stat
import struct
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures import ArchitectureError, architecture, tensor_table
from ancestral_models.spec import LABEL_ROWS, ImageSpec, Spec, SpecError
from ancestral_models.tensors import shapes

Tensors = dict[str, NDArray[np.float32]]
_S = TypeVar("_S", bound=Spec)

CONFIG, WEIGHTS, CARD, MANIFEST = "config.json", "weights.safetensors", "README.md", "manifest.json"


class CheckpointError(ValueError):
    """A directory that holds no valid checkpoint; the message names the file or the tensor at fault."""


@dataclass(frozen=True)
class Checkpoint:
    """A network as it is stored: its spec, its weights, its model card."""

    spec: Spec
    tensors: Tensors
    sha256: str
    """Hash of ``weights.safetensors``: what clients see as ``x-model-sha256``."""
    path: Path
    card: str
    half: bool = False
    """Whether weights are stored as float16."""

    def spec_as(self, expected: type[_S]) -> _S:
        """The spec, which has to be of this type.

        Raises:
            CheckpointError: it is another architecture's, or another modality's.
        """
        if not isinstance(self.spec, expected):
            raise CheckpointError(f"kind: expected {_kind(expected)}, found {self.spec.kind!r}")
        return self.spec


def _kind(spec: type[Spec]) -> str:
    return repr(spec.kind) if hasattr(spec, "kind") else f"one with an {spec.__name__}"


def save(path: Path, spec: Spec, tensors: Mapping[str, NDArray[np.floating]], card: str, *, half: bool = False) -> None:
    """Write a checkpoint directory, or replace one. Readers see all of it or, for an instant, none of it. Other files
    of the one before, graphs and a sheet, stay if its weights are the same.

    Args:
        path: of the directory.
        spec: of the network.
        tensors: every one of its weights.
        card: Markdown: training data, licence, figures.
        half: store weights as float16, which :func:`load` reads as float32: enough to train on from, or to sample.

    Raises:
        CheckpointError: the tensors are not those of the spec, or not finite, as they are stored.
        ArchitectureError: the spec is of an unknown architecture.
    """
    arrays: Tensors = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}
    with np.errstate(over="ignore"):
        stored = {name: _halved(name, tensor) for name, tensor in arrays.items()} if half else arrays
    _check_tensors(spec, stored)
    files = {CONFIG: _json_bytes(spec.to_json()), WEIGHTS: format_tensors(stored), CARD: card.encode()}
    listing = {name: {"sha256": _sha256(data), "size": len(data)} for name, data in files.items()}
    files[MANIFEST] = _json_bytes({"files": listing})
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        new.mkdir()
        for name, data in files.items():
            _write(new / name, data)
        if path.exists():
            with suppress(CheckpointError):
                if _manifest(path).get(WEIGHTS) == listing[WEIGHTS]:  # their graphs are still true
                    for file in path.iterdir():
                        if file.name not in files and file.is_file():
                            shutil.copy2(file, new / file.name)
            os.rename(path, old)
        os.rename(new, path)


def load(path: Path, *, weights: bool = True) -> Checkpoint:
    """Read and check a checkpoint directory.

    Args:
        path: of the directory.
        weights: whether to read them; their file need not be there otherwise, and there are no tensors.

    Raises:
        CheckpointError: a file is missing, truncated, altered or malformed; a tensor is missing, unknown, of another
            shape or type, or holds a value that is not finite.
    """
    listing = _manifest(path)
    files = {name: _verified(path, name, listing) for name in (CONFIG, CARD, *([WEIGHTS] if weights else ()))}
    spec = _parse_spec(files[CONFIG])
    try:
        stored = parse_tensors(files[WEIGHTS]) if weights else {}
    except ValueError as error:
        raise CheckpointError(f"{WEIGHTS}: not a safetensors file ({error})") from error
    if weights:
        _check_tensors(spec, stored)
    tensors = {name: tensor.astype(np.float32) for name, tensor in stored.items()}
    sha256, half = _listed(WEIGHTS, listing)["sha256"], any(tensor.dtype == np.float16 for tensor in stored.values())
    return Checkpoint(spec, tensors, sha256, path, files[CARD].decode(errors="replace"), half)


def _halved(name: str, tensor: NDArray[np.floating]) -> NDArray[np.floating]:
    """A tensor as float16, but for counts, which it cannot hold."""
    return tensor if name == LABEL_ROWS else tensor.astype(np.float16)


def _check_tensors(spec: Spec, tensors: Mapping[str, NDArray[Any]]) -> None:
    expected = shapes(tensor_table(spec))
    for name, shape in expected.items():
        if name not in tensors:
            raise CheckpointError(f"{name}: missing from {WEIGHTS}")
        tensor = tensors[name]
        if tensor.shape != shape:
            raise CheckpointError(f"{name}: shape {list(tensor.shape)}, but the configuration makes it {list(shape)}")
        if tensor.dtype not in (np.float16, np.float32):
            raise CheckpointError(f"{name}: type {tensor.dtype}, not float32")
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{name}: holds values that are not finite")
    if extra := sorted(set(tensors) - set(expected)):
        raise CheckpointError(f"{extra[0]}: no tensor of a {spec.kind} model")
    if isinstance(spec, ImageSpec) and spec.label_rows:
        _check_label_rows(spec, tensors[LABEL_ROWS])


def _check_label_rows(spec: ImageSpec, rows: NDArray[Any]) -> None:
    ends = np.array([len(values) for values in spec.conditions])
    labels, counts = rows[:, :-1], rows[:, -1]
    if (rows != np.round(rows)).any() or (labels < -1).any() or (labels >= ends).any() or (counts < 0).any():
        raise CheckpointError(f"{LABEL_ROWS}: must be whole numbers: labels, -1 for none, and a count")


def _parse_spec(data: bytes) -> Spec:
    fields = _parse_json(CONFIG, data)
    kind = fields.get("kind")
    if not isinstance(kind, str):
        raise CheckpointError(f"{CONFIG}: unknown kind {kind!r}")
    try:
        return architecture(kind).spec.from_json(fields)
    except (ArchitectureError, SpecError) as error:
        raise CheckpointError(f"{CONFIG}: {error}") from error


def _manifest(path: Path) -> dict[str, Any]:
    files = _parse_json(MANIFEST, _read(path, MANIFEST)).get("files")
    if not isinstance(files, dict):
        raise CheckpointError(f"{MANIFEST}: no table of files")
    return files


def _listed(name: str, listing: dict[str, Any]) -> dict[str, Any]:
    """The size and the hash of a file, as the manifest says them."""
    entry = listing.get(name)
    if not isinstance(entry, dict) or [type(entry.get(part)) for part in ("size", "sha256")] != [int, str]:
        raise CheckpointError(f"{name}: not listed in {MANIFEST} with its size and SHA-256")
    return entry


def _verified(path: Path, name: str, listing: dict[str, Any]) -> bytes:
    """The bytes of a file, after their size and hash were compared with the manifest's."""
    entry, data = _listed(name, listing), _read(path, name)
    if len(data) != entry["size"]:
        raise CheckpointError(f"{name}: {len(data)} bytes, but {MANIFEST} says {entry['size']}")
    if _sha256(data) != entry["sha256"]:
        raise CheckpointError(f"{name}: its SHA-256 is not the one in {MANIFEST}")
    return data


def _read(path: Path, name: str) -> bytes:
    try:
        return read_file(path / name, MAX_JSON_BYTES if name.endswith(".json") else MAX_BYTES)
    except OSError as error:
        raise CheckpointError(f"{name}: cannot be read from {path} ({error.strerror})") from error


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _parse_json(name: str, data: bytes) -> dict[str, Any]:
    try:
        return parse_object(data)
    except ValueError as error:  # of the syntax, or of the encoding
        raise CheckpointError(f"{name}: not JSON ({error})") from error


def _json_bytes(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Files of models, which anybody may have made: of bounded size, and no pipe or device, which might never end.

MAX_BYTES: Final = 4 << 30
"""Largest file with weights."""
MAX_JSON_BYTES: Final = 16 << 20


def read_file(path: Path, most: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: it cannot be read, is no regular file, or has more than ``most`` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe would wait for its other end
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "not a regular file")
        if found.st_size > most:
            raise OSError(0, f"larger than {most} bytes")
        return file.read(found.st_size)


def give_back_memory() -> None:
    """Return to the system what loading has freed and glibc would keep: 58 MB of an API process, 28 of a worker."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def parse_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: it is none, is nested too deeply, or has half a surrogate pair, which UTF-8 cannot encode.
    """
    try:
        value = json.loads(data)
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


# Files of tensors in the format safetensors: a length, a JSON header that names the tensors, and their bytes.

_LENGTH: Final = struct.Struct("<Q")
_TYPES: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "<u1"}
_NAMES: Final = {np.dtype(kind): name for name, kind in _TYPES.items()}
_METADATA: Final = "__metadata__"
_MOST_DIMENSIONS: Final = 8


def parse_tensors(data: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a file, by name: views of its bytes, which cannot be written to.

    Raises:
        ValueError: it is no such file, or holds numbers of a type that models do not have.
    """
    if len(data) < _LENGTH.size:
        raise ValueError("no header")
    begin = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    if begin > len(data):
        raise ValueError("the header is cut off")
    if begin > MAX_JSON_BYTES:
        raise ValueError(f"the header is larger than {MAX_JSON_BYTES} bytes")
    header = parse_object(data[_LENGTH.size : begin])
    header.pop(_METADATA, None)
    found, end = dict[str, NDArray[Any]](), 0
    for name, entry in sorted(header.items(), key=_first_byte):
        match entry:
            case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(first), int(last)]} if (
                kind in _TYPES
                and len(shape) <= _MOST_DIMENSIONS  # the product of many numbers takes hours
                and all(type(size) is int and 0 <= size < 1 << 31 for size in shape)
            ):
                dtype, count = np.dtype(_TYPES[kind]), math.prod(shape)
            case _:
                raise ValueError(f"{name}: not a type, a shape and offsets: {str(entry)[:200]}")
        if first != end or last - first != count * dtype.itemsize or begin + last > len(data):
            raise ValueError(f"{name}: its bytes are not where they have to be")
        found[name], end = np.frombuffer(data, dtype, count, begin + first).reshape(shape), last
    if begin + end != len(data):
        raise ValueError("bytes that belong to no tensor")
    return found


def _first_byte(item: tuple[str, Any]) -> tuple[float, float]:
    match item[1]:
        case {"data_offsets": [int(first), int(last)]}:
            return first, last
    return math.inf, math.inf


def format_tensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """A file of tensors: those of wider numbers first, then by name, as the library safetensors lays them out."""
    header, parts, end = dict[str, Any](), list[bytes](), 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": [*tensor.shape], "data_offsets": [begin, end]}
        parts.append(tensor.tobytes())
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH.size)
    return b"".join([_LENGTH.pack(len(text)), text, *parts])
