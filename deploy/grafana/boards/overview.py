"""The four golden signals: latency, traffic, errors, saturation."""

from __future__ import annotations

from deploy.grafana.boards.common import BUSY, FIRST, SHARE_SILENT, Rows
from deploy.grafana.panels import figure, graph, quantiles, rate

_ROUTES = 'route=~"$route"'
_REQUESTS = f"ancestral_http_requests_total{{{_ROUTES}}}"
_SHARE_5XX = (
    'sum(rate(ancestral_http_requests_total{status=~"5.."}[$__rate_interval]))'
    " / sum(rate(ancestral_http_requests_total[$__rate_interval]))"
)
_FULL = (
    'sum by (priority) (max by (priority, state) (ancestral_jobs{state="running"}))'
    " / sum by (priority) (max by (priority) (ancestral_slots))"
)
_P95_FIRST = f"histogram_quantile(0.95, sum by (le) (rate({FIRST}[$__rate_interval])))"


def rows() -> Rows:
    """All of it."""
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
                figure("Streams that fell silent", SHARE_SILENT, "percentunit", "Share with an underrun.", limit=0.01),
                figure("Errors of ours", _SHARE_5XX, "percentunit", "Share of answers that are 5xx.", limit=0.01),
                figure("Fullest priority", f"max({_FULL})", "percentunit", "Jobs that run, of all slots.", limit=0.9),
            ],
        ),
        (
            "Latency",
            [
                graph(
                    "First audio", quantiles(FIRST), "s", "From the request until the first sound was sent.", limit=0.5
                ),
                graph(
                    "Whole requests, p95",
                    quantiles(f"ancestral_http_request_seconds_bucket{{{_ROUTES}}}", "route", [0.95]),
                    "s",
                    "To the last byte: for a stream, about as long as its listener listens.",
                ),
                graph(
                    "Wait in the queue",
                    quantiles("ancestral_queue_wait_seconds_bucket", "priority", [0.5, 0.95]),
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
                        ('max by (priority) (ancestral_jobs{state="running"})', "{{priority}} jobs"),
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
                    "overloaded: no room in the priority; the others are limits of the caller.",
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
                graph(
                    "Slots taken", [(_FULL, "{{priority}}")], "percentunit", "Jobs that run, of all slots.", limit=0.9
                ),
                graph(
                    "Threads that sample",
                    [(BUSY, "{{instance}}")],
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
