"""``ancestral models``: what there is to serve."""

from __future__ import annotations

import click

from service.commands import explained


@click.command(short_help="List the models and their voices.")
def command() -> None:
    """List every model and voice that the settings lead to, checking every checkpoint."""
    from rich.console import Console
    from rich.table import Table

    from models.checkpoint import CheckpointError
    from models.library import LibraryError
    from service.catalogue import load_catalogue
    from service.settings import SettingsError, load_settings

    with explained(SettingsError, LibraryError, CheckpointError):
        catalogue = load_catalogue(load_settings())
    console = Console()
    for model in catalogue.models.values():
        table = Table(title=f"{model.entry.id}: {model.entry.description}", title_justify="left")
        for heading in ("voice", "name", "language", "gender", "licence", "description"):
            table.add_column(heading)
        for voice in model.entry.voices:
            table.add_row(voice.id, voice.name, voice.language, voice.gender, voice.license, voice.description)
        console.print(table)
        console.print(
            f"{model.parameters:,} parameters, receptive field {model.spec.receptive_field}, "
            f"{model.spec.sample_rate} Hz, sha256 {model.sha256}"
        )
