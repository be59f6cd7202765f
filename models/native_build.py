"""Compiles the C of models/kernels for this machine: one library for each set of instructions.

pip runs it when the package is installed (.ci/build_kernels.py), and so does a clone whose C has changed since. The
compiler is the system's ``cc`` (or ``$CC``) if there is one, else that of the package ``ziglang``. Nothing compiled is
kept in the repository: gcc takes four seconds, what was compiled elsewhere would have to be trusted, and two branches
that both change C would conflict in it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent / "kernels"
FLAGS: Final = (
    "-std=gnu11 -O3 -shared -fPIC -g0 -fvisibility=hidden -ffp-contract=off -fno-trapping-math -fno-math-errno -fwrapv"
)
"""Products and sums are rounded separately, so floating-point numbers have the same bits with all instructions."""
VARIANTS: Final = {
    "x86_64": {
        "avx512-vnni": "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512",
        "avx2": "-mavx2",
        "portable": "-DPORTABLE",
    },
    "aarch64": {"neon-dotprod": "-march=armv8.2-a+dotprod", "neon": "", "portable": "-DPORTABLE"},
}
"""Options of every set of instructions of a kind of processor, the fastest first."""


def machine() -> str:
    """The kind of processor, by one name."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def variants() -> dict[str, str]:
    """Sets of instructions that there are libraries for on this kind of processor."""
    return VARIANTS.get(machine(), {"portable": "-DPORTABLE"})


def path(variant: str) -> Path:
    """The library of a set of instructions, whose name changes with the sources."""
    files = sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.h"), Path(__file__)])
    digest = hashlib.sha256(b"\0".join(file.name.encode() + b"\0" + file.read_bytes() for file in files)).hexdigest()
    return SOURCES / "lib" / f"{sys.platform}-{machine()}-{variant}-{digest[:12]}.so"


def compiler() -> list[str] | None:
    """The command of a C compiler, or None."""
    if given := os.environ.get("CC"):
        return shlex.split(given)
    if found := shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"):
        return [found]
    return [sys.executable, "-m", "ziglang", "cc"] if importlib.util.find_spec("ziglang") else None


def build() -> None:
    """Compile what is missing, and remove what earlier sources left.

    Raises:
        RuntimeError: there is no compiler, or it fails.
    """
    wanted = {path(variant): options for variant, options in variants().items()}
    missing = {target: options for target, options in wanted.items() if not target.exists()}
    if not missing:
        return
    if (command := compiler()) is None:
        raise RuntimeError("there is no C compiler: install gcc or clang, or the Python package ziglang")
    folder = SOURCES / "lib"
    folder.mkdir(exist_ok=True)
    sources = [str(file) for file in sorted(SOURCES.glob("*.c"))]
    running = []
    for target, options in missing.items():
        made = target.with_suffix(f".{os.getpid()}")
        line = [*command, *FLAGS.split(), *options.split(), *sources, "-o", str(made)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603  # our own line
        running.append((process, made, target))
    failed = ""
    for process, made, target in running:
        output, _ = process.communicate()
        if process.returncode:
            failed = f"{shlex.join(command)} cannot compile {SOURCES}:\n{output}"
            made.unlink(missing_ok=True)
        else:
            made.replace(target)
    if failed:
        raise RuntimeError(failed)
    for file in folder.glob("*.so"):
        if file not in wanted:
            file.unlink(missing_ok=True)
