"""What several dashboards ask for, and what is chosen at the top of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.cog.builder import Builder

from deploy.grafana.panels import choice

Rows = Sequence[tuple[str, Sequence[Builder[Any]]]]
"""Of a dashboard: a title, and the panels below it."""

MODEL: Final = choice("model", "Model", "label_values(ancestral_model_workers, model)")
LANE: Final = choice("priority", "Priority", "label_values(ancestral_slots, priority)")
INSTANCE: Final = choice("instance", "Process", 'label_values(ancestral_build_info{role="worker"}, instance)')
OPERATION: Final = choice("operation", "Script", "label_values(ancestral_redis_round_trip_seconds_count, operation)")
ROUTE: Final = choice("route", "Route", "label_values(ancestral_http_requests_total, route)")

FIRST = 'ancestral_first_audio_seconds_bucket{model=~"$model"}'
OF_MODEL = '{model=~"$model"}'
HERE = '{instance=~"$instance"}'
SHARE_SILENT = (
    f"sum(rate(ancestral_underrun_streams_total{OF_MODEL}[$__rate_interval]))"
    f" / sum(rate(ancestral_streams_total{OF_MODEL}[$__rate_interval]))"
)
BUSY = (
    "sum by (instance) (rate(ancestral_sampler_busy_seconds_total[$__rate_interval]))"
    " / sum by (instance) (ancestral_sampler_threads)"
)
