"""The dashboards: what is on them, and what each panel means. `python -m deploy.grafana.build` writes their JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard, DashboardCursorSync, DashboardLinkType

from deploy.grafana.panels import choice, figure, graph, listing, note, quantiles, rate, spread

Panels = Sequence[tuple[str, Sequence[Builder[Any]]]]
"""Rows: a title, and the panels below it."""

MODEL: Final = choice("model", "Model", "label_values(ancestral_model_workers, model)")
LANE: Final = choice("lane", "Lane", "label_values(ancestral_slots, lane)")
INSTANCE: Final = choice("instance", "Process", 'label_values(ancestral_build_info{role="worker"}, instance)')
OPERATION: Final = choice("operation", "Script", "label_values(ancestral_redis_round_trip_seconds_count, operation)")
ROUTE: Final = choice("route", "Route", "label_values(ancestral_http_requests_total, route)")

_FIRST = 'ancestral_first_audio_seconds_bucket{model=~"$model"}'
_ROUTES = 'route=~"$route"'
_REQUESTS = f"ancestral_http_requests_total{{{_ROUTES}}}"
_OF_MODEL = '{model=~"$model"}'
_OF_LANE = '{lane=~"$lane"}'
_HERE = '{instance=~"$instance"}'
_DRAWN = 'kind=~"image|completion|interpolation"'
_SHARE_5XX = (
    'sum(rate(ancestral_http_requests_total{status=~"5.."}[$__rate_interval]))'
    " / sum(rate(ancestral_http_requests_total[$__rate_interval]))"
)
_SHARE_SILENT = (
    f"sum(rate(ancestral_underrun_streams_total{_OF_MODEL}[$__rate_interval]))"
    f" / sum(rate(ancestral_streams_total{_OF_MODEL}[$__rate_interval]))"
)
_FULL = (
    'sum by (lane) (max by (lane, state) (ancestral_jobs{state="running"}))'
    " / sum by (lane) (max by (lane) (ancestral_slots))"
)
_BUSY = (
    "sum by (instance) (rate(ancestral_sampler_busy_seconds_total[$__rate_interval]))"
    " / sum by (instance) (ancestral_sampler_threads)"
)
_BATCH = (
    f"sum by (instance) (rate(ancestral_sampler_lanes_total{_HERE}[$__rate_interval]))"
    f" / sum by (instance) (rate(ancestral_sampler_calls_total{_HERE}[$__rate_interval]))"
)
_LOADED = (
    f"time() - ancestral_model_loaded_timestamp_seconds{_HERE}"
    " + on (instance, model) group_right 0 * ancestral_model_info"
)
_P95_FIRST = f"histogram_quantile(0.95, sum by (le) (rate({_FIRST}[$__rate_interval])))"


def overview() -> Panels:
    """The four golden signals: latency, traffic, errors, saturation."""
    return [
        (
            "Now",
            [
                figure(
                    "Workers that are ready",
                    'max(ancestral_workers{ready="true"})',
                    "none",
                    "Of all.",
                    limit=1,
                    rising=False,
                ),
                figure("Redis", "min(ancestral_redis_up)", "bool_on_off", "As the API sees it.", limit=1, rising=False),
                figure("First audio, p95", _P95_FIRST, "s", "From the request to the first sound sent.", limit=0.5),
                figure("Streams that fell silent", _SHARE_SILENT, "percentunit", "Share with an underrun.", limit=0.01),
                figure("Errors of ours", _SHARE_5XX, "percentunit", "Share of answers that are 5xx.", limit=0.01),
                figure("Fullest lane", f"max({_FULL})", "percentunit", "Jobs that run, of all slots.", limit=0.9),
            ],
        ),
        (
            "Latency",
            [
                graph(
                    "First audio", quantiles(_FIRST), "s", "From the request until the first sound was sent.", limit=0.5
                ),
                graph(
                    "Whole requests, p95",
                    quantiles(f"ancestral_http_request_seconds_bucket{{{_ROUTES}}}", "route", [0.95]),
                    "s",
                    "To the last byte: for a stream, about as long as its listener listens.",
                ),
                graph(
                    "Wait in the queue",
                    quantiles("ancestral_queue_wait_seconds_bucket", "lane", [0.5, 0.95]),
                    "s",
                    "From a job's acceptance until a worker takes it in hand.",
                ),
            ],
        ),
        (
            "Traffic",
            [
                graph(
                    "Requests", [(rate(_REQUESTS, "route"), "{{route}}")], "reqps", "Answered, by route.", stacked=True
                ),
                graph(
                    "Streams and websockets",
                    [
                        ('max by (lane) (ancestral_jobs{state="running"})', "{{lane}} jobs"),
                        ("sum(ancestral_websockets)", "websockets"),
                        ("sum(ancestral_http_requests_in_progress)", "requests in progress"),
                    ],
                    "none",
                    "What goes on at this moment.",
                ),
                graph(
                    "Bytes out",
                    [(rate(f"ancestral_sent_bytes_total{{{_ROUTES}}}", "route"), "{{route}}")],
                    "Bps",
                    "Bodies and websocket messages.",
                    stacked=True,
                ),
            ],
        ),
        (
            "Errors",
            [
                graph(
                    "Errors told",
                    [(rate("ancestral_errors_total", "road, status"), "{{status}} {{road}}")],
                    "ops",
                    "Every error that a client was told, in a response or within a stream.",
                    stacked=True,
                ),
                graph(
                    "Refused with 429",
                    [(rate("ancestral_rejected_total", "reason"), "{{reason}}")],
                    "ops",
                    "overloaded: no room in the lane; the others are limits of the caller.",
                    stacked=True,
                ),
                graph(
                    "Broken off",
                    [(rate(f'ancestral_http_requests_total{{complete="false", {_ROUTES}}}', "route"), "{{route}}")],
                    "ops",
                    "Answers that did not come to their end, mostly because the client left.",
                    stacked=True,
                ),
            ],
        ),
        (
            "Saturation",
            [
                graph("Slots taken", [(_FULL, "{{lane}}")], "percentunit", "Jobs that run, of all slots.", limit=0.9),
                graph(
                    "Threads that sample",
                    [(_BUSY, "{{instance}}")],
                    "percentunit",
                    "Share of their time in which they sample.",
                    top=1,
                ),
                graph(
                    "Memory",
                    [('process_resident_memory_bytes{job=~"ancestral.*"}', "{{job}} {{instance}}")],
                    "bytes",
                    "That each process holds.",
                ),
            ],
        ),
    ]


def speech() -> Panels:
    """What listeners live through."""
    of_speech = 'ancestral_job_seconds_bucket{kind=~"speech|generation", status="completed"}'
    factor = f"ancestral_real_time_factor_bucket{_OF_MODEL}"
    return [
        (
            "First audio",
            [
                graph(
                    "First audio by road",
                    quantiles(_FIRST, "road", [0.5, 0.95, 0.99]),
                    "s",
                    "HTTP, events and websockets; a websocket's clock starts when a sentence is complete.",
                    limit=0.5,
                    span=12,
                ),
                spread("First audio, spread", _FIRST, "s", "How many streams had their first sound when."),
            ],
        ),
        (
            "Sound",
            [
                graph(
                    "Real-time factor",
                    quantiles(factor, "lane", [0.05, 0.5, 0.95]),
                    "none",
                    "Seconds of sound made a second, per stream; where p5 is below 1, listeners wait.",
                ),
                graph(
                    "Sound made",
                    [(rate(f"ancestral_sound_seconds_total{_OF_MODEL}", "model, engine"), "{{model}} {{engine}}")],
                    "none",
                    "Seconds of sound a second, of all streams together.",
                    stacked=True,
                ),
                graph(
                    "Streams begun",
                    [(rate(f"ancestral_streams_total{_OF_MODEL}", "road"), "{{road}}")],
                    "ops",
                    "By road.",
                ),
            ],
        ),
        (
            "Silence",
            [
                graph(
                    "Streams that fell silent", [(_SHARE_SILENT, "share")], "percentunit", "Of those begun.", limit=0.01
                ),
                graph(
                    "Silence",
                    [(rate(f"ancestral_underrun_seconds_total{_OF_MODEL}", "road"), "{{road}}")],
                    "none",
                    "Seconds of silence a second, of all listeners together.",
                ),
                graph(
                    "Sessions resumed",
                    [("sum(rate(ancestral_sessions_resumed_total[$__rate_interval]))", "resumed")],
                    "ops",
                    "Websocket sessions that went on in another connection.",
                ),
            ],
        ),
        (
            "Ends",
            [
                graph(
                    "Whole utterances",
                    quantiles(of_speech, "lane", [0.5, 0.95]),
                    "s",
                    "From acceptance to the last sample.",
                ),
                graph(
                    "How jobs ended",
                    [(rate('ancestral_job_seconds_count{kind=~"speech|generation"}', "status"), "{{status}}")],
                    "ops",
                    "Completed, failed, or cancelled (mostly by clients that left).",
                    stacked=True,
                ),
                graph(
                    "A slot after its listener left",
                    quantiles("ancestral_cancel_seconds_bucket", "", [0.5, 0.95]),
                    "s",
                    "How long streams that were cancelled still held their slots.",
                ),
            ],
        ),
    ]


def images() -> Panels:
    """What those who ask for pictures live through."""
    routes = 'route=~"/v1/images/.*"'
    return [
        (
            "Made",
            [
                graph(
                    "Pictures",
                    [(rate(f"ancestral_pictures_total{_OF_MODEL}", "model"), "{{model}}")],
                    "ops",
                    "Finished, by model.",
                    stacked=True,
                ),
                graph(
                    "Pixels",
                    [(rate(f"ancestral_pixels_total{_OF_MODEL}", "model, engine"), "{{model}} {{engine}}")],
                    "ops",
                    "Drawn; by model and engine.",
                    stacked=True,
                ),
                graph(
                    "How jobs ended",
                    [(rate(f"ancestral_job_seconds_count{{{_DRAWN}}}", "status"), "{{status}}")],
                    "ops",
                    "Completed, failed, or cancelled.",
                    stacked=True,
                ),
            ],
        ),
        (
            "Latency",
            [
                graph(
                    "Pictures, from acceptance to the last pixel",
                    quantiles(f'ancestral_job_seconds_bucket{{{_DRAWN}, status="completed"}}', "kind", [0.5, 0.95]),
                    "s",
                    "Listeners go first: what they leave draws pictures.",
                    span=12,
                ),
                graph(
                    "Requests, p95",
                    quantiles(f"ancestral_http_request_seconds_bucket{{{routes}}}", "route", [0.95]),
                    "s",
                    "With encoding, to the last byte.",
                    span=12,
                ),
            ],
        ),
        (
            "Traffic and errors",
            [
                graph(
                    "Requests",
                    [(rate(f"ancestral_http_requests_total{{{routes}}}", "route, status"), "{{status}} {{route}}")],
                    "reqps",
                    "Answered, by route and status.",
                    span=12,
                    stacked=True,
                ),
                graph(
                    "Bytes out",
                    [(rate(f"ancestral_sent_bytes_total{{{routes}}}", "route"), "{{route}}")],
                    "Bps",
                    "Bodies and websocket messages.",
                    span=12,
                    stacked=True,
                ),
            ],
        ),
    ]


def queue() -> Panels:
    """The lanes, and those who work them off."""
    return [
        (
            "Lanes",
            [
                graph(
                    "Waiting",
                    [('max by (lane) (ancestral_jobs{state="waiting", lane=~"$lane"})', "{{lane}}")],
                    "none",
                    "Jobs without a slot.",
                ),
                graph(
                    "Running, and slots",
                    [
                        ('max by (lane) (ancestral_jobs{state="running", lane=~"$lane"})', "{{lane}} running"),
                        (f"max by (lane) (ancestral_slots{_OF_LANE})", "{{lane}} slots"),
                    ],
                    "none",
                    "Of all workers together.",
                ),
                graph(
                    "Wait in the queue",
                    quantiles(f"ancestral_queue_wait_seconds_bucket{_OF_LANE}", "lane"),
                    "s",
                    "From a job's acceptance until a worker takes it in hand.",
                ),
            ],
        ),
        (
            "Attempts",
            [
                graph(
                    "Attempts",
                    [
                        (rate(f"ancestral_attempts_total{_OF_LANE}", "lane"), "{{lane}}"),
                        (rate(f"ancestral_retries_total{_OF_LANE}", "lane"), "{{lane}} again"),
                        (rate(f"ancestral_resumes_total{_OF_LANE}", "lane"), "{{lane}} from a snapshot"),
                    ],
                    "ops",
                    "Again: after a worker died or stopped, or after nobody had listened.",
                ),
                graph(
                    "How attempts end",
                    [(rate(f"ancestral_attempt_ends_total{_OF_LANE}", "end"), "{{end}}")],
                    "ops",
                    "done; failed; ended: a client cancelled; let_go: handed over or parked; stalled: nobody read.",
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
                    [(rate(f"ancestral_tokens_total{_HERE}", "engine"), "{{engine}}")],
                    "ops",
                    "Symbols sampled, by engine.",
                ),
                graph(
                    "Streams in the batch",
                    [(f"sum by (state) (ancestral_sampler_streams{_HERE})", "{{state}}")],
                    "none",
                    "Running: sampled, or waiting for a thread. Waiting: for their reader, or for text.",
                    stacked=True,
                ),
                graph(
                    "Threads",
                    [(_BUSY, "{{instance}}")],
                    "percentunit",
                    "Share of their time in which threads sample.",
                    top=1,
                ),
                graph(
                    "Calls",
                    [
                        (
                            f"sum by (instance) (rate(ancestral_sampler_calls_total{_HERE}[$__rate_interval]))",
                            "{{instance}}",
                        )
                    ],
                    "ops",
                    "Of engines.",
                ),
                graph(
                    "A slot after its client left",
                    quantiles(f"ancestral_cancel_seconds_bucket{_HERE}", "", [0.5, 0.95, 0.99]),
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


def redis() -> Panels:
    """The one thing that all share."""
    trips, scripts = "ancestral_redis_round_trip_seconds", 'operation=~"$operation"'
    return [
        (
            "Now",
            [
                figure("Redis", "min(ancestral_redis_up)", "bool_on_off", "As the API sees it.", limit=1, rising=False),
                figure("Up for", "max(ancestral_redis_uptime_seconds)", "s", "Since Redis started."),
                figure("Ping", "max(ancestral_redis_ping_seconds)", "s", "Of a scrape.", limit=0.05),
                figure("Memory", "max(ancestral_redis_memory_bytes)", "bytes", "For data."),
                figure("Keys", "max(ancestral_redis_keys)", "none", "All of them expire."),
                figure(
                    "Append-only file",
                    "min(ancestral_redis_aof_ok)",
                    "bool_on_off",
                    "Last write.",
                    limit=1,
                    rising=False,
                ),
            ],
        ),
        (
            "Round trips",
            [
                graph(
                    "Scripts, p95",
                    quantiles(f"{trips}_bucket{{{scripts}}}", "operation", [0.95]),
                    "s",
                    "As our processes see them.",
                ),
                graph(
                    "Scripts",
                    [(rate(f"{trips}_count{{{scripts}}}", "operation"), "{{operation}}")],
                    "ops",
                    "What goes through Redis, by script.",
                    stacked=True,
                ),
                graph(
                    "Without an answer",
                    [("sum(rate(ancestral_redis_unanswered_total[$__rate_interval]))", "unanswered")],
                    "ops",
                    "Scripts that Redis has not answered; they are tried again, or the client hears 503.",
                ),
            ],
        ),
        (
            "Memory and disk",
            [
                graph(
                    "Memory",
                    [
                        ("max(ancestral_redis_memory_bytes)", "data"),
                        ("max(ancestral_redis_memory_rss_bytes)", "held"),
                        ("max(ancestral_redis_memory_limit_bytes)", "limit"),
                    ],
                    "bytes",
                    "Bounded by queue limits and times to live; a limit of 0 is none.",
                ),
                graph(
                    "Keys",
                    [
                        ("max(ancestral_redis_keys)", "keys"),
                        ("max(rate(ancestral_redis_evicted_keys_total[$__rate_interval]))", "evicted/s"),
                    ],
                    "none",
                    "None may ever be evicted: jobs would be lost.",
                ),
                graph(
                    "Append-only file",
                    [("max(ancestral_redis_aof_bytes)", "size")],
                    "bytes",
                    "Rewritten when it has doubled.",
                ),
            ],
        ),
        (
            "Load",
            [
                graph(
                    "Commands",
                    [("max(rate(ancestral_redis_commands_total[$__rate_interval]))", "commands")],
                    "ops",
                    "Done by Redis.",
                ),
                graph(
                    "Network",
                    [
                        ("max(rate(ancestral_redis_received_bytes_total[$__rate_interval]))", "in"),
                        ("max(rate(ancestral_redis_sent_bytes_total[$__rate_interval]))", "out"),
                    ],
                    "Bps",
                    "About 16 kB a second of sound, in and out, and a snapshot a second.",
                ),
                graph(
                    "Connections",
                    [
                        ("max(ancestral_redis_clients)", "connections"),
                        ("max(ancestral_redis_blocked_clients)", "that wait"),
                    ],
                    "none",
                    "Those that wait read a stream or a queue.",
                ),
            ],
        ),
    ]


def gpu() -> Panels:
    """The GPUs of workers that have one."""
    return [
        (
            "GPU",
            [
                note("Empty unless a worker runs on a machine with an NVIDIA GPU and has the package `nvidia-ml-py`."),
                graph(
                    "Memory",
                    [
                        (f"ancestral_gpu_memory_used_bytes{_HERE}", "{{instance}} {{gpu}} used"),
                        (f"ancestral_gpu_memory_total_bytes{_HERE}", "{{instance}} {{gpu}} there"),
                    ],
                    "bytes",
                    "By whomever it is used.",
                    span=12,
                ),
                graph(
                    "Busy",
                    [(f"ancestral_gpu_busy_ratio{_HERE}", "{{instance}} {{gpu}}")],
                    "percentunit",
                    "Share of time.",
                    span=12,
                    top=1,
                ),
                graph(
                    "Temperature",
                    [(f"ancestral_gpu_temperature_celsius{_HERE}", "{{instance}} {{gpu}}")],
                    "celsius",
                    "Of the chip.",
                    span=12,
                ),
                graph(
                    "Power", [(f"ancestral_gpu_power_watts{_HERE}", "{{instance}} {{gpu}}")], "watt", "Drawn.", span=12
                ),
            ],
        )
    ]


_ALL: Final[dict[str, tuple[str, Callable[[], Panels], Sequence[builders.QueryVariable]]]] = {
    "overview": ("Overview", overview, [MODEL, ROUTE]),
    "speech": ("Speech", speech, [MODEL]),
    "images": ("Images", images, [MODEL]),
    "queue": ("Queue and workers", queue, [LANE, INSTANCE]),
    "redis": ("Redis", redis, [OPERATION]),
    "gpu": ("GPU", gpu, [INSTANCE]),
}


def dashboards() -> dict[str, Dashboard]:
    """Every dashboard, by the name of its file."""
    return {name: _dashboard(name, *rest) for name, rest in _ALL.items()}


def _dashboard(
    name: str, title: str, rows: Callable[[], Panels], variables: Sequence[builders.QueryVariable]
) -> Dashboard:
    assert rows.__doc__ is not None
    board = (
        builders.Dashboard(f"Ancestral: {title}")
        .uid(f"ancestral-{name}")
        .description(rows.__doc__)
        .tags(["ancestral"])
        .readonly()
        .refresh("10s")
        .time("now-30m", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Ancestral")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["ancestral"])
            .as_dropdown(False)
            .keep_time(True)
        )
    )
    for variable in variables:
        board.with_variable(variable)
    for row, panels in rows():
        board.with_row(builders.Row(row))
        for panel in panels:
            board.with_panel(panel)
    built = board.build()
    for number, element in enumerate(built.panels or (), 1):
        element.id_val = number
    return built
