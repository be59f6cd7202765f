"""``ancestral provenance``: certificates that finished files are signed with."""

from __future__ import annotations

from pathlib import Path

import click

from ancestral.command_line import click_errors


@click.group(short_help="Make a certificate to sign files with, for trials.")
def command() -> None:
    """Certificates that finished files are signed with (C2PA, docs/provenance.md)."""


@command.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", default="Trial of Ancestral", show_default=True, help="The organisation that it names.")
def init(directory: Path, name: str) -> None:
    """Make a certificate and its key in DIRECTORY, for trials.

    It is valid for a year, and issued by a root of its own, which no verifier trusts: they say that a file is signed
    and unaltered, but not that they know by whom. For that, get a certificate from an authority on C2PA's trust list.
    """
    from ancestral.provenance.c2pa import SignerError, make_trial_chain

    with click_errors(SignerError, OSError):
        certificate, key = make_trial_chain(directory, name)
    click.echo(f"ANCESTRAL_SIGNING_CERT={certificate.absolute()}")
    click.echo(f"ANCESTRAL_SIGNING_KEY={key.absolute()}")
    click.echo(
        f"For trials: no verifier trusts this certificate, but for those that are given {directory / 'root.pem'}.",
        err=True,
    )
