"""`ancestral.Detector`, with the bundled models: sprites after damage, sentences after codecs, and what is not ours."""

import io
import json
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import soxr
from PIL import Image

import ancestral
from ancestral.catalog.catalog import CatalogConfig, load_catalog
from ancestral.catalog.seeds import keyed_seeds
from ancestral.codecs import encode_file
from ancestral.detection import pictures, sounds
from ancestral.detection.examine import Sound, examine
from ancestral.detection.pictures import PictureTest, ShownLabels
from ancestral.detection.query import Query, Search
from ancestral.detection.upload import candidates
from ancestral_models.categorical import uniforms
from ancestral_models.conditioning import draw_labels

KEY = b"the key of these tests, 32 bytes"
COUNTERS = 50_000
TEXT = "The birch canoe slid on the smooth planks."


@pytest.fixture(scope="module")
def detector():
    return ancestral.Detector(key=KEY)


@pytest.fixture(scope="module")
def elf():
    """A sprite of many bits. One of 38 in all cannot be found among 50 000."""
    seed = int(keyed_seeds(KEY, 31_003, 1)[0])
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
    assert (answer["verdict"], answer["seed"]["counter"]) == ("made_here", 31_003)
    assert answer["seed"]["log10_p"] < -6.0
    assert answer["model"]["status"] == "could_be_ours"


@pytest.fixture(scope="module")
def sampler():
    return ancestral.load("pixelcnn-sprites")._models.samplers["pixelcnn-sprites"]


@pytest.fixture(scope="module")
def drawn(sampler):
    """The symbols of a sprite of which an orc was named, its seed and its labels."""
    spec, rows = sampler.model.spec, sampler.model.label_rows
    named = [spec.conditions[0].index("orc"), *[None] * (len(spec.conditions) - 1)]
    labels = tuple(draw_labels(spec, rows, named, 7))
    return sampler.engine.pictures.draw([replace(sampler.request(labels, 0.3, 1.5), seed=7)])[0], labels


def test_labels_are_evidence_for_the_seed_that_drew_them_and_of_wrong_ones_an_e_value(sampler, drawn):
    symbols, labels = drawn
    shown, nothing = ShownLabels(sampler, symbols), (None,) * len(labels)
    orc = (labels[0], *nothing[1:])
    assert shown.likely(1) == [labels]
    assert (shown.drawn(orc, 7)[0], shown.drawn(labels, 8)) == (labels, (labels, pytest.approx(0.0, abs=1e-9)))
    assert shown.drawn(orc, 7)[1] > 14.0 > 8.0 > shown.drawn(nothing, 7)[1], "what was named was not drawn"
    bits = np.array([shown.drawn(nothing, seed)[1] for seed in range(100, 1100)])
    assert np.exp2(bits).mean() < 1.2
    assert -2.1 < bits.min() < bits.max() < 12.0


def test_a_seed_is_found_by_what_it_drew_beside_what_was_named_and_no_other_is(sampler, drawn):
    symbols, labels = drawn
    shown = ShownLabels(sampler, symbols)
    tests = {
        seed: PictureTest(sampler, symbols, shown, Search(Query(seed=seed, seconds=600.0), None)) for seed in (7, 8)
    }
    for test in tests.values():
        test.run()
    assert (tests[7].found, tests[7].best.part, tests[8].found) == (True, 0, False)
    bounds = shown.bounds(labels)
    noise = uniforms(7, sampler.model.spec.dims, len(labels))
    assert ((bounds[1:, 0] <= noise[1:]) & (noise[1:] < bounds[1:, 1])).all(), "the species alone was not drawn"


TURN = {"seed": 1, "from": "elf", "to": "orc", "steps": 3, "step": 1}


@pytest.mark.parametrize(
    "recipe",
    [
        *({"seed": seed} for seed in ([1], {}, "9" * 5000, 10**4000, 1.5, True, -1)), {"seed": 1, "sheet": "run"},
        *(TURN | {"from": [number]} for number in (1e39, 10**400, float("nan"))), TURN | {"steps": "9" * 5000},
    ],
)  # fmt: skip
def test_a_hostile_recipe_cannot_be_followed(sampler, recipe):
    vector = recipe.get("from") * sampler.model.spec.condition_channels if "from" in recipe else None
    recipe = recipe | {"from": vector} if isinstance(vector, list) else recipe
    symbols = np.zeros((sampler.model.spec.height, sampler.model.spec.width, 1), np.uint8)
    assert pictures.recipe_part(sampler, symbols, recipe)["status"] == "not_tried"
    assert Query(recipe=recipe).named == ([1] if {"steps", "sheet"} & recipe.keys() else [])


