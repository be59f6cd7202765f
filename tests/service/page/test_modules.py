"""The modules of the page that need no browser, by Node's own test runner; what they say as the server does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ancestral.service.detection.tasks import TASKS as DETECTION_TASKS
from ancestral.service.images.tasks import TASKS as IMAGE_TASKS
from ancestral.service.speech.tasks import TASKS as SPEECH_TASKS
from tests.paths import ROOT

PAGE = ROOT / "service/api/web/page"


def test_the_page_modules_pass_their_node_tests() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = map(int, re.findall(r"\d+", version)[:2])
    if (major, minor) < (20, 19):
        pytest.skip(f"Node {version.strip()} cannot import modules from .js files: 20.19 can")
    words = [node, "--test", str(Path(__file__).with_name("modules.test.mjs"))]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=120, check=False, env={"PAGE": f"{PAGE.as_uri()}/"}
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_view_jobs_knows_what_has_no_manifest() -> None:
    """It asks every other finished job for its manifest."""
    found = re.search(r"^const COMPUTED = (\[.*\]);$", (PAGE / "jobs.js").read_text("utf-8"), re.MULTILINE)
    assert found
    tasks = (*SPEECH_TASKS, *IMAGE_TASKS, *DETECTION_TASKS)
    assert sorted(json.loads(found[1])) == sorted(task.kind for task in tasks if task.manifest is None)
