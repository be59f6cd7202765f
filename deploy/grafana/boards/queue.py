"""The job queue, attempts at jobs, sampling, and the worker processes."""

from __future__ import annotations

from deploy.grafana.boards.common import BUSY_RATIO, BY_INSTANCE, Row, Rows
from deploy.grafana.panels import graph, label_table, quantiles, rate

_BY_PRIORITY = '{priority=~"$priority"}'
_BATCH = (
    f"sum by (instance) (rate(ancestral_sampler_lanes_total{BY_INSTANCE}[$__rate_interval]))"
    f" / sum by (instance) (rate(ancestral_sampler_calls_total{BY_INSTANCE}[$__rate_interval]))"
)
_LOADED = (
    f"time() - ancestral_model_loaded_timestamp_seconds{BY_INSTANCE}"
    " + on (instance, model) group_right 0 * ancestral_model_info"
)


def _queue() -> Row:
    return (
        "Queue",
        [
            graph(
                "Waiting",
                [('max by (priority) (ancestral_jobs{state="waiting", priority=~"$priority"})', "{{priority}}")],
                "none",
                "Jobs waiting for a slot.",
            ),
            graph(
                "Running jobs and slots",
                [
                    (
                        'max by (priority) (ancestral_jobs{state="running", priority=~"$priority"})',
                        "{{priority}} running",
                    ),
                    (f"max by (priority) (ancestral_slots{_BY_PRIORITY})", "{{priority}} slots"),
                ],
                "none",
                "Sum over all workers.",
            ),
            graph(
                "Queue wait",
                quantiles(f"ancestral_queue_wait_seconds_bucket{_BY_PRIORITY}", "priority"),
                "s",
                "From admission of a job until a worker claims it.",
            ),
            graph(
                "Unfinished jobs",
                [
                    ("max(ancestral_unfinished_jobs)", "all owners"),
                    ("max(ancestral_unfinished_jobs_max)", "the owner with the most"),
                ],
                "none",
                "Waiting and running jobs, which the limits of API keys count.",
            ),
        ],
    )


def _attempts() -> Row:
    return (
        "Attempts",
        [
            graph(
                "Attempts",
                [
                    (rate(f"ancestral_attempts_total{_BY_PRIORITY}", "priority"), "{{priority}}"),
                    (rate(f"ancestral_retries_total{_BY_PRIORITY}", "priority"), "{{priority}} retries"),
                    (rate(f"ancestral_resumes_total{_BY_PRIORITY}", "priority"), "{{priority}} resumed"),
                ],
                "ops",
                "Retry: a worker died or stopped, or the job had been parked. Resumed: from a snapshot.",
            ),
            graph(
                "Attempt outcomes",
                [(rate(f"ancestral_attempt_ends_total{_BY_PRIORITY}", "end"), "{{end}}")],
                "ops",
                "done; failed; ended: cancelled or superseded; released: requeued or parked; stalled: not read.",
                stacked=True,
            ),
            graph(
                "Jobs requeued from dead workers",
                [("sum(rate(ancestral_orphans_total[$__rate_interval]))", "orphans")],
                "ops",
                "Each continues on another worker.",
            ),
        ],
    )


def _sampling() -> Row:
    return (
        "Sampling",
        [
            graph(
                "Batch size",
                [(_BATCH, "{{instance}}")],
                "none",
                "Mean number of streams per engine call.",
            ),
            graph(
                "Symbols",
                [(rate(f"ancestral_tokens_total{BY_INSTANCE}", "engine"), "{{engine}}")],
                "ops",
                "Symbols sampled per second, by engine.",
            ),
            graph(
                "Streams in the batch",
                [(f"sum by (state) (ancestral_sampler_streams{BY_INSTANCE})", "{{state}}")],
                "none",
                "Running: being sampled or waiting for a thread. Waiting: for the reader or for text.",
                stacked=True,
            ),
            graph(
                "Sampling threads",
                [(BUSY_RATIO, "{{instance}}")],
                "percentunit",
                "Share of time spent sampling.",
                top=1,
            ),
            graph(
                "Engine calls",
                [
                    (
                        f"sum by (instance) (rate(ancestral_sampler_calls_total{BY_INSTANCE}[$__rate_interval]))",
                        "{{instance}}",
                    )
                ],
                "ops",
                "Calls per second.",
            ),
            graph(
                "Slot release after disconnect",
                quantiles(f"ancestral_cancel_seconds_bucket{BY_INSTANCE}", "", [0.5, 0.95, 0.99]),
                "s",
                "Time that cancelled streams still held their slots.",
            ),
        ],
    )


def _workers() -> Row:
    return (
        "Workers",
        [
            label_table(
                "Models",
                _LOADED,
                ["model", "kind", "engine", "instance", "sha256"],
                "Models that each worker has loaded, and the time since then.",
                span=24,
            ),
            graph(
                "Models in memory",
                [(f"sum by (instance) (ancestral_model_in_memory{BY_INSTANCE})", "{{instance}}")],
                "none",
                "Models in memory per worker; idle ones may have been unloaded.",
            ),
            graph(
                "CPU",
                [('rate(process_cpu_seconds_total{job=~"ancestral.*"}[$__rate_interval])', "{{job}} {{instance}}")],
                "none",
                "Cores used by each process.",
            ),
            graph(
                "Memory",
                [('process_resident_memory_bytes{job=~"ancestral.*"}', "{{job}} {{instance}}")],
                "bytes",
                "Resident memory of each process.",
            ),
            graph(
                "File descriptors",
                [('process_open_fds{job=~"ancestral.*"}', "{{job}} {{instance}}")],
                "none",
                "Open files and sockets of each process.",
            ),
        ],
    )


def rows() -> Rows:
    """The rows of the dashboard."""
    return [_queue(), _attempts(), _sampling(), _workers()]
