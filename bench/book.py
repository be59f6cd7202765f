"""A long text read into an M4B, killed twice on the way: ``python -m bench.book FOLDER``.

Generates a text of 300 kB with twelve chapters. ``ancestral read`` reads it, killed with ``kill -9`` after a third and
after two thirds of its parts, and a second time without interruption. Checks that both files have the same bytes, the
chapters of the text, and at each mark silence before and speech after it. What follows FOLDER is passed on, such as
``--model tiny`` or ``--url http://localhost:8000``; variables such as ``ANCESTRAL_MODELS_DIR`` are the caller's.
"""

from __future__ import annotations

import hashlib
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from bench.word_times import SENTENCES

BYTES = 300_000
CHAPTERS = 12
RATE = 16000
BEFORE_SECONDS, AFTER_SECONDS = 1.5, 1.0
"""Of the sound around a mark: a chapter ends in two seconds of silence, and a heading is spoken at once."""
LOUD = 0.01
"""Root mean square, of full scale."""


def title(number: int) -> str:
    """Of a chapter, from 1."""
    return f"Chapter {number}: {SENTENCES[number - 1].rstrip('.')}"


def generated() -> str:
    """A text whose paragraphs all differ; otherwise it would be sampled in part only."""
    chance = random.Random(19)
    chapters: list[str] = []
    for number in range(1, CHAPTERS + 1):
        paragraphs, size = [title(number)], 0
        while size < BYTES // CHAPTERS:
            sentences = chance.choices(SENTENCES, k=chance.randint(3, 9))
            paragraphs.append(f"On day {chance.randrange(10**6)} it was late. {' '.join(sentences)}")
            size += len(paragraphs[-1]) + 2
        chapters.append("\n\n".join(paragraphs))
    return "\n\n\n".join(chapters)


def read(text: Path, output: Path, options: list[str], kill_after: int | None = None) -> int:
    """Run the command; its exit code. It is killed when so many parts are finished."""
    command = [str(Path(sys.executable).with_name("ancestral")), "read", str(text), "-o", str(output), *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    parts = output.with_name(f"{output.name}.parts")
    while kill_after is not None and process.poll() is None:
        if len(list(parts.glob("*.flac"))) >= kill_after:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.02)
    return process.wait()


def chapters(book: Path) -> list[tuple[str, float]]:
    """Titles, and where they begin, in seconds."""
    with av.open(str(book)) as container:
        return [(c["metadata"]["title"], float(c["start"] * (c["time_base"] or 0))) for c in container.chapters()]


def sound(book: Path) -> NDArray[np.float32]:
    """All of it."""
    with av.open(str(book)) as container:
        assert container.streams.audio[0].rate == RATE
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def level(wave: NDArray[np.float32], start: float, seconds: float) -> float:
    """The root mean square of a piece."""
    first = round(start * RATE)
    return float(np.sqrt(np.mean(wave[first : first + round(seconds * RATE)] ** 2)))


def check(book: Path) -> float:
    """The minutes of a book, whose chapters must be right."""
    found, wave = chapters(book), sound(book)
    assert [name for name, _ in found] == [title(number) for number in range(1, CHAPTERS + 1)]
    for name, start in found:
        assert level(wave, start, AFTER_SECONDS) > LOUD, name
        assert start == 0.0 or level(wave, start - BEFORE_SECONDS - 0.1, BEFORE_SECONDS) < LOUD / 10, name
    return len(wave) / RATE / 60


def main(folder: Path, *options: str) -> None:
    """Read the text both ways and print a line."""
    folder.mkdir(parents=True, exist_ok=True)
    text, killed, whole = (folder / name for name in ("book.txt", "killed.m4b", "whole.m4b"))
    text.write_text(generated())
    paragraphs = text.read_text().count("\n\n") + 1
    stops = []
    for share in (1 / 3, 2 / 3):
        assert read(text, killed, list(options), round(share * paragraphs)) == -signal.SIGKILL
        assert not killed.exists()
        stops.append(len(list(folder.glob("killed.m4b.parts/*.flac"))))
    assert read(text, killed, list(options)) == 0
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    assert read(text, whole, list(options)) == 0
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert killed.read_bytes() == whole.read_bytes()
    print(
        f"{len(text.read_bytes()) / 1000:.0f} kB, {paragraphs} paragraphs, {CHAPTERS} chapters: {check(whole):.1f} "
        f"minutes, {whole.stat().st_size / 1e6:.1f} MB; killed after {stops[0]} and {stops[1]} parts, same bytes "
        f"({hashlib.sha256(whole.read_bytes()).hexdigest()[:8]}…). Uninterrupted: {seconds:.0f} s, {processor:.0f} s "
        f"of the command's processor time, {after.ru_maxrss / 1024:.0f} MB at most"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
