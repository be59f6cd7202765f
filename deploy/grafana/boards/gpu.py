"""The GPUs of workers that have one."""

from __future__ import annotations

from deploy.grafana.boards.common import HERE, Rows
from deploy.grafana.panels import graph, note


def rows() -> Rows:
    """All of it."""
    return [
        (
            "GPU",
            [
                note("Empty unless a worker runs on a machine with an NVIDIA GPU and has the package `nvidia-ml-py`."),
                graph(
                    "Memory",
                    [
                        (f"ancestral_gpu_memory_used_bytes{HERE}", "{{instance}} {{gpu}} used"),
                        (f"ancestral_gpu_memory_total_bytes{HERE}", "{{instance}} {{gpu}} there"),
                    ],
                    "bytes",
                    "By whomever it is used.",
                    span=12,
                ),
                graph(
                    "Busy",
                    [(f"ancestral_gpu_busy_ratio{HERE}", "{{instance}} {{gpu}}")],
                    "percentunit",
                    "Share of time.",
                    span=12,
                    top=1,
                ),
                graph(
                    "Temperature",
                    [(f"ancestral_gpu_temperature_celsius{HERE}", "{{instance}} {{gpu}}")],
                    "celsius",
                    "Of the chip.",
                    span=12,
                ),
                graph(
                    "Power", [(f"ancestral_gpu_power_watts{HERE}", "{{instance}} {{gpu}}")], "watt", "Drawn.", span=12
                ),
            ],
        )
    ]
