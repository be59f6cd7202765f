"""What clients see of a book, and what is stored so that they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ancestral.service.api.books.schemas import BookChapter, BookObject
from ancestral.service.books.plan import Plan
from ancestral.service.jobs.state import AppState


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
