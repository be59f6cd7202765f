"""`ancestral.Detector`, with the bundled models: sprites after damage, sentences after codecs, and what is not ours."""

import io
from dataclasses import replace

import numpy as np
import pytest
import soxr
from PIL import Image

import ancestral
from ancestral.catalog.seeds import keyed_seeds
from ancestral.codecs import encode_file
from ancestral.detection.pictures import PictureTest
from ancestral.detection.query import Query, Search
from ancestral.models.conditioning import draw_labels

KEY = b"the key of these tests, 32 bytes"
COUNTERS = 50_000
TEXT = "The birch canoe slid on the smooth planks."


@pytest.fixture(scope="module")
def detector():
    return ancestral.Detector(key=KEY)


@pytest.fixture(scope="module")
def elf():
    """A sprite of many bits. One of 24, as an ogre in a skin with a club may have, cannot be found among 50 000."""
    seed = int(keyed_seeds(KEY, 31_002, 1)[0])
    return ancestral.load("pixelcnn-sprites").draw("any", seed=seed).image


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def on_white(image, scale):
    opaque = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return opaque.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


@pytest.mark.parametrize(
    ("form", "scale", "options"),
    [("WEBP", 1, {"lossless": True}), ("PNG", 3, {}), ("JPEG", 8, {"quality": 70, "subsampling": 0})],
)
def test_a_sprite_is_found_by_the_key_whatever_it_shows(detector, elf, form, scale, options):
    file = saved(on_white(elf, scale), form, **options)
    answer = detector.detect(file, model="pixelcnn-sprites", counters=COUNTERS, seconds=120.0)
    assert (answer["verdict"], answer["seed"]["counter"]) == ("made_here", 31_002)
    assert answer["seed"]["log10_p"] < -6.0
    assert answer["model"]["status"] == "could_be_ours"


def test_labels_are_evidence_for_a_seed_but_for_one_that_told_them():
    sampler = ancestral.load("pixelcnn-sprites")._models.samplers["pixelcnn-sprites"]
    spec, rows = sampler.model.spec, sampler.model.label_rows
    labels = tuple(draw_labels(spec, rows, [None] * len(spec.conditions), 7))
    request = replace(sampler.request(labels, 0.3, 1.5), seed=7)
    test = PictureTest(sampler, sampler.engine.pictures.draw([request])[0], Search(Query(seed=7), None))
    told, found = (test._intervals(test._conditions(labels, from_seed=whether)) for whether in (True, False))
    assert (told.optional, found.optional) == (0, 1)
    assert found.inside(7)[-1].all()
    assert not found.inside(8)[-1].any()
    assert found.evidence(7) > told.evidence(7) + 8.0


def test_a_sentence_is_found_after_codecs_filters_and_cuts(detector):
    seed = int(keyed_seeds(KEY, 123, 1)[0])
    wave = ancestral.load().voice("nova").speak(TEXT, seed=seed).samples
    for form in ("mp3", "opus"):
        answer = detector.detect(encode_file([wave], form, 16000), counters=COUNTERS, seconds=120.0)
        assert (answer["verdict"], answer["seed"]["counter"]) == ("made_here", 123), form
    cut = soxr.resample(wave[10_000:26_000], 16000, 24000)
    answer = detector.detect(encode_file([cut], "wav", 24000), seed=seed)
    assert answer["seed"]["offset_seconds"] == pytest.approx(-0.625, abs=1e-3)
    assert answer["seed"]["log10_p"] < -100.0
    other = detector.detect(encode_file([cut], "wav", 24000), seed=seed + 1)
    assert (other["seed"]["status"], other["verdict"]) == ("not_found", "no_evidence")
    file = encode_file([wave], "wav", 16000)
    again = detector.detect(file, seed=seed, text=TEXT, recipe={"voice": "nova"}, seconds=120.0)
    assert again["recipe"] == {"status": "equal", "samples": len(wave), "correlation": 1.0}


@pytest.mark.slow
def test_what_others_have_made_is_not_found(detector):
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    noise = (0.1 * rng.normal(size=32_000)).astype(np.float32)
    for file in (saved(Image.fromarray(pixels), "PNG"), encode_file([noise], "wav", 16000)):
        answer = detector.detect(file, counters=1000, seconds=5.0)
        assert (answer["seed"]["status"], answer["verdict"]) == ("not_found", "no_evidence")
