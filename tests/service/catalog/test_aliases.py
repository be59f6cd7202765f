"""Other names of models and voices."""

from __future__ import annotations

import pytest

from ancestral.models.library import LibraryError
from ancestral.service.catalog.aliases import MODEL_ALIASES, VOICE_ALIASES, Aliases, in_force
from ancestral.service.catalog.catalog import load_catalog
from ancestral.service.settings import load_settings

SETTING = "ANCESTRAL_VOICE_ALIASES"


def test_the_defaults_stand_for_bundled_voices_and_models() -> None:
    catalog = load_catalog(load_settings({}))
    assert catalog.aliases == Aliases(MODEL_ALIASES, VOICE_ALIASES)
    assert len(VOICE_ALIASES) == 18
    for alias, model in MODEL_ALIASES.items():
        assert catalog.model(alias).entry.id == model
    for alias, voice in VOICE_ALIASES.items():
        assert catalog.voice(catalog.speech_model("tts-1", "speech"), alias).id == voice
        assert alias in catalog.aliases.of_voice(voice)


def test_a_default_without_its_voice_is_left_out() -> None:
    assert in_force(None, {"alloy": "heart", "echo": "ann", "ann": "bob"}, ("ann", "bob"), SETTING) == {"echo": "ann"}


def test_what_is_configured_replaces_the_defaults() -> None:
    assert in_force({"echo": "bob"}, {"alloy": "ann"}, ("ann", "bob"), SETTING) == {"echo": "bob"}
    assert in_force({}, {"alloy": "ann"}, ("ann", "bob"), SETTING) == {}


@pytest.mark.parametrize("configured", [{"echo": "nobody"}, {"ann": "bob"}])
def test_what_is_wrong_is_named(configured: dict[str, str]) -> None:
    with pytest.raises(LibraryError, match=rf"{SETTING}: (echo=nobody|ann=bob): "):
        in_force(configured, {}, ("ann", "bob"), SETTING)
