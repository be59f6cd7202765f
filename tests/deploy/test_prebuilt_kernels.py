"""Kernels that are compiled where the image is built: which a processor gets, and that it compiles no others."""

import os
import re
from unittest import mock

import pytest

from ancestral.service.cli import prebuilt_kernels
from ancestral.service.cli.prebuilt_kernels import TARGETS, best, build, processor_flags
from tests.paths import ROOT
from tests.service.servers import running
from tests.service.toys import write_model

HASWELL = {"abm", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "sse4_2"}
SKYLAKE = HASWELL | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
ALL = {target.name for target in TARGETS}


@pytest.mark.parametrize(
    ("flags", "built", "chosen"),
    [
        (HASWELL, ALL, "x86-64-v3"),
        (SKYLAKE, ALL, "x86-64-v4"),
        (SKYLAKE | {"avx512_vnni"}, ALL, "x86-64-v4+avx512vnni"),
        (HASWELL | {"avx_vnni", "avx512_vnni"}, ALL, "x86-64-v3"),
        (SKYLAKE | {"avx512_vnni"}, {"x86-64-v3", "x86-64-v5"}, "x86-64-v3"),
        (SKYLAKE, {"x86-64-v4+avx512vnni"}, None),
        (HASWELL - {"fma"}, ALL, None),
        (set(), ALL, None),
        (SKYLAKE, set(), None),
    ],
)
def test_the_fastest_that_runs_is_chosen(flags, built, chosen):
    target = best(flags, built)
    assert (target and target.name) == chosen


def test_the_image_builds_them_where_they_are_looked_for():
    script = (ROOT / "deploy/container/assemble.sh").read_text()
    (module,) = re.findall(r"/opt/ancestral/bin/python3 -P -m (\S+)", script)
    assert module == prebuilt_kernels.__name__
    assert "/opt/ancestral" in (ROOT / "Dockerfile").read_text()


def test_nothing_changes_without_them(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(prebuilt_kernels, "FOLDER", tmp_path / "kernels")
    before = dict(os.environ)
    prebuilt_kernels.use()
    (tmp_path / "kernels" / "x86-64-v9").mkdir(parents=True)
    prebuilt_kernels.use()
    assert dict(os.environ) == before
    assert not (tmp_path / "cache").exists()


def test_a_cache_of_an_earlier_image_is_replaced(monkeypatch, tmp_path):
    flags, name = processor_flags(), "x86-64-v3"
    if best(flags, {name}) is None:
        pytest.skip("not such a processor")
    monkeypatch.setattr(prebuilt_kernels, "FOLDER", tmp_path / "kernels")
    built, own = tmp_path / "kernels" / name / "wavenet", tmp_path / "cache" / name / "wavenet"
    for folder in (built, own):
        folder.mkdir(parents=True)
    for file in ("missing.nbi", "older.nbi", "newer.nbi", "dangling.nbc"):
        (built / file).write_text("image")
    for file, time in (("older.nbi", -10), ("newer.nbi", 10)):
        (own / file).write_text("own")
        at = (built / file).stat().st_mtime + time
        os.utime(own / file, (at, at))
    (own / "dangling.nbc").symlink_to(tmp_path / "gone")
    (own / "other.nbi").write_text("own")
    with mock.patch.dict(os.environ, NUMBA_CACHE_DIR=str(tmp_path / "cache")):
        prebuilt_kernels.use()
        assert (os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"]) == (name, "")
    found = {file.name: file.read_text() for file in own.iterdir()}
    assert found == {
        "missing.nbi": "image", "older.nbi": "image", "newer.nbi": "own", "dangling.nbc": "image", "other.nbi": "own",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_worker_compiles_nothing(monkeypatch, tmp_path, precision):
    target = best(processor_flags(), ALL)
    if target is None:
        pytest.skip("no target for this processor")
    write_model(tmp_path / "zoo" / "tiny", shaping="linear_prediction")
    monkeypatch.setenv("ANCESTRAL_MODELS_DIR", str(tmp_path / "zoo"))
    monkeypatch.setattr(prebuilt_kernels, "FOLDER", tmp_path / "kernels")
    build(target)
    (tmp_path / "sitecustomize.py").write_text(
        "from pathlib import Path\nfrom ancestral.service.cli import prebuilt_kernels\n"
        "prebuilt_kernels.FOLDER = Path(__file__).with_name('kernels')\n"
    )
    cache = tmp_path / "cache"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    with running(dict(os.environ), precision=precision) as server:
        assert server.speak(voice="bob").status_code == 200
        assert not [line for line in server.log if line["message"].startswith("compiling")]
    files = [path for path in cache.rglob("*") if not path.is_dir()]
    assert len(files) > 10
    assert {path.parent.parent.name for path in files} == {target.name}
    assert not [path for path in files if not path.is_symlink()]
