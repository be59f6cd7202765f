"""A deployment's engine: what clients are told of it, and what becomes of a job that another engine began."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import httpx
import pytest

from tests.service.servers import Serve, ServeProcess, running
from tests.service.toys import ASYNC, GENERATION, write_model
from tests.waiting import eventually


def test_int8_is_named_in_headers_and_manifests_and_keeps_seeds(serve: Serve) -> None:
    with serve(engine="native") as server:
        assert any(line["message"].startswith("int8: dot products of bytes use ") for line in server.log)
        first, again = server.generate(), server.generate()
        assert (first.status_code, first.headers["x-engine"]) == (200, "native-int8")
        assert first.content == again.content
        manifest = httpx.get(f"{server.url}/v1/jobs/{first.headers['x-job-id']}/manifest").json()
        assert manifest["engine"] == "native-int8"
        verified = httpx.post(f"{server.url}/v1/verify", json=manifest, timeout=60.0).json()
        assert (verified["equal"], verified["engine"]) == (True, "native-int8")


@pytest.mark.slow
def test_a_job_that_another_engine_began_ends_with_a_reason(serve: Serve) -> None:
    """What has been made of it is another sound; it is not patched together. One that nothing is made of is sampled."""
    with tempfile.TemporaryDirectory(prefix="anc-") as data:
        body = GENERATION | {"duration": 1200.0}
        with serve(data_dir=data, engine="torch", batch_slots=1) as server:
            jobs = [
                httpx.post(f"{server.url}/v1/audio/generations", json=body | changes, headers=ASYNC).json()["id"]
                for changes in ({}, {"duration": 1.0})
            ]
            eventually(lambda: httpx.get(f"{server.url}/v1/jobs/{jobs[0]}").json()["samples_done"])
            assert server.stop() == 0
        with serve(data_dir=data, engine="native", batch_slots=1) as server:
            begun, waiting = (server.ended(job) for job in jobs)
            assert (begun["status"], begun["error"]["code"]) == ("failed", "engine_changed")
            assert waiting["status"] == "completed"
            content = httpx.get(f"{server.url}/v1/jobs/{waiting['id']}/content")
            assert content.headers["x-engine"] == "native-int8"


@pytest.mark.slow
def test_a_job_is_not_continued_where_sums_round_otherwise(serve_process: ServeProcess, tmp_path: Path) -> None:
    """An engine of the same name that computes something else of the probe's symbols."""
    write_model(tmp_path / "zoo" / "free", kind="audio")
    own = {"models_dir": str(tmp_path / "zoo"), "engine": "native", "batch_slots": 1}
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif sys.orig_argv[-1] == 'worker':\n"
        "    from ancestral.models.engines.speech.native import NativeEngine\n"
        "    NativeEngine.probe = lambda _: b'other'\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="anc-") as data:
        with serve_process(data_dir=data, **own) as server:
            body = GENERATION | {"duration": 1200.0}
            job = httpx.post(f"{server.url}/v1/audio/generations", json=body, headers=ASYNC).json()["id"]
            eventually(lambda: httpx.get(f"{server.url}/v1/jobs/{job}").json()["samples_done"])
            assert server.stop() == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", path)
            with running(dict(os.environ), data_dir=data, **own) as server:
                begun = server.ended(job)
                assert (begun["status"], begun["error"]["code"]) == ("failed", "engine_changed")
                assert server.generate(model="free").headers["x-engine"] == "native-int8"
