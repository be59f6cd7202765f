"""``ancestral draw``: pictures without a server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ancestral.command_line import FiniteRange, check_output, explained
from ancestral.models.library import MAX_GUIDANCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ancestral.service.catalog.models import ImageModel
    from ancestral.service.catalog.sampler import Part
    from ancestral.service.images.decoder import BatchDecoder
    from ancestral.service.images.payloads import ImagePayload, PicturesPayload, ReconstructionPayload
    from ancestral.service.images.sampler import ImageSampler
    from ancestral.service.worker.model_loader import LoadedModels

FORMATS = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}
_MOST = 1000
"""Pictures at once."""


def _grid(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Rows and columns of a sheet."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,3})[xX×]([1-9]\d{0,3})", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not ROWSxCOLUMNS, such as 10x8")
    rows, columns = map(int, found.groups())
    if rows * columns > _MOST:
        raise click.BadParameter(f"{text}: at most {_MOST} pictures")
    return rows, columns


@click.command(short_help="Draw pictures of a class, or of what a picture shows, into files.")
@click.argument("name", metavar="[CLASS]", required=False)
@click.option(
    "--like",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A picture to draw from, in the place of CLASS: to reconstruct, or of the person to draw.",
)
@click.option("--model", default="pixelcnn-digits", show_default=True, help="A model's id.")
@click.option("--style", help="One of the model's styles; any by default.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .png, .webp or .jpg file; several pictures are numbered: name-0.png, name-1.png, …",
)
@click.option("-n", "--count", type=click.IntRange(1, _MOST), default=1, show_default=True, help="Pictures.")
@click.option(
    "--sheet",
    "grid",
    metavar="ROWSxCOLUMNS",
    callback=_grid,
    help="Write so many pictures as one sprite sheet instead, and a JSON atlas beside it (x, y, seed, attributes).",
)
@click.option(
    "--scale", type=click.IntRange(1, 64), default=1, show_default=True, help="Side in pixels of each drawn pixel."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="The same seed gives the same pictures. Random by default."
)
@click.option("--temperature", type=FiniteRange(0.0, 2.0), help="The model's own by default.")
@click.option(
    "--guidance",
    type=FiniteRange(0.0, MAX_GUIDANCE),
    help="Weight of the class (classifier-free guidance); 1 is the plain model. The model's own by default.",
)
@click.option(
    "--background",
    type=click.Choice(["auto", "transparent", "opaque"]),
    default="auto",
    show_default=True,
    help="Of models with a transparent colour; auto is transparent where the format can be.",
)
def command(
    name: str | None,
    like: Path | None,
    model: str,
    style: str | None,
    output: Path,
    count: int,
    grid: tuple[int, int] | None,
    scale: int,
    seed: int | None,
    temperature: float | None,
    guidance: float | None,
    background: str,
) -> None:
    """Draw pictures of CLASS, with a progress bar.

    CLASS is a name that `ancestral models` lists, or several of different attributes, separated by commas; `any` is
    nothing in particular. With --like, a model that draws from pictures reconstructs that picture, or draws portraits
    of the person on it.
    """
    from ancestral.models.checkpoint import CheckpointError
    from ancestral.models.library import LibraryError
    from ancestral.service.errors import ServiceError
    from ancestral.service.images.artifact import decoder_of
    from ancestral.service.settings import SettingsError, load_settings
    from ancestral.service.telemetry.logging import configure_logging
    from ancestral.service.worker.model_loader import load_models

    form, files = _files(output, count)
    if grid is not None:
        if count != 1:
            raise click.UsageError("--sheet says how many pictures there are; leave --count out")
        count = grid[0] * grid[1]
    if (name is None) == (like is None):
        raise click.UsageError("what to draw: either CLASS or --like")
    if like is not None and (style, guidance, grid) != (None, None, None):
        raise click.UsageError("--style, --guidance and --sheet are for models of classes, not for --like")
    with explained(SettingsError, LibraryError, CheckpointError, ServiceError, OSError):
        settings = load_settings()
        configure_logging(settings.log_level, "text")  # says so if kernels have to be compiled first
        loaded_models = load_models(settings, only=lambda entry: entry.id == model)
        fields = {
            "model": model, "n": count, "seed": seed, "temperature": temperature, "background": background,
            "output_format": form,
        }  # fmt: skip
        payload: PicturesPayload
        if like is not None:
            chosen, payload, upload = _like(loaded_models, like, fields)
        else:
            chosen, payload = _named(loaded_models, name or "", fields | {"style": style, "guidance": guidance})
            upload = None
        sampler = loaded_models.picture(chosen)
        batch = _sample(sampler, sampler.part(payload, upload), decoder_of(payload, chosen))
        _write(replace(payload, scale=scale), chosen, batch, files, grid)
    told = "" if grid is not None else "; ".join(prompt for prompt in payload.told if prompt)
    suffix = f": {told}" if told else ""
    written = str(output) if len(files) == 1 else f"{files[0]} to {files[-1]}"
    click.echo(f"{written}: {count} of {chosen.size}, seed {payload.seed}{suffix}", err=True)


def _files(output: Path, count: int) -> tuple[str, list[Path]]:
    """The format, and the names of so many files."""
    form = FORMATS.get(output.suffix.lower())
    if form is None:
        raise click.BadParameter(f"{output.name}: the name must end in {', '.join(FORMATS)}", param_hint="--output")
    files = [output] if count == 1 else [output.with_stem(f"{output.stem}-{number}") for number in range(count)]
    check_output(files[0])
    return form, files


def _named(models: LoadedModels, name: str, fields: dict[str, Any]) -> tuple[ImageModel, ImagePayload]:
    """The model, and what it is to draw: pictures of a class, or of other attributes."""
    from ancestral.service.images.requests import image_payload
    from ancestral.service.images.schemas import ImageRequest

    model = models.image_model(fields["model"], "image_generation")
    asked = name if model.spec.attributes or name != "any" else None
    # Not validated: a server limits the number of pictures.
    return model, image_payload(model, ImageRequest.model_construct(asked_class=asked, **fields))


def _like(
    models: LoadedModels, file: Path, fields: dict[str, Any]
) -> tuple[ImageModel, ReconstructionPayload, NDArray[np.uint8]]:
    """The model, what it is to draw, and the symbols of the picture that it draws from."""
    from base64 import b64encode

    import numpy as np

    from ancestral.service.images.source_requests import source_payload
    from ancestral.service.images.source_schemas import ReconstructionRequest

    portraits = "image_portrait" in models.model(fields["model"]).capabilities
    model = models.image_model(fields["model"], "image_portrait" if portraits else "image_reconstruction")
    image = b64encode(file.read_bytes()).decode()
    payload, upload = source_payload(model, ReconstructionRequest.model_construct(image=image, **fields))
    return model, payload, np.frombuffer(upload, np.uint8)


def _write(
    payload: PicturesPayload,
    model: ImageModel,
    batch: BatchDecoder,
    files: Sequence[Path],
    grid: tuple[int, int] | None,
) -> None:
    """One file a picture, or a sheet and its atlas."""
    from ancestral.service.images.artifact import picture_file
    from ancestral.service.images.payloads import ImagePayload
    from ancestral.service.images.sheet import atlas, sheet_file

    if grid is None:
        for index, file in enumerate(files):
            file.write_bytes(picture_file(payload, model, index, batch))
        return
    assert isinstance(payload, ImagePayload), "a sheet is of a model with attributes"
    (file,), (_, columns) = files, grid
    file.write_bytes(sheet_file(payload, model, batch, columns))
    file.with_suffix(".json").write_bytes(atlas(payload, model, columns, file.name))


def _sample(sampler: ImageSampler, part: Part, decode: BatchDecoder) -> BatchDecoder:
    """All pictures, with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    batch = sampler.open(part)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("rows", total=sampler.model.spec.height)
        while not decode.complete:
            (symbols,) = sampler.engine.step([batch], batch.row_size)
            progress.update(task, advance=len(decode(symbols)))
    return decode
