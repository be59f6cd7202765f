"""``ancestral draw``: pictures without a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from ancestral.command_line import FILE, check_output, check_suffix, click_errors, field_options, progress_bar
from ancestral.requests import Draw

if TYPE_CHECKING:
    from ancestral.images.picture import Pictures
    from ancestral.model import DrawArguments

_MOST = 1000
"""Most pictures at once."""


def _sheet(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[int, int] | str | None:
    """Rows and columns of a sheet, or the name of one that the model lays out."""
    if text is None or not text[:1].isdigit():
        return text
    found = re.fullmatch(r"([1-9]\d{0,3})[xX×]([1-9]\d{0,3})", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not ROWSxCOLUMNS, such as 10x8")
    rows, columns = map(int, found.groups())
    if rows * columns > _MOST:
        raise click.BadParameter(f"{text}: at most {_MOST} pictures")
    return rows, columns


def _palette(_context: click.Context, _option: click.Parameter, text: str | None) -> str | Path | None:
    """A palette's name, or its file."""
    return Path(text) if text is not None and text.lower().endswith((".gpl", ".hex")) else text


@click.command(short_help="Draw pictures of a class, or of what a picture shows, into files.")
@click.argument("name", metavar="[CLASS]", required=False)
@click.option(
    "--like", type=FILE, help="A picture to draw from instead of CLASS: it is drawn again, or the person on it."
)
@click.option("--edit", "edited", type=FILE, help="A picture to draw CLASS into, where --mask is transparent.")
@click.option("--mask", type=FILE, help="For --edit: a .png or .webp file, transparent where it is drawn anew.")
@click.option("--model", help="A model's id; the first that knows CLASS by default.")
@field_options(Draw, "style", help="One of the model's styles; any by default.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .png, .webp or .jpg file; several pictures are numbered: name-0.png, name-1.png, …",
)
@click.option("-n", "--count", type=click.IntRange(1, _MOST), default=1, show_default=True, help="Number of pictures.")
@click.option(
    "--sheet",
    metavar="ROWSxCOLUMNS|NAME",
    callback=_sheet,
    help="Write so many pictures as one sprite sheet instead, and an atlas beside it (places, seeds, attributes); or "
    "one character in all directions and frames of a sheet that the model lays out (docs/pictures.md).",
)
@click.option(
    "--animation",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --sheet NAME: also write the animation, as a .webp or .png (APNG) file.",
)
@click.option(
    "--atlas",
    type=click.Choice(["json", "godot"]),
    help="With --sheet: JSON as TexturePacker, Phaser and PixiJS have it (the default), or SpriteFrames of Godot 4.",
)
@click.option(
    "--padding",
    type=click.IntRange(0, 64),
    help="With --sheet: pixels around each picture, which repeat its edge; none by default.",
)
@click.option(
    "--scale", type=click.IntRange(1, 64), default=1, show_default=True, help="Side in pixels of each drawn pixel."
)
@field_options(Draw, "seed", "temperature", "guidance", "best_of", "background")
@click.option(
    "--palette",
    metavar="NAME|FILE",
    callback=_palette,
    help="Put the pictures into these colours: 1-bit, game-boy, pico-8, db16, db32, or a .gpl or .hex file.",
)
@click.option(
    "--save-palette",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the pictures' palette to this .gpl file, for GIMP or Aseprite.",
)
def command(
    name: str | None,
    like: Path | None,
    edited: Path | None,
    mask: Path | None,
    model: str | None,
    output: Path,
    count: int,
    sheet: tuple[int, int] | str | None,
    animation: Path | None,
    atlas: str | None,
    padding: int | None,
    scale: int,
    save_palette: Path | None,
    **options: Unpack[DrawArguments],
) -> None:
    """Draw pictures of CLASS, with a progress bar.

    CLASS is a name that `ancestral models` lists, or several of different attributes, separated by commas; `any` is
    nothing in particular. With --like, a model that draws from pictures reconstructs that picture, or draws portraits
    of the person on it. With --edit and --mask, a model that draws edits keeps what the mask keeps of that picture, and
    draws the rest.
    """
    from ancestral.formats import format_of
    from ancestral.images.files import SUFFIXES
    from ancestral.local import FAILURES
    from ancestral.provenance.c2pa import ingredient_of
    from ancestral_service.cli.local.model import configured_models
    from ancestral_service.settings import load_settings

    files = _files(output, count)
    if options["background"] == "transparent" and output.suffix.lower() in (".jpg", ".jpeg"):
        raise click.BadParameter("transparent is not possible, because jpeg has none", param_hint="--background")
    if sheet is not None:
        if count != 1:
            raise click.UsageError("--sheet says how many pictures there are; leave --count out")
    elif (atlas, padding) != (None, None):
        raise click.UsageError("--atlas and --padding are for --sheet")
    if animation is not None:
        _check_animation(animation, output, sheet)
    if (not name) == (like is None):
        raise click.UsageError("what to draw: either CLASS or --like")
    if (edited is None) != (mask is None) or (edited is not None and (like, sheet) != (None, None)):
        raise click.UsageError("--edit and --mask go together, and not with --like or --sheet")
    if like is not None and (options["style"], options["guidance"], sheet, options["best_of"]) != (None, None, None, 1):
        raise click.UsageError("--style, --guidance, --best-of and --sheet are for models of classes, not for --like")
    with click_errors(*FAILURES):
        settings = load_settings()
        signer = settings.load_signer()
        source = edited or like
        ingredient = None if signer is None or source is None else ingredient_of(source.read_bytes(), str(source))
        models = configured_models(settings)
        painter = models.model_that_draws(name) if model is None else models.load(model)
        if like is not None:
            pictures = painter.reconstruct(like, count, **options)
        else:
            if edited is not None and mask is not None:
                pictures = painter.edit(edited, mask, name or "any", count, **options)
            elif isinstance(sheet, str):
                pictures = painter.draw_sheet(sheet, name, **options)
            else:
                pictures = painter.draw_many(name, count if sheet is None else sheet[0] * sheet[1], **options)
        if save_palette is not None:
            pictures.save_palette(save_palette)
        columns = sheet[1] if isinstance(sheet, tuple) else None
        if sheet is not None:
            # A sheet that is too large is refused at once.
            pictures.sheet_grid(columns, scale, padding or 0, format_of(output, SUFFIXES))
        _sample(pictures)
        if sheet is not None:
            pictures.save_sheet(output, columns, scale, signer, padding=padding or 0, atlas=atlas or "json")
            if animation is not None:
                pictures.save_animation(animation, scale, signer)
        else:
            for picture, file in zip(pictures, files, strict=True):
                picture.save(file, scale, signer, ingredient)
    prompts = pictures.drawing.revised_prompts
    revised = "; ".join(filter(None, prompts[:1] if isinstance(sheet, str) else () if sheet else prompts))
    written = str(output) if len(files) == 1 else f"{files[0]} to {files[-1]}"
    size = "x".join(map(str, pictures.pixels.shape[2:0:-1]))
    suffix = f": {revised}" if revised else ""
    click.echo(f"{written}: {len(pictures)} of {size}, seed {pictures.drawing.seeds[0]}{suffix}", err=True)


def _check_animation(animation: Path, output: Path, sheet: tuple[int, int] | str | None) -> None:
    """Raise unless a moving picture can be written."""
    from ancestral.images.files import MOVING_SUFFIXES

    if not isinstance(sheet, str):
        raise click.UsageError("--animation is for --sheet NAME")
    check_suffix(animation, MOVING_SUFFIXES, "--animation")
    if animation == output:
        raise click.BadParameter(f"{animation}: the sheet is written there", param_hint="--animation")
    check_output(animation)


def _files(output: Path, count: int) -> list[Path]:
    """The names of so many files."""
    from ancestral.images.files import SUFFIXES

    check_suffix(output, SUFFIXES)
    files = [output] if count == 1 else [output.with_stem(f"{output.stem}-{number}") for number in range(count)]
    check_output(files[0])
    return files


def _sample(pictures: Pictures) -> None:
    """Sample all of them, with a progress bar on standard error."""
    with progress_bar("{task.percentage:.0f} %") as progress:
        task = progress.add_task("rows", total=pictures.height)
        for rows in pictures.rows():
            progress.update(task, completed=rows)
