"""Classifiers beside image models: bundled ones see what was asked for, and one of other pictures is refused."""

from dataclasses import replace

import numpy as np
import pytest

from ancestral.catalog.catalog import BUNDLED, CatalogConfig, load_catalog
from ancestral.images.decoding import decode_picture
from ancestral.loader import load_models
from ancestral.models import checkpoint
from ancestral.models.architectures import tensor_table
from ancestral.models.architectures.classifier import ClassifierSpec, shared_fields
from ancestral.models.entries import ModelError, discover
from ancestral.models.tensors import random_tensors
from tests.service.toys import PICTURES, write_picture_model

JUDGED = sorted(entry.id for entry in discover(BUNDLED) if entry.classifier is not None)
SPEC = PICTURES["rgb"]


def write(path, spec):
    checkpoint.save(path, spec, random_tensors(tensor_table(spec)), "")


def models_of(folder):
    return CatalogConfig((folder,))


@pytest.mark.parametrize("model", JUDGED)
def test_a_bundled_classifier_sees_what_the_previews_were_asked_to_show(model):
    """The previews are sampled, so that not all show it; guessing would see one in ten."""
    models = load_models(CatalogConfig(), only=model)
    sampler = models.picture(models.image_model(model, "image_generation"))
    assert sampler.classifier is not None
    right = []
    for column, (_, values) in enumerate(sampler.model.spec.attributes):
        for value in values:
            file = sampler.model.entry.preview(f"{value}.png")
            if file.is_file():
                symbols, _ = decode_picture(file.read_bytes(), sampler.model.spec, "file")
                right.append(sampler.classifier.shown(symbols[None])[0][column].value == value)
    assert len(right) >= 10
    assert np.mean(right) >= 0.8


def test_a_model_knows_whether_it_has_a_classifier(tmp_path):
    write_picture_model(tmp_path / "rgb", SPEC)
    assert (
        "image_classification"
        not in load_catalog(models_of(tmp_path)).image_model("rgb", "image_generation").capabilities
    )
    write(tmp_path / "rgb" / "classifier", ClassifierSpec(**shared_fields(SPEC), layers=1, features=2, code=3))
    model = load_catalog(models_of(tmp_path)).image_model("rgb", "image_classification")
    assert load_models(models_of(tmp_path)).picture(model).classifier is not None


@pytest.mark.parametrize("field", ["height", "attributes", "another kind"])
def test_a_classifier_of_other_pictures_is_refused(tmp_path, field):
    write_picture_model(tmp_path / "rgb", SPEC)
    fitting = ClassifierSpec(**shared_fields(SPEC), layers=1, features=2, code=3)
    changed = {
        "height": replace(fitting, height=SPEC.height + 1),
        "attributes": replace(fitting, attributes=(("a", ("b",)),)),
    }
    if field == "another kind":
        (tmp_path / "rgb" / SPEC.kind).rename(tmp_path / "kept")
        checkpoint.save(tmp_path / "rgb" / SPEC.kind, SPEC, checkpoint.load(tmp_path / "kept").tensors, "")
        (tmp_path / "kept").rename(tmp_path / "rgb" / "classifier")
        said = "needs the checkpoint of a classifier of pictures"
    else:
        write(tmp_path / "rgb" / "classifier", changed[field])
        said = f"rgb: classifier: its {field} differ"
    with pytest.raises(ModelError, match=said):
        load_catalog(models_of(tmp_path))
