"""Sets of pictures, and what a PixelCNN is trained on: every picture once, binarised anew, labels left out at times."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.architectures.pixelcnn import PixelCNNSpec
from models.checkpoint import load
from models.engines.images.engine import ImageStreamRequest
from models.engines.images.native import NativeImageEngine
from models.spec import LABEL_ROWS
from models.training.data.images import (
    PicturesError,
    binarise,
    read_image,
    read_pictures,
    write_sheet,
)
from models.training.loop import LoopConfig, Trainer, train
from models.training.tasks.images import ImageTask, likelihood

CPU = torch.device("cpu")
CLASSES, STYLES = ("cat", "dog"), ("oil", "ink", "wax")
COUNT = 23
SPEC = PixelCNNSpec(
    height=6, width=5, channels=1, levels=2, layers=2, features=4, first_kernel_size=3, output_features=5,
    attributes=(("class", CLASSES), ("style", STYLES)), label_rows=7, conditioning="class",
)  # fmt: skip
PALETTE = np.array([(9, 9, 9, 0), (0, 0, 0, 255), (255, 128, 0, 255), (255, 255, 255, 255)], np.uint8)
Arrays = dict[str, np.ndarray]


@pytest.fixture
def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    made: Arrays = {
        "attributes": np.array(["class", "style"]), "values_class": np.array(CLASSES), "values_style": np.array(STYLES),
        "source": np.array("Somebody"),
    }  # fmt: skip
    for part, count in (("train", COUNT), ("valid", 7), ("test", 8)):
        made[f"x_{part}"] = rng.integers(0, 256, (count, 6, 5, 1), np.uint8)
        made[f"labels_{part}"] = np.stack([rng.integers(0, 2, count), rng.integers(0, 3, count)], 1).astype(np.int8)
    made["labels_train"][4, 1] = -1
    return made


@pytest.fixture
def indexed(arrays: Arrays, tmp_path: Path) -> Path:
    """The same pictures in four colours, of which one is transparent."""
    made = {name: array // 64 if name.startswith("x_") else array for name, array in arrays.items()}
    np.savez(tmp_path / "indexed.npz", palette=PALETTE, **made)
    return tmp_path / "indexed.npz"


@pytest.fixture
def data(arrays: Arrays, tmp_path: Path) -> Path:
    np.savez(tmp_path / "pictures.npz", **arrays)
    return tmp_path


def test_an_npz_is_read_alone_and_in_its_folder(data: Path, arrays: Arrays) -> None:
    for path in (data, data / "pictures.npz"):
        pictures = read_pictures(path)
        assert pictures.attributes == (("class", CLASSES), ("style", STYLES))
        assert (pictures.source, pictures.palette, pictures.shape) == ("Somebody", (), (6, 5, 1))
        assert np.array_equal(pictures.valid.images, arrays["x_valid"])
        assert np.array_equal(pictures.test.labels, arrays["labels_test"])
        assert pictures.train.labels[4].tolist() == [arrays["labels_train"][4, 0], len(STYLES)]


def test_the_spec_of_a_set_has_its_attributes_its_palette_and_its_label_rows(indexed: Path, data: Path) -> None:
    pictures = read_pictures(indexed)
    assert pictures.palette == ("#09090900", "#000000", "#ff8000", "#ffffff")
    spec = PixelCNNSpec.for_pictures(pictures.shape, pictures.spec_fields, conditioning="class")
    assert (spec.levels, spec.transparent, spec.planes, spec.binary) == (4, True, 4, False)
    assert spec.conditions == (CLASSES, STYLES)
    rows = pictures.label_rows
    assert rows.shape == (spec.label_rows, 3)
    assert rows[:, 2].sum() == COUNT
    assert (rows[:, 1] == -1).sum() == 1
    plain = read_pictures(data)
    fields = {"levels": 2} | plain.spec_fields
    assert PixelCNNSpec.for_pictures(plain.shape, fields, conditioning="class").binary
    without = PixelCNNSpec.for_pictures(pictures.shape, pictures.spec_fields, conditioning="none")
    assert (without.attributes, without.label_rows, without.palette) == ((), 0, pictures.palette)


def check_refused(arrays: Arrays, path: Path, name: str, value: np.ndarray | None, message: str) -> None:
    """That an npz is refused in which one array is another, or none."""
    changed = {key: array for key, array in arrays.items() if key != name} | ({} if value is None else {name: value})
    np.savez(path / "pictures.npz", **changed)
    with pytest.raises(PicturesError, match=message):
        read_pictures(path)


def test_what_is_optional_may_be_absent(arrays: Arrays, tmp_path: Path) -> None:
    for name in [name for name in arrays if not name.startswith("x_") or "valid" in name]:
        del arrays[name]
    arrays["x_train"], arrays["x_test"] = arrays["x_train"][..., 0], arrays["x_test"][..., 0]
    np.savez(tmp_path / "some.npz", **arrays)
    pictures = read_pictures(tmp_path / "some.npz")
    assert pictures.attributes == ()
    assert pictures.train.labels.shape == (COUNT, 0)
    assert pictures.train.images.shape == (COUNT, 6, 5, 1)
    assert pictures.valid is pictures.test
    assert "person who trained" in pictures.source


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x_test", None, "x_test is missing"),
        ("values_style", None, "values_style is missing"),
        ("x_train", np.zeros((COUNT, 6, 5, 1)), "x_train: expected uint8"),
        ("x_train", np.zeros((COUNT, 6, 5, 2), np.uint8), "have 1 or 3 channels, not 2"),
        ("x_test", np.zeros((8, 6, 6, 1), np.uint8), "differ in shape"),
        ("labels_train", np.zeros((COUNT - 1, 2), np.int64), r"labels_train: expected whole numbers \[23, 2\]"),
        ("labels_train", np.zeros((COUNT, 2)), "labels_train: expected whole numbers"),
        ("labels_train", np.full((COUNT, 2), 2), "labels_train: class: must lie in -1 … 1"),
        ("labels_test", np.full((8, 2), -2), "labels_test: class: must lie in -1 … 1"),
        ("labels_valid", None, "labels_valid: expected whole numbers"),
        ("palette", np.zeros((4, 3), np.uint8), r"palette: expected uint8 \[P, 4\]"),
        ("palette", PALETTE[::-1], "palette: the first colour may be transparent"),
        ("palette", PALETTE, "x_train: must lie in 0 … 3, the indices of the palette"),
    ],
)
def test_a_broken_npz_is_refused(
    arrays: Arrays, tmp_path: Path, name: str, value: np.ndarray | None, message: str
) -> None:
    check_refused(arrays, tmp_path, name, value, message)


def test_what_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pictures.npz").write_bytes(b"PK\3\4 and nothing else")
    with pytest.raises(PicturesError, match="not a npz file"):
        read_pictures(tmp_path)
    np.savez(tmp_path / "pictures.npz", x_train=np.array([{}]))
    with pytest.raises(PicturesError, match="not a npz file"):
        read_pictures(tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_is_read(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(1)
    written = {}
    for part, name in (("train", "dog"), ("train", "cat"), ("test", "dog")):
        image = rng.integers(0, 256, (1, 8, 8, channels), np.uint8)
        written[part, name] = image
        write_sheet(image, 1, tmp_path / part / name / "a.png", border=0)
    (tmp_path / "train" / "dog" / "notes.txt").write_text("not a picture")
    pictures = read_pictures(tmp_path)
    assert pictures.attributes == (("class", ("cat", "dog")),)
    assert pictures.train.labels.tolist() == [[0], [1]]
    assert pictures.test.labels.tolist() == [[1]]
    wanted = np.concatenate([written["train", "cat"], written["train", "dog"]])
    assert np.array_equal(pictures.train.images, np.broadcast_to(wanted, (2, 8, 8, 3)))


def test_a_broken_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PicturesError, match=r"expected train/CLASS/ and test/CLASS/"):
        read_pictures(tmp_path)
    for part, size in (("train", 8), ("test", 9)):
        write_sheet(np.zeros((1, size, 8, 3), np.uint8), 1, tmp_path / part / "cat" / "a.png", border=0)
    with pytest.raises(PicturesError, match="differ in shape"):
        read_pictures(tmp_path)
    write_sheet(np.zeros((1, 9, 8, 3), np.uint8), 1, tmp_path / "train" / "cat" / "b.png", border=0)
    with pytest.raises(PicturesError, match=r"b\.png: .* but the first picture is"):
        read_pictures(tmp_path)
    whole = (tmp_path / "train" / "cat" / "a.png").read_bytes()
    for broken in (b"\x89PNG, or so it says", b"", whole[:-30], whole.replace(b"IDAT", b"IDOT")):
        (tmp_path / "train" / "cat" / "b.png").write_bytes(broken)
        with pytest.raises(PicturesError, match=r"b\.png: not a picture"):
            read_pictures(tmp_path)


COLOURS = np.random.default_rng(2).integers(0, 256, (6, 7, 4), np.uint8)
STORED = Image.fromarray(COLOURS)


@pytest.mark.parametrize("form", ["png", "webp", "bmp"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_a_picture_is_read_as_it_is_stored(mode: str, form: str, tmp_path: Path) -> None:
    image = STORED.convert("RGB").convert("P") if mode == "P" else STORED.convert(mode)
    image.save(tmp_path / f"a.{form}", **({"lossless": True, "exact": True} if form == "webp" else {}))
    read = read_image(tmp_path / f"a.{form}")
    assert read.shape[2] == (1 if mode in ("1", "L") and form != "webp" else 3)
    assert np.array_equal(np.broadcast_to(read, (6, 7, 3)), image.convert("RGB"))


def test_a_palette_may_be_transparent_and_grey_may_have_sixteen_bits(tmp_path: Path) -> None:
    palette = STORED.quantize(8)
    palette.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), np.asarray(palette.convert("RGBA"))[..., :3])
    deep = COLOURS[..., :1].astype(np.uint16) * 256 + COLOURS[..., 1:2]
    Image.fromarray(deep[..., 0]).save(tmp_path / "b.png")
    assert np.array_equal(read_image(tmp_path / "b.png"), COLOURS[..., :1])


def test_what_would_take_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    STORED.save(tmp_path / "a.png")
    with pytest.raises(PicturesError, match=r"a\.png: Image size \(42 pixels\) exceeds limit"):
        read_image(tmp_path / "a.png")


def test_a_sheet_shows_every_picture_in_its_place(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 1), np.uint8)
    write_sheet(images, 3, tmp_path / "sheets" / "a.png")
    sheet = read_image(tmp_path / "sheets" / "a.png")
    assert sheet.shape == (2 * 5 + 2, 3 * 6 + 2, 3)
    assert np.array_equal(sheet[7:10, 8:12, 0], images[4, ..., 0])
    assert np.array_equal(sheet[:2], np.full((2, 20, 3), 128))


def test_binarising_draws_with_the_grey_level_as_probability() -> None:
    greys = np.repeat(np.array([0, 51, 255], np.uint8), 20_000)
    drawn = binarise(greys, np.random.default_rng(0)).reshape(3, -1).mean(axis=1)
    assert drawn[0] == 0.0
    assert drawn[1] == pytest.approx(0.2, abs=0.01)
    assert drawn[2] == 1.0


def test_a_batch_follows_from_seed_step_and_rank(data: Path) -> None:
    task = ImageTask(SPEC, data, batch=4)

    def content(which: ImageTask, step: int, rank: int) -> list[bytes]:
        return [tensor.numpy().tobytes() for tensor in which._batch(step, rank)]

    first = content(task, 9, 1)
    assert content(ImageTask(SPEC, data, batch=4), 9, 1) == first
    assert all(other != first for other in (content(task, 8, 1), content(task, 9, 0)))
    assert content(replace(task, seed=1), 9, 1) != first


def test_every_picture_comes_once_before_any_comes_again(data: Path, arrays: Arrays) -> None:
    task = ImageTask(replace(SPEC, levels=256), data, batch=5, label_dropout=0.0)
    shown = np.concatenate([task._batch(step, 0)[0].numpy() for step in range(14)]).astype(np.uint8)
    names = {image.tobytes(): number for number, image in enumerate(arrays["x_train"])}
    numbers = [names[image.tobytes()] for image in shown]
    passes = [numbers[i * COUNT : (i + 1) * COUNT] for i in range(3)]
    assert all(sorted(one) == list(range(COUNT)) for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_labels_are_left_out_each_by_itself(data: Path) -> None:
    task = ImageTask(SPEC, data, batch=20, label_dropout=0.25, unconditional=0.0)
    labels = np.concatenate([task._batch(step, 0)[1].numpy() for step in range(100)])
    nothing = labels == [len(CLASSES), len(STYLES)]
    assert nothing.mean(axis=0) == pytest.approx([0.25, 0.25], abs=0.04)
    assert nothing.all(axis=1).mean() == pytest.approx(0.0625, abs=0.02)


def test_of_several_labels_all_but_the_style_are_left_out_together(data: Path) -> None:
    task = ImageTask(SPEC, data, batch=20, label_dropout=0.0, unconditional=0.3)
    labels = np.concatenate([task._batch(step, 0)[1].numpy() for step in range(100)])
    assert (labels[:, 0] == len(CLASSES)).mean() == pytest.approx(0.3 + 0.3 / 2, abs=0.04)
    assert (labels[:, 1] == len(STYLES)).mean() == pytest.approx(1 / COUNT, abs=0.02), "one is not known"


def test_held_out_pictures_are_binarised_the_same_way_each_time(data: Path) -> None:
    task = ImageTask(SPEC, data)
    one, two = (task.held_out(task.pictures.test, 5).images for _ in range(2))
    assert np.array_equal(one, two)
    assert set(np.unique(one)) == {0, 1}
    assert len(one) == 5


@pytest.mark.parametrize("levels", [2, 256])
def test_the_likelihood_is_the_engines(data: Path, levels: int, tmp_path: Path) -> None:
    task = ImageTask(replace(SPEC, levels=levels), data, batch=4)
    model = task.network().eval()
    task.export(model, tmp_path / "run" / "checkpoint", {"step": 3}, {})
    engine = NativeImageEngine(load(tmp_path / "run" / "checkpoint"))
    pictures = task.held_out(task.pictures.test, 8)
    figures = likelihood(model, task.spec, pictures, CPU)
    for way, labels in {"": pictures.labels, "_unconditional": [[None, None]] * 8}.items():
        scores = engine.score(pictures.images, np.stack([engine.embed_labels(list(row)) for row in labels]))
        assert figures[f"nats{way}"] == pytest.approx(-scores.sum() / 8, rel=1e-4)
        assert figures[f"bits_per_dim{way}"] == pytest.approx(-scores.mean() / np.log(2), rel=1e-4)


def test_training_learns_and_leaves_a_checkpoint_a_card_and_sheets(data: Path, tmp_path: Path) -> None:
    task = ImageTask(SPEC, data, batch=8)
    out = tmp_path / "run"
    before = task.evaluate(task.network().eval(), CPU)
    trainer = Trainer(task, LoopConfig(30, 0.02, warmup=3, evaluate_every=30, log_every=10, ema=0.5), out)
    trainer.run()
    after = task.evaluate(trainer.averaged(), CPU)
    assert after["valid_nats"] < before["valid_nats"]
    saved = load(out / "checkpoint")
    assert saved.spec == SPEC
    assert "Somebody; 23 pictures." in saved.card
    assert "not the fixed binarisation" in saved.card
    assert f"| valid_nats | {after['valid_nats']:.4f} |" in saved.card
    assert read_image(out / "sheets" / "0000030.png").shape == (4 * 8 + 2, 2 * 7 + 2, 3)
    assert np.array_equal(saved.tensors[LABEL_ROWS], task.pictures.label_rows)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_indexed_pictures_are_learned(tmp_path: Path, precision: str) -> None:
    """Two classes, each of one picture: after a few steps hardly a bit a pixel is left of the two."""
    rng = np.random.default_rng(5)
    shapes, labels = rng.integers(0, 4, (2, 8, 8), np.uint8), np.arange(32)[:, None] % 2
    np.savez(
        tmp_path / "set.npz", attributes=np.array(["class"]), values_class=np.array(CLASSES), palette=PALETTE,
        x_train=shapes[labels[:, 0]], labels_train=labels, x_test=shapes[labels[:8, 0]], labels_test=labels[:8],
    )  # fmt: skip
    pictures = read_pictures(tmp_path / "set.npz")
    spec = PixelCNNSpec.for_pictures(
        pictures.shape, pictures.spec_fields, conditioning="location", layers=3, features=8, output_features=16,
        coarse_layers=2, coarse_features=8, coarse_inputs=8,
    )  # fmt: skip
    task = ImageTask(spec, tmp_path / "set.npz", batch=8, precision=precision)
    trainer = Trainer(task, LoopConfig(120, 0.02, warmup=5, evaluate_every=120, ema=0.8), tmp_path / "run")
    begun = task.evaluate(trainer.averaged(), CPU)["valid_bits_per_dim"]
    trainer.run()
    after = task.evaluate(trainer.averaged(), CPU)
    assert begun > 1.5
    assert after["valid_bits_per_dim"] < 0.3
    assert after["valid_bits_per_dim"] < after["valid_bits_per_dim_unconditional"]
    engine = NativeImageEngine(load(tmp_path / "run" / "checkpoint"))
    drawn = engine.draw([ImageStreamRequest(0, 0.0, engine.embed_labels([label])) for label in (0, 1)])
    assert (drawn[..., 0] == shapes).mean() > 0.95


def test_a_run_begins_with_the_weights_of_another(data: Path, tmp_path: Path) -> None:
    first = Trainer(ImageTask(SPEC, data, batch=8), LoopConfig(8, 0.02, warmup=1), tmp_path / "first")
    first.run()
    begun = load(tmp_path / "first" / "checkpoint")
    task = ImageTask(SPEC, data, batch=8, start=begun.path)
    second = Trainer(task, LoopConfig(1, seed=5), tmp_path / "second")
    for weights in (second.model.state_dict(), second.averaged().state_dict()):
        assert {*weights, LABEL_ROWS} == {*begun.tensors}
        assert all(np.array_equal(tensor.numpy(), begun.tensors[name]) for name, tensor in weights.items())
    assert task.evaluate(second.model, CPU) == task.evaluate(first.averaged(), CPU)
    shutil.rmtree(begun.path)  # what a run has begun with is not asked for again
    second.run()
    saved = load(tmp_path / "second" / "checkpoint")
    assert f"| started from the weights of SHA-256 | {begun.sha256} |" in saved.card
    assert saved.sha256 != begun.sha256


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_does_not_begin_with_another_network(data: Path, tmp_path: Path, processes: int) -> None:
    other = ImageTask(replace(SPEC, layers=3), data)
    other.export(other.network(), tmp_path / "other" / "checkpoint", {"step": 0}, {})
    for start, message in (
        (tmp_path / "other" / "checkpoint", "its spec is not that of the network"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(ValueError, match=message):
            train(ImageTask(SPEC, data, start=start), LoopConfig(1), tmp_path / "run", processes)
    assert not (tmp_path / "run").exists()


@torch.no_grad()
def test_precision_is_that_of_the_arithmetic(data: Path) -> None:
    task = ImageTask(SPEC, data, batch=8)
    model = task.network()
    whole, half = (replace(task, precision=p).loss(model, 0, 0, CPU)[0] for p in ("float32", "bfloat16"))
    assert whole != half
    assert float(whole) == pytest.approx(float(half), rel=0.02)
    images, labels = task._batch(0, 0)
    exact = torch.nn.functional.cross_entropy(model.double()(images, labels, None).flatten(0, 3), images.flatten())
    assert float(whole) == pytest.approx(float(exact) / np.log(2), rel=1e-5)


def test_pictures_of_another_size_are_refused(data: Path) -> None:
    with pytest.raises(ValueError, match=r"pictures of \(6, 5, 1\)"):
        _ = ImageTask(replace(SPEC, width=6), data).pictures


def test_another_palette_and_other_attributes_are_refused(data: Path, indexed: Path) -> None:
    with pytest.raises(ValueError, match="its palette is not the model's"):
        _ = ImageTask(SPEC, indexed).pictures
    for changes in ({"label_rows": 2}, {"attributes": (("class", CLASSES), ("style", ("oil", "ink", "pen")))}):
        with pytest.raises(ValueError, match="its attributes are not the model's"):
            _ = ImageTask(replace(SPEC, **changes), data).pictures
