"""``ancestral evaluate``: word errors or class accuracy of samples, speed, likelihood of real data."""

from __future__ import annotations

import click

from ancestral.training.cli.evaluation.pictures import images
from ancestral.training.cli.evaluation.speech import listen, speech, voices


@click.group(short_help="Measure the quality of a model's speech or pictures.")
def command() -> None:
    """Compare a model's speech or pictures with its training data."""


for _command in (speech, voices, listen, images):
    command.add_command(_command)
