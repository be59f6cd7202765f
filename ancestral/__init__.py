"""Autoregressive models that speak and draw."""
