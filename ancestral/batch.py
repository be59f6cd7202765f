"""Rows by the thousand: a function of a batch, for Ray Data, Daft, Dask, ``datasets.map`` and ``ancestral batch``.

A row depends on nothing but the model, the batch's seed and its own columns. So an engine may run it again, elsewhere
or twice: the bytes are equal.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, Final, TypeVar

import numpy as np

from ancestral.catalog.catalog import DEFAULT_MODEL
from ancestral.catalog.seeds import digest_seed
from ancestral.errors import AncestralError, InvalidRequest
from ancestral.images.picture import Pictures, sample_together
from ancestral.model import DrawArguments, Model, load
from ancestral.speech.utterance import Utterance
from ancestral.speech.voice import SpeakArguments, Speech

Row = dict[str, Any]
Rows = Iterator[tuple[int, Row]]
"""Rows without a key and without what is null, and their numbers."""
_Batch = TypeVar("_Batch")
KEY: Final = "key"
_TOGETHER: Final = 16
"""Pictures that are sampled together: a multiple of the lanes of every engine."""
_SEED: Final = "seed"
_DRAWN: Final = ("prompt", *DrawArguments.__annotations__)
_SPOKEN: Final = ("text", "voice", *SpeakArguments.__annotations__)


class Mapper:
    """Speaks, draws or scores every row of a batch.

    A batch is a table or record batch of pyarrow, a DataFrame of pandas, or a mapping of names to arrays or lists; the
    result is of the same kind and has its columns, and those of :attr:`results` beside or in place of them. A row that
    cannot be used has the reason in the column ``error``, which names the column, and stops no other row.

    The model is loaded by the first batch: until then a mapper is small, and can be pickled.

    Args:
        model: its id or an alias; or a function that loads it.
        seed: of the batch. That of a row is a digest of it and of the row's ``key``, unless it has a ``seed`` itself.
        score: whether to score what the rows have, a ``recording`` or an ``image``, instead of speaking or drawing.
        keep: columns that are left as they are.
        threads: that sample speech.
        loading: arguments of :func:`ancestral.load`.
    """

    def __init__(
        self,
        model: str | Callable[[], Model] = DEFAULT_MODEL,
        *,
        seed: int = 0,
        score: bool = False,
        keep: Collection[str] = (),
        threads: int = 1,
        **loading: Any,
    ) -> None:
        self._load = partial(load, model, **loading) if isinstance(model, str) else model
        self._seed, self._score, self._keep, self._threads = seed, score, tuple(keep), threads

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the loaded model."""
        return {name: value for name, value in vars(self).items() if name != "model"}

    @cached_property
    def model(self) -> Model:
        """The model, loaded when it is first asked for."""
        return self._load()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that a row may have, besides ``key``: the arguments of ``speak``, ``draw`` or ``score``."""
        able = self.model.capabilities
        if self._score and "image_likelihood" in able:
            return "image", "prompt", "style"
        if "speech" in able:
            return ("recording", "text", "voice") if self._score else _SPOKEN
        self.model.description.require("image_generation")
        return _DRAWN

    @property
    def results(self) -> tuple[str, ...]:
        """The columns that are added."""
        made: dict[str, tuple[str, ...]] = {
            "recording": ("bits", "symbols", "words"),
            "image": ("bits", "symbols"),
            "text": ("seed", "audio", "sha256", "seconds", "words"),
            "prompt": ("seed", "image", "sha256", "shown", "bits"),
        }
        return KEY, *made[self.columns[0]], "error"

    def check(self, names: Collection[str]) -> None:
        """Raise :class:`InvalidRequest` if a column has one of these names that is neither used nor to be kept."""
        for name in names:
            if name not in (KEY, *self.columns, *self._keep):
                known = ", ".join((KEY, *self.columns))
                message = f"{name}: {self.model.id} uses no such column, but {known}; others have to be in keep"
                raise InvalidRequest(message, param=name, code="unknown_column")

    def __call__(self, batch: _Batch) -> _Batch:
        """A batch with its results.

        Raises:
            InvalidRequest: a column is of no use (:meth:`check`), or the model can do nothing for rows.
        """
        if isinstance(batch, Mapping):
            columns = {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in batch.items()}
            made = self._map([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
            return {**batch, **{name: [row[name] for row in made] for name in self.results}}  # type: ignore[return-value]
        import pyarrow as pa

        if not isinstance(batch, pa.Table | pa.RecordBatch):
            frame: Any = batch
            mapped = self(pa.Table.from_pandas(frame, preserve_index=False))
            return mapped.to_pandas(integer_object_nulls=True).set_axis(frame.index)
        self.check(batch.schema.names)
        made = pa.Table.from_pylist(self._map(batch.to_pylist()), schema(self.results))
        table = pa.table(batch).drop_columns([name for name in batch.schema.names if name in self.results])
        for field in made.schema:
            table = table.append_column(field, made[field.name])
        if isinstance(batch, pa.Table):
            return table
        arrays = [column.combine_chunks() for column in table.columns]
        return pa.RecordBatch.from_arrays(arrays, schema=table.schema)

    def _map(self, rows: list[Row]) -> list[Row]:
        return [made for _, made in sorted(self.map_rows(rows))]

    def map_rows(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Row]]:
        """The results of rows, which are taken as they are needed.

        Yields:
            The number of a row and its :attr:`results`, in the order in which they are finished.
        """
        run = {"recording": self._listen, "image": self._look, "text": self._speak, "prompt": self._draw}
        keys: dict[int, str] = {}
        empty = dict.fromkeys(self.results)
        for number, made in run[self.columns[0]](self._prepared(rows, keys)):
            result = {"error": made.message} if isinstance(made, AncestralError) else made
            yield number, empty | {KEY: keys.pop(number)} | result

    def _prepared(self, rows: Iterable[Mapping[str, Any]], keys: dict[int, str]) -> Rows:
        """Rows as the arguments of a call. Their keys are added to ``keys``."""
        for number, row in enumerate(rows):
            self.check(row.keys())
            given = {name: value for name in self.columns if (value := row.get(name)) is not None}
            for name in ("pronunciations", "voices"):
                if isinstance(words := given.get(name), Mapping):  # a struct of Arrow has what other rows have
                    given[name] = {word: said for word, said in words.items() if said is not None}
            key = row.get(KEY)
            keys[number] = _digest(given) if key is None else str(key)
            if _SEED in self.columns:
                given.setdefault(_SEED, digest_seed(self._seed, keys[number]))
            yield number, given

    def _speak(self, rows: Rows) -> Iterator[tuple[int, Row | AncestralError]]:
        refused: list[tuple[int, AncestralError]] = []
        spoken: dict[int, int] = {}

        def utterances() -> Iterator[Utterance]:
            places = itertools.count()
            for number, row in rows:
                try:
                    said = self.model.voice(row.pop("voice", None)).utterance(row.pop("text", None), **row)
                except AncestralError as error:
                    refused.append((number, error))
                else:
                    spoken[next(places)] = number
                    yield said

        for place, speech in self.model.voice().speak_many(utterances(), self._threads):
            yield spoken.pop(place), _heard(speech)
            while refused:
                yield refused.pop()
        yield from refused

    def _draw(self, rows: Rows) -> Iterator[tuple[int, Row | AncestralError]]:
        while group := list(itertools.islice(rows, _TOGETHER)):
            drawn: list[tuple[int, Pictures]] = []
            for number, row in group:
                try:
                    drawn.append((number, self.model.draw_many(**row)))
                except AncestralError as error:
                    yield number, error
            sample_together([pictures for _, pictures in drawn])
            for number, pictures in drawn:
                yield number, _seen(pictures)

    def _listen(self, rows: Rows) -> Iterator[tuple[int, Row | AncestralError]]:
        for number, row in rows:
            try:
                voice = self.model.voice(row.get("voice"))
                found = voice.score(_content(row, "recording"), row.get("text", ""))
            except AncestralError as error:
                yield number, error
                continue
            words = [
                {"text": word["word"], "bits": word["bits"]}
                | {edge: word[edge] / voice.sample_rate for edge in ("start", "end")}
                for word in found["words"]
            ]
            yield number, {"bits": found["nats"] / math.log(2.0), "symbols": found["samples"], "words": words}

    def _look(self, rows: Rows) -> Iterator[tuple[int, Row | AncestralError]]:
        for number, row in rows:
            try:
                found = self.model.score(_content(row, "image"), row.get("prompt", "any"), row.get("style"))
            except AncestralError as error:
                yield number, error
            else:
                yield number, {"bits": found["nats"] / math.log(2.0), "symbols": found["dims"]}


def schema(names: Collection[str]) -> Any:
    """The types of result columns for pyarrow; a name that is none of them is a text."""
    import pyarrow as pa

    word = [("text", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("bits", pa.float64())]
    types = {
        "seed": pa.int64(), "symbols": pa.int64(), "seconds": pa.float64(), "bits": pa.float64(),
        "audio": pa.binary(), "image": pa.binary(), "words": pa.list_(pa.struct(word)),
    }  # fmt: skip
    return pa.schema([(name, types.get(name, pa.string())) for name in names])


def _heard(speech: Speech) -> Row:
    words = [{"text": word.text, "start": word.start, "end": word.end, "bits": None} for word in speech.words]
    flac = speech.encode("flac")
    return {
        "seed": speech.seed, "audio": flac, "sha256": hashlib.sha256(flac).hexdigest(), "seconds": speech.duration,
        "words": words,
    }  # fmt: skip


def _seen(pictures: Pictures) -> Row:
    picture, png = pictures[0], pictures.file(0, "png")
    digest = hashlib.sha256(png).hexdigest()
    return {"seed": picture.seed, "image": png, "sha256": digest, "shown": picture.prompt, "bits": picture.bits}


def _digest(row: Row) -> str:
    """The key of a row that has none: of all that it says."""
    return hashlib.sha256(json.dumps(row, sort_keys=True, default=repr).encode()).hexdigest()[:32]


def _content(row: Row, name: str) -> bytes:
    """A file: its bytes, or what is at its address.

    Raises:
        InvalidRequest: it is neither, or there is nothing.
    """
    value = row.get(name)
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise InvalidRequest(f"{name}: must be the bytes of a file, or its address", param=name, code="invalid_type")
    import fsspec

    try:
        with fsspec.open(value, "rb") as file:
            return bytes(file.read())
    except Exception as error:  # each file system has its own, aiohttp's and botocore's among them
        reason = str(error) or type(error).__name__
        raise InvalidRequest(f"{name}: {value}: {reason}", param=name, code="unreadable") from error
