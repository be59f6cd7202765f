"""What of our pictures and sentences is found again after damage, and whether anything else is: docs/provenance.md.

    python -m bench.provenance pictures --files 200 > pictures.jsonl
    python -m bench.provenance sounds --files 200 > sounds.jsonl
    python -m bench.provenance controls --files 200 > controls.jsonl    # pictures and recordings of others
    python -m bench.provenance table *.jsonl

One JSON object a file and kind of damage. Every file is made with a seed of a key, at a random counter of a million.
Without its recipe it is tried with its seed told, and where ``--search`` says so with the million counters searched.
"""

from __future__ import annotations

import io
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import av
import click
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from PIL import Image

import ancestral
from ancestral.catalog.seeds import keyed_seeds
from ancestral.codecs import encode_file
from ancestral.detection import pictures, sounds
from ancestral.detection.query import Query, Search
from ancestral.detection.upload import sound_of, symbols_of
from ancestral.errors import InvalidRequest

KEY: Final = b"the key of bench.provenance, 0001"
MILLION: Final = 1_000_000
SENTENCES: Final = (
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It is easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.",
    "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.",
    "The hogs were fed chopped corn and garbage.",
)
Damage = Callable[[Any], bytes]


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _large(image: Image.Image, scale: int) -> Image.Image:
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _opaque(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")


def _jpeg(quality: int, scale: int) -> Damage:
    return lambda image: _saved(_large(_opaque(image), scale), "JPEG", quality=quality, subsampling=0)


PICTURES: Final[dict[str, Damage]] = {
    "PNG": lambda image: _saved(image, "PNG"),
    "WebP, lossless": lambda image: _saved(image, "WEBP", lossless=True),
    "enlarged 8 times": lambda image: _saved(_large(image, 8), "PNG"),
    "on white": lambda image: _saved(_opaque(image), "PNG"),
    "16 colours": lambda image: _saved(_opaque(image).quantize(16), "PNG"),
    "2 pixels cut off": lambda image: _saved(image.crop((2, 2, 30, 30)), "PNG"),
    **{f"JPEG {q}, 8 times": _jpeg(q, 8) for q in (95, 85, 70)},
    **{f"JPEG {q}": _jpeg(q, 1) for q in (95, 85, 70)},
}


def _encoded(wave: NDArray[np.float32], form: str, codec: str, rate: int, bit_rate: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate, stream.layout = bit_rate, "mono"
        frame = av.AudioFrame.from_ndarray(soxr.resample(wave, 16000, rate)[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        converter = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        packets = [packet for each in converter.resample(frame) for packet in stream.encode(each)]
        container.mux([*packets, *stream.encode(None)])
    return file.getvalue()


def _wav(wave: NDArray[np.float32], rate: int = 16000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.clip(wave, -1.0, 1.0), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _noisy(wave: NDArray[np.float32]) -> bytes:
    level = float(np.sqrt(np.mean(wave**2))) * 10.0 ** (-30.0 / 20.0)
    noise = np.random.default_rng(len(wave)).normal(size=len(wave)) * level
    return _wav((wave + noise).astype(np.float32))


SOUNDS: Final[dict[str, Damage]] = {
    "WAV": _wav,
    "FLAC": lambda wave: encode_file([wave], "flac", 16000),
    "24 kHz": lambda wave: encode_file([wave], "wav", 16000, 24000),
    "MP3, 128 kbit/s": lambda wave: _encoded(wave, "mp3", "libmp3lame", 24000, 128_000),
    "MP3, 64 kbit/s": lambda wave: _encoded(wave, "mp3", "libmp3lame", 24000, 64_000),
    "Opus, 32 kbit/s": lambda wave: _encoded(wave, "ogg", "libopus", 48000, 32_000),
    "1 s cut out": lambda wave: _wav(wave[8000:24000]),
    "noise at 30 dB": _noisy,
    "speed 1.01": lambda wave: _wav(soxr.resample(wave, 16160, 16000)),
}


def _query(seed: int | None, searched: int, seconds: float) -> Search:
    return Search(Query(seed=seed, newest=searched, search=searched, seconds=seconds), KEY)


def _written(part: dict[str, Any], begun: float, **fields: Any) -> None:
    kept = {name: part.get(name) for name in ("status", "log10_p", "seed", "counter", "seeds_tried", "reason")}
    print(json.dumps({**fields, **kept, "seconds": round(time.monotonic() - begun, 2)}), flush=True)


@click.group()
def main() -> None:
    """Detection and false alarms."""


_options = [
    click.option("--files", default=200, show_default=True),
    click.option("--first", default=0, show_default=True, help="The number of the first file."),
    click.option("--only", default="", help="Only damages whose name begins so."),
    click.option("--search", is_flag=True, help="Search a million counters, of files that are not damaged."),
]


def _with_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in _options:
        function = option(function)
    return function


def _counters(files: int, first: int) -> Iterator[tuple[int, int]]:
    rng, seeds = random.Random(34), keyed_seeds(KEY, 0, MILLION)
    for number, counter in enumerate(rng.randrange(MILLION) for _ in range(first + files)):
        if number >= first:
            yield counter, int(seeds[counter])


def _chosen(damages: dict[str, Damage], only: str, search: bool) -> list[tuple[str, Damage]]:
    return [each for each in damages.items() if each[0].startswith(only)][: 1 if search else None]


@main.command("pictures")
@_with_options
@click.option("--model", default="pixelcnn-sprites", show_default=True)
def of_pictures(files: int, first: int, only: str, search: bool, model: str) -> None:
    """Pictures that nothing was asked of: the seed draws what they show."""
    loaded = ancestral.load(model)
    sampler = loaded._painter("image_generation")
    for counter, seed in _counters(files, first):
        image = loaded.draw("any" if loaded.attributes else None, seed=seed).image
        for damage, damaged in _chosen(PICTURES, only, search):
            begun = time.monotonic()
            try:
                (_, symbols), *_ = symbols_of(damaged(image), [sampler.model])
            except InvalidRequest as error:
                part: dict[str, Any] = {"status": "not_tried", "reason": error.message}
            else:
                searched = _query(None, MILLION, 60.0) if search else _query(seed, 0, 60.0)
                part = pictures.seed_part(sampler, symbols, searched)
            right = part.get("counter") == counter if search else part.get("seed") == seed
            _written(part, begun, kind=model, damage=damage, search=search, right=right)


@main.command("sounds")
@_with_options
@click.option("--voice", "voices", multiple=True, default=("nova", "joe", "siwis"), show_default=True)
def of_sounds(files: int, first: int, only: str, search: bool, voices: tuple[str, ...]) -> None:
    """Short sentences."""
    loaded = ancestral.load()
    known = [loaded.voice(voice) for voice in voices if voice in loaded.voices]
    for number, (counter, seed) in enumerate(_counters(files, first), first):
        speech = known[number % len(known)].speak(SENTENCES[number % len(SENTENCES)], seed=seed)
        wave = speech.samples
        for damage, damaged in _chosen(SOUNDS, only, search):
            begun = time.monotonic()
            heard = sound_of(damaged(wave), 16000, 600.0)
            searched = _query(None, MILLION, 60.0) if search else _query(seed, 0, 60.0)
            part = sounds.seed_part(heard, 16000, searched)
            right = part.get("counter") == counter if search else part.get("seed") == seed
            _written(part, begun, kind="speech", damage=damage, search=search, right=right)


@main.command("controls")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--files", default=200, show_default=True)
@click.option("--counters", default=MILLION, show_default=True)
@click.option("--seconds", default=60.0, show_default=True)
def of_others(folders: tuple[Path, ...], files: int, counters: int, seconds: float) -> None:
    """Pictures (.png, of 32 x 32) and recordings (.wav) that others have made, below FOLDERS."""
    found = [path for folder in folders for suffix in ("png", "wav") for path in sorted(folder.rglob(f"*.{suffix}"))]
    random.Random(34).shuffle(found)
    sampler, used = None, 0
    for path in found:
        if used == files:
            return
        begun, search, data = time.monotonic(), _query(34, counters, seconds), path.read_bytes()
        try:
            if path.suffix == ".wav":
                part = sounds.seed_part(sound_of(data, 16000, 600.0)[: 16000 * 10], 16000, search)
            else:
                sampler = sampler or ancestral.load("pixelcnn-sprites")._painter("image_generation")
                part = pictures.seed_part(sampler, symbols_of(data, [sampler.model])[0][1], search)
        except InvalidRequest:
            continue
        used += 1
        _written(part, begun, kind=f"control {path.suffix}", damage=path.suffix, search=True, right=False)


@main.command("table")
@click.argument("files", nargs=-1, type=click.File())
def as_table(files: Iterable[Iterable[str]]) -> None:
    """The rows of docs/provenance.md, as Markdown."""
    cells: dict[tuple[str, str, bool], list[dict[str, Any]]] = defaultdict(list)
    for line in (line for file in files for line in file):
        row = json.loads(line)
        cells[row["kind"], row["damage"], row["search"]].append(row)
    for (kind, damage, search), rows in cells.items():
        right = sum(row["right"] for row in rows)
        alarms = sum(row["status"] == "found" and not row["right"] for row in rows)
        logs = sorted(row["log10_p"] or 0.0 for row in rows)
        seconds = sorted(row["seconds"] for row in rows)[len(rows) // 2]
        sys.stdout.write(
            f"| {kind} | {damage} | {'searched' if search else 'told'} | {right} of {len(rows)} | {alarms} | "
            f"{logs[len(logs) // 2]:.0f} | {logs[-1]:.1f} | {logs[0]:.1f} | {seconds:.1f} s |\n"
        )


if __name__ == "__main__":
    main()
