"""Engines that sample a WaveNet."""
