"""``ancestral train``: make the models, or better ones. Runs go on where they were stopped."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from models.spec import CONDITIONINGS, SHAPINGS, PixelCNNSpec
from service.cli import explained

if TYPE_CHECKING:
    from models.training.loop import Task

_PREPARED = click.Path(exists=True, file_okay=False, path_type=Path)


class _Weights(click.ParamType[dict[str, float]]):
    """``heart=0.4,joe=0.3``: how often each speaker is drawn."""

    name = "speaker=weight,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, float]:
        try:
            pairs = [part.partition("=") for part in str(value).split(",")]
            weights = {name.strip(): float(weight or 1.0) for name, _, weight in pairs}
        except ValueError:
            self.fail(f"{value!r} is no list of speaker=weight", param, ctx)
        if not all(name and weight > 0.0 for name, weight in weights.items()):
            self.fail(f"{value!r}: every speaker needs a name and a positive weight", param, ctx)
        return weights


@click.group(short_help="Train a WaveNet, an acoustic model or a PixelCNN.")
def command() -> None:
    """Train on prepared corpora; the same command again resumes a run that was stopped or killed."""


def _speech_options(function: Callable[..., None]) -> Callable[..., None]:
    """What the models that speak share."""
    data = click.option("--data", type=_PREPARED, multiple=True, required=True, help="A prepared corpus; repeatable.")
    names = click.option("--speakers", type=_Weights(), required=True, help="In the order of the model's embedding.")
    return data(names(_options(function)))


_START = click.option("--start", type=_PREPARED, help="A checkpoint whose weights the run begins with.")


def _schedule_options(function: Callable[..., None]) -> Callable[..., None]:
    """The learning rate over time: a trunk without decay, and branches of it that have nothing else."""
    decorators = (
        click.option("--warmup", type=click.IntRange(1), help="Steps until the learning rate is reached."),
        click.option("--decay", type=click.FloatRange(0.0, 1.0), help="Share of the steps over which it falls to 0."),
        click.option(
            "--anneal-from", type=_PREPARED, help="A run to go on from, its learning rate falling to 0 in --steps."
        ),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """What all kinds of model share."""
    decorators = (
        click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True),
        click.option("--steps", type=click.IntRange(1), required=True, help="In all, those done before included."),
        click.option("--batch", type=click.IntRange(1), help="Items per process and step."),
        click.option("--learning-rate", type=click.FloatRange(0.0, min_open=True)),
        click.option("--processes", type=click.IntRange(1), help="One a core if absent; one in all on a GPU."),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


@command.command()
@_speech_options
@click.option("--size", type=click.Choice(["S", "M"]), default="S", show_default=True)
@click.option("--free", is_flag=True, help="Without frames: a model that babbles instead of reading.")
@click.option("--stacks", type=click.IntRange(1), help="Times the dilations rise from 1; fewer see further back.")
@click.option("--crop", type=click.IntRange(4), default=30, show_default=True, help="Frames of 10 ms an item.")
@click.option("--shaping", type=click.Choice(SHAPINGS), default="preemphasis", show_default=True)
@click.option(
    "--blur", type=click.FloatRange(0.0, 1.0), default=0.0, show_default=True, help="Share of items with blurred mels."
)
@_START
@_schedule_options
def wavenet(
    data: tuple[Path, ...],
    output: Path,
    speakers: dict[str, float],
    size: str,
    free: bool,
    stacks: int | None,
    crop: int,
    shaping: str,
    blur: float,
    start: Path | None,
    batch: int | None,
    seed: int,
    **loop: Any,
) -> None:
    """Train a WaveNet on frames and a speaker, or on a speaker alone; the loss is in bits per sample."""
    from models.spec import MEDIUM, SMALL, FeatureSpec, SpecError, WaveNetSpec
    from models.training.tasks.wavenet import WaveNetTask

    sizes = {"S": SMALL, "M": MEDIUM}[size] | ({"stacks": stacks} if stacks else {})
    with explained(SpecError):
        channels = 0 if free else FeatureSpec().channels
        spec = WaveNetSpec(speakers=tuple(speakers), local_channels=channels, shaping=shaping, **sizes)
    options: dict[str, Any] = {"crop_frames": crop, "blur": blur, "start": start, "seed": seed}
    _run(WaveNetTask(spec, data, speakers, batch=batch or 2, **options), output, seed=seed, **loop)


@command.command()
@_speech_options
def frames(
    data: tuple[Path, ...], output: Path, speakers: dict[str, float], batch: int | None, seed: int, **loop: Any
) -> None:
    """Train the model that turns phonemes into conditioning frames; the loss is a mean absolute error."""
    from models.spec import AcousticSpec, FeatureSpec
    from models.text.phonemes import PHONEMES
    from models.training.tasks.acoustic import AcousticTask

    spec = AcousticSpec(phonemes=PHONEMES, speakers=tuple(speakers), outputs=FeatureSpec().channels)
    _run(AcousticTask(spec, data, speakers, batch=batch or 16, seed=seed), output, seed=seed, **loop)


@command.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="An npz or a folder.")
@_options
@click.option("--levels", type=click.Choice(["2", "256"]), default="256", show_default=True)
@click.option("--gated/--original", default=True, help="Two gated stacks, or one with ReLU (1601.06759).")
@click.option("--layers", type=click.IntRange(2), default=15, show_default=True)
@click.option("--features", type=click.IntRange(2), default=64, show_default=True)
@click.option("--kernel-size", type=click.IntRange(3), default=3, show_default=True)
@click.option("--output-features", type=click.IntRange(1), default=128, show_default=True)
@click.option("--conditioning", type=click.Choice(CONDITIONINGS), default="class", show_default=True)
@click.option("--condition-channels", type=click.IntRange(1), default=32, show_default=True)
@click.option("--location-channels", type=click.IntRange(1), default=8, show_default=True)
@click.option(
    "--outline-layers",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of a network that draws every fourth pixel each way before all others; 0 is none.",
)
@click.option("--precision", type=click.Choice(["bfloat16", "float32"]), default="bfloat16", show_default=True)
@_START
def pixelcnn(
    data: Path,
    output: Path,
    levels: str,
    batch: int | None,
    precision: str,
    start: Path | None,
    seed: int,
    **options: Any,
) -> None:
    """Train a PixelCNN on pictures; the loss is in bits per sub-pixel."""
    from models.training.data.images import read_pictures
    from models.training.tasks.pixelcnn import PixelCNNTask

    loop = {name: options.pop(name) for name in ("steps", "learning_rate", "processes")}
    with explained(ValueError):
        pictures = read_pictures(data)
        height, width, channels = pictures.train.images.shape[1:]
        asked: dict[str, Any] = {} if options["conditioning"] == "none" else pictures.conditions
        spec = PixelCNNSpec(height, width, channels, int(levels), **asked, **options)
    task = PixelCNNTask(spec, data, batch=batch or 16, precision=precision, start=start, seed=seed)
    _run(task, output, seed=seed, **loop)


def _run(
    task: Task,
    output: Path,
    *,
    steps: int,
    learning_rate: float | None,
    processes: int | None,
    seed: int,
    anneal_from: Path | None = None,
    **schedule: float | None,
) -> None:
    import torch

    from models.training.loop import LoopConfig, train
    from models.training.start import branch

    given = {name: value for name, value in schedule.items() if value is not None}
    if learning_rate is not None:
        given["learning_rate"] = learning_rate
    count = processes or (1 if torch.cuda.is_available() else os.cpu_count() or 1)
    with explained(ValueError):
        if anneal_from is not None:
            begun, rate = branch(anneal_from, output)
            given = {"learning_rate": rate} | given | {"decay": steps / (begun + steps)}
            steps += begun
        config: Any = LoopConfig(steps, seed=seed, **given)  # type: ignore[arg-type]  # warmup is an int
        train(task, config, output, count)
