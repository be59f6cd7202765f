"""The acceptance test of the seams: an architecture from outside (tests/toy_architecture) is trained, saved,
loaded, sampled, served over HTTP, scored and verified, without one line of models/ or service/ that knows of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from ancestral.catalog.seeds import part_seed
from ancestral_models import checkpoint
from ancestral_models.engines import load_engine, load_image_engine
from ancestral_models.engines.images.engine import ImageEngine, ImageStreamRequest
from tests.service.images.pictures import manifest_of, post, shown, verify
from tests.service.servers import Server, Servers, command

TOY = Path(__file__).parents[2] / "toy_architecture"
CLASSES = ("left", "right")
RIGHT = {"model": "lines", "prompt": "right"}


@pytest.fixture(scope="module")
def installed() -> Iterator[dict[str, str]]:
    """The plugin on the path of this process, and the environment in which it is on that of others."""
    path = os.pathsep.join([str(TOY), *filter(None, [os.environ.get("PYTHONPATH")])])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOY))
        yield {k: v for k, v in os.environ.items() if not k.startswith("ANCESTRAL_")} | {"PYTHONPATH": path}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 6 × 5 grey pixels with a white column on the left or on the right."""
    rng, arrays = np.random.default_rng(0), {"attributes": np.array(["class"]), "values_class": np.array(CLASSES)}
    for part, count in (("train", 64), ("test", 16)):
        labels = rng.integers(0, 2, count)
        images = rng.integers(0, 40, (count, 6, 5), np.uint8)
        images[np.arange(count), :, labels * 4] = 255
        arrays |= {f"x_{part}": images, f"labels_{part}": labels[:, None]}
    path = tmp_path_factory.mktemp("lines") / "pictures.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def trained(installed: dict[str, str], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that `ancestral train toy` wrote."""
    out = tmp_path_factory.mktemp("run")
    wanted = ["--levels", "256", "--kernel-size", "5", "--precision", "float32", "--processes", "1", "--batch", "8"]
    words = command("train", "toy", "--data", str(data), "-o", str(out), "--steps", "3", *wanted)
    done = subprocess.run(words, env=installed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out / "checkpoint"


@pytest.fixture(scope="module")
def sampler(trained: Path) -> ImageEngine:
    return load_image_engine("native", checkpoint.load(trained))


@pytest.fixture(scope="module")
def server(
    installed: dict[str, str], trained: Path, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of the trained model."""
    library = tmp_path_factory.mktemp("library")
    (library / "lines").mkdir()
    (library / "lines" / "network").symlink_to(trained)
    manifest = {
        "id": "lines", "kind": "image", "created": 1_700_000_000, "owned_by": "tests", "description": "A column.",
        "temperature": 1.0, "guidance": 1.0,
    }  # fmt: skip
    (library / "lines" / "model.json").write_text(json.dumps(manifest))
    with servers.start(installed, models_dir=str(library), engine="native") as started, started.unharmed():
        yield started


def test_it_exports_nothing_and_is_not_sampled_by_onnx_engines(installed: dict[str, str], trained: Path) -> None:
    done = subprocess.run(command("export", str(trained)), env=installed, capture_output=True, text=True, check=False)
    assert (done.returncode, "its architecture has no ONNX exporter" in done.stderr) == (0, True), done.stderr
    assert not [*trained.glob("*.onnx")]
    assert load_engine("onnx-cpu", checkpoint.load(trained)).name == "torch"


def test_it_is_served_completed_scored_and_verified(server: Server, sampler: ImageEngine) -> None:
    image = np.random.default_rng(1).integers(0, 256, (6, 5, 1), np.uint8)
    answer = post(server, "generations", **RIGHT, n=2, guidance=3.0)
    assert answer.headers["x-engine"] == "torch"
    assert answer.headers["x-model-sha256"] == sampler.sha256
    h, free = sampler.embed_labels([1]), sampler.embed_labels([None])
    wanted = [ImageStreamRequest(part_seed(7, n), h=h, guidance=3.0, unconditional=free) for n in range(2)]
    assert np.array_equal(shown(answer), sampler.draw(wanted))

    completed = shown(post(server, "completions", **RIGHT, image=image, rows=2))
    assert np.array_equal(completed, sampler.draw([ImageStreamRequest(7, h=h, given=image[:2])]))

    scored = post(server, "likelihood", model="lines", file=image, **{"class": "left"}).json()
    nats = -sampler.score(image[None], sampler.embed_labels([0])[None]).sum()
    assert scored["nats"] == pytest.approx(nats, abs=1e-3)
    assert scored["dims"] == 30

    manifest = manifest_of(server, answer.headers["x-job-id"])
    assert (manifest["model"], manifest["engine"]) == ("lines", "torch")
    verified = verify(server, manifest).json()
    assert (verified["equal"], verified["symbols_equal"]) == (True, True)

    assert [entry["id"] for entry in httpx.get(f"{server.url}/v1/images/classes").json()["data"]] == [*CLASSES]
    described = httpx.get(f"{server.url}/v1/models/lines").json()
    assert (described["kind"], described["size"], described["receptive_field"]) == ("image", "5x6", 2)
