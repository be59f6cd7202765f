"""The catalogue: aliases, mixed voices, seeds that are texts, proposals, classifiers, hostile folders."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import astuple, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from openai.types import ImageModel
from openai.types.audio import SpeechModel
from PIL import GimpPaletteFile

from ancestral.catalog import catalog as catalogue
from ancestral.catalog import palettes
from ancestral.catalog.catalog import BUNDLED, MODEL_ALIASES, VOICE_ALIASES, Aliases, CatalogConfig, load_catalog
from ancestral.catalog.descriptions import nearest
from ancestral.catalog.seeds import EXACT, digest_seed, seed_of_text, seed_or_drawn
from ancestral.catalog.voices import find_voice, mix, parse_weights
from ancestral.errors import InvalidRequest
from ancestral.images.decoding import decode_picture
from ancestral.images.files import BatchDecoder
from ancestral.loader import load_models, warm_up
from ancestral.model import Model
from ancestral_models import checkpoint
from ancestral_models.architectures import tensor_table
from ancestral_models.architectures.acoustic import HighBandSpec
from ancestral_models.architectures.classifier import ClassifierSpec, shared_fields
from ancestral_models.checkpoint import CheckpointError, load
from ancestral_models.engines.speech.engine import VoicesEngine
from ancestral_models.entries import ModelError, Sampling, Voice, discover
from ancestral_models.tensors import random_tensors
from tests.models.random_models import ZOO
from tests.models.test_checkpoint import rewrite_config
from tests.models.text.texts import Example, read_examples
from tests.paths import ROOT
from tests.service.toys import PICTURES, write_model, write_picture_model

SETTING = "voice_aliases"


def test_the_default_weights_descend_from_free_data_alone():
    log = (ROOT / "docs/training-log.md").read_text()
    (trunk,) = re.findall(r"\| wavenet-multilingual \| (\w{64}) \|", log)
    cards = {
        file.parent.name: file.read_text() for file in (ROOT / "models/zoo").glob("wavenet-multilingual/*/README.md")
    }
    assert len(cards) == 23
    for name, card in cards.items():
        assert "Licence of these weights: that of its data" in card
        assert not re.search("CC-BY|GPL|allison", card), name
        assert (trunk in card) == name.startswith("wavenet-"), f"what {name} began with"


def test_the_defaults_stand_for_bundled_voices_and_models():
    catalog = load_catalog(CatalogConfig())
    assert catalog.aliases == Aliases(MODEL_ALIASES, VOICE_ALIASES)
    assert len(VOICE_ALIASES) == 46
    assert MODEL_ALIASES.keys() >= {*get_args(ImageModel), *get_args(SpeechModel)}, "what OpenAI's client lists"
    for alias, model in MODEL_ALIASES.items():
        assert catalog.model(alias).entry.id == model
    for alias, voice in VOICE_ALIASES.items():
        assert catalog.model_and_voice("tts-1", alias)[1].id == voice
        assert alias in catalog.aliases.of_voice(voice)
    papers = [model.entry.paper or "" for model in catalog.models.values()]  # last, after what clients get by default
    assert (list(catalog.models)[:2], papers.count("")) == (["wavenet-multilingual", "pixelcnn-sprites"], 6)
    assert papers == sorted(papers)


@pytest.mark.parametrize(
    ("configured", "defaults", "expected"),
    [
        (None, {"alloy": "heart", "echo": "ann", "ann": "bob"}, {"echo": "ann"}),
        ({"echo": "bob"}, {"alloy": "ann"}, {"echo": "bob"}),
        ({}, {"alloy": "ann"}, {}),
    ],
    ids=["a default without its voice is left out", "what is configured replaces defaults", "no aliases"],
)
def test_effective_aliases(configured, defaults, expected):
    assert catalogue.effective_aliases(configured, defaults, ("ann", "bob"), SETTING) == expected


@pytest.mark.parametrize("configured", [{"echo": "nobody"}, {"ann": "bob"}])
def test_an_alias_that_is_wrong_is_named(configured):
    with pytest.raises(ModelError, match=rf"{SETTING}: (echo=nobody|ann=bob): "):
        catalogue.effective_aliases(configured, {}, ("ann", "bob"), SETTING)


def test_an_alias_of_a_model_stands_for_any_that_has_the_voice():
    catalog = load_catalog(CatalogConfig())
    for model, voice, found in (
        ("tts-1", "nova", "wavenet-multilingual"),
        ("tts-1", "allison", "wavenet-en"),
        ("tts-1", "rms(2)+joe", "wavenet-en"),
        (None, "slt", "wavenet-en"),
        ("wavenet-en", "joe", "wavenet-en"),
    ):
        assert catalog.model_and_voice(model, voice)[0].entry.id == found  # fmt: skip
    for model, voice, message in (
        ("tts-1", "nobody", "wavenet-multilingual has no such voice; it has heart"),
        ("tts-1", "Novva", "wavenet-multilingual has no such voice; nearest: nova; it has heart"),
        ("wavenet-en", "af_novva", "wavenet-en has no such voice; it has"),
        ("tts-1", "nova+siwis", "the voices of a mix speak one language"),
    ):
        with pytest.raises(InvalidRequest, match=message):
            catalog.model_and_voice(model, voice)


VOICES = [
    Voice(name, name.title(), "en-US", "", "", "", Sampling(temperature, 1.0, min_p, -10.0 * min_p))
    for name, temperature, min_p in (("ann", 0.6, 0.0), ("bob", 0.9, 0.3), ("eve", 0.9, 0.3))
]


def mixed(text):
    form = mix(parse_weights(text), VOICES).id
    assert mix(parse_weights(form), VOICES).id == form
    return form


def palette_in_file(text):
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.flush()
        return " ".join(palettes.check_palette(Path(file.name)))


READ = {
    "mix": mixed, "weight": lambda text: mix({"ann": text}, VOICES).id,
    "voice": lambda text: find_voice("tiny", VOICES, text, {"alloy": "bob"}).id,
    "seed": lambda text: str(seed_of_text(text)), "seed of a request": lambda text: str(seed_or_drawn(text)),
    "palette": lambda text: palettes.check_palette(json.loads(text)), "palette file": palette_in_file,
}  # fmt: skip
LONG = [
    Example("weight", "1" * 10**5, "! ann", [], False),
    Example("seed", "9" * 256, str(10**256 - 1), [], False),
    Example("seed of a request", "a" * 257, "! must have 1 to 256 characters", [], False),
    Example("seed of a request", "\ud800", "! contains an unpaired surrogate", [], False),
    Example("palette file", "GIMP Palette\n" + "9" * 5000 + " 0 0\n", "! line 2 of the file", [], False),
    Example("palette file", "#" * ((64 << 10) + 1), "! has more than 64 KiB", [], False),
    Example("palette file", "GIMP Palette\n" + "#\n" * (32 << 10), "! has more than 64 KiB", [], False),
    Example("palette file", "\n".join(map("{:06x}".format, range(256))), "! has 256 colours; 2 to 255", [], False),
]
ROWS = read_examples(str(Path(__file__).with_name("catalog.txt"))) + LONG


@pytest.mark.parametrize("row", [row for row in ROWS if row.section in READ], ids=lambda row: f"{row[0]} {row[1]:.30}")
def test_rows(row):
    if not row.spoken.startswith("!"):
        assert READ[row.section](row.written) == row.spoken
        return
    with pytest.raises(InvalidRequest, match=re.escape(row.spoken[1:].strip()) or None) as refused:
        READ[row.section](row.written)
    assert len(str(refused.value)) < 300
    kind = row.section.split()[0]
    assert refused.value.param == (kind if kind in ("seed", "palette") else "voice")


def test_shares_add_up_and_sampling_is_the_mean():
    found = mix({"ann": "2", "bob": "1"}, VOICES)
    assert found.shares == {"ann": 2 / 3, "bob": 1 / 3}
    # The temperatures of voiced and unvoiced frames, min-p, the low shelf.
    assert astuple(found.sampling)[:4] == pytest.approx((0.7, 1.0, 0.1, -1.0))
    assert mix({"bob": "1", "eve": "2"}, VOICES).sampling is VOICES[1].sampling


def test_voices_of_different_languages_are_not_mixed():
    voices = [replace(voice, language=code) for voice, code in zip(VOICES, ("en-US", "en-GB", "es-ES"), strict=True)]
    assert mix({"ann": "1", "bob": "1"}, voices).language == "en-US"
    with pytest.raises(InvalidRequest, match="ann en-US, eve es-ES"):
        mix({"ann": "1", "eve": "1"}, voices)


def test_a_text_stands_for_a_number_that_never_changes():
    """As docs/api.md says: 53 bits of SHA-256 of "0", a line feed and the text, in UTF-8."""
    assert seed_of_text("alice") == int(hashlib.sha256(b"0\nalice").hexdigest()[:16], 16) >> 11 == 1501765264258084
    assert digest_seed(7, "alice") == int(hashlib.sha256(b"7\nalice").hexdigest()[:16], 16) >> 11
    assert seed_of_text("alice") == digest_seed(0, "alice") == seed_or_drawn("alice") < EXACT
    texts = ["alice", "Alice", "alice ", "Ålice", "🦊", "a" * 256, "2026-11-28", "1.2.3", "nan", "seven", "-", ".", "٣"]
    assert len({seed_of_text(text) for text in texts}) == len(texts), "not even case and spaces are ignored"


EMOJI = (
    ("class", ("Smileys & Emotion", "Animals & Nature", "Flags")),
    ("subclass", ("face-smiling", "cat-face", "animal-mammal", "animal-bird", "country-flag")),
)
EMOJI_SYNONYMS = {
    "smiley": ("Smileys & Emotion", "face-smiling"), "grinning": ("Smileys & Emotion", "face-smiling"),
    "cat": ("cat-face", "animal-mammal"), "france": ("country-flag",),
}  # fmt: skip
"""Of the corpus of this name, whose values are in part those of an attribute that belongs to another."""


@pytest.fixture(scope="module")
def bundled():
    found = {}
    for entry in discover(ZOO.parent):
        if entry.kind == "image":
            model = catalogue.describe(entry, catalogue.checkpoints(entry))
            found[entry.id.removeprefix("pixelcnn-")] = model
    return found


@pytest.fixture(scope="module")
def models(bundled):
    """The bundled models, and one of emoji."""
    entry = replace(bundled["fashion"].entry, id="pixelcnn-emoji", synonyms=EMOJI_SYNONYMS)
    loaded = load(entry.sampled)
    changed = replace(loaded, spec=replace(loaded.spec, attributes=EMOJI))
    model = catalogue.describe(entry, catalogue.Checkpoints(changed))
    return bundled | {"emoji": model}


@pytest.mark.parametrize(("written", "proposed"), [(r.written, r.spoken) for r in ROWS if r.section == "proposal"])
def test_what_is_proposed(models, written, proposed):
    model, _, prompt = written.partition(" | ")
    with pytest.raises(InvalidRequest) as caught:
        models[model].labels(prompt, "prompt")
    assert caught.value.param == "prompt"
    told = re.sub(r" \((class|subclass|style)\)", "", caught.value.message)
    assert told.startswith(f"prompt: pixelcnn-{model} has no such class")
    assert f"; nearest: {proposed}" in told
    assert ("(class)" in caught.value.message or "(subclass)" in caught.value.message) == (model == "emoji")


@pytest.mark.parametrize("prompt", ["elf robe", "an elf in a robe", "Elf robe,", "robe, elf", "vine stalker robe"])
def test_commas_may_be_left_out_where_that_is_clear(bundled, prompt):
    species = "vine stalker" if "vine" in prompt else "elf"
    model = bundled["sprites"]
    assert model.labels(prompt, "prompt") == model.labels(f"{species}, robe", "prompt")
    assert sorted(model.canonical(prompt).split(", ")) == sorted([species, "robe"])


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("gnome", "pixelcnn-sprites has no such species, [a-z, ]+ or colour: 'gnome'; nearest: spriggan"),
        ("elf, gnome", "pixelcnn-sprites .* or colour: 'gnome' .name 2 of 2."),
        ("robot with braids", "pixelcnn-characters .* or pose: 'braids'"),
        ("g" * 999, "'g{40}';"),
    ],
)
def test_the_wrong_name_is_told_by_the_model_that_knows_the_others(prompt, told):
    with pytest.raises(InvalidRequest, match=told):
        load_catalog(CatalogConfig()).model_that_draws(prompt)


def counted(frame):
    return {"all": {"rows": ["1"], "animations": {"count": ["{row}", frame]}, "frames_per_second": 1}}


NONE = "the checkpoint has no value '10' of an attribute"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("synonyms", {"ten": ["10"]}, NONE), ("sheets", counted("{row}0"), NONE),
        ("sheets", counted("{row}, 2"), "'1, 2' names two values of one attribute"),
    ],
)  # fmt: skip
def test_a_class_that_does_not_exist_is_a_mistake_of_the_model(tmp_path, field, value, reason):
    shutil.copytree(ZOO.parent / "pixelcnn-digits", tmp_path / "digits")
    manifest = tmp_path / "digits" / "model.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {field: value}))
    with pytest.raises(ModelError, match=f"pixelcnn-digits: {field}: {reason}"):
        load_catalog(CatalogConfig((tmp_path,)))


def test_meaning_comes_before_letters():
    names = ("Sneaker", "Sandal", "Shirt")
    assert nearest("shoe", names, {}) == []
    assert nearest("shor", names, {}) == ["Shirt"]
    assert nearest("shor", names, {"shor": ("Sandal", "Hat", "Sneaker")}) == ["Sandal", "Sneaker"]
    assert nearest("a sandal please", names, {}) == ["Sandal"]


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
    right = []
    for column, (_, values) in enumerate(sampler.model.spec.attributes):
        for value in values:
            file = sampler.model.entry.preview(f"{value}.png")
            if file.is_file():
                symbols, _ = decode_picture(file.read_bytes(), sampler.model.spec, "file")
                right.append(sampler.classifier.shown(symbols[None])[0][column].value == value)
    assert len(right) >= 10
    assert np.mean(right) >= 0.8


FITTING = ClassifierSpec(**shared_fields(SPEC), layers=1, features=2, code=3)


@pytest.mark.parametrize(
    ("part", "spec", "said"),
    [
        ("classifier", replace(FITTING, height=SPEC.height + 1), "rgb: classifier: its height differ"),
        ("classifier", replace(FITTING, attributes=(("a", ("b",)),)), "rgb: classifier: its attributes differ"),
        ("classifier", SPEC, "needs the checkpoint of a classifier of pictures"),
        ("high_band", HighBandSpec(("ann",)), "tiny: high_band: it has no map of 'bob'"),
        ("high_band", SPEC, "needs maps of the band above 8 kHz"),
    ],
)
def test_a_classifier_or_a_band_of_another_model_is_refused(tmp_path, part, spec, said):
    path = tmp_path / ("rgb" if part == "classifier" else "tiny")
    write_picture_model(path, SPEC) if part == "classifier" else write_model(path)
    write(path / part, spec)
    with pytest.raises(ModelError, match=said):
        load_catalog(models_of(tmp_path))


def test_the_band_of_a_mix_is_the_mean(tmp_path):
    write_model(tmp_path / "tiny")
    write(tmp_path / "tiny" / "high_band", HighBandSpec(("ann", "bob")))
    model = load_catalog(models_of(tmp_path)).speech_model("tiny", "speech")
    mean = 0.75 * model.maps["ann"] + 0.25 * model.maps["bob"]
    assert model.high_band("ann(3)+bob(1)") == pytest.approx(mean, abs=1e-6)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def endless(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def sparse(path):
    os.truncate(path, 1 << 40)


def deep(path):
    path.write_text('{"a":' * 100_000)


def large(path):
    rewrite_config(path.parent, layers=10**9)


def test_voices_have_networks_of_their_own(tmp_path):
    """The hash that clients see is of all weights, and a network of another size is refused."""
    write_model(tmp_path / "toy", shaping="linear_prediction")
    (before,) = load_models(CatalogConfig((tmp_path,))).samplers.values()
    assert isinstance(before.network, VoicesEngine)
    own = tmp_path / "toy" / "wavenet-bob"
    shutil.rmtree(own)
    shutil.copytree(own.with_name("wavenet"), own)
    (after,) = load_models(CatalogConfig((tmp_path,))).samplers.values()
    assert after.model.sha256 != before.model.sha256
    toy = Model(load_models(CatalogConfig((tmp_path,)), only="toy"), "toy")
    (own / "weights.safetensors").unlink()
    missing = "toy: wavenet-bob: weights.safetensors: cannot be read"
    with pytest.raises(CheckpointError, match=missing):
        load_models(CatalogConfig((tmp_path,)))
    assert toy.voice("ann").speak("Yes.").encode("pcm")
    with pytest.raises(CheckpointError, match=missing):
        toy.voice("bob").speak("Yes.").encode("pcm")
    spec = load(own.with_name("wavenet")).spec
    checkpoint.save(own, spec, random_tensors(tensor_table(spec)), "")
    with pytest.raises(CheckpointError, match="wavenet-bob: its weights are others than when the model was loaded"):
        toy.voice("bob").speak("Yes.").encode("pcm")
    spec = replace(spec, head_channels=24)
    checkpoint.save(own, spec, random_tensors(tensor_table(spec)), "")
    with pytest.raises(ModelError, match="toy: wavenet-bob: its configuration differs from that of wavenet"):
        load_models(CatalogConfig((tmp_path,)))


FILES = ("model.json", "wavenet/config.json", "wavenet/weights.safetensors", "wavenet/README.md")
ENDLESS = ((pipe, "not a regular file"), (endless, "not a regular file"), (sparse, "larger than"))
SPOILED = [
    *((name, spoil, reason) for name in FILES for spoil, reason in ENDLESS),
    *((name, deep, "nested too deeply") for name in ("model.json", "wavenet/manifest.json")),
    ("wavenet/config.json", large, "layers: must be an integer from 1 to"),
]


@pytest.mark.parametrize(("name", "spoil", "reason"), SPOILED, ids=lambda value: getattr(value, "__name__", value))
def test_a_hostile_folder_is_left_out(tmp_path, caplog, name, spoil, reason):
    for model in ("good", "bad"):
        write_model(tmp_path / model)
    spoil(tmp_path / "bad" / name)
    assert list(load_catalog(CatalogConfig((tmp_path,))).models) == ["good"]
    assert "model left out: bad" in caplog.text
    assert reason in caplog.text


def test_a_model_that_cannot_be_sampled_is_left_out_and_the_last_one_is_an_error(tmp_path, caplog):
    for model in ("broken", "good", "refused"):
        write_model(tmp_path / model)
    acoustic = load(tmp_path / "broken/acoustic")
    long = {"duration_bias": np.array([14.0], np.float32)}  # three hours a phoneme
    checkpoint.save(acoustic.path, acoustic.spec, {**acoustic.tensors, **long}, "")
    rewrite_config(tmp_path / "refused/wavenet", int8_ranges=[])
    models = load_models(CatalogConfig((tmp_path,)))
    assert list(models.samplers) == ["broken", "good"]
    assert list(warm_up(models)) == list(models.samplers) == list(models.models) == ["good"]
    assert sorted(models.left_out) == ["broken", "refused"]
    for reason in ("refused: int8_ranges: the checkpoint has none", "duration_bias: a phoneme of 1.2026e+06 frames"):
        assert reason in caplog.text
    shutil.rmtree(tmp_path / "good")
    models = load_models(CatalogConfig((tmp_path,)))
    with pytest.raises(ValueError, match="duration_bias: a phoneme of"):
        warm_up(models)
    shutil.rmtree(tmp_path / "broken")
    with pytest.raises(ModelError, match="refused: int8_ranges"):
        load_models(CatalogConfig((tmp_path,)))


# The package as it is imported and documented.


HEAVY = ("torch", "fastapi", "starlette", "redis", "uvicorn")


def test_speaking_and_drawing_load_no_torch_and_no_server(tmp_path):
    for name in ("models", "service", "training"):  # a user may have packages of these names
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not ours')\n")
    code = (
        "import sys, ancestral\n"
        "heavy = 'numpy', 'ancestral_models.native'\n"
        "assert not any(name.startswith(heavy) for name in sys.modules), 'the import is light'\n"
        "print(len(ancestral.load('wavenet-en').voice('joe').speak('Yes.', seed=1).samples))\n"
        "print(ancestral.load('pixelcnn-digits').draw('7', seed=1).bits)\n"
        f"print(sorted({set(HEAVY)!r} & sys.modules.keys()))\n"
    )
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_notebook_runs(tmp_path):
    notebook = json.loads((ROOT / "docs/notebook.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 4
    line = [sys.executable, "-c", "\n\n".join(cells)]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Palettes that pictures are put into: names, files, colours, and which of them is the nearest.


def test_what_is_written_is_read_by_others_and_here():
    colours = np.array([[0, 0, 0, 0], [1, 20, 255, 255], [0, 0, 0, 255]], np.uint8)
    data = palettes.write_palette("mine", colours)
    assert palettes.read_palette(data) == ("#0114ff", "#000000")
    assert GimpPaletteFile.GimpPaletteFile.frombytes(data).palette == bytes([1, 20, 255, 0, 0, 0])


def test_the_nearest_is_the_one_that_looks_nearest():
    """By the values of OKLab: black 0, blue 0.452, red 0.628, green 0.866, white 1 in lightness."""
    grey = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    found = palettes.nearest(grey, np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
    assert found.tolist() == [0] * 100 + [1] * 156, "lightness 0.5 is a linear 0.125, 99.07 of 255 in sRGB"
    # In RGB dark violet is as near to black as to blue; who sees it says blue.
    colours = np.array([[0, 0, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
    assert palettes.nearest(np.array([[60, 0, 126]], np.uint8), colours).tolist() == [1]


@pytest.mark.parametrize(
    ("name", "transparent"), [("rgb", False), ("grey", False), ("binary", False), ("palette", False), ("palette", True)]
)
def test_every_pixel_gets_the_nearest_colour_and_transparent_ones_stay(name, transparent):
    spec = PICTURES[name]
    symbols = np.random.default_rng(1).integers(0, spec.levels, (spec.height, 2, spec.width, spec.channels))
    plain = BatchDecoder(spec, 2, transparent=transparent)
    mapped = BatchDecoder(spec, 2, transparent=transparent, palette="pico-8")
    rows = mapped(symbols.astype(np.uint8))
    before, after = plain(symbols.astype(np.uint8)), mapped.pixels
    assert np.array_equal(rows.swapaxes(0, 1), after)
    assert after.shape[3] == (4 if transparent else 3)
    colours = palettes.colours_of("pico-8")
    seen = np.broadcast_to(before[..., :3], (*before.shape[:3], 3)).swapaxes(0, 1)
    expected = colours[palettes.nearest(np.ascontiguousarray(seen), colours)]
    hidden = before.swapaxes(0, 1)[..., 3] == 0 if transparent else np.zeros(seen.shape[:3], bool)
    assert hidden.any() == transparent
    assert np.array_equal(after[..., :3][~hidden], expected[~hidden])
    if transparent:
        assert np.array_equal(after[..., 3] == 0, hidden)
    assert np.array_equal(mapped.colours[mapped.indices(mapped.symbols)[..., 0]][..., : after.shape[3]], after)
