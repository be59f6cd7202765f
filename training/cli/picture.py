"""``ancestral picture``: add a model of pictures of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ancestral.command_line import click_errors, model_options

if TYPE_CHECKING:
    from ancestral.catalog.catalog import CatalogConfig

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DRAWN = 400
"""Samples that are judged, of all values of the first attribute together."""


@click.group(short_help="Add a model that draws pictures like your own.")
def command() -> None:
    """Make models from folders of pictures."""


@command.command()
@click.argument("name")
@click.option("--images", type=_FOLDER, required=True, help="Pictures of one size, 8 x 8 to 64 x 64 pixels.")
@click.option(
    "--labels", type=_FILE, help="A csv: the column of files, then the attributes. Default: the names of sub-folders."
)
@click.option("--base", help="The model to train on. Default: the bundled one of the most similar pictures.")
@click.option(
    "--hours", type=click.FloatRange(0.0, min_open=True), default=1.0, show_default=True, help="Of training, at most."
)
@click.option("--steps", type=click.IntRange(2), help="Of training, in all, instead of --hours.")
@click.option(
    "--colours", type=click.IntRange(2, 256),
    help="Of a palette. Default: one of at most 256, if pictures have no more or are partly transparent.",
)  # fmt: skip
@click.option("--mirror", is_flag=True, help="Train on mirrored pictures, too.")
@click.option("--licence", default="not stated", show_default=True, help="Of the pictures.")
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), help="For the runs. [default: build/pictures/NAME]"
)
@model_options
@click.pass_context
def add(
    context: click.Context, name: str, images: Path, labels: Path | None, base: str | None, hours: float,
    steps: int | None, colours: int | None, mirror: bool, licence: str, work: Path | None, config: CatalogConfig,
    engine: str, precision: str,
) -> None:  # fmt: skip
    """Make the model NAME, which draws pictures like those in a folder.

    One picture in ten is held out to judge the model, one in twenty to end the training before it memorises. The same
    command again goes on where it was stopped. A server that is started afterwards lists the model.
    """
    from ancestral.models.entries import model_id
    from ancestral.training.cli.evaluation.pictures import images as evaluate
    from ancestral.training.data.images import read_pictures
    from ancestral.training.picture import NewPictures, base_for, publish, train_pictures
    from ancestral.training.picture_folder import read_own_pictures, write_own_pictures
    from ancestral.training.start import whole_folder

    with click_errors(ImportError, ValueError, OSError):
        models, entries = config.directories[-1], config.entries()
        out, folder = models / model_id(name), work or Path("build/pictures") / name
        if name in entries or out.exists():
            raise ValueError(f"name: there is a model {name!r} already")
        data = folder / "data"
        if data.exists():
            click.echo(f"Going on with the pictures in {data}, read earlier", err=True)
        else:
            click.echo(f"Reading {images}", err=True)
            own = read_own_pictures(images, labels, name)
            with whole_folder(data) as partial:
                source = f"Pictures of the person who trained this model (licence: {licence})"
                write_own_pictures(own, partial, source, colours, mirrored=mirror)
        pictures = read_pictures(data)
        chosen = base or base_for(pictures)
        if chosen not in entries:
            raise ValueError(f"base: there is no model {chosen!r}")
        colour = f"{len(pictures.palette)} colours" if pictures.palette else "no palette"
        click.echo(f"{len(pictures.train.images)} pictures to train on, {colour}; training on from {chosen}", err=True)
        new = NewPictures(name, entries[chosen], folder, hours, steps)
        sees = train_pictures(new)
        click.echo("Evaluating", err=True)
        each = max(2, _DRAWN // len(pictures.attributes[0][1]))
        classifier = folder / "classifier" / "checkpoint" if sees else None
        checkpoint = new.model / "pixelcnn"
        context.invoke(evaluate, checkpoint=checkpoint, data=data, drawn=each, classifier=classifier, output=new.report)
        models.mkdir(parents=True, exist_ok=True)
        warning = publish(new, out)
    if warning:
        click.echo(warning, err=True)
    click.echo(f"{out}: start the server again, and the model {name!r} is listed", err=True)
