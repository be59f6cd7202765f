"""Everyday text against what a person would read aloud: everyday.txt.

The file has sections (`=== name`), and in each of them a written text (with \\n, \\t and \\uXXXX) followed by its
spoken form, indented. Commas are left out of the spoken form: where a reader pauses is a matter of taste.
`word{PH OW N Z}` in the written text says how a heteronym must sound, without stress.
"""

from __future__ import annotations

import re

import pytest

from ancestral.models.text import PHONEMES, lexicon, phonemize
from ancestral.models.text.normalize import normalize
from ancestral.models.text.phonemes import PAUSES, without_stress
from tests.models.text.texts import EXAMPLES, Example

KNOWN_WRONG = {
    "Boeing's 737 MAX is back.",
    "Helium is He, and gold is Au.",
    "It needs 5V at 2A.",
    "He's batting .312 with 24 HRs.",
    "| a | b |",
}
"""Texts that are not read as a person would. docs/text.md lists them."""
# Bullets, quotation marks, brackets and the like are layout.
_SILENT = re.compile(r"[-*#>|_\"'“”‘’«»()\[\],.;:!?…—–~\u200b\ufeff]+")


def words(text: str, language: str = "en") -> list[str]:
    return [str(token.spoken) for token in normalize(text, language) if token.spoken != ","]


def is_right(example: Example) -> bool:
    items = [item for sentence in phonemize(example.written) for item in sentence.items if not isinstance(item, str)]
    sounds = {(item.text, " ".join(map(without_stress, item.phones))) for item in items}
    return " ".join(words(example.written)) == example.spoken and sounds.issuperset(example.sounds)


def lost(text: str, language: str = "en") -> list[str]:
    """The words, numbers and signs of a text that leave no trace in what is spoken: it is the same without them."""
    whole, tokens = words(text, language), [(token.start(), token.end()) for token in re.finditer(r"\S+", text)]
    missing = []
    for start, end in tokens:
        if _SILENT.fullmatch(text[start:end]):
            continue
        rest = text[:start] + text[end:]
        if not rest.strip() or not any(char.isalnum() for char in rest):
            continue
        # "of" in "the 4th of July" is spoken whether it is written or not.
        if words(rest, language) == whole and text[start:end].lower() not in whole:
            missing.append(text[start:end])
    return missing


def test_there_are_five_hundred_examples_of_all_kinds() -> None:
    assert len({example.written for example in EXAMPLES}) >= 500
    assert len({example.section for example in EXAMPLES}) == 19
    assert {example.written for example in EXAMPLES} >= KNOWN_WRONG


@pytest.mark.parametrize("section", dict.fromkeys(example.section for example in EXAMPLES))
def test_spoken_as_a_person_would(section: str) -> None:
    wrong = {example.written for example in EXAMPLES if example.section == section and not is_right(example)}
    assert wrong == KNOWN_WRONG & {example.written for example in EXAMPLES if example.section == section}


def test_at_least_95_percent_are_right() -> None:
    assert len(KNOWN_WRONG) <= 0.05 * len(EXAMPLES)


def test_nothing_is_lost() -> None:
    assert {example.written: missing for example in EXAMPLES if (missing := lost(example.written))} == {}


def test_the_checker_notices_a_loss() -> None:
    assert lost("one two") == []
    assert lost("one ■ two") == ["■"]


@pytest.mark.parametrize("section", dict.fromkeys(example.section for example in EXAMPLES))
def test_four_thousand_characters(section: str) -> None:
    text = "\n\n".join(example.written for example in EXAMPLES if example.section == section)
    text = "\n\n".join([text] * (1 + 4000 // len(text)))[:4000].rsplit("\n\n", 1)[0]
    sentences = phonemize(text)
    spoken = [item.text for sentence in sentences for item in sentence.items if not isinstance(item, str)]
    assert {phone for sentence in sentences for phone in sentence.phones} <= set(PHONEMES)
    apart = [word for part in text.split("\n\n") if part.strip() for word in words(part) if word not in PAUSES]
    if section != "layout":  # its texts have paragraphs of their own
        assert spoken == apart
    plain = re.findall(r"(?<![\w'./\\@#-])[a-z]{4,}(?![\w'./\\@#&-])", text)
    known = [word for word in plain if lexicon.contains(word)]
    assert known
    assert not {word for word in set(known) if word not in spoken and word not in ("color", "kelvin")}
