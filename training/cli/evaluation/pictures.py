"""``ancestral evaluate images``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ancestral.command_line import FiniteRange, click_errors
from ancestral.models.entries import MANIFEST, MAX_GUIDANCE, MAX_TEMPERATURE, ModelEntry

if TYPE_CHECKING:
    from ancestral.models.checkpoint import Checkpoint
    from ancestral.models.classification import PictureClassifier
    from ancestral.training.tasks.images import ImageTask

_CHECKPOINT = click.Path(exists=True, file_okay=False, path_type=Path)
_PICTURES = click.Path(exists=True, path_type=Path)
_GUIDANCES = (1.0, 1.5, 2.0, 3.0)
_DEFAULT = "Default: that of the model.json beside CHECKPOINT, or 1."


@click.command()
@click.argument("checkpoint", type=_CHECKPOINT)
@click.option("--data", type=_PICTURES, required=True, help="Its training data.")
@click.option(
    "--pictures",
    type=click.IntRange(0),
    help="Of the test set, whose likelihood is computed; 0 leaves it out. Default: all.",
)
@click.option(
    "--drawn", type=click.IntRange(0), default=100, show_default=True, help="Samples of each class; 0 leaves them out."
)
@click.option("--temperature", type=FiniteRange(0.0, MAX_TEMPERATURE), help=f"Of the samples. {_DEFAULT}")
@click.option("--guidance", type=FiniteRange(0.0, MAX_GUIDANCE), help=f"To the class. {_DEFAULT}")
@click.option("--named", type=click.IntRange(0), default=0, help="Samples with all attributes named, a guidance.")
@click.option("--edited", type=click.IntRange(0), default=0, help="Edits of real pictures, each of one attribute.")
@click.option("--classifier", type=_CHECKPOINT, help="Of real pictures. Default: classifier/ beside CHECKPOINT.")
@click.option("--card", is_flag=True, help="Put the sheet beside CHECKPOINT's card, and show it there.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
def images(
    checkpoint: Path,
    data: Path,
    pictures: int | None,
    drawn: int,
    temperature: float | None,
    guidance: float | None,
    named: int,
    edited: int,
    classifier: Path | None,
    card: bool,
    output: Path,
) -> None:
    """Evaluate CHECKPOINT, an image network with attributes: write report.json and sheets into a folder.

    The first attribute is called the class here; the others of sampled pictures are drawn from what occurred
    together in training. Measured are the likelihood of real test pictures in nats and bits (conditional,
    unconditional, summed over the classes; beside it that of independent pixels and of PNG); how well a classifier
    of real pictures recognises each attribute, of real and of sampled pictures. As many more are sampled for the
    labels of test pictures: precision and recall in the classifier's features, and how near they are to training
    pictures, both compared with test pictures. The sheets are ten sampled pictures of every class (sheet.png), and
    sampled pictures beside the nearest real ones (nearest.png).

    With --named so many pictures are sampled with every attribute named, all values alike, without guidance and with
    1.5, 2 and 3: how well each attribute is recognised, and how often all are.

    With --edited so many edits of real test pictures are drawn, each asked for another value of one attribute in the
    region where that shows: how often it is seen (and edits.png).

    The classifier is the model's own (classifier/ beside CHECKPOINT), or is trained anew, which takes minutes. Where
    every attribute has one value, there is none, and nothing that needs it is measured.

    CHECKPOINT may also be a network that draws from pictures. The report then says how likely test pictures are given
    their own vectors or, of portraits, another picture of the same person; and of portraits how often those of as many
    test pictures as --drawn says lead to another real picture of the same person. The rows of the sheet are originals,
    and four samples of each.
    """
    from ancestral.models import checkpoint as checkpoints
    from ancestral.models.engines import load_image_engine
    from ancestral.training.evaluation.edits import edited_figures
    from ancestral.training.evaluation.image_report import fidelity_figures, likelihood_figures, named_figures
    from ancestral.training.evaluation.images import (
        draw_classes,
        draw_matched,
        draw_named,
        write_classes,
        write_nearest,
    )
    from ancestral.training.evaluation.reconstructions import reconstruction_report
    from ancestral.training.model_card import SHEET
    from ancestral.training.tasks.images import ImageTask

    with click_errors(ValueError):
        loaded = checkpoints.load(checkpoint)
        engine = load_image_engine("native", loaded)
        entry = _entry_beside(checkpoint)
        temperature = _given_or(temperature, 1.0 if entry is None else entry.temperature)
        guidance = _given_or(guidance, 1.0 if entry is None else entry.guidance)
        if engine.spec.encoder is not None:
            if guidance != 1.0:
                raise ValueError("guidance: a network that draws from pictures has no classes to guide it to")
            if pictures == 0:
                raise ValueError("pictures: of a network that draws from pictures at least one")
            found = reconstruction_report(loaded, engine, data, output, drawn, pictures, temperature)
            _finish(loaded, found, output, card=card)
            return
        task = ImageTask(engine.spec, data)
        test = task.held_out(task.pictures.test, pictures)
        if not engine.spec.attributes:
            raise ValueError(f"{checkpoint}: the model has no attributes")
        if card and not drawn:
            raise ValueError("drawn: the card shows samples of each class")
        if edited and not engine.spec.draws_edits:
            raise ValueError("edited: the model draws no edits")
        judged_by, sha256 = _classifier(classifier or (None if entry is None else entry.classifier), task)
        if judged_by is None and (named or edited):
            raise ValueError("named, edited: every attribute of the model has one value")
    report: dict[str, Any] = {"sha256": loaded.sha256, "engine": engine.name, "classifier_sha256": sha256}
    if len(test.images):
        report |= {"pictures": len(test.images), **likelihood_figures(loaded, task, test)}
    report["temperature"] = temperature
    output.mkdir(parents=True, exist_ok=True)
    if drawn:
        made, seconds = draw_classes(engine, drawn, temperature, guidance)
        matched = draw_matched(engine, task.pictures.test, len(made.images), temperature, guidance)
        compared = fidelity_figures(task, made, matched, judged_by)
        report |= {"guidance": guidance, "seconds_per_picture": seconds, **compared}
        write_classes(made, engine.spec, output / SHEET)
        write_nearest(made, task.pictures.train.images, engine.spec, output / "nearest.png")
    if named and judged_by is not None:
        all_named = {strength: draw_named(engine, named, temperature, strength)[0] for strength in _GUIDANCES}
        report["named"] = named_figures(task, all_named, judged_by)
    if edited and judged_by is not None:
        sheet = output / "edits.png"
        report["edited"] = edited_figures(engine, task, edited, temperature, guidance, judged_by, sheet)
    _finish(loaded, report, output, card=card)


def _entry_beside(checkpoint: Path) -> ModelEntry | None:
    """The model that a checkpoint is of, if its folder is a model's."""
    folder = checkpoint.absolute().parent
    return ModelEntry.read(folder) if (folder / MANIFEST).is_file() else None


