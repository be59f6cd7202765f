"""GPUs of the workers that have one."""

from __future__ import annotations

from deploy.grafana.boards.common import BY_INSTANCE, Rows
from deploy.grafana.panels import graph, note


def rows() -> Rows:
    """The rows of the dashboard."""
    return [
        (
            "GPU",
            [
                note("Empty unless a worker runs on a machine with an NVIDIA GPU and the package `nvidia-ml-py`."),
                graph(
                    "Memory",
                    [
                        (f"ancestral_gpu_memory_used_bytes{BY_INSTANCE}", "{{instance}} {{gpu}} used"),
                        (f"ancestral_gpu_memory_total_bytes{BY_INSTANCE}", "{{instance}} {{gpu}} total"),
                    ],
                    "bytes",
                    "Used by all processes, and total.",
                    span=12,
                ),
                graph(
                    "Utilisation",
                    [(f"ancestral_gpu_busy_ratio{BY_INSTANCE}", "{{instance}} {{gpu}}")],
                    "percentunit",
                    "Share of time in which the GPU was busy.",
                    span=12,
                    top=1,
                ),
                graph(
                    "Temperature",
                    [(f"ancestral_gpu_temperature_celsius{BY_INSTANCE}", "{{instance}} {{gpu}}")],
                    "celsius",
                    "GPU temperature.",
                    span=12,
                ),
                graph(
                    "Power",
                    [(f"ancestral_gpu_power_watts{BY_INSTANCE}", "{{instance}} {{gpu}}")],
                    "watt",
                    "Power draw.",
                    span=12,
                ),
            ],
        )
    ]
