"""How alike a mixed voice sounds to its parents, by its weights: ``python -m bench.mixing heart joe``.

Both parents are learnt by a :class:`VoiceJudge` from sentences that the model speaks; mixes speak other sentences. It
needs the extra ``train``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from ancestral import Model, load
from ancestral.speech.decoder import Wave
from ancestral.training.evaluation.speech import VoiceJudge

MODEL = "wavenet-en"
LEARNT = (
    "The birch canoe slid on the smooth planks.",
    "It's easy to tell the depth of a well.",
    "Rice is often served in round bowls.",
    "The box was thrown beside the parked truck.",
)
SPOKEN = (
    "Glue the sheet to the dark blue background.",
    "These days a chicken leg is a rare dish.",
    "The juice of lemons makes fine punch.",
    "Four hours of steady work faced us.",
)
WEIGHTS = ((1, 0), (3, 1), (1, 1), (1, 3), (0, 1))


def speak(model: Model, voice: str, sentences: Sequence[str]) -> list[Wave]:
    """The sound of every sentence, each from a seed of its own."""
    return [model.voice(voice).speak(text, seed=seed).samples for seed, text in enumerate(sentences)]


def main(first: str, second: str) -> None:
    """Print a table of similarities: the mean over the sentences."""
    model = load(MODEL)
    judge = VoiceJudge({voice: speak(model, voice, LEARNT) for voice in (first, second)})
    print(f"| {first} : {second} | similarity to {first} | to {second} |\n|---|---|---|")
    for weights in WEIGHTS:
        voice = "+".join(f"{name}({weight})" for name, weight in zip((first, second), weights, strict=True) if weight)
        found = [judge.similarities(wave) for wave in speak(model, voice, SPOKEN)]
        means = [np.mean([similarity[name] for similarity in found]) for name in (first, second)]
        print(f"| {weights[0]} : {weights[1]} | {means[0]:.3f} | {means[1]:.3f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
