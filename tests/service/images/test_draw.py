"""`ancestral draw`, and what `ancestral models` says of models that draw."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.service.images.pictures import decode, draw, files, noise, post, same, written
from tests.service.servers import Server

Run = Callable[..., subprocess.CompletedProcess[bytes]]
SAME = ("--model", "rgb", "--seed", "7")


@pytest.mark.parametrize("ending", ["png", "webp", "jpg", "jpeg", "PNG"])
def test_draw_writes_the_bytes_of_the_server(ancestral: Run, server: Server, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    done = ancestral("draw", "Dog", *SAME, "-o", str(path))
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert b"8x6, seed 7" in done.stderr
    form = {"jpg": "jpeg"}.get(ending, ending.lower())
    assert [path.read_bytes()] == files(post(server, "generations", output_format=form))


def test_several_larger_ones(process: Run, server: Server, tmp_path: Path) -> None:
    done = process("draw", "dog", *SAME, "-o", str(tmp_path / "a.png"), "-n", "3", "--scale", "4", "--style", "OIL")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-0.png", "a-1.png", "a-2.png"]
    found = [(tmp_path / f"a-{number}.png").read_bytes() for number in range(3)]
    assert found == files(post(server, "generations", n=3, size="32x24", style="oil"))


def test_other_models_and_temperatures(ancestral: Run, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    words = ("-o", str(path), "--seed", "7", "--temperature", "0.5")
    assert ancestral("draw", "any", "--model", "grey", *words).returncode == 0
    assert same([decode(path.read_bytes())], draw(server, model="grey", prompt=None, temperature=0.5))
    assert ancestral("draw", "TWO", "--model", "binary", *words, "--guidance", "3").returncode == 0
    assert same([decode(path.read_bytes())], draw(server, model="binary", prompt="two", temperature=0.5, guidance=3.0))


def test_kinds_that_the_seeds_drew_are_told(ancestral: Run, server: Server, tmp_path: Path) -> None:
    words = ("--model", "subclasses", "--seed", "7", "-n", "3", "-o", str(tmp_path / "a.png"))
    done = ancestral("draw", "birds", *words)
    subclasses = {"model": "subclasses", "prompt": "birds", "n": 3}
    told = [entry["revised_prompt"] for entry in post(server, "generations", **subclasses).json()["data"]]
    assert done.stderr.decode().strip().endswith(f"seed 7: {'; '.join(told)}")
    drawn = [decode((tmp_path / f"a-{number}.png").read_bytes()) for number in range(3)]
    assert same(drawn, draw(server, **subclasses))
    assert b"seed 7\n" in ancestral("draw", "owl", *words).stderr


def test_the_first_model_that_knows_the_class_draws(ancestral: Run, server: Server, tmp_path: Path) -> None:
    words = ("--seed", "7", "-o", str(tmp_path / "a.png"))
    done = ancestral("draw", "owl", *words)
    assert done.returncode == 0, done.stderr
    assert same([decode((tmp_path / "a.png").read_bytes())], draw(server, model="subclasses", prompt="owl"))
    done = ancestral("draw", "zebra", *words)
    assert (done.returncode, b"has no such" in done.stderr) == (1, True)


@pytest.mark.parametrize(("model", "route"), [("autoencoder", "reconstructions"), ("portraits", "portraits")])
def test_like_a_picture(ancestral: Run, server: Server, tmp_path: Path, model: str, route: str) -> None:
    source = written(noise(model))
    (tmp_path / "source.png").write_bytes(source)
    arguments = ("--like", str(tmp_path / "source.png"), "--model", model, "-n", "2", "--seed", "7")
    done = ancestral("draw", *arguments, "-o", str(tmp_path / "a.png"))
    assert done.returncode == 0, done.stderr
    form = {"model": model, "n": "2", "seed": "7", "response_format": "b64_json"}
    answer = httpx.post(f"{server.url}/v1/images/{route}", data=form, files={"image": source}, timeout=60)
    assert [(tmp_path / f"a-{number}.png").read_bytes() for number in (0, 1)] == files(answer)


def test_an_edit_is_that_of_the_server(ancestral: Run, server: Server, tmp_path: Path) -> None:
    mask = np.zeros((8, 8, 4), np.uint8)
    mask[:, 4:, 3] = 255
    sent = {"image": written(noise("palette")), "mask": written(mask)}
    for name, data in sent.items():
        (tmp_path / f"{name}.png").write_bytes(data)
    arguments = ("axe", "--edit", str(tmp_path / "image.png"), "--mask", str(tmp_path / "mask.png"), "--seed", "7")
    done = ancestral("draw", *arguments, "--model", "palette", "-n", "2", "-o", str(tmp_path / "a.png"))
    assert done.returncode == 0, done.stderr
    form = {"model": "palette", "prompt": "axe", "n": "2", "seed": "7", "response_format": "b64_json"}
    answer = httpx.post(f"{server.url}/v1/images/edits", data=form, files=sent, timeout=60)
    assert [(tmp_path / f"a-{number}.png").read_bytes() for number in (0, 1)] == files(answer)
    assert np.array_equal(decode((tmp_path / "a-1.png").read_bytes())[:, 4:], noise("palette")[:, 4:])


def test_a_seed_is_drawn_and_told(ancestral: Run, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    done = ancestral("draw", "any", "--model", "rgb", "-o", str(path))
    seed = int(done.stderr.split(b"seed ")[1])
    assert same([decode(path.read_bytes())], draw(server, prompt="any", seed=seed))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["zebra", "-o", "a.png"], 1, b"rgb has no such class or style; it has cat, dog, cow"),
        (["cats", "-o", "a.png"], 1, b"nearest: cat"),
        (["dog", "-o", "a.png", "--style", "pencil"], 1, b"rgb has no such style"),
        (["dog", "-o", "a.png", "--model", "tiny"], 1, b"tiny is not made for image_generation"),
        (["dog", "-o", "a.png", "--model", "nothing"], 1, b"no such model"),
        (["dog", "-o", "a.png", "--model", "grey"], 1, b"grey has no classes"),
        (["dog", "-o", "a.gif"], 2, b".png, .webp, .jpg, .jpeg"),
        (["dog", "-o", "png"], 2, b".png, .webp, .jpg, .jpeg"),
        (["dog", "-o", "a.png", "-n", "0"], 2, b"--count"),
        (["dog", "-o", "a.png", "--scale", "65"], 2, b"--scale"),
        (["dog", "-o", "a.png", "--seed", "-1"], 2, b"--seed"),
        (["dog", "-o", "a.png", "--temperature", "nan"], 2, b"--temperature"),
        (["dog", "-o", "/nowhere/a.png"], 1, b"/nowhere/a.png"),
        (["dog"], 2, b"--output"),
        (["-o", "a.png"], 2, b"CLASS"),
        (["dog", "-o", "a.png", "--like", __file__], 2, b"either CLASS or --like"),
        (["dog", "-o", "a.png", "--edit", __file__], 2, b"--edit and --mask go together"),
        (["dog", "-o", "a.png", "--edit", __file__, "--mask", __file__, "--sheet", "2x2"], 2, b"not with"),
        (["dog", "-o", "a.png", "--edit", __file__, "--mask", __file__], 1, b"rgb is not made for image_edit"),
        (["-o", "a.png", "--like", __file__], 1, b"rgb is not made for image_reconstruction"),
        (["-o", "a.png", "--like", __file__, "--model", "autoencoder"], 1, b"not a PNG, WebP or JPEG file"),
        (["-o", "a.png", "--like", __file__, "--guidance", "2"], 2, b"--guidance"),
    ],
)
def test_draw_refuses_wrong_options_with_a_message(
    ancestral: Run, arguments: list[str], code: int, message: bytes
) -> None:
    chosen = arguments if "--model" in arguments else [*arguments, "--model", "rgb"]
    done = ancestral("draw", *chosen)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert b"Traceback" not in done.stderr
    assert not Path("a.png").exists()


def test_models_are_listed_with_their_classes(ancestral: Run) -> None:
    done = ancestral("models", COLUMNS="200")
    assert done.returncode == 0
    text = done.stdout.decode()
    words = ("rgb", "binary", "grey", "cat", "crayon", "Three", "8x6 pixels", "receptive field 3", "Random pictures.")
    assert all(word in text for word in words)


@pytest.mark.parametrize("damage", ["weights", "kind", "voices"])
def test_a_model_that_does_not_fit_together(
    ancestral: Run, process: Run, zoo: Path, tmp_path: Path, damage: str
) -> None:
    model = tmp_path / "rgb"
    shutil.copytree(zoo / "rgb", model)
    if damage == "weights":
        weights = model / "pixelcnn" / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "kind":
        shutil.rmtree(model / "pixelcnn")
        shutil.copytree(zoo / "tiny" / "wavenet", model / "pixelcnn")
    else:
        manifest = json.loads((model / "model.json").read_text())
        (model / "model.json").write_text(json.dumps(manifest | {"voices": []}))
    said = {
        "weights": b"rgb: weights.safetensors",
        "kind": b"needs the checkpoint of an image network",
        "voices": b"rgb: voices",
    }
    drawing = (ancestral, "draw", "dog", "--model", "rgb", "-o", "a.png")
    for run, *arguments in ((ancestral, "models"), (process, "serve"), drawing):
        done = run(*arguments, ANCESTRAL_MODELS_DIR=str(tmp_path))
        assert done.returncode == 1
        assert said[damage] in done.stderr
        assert b"Traceback" not in done.stderr
