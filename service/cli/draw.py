"""``ancestral draw``: pictures without a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.library import MAX_GUIDANCE
from service.cli import FiniteRange, explained

if TYPE_CHECKING:
    from service.catalog.sampler import Part
    from service.images.decoder import Pixels
    from service.images.sampler import ImageSampler

FORMATS = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}


@click.command(short_help="Draw pictures of a class into files.")
@click.argument("name", metavar="CLASS")
@click.option("--model", default="pixelcnn-digits", show_default=True, help="A model's id.")
@click.option("--style", help="One of the model's styles; any if absent.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .png, .webp or .jpg file; of several pictures each gets its number before the ending.",
)
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="Pictures.")
@click.option("--scale", type=click.IntRange(1, 64), default=1, show_default=True, help="Pixels that a pixel becomes.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="The same seed, the same pictures. Drawn if absent.")
@click.option("--temperature", type=FiniteRange(0.0, 2.0), help="The model's own if absent.")
@click.option(
    "--guidance",
    type=FiniteRange(0.0, MAX_GUIDANCE),
    help="How many times what tells the class apart counts; 1 is the model as it is. The model's own if absent.",
)
def command(
    name: str,
    model: str,
    style: str | None,
    output: Path,
    count: int,
    scale: int,
    seed: int | None,
    temperature: float | None,
    guidance: float | None,
) -> None:
    """Draw pictures of CLASS, or of any class (any), and show the progress."""
    from models.checkpoint import CheckpointError
    from models.library import LibraryError
    from service.errors import ServiceError
    from service.images.encoding import encode
    from service.images.requests import image_payload
    from service.images.schemas import ImageRequest
    from service.settings import SettingsError, load_settings
    from service.worker.model_loader import load_models

    form = FORMATS.get(output.suffix.lower())
    if form is None:
        raise click.BadParameter(f"{output.name}: the name must end in {', '.join(FORMATS)}", param_hint="--output")
    with explained(SettingsError, LibraryError, CheckpointError, ServiceError, OSError):
        loaded_models = load_models(load_settings(), only=lambda entry: entry.id == model)
        chosen = loaded_models.image_model(model, "image_generation")
        request = ImageRequest.model_construct(  # not validated: a server limits the number of pictures
            model=model,
            asked_class=name if chosen.spec.classes or name != "any" else None,
            style=style,
            n=count,
            seed=seed,
            temperature=temperature,
            guidance=guidance,
        )
        payload, sampler = image_payload(chosen, request), loaded_models.picture(chosen)
        pictures = _sample(sampler, sampler.part(payload), count)
        for number, pixels in enumerate(pictures):
            file = output if count == 1 else output.with_stem(f"{output.stem}-{number}")
            file.write_bytes(encode(pixels, form, scale))
    subclasses = ", ".join(subclass for subclass in payload.subclasses if subclass)
    suffix = f": {subclasses}" if subclasses else ""
    click.echo(f"{output}: {count} of {chosen.size}, seed {payload.seed}{suffix}", err=True)


def _sample(sampler: ImageSampler, part: Part, count: int) -> Pixels:
    """``[count, H, W, C]``, with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    from service.images.decoder import BatchDecoder

    batch, decode = sampler.open(part), BatchDecoder(sampler.model.spec, count)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("rows", total=sampler.model.spec.height)
        while not decode.complete:
            (symbols,) = sampler.engine.step([batch], batch.row_size)
            progress.update(task, advance=len(decode(symbols)))
    return decode.pixels
