"""Mixed voices: how they are written, their one form, and what is refused."""

from dataclasses import replace

import pytest

from ancestral.catalog.mix import MixError, find_voice, mix, parse_weights
from ancestral.models.entries import Sampling, Voice

VOICES = [
    Voice(name, name.title(), "en-US", "", "", "", Sampling(temperature, 1.0, min_p, -10.0 * min_p))
    for name, temperature, min_p in (("ann", 0.6, 0.0), ("bob", 0.9, 0.3), ("eve", 0.9, 0.3))
]


def canonical(text):
    return mix(parse_weights(text), VOICES).id


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("ann(2)+bob(1)", "ann(2)+bob(1)"),
        ("ann(4)+bob(2)", "ann(2)+bob(1)"),
        ("bob(1)+ann(2)", "ann(2)+bob(1)"),
        ("ann(0.2) + bob(0.1)", "ann(2)+bob(1)"),
        ("ann+bob", "ann(1)+bob(1)"),
        ("ann(7)", "ann"),
        ("ann", "ann"),
        ("ann(0.001)+bob(999999)", "ann(1)+bob(999999000)"),
    ],
)
def test_a_mix_has_one_form_which_can_be_read_again(text, form):
    assert canonical(text) == form
    assert canonical(form) == form


@pytest.mark.parametrize(("text", "form"), [("ANN", "ann"), ("Alloy", "bob"), ("Ann(2)+ALLOY", "ann(2)+bob(1)")])
def test_names_and_aliases_are_known_in_any_case(text, form):
    assert find_voice(text, VOICES, {"alloy": "bob"}).id == form


def test_shares_add_up_and_sampling_is_the_mean():
    found = mix({"ann": "2", "bob": "1"}, VOICES)
    assert found.shares == {"ann": 2 / 3, "bob": 1 / 3}
    assert found.sampling.voiced_temperature == pytest.approx(0.7)
    assert found.sampling.min_p == pytest.approx(0.1)
    assert found.sampling.low_shelf_db == pytest.approx(-1.0)
    assert found.sampling.unvoiced_temperature == pytest.approx(1.0)
    assert mix({"bob": "1", "eve": "2"}, VOICES).sampling is VOICES[1].sampling


@pytest.mark.parametrize(
    "text", ["", "+", "ann+", "ann(1", "ann)1(", "ann(1)+ann(2)", "ann((1))", "+".join("abcdefghi")]
)
def test_what_is_no_mix_is_refused(text):
    with pytest.raises(MixError):
        parse_weights(text)


@pytest.mark.parametrize(
    "weight", ["", "0", "0.0", "-1", "1e3", "nan", "inf", "0.0001", "1.", "x", "٣", "9" * 10, "1" * 10**5]
)
def test_a_wrong_weight_is_named(weight):
    with pytest.raises(MixError, match="ann") as refused:
        mix({"ann": weight}, VOICES)
    assert len(str(refused.value)) < 200


def test_weights_that_differ_too_much_are_refused():
    with pytest.raises(MixError, match="too much"):
        mix({"ann": "999999999", "bob": "0.001"}, VOICES)


def test_voices_of_different_languages_are_not_mixed():
    voices = [
        replace(voice, language=language) for voice, language in zip(VOICES, ("en-US", "en-GB", "es-ES"), strict=True)
    ]
    assert mix({"ann": "1", "bob": "1"}, voices).language == "en-US"
    with pytest.raises(MixError, match="ann en-US, eve es-ES"):
        mix({"ann": "1", "eve": "1"}, voices)
