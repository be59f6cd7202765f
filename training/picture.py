"""A model of one's own pictures: a bundled network of similar pictures is trained on with them.

Every step leaves its result in a work directory, where the same call goes on from.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ancestral.models.architectures.pixelcnn import PixelCNNSpec
from ancestral.models.checkpoint import Checkpoint, Tensors, load, save
from ancestral.models.entries import CLASSIFIER, MANIFEST, ModelEntry
from ancestral.models.networks import build_network
from ancestral.models.palette import WHITE, nearest_symbols, rgba
from ancestral.models.spec import COARSE_PREFIX, COARSE_STRIDE, LABEL_EMBEDDING, LABEL_ROWS
from ancestral.training.data.images import PictureSet, read_pictures
from ancestral.training.evaluation.judges import classifier_spec
from ancestral.training.loop import LOG, LoopConfig, train
from ancestral.training.model_card import SHEET, with_sheet
from ancestral.training.start import STATE, branch, progress, whole_folder
from ancestral.training.tasks.classification import ClassificationTask
from ancestral.training.tasks.images import ImageTask

_ANNEALED: Final = 0.2
"""The share of the training in which the learning rate falls."""
_SLICES: Final = 10
"""How often held-out pictures are looked at."""
_ENDLESS: Final = 1_000_000
_CLASSIFIER_STEPS: Final = 1500
_TRUSTED: Final = 0.8
"""The share of held-out pictures that a classifier must be right about to become part of the model."""
_MANY_COPIES: Final = 0.2
"""The share of near copies from which the card says it in words; of pictures that are really new it is 0.05."""
_TEMPERATURE: Final = 0.9
"""Lower ones, such as those of the base, which saw a hundred times as many pictures, leave much of a picture empty."""


@dataclass(frozen=True)
class NewPictures:
    """What to make, from which model, and for how long."""

    id: str
    base: ModelEntry
    """The model whose network is trained on: its sizes, and its weights as far as they fit."""
    work: Path
    """The folder of the pictures (``data``) and the runs."""
    hours: float
    """Longest training; it ends earlier where held-out pictures become less likely."""
    steps: int | None = None
    """Number of steps instead of ``hours``."""

    @property
    def data(self) -> Path:
        return self.work / "data"

    @property
    def model(self) -> Path:
        """The model, until it has been judged."""
        return self.work / "model"

    @property
    def report(self) -> Path:
        """What ``ancestral evaluate images`` writes."""
        return self.work / "report"


def base_for(pictures: PictureSet) -> str:
    """The bundled model of the most similar pictures: two scales above 16 pixels, one up to it.

    Two scales need sides that are multiples of four.
    """
    height, width, channels = pictures.shape
    one_scale = max(height, width) <= 16 or height % COARSE_STRIDE > 0 or width % COARSE_STRIDE > 0
    if one_scale or (not pictures.palette and _levels(pictures) == 2):
        return "pixelcnn-digits"
    if pictures.palette:
        return "pixelcnn-sprites" if len(pictures.palette[0]) > 7 else "pixelcnn-avatars"
    return "pixelcnn-fashion" if channels == 1 else "pixelcnn-avatars-rgb"


def _levels(pictures: PictureSet) -> int:
    """Levels of a sub-pixel: as many as the palette has colours, 2 of black and white, or 256."""
    black_and_white = pictures.shape[2] == 1 and bool(np.isin(pictures.train.images, (0, WHITE)).all())
    return len(pictures.palette) or (2 if black_and_white else 256)


def train_pictures(new: NewPictures) -> bool:
    """Train the network and a classifier of what pictures show, and assemble the model, without its figures.

    Returns:
        Whether there is a classifier: no attribute may have more than one value.

    Raises:
        ValueError: the base is no PixelCNN with labels, or cannot have pictures of this size.
    """
    pictures, base = read_pictures(new.data), load(new.base.sampled)
    if not isinstance(base.spec, PixelCNNSpec) or not base.spec.conditions:
        raise ValueError(f"base: {new.base.id!r} is no PixelCNN with labels")
    height, width, channels = pictures.shape
    fields = {"levels": _levels(pictures)} | pictures.spec_fields
    spec = replace(base.spec, height=height, width=width, channels=channels, **fields)
    if not (new.work / "start").exists():
        save(new.work / "start", spec, _fitted(base, spec, pictures), base.card)
    trained = _train(new, ImageTask(spec, new.data, start=new.work / "start"))
    sees = any(len(values) > 1 for _, values in spec.attributes)
    if sees:
        steps = min(new.steps or _CLASSIFIER_STEPS, _CLASSIFIER_STEPS)
        task = ClassificationTask(classifier_spec(spec, spec.attributes), new.data)
        train(task, LoopConfig(steps, warmup=100, decay=0.6, evaluate_every=steps), new.work / CLASSIFIER, 1)
    with whole_folder(new.model) as partial:
        shutil.rmtree(new.model, ignore_errors=True)
        shutil.copytree(trained / "checkpoint", partial / "pixelcnn")
        described = {
            "id": new.id, "kind": "image", "created": int(time.time()), "owned_by": "user",
            "description": f"Pictures of {width} x {height} of the person who trained this model, from {new.base.id}",
            "temperature": _TEMPERATURE, "guidance": new.base.guidance if sees else 1.0,
        }  # fmt: skip
        (partial / MANIFEST).write_text(json.dumps(described, indent=2) + "\n", "utf-8")
    return sees


def _train(new: NewPictures, task: ImageTask) -> Path:
    """Train at a constant rate, then anneal from where held-out pictures were likeliest; the annealed run's folder."""
    trunk, best = new.work / "trunk", new.work / "best"
    most = new.steps and max(1, new.steps - round(new.steps * _ANNEALED))
    config = LoopConfig(
        most or _ENDLESS, learning_rate=1.5e-3, warmup=50, decay=0.0, ema=0.995, save_seconds=300.0,
        evaluate_every=_ENDLESS, log_every=10,
    )  # fmt: skip
    minutes = math.inf if most else 60.0 * new.hours * (1.0 - _ANNEALED)
    while not _worse(trunk):
        step, seconds = progress(trunk)
        if step:
            _keep_state(trunk, best)
        if step >= config.steps or seconds >= 60.0 * minutes:
            break
        train(task, config, trunk, 1, min(minutes / _SLICES, minutes - seconds / 60.0))
    out = new.work / f"annealed-{progress(best)[0]}"  # another one where the trunk has been trained further
    begun, rate = branch(best, out)
    more = max(1, round(begun * _ANNEALED / (1.0 - _ANNEALED)))
    steps = begun + more
    train(task, replace(config, steps=steps, learning_rate=rate, decay=more / steps), out, 1)
    return out


