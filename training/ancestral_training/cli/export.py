"""``ancestral export``: a checkpoint to ONNX."""

from __future__ import annotations

from pathlib import Path

import click

from ancestral.command_line import click_errors


@click.command(short_help="Write the ONNX graphs of a checkpoint.")
@click.argument(
    "checkpoints", metavar="CHECKPOINT…", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="A directory to create, with a copy of the only checkpoint. Default: beside the weights.",
)
def command(checkpoints: tuple[Path, ...], output: Path | None) -> None:
    """Write the ONNX graphs of CHECKPOINT, if they compute what its network does, with its weights and random ones.

    A graph holds no weights but refers to the bytes of the weights.safetensors beside it, and names its SHA-256: after
    a training it has to be exported again.
    """
    from ancestral_training.export import export

    if output is not None and len(checkpoints) > 1:
        raise click.BadParameter("takes one checkpoint", param_hint="--output")
    for checkpoint in checkpoints:
        with click_errors(ValueError, OSError):
            files = export(checkpoint, output)
        for file in files:
            click.echo(f"{file}: {file.stat().st_size} bytes", err=True)
        if not files:
            click.echo(f"{checkpoint}: nothing to write, its architecture has no ONNX exporter", err=True)