def test_the_parts_of_a_sound_share_the_time(monkeypatch):
    monkeypatch.setattr("ancestral.detection.query.time", Mock(monotonic=lambda: 0.0))
    ends, models = {}, Mock()
    for name in ("seed", "recipe", "model"):
        monkeypatch.setattr(sounds, f"{name}_part", lambda *given, name=name: ends.update({name: given[-1]}))
    models.aliases.models = {"alias": "a"}
    for recipe, seconds in (({"model": "alias"}, 40.0), (None, 80.0)):
        ends.clear()
        examine(models, Sound("a", np.zeros(9, np.float32)), Query(recipe=recipe, seconds=80.0), None)
        assert [ends[name].until for name in ("seed", "recipe", "model")] == [seconds, 80.0, 80.0]
        assert {search.query.recipe and search.query.recipe["model"] for search in ends.values()} == {recipe and "a"}


def test_a_recording_is_examined_with_the_first_model_that_has_the_voice():
    catalog = load_catalog(CatalogConfig())
    for voice, recipe, model in (
        ("allison", None, "wavenet-en"), (None, {"voice": "allison"}, "wavenet-en"), ("nobody", None, None),
        (None, None, None), ("allison", {"model": "wavenet-multilingual"}, "wavenet-multilingual"),
    ):  # fmt: skip
        assert candidates(catalog, None, recipe, voice, picture=False) == [model or catalog.speech_models[0].entry.id]


def test_counters_share_one_trial_and_the_newest_have_most_of_it():
    search = Search(Query(newest=5000, search=4000), KEY)
    trials = np.array([search.trials(counter) for counter in range(1000, 5000)])
    assert 0.9 < (1.0 / trials).sum() <= 1.0
    assert (np.diff(trials) < 0.0).all()
    assert trials[-1] < 4000 / 3
    late = Search(Query(newest=5000, search=4000, seconds=-1.0), KEY)  # named, and found as the time was used up
    assert late.counter_of(int(keyed_seeds(KEY, 4321, 1)[0])) == 4321


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
    for other, status in ((seed, "close"), (seed + 1, "differs")):
        lossy = detector.detect(encode_file([wave], "opus", 16000), seed=other, text=TEXT, recipe={"voice": "nova"})
        assert lossy["recipe"]["status"] == status
    long = " ".join([TEXT] * 6)
    wave = ancestral.load().voice("nova").speak(long, seed=seed).samples
    spliced = wave.copy()
    spliced[8_000:16_000] = wave[16_000:24_000]
    for sound, status in ((wave, "close"), (spliced, "differs")):
        file = encode_file([sound], "opus", 16000)
        answer = detector.detect(file, seed=seed, text=long, recipe={"voice": "nova"}, seconds=120.0)["recipe"]
        assert (answer["status"], answer["correlation"] > 0.9) == (status, True)


@pytest.mark.slow
def test_what_others_have_made_is_not_found(detector):
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
    noise = (0.1 * rng.normal(size=32_000)).astype(np.float32)
    for file in (saved(Image.fromarray(pixels), "PNG"), encode_file([noise], "wav", 16000)):
        answer = detector.detect(file, counters=1000, seconds=5.0)
        assert (answer["seed"]["status"], answer["verdict"]) == ("not_found", "no_evidence")


@pytest.mark.parametrize("scale", [1, 3])
def test_a_jpeg_of_any_scale_is_what_its_recipe_gives(detector, tmp_path, scale):
    picture = ancestral.load("pixelcnn-sprites").draw("elf, robe", seed=7)
    for form in ("png", "jpg"):
        picture.save(tmp_path / f"elf.{form}", scale=scale)
    recipe, file = json.loads(Image.open(tmp_path / "elf.png").text["recipe"]), (tmp_path / "elf.jpg").read_bytes()
    assert detector.detect(file, recipe=recipe, seconds=60.0)["recipe"]["status"] == "equal"
    other = detector.detect(file, recipe=recipe | {"seed": 8}, seconds=60.0)
    assert other["recipe"]["status"] == "differs"
