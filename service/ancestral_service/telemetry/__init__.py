"""Metrics, traces, logs, GPU figures, and what a listener hears."""
