"""``ancestral say``: speech without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from ancestral import command_line
from ancestral.requests import Speak

if TYPE_CHECKING:
    from ancestral.speech.voice import SpeakArguments, Speech


@click.command(short_help="Speak a text into a file.")
@click.argument("text", callback=command_line.written)
@click.option("--voice", help="A voice, or a mix, 'heart(2)+joe(1)'; the model's first voice by default.")
@command_line.voices_option
@click.option("--model", help="A model's id; the first one that has the voice by default.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="A .wav, .flac, .mp3, .opus or .aac file; - streams a WAV to standard output while it is sampled.",
)
@command_line.field_options(Speak, *sorted(Speak.model_fields.keys() - {"pronunciations", "voices"}))
@command_line.pronunciations_option
def command(
    text: str,
    voice: str | None,
    model: str | None,
    output: Path,
    lexicon: Path | None,
    **options: Unpack[SpeakArguments],
) -> None:
    """Speak TEXT (- reads it from standard input), with a progress bar."""
    from ancestral import formats
    from ancestral.local import FAILURES
    from ancestral_service.cli.local.model import configured_models
    from ancestral_service.settings import load_settings

    if str(output) != "-":
        command_line.check_suffix(output, formats.SUFFIXES)
        command_line.check_output(output)
    with command_line.click_errors(*FAILURES):
        settings = load_settings()
        signer = None if str(output) == "-" else settings.load_signer()
        models = configured_models(settings, lexicon)
        speaker = (models.model_that_speaks(voice) if model is None else models.load(model)).voice(voice)
        speech = speaker.speak(text, **options)
        if str(output) == "-":
            for piece in speech.stream("wav"):
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
        else:
            _sample(speech, speaker.name)
            speech.save(output, signer=signer)
            click.echo(f"{output}: {speech.duration:.2f} s, seed {speech.seed}", err=True)


def _sample(speech: Speech, name: str) -> None:
    """Sample all of it, with a progress bar on standard error."""
    with command_line.progress_bar("{task.completed:.1f} s of sound, {task.fields[factor]:.1f}× real time") as progress:
        task = progress.add_task(name, total=speech.duration, factor=0.0)
        for wave in speech:
            sound = progress.tasks[task].completed + len(wave) / speech.sample_rate
            factor = sound / max(progress.tasks[task].elapsed or 0.0, 1e-9)
            progress.update(task, completed=sound, factor=factor)
