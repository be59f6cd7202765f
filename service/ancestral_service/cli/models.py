"""``ancestral models``: the models that can be served."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import click

from ancestral.command_line import click_errors

if TYPE_CHECKING:
    from rich.table import Table

    from ancestral.catalog.descriptions import ImageModel, SpeechModel


@click.command(short_help="List the models, their voices and classes.")
def command() -> None:
    """List the models in ANCESTRAL_MODELS_DIR and ANCESTRAL_DATA_DIR/models, after checking their checkpoints."""
    from rich.console import Console

    from ancestral.catalog.catalog import load_catalog
    from ancestral.catalog.descriptions import ImageModel, SpeechModel
    from ancestral.settings import SettingsError
    from ancestral_models.checkpoint import CheckpointError
    from ancestral_models.entries import ModelError
    from ancestral_service.settings import load_settings

    with click_errors(SettingsError, ModelError, CheckpointError):
        catalog = load_catalog(load_settings().catalog_config)
    console = Console()
    for model in catalog.models.values():
        if isinstance(model, ImageModel):
            table, form = _classes(model), f"{model.size} pixels"
        else:
            assert isinstance(model, SpeechModel)
            table, form = _voices(model), f"{model.spec.sample_rate} Hz"
        console.print(f"{model.entry.id}: {model.entry.description}", style="bold", markup=False, highlight=False)
        if table.row_count:  # a model without classes has no rows
            console.print(table)
        console.print(
            f"{model.parameters:,} parameters, receptive field {model.receptive_field}, {form}, sha256 {model.sha256}"
        )


def _voices(model: SpeechModel) -> Table:
    from rich.table import Table

    table = Table("voice", "name", "language", "gender", "licence", "description")
    for voice in model.entry.voices:
        table.add_row(voice.id, voice.name, voice.language, voice.gender, voice.license, voice.description)
    return table


def _classes(model: ImageModel) -> Table:
    from rich.table import Table

    table = Table(*model.spec.named)
    for names in itertools.zip_longest(*model.spec.conditions, fillvalue=""):
        table.add_row(*names)
    return table
