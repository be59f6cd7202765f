"""Who makes the parts: a process for each core of this machine, or actors of Ray."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Final

from ancestral.service.cli.rows.parts import Batch, PartWriter
from ancestral.service.cli.rows.source import BatchError

_DEATHS: Final = 10
"""Deaths of workers after which the batch is given up."""
_WANTED, _ROW, _WRITTEN, _ENDED, _FAILED = "wanted", "row", "written", "ended", "failed"


def run_here(batch: Batch, parts: list[int], workers: int) -> Iterator[tuple[int, int]]:
    """Make parts with so many processes. A process that dies is replaced, and its parts are begun again.

    Yields:
        How many more rows are finished (fewer, if a process died), and how many rows that were written have an error.

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
                yield -sum(mine.values()), 0
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
                    yield 1, 0
                case "written":
                    del mine[part]
                    yield 0, errors


def run_on_ray(batch: Batch, parts: list[int]) -> Iterator[tuple[int, int]]:
    """Make parts with one actor for each processor of the cluster at ``RAY_ADDRESS``, or of this machine.

    Ray begins the parts of an actor that dies again. Yields and raises as :func:`run_here`.
    """
    try:
        import ray
        from ray.util import ActorPool
    except ModuleNotFoundError as error:
        raise BatchError("--engine ray needs Ray, which is not installed: .venv/bin/pip install -e '.[ray]'") from error
    ray.init(log_to_driver=False)
    processors = int(ray.cluster_resources().get("CPU", 1))
    actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(PartWriter)
    pool = ActorPool([actor.remote(batch) for _ in range(min(processors, len(parts)))])
    yield from pool.map_unordered(lambda writer, part: writer.write.remote(part), parts)


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
            connection.send(("wanted", 0, 0))
            part = connection.recv()
            if part is None:
                return
            yield part

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            for part in PartWriter(batch).run(parts(), lambda part, errors: connection.send(("written", part, errors))):
                connection.send(("row", part, 0))
            connection.send(("ended", 0, 0))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception:  # noqa: BLE001 - raised by the parent
            connection.send(("failed", traceback.format_exc(), 0))
