"""The first sound and the end of a cancelled call through ``ancestral mcp``, by the SDK's own client (Linux).

python -m bench.mcp [--server]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

from bench.listeners import serving

TEXT = "The birch canoe slid on the smooth planks."
LONG = " ".join([TEXT] * 90)
CALLS, STOPS = 20, 10
_LOOK, _IDLE_NS = 0.01, 2_000_000
"""Seconds between two looks, and the processor time in between, of all processes, that is no sampling."""


def processes(pid: int) -> list[int]:
    """The descendants of a process."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return children + [found for child in children for found in processes(child)]


def processor_time(pids: list[int]) -> int:
    """Of all threads of these processes, in nanoseconds."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total


async def say(client: Client, text: str, seed: int) -> tuple[float | None, float]:
    """Seconds until the first sound is sampled, if that is told, and until the whole of it is here."""
    start, first = time.perf_counter(), list[float]()

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        first.append(time.perf_counter() - start)

    result = await client.call_tool("say", {"text": text, "voice": "joe", "seed": seed}, progress_callback=progress)
    assert not result.is_error, result
    return (first[0] if first else None), time.perf_counter() - start


async def stop(client: Client, pids: list[int], told: bool) -> float:
    """Seconds from the cancellation of a call until nothing is sampled any more."""
    began = anyio.Event()

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        began.set()

    async with anyio.create_task_group() as group:
        group.start_soon(partial(client.call_tool, "say", {"text": LONG, "voice": "joe"}, progress_callback=progress))
        if told:
            await began.wait()
        else:
            await anyio.sleep(0.7)
        start = time.perf_counter()
        group.cancel_scope.cancel()
    while True:
        began_look, before = time.perf_counter(), processor_time(pids)
        await anyio.sleep(_LOOK)
        if processor_time(pids) - before < _IDLE_NS:
            return began_look - start


def show(name: str, seconds: list[float]) -> None:
    """Print the median, and the 95th percentile."""
    high = sorted(seconds)[int(0.95 * len(seconds))]
    print(f"{name}: {1000 * statistics.median(seconds):.0f} ms, 95th percentile {1000 * high:.0f}, of {len(seconds)}")


async def measure(url: str | None) -> None:
    """Start ``ancestral mcp`` and measure."""
    line = ["mcp", *([] if url is None else ["--url", url])]
    command = str(Path(sys.executable).with_name("ancestral"))
    async with Client(StdioServerParameters(command=command, args=line, env=dict(os.environ))) as client:
        await say(client, TEXT, 0)
        sentences = [await say(client, TEXT, seed) for seed in range(CALLS)]
        words = [await say(client, "Yes.", seed) for seed in range(CALLS)]
        firsts = [first for first, _ in sentences if first is not None]
        if firsts:
            show("first sound sampled", firsts)
        show(f"all of {TEXT!r}", [whole for _, whole in sentences])
        show("all of 'Yes.'", [whole for _, whole in words])
        pids = processes(os.getpid())
        show("stop", [await stop(client, pids, bool(firsts)) for _ in range(STOPS)])


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="store_true", help="have a server sample, which is started for that")
    with ExitStack() as stack:
        port = stack.enter_context(serving()) if parser.parse_args().server else None
        anyio.run(measure, None if port is None else f"http://127.0.0.1:{port}")


if __name__ == "__main__":
    main()
