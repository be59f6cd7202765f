"""The features of each channel of a pixel, as compiled kernels lay them out: groups of equal size, padded with zeros.

A network divides its features among the channels in equal runs (networks/image.py). So that loops need no table of
runs, every channel has the same number of features here; what a channel may see is then one run from the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ChannelGroups:
    """The groups of pixels with so many channels."""

    channels: int
    multiple: int = 1
    """The number of features of a channel is a multiple of this."""

    def each(self, features: int) -> int:
        """Features of one channel, with the padding."""
        return -(-features // (self.channels * self.multiple)) * self.multiple

    def own(self, features: int, channel: int) -> slice:
        return slice(channel * self.each(features), (channel + 1) * self.each(features))

    def fill(self, array: Array, *axes: int) -> Array:
        """``array`` with the features along these axes padded."""
        for axis in axes:
            features = array.shape[axis]
            index = np.arange(features)
            channel = index * self.channels // features
            place = index - np.searchsorted(channel, channel) + channel * self.each(features)
            shape = list(array.shape)
            shape[axis] = self.channels * self.each(features)
            filled = np.zeros(shape, np.float32)
            np.moveaxis(filled, axis, 0)[place] = np.moveaxis(array, axis, 0)
            array = filled
        return array

    def fill_runs(self, array: Array, runs: int) -> Array:
        """``array`` with the features of its last axis padded, in ``runs`` runs (gates): ``[…, channels, runs, each]``,
        flattened."""
        parted = self.fill(array.reshape(*array.shape[:-1], runs, -1), -1)
        grouped = parted.reshape(*parted.shape[:-1], self.channels, -1).swapaxes(-3, -2)
        return np.ascontiguousarray(grouped).reshape(*array.shape[:-1], -1)
