"""``ancestral corpus``: build, align and prepare training data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from ancestral.command_line import click_errors
from ancestral_models.spec import SHAPINGS

_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_CORPUS = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(short_help="Build, align and prepare training corpora.")
def command() -> None:
    """Build corpora of speech or pictures from packages; align your own recordings, prepare them for training."""


@command.command()
@click.argument("name")
@click.option("-o", "--output", type=_DIRECTORY, required=True, help="Where the corpus goes.")
@click.option(
    "--count", type=click.IntRange(1), default=2600, show_default=True, help="Sentences for a synthetic voice."
)
@click.option("--voice", help="For kokoro: af_nova, am_echo, bm_fable, … A build that was stopped is continued.")
def build(name: str, output: Path, count: int, voice: str | None) -> None:
    """Build corpus NAME: speech with the times of its phonemes (allison, heart, joe, kokoro, slt, awb, rms or kal16),
    or pictures (digits, fashion, sprites, characters, avatars or avatars-rgb)."""
    from ancestral_training.corpora import PICTURES, build, expected

    unit = "pictures" if name in PICTURES else "clips"
    with click_errors(ValueError, FileNotFoundError, ImportError), _shown(unit, expected(name)) as progress:
        done = build(name, output, count, progress, voice)
    click.echo(f"{output}: {done} {unit}", err=True)


@command.command()
@click.argument("source", type=_CORPUS)
@click.option("-o", "--output", type=_DIRECTORY, required=True, help="Where the aligned corpus goes.")
@click.option("--language", default="en", show_default=True, help="Language of the texts, a tag of BCP 47.")
def align(source: Path, output: Path, language: str) -> None:
    """Align the phonemes of SOURCE, a corpus in LJSpeech's or VCTK's layout, with its recordings."""
    from ancestral_models.text.languages.language import primary
    from ancestral_training.corpora import align_clips, read

    with click_errors(ValueError), _shown("clips") as progress:
        primary(language)  # refuses one that is not read here
        if output.resolve() == source.resolve():
            raise ValueError("output: must be another folder than that of the recordings, which would be replaced")
        failed = align_clips(clips := read(source), output, language, progress)
    click.echo(f"{output}: {len(clips)} clips, {len(failed)} of them not aligned", err=True)


@command.command()
@click.argument("corpora", type=_CORPUS, nargs=-1, required=True)
@click.option("-o", "--output", type=_DIRECTORY, required=True, help="Where the prepared arrays go.")
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True)
@click.option("--shaping", type=click.Choice(SHAPINGS), default="preemphasis", show_default=True)
@click.option(
    "--shift", type=click.FloatRange(0.0, 12.0), help="Add one clip in four again, so many semitones lower or higher."
)
def prepare(corpora: tuple[Path, ...], output: Path, processes: int, shaping: str, shift: float | None) -> None:
    """Turn CORPORA into symbols and conditioning frames, memory-mapped for training."""
    from ancestral_models.architectures.wavenet import WaveNetSpec
    from ancestral_models.spec import FeatureSpec
    from ancestral_training.corpora import read
    from ancestral_training.data.speech import Coding, prepare, shifted

    coding = replace(Coding.of(WaveNetSpec()), shaping=shaping)
    with click_errors(ValueError), _shown("clips") as progress:
        clips = [clip for corpus in corpora for clip in read(corpus)]
        if shift:
            clips += shifted(clips, shift)
        kept = prepare(clips, output, FeatureSpec(), coding, processes, progress)
    click.echo(f"{output}: {kept} of {len(clips)} clips", err=True)


@command.command()
@click.argument("prepared", type=_CORPUS, nargs=-1, required=True)
@click.option("-o", "--output", type=_DIRECTORY, required=True, help="Where the parts go; empty, or created.")
@click.option("--size", type=click.IntRange(1), default=40, show_default=True, help="MiB of a part, at most.")
def pack(prepared: tuple[Path, ...], output: Path, size: int) -> None:
    """Divide PREPARED corpora into parts, to take them to a machine piece by piece: each can be given to --data."""
    from ancestral_training.data.speech import pack

    with click_errors(ValueError):
        parts = pack(prepared, output, size << 20)
    click.echo(f"{output}: {len(parts)} parts", err=True)


@contextmanager
def _shown(unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress display on standard error, with a bar if the total is known; it yields what sets the count."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    first = SpinnerColumn() if total is None else BarColumn()
    columns = (first, TextColumn("{task.completed} " + unit), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.update(task, completed=done)
