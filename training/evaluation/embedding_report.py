"""The report of ``ancestral evaluate embedding``: how well an encoder finds people that it was not trained on."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from ancestral.models.architectures.encoder import EncoderSpec
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.networks import load_network
from ancestral.training.data.images import held_out
from ancestral.training.metrics.retrieval import embed, pixel_vectors, retrieve, write_neighbours
from ancestral.training.tasks.embedding import EmbeddingTask


def write_embedding_report(checkpoint: Checkpoint, data: Path, out: Path) -> dict[str, Any]:
    """Write ``report.json`` and ``neighbours.png`` into a folder.

    Args:
        checkpoint: of an encoder.
        data: pictures with identities.
        out: the folder, created.

    Returns:
        The report: the retrieval of the identities of the test set by the encoder and, as a baseline, by pixels.

    Raises:
        ValueError: the checkpoint holds no encoder, or one of other pictures; the pictures have no identities.
    """
    task = EmbeddingTask(checkpoint.spec_as(EncoderSpec), data)
    test = held_out(task.pictures.test, task.spec, task.seed)
    vectors = partial(embed, load_network(checkpoint))
    report = {
        "sha256": checkpoint.sha256,
        "embedding": retrieve(vectors, test)._asdict(),
        "pixels": retrieve(pixel_vectors(task.spec), test)._asdict(),
    }
    out.mkdir(parents=True, exist_ok=True)
    write_neighbours(vectors, test, task.spec, out / "neighbours.png")
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    return report
