"""What a signature costs (docs/provenance.md): beside the sampling of what is signed, in one run.

    python -m bench.signing [--repeats 50]

Processor time of one thread, so that other programs on the machine do not count; medians.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

import ancestral
from ancestral.formats import MEDIA_TYPES, AudioFormat
from ancestral.provenance.c2pa import EMBEDDED, Claim, detached, load_signer, read, sign
from ancestral.provenance.signer import Signer, make_trial_chain

SENTENCE = "The birch canoe slid on the smooth planks."
PICTURES = ("png", "webp", "jpeg")
SOUNDS: tuple[AudioFormat, ...] = ("wav", "mp3", "flac", "opus", "aac", "pcm")
TYPES = {**MEDIA_TYPES, **{form: f"image/{form}" for form in PICTURES}}


@click.command()
@click.option("--repeats", default=50, show_default=True)
def main(repeats: int) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as directory:
        signer = load_signer(*make_trial_chain(Path(directory), "Benchmark"))
    voice, painter = ancestral.load("wavenet-en").voice("joe"), ancestral.load("pixelcnn-sprites")
    for seed in (1, 7):  # the first loads the kernels
        speech, picture = voice.speak(SENTENCE, seed=seed), painter.draw_many("elf, robe", seed=seed)
        _, sampling = _timed(partial(speech.encode, "pcm"))
        _, drawing = _timed(picture.finish)
    click.echo(
        f"A sentence of {speech.duration:.2f} s: sampled in {sampling:.3f} s of a processor; a sprite: {drawing:.3f} s."
    )
    click.echo("| format | bytes | signed | ms to sign | ms to read | of the sampling |\n|---|---|---|---|---|---|")
    files: list[tuple[str, bytes, float]] = [(form, speech.encode(form), sampling) for form in SOUNDS]
    files += [(form, picture.file(0, form, 8), drawing) for form in PICTURES]
    for form, data, made in files:
        media_type = TYPES[form]
        signed, seconds = _repeated(partial(_sign, data, media_type, signer), repeats)
        inside = media_type in EMBEDDED
        file, manifest = (signed, None) if inside else (data, signed)
        _, reading = _repeated(partial(read, file, media_type, manifest=manifest), repeats)
        size = len(signed) if inside else len(data) + len(signed)
        click.echo(
            f"| {form} | {len(data)} | {size} | {1e3 * seconds:.1f} | {1e3 * reading:.1f} | {seconds / made:.2%} |"
        )


def _sign(data: bytes, media_type: str, signer: Signer) -> bytes:
    claim = Claim({"model": "wavenet-en", "model_sha256": "0" * 64, "seed": 7, "manifest_sha256": "0" * 64})
    return (
        sign(data, media_type, claim, signer) if media_type in EMBEDDED else detached(io.BytesIO(data), claim, signer)
    )


_T = TypeVar("_T")


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    start = time.process_time()
    return work(), time.process_time() - start


def _repeated(work: Callable[[], _T], repeats: int) -> tuple[_T, float]:
    made = [_timed(work) for _ in range(repeats)]
    return made[-1][0], statistics.median(seconds for _, seconds in made)


if __name__ == "__main__":
    main()
