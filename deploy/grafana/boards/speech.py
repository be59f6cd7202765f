"""What listeners live through."""

from __future__ import annotations

from deploy.grafana.boards.common import FIRST, OF_MODEL, SHARE_SILENT, Rows
from deploy.grafana.panels import graph, quantiles, rate, spread


def rows() -> Rows:
    """All of it."""
    of_speech = 'ancestral_job_seconds_bucket{kind=~"speech|generation", status="completed"}'
    factor = f"ancestral_real_time_factor_bucket{OF_MODEL}"
    return [
        (
            "First audio",
            [
                graph(
                    "First audio by road",
                    quantiles(FIRST, "road", [0.5, 0.95, 0.99]),
                    "s",
                    "HTTP, events and websockets; a websocket's clock starts when a sentence is complete.",
                    limit=0.5,
                    span=12,
                ),
                spread("First audio, spread", FIRST, "s", "How many streams had their first sound when."),
            ],
        ),
        (
            "Sound",
            [
                graph(
                    "Real-time factor",
                    quantiles(factor, "priority", [0.05, 0.5, 0.95]),
                    "none",
                    "Seconds of sound made a second, per stream; where p5 is below 1, listeners wait.",
                ),
                graph(
                    "Sound made",
                    [(rate(f"ancestral_sound_seconds_total{OF_MODEL}", "model, engine"), "{{model}} {{engine}}")],
                    "none",
                    "Seconds of sound a second, of all streams together.",
                    stacked=True,
                ),
                graph(
                    "Streams begun",
                    [(rate(f"ancestral_streams_total{OF_MODEL}", "road"), "{{road}}")],
                    "ops",
                    "By road.",
                ),
            ],
        ),
        (
            "Silence",
            [
                graph(
                    "Streams that fell silent", [(SHARE_SILENT, "share")], "percentunit", "Of those begun.", limit=0.01
                ),
                graph(
                    "Silence",
                    [(rate(f"ancestral_underrun_seconds_total{OF_MODEL}", "road"), "{{road}}")],
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
                    quantiles(of_speech, "priority", [0.5, 0.95]),
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
