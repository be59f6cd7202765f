"""The parts of a batch: rows that become one file of the output, under a temporary name until it is whole."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import fsspec

from ancestral.batch import KEY, Mapper, Row, schema
from ancestral.catalog.catalog import CatalogConfig
from ancestral.model import Model, load_from
from ancestral.service.cli.rows.source import BatchError, Source

FORMATS: Final = {"parquet": "parquet", "webdataset": "tar", "files": "jsonl"}
"""What a part is, and the end of its file's name."""
_MEDIA: Final = {"audio": "flac", "image": "png"}
_RECIPE: Final = "_batch.json"
"""Readers of a folder of Parquet leave out what begins so."""
_UNFINISHED: Final = "unfinished"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """All that the output depends on, and where it goes."""

    source: str
    output: str
    form: str
    model: str
    config: CatalogConfig
    engine: str
    precision: str
    """The argument of :func:`ancestral.load`."""
    seed: int
    score: bool
    keep: tuple[str, ...]
    copied: tuple[str, ...] = ()
    """Columns of the rows that the output has as text."""
    count: int = 0
    sampled_by: str = ""
    """The name of the engine, which says its precision, too; empty until a model is loaded."""

    @property
    def part_rows(self) -> int:
        """Rows of a part: so many that there are a few parts for every core, and not more than can be lost."""
        return min(max(-(-self.count // 64), 4), 256)

    @property
    def parts(self) -> int:
        return -(-self.count // self.part_rows)

    def rows_of(self, part: int) -> int:
        return min(self.part_rows, self.count - part * self.part_rows)

    def mapper(self) -> Mapper:
        return Mapper(self.load, seed=self.seed, score=self.score, keep=self.keep)

    def load(self) -> Model:
        """The model.

        Raises:
            BatchError: it is sampled otherwise here than where the batch began, on another kind of processor.
        """
        model = load_from(self.config, self.model, self.engine, self.precision)
        if self.sampled_by not in ("", model.engine):
            raise BatchError(
                f"begun with the engine {self.sampled_by}, and this machine has {model.engine}: set the precision"
            )
        return model


def begin(batch: Batch) -> tuple[Batch, list[int]]:
    """Check a batch and begin its output, or go on with it; returns it whole, and the parts that are not made yet.

    Raises:
        BatchError: a row is none, the file is empty, or the output has been begun with another batch.
        AncestralError: a column is of no use, or the model can do nothing for rows.
        ModelError: as of :func:`ancestral.load`, for the other errors as well.
    """
    source, mapper = Source(batch.source), batch.mapper()
    columns = source.check(mapper.check)
    if not len(source):
        raise BatchError(f"{batch.source}: there are no rows in it")
    copied = tuple(name for name in columns if name not in mapper.results)
    batch = replace(batch, sampled_by=mapper.model.engine, copied=copied, count=len(source))
    lexicon = batch.config.pronunciations
    finished = Output(batch).begin({
        "rows_sha256": source.sha256(), "model": mapper.model.id, "model_sha256": mapper.model.description.sha256,
        "engine": batch.sampled_by, "seed": batch.seed, "score": batch.score,
        "keep": sorted(batch.keep), "to": batch.form,
        "pronunciations_sha256": None if lexicon is None else hashlib.sha256(lexicon.read_bytes()).hexdigest(),
    })  # fmt: skip
    return batch, [part for part in range(batch.parts) if part not in finished]


class Output:
    """The folder of the parts.

    Args:
        batch: that is written.
    """

    def __init__(self, batch: Batch) -> None:
        self._fs, self._root = fsspec.url_to_fs(batch.output)
        self._suffix = FORMATS[batch.form]
        self._batch = batch

    def begin(self, recipe: Row) -> set[int]:
        """Note what the output is made from, or compare it with what an earlier run noted; returns finished parts.

        Raises:
            BatchError: the earlier run was of something else.
        """
        self._fs.makedirs(self._root, exist_ok=True)
        path = f"{self._root}/{_RECIPE}"
        if self._fs.exists(path):
            noted = json.loads(self._fs.cat_file(path))
            if changed := [name for name in recipe if recipe[name] != noted.get(name)]:
                was = ", ".join(f"{name} was {noted.get(name)!r} and is {recipe[name]!r}" for name in changed)
                raise BatchError(f"{self._batch.output}: begun with another batch: {was}; take another folder")
        else:
            self.put(_RECIPE, (json.dumps(recipe, indent=2) + "\n").encode())
        names = (path.rpartition("/")[2] for path in self._fs.ls(self._root, detail=False))
        found = (re.fullmatch(rf"part-(\d{{6}})\.{self._suffix}", name) for name in names)
        return {int(match[1]) for match in found if match}

    def put(self, name: str, data: bytes) -> None:
        """Write a file. It has its name as soon as it is whole; equal ones may be written at the same time."""
        temporary = f"{self._root}/_{uuid.uuid4().hex}.{_UNFINISHED}"
        with self._fs.open(temporary, "wb") as file:
            file.write(data)
        self._fs.mv(temporary, f"{self._root}/{name}")

    def write(self, part: int, rows: list[Row]) -> None:
        name, first = f"part-{part:06}", part * self._batch.part_rows
        if self._batch.form == "parquet":
            self.put(f"{name}.parquet", _parquet(rows, self._batch.copied))
            return
        files = [file for number, row in enumerate(rows, first) for file in _files(f"{number:09}", row)]
        if self._batch.form == "webdataset":
            self.put(f"{name}.tar", _tar(files))
            return
        self._fs.makedirs(f"{self._root}/{name}", exist_ok=True)
        for file, data in files:
            if not file.endswith(".json"):
                self.put(f"{name}/{file}", data)
        self.put(f"{name}.jsonl", b"".join(data + b"\n" for file, data in files if file.endswith(".json")))

    def tidy(self) -> None:
        """Delete what interrupted runs have left."""
        self._fs.invalidate_cache()
        for path in self._fs.glob(f"{self._root}/*.{_UNFINISHED}"):
            self._fs.rm_file(path)


@dataclass
class _Open:
    """A part whose rows are being made."""

    given: list[Row] = field(default_factory=list)
    made: dict[int, Row] = field(default_factory=dict)


class PartWriter:
    """Makes parts in this process: what a worker of a pool, and an actor of Ray, does.

    Args:
        batch: that they are of.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch, self._source, self._output = batch, Source(batch.source), Output(batch)
        self._mapper = batch.mapper()

    def write(self, part: int) -> tuple[int, int]:
        """Make one part; returns its rows, and how many of them have an error."""
        errors: list[int] = []
        rows = sum(1 for _ in self.run([part], lambda _, wrong: errors.append(wrong)))
        return rows, sum(errors)

    def run(self, parts: Iterable[int], written: Callable[[int, int], None]) -> Iterator[int]:
        """Make parts, which are taken as they are needed: the next begins before the last row of one is finished.

        Args:
            parts: their numbers.
            written: called with the number of a part that is written, and how many of its rows have an error.

        Yields:
            The part of a row, as rows are finished.
        """
        unwritten: dict[int, _Open] = {}
        places: list[tuple[int, int]] = []

        def rows() -> Iterator[Row]:
            for part in parts:
                first = part * self._batch.part_rows
                given = list(self._source.rows(first, first + self._batch.part_rows))
                unwritten[part] = _Open(given)
                for place in sorted(range(len(given)), key=lambda n: -len(str(given[n].get("text", "")))):
                    places.append((part, place))  # long texts first: the short ones fill up the end
                    yield given[place]

        for number, made in self._mapper.map_rows(rows()):
            part, place = places[number]
            done = unwritten[part]
            done.made[place] = {name: _text(done.given[place].get(name)) for name in self._batch.copied} | made
            if len(done.made) == len(done.given):
                del unwritten[part]
                ordered = [done.made[n] for n in range(len(done.given))]
                self._output.write(part, ordered)
                written(part, sum(row["error"] is not None for row in ordered))
            yield part


def _text(value: Any) -> str | None:
    """A value of any column as text; a file's bytes are left out."""
    if value is None or isinstance(value, bytes):
        return None
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _parquet(rows: list[Row], copied: Collection[str]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    texts = [pa.field(name, pa.string()) for name in copied]
    made = schema([name for name in rows[0] if name not in copied])
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, pa.schema([*texts, *made])), file)
    return file.getvalue()


def _files(name: str, row: Row) -> Iterator[tuple[str, bytes]]:
    """The file of a row, if it has one, and the rest of it as JSON."""
    for column, suffix in _MEDIA.items():
        if isinstance(row.get(column), bytes):
            yield f"{name}.{suffix}", row[column]
    rest = {KEY: row[KEY]} | {
        column: value for column, value in row.items() if column not in _MEDIA or isinstance(value, str)
    }
    yield f"{name}.json", json.dumps({"name": name} | rest, ensure_ascii=False).encode()


def _tar(files: list[tuple[str, bytes]]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()
