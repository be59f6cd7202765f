"""Other languages than English."""

from __future__ import annotations

import pytest

from ancestral.models.text.languages.language import Numbers
from ancestral.models.text.languages.numerals import Numerals

SPANISH = Numbers("es", "menos", {",": "coma", ".": "punto"}, ". ", denominators={4: ("cuarto", "cuartos")})


@pytest.mark.parametrize(
    ("written", "gender", "spoken"),
    [
        ("21", None, "veintiuno"),
        ("21", "m", "veintiún"),
        ("200", "f", "doscientas"),
        ("1.234", None, "mil doscientos treinta y cuatro"),
        ("12 500", None, "doce mil quinientos"),
        ("3,14", None, "tres coma catorce"),
        ("0,05", None, "cero coma cero cinco"),
        ("3.5", None, "tres punto cinco"),
        ("1.234,5", None, "mil doscientos treinta y cuatro coma cinco"),
        ("2,71828", None, "dos coma siete uno ocho dos ocho"),
        ("007", None, "cero cero siete"),
    ],
)
def test_numbers(written: str, gender: None, spoken: str) -> None:
    assert Numerals(SPANISH).number(written, gender) == spoken


def test_fractions() -> None:
    assert Numerals(SPANISH).fraction(3, 4) == "tres cuartos"
