"""The GPUs of this machine, from NVIDIA's management library; none if the library or its package is missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """The state of one GPU; NaN for values that it does not report."""

    index: int
    name: str
    memory_used_bytes: float
    memory_total_bytes: float
    busy_ratio: float
    temperature_celsius: float
    power_watts: float


@cache
def _library() -> Any:
    """NVIDIA's library, initialised; None if it is missing."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def read() -> list[Gpu]:
    """Read all GPUs. Takes a few milliseconds."""
    nvml = _library()
    if nvml is None:
        return []
    return [_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def value(read_value: Callable[[], float]) -> float:
        try:
            return float(read_value())
        except nvml.NVMLError:
            return math.nan

    return Gpu(
        index=index,
        name=nvml.nvmlDeviceGetName(handle),
        memory_used_bytes=value(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used),
        memory_total_bytes=value(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total),
        busy_ratio=value(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
        temperature_celsius=value(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        power_watts=value(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
    )
