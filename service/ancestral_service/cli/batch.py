"""``ancestral batch``: a data set of speech, pictures or likelihoods, a row of a file each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from ancestral.catalog.catalog import DEFAULT_MODEL
from ancestral.command_line import click_errors, field_options, progress_bar, pronunciations_option
from ancestral.requests import Speak


@click.command(short_help="Speak, draw or score every row of a file.")
@click.argument("rows")
@click.option("-o", "--output", required=True, help="A folder, or its address: s3://…, gs://…, whatever fsspec knows.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="A model's id.")
@field_options(Speak, "seed", default=0, help="A row's own seed is a digest of this one and of its key.")
@click.option("--score", is_flag=True, help="Score the recording or the image of every row.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Copy this column, too. Can be repeated.")
@click.option(
    "--to",
    "form",
    type=click.Choice(["parquet", "webdataset", "files"]),
    default="parquet",
    show_default=True,
    help="Parquet, tar files of WebDataset, or a FLAC or PNG for each row with a .jsonl for each part.",
)
@click.option("--engine", type=click.Choice(["ray"]), help="Sample on a Ray cluster instead of this machine's cores.")
@pronunciations_option
def command(
    rows: str,
    output: str,
    model: str,
    seed: int,
    score: bool,
    keep: tuple[str, ...],
    form: str,
    engine: str | None,
    lexicon: Path | None,
) -> None:
    """Make something of every row of ROWS, a .jsonl, .csv or .parquet file or its address (docs/batch.md).

    The columns are the arguments of the library's speak, draw or score. Interrupted, even by kill -9, the same command
    goes on where it was, and ends with the same bytes.
    """
    import pyarrow  # noqa: F401 - which some forms of rows need

    from ancestral.local import FAILURES
    from ancestral_service.cli.local.batch import Batch, BatchError, Output, begin, run_here, run_on_ray
    from ancestral_service.settings import load_settings

    with click_errors(*FAILURES, BatchError):
        settings = load_settings()
        config = settings.catalog_config
        if lexicon is not None:
            config = replace(config, pronunciations=lexicon)
        batch, parts = begin(
            Batch(
                source=rows, output=output, form=form, model=model, config=config, engine=settings.engine,
                seed=seed, score=score, keep=keep,
            )
        )  # fmt: skip
        run = run_on_ray(batch, parts) if engine else run_here(batch, parts, settings.threads)
        finished = batch.count - sum(map(batch.rows_of, parts))
        errors, first = _follow(run, finished, batch.count)
        Output(batch).tidy()
    new = batch.count - finished
    made = f"{_counted(batch.count, 'row')} in {_counted(batch.parts, 'part')}, {new} of them new"
    example = f"{', such as' if errors > 1 else ':'} {first}" if errors else ""
    click.echo(f"{output}: {made}, {_counted(errors, 'error')}{example}", err=True)


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _follow(run: Iterator[tuple[int, list[str]]], finished: int, count: int) -> tuple[int, str]:
    """Have all parts made, with a progress bar on standard error; returns how many rows have an error, and the first
    that is known."""
    errors, first = 0, ""
    with progress_bar("{task.completed} of {task.total}, {task.fields[rate]:.1f}/s") as bar:
        task = bar.add_task("rows", total=count, completed=finished, rate=0.0)
        for rows, wrong in run:
            errors, first = errors + len(wrong), first or next(iter(wrong), "")
            made = bar.tasks[task].completed + rows - finished
            bar.update(task, advance=rows, rate=made / max(bar.tasks[task].elapsed or 0.0, 1e-9))
    return errors, first
