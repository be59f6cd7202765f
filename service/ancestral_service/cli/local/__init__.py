"""Processes that `ancestral serve` starts beside itself: Valkey and a worker."""
