"""The JavaScript client, by Node, against a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import soundfile
from PIL import Image

from tests.paths import ROOT
from tests.service.servers import Server
from tests.service.shaky import shaky_proxy

CLIENT = ROOT / "service/api/web/page/ancestral.js"


def test_the_client_passes_its_node_tests(
    server: Server, keyed: Server, keys: dict[str, str], shared: Callable[..., Server], tmp_path: Path
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    module = tmp_path / "ancestral.mjs"  # as people keep it; older Nodes import no modules from .js files
    module.write_bytes(CLIENT.read_bytes())
    swap = (b"x-engine: native", b"x-engine: abacus")
    with shaky_proxy(server.port, 300) as shaky, shaky_proxy(server.port, 20_001, swap) as other_engine:
        environment = {
            "CLIENT": module.as_uri(), "URL": server.url, "SHAKY": shaky, "OTHER_ENGINE": other_engine,
            "JOBS_ONLY": shared(interactive_seconds=1).url, "KEYED": keyed.url, "KEY": keys["javascript"],
        }  # fmt: skip
        words = [node, "--test", str(Path(__file__).with_name("client.test.mjs"))]
        done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_example_of_the_documentation_runs(shared: Callable[..., Server], tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    bundled = shared(models_dir=str(ROOT / "models/zoo"))
    (tmp_path / "ancestral.mjs").write_bytes(httpx.get(f"{bundled.url}/page/ancestral.js").content)
    (example,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs/javascript.md").read_text(), re.DOTALL)
    (tmp_path / "example.mjs").write_text(example.replace("http://localhost:8000", bundled.url))
    done = subprocess.run([node, "example.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"text: 'the',\s+start: 0\.\d+", done.stdout)
    assert soundfile.info(tmp_path / "a.flac").duration > 1
    with Image.open(tmp_path / "elf.png") as picture:
        assert picture.width == 256


def test_it_is_one_file() -> None:
    assert not re.search(r"^import\b|\bimport\(|\brequire\(", CLIENT.read_text(), re.MULTILINE)
