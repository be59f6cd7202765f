"""The four golden signals: latency, traffic, errors, saturation."""

from __future__ import annotations

from deploy.grafana.boards.common import BUSY_RATIO, FIRST_AUDIO, UNDERRUN_RATIO, Row, Rows
from deploy.grafana.panels import graph, quantiles, rate, stat_panel

_ROUTES = 'route=~"$route"'
_REQUESTS = f"ancestral_http_requests_total{{{_ROUTES}}}"
_SHARE_5XX = (
    'sum(rate(ancestral_http_requests_total{status=~"5.."}[$__rate_interval]))'
    " / sum(rate(ancestral_http_requests_total[$__rate_interval]))"
)
_SLOT_USAGE = (
    'sum by (priority) (max by (priority, state) (ancestral_jobs{state="running"}))'
    " / sum by (priority) (max by (priority) (ancestral_slots))"
)
_P95_FIRST = f"histogram_quantile(0.95, sum by (le) (rate({FIRST_AUDIO}[$__rate_interval])))"


def _now() -> Row:
    return (
        "Now",
        [
            stat_panel(
                "Ready workers",
                'max(ancestral_workers{ready="true"})',
                "none",
                "Workers that can sample.",
                limit=1,
                rising=False,
            ),
            stat_panel(
                "Redis",
                "min(ancestral_redis_up)",
                "bool_on_off",
                "Whether Redis answers the API.",
                limit=1,
                rising=False,
            ),
            stat_panel(
                "Time to first audio, p95", _P95_FIRST, "s", "From the request to the first audio sent.", limit=0.5
            ),
            stat_panel(
                "Streams with underruns",
                UNDERRUN_RATIO,
                "percentunit",
                "Share of audio streams with an underrun.",
                limit=0.01,
            ),
            stat_panel("5xx responses", _SHARE_5XX, "percentunit", "Share of responses.", limit=0.01),
            stat_panel(
                "Slot usage",
                f"max({_SLOT_USAGE})",
                "percentunit",
                "Running jobs per slot, of the fuller priority.",
                limit=0.9,
            ),
        ],
    )


def _latency() -> Row:
    return (
        "Latency",
        [
            graph(
                "Time to first audio",
                quantiles(FIRST_AUDIO),
                "s",
                "From the request to the first audio sent.",
                limit=0.5,
            ),
            graph(
                "Request duration, p95",
                quantiles(f"ancestral_http_request_seconds_bucket{{{_ROUTES}}}", "route", [0.95]),
                "s",
                "To the last byte; an audio stream lasts about as long as its audio.",
            ),
            graph(
                "Queue wait",
                quantiles("ancestral_queue_wait_seconds_bucket", "priority", [0.5, 0.95]),
                "s",
                "From admission of a job until a worker starts it.",
            ),
        ],
    )


def _traffic() -> Row:
    return (
        "Traffic",
        [
            graph(
                "Requests",
                [(rate(_REQUESTS, "route"), "{{route}}")],
                "reqps",
                "Requests per second, by route.",
                stacked=True,
            ),
            graph(
                "Jobs, websockets and requests",
                [
                    ('max by (priority) (ancestral_jobs{state="running"})', "{{priority}} jobs"),
                    ("sum(ancestral_websockets)", "websockets"),
                    ("sum(ancestral_http_requests_in_progress)", "requests in progress"),
                ],
                "none",
                "In progress now.",
            ),
            graph(
                "Bytes sent",
                [(rate(f"ancestral_sent_bytes_total{{{_ROUTES}}}", "route"), "{{route}}")],
                "Bps",
                "Response bodies and websocket messages.",
                stacked=True,
            ),
        ],
    )


def _errors() -> Row:
    return (
        "Errors",
        [
            graph(
                "Errors sent",
                [(rate("ancestral_errors_total", "transport, status"), "{{status}} {{transport}}")],
                "ops",
                "Every error sent to a client, in a response or within a stream, by status and transport.",
                stacked=True,
            ),
            graph(
                "Rejected with 429",
                [(rate("ancestral_rejected_total", "reason"), "{{reason}}")],
                "ops",
                "overloaded: slots and queue are full. The other reasons are limits of the caller.",
                stacked=True,
            ),
            graph(
                "Aborted responses",
                [(rate(f'ancestral_http_requests_total{{complete="false", {_ROUTES}}}', "route"), "{{route}}")],
                "ops",
                "Responses that did not complete, mostly because the client disconnected.",
                stacked=True,
            ),
        ],
    )


def _saturation() -> Row:
    return (
        "Saturation",
        [
            graph("Slot usage", [(_SLOT_USAGE, "{{priority}}")], "percentunit", "Running jobs per slot.", limit=0.9),
            graph(
                "Sampling threads",
                [(BUSY_RATIO, "{{instance}}")],
                "percentunit",
                "Share of time spent sampling.",
                top=1,
            ),
            graph(
                "Memory",
                [('process_resident_memory_bytes{job=~"ancestral.*"}', "{{job}} {{instance}}")],
                "bytes",
                "Resident memory of each process.",
            ),
        ],
    )


def rows() -> Rows:
    """The rows of the dashboard."""
    return [_now(), _latency(), _traffic(), _errors(), _saturation()]
