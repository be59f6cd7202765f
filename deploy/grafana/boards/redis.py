"""The one thing that all share."""

from __future__ import annotations

from deploy.grafana.boards.common import Rows
from deploy.grafana.panels import figure, graph, quantiles, rate


def rows() -> Rows:
    """All of it."""
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
