"""The GPUs of this machine, as NVIDIA's management library knows them; none where it or its package is missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """One of them, at this moment; NaN for what it does not tell."""

    index: int
    name: str
    memory_used_bytes: float
    memory_total_bytes: float
    busy_ratio: float
    temperature_celsius: float
    power_watts: float


@cache
def _library() -> Any:
    """NVIDIA's library, started; None without it."""
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
    """All GPUs. Takes a few milliseconds."""
    nvml = _library()
    if nvml is None:
        return []
    return [_card(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]


def _card(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def told(figure: Callable[[], float]) -> float:
        try:
            return float(figure())
        except nvml.NVMLError:
            return math.nan

    return Gpu(
        index=index,
        name=nvml.nvmlDeviceGetName(handle),
        memory_used_bytes=told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used),
        memory_total_bytes=told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total),
        busy_ratio=told(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100),
        temperature_celsius=told(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        power_watts=told(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
    )
