"""``ancestral train``: train networks. A run that was stopped is resumed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ancestral.command_line import click_errors
from ancestral_models.architectures import ArchitectureError, architecture, kinds, load_object
from ancestral_models.spec import SHAPINGS, ImageSpec, PictureSpec, Spec

if TYPE_CHECKING:
    from ancestral_training.loop import Task

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


class _Commands(click.Group):
    """A command for each speech architecture, and one for each architecture of pictures, those of plugins included."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *(kind for kind in kinds() if _is_image(kind))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        return found or (_image_command(cmd_name) if cmd_name in kinds() else None)


def _is_image(kind: str) -> bool:
    try:
        return issubclass(architecture(kind).spec, PictureSpec)
    except ArchitectureError:
        return False  # a broken plugin: training it by its name reports the reason


@click.group(cls=_Commands, short_help="Train a speech, acoustic or image network.")
def command() -> None:
    """Train on prepared corpora; the same command again resumes a run that was stopped or killed."""


def _speech_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of all speech networks."""
    data = click.option("--data", type=_PREPARED, multiple=True, required=True, help="A prepared corpus; repeatable.")
    names = click.option("--speakers", type=_Weights(), required=True, help="In the order of the model's embedding.")
    return data(names(_options(function)))


_ENCODER = click.option(
    "--encoder", type=_PREPARED, help="For portraits: the checkpoint of an encoder of identities, which stays as it is."
)
_LABELS = [
    click.option(
        "--label-dropout",
        type=click.FloatRange(0.0, 1.0),
        help="How often a label is left out: rarely where every label is always given.  [default: 0.05]",
    ),
    click.option(
        "--unconditional",
        type=click.FloatRange(0.0, 0.5),
        help="How often all labels are left out, which guidance needs.  [default: 0.1]",
    ),
]
_START = click.option("--start", type=_PREPARED, help="A checkpoint whose weights the run starts from.")


def _schedule_options(function: Callable[..., None]) -> Callable[..., None]:
    """The learning rate over time: a trunk without decay, and branches of it that have nothing else."""
    decorators = (
        click.option("--warmup", type=click.IntRange(1), help="Steps until the learning rate is reached."),
        click.option("--decay", type=click.FloatRange(0.0, 1.0), help="Share of the steps over which it falls to 0."),
        click.option(
            "--anneal-from", type=_PREPARED, help="A run to go on from, its learning rate falling to 0 in --steps."
        ),
    )
    return _decorated(function, decorators)


def _decorated(function: Callable[..., Any], decorators: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """A function with decorators as if they stood above it."""
    return reduce(lambda inner, decorate: decorate(inner), reversed(decorators), function)


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of all networks."""
    decorators = (
        click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True),
        click.option("--steps", type=click.IntRange(1), required=True, help="In all, including those already done."),
        click.option("--batch", type=click.IntRange(1), help="Items per process and step."),
        click.option("--learning-rate", type=click.FloatRange(0.0, min_open=True)),
        click.option("--processes", type=click.IntRange(1), help="Default: one per core, or one on a GPU."),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
        click.option(
            "--precision",
            type=click.Choice(["bfloat16", "float32"]),
            help="Of the arithmetic. Default: bfloat16 where it is faster (GPUs, AMX, ARM), otherwise float32.",
        ),
        click.option(
            "--minutes",
            type=click.FloatRange(0.0, min_open=True),
            default=math.inf,
            help="Stop and save after so long; the same command goes on. With one process.",
        ),
    )
    return _decorated(function, decorators)


@command.command()
@_speech_options
@click.option("--size", type=click.Choice(["S", "M"]), default="S", show_default=True)
@click.option("--free", is_flag=True, help="Without frames: free generation instead of text to speech.")
@click.option("--stacks", type=click.IntRange(1), help="How often dilations start from 1; fewer see further back.")
@click.option("--crop", type=click.IntRange(4), default=30, show_default=True, help="Frames of 10 ms per item.")
@click.option("--shaping", type=click.Choice(SHAPINGS), default="preemphasis", show_default=True)
@click.option(
    "--blur", type=click.FloatRange(0.0, 1.0), default=0.0, show_default=True, help="Share of items with blurred mels."
)
@_START
@_schedule_options
def wavenet(
    data: tuple[Path, ...], output: Path, speakers: dict[str, float], size: str, free: bool, stacks: int | None,
    crop: int, shaping: str, blur: float, start: Path | None, batch: int | None, precision: str | None, seed: int,
    **loop: Any,
) -> None:  # fmt: skip
    """Train a WaveNet on frames and a speaker, or on a speaker alone; the loss is in bits per sample."""
    from ancestral_models.architectures.wavenet import MEDIUM, SMALL, WaveNetSpec
    from ancestral_models.spec import FeatureSpec, SpecError

    if free and blur:
        raise click.UsageError("--blur: a network without frames has none to blur")
    sizes = {"S": SMALL, "M": MEDIUM}[size] | ({"stacks": stacks} if stacks else {})
    with click_errors(SpecError):
        channels = 0 if free else FeatureSpec().channels
        spec = WaveNetSpec(speakers=tuple(speakers), local_channels=channels, shaping=shaping, **sizes)
    options = _given(crop_frames=crop, blur=blur, start=start, batch=batch, precision=precision, seed=seed)
    _run(_task(spec)(spec, data, speakers, **options), output, seed=seed, **loop)