def _keep_state(run: Path, best: Path) -> None:
    best.mkdir(exist_ok=True)
    partial = best / f"{STATE}.partial"
    shutil.copyfile(run / STATE, partial)
    os.replace(partial, best / STATE)


def _worse(run: Path) -> bool:
    """Whether held-out pictures were less likely after the last slice of a run than after an earlier one."""
    lines = (run / LOG).read_text("utf-8").splitlines() if (run / LOG).exists() else []
    bits = [line["valid_bits_per_dim"] for line in map(json.loads, lines) if "valid_bits_per_dim" in line]
    return len(bits) > 1 and bits[-1] > min(bits)


def _fitted(base: Checkpoint, spec: PixelCNNSpec, pictures: PictureSet) -> Tensors:
    """The tensors that a network of other pictures starts with: those of the base, as far as they have its shapes.

    A colour starts as the nearest one of the base's palette, a label as what the base draws if nothing is named, and
    maps of another size are scaled. All else starts at random.
    """
    old, found = base.spec_as(PixelCNNSpec), dict(base.tensors)
    if old.palette and spec.palette:
        nearest = nearest_symbols(rgba(spec)[None], old)[0][0, :, 0]
        shared = np.log(np.bincount(nearest)[nearest]).astype(np.float32)
        for name in {"output", f"{COARSE_PREFIX}output"} & set(found):
            found[name] = found[name][:, nearest]
            found[f"{name}_bias"] = found[f"{name}_bias"][nearest] - shared
    unspecified = np.cumsum([len(values) + 1 for values in old.conditions]) - 1
    mean = found[LABEL_EMBEDDING][unspecified].sum(axis=0) / len(spec.attributes)
    found[LABEL_EMBEDDING] = np.tile(mean, (spec.embedding_rows, 1))
    for name in {"conditioner.map", "conditioner.map_bias"} & set(found):
        found[name] = _scaled(found[name], old.cells, spec.cells)
    torch.manual_seed(0)
    fresh = {name: tensor.numpy() for name, tensor in build_network(spec).state_dict().items()}
    fitted = {n: found[n] if n in found and found[n].shape == t.shape else t for n, t in fresh.items()}
    return fitted | ({LABEL_ROWS: pictures.label_rows} if spec.label_rows else {})


