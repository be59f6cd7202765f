"""What ``ancestral batch`` does: the rows of a file in parts, each a file under a temporary name until it is whole, and
the processes that make them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import re
import signal
import tarfile
import traceback
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from multiprocessing.connection import Connection, wait
from typing import Any, Final

import fsspec

from ancestral.batch import KEY, Mapper, Row, schema
from ancestral.catalog.catalog import CatalogConfig
from ancestral.errors import AncestralError
from ancestral.extras import needed
from ancestral.model import Model, load_from
from ancestral.requests import parse_json

_TEXTS = ("key", "text", "voice", "input_format", "language", "prompt", "style", "background", "recording", "image")


class BatchError(Exception):
    """A batch that cannot be run; the message names the place."""


class Source:
    """Rows by their number. Lines are kept in memory, groups of Parquet one at a time.

    Args:
        address: of a ``.jsonl``, ``.csv`` or ``.parquet`` file.
        parsed: columns whose values in CSV are read as JSON, where they are any; others are text.

    Raises:
        BatchError: its name ends in something else, or it cannot be read.
    """

    def __init__(self, address: str, parsed: Collection[str] = ()) -> None:
        suffix = address.rpartition(".")[2].lower()
        readers = {"jsonl": self._json_lines, "csv": self._csv_lines, "parquet": self._parquet}
        if suffix not in readers:
            raise BatchError(f"{address}: the name must end in .{', .'.join(readers)}")
        self.address, self._parsed = address, parsed
        self._read: Callable[[int, int], Iterator[dict[str, Any]]] = readers[suffix]

    def __len__(self) -> int:
        return self._file.metadata.num_rows if self._read == self._parquet else len(self._lines)

    def rows(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Rows ``start`` to ``stop - 1``."""
        return self._read(start, min(stop, len(self)))

    def sha256(self) -> str:
        """Hash of the file."""
        with fsspec.open(self.address, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def check(self, check: Callable[[Collection[str]], None]) -> list[str]:
        """The columns that occur, after ``check`` has seen those of every row.

        Raises:
            BatchError: a line is no row, or ``check`` refuses its columns.
        """
        found, rows = dict[str, Any](), self.rows(0, len(self))
        if self._read == self._parquet:
            rows = iter([dict.fromkeys(self._different(self._file.schema_arrow.names))])
        try:
            for row in rows:
                check(row.keys())
                found |= dict.fromkeys(row)
        except AncestralError as error:
            raise BatchError(f"{self.address}: {error}") from error
        return list(found)

    def _different(self, names: list[str]) -> list[str]:
        """The names of columns; raises BatchError if two are the same."""
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise BatchError(f"{self.address}: two of its columns are named {twice}")
        return names

    def _open(self) -> Any:
        try:
            return fsspec.open(self.address, "rb").open()
        except FileNotFoundError as error:
            raise BatchError(f"{self.address}: there is no such file") from error
        except Exception as error:  # each file system has its own
            raise BatchError(f"{self.address}: {getattr(error, 'strerror', None) or error}") from error

    @cached_property
    def _data(self) -> str:
        try:
            with self._open() as file:
                return str(file.read(), "utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise BatchError(f"{self.address}: not UTF-8 at byte {error.start}") from error

    @cached_property
    def _lines(self) -> list[Any]:
        if self._read == self._csv_lines:
            return self._table[1:]
        return [line for line in self._data.split("\n") if line.strip()]

    def _json_lines(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        for number in range(start, stop):
            try:
                row = parse_json(self._lines[number], "it")
                json.dumps(row, ensure_ascii=False).encode()  # no half of a surrogate pair
            except (AncestralError, ValueError) as error:
                raise BatchError(f"{self.address}: row {number + 1}: {error}") from error
            if not isinstance(row, dict):
                raise BatchError(f"{self.address}: row {number + 1} is not a JSON object")
            yield row

    @cached_property
    def _table(self) -> list[list[str]]:
        try:
            table = [row for row in csv.reader(io.StringIO(self._data, newline=""), strict=True) if row]
        except csv.Error as error:
            raise BatchError(f"{self.address}: {error}") from error
        self._different(table[0] if table else [])
        return table

    def _csv_lines(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        for number in range(start, stop):
            header, values = self._table[0], self._lines[number]
            if len(values) != len(header):
                found = f"{len(values)} values, and the header {len(header)} names"
                raise BatchError(f"{self.address}: row {number + 1} has {found}")
            yield {
                name: _typed(value) if name in self._parsed else value or None
                for name, value in zip(header, values, strict=True)
            }

    @cached_property
    def _file(self) -> Any:
        from pyarrow import ArrowInvalid, parquet

        try:
            return parquet.ParquetFile(self._open())
        except ArrowInvalid as error:
            raise BatchError(f"{self.address}: {error}") from error

    def _parquet(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        end = 0
        for group in range(self._file.num_row_groups):
            begin, end = end, end + self._file.metadata.row_group(group).num_rows
            if begin < stop and start < end:
                first = max(start - begin, 0)
                yield from self._group(group).slice(first, min(stop, end) - begin - first).to_pylist()

    @cached_property
    def _group(self) -> Callable[[int], Any]:
        return lru_cache(1)(self._file.read_row_group)


def _typed(value: str) -> Any:
    """A value of CSV, as JSON if it is any; None if it is empty."""
    if not value:
        return None
    try:
        return json.loads(value)
    except ValueError:
        return value


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
    """The argument of :func:`ancestral.load`."""
    seed: int
    score: bool
    keep: tuple[str, ...]
    copied: tuple[str, ...] = ()
    """Columns of the rows that the output has as text."""
    parsed: tuple[str, ...] = ()
    """Columns whose values are no texts."""
    count: int = 0
    sampled_by: str = ""
    """The name of the engine, which is empty until a model is loaded."""

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
        model = load_from(self.config, self.model, self.engine)
        if self.sampled_by not in ("", model.engine):
            raise BatchError(
                f"begun with the engine {self.sampled_by}, and this machine has {model.engine}: set the engine"
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
    kept = {*columns} - ({*mapper.results} - {KEY, *mapper.columns})
    if lost := [name for name in batch.keep if name not in kept]:
        raise BatchError(f"--keep {lost[0]}: the rows have no such column, or a result has its place")
    copied = tuple(name for name in columns if name not in mapper.results)
    parsed = tuple(name for name in mapper.columns if name not in _TEXTS)
    batch = replace(batch, sampled_by=mapper.model.engine, copied=copied, parsed=parsed, count=len(source))
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

    given: list[Row]
    made: dict[int, Row] = field(default_factory=dict)


class PartWriter:
    """Makes parts in this process: what a worker of a pool, and an actor of Ray, does.

    Args:
        batch: that they are of.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch, self._source, self._output = batch, Source(batch.source, batch.parsed), Output(batch)
        self._mapper = batch.mapper()

    def write(self, part: int) -> tuple[int, list[str]]:
        """Make one part; returns its rows, and their errors."""
        errors: list[str] = []
        rows = sum(1 for _ in self.run([part], lambda _, wrong: errors.extend(wrong)))
        return rows, errors

    def run(self, parts: Iterable[int], written: Callable[[int, list[str]], None]) -> Iterator[int]:
        """Make parts, which are taken as they are needed: the next begins before the last row of one is finished.

        Args:
            parts: their numbers.
            written: called with the number of a part that is written, and the errors of its rows, with their numbers.

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
                numbered = enumerate(ordered, part * self._batch.part_rows + 1)
                written(part, [f"row {n}: {row['error']}" for n, row in numbered if row["error"] is not None])
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


_DEATHS: Final = 10
"""Deaths of workers after which the batch is given up."""


def run_here(batch: Batch, parts: list[int], workers: int) -> Iterator[tuple[int, list[str]]]:
    """Make parts with so many processes. A process that dies is replaced, and its parts are begun again.

    Yields:
        How many more rows are finished (fewer, if a process died), and the errors of rows that were written.

    Raises:
        BatchError: a worker failed, or too many died.
    """
    waiting, deaths = parts[::-1], 0
    begun: dict[Connection, dict[int, int]] = {_start(batch): {} for _ in range(min(workers, len(parts)))}
    while begun:
        for connection in wait(list(begun)):
            assert isinstance(connection, Connection)
            mine = begun[connection]
            try:
                what, part, errors = connection.recv()
            except (EOFError, ConnectionResetError):
                deaths += 1
                if deaths == _DEATHS:
                    raise BatchError(f"{deaths} processes died; is there enough memory for them?") from None
                yield -sum(mine.values()), []
                waiting += mine
                del begun[connection]
                begun[_start(batch)] = {}
                continue
            match what:
                case "failed":
                    raise BatchError(part)
                case "ended":
                    del begun[connection]
                case "wanted":
                    taken = waiting.pop() if waiting else None
                    if taken is not None:
                        mine[taken] = 0
                    with suppress(BrokenPipeError):  # it died; what it had is given to another one
                        connection.send(taken)
                case "row":
                    if part in mine:
                        mine[part] += 1
                    yield 1, []
                case "written":
                    del mine[part]
                    yield 0, errors


def run_on_ray(batch: Batch, parts: list[int]) -> Iterator[tuple[int, list[str]]]:
    """Make parts with one actor for each processor of the cluster at ``RAY_ADDRESS``, or of this machine.

    Ray begins the parts of an actor that dies again. Yields and raises as :func:`run_here`.
    """
    try:
        import ray
        from ray.util import ActorPool
    except ModuleNotFoundError as error:
        raise BatchError(f"--engine ray {needed(error)}") from error
    ray.init(log_to_driver=False)
    processors = int(ray.cluster_resources().get("CPU", 1))
    actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=_DEATHS)(PartWriter)
    pool = ActorPool([actor.remote(batch) for _ in range(min(processors, len(parts)))])
    try:
        yield from pool.map_unordered(lambda writer, part: writer.write.remote(part), parts)
    except ray.exceptions.RayActorError as error:
        raise BatchError(f"{_DEATHS} processes died on one part; is there enough memory for them?") from error


def _start(batch: Batch) -> Connection:
    """Start a worker; returns this end of its connection, which ends with it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=_work, args=(batch, theirs), daemon=True).start()
    theirs.close()
    return ours


def _work(batch: Batch, connection: Connection) -> None:
    """A worker: asks for parts and says what it has done, until there are no more, or nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's end ends it

    def parts() -> Iterator[int]:
        while True:
            connection.send(("wanted", 0, []))
            part = connection.recv()
            if part is None:
                return
            yield part

    with suppress(BrokenPipeError, ConnectionResetError):  # nobody listens
        try:
            for part in PartWriter(batch).run(parts(), lambda part, errors: connection.send(("written", part, errors))):
                connection.send(("row", part, []))
            connection.send(("ended", 0, []))
        except Exception:  # noqa: BLE001 - raised by the parent
            connection.send(("failed", traceback.format_exc(), []))
