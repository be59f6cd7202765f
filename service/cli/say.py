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
@click.argument("text")
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
@command_line.field_options(Speak, *sorted(Speak.model_fields.keys() - {"input_format", "pronunciations", "voices"}))
@click.option("--ssml", is_flag=True, help="TEXT is an SSML document.")
@command_line.pronunciations_option
def command(
    text: str,
    voice: str | None,
    model: str | None,
    output: Path,
    ssml: bool,
    lexicon: Path | None,
    **options: Unpack[SpeakArguments],
) -> None:
    """Speak TEXT (- reads it from standard input), with a progress bar."""
    from ancestral import formats
    from ancestral.service.cli.local.model import FAILURES, configured_model, model_that_speaks
    from ancestral.service.settings import load_settings

    if str(output) != "-":
        command_line.check_suffix(output, formats.SUFFIXES)
        command_line.check_output(output)
    try:
        words = sys.stdin.buffer.read().decode().replace("\r\n", "\n") if text == "-" else text
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"not UTF-8 at byte {error.start}", param_hint="TEXT") from error
    with command_line.click_errors(*FAILURES):
        signer = None if str(output) == "-" else load_settings().load_signer()
        speaker = configured_model(model or model_that_speaks(voice), lexicon).voice(voice)
        options["input_format"] = "ssml" if ssml else "text"
        speech = speaker.speak(words, **options)
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
