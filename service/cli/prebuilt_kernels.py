"""Kernels compiled in advance, for a few kinds of processors: numba finds them instead of compiling for a minute.

``python -m ancestral.service.cli.prebuilt_kernels`` compiles them into ``kernels/`` of the virtual environment, one
folder for each target that this machine can run; the container image has such a folder. It is read-only there, and
numba writes beside what it reads: so each command links the files of the best target into ``NUMBA_CACHE_DIR``, and
names the target to numba, whose cache is keyed by that name, the sources and their path.

Nothing here imports numba, which reads these variables when it is imported.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(sys.prefix, "kernels")

_V3: Final = frozenset({"abm", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"})
_V4: Final = _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
_COMPILE: Final = """
from ancestral.loader import load_models
from ancestral.service.settings import load_settings
from ancestral.warmup import warm_up

for precision in ("fp32", "int8"):
    warm_up(load_models(load_settings().catalog_config, precision=precision).samplers)
"""


@dataclass(frozen=True)
class Target:
    """A kind of processor, as LLVM names it, and the flags that Linux lists for one in ``/proc/cpuinfo``."""

    cpu: str
    features: str
    flags: frozenset[str]

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.cpu + self.features

    @property
    def environment(self) -> dict[str, str]:
        """What numba compiles for it with, and finds what was compiled for it with."""
        return {"NUMBA_CPU_NAME": self.cpu, "NUMBA_CPU_FEATURES": self.features}


TARGETS: Final = (
    Target("x86-64-v4", "+avx512vnni", _V4 | {"avx512_vnni"}),
    Target("x86-64-v4", "", _V4),
    Target("x86-64-v3", "", _V3),
)
"""The fastest first. All give the same bytes (models/portable.py)."""


def best(flags: Collection[str], built: Collection[str]) -> Target | None:
    """The fastest target that a processor with these flags can run, among those of these names."""
    return next((t for t in TARGETS if t.name in built and t.flags.issubset(flags)), None)


def use() -> None:
    """Have this process and its children use what is there for their processor.

    Nothing is changed without ``NUMBA_CACHE_DIR``, or if ``NUMBA_CPU_NAME`` says what to compile for.
    """
    cache = os.environ.get("NUMBA_CACHE_DIR")
    if cache is None or "NUMBA_CPU_NAME" in os.environ or not FOLDER.is_dir():
        return
    target = best(processor_flags(), os.listdir(FOLDER))
    if target is None:
        return
    own = Path(cache, target.name)
    os.environ.update(target.environment, NUMBA_CACHE_DIR=str(own))
    with suppress(OSError):  # a command that needs numba will say so
        _link(FOLDER / target.name, own)


def _link(built: Path, cache: Path) -> None:
    """Link every file into the cache, unless it is there already; one that is older belongs to an earlier image."""
    for source in built.rglob("*.nb[ci]"):
        link = cache / source.relative_to(built)
        if link.exists() and (link.is_symlink() or link.stat().st_mtime >= source.stat().st_mtime):
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        with suppress(FileExistsError):  # another process was faster
            link.symlink_to(source)


def processor_flags() -> frozenset[str]:
    """What Linux says that this processor can do; nothing on other systems and other kinds of processors."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "flags":
                return frozenset(value.split())
    return frozenset()


def build(target: Target) -> None:
    """Compile what the models of this deployment need, in every precision."""
    environment = os.environ | target.environment | {"NUMBA_CACHE_DIR": str(FOLDER / target.name)}
    subprocess.run([sys.executable, "-P", "-c", _COMPILE], env=environment, check=True)  # noqa: S603 - ours


def main() -> None:
    """Build every target that this machine can run, and say which."""
    flags = processor_flags()
    for target in TARGETS:
        runs = target.flags.issubset(flags)
        if runs:
            build(target)
        print(f"{target.name}: {'compiled' if runs else 'left out, this machine cannot run it'}")


if __name__ == "__main__":
    main()
