"""Judges of pictures against answers that are known: classifiers, copies, retrieval, edits, baselines; the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch.nn.functional import normalize

from ancestral_models.architectures import tensor_table
from ancestral_models.architectures.classifier import ClassifierSpec, shared_fields
from ancestral_models.architectures.pixelcnn import PixelCNNAutoencoderSpec, PixelCNNSpec
from ancestral_models.checkpoint import Checkpoint, load, save
from ancestral_models.classification import PictureClassifier
from ancestral_models.engines.images.engine import ImageStreamRequest
from ancestral_models.engines.images.native import NativeImageEngine
from ancestral_models.spec import ImageSpec
from ancestral_models.tensors import random_tensors
from ancestral_service.cli.main import ancestral
from ancestral_training.data.images import IdentityBatches, Pictures, kept_pixels, read_image
from ancestral_training.evaluation import images as judges
from ancestral_training.metrics import Retrieval, accuracy, adherence, retrieval
from ancestral_training.model_card import with_sheet
from ancestral_training.tasks.pictures import MARGIN, ImageTask, semi_hard, squared_distances, triplet_loss
from tests.training.pictures import QUARTERS, SIDES, quarters, write_set

GREYS = tuple(f"#{level:02x}{level:02x}{level:02x}" for level in range(256))
OWNERS = np.array([7, 3, 7, 9, 3, 7, 3, 5, 9, 7, 4], np.int64)
"""7 four times, 3 three times, 9 twice, 5 and 4 once."""


def seen_as(levels: int, palette: tuple[str, ...] = ()) -> ImageSpec:
    return ImageSpec(8, 8, 1, levels, palette, QUARTERS)


def trained(pictures: Pictures, seen: int, levels: int = 256, palette: tuple[str, ...] = ()) -> PictureClassifier:
    return judges.train_classifier(pictures, ClassifierSpec(**shared_fields(seen_as(levels, palette))), seen)


@pytest.fixture(scope="module")
def classifier() -> PictureClassifier:
    return trained(quarters(600, 0), 6000)


def test_a_classifier_learns_every_attribute_also_of_two_levels_and_of_colours(classifier: PictureClassifier) -> None:
    test = quarters(60, 1)
    assert accuracy(classifier, test) == {"side": 1.0, "height": 1.0}
    assert accuracy(trained(quarters(600, 0), 3000, palette=GREYS), test) == {"side": 1.0, "height": 1.0}
    binary = accuracy(trained(quarters(600, 0), 6000, 2), Pictures(test.images // 128, test.labels))
    assert binary["side"] >= 0.6, "without a lightest part there is nothing to see"
    assert binary["height"] == 1.0
    few = quarters(30, 0)
    assert accuracy(trained(few, 6000), few) == {"side": 1.0, "height": 1.0}, "few are shown more often"


def test_all_are_right_where_each_is_and_unspecified_labels_do_not_count(classifier: PictureClassifier) -> None:
    test = quarters(60, 1)
    test.labels[:15, 0] ^= 1
    test.labels[10:20, 1] = (test.labels[10:20, 1] + 1) % 3
    test.labels[50:55, 0] = len(SIDES)
    assert adherence(classifier, test) == {"side": 40 / 55, "height": 50 / 60, "all": 40 / 60}


def test_missing_variety_costs_recall_and_strange_pictures_cost_precision() -> None:
    rng = np.random.default_rng(0)
    assert min(judges.precision_recall(*rng.standard_normal((2, 500, 8)).astype(np.float32))) > 0.7
    real, centre = rng.standard_normal((2, 400, 4)).astype(np.float32) * np.float32([[[1.0]], [[0.05]]])
    precision, recall = judges.precision_recall(centre, real)
    assert precision > 0.9 > 0.1 > recall
    strange = real + 100.0
    assert judges.precision_recall(strange, real) == (0.0, 0.0)
    assert judges.precision_recall(np.concatenate([strange[:200], real[:200]]), real).precision == 0.5


def test_the_nearest_is_that_in_colour_of_all_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = (np.array(x, np.uint8).reshape(-1, 1, 1, 1) for x in ([0, 100, 50, 61, 255, 7], [60, 90]))
    for chunk in (1000, 2):
        monkeypatch.setattr(judges, "_CHUNK", chunk)
        assert np.allclose(judges.nearest(real[2:3], real, seen_as(256)), [0.0])
        assert np.allclose(judges.nearest(asked, real, seen_as(256)), [1.0, 10.0])
    spec = ImageSpec(height=1, width=1, channels=1, levels=3, palette=("#ffffff", "#ff0000", "#0a0000"))
    symbols = np.array([0, 1, 2], np.uint8).reshape(3, 1, 1, 1)
    assert np.allclose(judges.nearest(np.zeros((1, 1, 1, 3), np.uint8), symbols, spec), [10 / 3**0.5]), "by colours"


def test_copies_are_counted_beside_those_of_real_pictures() -> None:
    train, test, fresh = np.random.default_rng(0).integers(0, 256, (3, 200, 4, 4, 1), np.uint8)
    spec = ImageSpec(height=4, width=4, channels=1, levels=256)
    changed = train.copy()
    changed[:, 0, 0] ^= 1  # one step in one pixel
    some = np.concatenate([train[:50], fresh[:150]])
    independent, copied, near = (judges.count_copies(drawn, test, train, spec) for drawn in (fresh, some, changed))
    assert independent.copies < 0.15
    assert independent.equal == independent.equal_of_real == 0.0
    assert copied.equal == 0.25 <= copied.copies
    assert copied.distance_of_real == independent.distance_of_real
    assert (near.copies, near.equal) == (1.0, 0.0)


def test_ranks_are_those_of_identities_by_their_nearest_picture() -> None:
    gallery = np.array([[0.0], [10.0], [1.0], [20.0], [30.0], [40.0], [50.0], [60.0]], np.float32)
    owners, asked = np.array([4, 4, 8, 9, 10, 11, 12, 13]), np.array([4, 4, 4, 12, 4])
    found = retrieval(np.array([[0.4], [9.0], [2.0], [49.0], [49.0]], np.float32), asked, gallery, owners)
    # Nearest identities: 4, 4, 8 (then 4), 12; the last query has five others before 4.
    assert found == Retrieval(pytest.approx(3 / 5), pytest.approx(4 / 5), pytest.approx(1 / 7), pytest.approx(5 / 7), 7)


def test_a_batch_has_company_for_everybody() -> None:
    batches = IdentityBatches(OWNERS, people=2, each=3, seed=0)
    for step in range(20):
        found = OWNERS[batches.batch(step, 0)]
        names, counts = np.unique(found, return_counts=True)
        assert set(names) <= {3, 7, 9}
        assert all(count == min(3, (name == OWNERS).sum()) for name, count in zip(names, counts, strict=True))
        assert len(np.unique(batches.batch(step, 0))) == len(found)


def test_negatives_are_the_nearest_that_are_further_than_the_positive() -> None:
    everybody = range(len(OWNERS))
    distances = squared_distances(normalize(torch.randn(len(OWNERS), 3)))
    triplets = list(zip(*(side.tolist() for side in semi_hard(distances, torch.from_numpy(OWNERS))), strict=True))
    pairs = [(a, p) for a in everybody for p in everybody if a != p and OWNERS[a] == OWNERS[p]]
    assert [(a, p) for a, p, _ in triplets] == pairs
    kinds = set()
    for a, p, n in triplets:
        others = [i for i in everybody if OWNERS[i] != OWNERS[a]]
        further = [i for i in others if distances[a, i] > distances[a, p]]
        assert n == (min if further else max)(further or others, key=lambda i, a=a: float(distances[a, i]))
        kinds.add(bool(further))
    assert kinds == {True, False}, "both cases occur"


def test_the_loss_of_triplets_is_that_of_the_definition_and_is_zero_beyond_the_margin() -> None:
    vectors = normalize(torch.tensor([[1.0, 0.0], [1.0, 0.2], [0.9, 0.5], [0.0, 1.0]]))
    identities = torch.tensor([0, 0, 1, 1])
    d = (vectors[:, None] - vectors).square().sum(dim=2)
    # Of 0 and 1, the nearer of the others is further than the positive; of 2, both are nearer, and 0 is the furthest.
    expected = [float(d[a, p] - d[a, n]) + MARGIN for a, p, n in ((0, 1, 2), (1, 0, 2), (2, 3, 0), (3, 2, 1))]
    assert triplet_loss(vectors, identities).item() == pytest.approx(sum(max(loss, 0.0) for loss in expected) / 4)
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert triplet_loss(apart, identities).item() == 0.0
    assert triplet_loss(apart, identities, margin=2.5).item() == pytest.approx(0.5)


def test_masks_have_regions_of_many_shapes_and_keep_something() -> None:
    masks, again = (kept_pixels(np.random.default_rng(0), 500, 16, 12) for _ in range(2))
    assert masks.shape == (500, 16, 12)
    assert np.array_equal(masks, again)
    assert masks.any(axis=(1, 2)).all()
    assert not masks.all(axis=(1, 2)).any()
    shares, places = masks.mean(axis=(1, 2)), masks.mean(axis=0)
    assert shares.min() < 0.2 < 0.9 < shares.max()
    assert 0.2 < places.min() < places.max() < 0.95, "every pixel is kept, and drawn, now and then"
    framed = 0  # of some, a rectangle in the middle is kept
    for mask in masks:
        (top, left), (bottom, right) = np.argwhere(mask).min(0), np.argwhere(mask).max(0)
        inside = 0 < top <= bottom < 15 and 0 < left <= right < 11
        framed += inside and mask[top : bottom + 1, left : right + 1].all()
    assert framed > 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of two classes."""
    sides = [Pictures(found.images, found.labels[:, :1]) for found in (quarters(400, 0), quarters(60, 1))]
    return write_set(tmp_path_factory.mktemp("sides") / "pictures.npz", {"class": SIDES}, *sides).parent


