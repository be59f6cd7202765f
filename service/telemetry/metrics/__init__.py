"""What Prometheus is told. The only room that knows its client.

An API process tells what clients live through, and what only Redis knows: queues, workers, Redis itself. A worker tells
what sampling costs. Both tell how soon Redis answers, and what they use of the machine. Every label has few values, all
known beforehand or chosen by whoever runs the service: routes, never paths; models, never texts, jobs or keys.
"""

from __future__ import annotations

from service.telemetry.metrics.api import ApiMetrics, Shared, Transport
from service.telemetry.metrics.base import CONTENT_TYPE
from service.telemetry.metrics.worker import WorkerMetrics, Workload

__all__ = ["CONTENT_TYPE", "ApiMetrics", "Shared", "Transport", "WorkerMetrics", "Workload"]
