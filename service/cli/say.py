"""``ancestral say``: speech without a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ancestral.command_line import FiniteRange, check_output, explained

if TYPE_CHECKING:
    from ancestral.service.catalog.sampler import Part
    from ancestral.service.speech.decoder import Wave
    from ancestral.service.speech.payloads import SpeechPayload
    from ancestral.service.speech.sampler import SpeechSampler

FORMATS = {".wav": "wav", ".flac": "flac", ".mp3": "mp3", ".opus": "opus", ".aac": "aac"}


@click.command(short_help="Speak a text into a file.")
@click.argument("text")
@click.option("--voice", help="A voice of the model, or a mix, 'heart(2)+joe(1)'; its first voice by default.")
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="A .wav, .flac, .mp3, .opus or .aac file; - streams a WAV to standard output while it is sampled.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="The same seed gives the same sound. Random by default."
)
@click.option("--speed", type=FiniteRange(0.25, 4.0), default=1.0, show_default=True)
@click.option("--pitch", type=FiniteRange(-12.0, 12.0), default=0.0, show_default=True, help="Semitones higher.")
@click.option(
    "--intonation",
    type=FiniteRange(0.0, 2.0),
    default=1.0,
    show_default=True,
    help="How far the pitch moves around its mean; 0 is monotone.",
)
@click.option("--ssml", is_flag=True, help="TEXT is an SSML document.")
@click.option(
    "--pronunciations",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON file with words and their phonemes; ANCESTRAL_PRONUNCIATIONS by default.",
)
@click.option("--temperature", type=FiniteRange(0.0, 2.0), help="The model's own by default.")
def command(
    text: str,
    voice: str | None,
    model: str,
    output: Path,
    seed: int | None,
    speed: float,
    pitch: float,
    intonation: float,
    ssml: bool,
    pronunciations: Path | None,
    temperature: float | None,
) -> None:
    """Speak TEXT (- reads it from standard input), with a progress bar."""
    from ancestral.models.checkpoint import CheckpointError
    from ancestral.models.library import LibraryError
    from ancestral.service.catalog.lexicon import read_lexicon
    from ancestral.service.catalog.seeds import draw_seed
    from ancestral.service.errors import ServiceError
    from ancestral.service.settings import SettingsError, load_settings
    from ancestral.service.speech.requests import prepare
    from ancestral.service.telemetry.logging import configure_logging
    from ancestral.service.worker.model_loader import load_models

    if str(output) != "-":
        if output.suffix.lower() not in FORMATS:
            raise click.BadParameter(f"{output.name}: the name must end in {', '.join(FORMATS)}", param_hint="--output")
        check_output(output)
    words = sys.stdin.read() if text == "-" else text
    with explained(SettingsError, LibraryError, CheckpointError, ServiceError, OSError):
        settings = load_settings()
        configure_logging(settings.log_level, "text")  # says so if kernels have to be compiled first
        loaded_models = load_models(settings, only=lambda entry: entry.id == model)
        loaded_models.pronunciations = read_lexicon(pronunciations or settings.pronunciations)
        chosen = loaded_models.speech_model(model, "speech")
        voice_id = voice or chosen.entry.voices[0].id
        drawn = draw_seed() if seed is None else seed
        payload = prepare(
            loaded_models, model, voice_id, words, drawn,
            temperature=temperature, speed=speed, pitch=pitch, intonation=intonation,
            input_format="ssml" if ssml else "text",
        )  # fmt: skip
        sampler = loaded_models.sound(chosen)
        if str(output) == "-":
            _stream(sampler, payload)
        else:
            _write(output, sampler, payload)


def _stream(sampler: SpeechSampler, payload: SpeechPayload) -> None:
    from ancestral.service.speech import codecs
    from ancestral.service.speech.sampler import render

    encoder = codecs.encoder("wav", sampler.model.spec.sample_rate, length=sum(sampler.lengths(payload)))
    for wave in render(sampler, payload):
        sys.stdout.buffer.write(encoder.feed(wave))
        sys.stdout.buffer.flush()
    sys.stdout.buffer.write(encoder.finish())


def _with_progress(sampler: SpeechSampler, payload: SpeechPayload) -> Iterator[Wave]:
    """The sound, chunk by chunk, with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ancestral.service.speech.sampler import render

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[sound]:.1f} s of sound, {task.fields[factor]:.1f}× real time"),
        TimeRemainingColumn(),
    )
    rate = sampler.model.spec.sample_rate
    with Progress(*columns, console=Console(stderr=True)) as progress:
        parts: list[Part] = list(sampler.parts(payload))
        total = sum(part.request.length for part in parts)
        task = progress.add_task(sampler.model.mix(payload.voice).name, total=total, sound=0.0, factor=0.0)
        for wave in render(sampler, payload, parts):
            sound = (progress.tasks[task].completed + len(wave)) / rate
            factor = sound / max(progress.tasks[task].elapsed or 0.0, 1e-9)
            progress.update(task, advance=len(wave), sound=sound, factor=factor)
            yield wave


def _write(output: Path, sampler: SpeechSampler, payload: SpeechPayload) -> None:
    from ancestral.service.speech import codecs
    from ancestral.service.speech.tags import tags_of

    rate, waves = sampler.model.spec.sample_rate, list(_with_progress(sampler, payload))
    tags = tags_of(payload, sampler.model.entry.id, sampler.model.sha256)
    output.write_bytes(codecs.encode_file(waves, FORMATS[output.suffix.lower()], rate, tags=tags))
    click.echo(f"{output}: {sum(map(len, waves)) / rate:.2f} s, seed {payload.seed}", err=True)
