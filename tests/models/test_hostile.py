"""Wrong checkpoints, requests and snapshots, by the thousand and under sanitizers: nothing crashes, nothing is read or
written outside of its arrays, and what is refused is named (hostile.py)."""

import os
import shutil
import subprocess
import sys

import pytest

from ancestral_models.native_build import variants
from tests.models.hostile import attempts
from tests.paths import ROOT

_SANITIZERS = "-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -g1 -O1"
_READS_ONE_ROW_TOO_MANY = """
import numpy as np
from ancestral_models.native import INTEGER, Function, array
draw = Function("draw_symbols", array("i4"), INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, array("u1"))
draw(np.zeros((4, 16), np.int32), 5, 16, 4096, 0, 0, 0, np.empty(5, np.uint8))
"""


def _checked(outcomes, count):
    assert outcomes.total() == count
    kinds = {name.partition(":")[0] for name in outcomes}
    assert kinds == {"written", "rescaled", "resized", "requested", "restored"}
    assert all(outcomes[f"{kind}: {end}"] for kind in kinds for end in ("refused", "sampled")), outcomes


def test_hundreds_of_attempts_end_in_an_error_that_names_what_is_wrong_or_in_symbols():
    _checked(attempts(0, 600), 600)


@pytest.mark.slow
def test_ten_thousand_attempts():
    _checked(attempts(600, 10_000), 10_000)


def _sanitized(variant, *arguments):
    """A Python process with the kernels compiled for AddressSanitizer and UndefinedBehaviorSanitizer."""
    gcc = shutil.which("gcc")
    runtime = (
        gcc and subprocess.run([gcc, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    )
    if not runtime or not os.path.isabs(runtime):
        pytest.skip("needs gcc with libasan")
    own = {
        "CC": gcc, "NATIVE_OPTIONS": _SANITIZERS, "NATIVE_LIBRARIES": str(ROOT / "build" / "sanitized"),
        "NATIVE_INSTRUCTIONS": variant,
    }  # fmt: skip
    build = "import sys; from ancestral_models.native_build import build; build(sys.argv[1:])"
    subprocess.run([sys.executable, "-c", build, variant], cwd=ROOT, env=os.environ | own, check=True)
    loaded = {"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}  # of Python itself
    line = [sys.executable, *arguments]
    return subprocess.run(line, cwd=ROOT, env=os.environ | own | loaded, capture_output=True, text=True, timeout=900)


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=() if name == "portable" else pytest.mark.slow) for name in variants()]
)
def test_the_kernels_touch_nothing_outside_of_their_arrays_and_do_nothing_undefined(variant):
    ended = _sanitized(variant, "-c", _READS_ONE_ROW_TOO_MANY)
    assert "AddressSanitizer: heap-buffer-overflow" in ended.stderr, "the sanitizers are at work"
    chosen = ["-k", f"({variant} or not variant) and not compile and not instructions", "tests/models/test_native.py"]
    runs = (["-m", "tests.models.hostile", "0", "300"], ["-m", "pytest", "-q", *chosen])
    for arguments in runs:
        ended = _sanitized(variant, *arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