def test_the_baseline_knows_how_often_each_pixel_is_what() -> None:
    train = np.array([[0, 1], [0, 1], [1, 1]], np.uint8).reshape(3, 1, 2, 1)
    exact = -math.log(2 / 5) - math.log(4 / 5)
    assert judges.independent_nats(train, np.array([[1, 1]], np.uint8).reshape(1, 1, 2, 1), 2) == pytest.approx(exact)


def test_the_sum_over_classes_is_the_definitions(data: Path) -> None:
    spec = PixelCNNSpec(
        height=8, width=8, channels=1, levels=2, layers=2, features=4, first_kernel_size=3, output_features=5,
        attributes=(("class", SIDES),), conditioning="class",
    )  # fmt: skip
    task = ImageTask(spec, data)
    model, test, prior = task.network().eval(), task.held_out(task.pictures.test, 5), np.array([0.3, 0.7])
    symbols, total = torch.from_numpy(test.images.astype(np.int64)), torch.zeros(5, dtype=torch.float64)
    with torch.no_grad():
        for label, p in enumerate(prior):
            logits = model(symbols, torch.full((5, 1), label)).double().log_softmax(-1)
            total += p * logits.gather(-1, symbols[..., None]).sum(dim=(1, 2, 3, 4)).exp()
        mine = judges.marginal_nats(model, spec, test, prior, torch.device("cpu"))
        alone = judges.marginal_nats(model, spec, test, np.array([0.0, 1.0]), torch.device("cpu"))
    assert mine == pytest.approx(float(-total.log().mean()), rel=1e-5)
    assert alone == pytest.approx(-float(logits.gather(-1, symbols[..., None]).sum() / 5), rel=1e-5), "of one alone"


