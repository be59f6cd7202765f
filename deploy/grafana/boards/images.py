"""What those who ask for pictures live through."""

from __future__ import annotations

from deploy.grafana.boards.common import OF_MODEL, Rows
from deploy.grafana.panels import graph, quantiles, rate

_DRAWN = 'kind=~"image|completion|interpolation"'


def rows() -> Rows:
    """All of it."""
    routes = 'route=~"/v1/images/.*"'
    return [
        (
            "Made",
            [
                graph(
                    "Pictures",
                    [(rate(f"ancestral_pictures_total{OF_MODEL}", "model"), "{{model}}")],
                    "ops",
                    "Finished, by model.",
                    stacked=True,
                ),
                graph(
                    "Pixels",
                    [(rate(f"ancestral_pixels_total{OF_MODEL}", "model, engine"), "{{model}} {{engine}}")],
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
