"""Prometheus metrics. The only package that imports the Prometheus client.

An API process exports what clients experience, and the state that all processes share through Redis: queues, workers
and Redis itself. A worker exports the cost of sampling. Both export Redis latency and their own resource usage. Label
values are few and are set by the code or by the operator, never by clients: route templates and not paths, models, but
no texts, jobs or keys.
"""

from __future__ import annotations

from ancestral.service.telemetry.metrics.api import ApiMetrics, Shared, Transport
from ancestral.service.telemetry.metrics.base import CONTENT_TYPE
from ancestral.service.telemetry.metrics.worker import WorkerMetrics, Workload

__all__ = ["CONTENT_TYPE", "ApiMetrics", "Shared", "Transport", "WorkerMetrics", "Workload"]
