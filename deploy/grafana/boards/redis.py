"""Redis, which all processes share."""

from __future__ import annotations

from deploy.grafana.boards.common import Row, Rows
from deploy.grafana.panels import graph, quantiles, rate, stat_panel

_TRIPS = "ancestral_redis_round_trip_seconds"
_SCRIPTS = 'operation=~"$operation"'


def _now() -> Row:
    return (
        "Now",
        [
            stat_panel(
                "Redis",
                "min(ancestral_redis_up)",
                "bool_on_off",
                "Whether Redis answers the API.",
                limit=1,
                rising=False,
            ),
            stat_panel("Uptime", "max(ancestral_redis_uptime_seconds)", "s", "Time since Redis started."),
            stat_panel("Ping", "max(ancestral_redis_ping_seconds)", "s", "Round trip at the last scrape.", limit=0.05),
            stat_panel("Memory", "max(ancestral_redis_memory_bytes)", "bytes", "Memory used for data."),
            stat_panel("Keys", "max(ancestral_redis_keys)", "none", "All keys expire."),
            stat_panel(
                "Append-only file",
                "min(ancestral_redis_aof_ok)",
                "bool_on_off",
                "Whether the last write succeeded.",
                limit=1,
                rising=False,
            ),
        ],
    )


def _round_trips() -> Row:
    return (
        "Round trips",
        [
            graph(
                "Scripts, p95",
                quantiles(f"{_TRIPS}_bucket{{{_SCRIPTS}}}", "operation", [0.95]),
                "s",
                "Round trips measured by API processes and workers.",
            ),
            graph(
                "Scripts",
                [(rate(f"{_TRIPS}_count{{{_SCRIPTS}}}", "operation"), "{{operation}}")],
                "ops",
                "Scripts per second.",
                stacked=True,
            ),
            graph(
                "Scripts without a reply",
                [("sum(rate(ancestral_redis_unanswered_total[$__rate_interval]))", "unanswered")],
                "ops",
                "They are retried, or the client gets 503.",
            ),
        ],
    )


def _memory_and_disk() -> Row:
    return (
        "Memory and disk",
        [
            graph(
                "Memory",
                [
                    ("max(ancestral_redis_memory_bytes)", "data"),
                    ("max(ancestral_redis_memory_rss_bytes)", "resident"),
                    ("max(ancestral_redis_memory_limit_bytes)", "limit"),
                ],
                "bytes",
                "Bounded by queue limits and expiry times. A limit of 0 means none.",
            ),
            graph(
                "Keys",
                [
                    ("max(ancestral_redis_keys)", "keys"),
                    ("max(rate(ancestral_redis_evicted_keys_total[$__rate_interval]))", "evicted/s"),
                ],
                "none",
                "Evictions must stay at 0: they lose jobs.",
            ),
            graph(
                "Append-only file",
                [("max(ancestral_redis_aof_bytes)", "size")],
                "bytes",
                "Redis rewrites it when it has doubled.",
            ),
        ],
    )


def _load() -> Row:
    return (
        "Load",
        [
            graph(
                "Commands",
                [("max(rate(ancestral_redis_commands_total[$__rate_interval]))", "commands")],
                "ops",
                "Commands per second.",
            ),
            graph(
                "Network",
                [
                    ("max(rate(ancestral_redis_received_bytes_total[$__rate_interval]))", "in"),
                    ("max(rate(ancestral_redis_sent_bytes_total[$__rate_interval]))", "out"),
                ],
                "Bps",
                "About 16 kB per second of audio in and out, and one snapshot per second.",
            ),
            graph(
                "Connections",
                [
                    ("max(ancestral_redis_clients)", "connections"),
                    ("max(ancestral_redis_blocked_clients)", "blocked"),
                ],
                "none",
                "Blocked connections are waiting on a stream or a queue.",
            ),
        ],
    )


def rows() -> Rows:
    """The rows of the dashboard."""
    return [_now(), _round_trips(), _memory_and_disk(), _load()]
