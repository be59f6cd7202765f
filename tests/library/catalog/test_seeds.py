"""Seeds that are texts."""

import hashlib

import pytest

from ancestral.catalog.seeds import EXACT, digest_seed, seed_of_text, seed_or_drawn
from ancestral.errors import InvalidRequest


def test_a_text_stands_for_a_number_that_never_changes():
    """As docs/api.md says: 53 bits of SHA-256 of "0", a line feed and the text, in UTF-8."""
    assert seed_of_text("alice") == int(hashlib.sha256(b"0\nalice").hexdigest()[:16], 16) >> 11 == 1501765264258084
    assert seed_of_text("alice") == digest_seed(0, "alice") == seed_or_drawn("alice") < EXACT
    texts = ["alice", "Alice", "alice ", "Ålice", "🦊", "a" * 256, "2026-11-28", "1.2.3", "nan", "seven", "-", ".", "٣"]
    assert len({seed_of_text(text) for text in texts}) == len(texts), "not even case and spaces are ignored"


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("007", 7), (" 7 ", 7), ("+7", 7), ("-1", -1), ("9223372036854775808", 2**63), ("9" * 256, 10**256 - 1)],
)
def test_whole_numbers_stay_what_they_are(text, number):
    assert seed_of_text(text) == number
    if number < 0 or number >= 2**63:
        with pytest.raises(InvalidRequest, match="seed: "):
            seed_or_drawn(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have 1 to 256 characters"),
        ("a" * 257, "must have 1 to 256 characters"),
        ("1.5", "must be a whole number, or a text"),
        ("1e3", "must be a whole number, or a text"),
        ("-.5", "must be a whole number, or a text"),
        ("7. ", "must be a whole number, or a text"),
        ("\ud800", "contains an unpaired surrogate"),
    ],
)
def test_texts_that_are_refused(text, message):
    with pytest.raises(InvalidRequest, match=message) as refused:
        seed_or_drawn(text)
    assert refused.value.param == "seed"
