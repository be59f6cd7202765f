"""``ancestral phonemize``: how a text is read, without a model or a server."""

from __future__ import annotations

from pathlib import Path

import click

from ancestral import command_line
from ancestral.requests import Speak
from ancestral_models.text.frontend import InputFormat


@click.command(short_help="Show the phonemes that a text is read as.")
@click.argument("text", required=False, callback=command_line.written)
@click.option("--file", "file", type=command_line.FILE, callback=command_line.written, help="A file of text instead.")
@click.option("--voice", help="A voice, or a mix, with whose sounds it is read.")
@command_line.field_options(Speak, "language", "input_format")
@click.option("--json", "as_json", is_flag=True, help="All words and pauses, as GET /v1/audio/phonemize answers.")
@command_line.pronunciations_option
def command(
    text: str | None,
    file: str | None,
    voice: str | None,
    language: str | None,
    input_format: InputFormat,
    as_json: bool,
    lexicon: Path | None,
) -> None:
    """Show how TEXT (- reads it from standard input) is read: a line of phonemes for each sentence."""
    from ancestral.catalog.catalog import read_lexicon
    from ancestral.local import FAILURES, reading_language
    from ancestral.speech.utterance import phonemized, read_text
    from ancestral_service.settings import load_settings

    if (given := text if file is None else file) is None or None not in (text, file):
        raise click.UsageError("give TEXT or --file")
    with command_line.click_errors(*FAILURES):
        config = load_settings().catalog_config
        spoken = language or "en" if voice is None else reading_language(config, voice)
        pronunciations = read_lexicon(lexicon or config.pronunciations)
        script, sentences = read_text(
            given, pronunciations, "text", spoken, input_format=input_format, language=language
        )
    found = phonemized(script, sentences, given)
    if as_json:
        click.echo(found.model_dump_json())
        return
    for sentence in found.sentences:
        click.echo(sentence.phonemes)
    if found.skipped:
        words = " ".join(", ".join(found.skipped).split())
        click.echo(f"skipped: {words if len(words) <= 200 else f'{words[:199]}…'}", err=True)
