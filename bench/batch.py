"""The throughput of ``ancestral batch`` as a share of the kernel's own: ``python -m bench.batch [ROWS]``.

The kernel samples on as many threads, with all its lanes, before and after: what else the machine does slows both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from ancestral import Model, Voice, load
from ancestral.service.settings import load_settings

SENTENCES = (
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background, and let it dry for a day or two.",
    "It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish, and rice is often served in round bowls.",
    "The juice of lemons makes fine punch.",
)
_SECONDS = 10.0


def kernel(model: Model, voice: Voice, threads: int) -> float:
    """Samples a second of the kernel alone."""
    sampler = model.speech_sampler
    (part,) = sampler.parts(voice.utterance(SENTENCES[1], seed=1))
    made, until = [0] * threads, time.monotonic() + _SECONDS

    def work(number: int) -> None:
        streams = [sampler.open(part) for _ in range(sampler.engine.lanes)]
        while time.monotonic() < until:
            made[number] += sum(map(len, sampler.engine.step(streams, 3200)))
            if streams[0].position >= part.request.length:
                streams = [sampler.open(part) for _ in range(sampler.engine.lanes)]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    begun = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(made) / (time.monotonic() - begun)


def batch(folder: Path, rows: int) -> float:
    """Samples a second of the command, from its start to its end."""
    from pyarrow import parquet

    source, output = folder / "rows.jsonl", folder / "out"
    lines = [{"key": str(n), "text": SENTENCES[n % len(SENTENCES)], "voice": "joe"} for n in range(rows)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    line = [str(Path(sys.executable).with_name("ancestral")), "batch", str(source), "-o", str(output)]
    begun = time.monotonic()
    subprocess.run(line, check=True)
    seconds = time.monotonic() - begun
    return float(sum(parquet.read_table(output, columns=["seconds"]).column("seconds").to_pylist())) * 16000 / seconds


def main(rows: int) -> None:
    """Print the three rates and the share."""
    settings = load_settings()
    model, threads = load(precision=settings.precision), settings.threads
    voice = model.voice("joe")
    before = kernel(model, voice, threads)
    with tempfile.TemporaryDirectory() as folder:
        whole = batch(Path(folder), rows)
    after = kernel(model, voice, threads)
    print(f"{rows} rows on {threads} cores, {voice.engine}, thousand samples a second:")
    print(f"kernel {before / 1000:.1f}, batch {whole / 1000:.1f}, kernel {after / 1000:.1f}")
    print(f"share of the kernel's: {2 * whole / (before + after):.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