def _given_or(value: float | None, default: float) -> float:
    return default if value is None else value


def _classifier(path: Path | None, task: ImageTask) -> tuple[PictureClassifier | None, str | None]:
    """A classifier and the hash of its weights; without a path, one that is trained here, if there is a choice of
    values.

    Raises:
        ValueError: the checkpoint is damaged, or that of a classifier of other pictures.
    """
    from ancestral.models import checkpoint as checkpoints
    from ancestral.models.architectures.classifier import ClassifierSpec, shared_fields
    from ancestral.models.classification import PictureClassifier
    from ancestral.training.evaluation.judges import classifier_spec, train_classifier

    if path is None:
        if all(len(values) == 1 for _, values in task.spec.attributes):
            return None, None
        return train_classifier(task.pictures.train, classifier_spec(task.spec, task.spec.attributes)), None
    loaded = checkpoints.load(path)
    spec = loaded.spec_as(ClassifierSpec)
    if spec != dataclasses.replace(spec, **shared_fields(task.spec)):
        raise ValueError(f"{path}: it is not of the pictures and attributes of this network")
    return PictureClassifier(spec, loaded.tensors), loaded.sha256


def _finish(loaded: Checkpoint, report: dict[str, Any], output: Path, *, card: bool) -> None:
    """Write and print the report, and put the sheet beside the checkpoint's card if that is wanted."""
    from ancestral.training.model_card import SHEET

    text = json.dumps(report, indent=2)
    (output / "report.json").write_text(text + "\n")
    click.echo(text)
    if card:
        _show_in_card(loaded, output / SHEET)


def _show_in_card(loaded: Checkpoint, sheet: Path) -> None:
    """Rewrite the checkpoint with the sheet in its card, and the sheet beside it. The weights are unchanged."""
    from ancestral.models import checkpoint as checkpoints
    from ancestral.training.model_card import SHEET, with_sheet

    checkpoints.save(loaded.path, loaded.spec, loaded.tensors, with_sheet(loaded.card), half=loaded.half)
    (loaded.path / SHEET).write_bytes(sheet.read_bytes())
