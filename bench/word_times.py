"""The times of words that a model tells, against those that pocketsphinx hears: ``python -m bench.word_times``.

Each voice speaks forty sentences (lists 1 to 4 of the Harvard sentences). The times are those that clients get, planned
before a sentence is sampled; pocketsphinx aligns the sound with the same phonemes, in frames of 10 ms. Needs the extra
``train``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ancestral import Voice, load
from ancestral.models.text.phonemes import is_pause
from ancestral.training.corpora.align import Aligner
from ancestral.training.data.speech import TimedPhone

MODEL = "wavenet-en"
SENTENCES = (
    "The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.", "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.", "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.", "The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us.", "A large size in stockings is hard to sell.",
    "The boy was there when the sun rose.", "A rod is used to catch pink salmon.",
    "The source of the huge river is the clear spring.", "Kick the ball straight and follow through.",
    "Help the woman get back to her feet.", "A pot of tea helps to pass the evening.",
    "Smoky fires lack flame and heat.", "The soft cushion broke the man's fall.",
    "The salt breeze came across from the sea.", "The girl at the booth sold fifty bonds.",
    "The small pup gnawed a hole in the sock.", "The fish twisted and turned on the bent hook.",
    "Press the pants and sew a button on the vest.", "The swan dive was far short of perfect.",
    "The beauty of the view stunned the young boy.", "Two blue fish swam in the tank.",
    "Her purse was full of useless trash.", "The colt reared and threw the tall rider.",
    "It snowed, rained, and hailed the same morning.", "Read verse out loud for pleasure.",
    "Hoist the load to your left shoulder.", "Take the winding path to reach the lake.",
    "Note closely the size of the gas tank.", "Wipe the grease off his dirty face.",
    "Mend the coat before you go out.", "The wrist was badly strained and hung limp.",
    "The stray cat gave birth to kittens.", "The young girl gave no clear response.",
    "The meal was cooked before the bell rang.", "What joy there is in living.",
)  # fmt: skip


@dataclass(frozen=True)
class Differences:
    """Told minus heard times of the words of one or more sentences, in milliseconds."""

    starts: tuple[float, ...] = ()
    ends: tuple[float, ...] = ()
    failed: int = 0
    """Sentences that pocketsphinx could not align."""

    def __add__(self, other: Differences) -> Differences:
        """Both."""
        return Differences(self.starts + other.starts, self.ends + other.ends, self.failed + other.failed)


def word_spans(timed: Sequence[TimedPhone]) -> list[tuple[float, float]]:
    """The start and the end, in seconds, of every word of an alignment."""
    found: list[tuple[float, float]] = []
    at = 0.0
    for phone, seconds, starts in timed:
        if starts:
            found.append((at, at + seconds))
        elif found and not is_pause(phone):
            found[-1] = (found[-1][0], at + seconds)
        at += seconds
    return found


def differences(voice: Voice, aligner: Aligner, seed: int) -> Differences:
    """Those of one sentence, which has the number of its seed."""
    speech = voice.speak(SENTENCES[seed], seed=seed)
    (sentence,) = speech.utterance.sentences
    timed = aligner.align(speech.samples, sentence)
    if timed is None:
        return Differences(failed=1)
    pairs = list(zip(speech.words, word_spans(timed), strict=True))
    starts = tuple(1000 * (word.start - start) for word, (start, _) in pairs)
    return Differences(starts, tuple(1000 * (word.end - end) for word, (_, end) in pairs))


def row(name: str, found: Differences) -> str:
    """A row of the table."""
    cells = [name, str(len(found.starts)), str(found.failed)]
    for values in (found.starts, found.ends, found.starts + found.ends):
        absolute = np.abs(values)
        cells.append(f"{np.median(values):+.0f}, {np.median(absolute):.0f}, {np.quantile(absolute, 0.95):.0f} ms")
    within = np.mean(np.abs(found.starts + found.ends) <= 100.0)
    return "| " + " | ".join([*cells, f"{within:.1%}"]) + " |"


def main(*voices: str) -> None:
    """Print a table: per voice the median difference, the median absolute one, and its 95th percentile."""
    model, aligner, total = load(MODEL), Aligner(), Differences()
    print("| voice | words | not aligned | starts | ends | both | within 100 ms |\n|---|---|---|---|---|---|---|")
    for voice in voices or model.voices:
        found = Differences()
        for seed in range(len(SENTENCES)):
            found += differences(model.voice(voice), aligner, seed)
        print(row(voice, found), flush=True)
        total += found
    print(row("all", total))


if __name__ == "__main__":
    main(*sys.argv[1:])
