"""The priorities, and those who work them off."""

from __future__ import annotations

from deploy.grafana.boards.common import BUSY, HERE, Rows
from deploy.grafana.panels import graph, listing, quantiles, rate

_OF_LANE = '{priority=~"$priority"}'
_BATCH = (
    f"sum by (instance) (rate(ancestral_sampler_lanes_total{HERE}[$__rate_interval]))"
    f" / sum by (instance) (rate(ancestral_sampler_calls_total{HERE}[$__rate_interval]))"
)
_LOADED = (
    f"time() - ancestral_model_loaded_timestamp_seconds{HERE}"
    " + on (instance, model) group_right 0 * ancestral_model_info"
)


def rows() -> Rows:
    """All of it."""
    return [
        (
            "Lanes",
            [
                graph(
                    "Waiting",
                    [('max by (priority) (ancestral_jobs{state="waiting", priority=~"$priority"})', "{{priority}}")],
                    "none",
                    "Jobs without a slot.",
                ),
                graph(
                    "Running, and slots",
                    [
                        (
                            'max by (priority) (ancestral_jobs{state="running", priority=~"$priority"})',
                            "{{priority}} running",
                        ),
                        (f"max by (priority) (ancestral_slots{_OF_LANE})", "{{priority}} slots"),
                    ],
                    "none",
                    "Of all workers together.",
                ),
                graph(
                    "Wait in the queue",
                    quantiles(f"ancestral_queue_wait_seconds_bucket{_OF_LANE}", "priority"),
                    "s",
                    "From a job's acceptance until a worker claims it.",
                ),
                graph(
                    "Unfinished jobs",
                    [
                        ("max(ancestral_unfinished_jobs)", "of all owners"),
                        ("max(ancestral_unfinished_jobs_max)", "of the one who has most"),
                    ],
                    "none",
                    "What the limits of API keys count: as many as wait and run.",
                ),
            ],
        ),
        (
            "Attempts",
            [
                graph(
                    "Attempts",
                    [
                        (rate(f"ancestral_attempts_total{_OF_LANE}", "priority"), "{{priority}}"),
                        (rate(f"ancestral_retries_total{_OF_LANE}", "priority"), "{{priority}} again"),
                        (rate(f"ancestral_resumes_total{_OF_LANE}", "priority"), "{{priority}} from a snapshot"),
                    ],
                    "ops",
                    "Again: after a worker died or stopped, or after nobody had listened.",
                ),
                graph(
                    "How attempts end",
                    [(rate(f"ancestral_attempt_ends_total{_OF_LANE}", "end"), "{{end}}")],
                    "ops",
                    "done; failed; ended: cancelled, taken over; released: handed over, parked; stalled: nobody read.",
                    stacked=True,
                ),
                graph(
                    "Jobs found with a dead worker",
                    [("sum(rate(ancestral_orphans_total[$__rate_interval]))", "orphans")],
                    "ops",
                    "Each is given to another worker.",
                ),
            ],
        ),
        (
            "Sampling",
            [
                graph(
                    "Batch",
                    [(_BATCH, "{{instance}}")],
                    "none",
                    "Streams that share a call of the engine.",
                ),
                graph(
                    "Steps",
                    [(rate(f"ancestral_tokens_total{HERE}", "engine"), "{{engine}}")],
                    "ops",
                    "Symbols sampled, by engine.",
                ),
                graph(
                    "Streams in the batch",
                    [(f"sum by (state) (ancestral_sampler_streams{HERE})", "{{state}}")],
                    "none",
                    "Running: sampled, or waiting for a thread. Waiting: for their reader, or for text.",
                    stacked=True,
                ),
                graph(
                    "Threads",
                    [(BUSY, "{{instance}}")],
                    "percentunit",
                    "Share of their time in which threads sample.",
                    top=1,
                ),
                graph(
                    "Calls",
                    [
                        (
                            f"sum by (instance) (rate(ancestral_sampler_calls_total{HERE}[$__rate_interval]))",
                            "{{instance}}",
                        )
                    ],
                    "ops",
                    "Of engines.",
                ),
                graph(
                    "A slot after its client left",
                    quantiles(f"ancestral_cancel_seconds_bucket{HERE}", "", [0.5, 0.95, 0.99]),
                    "s",
                    "How long streams that were cancelled still held their slots.",
                ),
            ],
        ),
        (
            "Workers",
            [
                listing(
                    "Models",
                    _LOADED,
                    ["model", "kind", "engine", "instance", "sha256"],
                    "What each worker has loaded, and how long ago.",
                    span=24,
                ),
                graph(
                    "Models in memory",
                    [(f"sum by (instance) (ancestral_model_in_memory{HERE})", "{{instance}}")],
                    "none",
                    "Of each worker; the others were unloaded because nobody asked for them.",
                ),
                graph(
                    "Processor",
                    [('rate(process_cpu_seconds_total{job=~"ancestral.*"}[$__rate_interval])', "{{job}} {{instance}}")],
                    "none",
                    "Cores that each process uses.",
                ),
                graph(
                    "Memory",
                    [('process_resident_memory_bytes{job=~"ancestral.*"}', "{{job}} {{instance}}")],
                    "bytes",
                    "That each process holds.",
                ),
                graph(
                    "Open files",
                    [('process_open_fds{job=~"ancestral.*"}', "{{job}} {{instance}}")],
                    "none",
                    "Sockets among them.",
                ),
            ],
        ),
    ]
