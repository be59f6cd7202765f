"""Speech: time to first audio, real-time factor, underruns and job outcomes."""

from __future__ import annotations

from deploy.grafana.boards.common import BY_MODEL, FIRST_AUDIO, UNDERRUN_RATIO, Row, Rows
from deploy.grafana.panels import graph, histogram_heatmap, quantiles, rate

_SPEECH_JOBS = 'ancestral_job_seconds_bucket{kind=~"speech|generation", status="completed"}'
_FACTOR = f"ancestral_real_time_factor_bucket{BY_MODEL}"


def _time_to_first_audio() -> Row:
    return (
        "Time to first audio",
        [
            graph(
                "Time to first audio by transport",
                quantiles(FIRST_AUDIO, "transport", [0.5, 0.95, 0.99]),
                "s",
                "HTTP, server-sent events, websocket. On a websocket the clock starts when a sentence is complete.",
                limit=0.5,
                span=12,
            ),
            histogram_heatmap("Time to first audio, distribution", FIRST_AUDIO, "s", "Number of streams per bucket."),
        ],
    )


def _sampling() -> Row:
    return (
        "Sampling",
        [
            graph(
                "Real-time factor",
                quantiles(_FACTOR, "priority", [0.05, 0.5, 0.95]),
                "none",
                "Seconds of audio sampled per second, per stream. Below 1, the listener has to wait.",
            ),
            graph(
                "Audio sampled",
                [(rate(f"ancestral_sound_seconds_total{BY_MODEL}", "model, engine"), "{{model}} {{engine}}")],
                "none",
                "Seconds of audio per second, all streams together.",
                stacked=True,
            ),
            graph(
                "Streams started",
                [(rate(f"ancestral_streams_total{BY_MODEL}", "transport"), "{{transport}}")],
                "ops",
                "Audio streams per second, by transport.",
            ),
        ],
    )


def _underruns() -> Row:
    return (
        "Underruns",
        [
            graph(
                "Streams with underruns",
                [(UNDERRUN_RATIO, "share")],
                "percentunit",
                "Share of the audio streams that started.",
                limit=0.01,
            ),
            graph(
                "Silence from underruns",
                [(rate(f"ancestral_underrun_seconds_total{BY_MODEL}", "transport"), "{{transport}}")],
                "none",
                "Seconds of silence per second, all listeners together.",
            ),
            graph(
                "Sessions resumed",
                [("sum(rate(ancestral_sessions_resumed_total[$__rate_interval]))", "resumed")],
                "ops",
                "Websocket sessions resumed over a new connection.",
            ),
        ],
    )


def _jobs() -> Row:
    return (
        "Jobs",
        [
            graph(
                "Job duration",
                quantiles(_SPEECH_JOBS, "priority", [0.5, 0.95]),
                "s",
                "From admission to the last sample.",
            ),
            graph(
                "Job outcomes",
                [(rate('ancestral_job_seconds_count{kind=~"speech|generation"}', "status"), "{{status}}")],
                "ops",
                "Completed, failed or cancelled (mostly because the client disconnected).",
                stacked=True,
            ),
            graph(
                "Slot release after disconnect",
                quantiles("ancestral_cancel_seconds_bucket", "", [0.5, 0.95]),
                "s",
                "Time that cancelled streams still held their slots.",
            ),
        ],
    )


def rows() -> Rows:
    """The rows of the dashboard."""
    return [_time_to_first_audio(), _sampling(), _underruns(), _jobs()]