def _scaled(maps: NDArray[np.float32], old: tuple[int, int], new: tuple[int, int]) -> NDArray[np.float32]:
    """Maps ``[..., channels * height * width]`` in another size, of the nearest cells."""
    rows, columns = (np.arange(count) * had // count for count, had in zip(new, old, strict=True))
    cells = maps.reshape(*maps.shape[:-1], -1, *old)[..., rows[:, None], columns]
    return cells.reshape(*maps.shape[:-1], -1)


def publish(new: NewPictures, out: Path) -> str | None:
    """Write the figures into the model's card, and put the model into the folder of models.

    The classifier becomes part of it if it is right about held-out pictures.

    Args:
        new: what was made.
        out: the directory of the new model.

    Returns:
        A warning, if many samples are near copies of training pictures.
    """
    report = json.loads((new.report / "report.json").read_text("utf-8"))
    shares, copies = report.get("accuracy", {}), report["copies"]
    rows = [
        ("test pictures", report["pictures"]), ("bits per sub-pixel", f"{report['bits_per_dim']:.3f}"),
        *((f"{name}: accuracy of samples (of test pictures; by chance)", _percent(share["drawn"], share["real"],
           share["chance"])) for name, share in shares.items()),
        ("near copies: samples nearer to a training picture than 95 % of test pictures", _percent(copies["copies"])),
        ("samples that equal a training picture", _percent(copies["equal"])),
    ]  # fmt: skip
    warning = None
    if copies["copies"] > _MANY_COPIES:
        many = _percent(copies["copies"])
        warning = f"{many} of the samples are near copies: pictures were memorised, or samples are nearly empty."
    table = ["## Judged", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    loaded = load(new.model / "pixelcnn")
    origin = f"Trained on from `{new.base.id}`, whose card names its pictures and their licences."
    card = "\n".join([loaded.card.rstrip(), "", *table, "", *([warning, ""] if warning else []), origin, ""])
    with whole_folder(out) as partial:
        save(partial / "pixelcnn", loaded.spec, loaded.tensors, with_sheet(card))
        shutil.copyfile(new.report / SHEET, partial / "pixelcnn" / SHEET)
        if shares and all(share["real"] >= _TRUSTED for share in shares.values()):
            shutil.copytree(new.work / CLASSIFIER / "checkpoint", partial / CLASSIFIER)
        shutil.copyfile(new.model / MANIFEST, partial / MANIFEST)
    return warning


def _percent(first: float, *others: float) -> str:
    rest = "; ".join(f"{100.0 * share:.1f}" for share in others)
    return f"{100.0 * first:.1f} %" + (f" ({rest})" if rest else "")
