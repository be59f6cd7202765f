"""``ancestral evaluate images``, ``characters``, ``embedding`` and ``table``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ancestral.command_line import FiniteRange, check_output, click_errors
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
@click.option("--judge", type=_CHECKPOINT, help="Of portraits: another encoder of identities than the network's own.")
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
    judge: Path | None,
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
    1.5, 2 and 3: how well each attribute is recognised, how often all are, and how many cloaks have two colours.

    With --edited so many edits of real test pictures are drawn, each asked for another value of one attribute in the
    region where that shows: how often it is seen (and edits.png).

    The classifier is the model's own (classifier/ beside CHECKPOINT), or is trained anew, which takes minutes. Where
    every attribute has one value, there is none, and nothing that needs it is measured.

    CHECKPOINT may also be a network that draws from pictures. Of an autoencoder the report says how likely test
    pictures are given their own vectors, and how often a classifier sees the class of the original in four
    reconstructions of so many of them as --drawn says, and in those of a decoder that minimises the squared error. Of
    portraits it says how often they lead to another real picture of the same person. The rows of the sheet are
    originals; reconstructions by the other decoder, or other real pictures of the same person; and four samples.
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
    from ancestral.training.evaluation.reconstruction_report import reconstruction_report
    from ancestral.training.model_card import SHEET
    from ancestral.training.tasks.images import ImageTask

    with click_errors(ValueError):
        loaded = checkpoints.load(checkpoint)
        engine = load_image_engine("native", loaded)
        other = None if judge is None else checkpoints.load(judge)
        if judge is not None and engine.spec.drawn_from != "person":
            raise ValueError("judge: of a network of portraits alone")
        entry = _entry_beside(checkpoint)
        temperature = _given_or(temperature, 1.0 if entry is None else entry.temperature)
        guidance = _given_or(guidance, 1.0 if entry is None else entry.guidance)
        if engine.spec.encoder is not None:
            if guidance != 1.0:
                raise ValueError("guidance: a network that draws from pictures has no classes to guide it to")
            if pictures == 0:
                raise ValueError("pictures: of a network that draws from pictures at least one")
            found = reconstruction_report(loaded, engine, data, output, drawn, pictures, temperature, other)
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


@click.command()
@click.argument("checkpoint", type=_CHECKPOINT)
@click.option("--count", type=click.IntRange(1), default=50, show_default=True, help="Characters, in all poses each.")
@click.option("--temperature", type=FiniteRange(0.0, MAX_TEMPERATURE), help=f"Of the samples. {_DEFAULT}")
def characters(checkpoint: Path, count: int, temperature: float | None) -> None:
    """Evaluate CHECKPOINT, trained on the corpus of characters: how often looks, direction and frame are as asked.

    Every character is drawn in all poses, and compared with the sprites that the corpus is made of, which are fetched
    as `ancestral corpus build characters` does. Written as JSON.
    """
    from ancestral.models import checkpoint as checkpoints
    from ancestral.models.engines import load_image_engine
    from ancestral.training.corpora import CorpusError
    from ancestral.training.corpora.characters import ATTRIBUTES, fetch_parts
    from ancestral.training.evaluation.characters import CharacterJudge, judge_sheets

    with click_errors(ValueError, CorpusError, FileNotFoundError):
        engine = load_image_engine("native", checkpoints.load(checkpoint))
        if [name for name, _ in engine.spec.attributes] != list(ATTRIBUTES):
            raise ValueError(f"{checkpoint}: its attributes are not those of the corpus of characters")
        entry = _entry_beside(checkpoint)
        temperature = _given_or(temperature, 1.0 if entry is None else entry.temperature)
        found = judge_sheets(engine, CharacterJudge(fetch_parts()), count, temperature)
    click.echo(json.dumps({"characters": count, "temperature": temperature, **found}, indent=2))


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


@click.command()
@click.argument("checkpoint", type=_CHECKPOINT)
@click.option("--data", type=_PICTURES, required=True, help="Pictures with identities.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
def embedding(checkpoint: Path, data: Path, output: Path) -> None:
    """Evaluate CHECKPOINT, an encoder trained to tell identities apart: write report.json and a sheet into a folder.

    The first picture of every identity of the test set is asked with, and the second one of each is the gallery. The
    report says how often the same identity is the nearest (rank_1) or among the nearest five (rank_5), by the vectors
    and, without a network, by the pixels; beside it what guessing gives. The rows of the sheet (neighbours.png) are a
    picture, the one to be found, and the nearest six.
    """
    from ancestral.models.checkpoint import load
    from ancestral.training.evaluation.embedding_report import write_embedding_report

    with click_errors(ValueError):
        report = write_embedding_report(load(checkpoint), data, output)
    click.echo(json.dumps(report, indent=2))


@click.command()
@click.argument("checkpoints", type=_CHECKPOINT, nargs=-1, required=True)
@click.option("--data", type=_PICTURES, required=True, help="The pictures of all of them.")
@click.option("--pictures", type=click.IntRange(1), help="Of the test set, to score. Default: all.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A Markdown file.")
def table(checkpoints: tuple[Path, ...], data: Path, pictures: int | None, output: Path) -> None:
    """Write a table of CHECKPOINTS, image networks of two levels trained on MNIST, beside published figures.

    Likelihood, parameters, training, speed of naive and of cached sampling, and whether both draw the same pictures.
    The name of a row is that of the folder which the checkpoint is in.
    """
    from ancestral.models.checkpoint import load
    from ancestral.models.spec import ImageSpec
    from ancestral.training.evaluation.table import PUBLISHED, markdown, measure
    from ancestral.training.tasks.images import ImageTask

    check_output(output)
    rows = [*PUBLISHED]
    with click_errors(ValueError):
        for path in checkpoints:
            loaded = load(path)
            task = ImageTask(loaded.spec_as(ImageSpec), data)
            if task.spec.levels != 2:
                raise ValueError(f"{path}: not a network of two levels")
            test = task.held_out(task.pictures.test, pictures)
            rows.append(measure(path.absolute().parent.name, loaded, test, task.pictures.train))
            click.echo(f"{rows[-1].model}: {rows[-1].unconditional} nats", err=True)
    output.write_text(markdown(rows, len(test.images)))


def _show_in_card(loaded: Checkpoint, sheet: Path) -> None:
    """Rewrite the checkpoint with the sheet in its card, and the sheet beside it. The weights are unchanged."""
    from ancestral.models import checkpoint as checkpoints
    from ancestral.training.model_card import SHEET, with_sheet

    checkpoints.save(loaded.path, loaded.spec, loaded.tensors, with_sheet(loaded.card), half=loaded.half)
    (loaded.path / SHEET).write_bytes(sheet.read_bytes())
