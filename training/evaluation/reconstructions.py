"""The report of ``ancestral evaluate images`` of a network that draws from pictures: autoencoders, portraits."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ancestral.models.architectures.pixelcnn import PixelCNNAutoencoderSpec
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.engines.images.engine import ImageEngine
from ancestral.models.networks import load_network
from ancestral.models.networks.pixelcnn import PixelCNNAutoencoder
from ancestral.models.palette import pixels_of
from ancestral.training.data.batches import first_two
from ancestral.training.data.images import spread
from ancestral.training.metrics import embed, reconstruct, retrieval, write_rows
from ancestral.training.model_card import SHEET
from ancestral.training.tasks.images import nats
from ancestral.training.tasks.reconstruction import ReconstructionTask

_SAMPLES, _SHOWN = 4, 12
"""Pictures drawn from every picture, and originals of a sheet."""


def reconstruction_report(
    checkpoint: Checkpoint,
    engine: ImageEngine,
    data: Path,
    out: Path,
    count: int,
    scored: int | None = None,
    temperature: float = 1.0,
) -> dict[str, Any]:
    """Evaluate a network that draws from pictures, and write ``sheet.png`` into a folder.

    Args:
        checkpoint: of a network that draws from pictures.
        engine: that samples it.
        data: its training data.
        out: the folder, created.
        count: pictures of the test set to draw from.
        scored: pictures of the test set whose likelihood is computed; None is all.
        temperature: of the samples.

    Returns:
        The likelihood of a picture given its own vector or, of portraits, that of another picture of the same person;
        of portraits also how often they, and the pictures that they were drawn from (``uploads``), lead to another
        real picture of that person, among all test persons.

    Raises:
        ValueError: the data are not the network's.
    """
    task = ReconstructionTask(checkpoint.spec_as(PixelCNNAutoencoderSpec), data)
    given, wanted = task.pairs(task.pictures.test, None)
    network = load_network(checkpoint)
    assert isinstance(network, PixelCNNAutoencoder)
    scoring, chosen = spread(len(given), scored), spread(len(given), count)
    targets = wanted[scoring]
    with torch.no_grad():
        scores = nats(network, targets, given[scoring].astype(np.int64), torch.device("cpu"))
        total = sum(float(part.sum()) for part in scores)
    drawn = reconstruct(engine, given[chosen], _SAMPLES, temperature)
    report = {
        "sha256": checkpoint.sha256, "engine": engine.name, "pictures": len(targets), "drawn_from": len(chosen),
        "nats": total / len(targets), "bits_per_dim": total / targets.size / math.log(2), "temperature": temperature,
    }  # fmt: skip
    if task.spec.portraits:
        test = task.held_out(task.pictures.test, None)
        assert test.identities is not None
        asked, found = first_two(test.identities)
        people, vectors = test.identities[asked], partial(embed, network.encoder)
        gallery = vectors(test.images[found])
        for name, pictures in (("portraits", np.concatenate(list(drawn))), ("uploads", given[chosen])):
            owners = np.tile(people[chosen], len(pictures) // len(chosen))
            report[name] = retrieval(vectors(pictures), owners, gallery, people)._asdict()
    shown = spread(len(chosen), _SHOWN)
    out.mkdir(parents=True, exist_ok=True)
    write_rows([pixels_of(one[shown], task.spec) for one in (given[chosen], *drawn)], out / SHEET)
    return report