@command.command()
@_speech_options
@_START
@_schedule_options
def acoustic(
    data: tuple[Path, ...], output: Path, speakers: dict[str, float], start: Path | None, batch: int | None,
    precision: str | None, seed: int, **loop: Any,
) -> None:  # fmt: skip
    """Train the acoustic model: phonemes to conditioning frames; the loss is a mean absolute error, and that of a
    discriminator of mels."""
    from ancestral_models.architectures.acoustic import AcousticSpec
    from ancestral_models.spec import FeatureSpec
    from ancestral_models.text.phonemes import PHONEMES

    spec = AcousticSpec(phonemes=PHONEMES, speakers=tuple(speakers), outputs=FeatureSpec().channels)
    options = _given(start=start, batch=batch, precision=precision, seed=seed)
    _run(_task(spec)(spec, data, speakers, **options), output, seed=seed, **loop)


@command.command("high-band")
@click.argument("corpora", type=_PREPARED, nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="Clips of each voice.")
def high_band(corpora: tuple[Path, ...], output: Path, count: int) -> None:
    """Fit what the voices of CORPORA, of 24 kHz, sound like above 8 kHz. It takes a second a voice."""
    from ancestral_training.corpora import read
    from ancestral_training.voice import fit_high_band

    with click_errors(ValueError):
        figures = fit_high_band([clip for corpus in corpora for clip in read(corpus)], output, count)
    click.echo(", ".join(f"{name} {value:.2f}" for name, value in figures.items()), err=True)


def _task(spec: Spec) -> Any:
    """The class of an architecture's training task."""
    task = architecture(spec.kind).task
    assert task is not None
    return load_object(task)


def _given(**options: Any) -> dict[str, Any]:
    """The options that are not None: the others keep their defaults."""
    return {name: value for name, value in options.items() if value is not None}


def _image_command(kind: str) -> click.Command | None:
    """The command that trains an image architecture: its options are the fields of its spec."""
    try:
        found = architecture(kind)
    except ArchitectureError as error:
        raise click.ClickException(str(error)) from None
    if not issubclass(found.spec, PictureSpec) or found.task is None:
        return None
    spec = found.spec
    of_pictures = "portraits" in {field.name for field in dataclasses.fields(spec)}

    def train(data: Path, output: Path, levels: str, seed: int, **options: Any) -> None:
        from ancestral_training.data.images import read_pictures

        schedule = ("steps", "learning_rate", "processes", "minutes", "warmup", "decay", "anneal_from")
        loop = {name: options.pop(name) for name in schedule}
        of_task = ("start", "batch", "precision", "encoder", "label_dropout", "unconditional")
        parts = _given(**{name: options.pop(name) for name in of_task if name in options})
        if "encoder" in parts:
            options["portraits"] = True
        with click_errors(ValueError):
            pictures = read_pictures(data)
            data_fields = {"levels": int(levels)} | pictures.spec_fields
            wanted = spec.for_pictures(pictures.shape, data_fields, **options)
        _run(_task(wanted)(wanted, data, seed=seed, **parts), output, seed=seed, **loop)

    train.__doc__ = f"Train a network of pictures, {kind}."
    decorators: tuple[Callable[..., Any], ...] = (
        click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="An npz or a folder."),
        _options,
        click.option(
            "--levels",
            type=click.Choice(["2", "256"]),
            default="256",
            show_default=True,
            help="Levels of a sub-pixel; pictures with a palette have as many as it has colours.",
        ),
        *(_spec_option(field) for field in dataclasses.fields(spec) if field.metadata),
        *([_ENCODER] if of_pictures else _LABELS if issubclass(spec, ImageSpec) else []),
        _START,
        _schedule_options,
    )
    return click.command(kind)(_decorated(train, decorators))


def _spec_option(field: dataclasses.Field[Any]) -> Callable[..., Any]:
    meta, name = field.metadata, f"--{field.name.replace('_', '-')}"
    if meta["off"] is not None:
        return click.option(f"{name}/--{meta['off']}", default=meta["default"], help=meta["description"])
    choice = click.Choice(meta["choices"]) if meta["choices"] else click.IntRange(meta["least"])
    return click.option(name, type=choice, default=meta["default"], show_default=True, help=meta["description"])


def _run(
    task: Task, out: Path, *, steps: int, processes: int | None, minutes: float, anneal_from: Path | None, **given: Any
) -> None:
    from ancestral_training import loop
    from ancestral_training.loop import LoopConfig, branch, train

    given = _given(**given)
    count = processes or loop.world_size() or loop.default_processes()
    with click_errors(ValueError), loop.process_group():
        if anneal_from is not None:
            if "decay" in given:
                raise ValueError("decay: the learning rate of a branch falls over all of its steps")
            begun, rate = loop.rank_zero_first(lambda: branch(anneal_from, out))
            given = {"learning_rate": rate, "warmup": 1, "decay": steps / (begun + steps)} | given
            steps += begun
        train(task, LoopConfig(steps, **given), out, count, minutes)
