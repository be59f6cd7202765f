"""Variables and PromQL that several dashboards share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from grafana_foundation_sdk.cog.builder import Builder

from deploy.grafana.panels import variable

Row = tuple[str, Sequence[Builder[Any]]]
"""A row of a dashboard: its title and its panels."""
Rows = Sequence[Row]

MODEL: Final = variable("model", "Model", "label_values(ancestral_model_workers, model)")
PRIORITY: Final = variable("priority", "Priority", "label_values(ancestral_slots, priority)")
INSTANCE: Final = variable("instance", "Process", 'label_values(ancestral_build_info{role="worker"}, instance)')
OPERATION: Final = variable("operation", "Script", "label_values(ancestral_redis_round_trip_seconds_count, operation)")
ROUTE: Final = variable("route", "Route", "label_values(ancestral_http_requests_total, route)")

FIRST_AUDIO = 'ancestral_first_audio_seconds_bucket{model=~"$model"}'
BY_MODEL = '{model=~"$model"}'
BY_INSTANCE = '{instance=~"$instance"}'
UNDERRUN_RATIO = (
    f"sum(rate(ancestral_underrun_streams_total{BY_MODEL}[$__rate_interval]))"
    f" / sum(rate(ancestral_streams_total{BY_MODEL}[$__rate_interval]))"
)
BUSY_RATIO = (
    "sum by (instance) (rate(ancestral_sampler_busy_seconds_total[$__rate_interval]))"
    " / sum by (instance) (ancestral_sampler_threads)"
)
