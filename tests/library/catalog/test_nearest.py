"""What is proposed for a class that does not exist: by meaning first, then by letters."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from ancestral.catalog.catalog import CatalogConfig, Checkpoints, checkpoints, describe, load_catalog
from ancestral.catalog.models import ImageModel
from ancestral.catalog.nearest import nearest
from ancestral.errors import InvalidRequest
from ancestral.models.checkpoint import load
from ancestral.models.entries import ModelError, discover
from tests.models.random_models import ZOO

EMOJI = (
    ("class", ("Smileys & Emotion", "Animals & Nature", "Flags")),
    ("subclass", ("face-smiling", "cat-face", "animal-mammal", "animal-bird", "country-flag")),
)
EMOJI_SYNONYMS = {
    "smiley": ("Smileys & Emotion", "face-smiling"),
    "grinning": ("Smileys & Emotion", "face-smiling"),
    "cat": ("cat-face", "animal-mammal"),
    "france": ("country-flag",),
}
"""Of the corpus of this name, whose values are in part those of an attribute that belongs to another."""


@pytest.fixture(scope="module")
def bundled():
    found = {}
    for entry in discover(ZOO.parent):
        if entry.kind == "image":
            model = describe(entry, checkpoints(entry))
            assert isinstance(model, ImageModel)
            found[entry.id.removeprefix("pixelcnn-")] = model
    return found


@pytest.fixture(scope="module")
def models(bundled):
    """The bundled models, and one of emoji."""
    entry = replace(bundled["fashion"].entry, id="pixelcnn-emoji", synonyms=EMOJI_SYNONYMS)
    loaded = load(entry.sampled)
    model = describe(entry, Checkpoints(replace(loaded, spec=replace(loaded.spec, attributes=EMOJI))))
    assert isinstance(model, ImageModel)
    return bundled | {"emoji": model}


@pytest.mark.parametrize(
    ("model", "prompt", "proposed"),
    [
        ("fashion", "shoe", "Sneaker, Sandal, Ankle boot"),
        ("fashion", "Red SHOES", "Sneaker, Sandal, Ankle boot"),
        ("fashion", "👟", "Sneaker, Sandal, Ankle boot"),
        ("fashion", "a pair of jeans", "Trouser"),
        ("fashion", "boots", "Ankle boot"),
        ("fashion", "👗", "Dress"),
        ("fashion", "sneeker", "Sneaker"),
        ("digits", "seven", "7"),
        ("digits", "a seven", "7"),
        ("digits", "7️⃣", "7"),
        ("digits", "number 7", "7"),
        ("emoji", "smiley", "Smileys & Emotion, face-smiling"),
        ("emoji", "😀", "Smileys & Emotion, face-smiling"),
        ("emoji", "cats", "cat-face, animal-mammal"),
        ("emoji", "bird", "animal-bird"),
        ("emoji", "🇫🇷", "country-flag"),
        ("emoji", "smilleys & emotion", "Smileys & Emotion"),
    ],
)  # fmt: skip
def test_what_is_proposed(models, model, prompt, proposed):
    with pytest.raises(InvalidRequest) as caught:
        models[model].labels(prompt, "prompt")
    assert caught.value.param == "prompt"
    told = re.sub(r" \((class|subclass|style)\)", "", caught.value.message)
    assert told.startswith(f"prompt: pixelcnn-{model} has no such class")
    assert f"; nearest: {proposed}" in told
    assert ("(class)" in caught.value.message or "(subclass)" in caught.value.message) == (model == "emoji")


def test_without_anything_near_all_classes_are_listed(models):
    with pytest.raises(InvalidRequest, match="it has 0, 1, 2"):
        models["digits"].labels("wxyz", "prompt")


def test_every_shipped_synonym_leads_to_a_class_and_is_none(bundled):
    for model in bundled.values():
        names = [value for values in model.spec.conditions for value in values]
        assert bool(model.entry.synonyms) == bool(names)
        for word, meant in model.entry.synonyms.items():
            assert set(meant) <= set(names)
            assert word not in {name.casefold() for name in names}


def test_a_synonym_of_no_class_is_a_mistake_of_the_model(tmp_path):
    shutil.copytree(ZOO.parent / "pixelcnn-digits", tmp_path / "digits")
    manifest = tmp_path / "digits" / "model.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"synonyms": {"ten": ["10"]}}))
    with pytest.raises(ModelError, match="pixelcnn-digits: synonyms: the checkpoint has no value '10' of an attribute"):
        load_catalog(CatalogConfig((tmp_path,)))


def test_a_sheet_of_no_class_is_a_mistake_of_the_model(tmp_path):
    shutil.copytree(ZOO.parent / "pixelcnn-digits", tmp_path / "digits")
    manifest = tmp_path / "digits" / "model.json"
    sheet = {"rows": ["1"], "animations": {"count": ["{row}", "{row}0"]}, "frames_per_second": 1}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sheets": {"all": sheet}}))
    with pytest.raises(ModelError, match="pixelcnn-digits: sheets: the checkpoint has no value '10' of an attribute"):
        load_catalog(CatalogConfig((tmp_path,)))


def test_meaning_comes_before_letters():
    names = ("Sneaker", "Sandal", "Shirt")
    assert nearest("shoe", names, {}) == []
    assert nearest("shor", names, {}) == ["Shirt"]
    assert nearest("shor", names, {"shor": ("Sandal", "Hat", "Sneaker")}) == ["Sandal", "Sneaker"]
    assert nearest("a sandal please", names, {}) == ["Sandal"]
