"""Carries out batches: the lines of their files become jobs, and files of answers."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from ancestral.errors import AncestralError
from ancestral.service.api.background import carry_out_parts, submit_part
from ancestral.service.api.batches.lines import Answer, Line, answer_of, job_of, read_lines
from ancestral.service.broker.batches import RESULTS, Result
from ancestral.service.broker.connection import UNAVAILABLE
from ancestral.service.broker.job import Job
from ancestral.service.errors import NotReady, Overloaded, PayloadTooLarge, ServiceError, envelope, status_of
from ancestral.service.jobs.state import AppState

MAX_OUTPUT_BYTES: Final = 64 << 20
"""Most bytes of all answers of a batch together."""

log = logging.getLogger(__name__)


class BatchWork:
    """The batches that one API process drives (:class:`ancestral.service.api.background.Work`)."""

    def __init__(self, state: AppState) -> None:
        self._state, self._store = state, state.broker.batches

    async def carry_out(self, batch: Mapping[str, Any], jobs: dict[int, Job]) -> Mapping[str, Any]:
        """Carry out the lines that have no result yet; ``jobs`` has those of lines in progress."""
        name = batch["id"]
        lines, _ = read_lines(await self._store.data("batch", name), batch["endpoint"])
        done = await self._store.finished_lines(name)
        size = await self._store.size(name, "output")

        async def attempt(number: int, line: Line) -> None:
            nonlocal size
            answered = await self._attempt(batch, number, line, jobs, MAX_OUTPUT_BYTES - size)
            size += answered  # in a statement of its own: other lines were answered meanwhile

        await carry_out_parts([item for item in enumerate(lines) if item[0] not in done], attempt)
        return {}

    async def _attempt(self, batch: Mapping[str, Any], number: int, line: Line, jobs: dict[int, Job], room: int) -> int:
        """Carry out a line; returns the bytes of its answer, for which there is so much ``room``."""
        result: Result = "output"
        status, whole = 200, False
        try:
            if room <= 0:
                raise PayloadTooLarge(f"The answers of a batch have {MAX_OUTPUT_BYTES} bytes at most.")
            answer = await self._answer(batch, number, line, jobs)
            body, whole = answer.body, answer.whole
        except (Overloaded, NotReady, *UNAVAILABLE):
            raise
        except AncestralError as error:
            result, status, body = "error", status_of(error), envelope(error)
        except Exception:
            log.exception("a line of a batch failed", extra={"batch": batch["id"]})
            failure = ServiceError("Internal server error.", code="internal_error")
            result, status, body = "error", failure.status, envelope(failure)
        request_id = f"{batch['id']}-{number}"
        response = {"status_code": status, "request_id": request_id, "body": body}
        size = await self._store_line(batch, number, line, result, {"response": response, "error": None})
        job = jobs.pop(number, None)
        if whole and job is not None:  # the line has the output
            await self._state.broker.delete(job)
        return size if result == "output" else 0

    async def _answer(self, batch: Mapping[str, Any], number: int, line: Line, jobs: dict[int, Job]) -> Answer:
        request, spec = await job_of(self._state, batch["endpoint"], line.body)
        job = await submit_part(self._state, batch, number, spec, jobs)
        return await answer_of(self._state, request, spec, job, batch["base_url"])

    async def _store_line(
        self, batch: Mapping[str, Any], number: int, line: Line, result: Result, rest: Mapping[str, Any]
    ) -> int:
        """Store the result of a line; returns its bytes."""
        found = {"id": f"batch_req_{batch['id'].removeprefix('batch_')}_{number}", "custom_id": line.custom_id, **rest}
        data = json.dumps(found).encode()
        await self._store.put_line(batch["id"], result, number, data)
        return len(data)

    async def end(self, batch: dict[str, Any], status: str, _found: Mapping[str, Any]) -> None:
        """Make files of the results, and end the batch."""
        name, now = batch["id"], int(time.time())
        if status == "expired":
            lines, _ = read_lines(await self._store.data("batch", name), batch["endpoint"])
            done = await self._store.finished_lines(name)
            error = {"code": "batch_expired", "message": "The line had not ended within the completion window."}
            for number, line in enumerate(lines):
                if number not in done:
                    await self._store_line(batch, number, line, "error", {"response": None, "error": error})
        ended: dict[str, Any] = {"status": status, f"{status}_at": now, "cancelling_at": None}
        if status == "cancelled":
            ended["cancelling_at"] = await self._store.cancelling(name)
        for result in RESULTS:
            if not await self._store.line_numbers(name, result):
                continue
            file = ended[f"{result}_file_id"] = batch[f"{result}_id"]
            await self._store.put("file", {
                "id": file, "owner": batch["owner"], "created_at": now, "purpose": "batch_output",
                "filename": f"{name}_{result}.jsonl", "bytes": await self._store.size(name, result),
                "lines": [name, result],
            })  # fmt: skip
        await self._store.put("batch", batch | ended)

    async def tidy(self, batch: Mapping[str, Any]) -> None:
        """Nothing: the results of the lines are the contents of its files."""
