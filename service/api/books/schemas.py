"""Books as clients send and see them."""

from __future__ import annotations

from typing import Literal

from fastapi import UploadFile
from pydantic import ConfigDict, Field, JsonValue

from ancestral import requests
from ancestral.models.entries import SPEEDS
from ancestral.service.jobs.schemas import Identified, JobError, ListPage

BOOK_ID = requests.pattern(r"^book_[0-9a-f]{24}$", "the id of a book: book_ and 24 hexadecimal digits")
BOOK_EXAMPLE = "book_0123456789abcdef01234567"
BOOK: dict[str, JsonValue] = {
    "id": BOOK_EXAMPLE,
    "object": "book",
    "status": "in_progress",
    "progress": 0.25,
    "chapters": [
        {"title": "One", "characters": 5000, "progress": 0.5, "start": None},
        {"title": "Two", "characters": 5000, "progress": 0.0, "start": None},
    ],
    "title": "Novel",
    "author": "N. N.",
    "format": "m4b",
    "split": False,
    "model": "wavenet-multilingual",
    "voice": "heart",
    "seed": 0,
    "speed": 1.0,
    "filename": "novel.epub",
    "notes": [],
    "bytes": None,
    "error": None,
    "created_at": 1700000000,
    "completed_at": None,
    "expires_at": 1700086400,
}
BookFormat = Literal["m4b", "mp3", "flac", "opus", "wav", "epub"]


class BookFields(requests.StrictRequest):
    """Names and words in the JSON of a form's fields."""

    voices: requests.Voices = Field(default={})
    pronunciations: requests.Pronunciation = Field(default={}, max_length=requests.MAX_PRONUNCIATIONS)


class BookForm(requests.Described):
    """The fields of the form."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"file": "novel.epub", "voice": "heart"}]}
    )

    file: UploadFile
    """An EPUB, or a text in UTF-8, plain or Markdown."""
    format: BookFormat = "m4b"
    """Of the result. `epub` needs an EPUB 3, and shows each word while it is said."""
    split: bool = False
    """A ZIP archive with a file, and its captions, for each chapter."""
    model: str | None = Field(default=None, min_length=1, max_length=256)
    """By default the first one that has the voice."""
    voice: str | None = Field(default=None, min_length=1, max_length=256)
    """A voice or a mix; by default the model's first one that speaks the book's language."""
    voices: str | None = Field(default=None, max_length=65536)
    """Names of the text for voices, as JSON: `{"ANNA": "emma"}`."""
    pronunciations: str | None = Field(default=None, max_length=262144)
    """Words that are read otherwise, and their phonemes, as JSON."""
    seed: requests.RequestSeed = 0
    """Another seed gives another reading; the same one the same bytes."""
    speed: float = Field(default=1.0, ge=SPEEDS[0], le=SPEEDS[1], allow_inf_nan=False)
    """2 speaks twice as fast."""
    title: str | None = Field(default=None, min_length=1, max_length=256)
    """By default the book's own, or the name of the file."""
    author: str | None = Field(default=None, min_length=1, max_length=256)
    """By default the book's own."""


class BookChapter(requests.Described):
    """A chapter, and how much of it is spoken."""

    title: str
    characters: int
    progress: float
    start: float | None = None
    """Where it begins in the finished sound, in seconds."""


class BookObject(Identified):
    """A book that is read. Times are seconds since 1970."""

    model_config = ConfigDict(json_schema_extra={"examples": [BOOK]})

    object: Literal["book"] = "book"
    status: Literal["in_progress", "completed", "failed"]
    progress: float
    """0 to 1; 1 only when completed."""
    chapters: list[BookChapter]
    title: str
    author: str | None
    format: BookFormat
    split: bool
    model: str
    voice: str
    seed: requests.Seed
    speed: float
    filename: str
    """Of the upload."""
    notes: list[str]
    """What is not read."""
    bytes: int | None = None
    """Of the finished file."""
    error: JobError | None = None
    created_at: int
    completed_at: int | None = None
    expires_at: int
    """Until then a book has to be finished; a finished one is kept until then."""


class BookEvent(requests.Described):
    """A server-sent event of ``GET /v1/books/{id}/events``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"type": "book.in_progress", "book": BOOK}]})

    type: Literal["book.in_progress", "book.completed", "book.failed"]
    book: BookObject


class BookList(ListPage[BookObject]):
    """Books, newest first."""


class DeletedBook(requests.Described):
    """A book that was deleted."""

    id: str
    object: Literal["book"] = "book"
    deleted: Literal[True] = True
