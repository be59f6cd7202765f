"""Compiles the C of ancestral_models/kernels: a library for each set of instructions.

pip runs it when the package is installed (hatch_build.py), and so does a process that finds no library of the set that
it asks for: of a clone whose C has changed, or of a test. The compiler is the system's ``cc`` (or ``$CC``) if there is
one, else that of the package ``ziglang``. Nothing compiled is kept in the repository: what was compiled elsewhere would
have to be trusted, and two branches that both change C would conflict in it.
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
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent / "kernels"
FLAGS: Final = (
    "-std=gnu11 -O3 -fPIC -g0 -fvisibility=hidden -ffp-contract=off -fno-trapping-math -fno-math-errno -fwrapv"
)
"""Products and sums are rounded separately, so floating-point numbers have the same bits with all instructions."""
AVX512: Final = "avx512f avx512bw avx512dq avx512vl avx512_vnni"
VARIANTS: Final = {
    "x86_64": {
        "avx512-vnni": (AVX512, "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mprefer-vector-width=512"),
        "avx2": ("avx2", "-mavx2"),
        "portable": ("", "-DPORTABLE"),
    },
    "aarch64": {"neon-dotprod": ("asimddp", "-mcpu=generic+dotprod"), "neon": ("", ""), "portable": ("", "-DPORTABLE")},
    "wasm32": {"simd128": ("", "-msimd128 -mbulk-memory")},
}
"""What sets of instructions ask of a processor, in the words of Linux, and their options; the fastest first."""
TARGETS: Final = {
    ("linux", "x86_64"): "x86_64-linux-gnu.2.17",
    ("linux", "aarch64"): "aarch64-linux-gnu.2.17",
    ("darwin", "x86_64"): "x86_64-macos",
    ("darwin", "aarch64"): "aarch64-macos",
    ("emscripten", "wasm32"): "wasm32-emscripten",
}
"""Systems and processors of a wheel for all of them, and what ziglang calls them; the last is Pyodide."""
BROWSER: Final = ("emscripten", "wasm32")
_ZIG: Final = (sys.executable, "-m", "ziglang")


def machine() -> str:
    """The kind of processor, by one name."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def every_variant(kind: str) -> dict[str, tuple[str, str]]:
    """The sets of instructions of a kind of processor, as :data:`VARIANTS` has them."""
    return VARIANTS.get(kind, {"portable": ("", "-DPORTABLE")})


@cache
def processor_flags() -> frozenset[str]:
    """What Linux says this processor can do; elsewhere what all Macs have that a supported macOS runs on."""
    if sys.platform != "linux":
        return frozenset({"avx2", "asimddp"})
    try:
        with open("/proc/cpuinfo") as file:  # of the first processor, since a hundred of them take a while
            flags = next((line for line in file if line.lower().startswith(("flags", "features"))), "")
    except OSError:  # where it may not be read the portable kernels run
        flags = ""
    return frozenset(flags.split())


@cache
def variants() -> tuple[str, ...]:
    """Sets of instructions that this processor and its system have, the fastest first; ``portable`` is the last."""
    return tuple(n for n, (needed, _) in every_variant(machine()).items() if processor_flags() >= {*needed.split()})


@cache
def digest() -> str:
    """What changes with the sources and the options of the compiler."""
    files = sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.h")])
    whole = b"\0".join(file.name.encode() + b"\0" + file.read_bytes() for file in files)
    return hashlib.sha256(whole + f"{FLAGS} {VARIANTS}".encode()).hexdigest()[:12]


def path(variant: str, system: str = sys.platform, kind: str = "") -> Path:
    """The library of a set of instructions. ``NATIVE_LIBRARIES`` names another folder than that beside the sources:
    libraries with more options need one (``NATIVE_OPTIONS``, by which tests add sanitizers)."""
    folder = Path(os.environ.get("NATIVE_LIBRARIES") or SOURCES / "lib")
    return folder / f"{system}-{kind or machine()}-{variant}-{digest()}.so"


def compiler() -> list[str] | None:
    """The command of a C compiler, or None."""
    if given := os.environ.get("CC"):
        return shlex.split(given)
    if found := shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"):
        return [found]
    return [*_ZIG, "cc"] if importlib.util.find_spec("ziglang") else None


def build(names: Iterable[str]) -> None:
    """Compile the libraries of these sets of instructions, where they are missing.

    Raises:
        RuntimeError: there is no compiler, or it fails.
    """
    command = compiler()
    if command is None:
        raise RuntimeError("there is no C compiler: install gcc or clang, or the Python package ziglang")
    _compile({path(name): [*command, *every_variant(machine())[name][1].split()] for name in names})


def build_for(targets: Iterable[tuple[str, str]]) -> None:
    """Compile every library of these :data:`TARGETS` by ziglang, where they are missing.

    Raises:
        RuntimeError: it fails.
    """
    _compile({
        path(name, *target): [*_ZIG, "cc", "-target", TARGETS[target], *options.split()]
        for target in targets
        for name, (_, options) in every_variant(target[1]).items()
    })  # fmt: skip


def _compile(commands: dict[Path, list[str]]) -> None:
    """Compile the libraries of a folder that are missing, as many files at a time as there are cores, and remove those
    of earlier sources. Other processes wait meanwhile."""
    import fcntl  # Pyodide, where nothing is compiled, has none

    folder, sources = next(iter(commands)).parent, sorted(SOURCES.glob("*.c"))
    more = shlex.split(os.environ.get("NATIVE_OPTIONS", ""))
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "lock").open("w") as lock,
        tempfile.TemporaryDirectory() as scratch,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = {target: command for target, command in commands.items() if not target.exists()}
        objects = {target: [f"{scratch}/{target.stem}-{source.stem}.o" for source in sources] for target in missing}
        lines = [
            [*command, *FLAGS.split(), *more, "-c", str(source), "-o", made]
            for target, command in missing.items()
            for source, made in zip(sources, objects[target], strict=True)
        ]
        list(pool.map(_run, lines))
        for target, command in missing.items():
            made = target.with_suffix(".part")
            # A module that Pyodide loads into its own memory.
            wasm = [*_ZIG, "wasm-ld", "--experimental-pic"] if target.name.startswith(BROWSER[0]) else None
            _run([*(wasm or [*command, *more]), "-shared", *objects[target], "-o", str(made)])
            made.replace(target)
        for file in folder.glob(f"{sys.platform}-{machine()}-*.so") if missing else ():
            if not file.stem.endswith(digest()):
                file.unlink(missing_ok=True)


def _run(line: list[str]) -> None:
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603  # our own line
    if done.returncode:
        raise RuntimeError(f"the kernels cannot be compiled: {shlex.join(line)}\n{done.stdout}")
