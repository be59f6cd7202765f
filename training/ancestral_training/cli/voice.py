"""``ancestral voice``: add a voice of one's own."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ancestral.command_line import click_errors, model_options
from ancestral.errors import AncestralError

if TYPE_CHECKING:
    from ancestral.catalog.catalog import CatalogConfig
    from ancestral.model import Model

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(short_help="Add a voice made from your own recordings.")
def command() -> None:
    """Make voices from recordings."""


@command.command()
@click.argument("name")
@click.option("--audio", type=_FOLDER, required=True, help="The folder of the recordings: wav, flac, ogg or mp3.")
@click.option(
    "--text", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
    help="A line for each recording: FILE|TEXT.",
)  # fmt: skip
@click.option("--base", default="wavenet-en", show_default=True, help="The model to fine-tune.")
@click.option("--gender", type=click.Choice(["female", "male", "neutral"]), default="neutral", show_default=True)
@click.option("--language", default="en-US", show_default=True, help="A tag of BCP 47: es-ES, fr-FR, it-IT, pt-BR, …")
@click.option("--licence", default="not stated", show_default=True, help="Licence of the recordings.")
@click.option("--wavenet-steps", type=click.IntRange(1), default=1200, show_default=True)
@click.option("--acoustic-steps", type=click.IntRange(1), default=1200, show_default=True)
@click.option("--processes", type=click.IntRange(1), help="Default: one per core, or one on a GPU.")
@click.option(
    "--work", type=click.Path(file_okay=False, path_type=Path), help="Folder of the runs. [default: build/voices/NAME]"
)
@click.option("--evaluate", is_flag=True, help="Judge the trained voice, and write the figures into its card.")
@model_options
def add(
    name: str, audio: Path, text: Path, base: str, gender: str, language: str, licence: str, wavenet_steps: int,
    acoustic_steps: int, processes: int | None, work: Path | None, evaluate: bool,
    config: CatalogConfig, engine: str,
) -> None:  # fmt: skip
    """Make the model NAME, which has the voice NAME, from recordings and their text. Needs the extras `train` and, to
    evaluate, `evaluate` (docs/voice.md).

    Both networks of --base are fine-tuned; the other voices stay as they are. The same command again goes on where it
    was stopped, in the evaluation too. A server that is started afterwards lists the model.
    """
    from ancestral_models.entries import Voice, model_id
    from ancestral_models.text.languages.language import primary

    with click_errors(AncestralError, ImportError, ValueError, OSError):
        from ancestral_training.loop import default_processes
        from ancestral_training.voice import SOURCE, NewVoice, add_voice, read_recordings

        judges = ("distillmos", "faster_whisper", "jiwer", "speechmos") if evaluate else ()
        if missing := [judge for judge in judges if find_spec(judge) is None]:
            raise ImportError(f"--evaluate: {', '.join(missing)} must be installed first: docs/voice.md")
        if evaluate:
            from ancestral_training.evaluation.speech import Listener, OpinionJudge

            Listener(), OpinionJudge()  # whose weights may be missing: told before the training, not after it
        models, entries = config.directories[-1], config.entries()
        if base not in entries or entries[base].kind != "speech":
            raise ValueError(f"base: {base!r} is no model that reads text")
        out, folder = models / model_id(name), work or Path("build/voices") / name
        made = evaluate and out.exists() and (folder / SOURCE).exists()  # stopped while it was judged
        if not made and (name in entries or out.exists()):
            raise ValueError(f"name: there is a model {name!r} already")
        primary(language)
        models.mkdir(parents=True, exist_ok=True)
        clips = read_recordings(audio, text, name)
        sampling = entries[base].voices[0].sampling
        voice = Voice(name, name.capitalize(), language, gender, f"Fine-tuned from {base}", licence, sampling)
        count = processes or default_processes()
        new = NewVoice(voice, entries[base], folder, out, wavenet_steps, acoustic_steps, count)
        add_voice(new, clips, lambda line: click.echo(line, err=True))
        if evaluate:
            from ancestral.model import load_from

            _evaluate(load_from(config, name, engine), folder / "corpus")
    click.echo(f"{out}: start the server again, and the voice {name!r} is listed", err=True)


def _evaluate(model: Model, corpus: Path) -> None:
    """Print what judges say of the voice, and write it into the card of its WaveNet."""
    from ancestral_models import checkpoint as checkpoints
    from ancestral_training.cli.evaluate import speech_report

    click.echo("Evaluating", err=True)
    report = speech_report(model, model.id, corpus, sentences=100, temperature=None, keep=None)
    click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    loaded = checkpoints.load(model.speech_sampler.model.entry.sampled)
    rows = [
        f"| {figure} | {report[figure]:.3f} | {report['teacher'][figure]:.3f} |"
        for figure in ("wer", "distillmos", "dnsmos", "median_f0", "voiced_share")
    ]
    table = ["## Served from text", "", f"{report['sentences']} held-out sentences.", "", "| | voice | recordings |"]
    card = "\n".join([loaded.card.partition(table[0])[0].rstrip(), "", *table, "|---|---|---|", *rows, ""])
    checkpoints.save(loaded.path, loaded.spec, loaded.tensors, card, half=loaded.half)
