"""`palette`: the same pictures in other colours, over HTTP, websockets, forms and the command line."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from ancestral.client.server import connect
from ancestral.images.palettes import colours_of, nearest
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import Pixels, draw, files, noise, post, same, shown, written
from tests.service.images.websocket_client import watching
from tests.service.servers import Server

Run = Callable[..., subprocess.CompletedProcess[bytes]]
DOLLS = {"model": "palette", "prompt": "elf", "n": 2}
TWO = ["#204060", "#FFE0A0"]


def put_into(pixels: Pixels, palette: str | tuple[str, ...]) -> Pixels:
    """What becomes of the pixels ``[H, W, 3 or 4]`` of a picture."""
    colours = colours_of(palette)
    found = pixels.copy()
    found[..., :3] = colours[nearest(np.ascontiguousarray(pixels[..., :3]), colours)]
    if pixels.shape[2] == 4:
        found[pixels[..., 3] == 0] = pixels[pixels[..., 3] == 0]
    return found


@pytest.mark.parametrize("palette", ["game-boy", TWO])
@pytest.mark.parametrize("form", ["png", "webp"])
def test_the_same_pictures_in_the_nearest_colours(server: Server, palette: str | list[str], form: str) -> None:
    response = post(server, "generations", **DOLLS, palette=palette, output_format=form)
    named = palette if isinstance(palette, str) else tuple(colour.lower() for colour in palette)
    plain = draw(server, **DOLLS)
    assert same([visible(one) for one in shown(response)], [visible(put_into(one, named)) for one in plain])
    if form == "png":
        for data in files(response):
            with Image.open(io.BytesIO(data)) as image:
                assert (image.mode, image.info["transparency"]) == ("P", 0)
                own = np.array(image.getpalette("RGB")).reshape(-1, 3)[1 : len(colours_of(named)) + 1]
                assert np.array_equal(own, colours_of(named))
                recipe = json.loads(image.info["recipe"])
        again = {name: value for name, value in recipe.items() if name != "model_sha256"}
        assert recipe["palette"] == (palette if isinstance(palette, str) else list(named))
        assert files(post(server, "generations", **again)) == [files(response)[1]], "its recipe makes it again"


def visible(pixels: Pixels) -> Pixels:
    """RGBA with nothing behind what is transparent."""
    return np.where(pixels[..., 3:] == 0, np.uint8(0), pixels)


def test_an_opaque_background_and_other_models(server: Server) -> None:
    (opaque,) = draw(server, model="palette", prompt="elf", palette="game-boy", background="opaque")
    (plain,) = draw(server, model="palette", prompt="elf", background="opaque")
    assert np.array_equal(opaque, put_into(plain, "game-boy")), "white becomes the nearest colour, too"
    (coloured,) = draw(server, palette="pico-8")
    assert np.array_equal(coloured, put_into(draw(server)[0], "pico-8"))
    (grey,) = draw(server, model="grey", prompt=None, palette="1-bit")
    assert grey.shape == (6, 5, 3)
    assert {tuple(colour) for colour in grey.reshape(-1, 3).tolist()} <= {(0, 0, 0), (255, 255, 255)}


def test_websockets_avatars_and_forms(server: Server) -> None:
    with watching(server) as watch:
        watch.generate(**DOLLS, palette="db32")
        assert same(watch.pictures(), draw(server, **DOLLS, palette="db32"))
        watch.generate(model="grey", prompt=None, palette="db32")
        start, *_ = watch.frames()
        assert start["channels"] == 3
    url = f"{server.url}/v1/avatars/alice.png?model=palette"
    with Image.open(io.BytesIO(httpx.get(f"{url}&palette=1-bit").content)) as image:
        assert {colour[:3] for _, colour in image.convert("RGBA").getcolors() or () if colour[3]} <= {
            (0,) * 3,
            (255,) * 3,
        }
    check_envelope(httpx.get(f"{url}&palette=none"), 400, "palette")
    form = {"model": "portraits", "palette": "1-bit", "response_format": "b64_json", "background": "opaque"}
    answer = httpx.post(f"{server.url}/v1/images/portraits", data=form, files={"image": written(noise("portraits"))})
    (portrait,) = shown(answer)
    assert set(np.unique(portrait)) <= {0, 255}


def test_the_manifest_says_so_and_is_verified(server: Server) -> None:
    job = post(server, "generations", **DOLLS, palette="game-boy").headers["x-job-id"]
    manifest = httpx.get(f"{server.url}/v1/jobs/{job}/manifest").json()
    assert manifest["request"]["palette"] == "game-boy"
    assert httpx.post(f"{server.url}/v1/verify", json=manifest, timeout=60).json()["equal"]


def test_its_likelihood_is_that_of_the_nearest_colours_of_the_model(server: Server) -> None:
    (data,) = files(post(server, "generations", model="palette", prompt="elf", palette="game-boy"))
    form = {"model": "palette", "class": "elf"}
    found = httpx.post(f"{server.url}/v1/images/likelihood", data=form, files={"file": data}, timeout=60).json()
    assert found["palette_distance"] > 0


@pytest.mark.parametrize(
    ("palette", "message"),
    [
        ("amiga", "no palette is called 'amiga'"),
        ("../../etc/passwd", "no palette is called"),
        (["#000000"], "it has 1 colours"),
        (["#000000", "red"], "must be a"),
        ([f"#{number:06x}" for number in range(256)], "255"),
        (7, "must be a name, or a list"),
        ({}, "must be a name, or a list"),
    ],
)
def test_palettes_that_are_refused(server: Server, palette: object, message: str) -> None:
    error = check_envelope(post(server, "generations", **DOLLS, palette=palette), 400, "palette")
    assert message in error["message"]


def test_the_command_writes_the_same_files(ancestral: Run, server: Server, tmp_path: Path) -> None:
    (tmp_path / "two.hex").write_text("204060\nffe0a0\n")
    common = ("draw", "elf", "--model", "palette", "--seed", "7", "-o", str(tmp_path / "a.png"))
    for palette, given in (("pico-8", "pico-8"), (TWO, str(tmp_path / "two.hex"))):
        saved = tmp_path / "saved.gpl"
        done = ancestral(*common, "--palette", given, "--save-palette", str(saved))
        assert done.returncode == 0, done.stderr
        assert [(tmp_path / "a.png").read_bytes()] == files(
            post(server, "generations", model="palette", prompt="elf", palette=palette)
        )
        done = ancestral(*common[:-1], str(tmp_path / "b.png"), "--palette", str(saved))
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "b.png") as other:
            assert one.convert("RGBA").tobytes() == other.convert("RGBA").tobytes()
    assert ancestral(*common, "--save-palette", str(tmp_path / "own.gpl")).returncode == 0
    assert (tmp_path / "own.gpl").read_text().splitlines()[:4] == [
        "GIMP Palette",
        "Name: palette",
        "#",
        "  0   0   0\tUntitled",
    ]


def test_a_client_sends_the_colours_of_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "two.hex").write_text("204060\nffe0a0\n")
    with connect(server.url) as client:
        elf = client.load("palette").draw("elf", seed=7, palette=tmp_path / "two.hex")
        assert [elf.file("png")] == files(post(server, "generations", model="palette", prompt="elf", palette=TWO))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--palette", "amiga"), b"no palette is called 'amiga'"),
        (("--palette", "missing.gpl"), b"missing.gpl"),
        (("--save-palette", "a.txt"), b"must end in .gpl"),
    ],
)
def test_what_the_command_refuses(ancestral: Run, tmp_path: Path, arguments: tuple[str, ...], message: bytes) -> None:
    done = ancestral("draw", "elf", "--model", "palette", "-o", str(tmp_path / "a.png"), *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert not list(tmp_path.iterdir())
