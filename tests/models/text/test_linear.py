"""Work of the front-end grows with a text, and not with its square: counts of calls and of steps, no times."""

import json
import re
import subprocess
import sys
import unicodedata
from itertools import pairwise, product
from pathlib import Path

import pytest

from ancestral_models.text.characters import ENGLISH, UnsupportedText, fold
from ancestral_models.text.languages.engine import engine
from ancestral_models.text.languages.language import LANGUAGES, language_table
from ancestral_models.text.rules import SpannedText

ROOT = Path(__file__).parents[3]
GROWTH = 2.2
"""Most that a count may grow where a text is twice as long."""
FEW = 4096
"""Steps that every pattern may take: it may have begun to match in the longer text alone."""
CALLS, STEPS = (1024, 2048, 4096), (512, 1024)
"""Characters of the texts. Steps are counted by a matcher that is slow, for each pattern by itself."""
SIGNS = ' tel a1b hx. MBK $5 €6 "q" {[x]} c@d.e #A1 5°C 7% 1/2 3:30 _m a.b/c \\ ~ |w| (y) * + 123 4567 IVXLC tdhsr. Ok'
"""An end of a text that makes all rules look at it."""
CHARACTERS = [
    char
    for first, last in ((0x20, 0x7F), (0xA0, 0x250), (0x370, 0x3D0), (0x2010, 0x2800), (0x1F300, 0x1F600))
    for char in map(chr, range(first, last))
    if unicodedata.category(char)[0] not in "CM"
]
KINDS = [*"aA1 .-'\"(/^=<$#@√²", "x*", "St. ", "3 km ", "and ", "1x", "a@"]
PAIRS = ["".join(pair) for pair in product("aA1 .-'\"(^*$", repeat=2)]


def counts(language, calls, steps):
    """The counts of each unit: by name, one for each length."""
    texts = {
        "calls": [(unit * length)[:length] for unit in calls for length in CALLS],
        "steps": [(unit * length)[:length] + SIGNS for unit in steps for length in STEPS],
    }
    command = [sys.executable, "-m", "tests.models.text.steps", language]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    found = json.loads(done.stdout)
    for i, unit in enumerate(calls):
        yield unit, "calls", found["calls"][i * len(CALLS) : (i + 1) * len(CALLS)]
    for i, unit in enumerate(steps):
        short, long = found["steps"][i * len(STEPS) : (i + 1) * len(STEPS)]
        yield from ((unit, pattern, [short.get(pattern, 0), long[pattern]]) for pattern in long)


def too_many(language, calls, steps):
    """A table of all counts that grow too fast."""
    return "\n".join(
        f"{unit!r:10} {' '.join(f'{count:9}' for count in found)}  {name[:90]}"
        for unit, name, found in counts(language, calls, steps)
        if any(after > GROWTH * max(before, FEW) for before, after in pairwise(found))
    )


@pytest.mark.parametrize("language", ["en", "fr"])
def test_work_grows_with_the_text(language):
    table = too_many(language, ["√"], [".", "1-"])
    assert not table, f"\n{table}"


def shape(char, language):
    """What the rules see of a character that is no ASCII: names are alike."""
    folding = ENGLISH if language == "en" else engine(language_table(language)).folding
    try:
        folded = fold(SpannedText.of(char, 0), 0, folding, []).text
    except UnsupportedText:
        return ""
    return char if char.isascii() else re.sub(r"[^\W\d_]+(?:[ .-]+[^\W\d_]+)*|\d+", "words", folded)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_work_grows_with_a_text_of_any_character(language):
    """Of two thousand characters, one of each shape."""
    assert len(CHARACTERS) > 2000
    shapes = {shape(char, language): char for char in CHARACTERS}
    table = too_many(language, shapes.values(), KINDS)
    assert not table, f"\n{table}"


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_work_grows_with_a_text_of_any_pair(language):
    table = too_many(language, [], PAIRS)
    assert not table, f"\n{table}"
