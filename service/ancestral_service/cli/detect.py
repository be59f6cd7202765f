"""``ancestral detect``: whether files were made here, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import click
from pydantic import Field

from ancestral.command_line import FILE, FieldType, click_errors, field_options
from ancestral.requests import Speak

_SECONDS = Annotated[float, Field(ge=0.0, le=86400.0, allow_inf_nan=False)]


def _recipe(_context: click.Context, _option: click.Parameter, text: str | None) -> dict[str, Any] | None:
    """A recipe as JSON, or ``@`` and the name of a file with it."""
    from ancestral.detection.upload import parse_recipe
    from ancestral.errors import InvalidRequest

    if text is None:
        return None
    try:
        return parse_recipe(Path(text[1:]).read_text("utf-8") if text.startswith("@") else text, "--recipe")
    except (InvalidRequest, OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(str(error)) from error


@click.command(short_help="Say whether files were made here, with the evidence.")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--model", help="A model's id; by default all that fit, or for sound the first that has the voice.")
@field_options(Speak, "seed", help="The seed that may have made them.")
@click.option("--recipe", metavar="JSON|@FILE", callback=_recipe, help="Instead of the file's own; may be a manifest.")
@click.option("--voice", help="The voice of recordings.")
@click.option("--text", help="What is said in recordings.")
@click.option(
    "--counters",
    type=click.IntRange(0, 2**53),
    default=0,
    metavar="N",
    help="Search the seeds of the first N counters of ANCESTRAL_PROVENANCE_KEY, the newest first.",
)
@click.option("--seconds", type=FieldType("seconds", _SECONDS), default=10.0, show_default=True, help="For the search.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with all evidence.")
def command(files: tuple[Path, ...], counters: int, seconds: float, as_json: bool, **told: Any) -> None:
    """Say of FILES (PNG, WebP, JPEG, WAV, FLAC, Ogg, MP3) whether they were sampled here: by their signature, by
    sampling their recipe again, by the noise of their seed.

    Exit code 0: all of them were; 1: of one there is no proof, or it cannot be read. docs/provenance.md says what each
    verdict means.
    """
    from ancestral.detection.local import Detector
    from ancestral.errors import InvalidRequest
    from ancestral.local import FAILURES
    from ancestral_service.settings import load_settings

    with click_errors(*FAILURES):
        settings = load_settings()
        key = None if settings.provenance_key is None else settings.provenance_key.get_secret_value().encode()
        if counters and key is None:
            raise click.UsageError("--counters needs ANCESTRAL_PROVENANCE_KEY, whose seeds are searched")
        detector = Detector(settings.catalog_config, settings.engine, key, signer=settings.load_signer())
        proven = []
        for file in files:
            try:
                answer = detector.detect(file, counters=counters, seconds=seconds, **told)
            except InvalidRequest as error:
                click.echo(f"Error: {file}: {error}", err=True)
                proven.append(False)
                continue
            click.echo(json.dumps({"file": str(file), **answer}) if as_json else f"{file}: {_told(answer)}")
            proven.append(answer["verdict"] in ("made_here", "made_with_model"))
    if not all(proven):
        raise SystemExit(1)


def _told(answer: dict[str, Any]) -> str:
    """The verdict and the evidence in a line."""
    seed = answer["seed"]
    if seed["status"] == "not_tried":
        return f"{answer['verdict']} (seed: {seed['reason']})"
    found = f", seed {seed['seed']}" if seed["status"] == "found" else ""
    return f"{answer['verdict']} (p = 10^{seed['log10_p']:.1f} after {seed['seeds_tried']} seeds{found})"
