"""Reads books: each different part is a batch job, whose sound and times are kept until all are there; then they become
the file, as ``ancestral read`` makes it. And what clients see of a book meanwhile.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Final, get_args

from ancestral.errors import AncestralError
from ancestral.requests import SpeechRequest
from ancestral.service.api.background import carry_out_parts, delete_parts, submit_part
from ancestral.service.api.books.schemas import BookChapter, BookObject
from ancestral.service.books.output import BookFile, chapter_marks, cover_of, tags_of, write_captions
from ancestral.service.books.parts import BookError, Part, PartsFolder
from ancestral.service.books.reading import Plan, plan_book
from ancestral.service.broker.batches import PIECE_BYTES, BatchStore
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import LIFE_SECONDS, Job
from ancestral.service.jobs.job_reader import check_end, job_end
from ancestral.service.jobs.planning import speech_job_in_thread
from ancestral.service.jobs.state import AppState
from ancestral.service.speech.timestamps import CaptionFormat, Timeline


def extent_of(plan: Plan) -> dict[str, Any]:
    """The titles of the chapters that are spoken, and of each request its chapter and its characters."""
    numbers = list(dict.fromkeys(part.chapter for part in plan.parts))
    return {
        "chapters": [plan.book.chapters[number].title for number in numbers],
        "requests": [[numbers.index(part.chapter), len(part.text) - len(part.lead)] for part in plan.requests],
    }


async def describe_book(service: AppState, book: Mapping[str, Any]) -> BookObject:
    """The progress of a book."""
    status, total, spoken = book["status"], [0] * len(book["chapters"]), [0] * len(book["chapters"])
    done = await service.broker.batches.finished_lines(book["id"]) if status == "in_progress" else set()
    for number, (chapter, characters) in enumerate(book["requests"]):
        total[chapter] += characters
        spoken[chapter] += characters if number in done or status == "completed" else 0
    starts = book.get("starts", [None] * len(total))
    chapters = [
        BookChapter(
            title=title or book["title"], characters=all_of, progress=round(part / all_of, 4) if all_of else 1.0,
            start=start,
        )
        for title, all_of, part, start in zip(book["chapters"], total, spoken, starts, strict=True)
    ]  # fmt: skip
    fields = {name: book[name] for name in BookObject.model_fields.keys() & book.keys()}
    wanted = book["wanted"]
    fields |= {
        "chapters": chapters, "progress": 1.0 if status == "completed" else min(0.999, sum(spoken) / sum(total)),
        "format": wanted["form"], **{name: wanted[name] for name in ("split", "model", "voice", "seed", "speed")},
    }  # fmt: skip
    return BookObject.model_validate(fields)


CAPTIONS: Final = get_args(CaptionFormat)
_FOLDER: Final = "ancestral-book-"

log = logging.getLogger(__name__)


@contextmanager
def book_folder() -> Iterator[Path]:
    """A temporary directory. Its lock tells it from what killed processes have left."""
    with TemporaryDirectory(prefix=_FOLDER) as name:
        descriptor = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(descriptor)


def remove_left_folders() -> None:
    """Delete the directories that killed processes have left, with the texts of books in them."""
    for path in Path(gettempdir()).glob(f"{_FOLDER}*"):
        with suppress(OSError):  # another user's, or one that is in use
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(descriptor)


async def planned(state: AppState, path: Path, wanted: Mapping[str, Any]) -> Plan:
    """What a book's file is to become; raises as :func:`plan_book`. Books take turns, as long texts do.

    Args:
        state: of the process.
        path: of the file.
        wanted: as of :func:`plan_book`.
    """
    async with state.long_texts:
        return await asyncio.to_thread(plan_book, state.catalog, path, wanted, state.settings.max_book_characters)


class BookWork:
    """The books that one API process drives (:class:`ancestral.service.api.background.Work`)."""

    def __init__(self, state: AppState) -> None:
        self._state, self._store = state, state.broker.batches

    async def carry_out(self, book: Mapping[str, Any], jobs: dict[int, Job]) -> Mapping[str, Any]:
        """Speak what is missing, and make the file. ``jobs`` has those of parts in progress."""
        try:
            with book_folder() as folder:
                source = folder / "source"
                await asyncio.to_thread(source.write_bytes, await self._store.data("book", book["id"]))
                plan = await planned(self._state, source, book["wanted"])
                if plan.model.sha256 != book["made_from"]["model_sha256"]:
                    raise BookError("the model was replaced meanwhile")
                await self._speak(book, plan, jobs)
                return await self._write(book, plan, source)
        except UNAVAILABLE:
            raise
        except (AncestralError, BookError) as error:
            return _failed(str(error), getattr(error, "code", None) or "book_failed")
        except Exception:
            log.exception("a book failed", extra={"batch": book["id"]})
            return _failed("Internal server error.", "internal_error")

    async def end(self, book: dict[str, Any], status: str, found: Mapping[str, Any]) -> None:
        """Store the end of the book, if it was not deleted meanwhile."""
        if await self._store.cancelling(book["id"]) is not None:
            return
        now = int(time.time())
        if status == "expired":
            found = _failed("The book had not been read within a day.", "book_expired")
        ended = {**book, "status": "completed", **found, "completed_at": now, "expires_at": now + LIFE_SECONDS}
        await self._store.update("book", ended)

    async def tidy(self, book: Mapping[str, Any]) -> None:
        """Delete the text and the parts; all of it if the book was deleted meanwhile."""
        await self._store.forget_data("book", book["id"])
        await self._store.delete_lines(book["id"], "output")
        if await self._store.cancelling(book["id"]) is not None:
            await _forget(self._store, book)

    # Speaking

    async def _speak(self, book: Mapping[str, Any], plan: Plan, jobs: dict[int, Job]) -> None:
        done = await self._store.finished_lines(book["id"])
        missing = [item for item in enumerate(plan.requests) if item[0] not in done]
        await carry_out_parts(missing, partial(self._part, book, plan, jobs))

    async def _part(self, book: Mapping[str, Any], plan: Plan, jobs: dict[int, Job], number: int, part: Part) -> None:
        request = SpeechRequest(
            model=plan.model.entry.id, voice=plan.voice.id, voices=book["wanted"]["voices"], input=part.text,
            language=part.language, pronunciations=dict(part.pronunciations), seed=part.seed,
            speed=book["wanted"]["speed"], response_format="flac",
        )  # fmt: skip
        spec = await speech_job_in_thread(self._state, request)
        job = await submit_part(self._state, book, number, spec, jobs)
        ended = await job_end(self._state.broker, job)
        check_end(ended.status, ended.error)
        (flac,) = await self._state.artifacts.files(ended)
        rates = plan.model.spec.sample_rate, plan.model.sound_rate
        timeline = Timeline(self._state.broker, ended, spec.plan_of(ended), *rates)
        words = [
            (word.text_start, word.text_end, word.start, word.end)
            for sentence in await timeline.known()
            for word in sentence.written_words
        ]
        head = json.dumps({"engine": ended.engine, "words": words}).encode()
        await self._store.put_line(book["id"], "output", number, head + b"\n" + flac)
        await self._state.broker.delete(job)
        del jobs[number]

    # The file

    async def _write(self, book: Mapping[str, Any], plan: Plan, source: Path) -> Mapping[str, Any]:
        """Make the file of the finished parts, and store it."""
        folder = PartsFolder(source.with_name("parts"), plan.model.sound_rate)
        engines = set[str]()
        for number, part in enumerate(plan.requests):
            line = await self._store.line(book["id"], "output", number)
            if line is None:
                raise BookError("its sound has expired")
            head, _, flac = line.partition(b"\n")
            said = json.loads(head)
            engines.add(said["engine"])
            await asyncio.to_thread(folder.store, part, flac, said["words"])
        if len(engines) > 1:
            raise BookError(f"workers have different engines, whose sound is never mixed: {', '.join(sorted(engines))}")
        form, split = book["wanted"]["form"], book["wanted"]["split"]
        output = source.with_name("made") / f"chapter.{form}"
        output.parent.mkdir()
        tags = tags_of(book["title"], book["author"], plan.made_from, book["wanted"]["seed"])
        chapters = await asyncio.to_thread(chapter_marks, plan.book, plan.parts, folder, book["title"])
        cover = await asyncio.to_thread(cover_of, plan.book, form)
        file = BookFile(source, form, tags, folder, cover, self._state.signer)
        if split:
            await asyncio.to_thread(file.write_chapters, output, plan.parts, chapters, CAPTIONS)
            output = await asyncio.to_thread(_archive, output.parent)
        else:
            await asyncio.to_thread(file.write, output, plan.parts, chapters)
        if form != "epub":  # which has no one sound
            await asyncio.to_thread(write_captions, output, plan.parts, folder, CAPTIONS)
        starts = [chapter.start / folder.sample_rate for chapter in chapters]
        return {"starts": starts} | await self._store_files(book["id"], output)

    async def _store_files(self, name: str, path: Path) -> dict[str, Any]:
        """Store a file, and what is beside it, one behind the other; returns where each begins and ends."""
        digest, at, places = hashlib.sha256(), 0, dict[str, tuple[int, int]]()
        for suffix in (path.suffix, ".c2pa", *(f".{form}" for form in CAPTIONS)):
            start = at
            if (part := path.with_suffix(suffix)).exists():
                with part.open("rb") as file:
                    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                        await self._store.put_content(name, at, piece)
                        if part == path:
                            digest.update(piece)
                        at += len(piece)
                places["file" if part == path else suffix[1:]] = start, at
        return {"places": places, "bytes": places["file"][1], "sha256": digest.hexdigest()}


def _archive(folder: Path) -> Path:
    """A ZIP archive of the files in a folder, beside it; the same files always give the same bytes."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.iterdir()):
            info = zipfile.ZipInfo(file.name, date_time=(1980, 1, 1, 0, 0, 0))
            with file.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target)
    return path


def _failed(message: str, code: str) -> dict[str, Any]:
    return {"status": "failed", "error": {"message": message, "code": code, "param": None}}


async def delete_book(state: AppState, book: Mapping[str, Any]) -> None:
    """Delete a book, the jobs of its parts, its sound, and its file."""
    await delete_parts(state, book)
    await _forget(state.broker.batches, book)


async def _forget(store: BatchStore, book: Mapping[str, Any]) -> None:
    """The book itself last: whoever is killed before is followed by another process, or asked again."""
    await store.delete_lines(book["id"], "output")
    await store.delete_content(book["id"])
    await store.delete("book", book)
