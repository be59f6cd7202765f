"""Engines that sample a PixelCNN."""
