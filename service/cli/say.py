"""``ancestral say``: speech without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ancestral.command_line import FiniteRange, SeedType, check_output, click_errors, voices_option
from ancestral.models.entries import MAX_INTONATION, MAX_PITCH, MAX_TEMPERATURE, SPEEDS

if TYPE_CHECKING:
    from ancestral.speech.voice import Speech


@click.command(short_help="Speak a text into a file.")
@click.argument("text")
@click.option("--voice", help="A voice, or a mix, 'heart(2)+joe(1)'; the model's first voice by default.")
@voices_option
@click.option("--model", help="A model's id; the first one that has the voice by default.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="A .wav, .flac, .mp3, .opus or .aac file; - streams a WAV to standard output while it is sampled.",
)
@click.option("--seed", type=SeedType(), help="The same seed gives the same sound. Random by default.")
@click.option("--speed", type=FiniteRange(*SPEEDS), default=1.0, show_default=True)
@click.option(
    "--pitch", type=FiniteRange(-MAX_PITCH, MAX_PITCH), default=0.0, show_default=True, help="Semitones higher."
)
@click.option(
    "--intonation",
    type=FiniteRange(0.0, MAX_INTONATION),
    default=1.0,
    show_default=True,
    help="How far the pitch moves around its mean; 0 is monotone.",
)
@click.option("--language", help="Of TEXT: es, fr-FR, …; the voice's by default.")
@click.option("--ssml", is_flag=True, help="TEXT is an SSML document.")
@click.option(
    "--pronunciations",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON file with words and their phonemes; ANCESTRAL_PRONUNCIATIONS by default.",
)
@click.option("--temperature", type=FiniteRange(0.0, MAX_TEMPERATURE), help="The model's own by default.")
def command(
    text: str,
    voice: str | None,
    voices: dict[str, str],
    model: str | None,
    output: Path,
    seed: int | None,
    speed: float,
    pitch: float,
    intonation: float,
    language: str | None,
    ssml: bool,
    pronunciations: Path | None,
    temperature: float | None,
) -> None:
    """Speak TEXT (- reads it from standard input), with a progress bar."""
    from ancestral import codecs
    from ancestral.service.cli.local.model import FAILURES, configured_model, model_that_speaks
    from ancestral.service.settings import load_settings

    if str(output) != "-":
        if output.suffix.lower() not in codecs.SUFFIXES:
            names = ", ".join(codecs.SUFFIXES)
            raise click.BadParameter(f"{output.name}: the name must end in {names}", param_hint="--output")
        check_output(output)
    words = sys.stdin.read() if text == "-" else text
    with click_errors(*FAILURES):
        signer = None if str(output) == "-" else load_settings().load_signer()
        speaker = configured_model(model or model_that_speaks(voice), pronunciations).voice(voice)
        speech = speaker.speak(
            words, seed=seed, temperature=temperature, speed=speed, pitch=pitch, intonation=intonation,
            input_format="ssml" if ssml else "text",
            language=language, voices=voices,
        )  # fmt: skip
        if str(output) == "-":
            _stream(speech)
        else:
            _sample(speech, speaker.name)
            speech.save(output, signer=signer)
            click.echo(f"{output}: {speech.duration:.2f} s, seed {speech.seed}", err=True)


def _stream(speech: Speech) -> None:
    for piece in speech.stream("wav"):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _sample(speech: Speech, name: str) -> None:
    """Sample all of it, with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} s of sound, {task.fields[factor]:.1f}× real time"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=speech.duration, factor=0.0)
        for wave in speech:
            sound = progress.tasks[task].completed + len(wave) / speech.sample_rate
            factor = sound / max(progress.tasks[task].elapsed or 0.0, 1e-9)
            progress.update(task, completed=sound, factor=factor)
