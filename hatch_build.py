"""hatch's hook: compile the C of ancestral_models/kernels into the wheel, or beside the sources for a clone."""

from __future__ import annotations

import os
import sysconfig
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Kernels(BuildHookInterface):  # type: ignore[type-arg]  # of no configuration
    """For a clone what its processor uses, for a wheel whatever processors of its kind use. ``WHEEL_FOR=all`` makes one
    for all systems, by the package ``ziglang`` (101 MB, for the time of the build), which is asked for where there is
    no compiler, too."""

    def _builder(self) -> Any:
        script = Path(self.root) / "models/ancestral_models/native_build.py"
        spec = spec_from_file_location("native_build", script)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def dependencies(self) -> list[str]:
        return [] if self._builder().compiler() and not _for_all() else ["ziglang>=0.13"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        builder = self._builder()
        if _for_all():
            builder.build_for(builder.TARGETS)
        else:
            builder.build(builder.variants()[:1] if version == "editable" else builder.every_variant(builder.machine()))
        platform = "any" if _for_all() else sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def _for_all() -> bool:
    return os.environ.get("WHEEL_FOR") == "all"
