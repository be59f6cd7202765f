"""Other names of models and voices."""

import pytest

from ancestral.catalog.aliases import MODEL_ALIASES, VOICE_ALIASES, Aliases, effective_aliases
from ancestral.catalog.catalog import CatalogConfig, load_catalog
from ancestral.errors import InvalidRequest
from ancestral.models.entries import ModelError

SETTING = "voice_aliases"


def test_the_defaults_stand_for_bundled_voices_and_models():
    catalog = load_catalog(CatalogConfig())
    assert catalog.aliases == Aliases(MODEL_ALIASES, VOICE_ALIASES)
    assert len(VOICE_ALIASES) == 29
    for alias, model in MODEL_ALIASES.items():
        assert catalog.model(alias).entry.id == model
    for alias, voice in VOICE_ALIASES.items():
        assert catalog.voice(catalog.speech_model("tts-1", "speech"), alias).id == voice
        assert alias in catalog.aliases.of_voice(voice)
    ids = list(catalog.models)  # first what clients get by default, last what needs an upload
    assert (ids[:2], ids[-2:]) == (
        ["wavenet-multilingual", "pixelcnn-sprites"], ["pixelcnn-autoencoder-digits", "pixelcnn-portraits"]
    )  # fmt: skip


def test_a_default_without_its_voice_is_left_out():
    assert effective_aliases(None, {"alloy": "heart", "echo": "ann", "ann": "bob"}, ("ann", "bob"), SETTING) == {
        "echo": "ann"
    }


def test_what_is_configured_replaces_the_defaults():
    assert effective_aliases({"echo": "bob"}, {"alloy": "ann"}, ("ann", "bob"), SETTING) == {"echo": "bob"}
    assert effective_aliases({}, {"alloy": "ann"}, ("ann", "bob"), SETTING) == {}


@pytest.mark.parametrize("configured", [{"echo": "nobody"}, {"ann": "bob"}])
def test_what_is_wrong_is_named(configured):
    with pytest.raises(ModelError, match=rf"{SETTING}: (echo=nobody|ann=bob): "):
        effective_aliases(configured, {}, ("ann", "bob"), SETTING)


def test_an_alias_of_a_model_stands_for_any_that_has_the_voice():
    catalog = load_catalog(CatalogConfig())
    for model, voice, found in (
        ("tts-1", "nova", "wavenet-multilingual"),
        ("tts-1", "allison", "wavenet-en"),
        ("tts-1", "rms(2)+joe", "wavenet-en"),
        (None, "slt", "wavenet-en"),
        ("wavenet-en", "joe", "wavenet-en"),
    ):
        assert catalog.model_and_voice(model, voice)[0].entry.id == found
    with pytest.raises(InvalidRequest, match="wavenet-multilingual has no such voice"):
        catalog.model_and_voice("tts-1", "nobody")
    with pytest.raises(InvalidRequest, match="wavenet-en has no such voice"):
        catalog.model_and_voice("wavenet-en", "nova")
    with pytest.raises(InvalidRequest, match="the voices of a mix speak one language"):
        catalog.model_and_voice("tts-1", "nova+siwis")
