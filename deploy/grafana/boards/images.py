"""Image requests: throughput, latency, traffic and errors."""

from __future__ import annotations

from deploy.grafana.boards.common import BY_MODEL, Row, Rows
from deploy.grafana.panels import graph, quantiles, rate

_IMAGE_KINDS = 'kind=~"image|completion|interpolation"'

_ROUTES = 'route=~"/v1/images/.*"'


def _throughput() -> Row:
    return (
        "Throughput",
        [
            graph(
                "Pictures",
                [(rate(f"ancestral_pictures_total{BY_MODEL}", "model"), "{{model}}")],
                "ops",
                "Pictures completed per second, by model.",
                stacked=True,
            ),
            graph(
                "Pixels",
                [(rate(f"ancestral_pixels_total{BY_MODEL}", "model, engine"), "{{model}} {{engine}}")],
                "ops",
                "Pixels sampled per second, by model and engine.",
                stacked=True,
            ),
            graph(
                "Job outcomes",
                [(rate(f"ancestral_job_seconds_count{{{_IMAGE_KINDS}}}", "status"), "{{status}}")],
                "ops",
                "Completed, failed or cancelled.",
                stacked=True,
            ),
        ],
    )


def _latency() -> Row:
    return (
        "Latency",
        [
            graph(
                "Image jobs, admission to last pixel",
                quantiles(f'ancestral_job_seconds_bucket{{{_IMAGE_KINDS}, status="completed"}}', "kind", [0.5, 0.95]),
                "s",
                "Audio streams have precedence; pictures use the remaining sampling time.",
                span=12,
            ),
            graph(
                "Request duration, p95",
                quantiles(f"ancestral_http_request_seconds_bucket{{{_ROUTES}}}", "route", [0.95]),
                "s",
                "Including encoding, to the last byte.",
                span=12,
            ),
        ],
    )


def _traffic_and_errors() -> Row:
    return (
        "Traffic and errors",
        [
            graph(
                "Requests",
                [(rate(f"ancestral_http_requests_total{{{_ROUTES}}}", "route, status"), "{{status}} {{route}}")],
                "reqps",
                "Requests per second, by route and status.",
                span=12,
                stacked=True,
            ),
            graph(
                "Bytes sent",
                [(rate(f"ancestral_sent_bytes_total{{{_ROUTES}}}", "route"), "{{route}}")],
                "Bps",
                "Response bodies and websocket messages.",
                span=12,
                stacked=True,
            ),
        ],
    )


def rows() -> Rows:
    """The rows of the dashboard."""
    return [_throughput(), _latency(), _traffic_and_errors()]