def run(*arguments: object, code: int = 0) -> Result:
    done = CliRunner().invoke(ancestral, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done


def trained_and_judged(data: Path, folder: Path, *options: object) -> tuple[Checkpoint, Checkpoint, Mapping[str, dict]]:
    """A model before and after it was judged, its weights stored as those of bundled ones, and the report."""
    sizes = ("--levels", 2, "--layers", 2, "--features", 4, "--output-features", 4, "--batch", 4)
    run("train", "pixelcnn", "--data", data, "-o", folder / "run", "--steps", 2, "--processes", 1, *sizes)
    made = load(folder / "run" / "checkpoint")
    save(made.path, made.spec, made.tensors, made.card, half=True)
    before = load(made.path)
    run("evaluate", "images", made.path, "--data", data, "-o", folder / "report", *options)
    return before, load(made.path), json.loads((folder / "report" / "report.json").read_text())


@pytest.mark.slow
def test_a_model_of_two_conditions_is_judged_by_its_classes_and_shown_in_its_card(tmp_path: Path) -> None:
    attributes = {"class": SIDES, "style": ("a", "b", "c")}
    file = write_set(tmp_path / "two.npz", attributes, quarters(400, 0), quarters(60, 1))
    before, after, report = trained_and_judged(file, tmp_path, "--drawn", 12, "--pictures", 3, "--named", 5, "--card")
    assert (after.sha256, after.spec) == (before.sha256, before.spec)
    assert after.card == with_sheet(before.card) != before.card
    sheet = tmp_path / "report" / "sheet.png"
    assert (after.path / "sheet.png").read_bytes() == sheet.read_bytes()
    assert read_image(sheet).shape == (2 * 18 + 2, 10 * 18 + 2, 3)
    accuracy, named = report["accuracy"], report["named"]
    assert list(named) == ["1.0", "1.5", "2.0", "3.0", "real"]
    assert all(0 <= found["all"] <= min(found["class"], found["style"]) for found in named.values())
    assert {name: figures["chance"] for name, figures in accuracy.items()} == {"class": 0.5, "style": 1 / 3}
    engine = NativeImageEngine(after)
    made, _ = judges.draw_classes(engine, 4, temperature=0.0)
    assert made.labels.tolist() == [[label, style % 3] for label in (0, 1) for style in range(4)]
    assert np.array_equal(made.images[0], made.images[3]), "asked for the same, at temperature 0"
    every = judges.draw_named(engine, 60, 1.0, 1.0)
    assert {tuple(row) for row in every.labels.tolist()} == {(a, b) for a in range(2) for b in range(3)}
    led, _ = judges.draw_classes(engine, 1, guidance=9.0, seed=3)
    h, free = (engine.embed_labels([label, 0]) for label in (1, None))
    (expected,) = engine.draw([ImageStreamRequest(4, 1.0, h, guidance=9.0, unconditional=free)])
    assert np.array_equal(led.images[1], expected)


def test_no_classifier_where_nothing_is_drawn(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "train_classifier", None)
    assert trained_and_judged(data, tmp_path, "--drawn", 0, "--pictures", 3)[2]["classifier_sha256"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [(("--drawn", 0), "pictures, drawn: of a network that draws from pictures at least one"),
     (("--named", 5), "named, classifier: a network that draws from pictures has no classes")],
)  # fmt: skip
def test_an_autoencoder_has_no_classes(data: Path, tmp_path: Path, options: tuple[object], message: str) -> None:
    spec = PixelCNNAutoencoderSpec(8, 8, 1, 2, layers=2, features=4, first_kernel_size=3, output_features=5)
    save(tmp_path / "made", spec, random_tensors(tensor_table(spec)), "")
    judged = run("evaluate", "images", tmp_path / "made", "--data", data, "-o", tmp_path / "report", *options, code=1)
    assert message in judged.stderr


def test_a_network_without_classes_is_refused(data: Path, tmp_path: Path) -> None:
    run("train", "pixelcnn", "--data", data, "-o", tmp_path, "--steps", 1, "--processes", 1, "--original",
        "--levels", 2, "--layers", 2, "--features", 4, "--batch", 2, "--conditioning", "none")  # fmt: skip
    judged = ("evaluate", "images", tmp_path / "checkpoint", "--data", data, "-o", tmp_path / "report")
    assert "the model has no attributes" in run(*judged, code=1).stderr
