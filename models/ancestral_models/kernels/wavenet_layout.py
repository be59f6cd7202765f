"""The layout of a WaveNet's weights in the one array that wavenet.c reads.

The order is the order of use, so that a step reads the array from front to back: most of a step's time is spent waiting
for these bytes. The two taps of a layer are adjacent, and so are its residual and skip matrices, which become one
product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ancestral_models.architectures.wavenet import WaveNetSpec
from ancestral_models.arithmetic import product
from ancestral_models.kernels.shared import LEVELS, packed
from ancestral_models.native import INTEGER, Function, aligned, array
from ancestral_models.spec import SYMBOLS

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]

MOST_CHANNELS: Final = 1024
_ROW, _FOUR_LEVELS = 32, 253
_TANH_LIMIT = 3.3
"""Where wavenet.c ends its tanh."""
_MOST = 32767
_LOG2_E = 1.4426950408889634
_LOG_BITS, _OUTPUT_BITS, _MOST_SUM = 12, 11, 2.0**30

_bytes_of_weights = Function("wavenet_bytes", array(np.int32), returns=INTEGER)
_rounded_biases = Function("rounded_biases", array("f4"), array("f4"), array("i4"), INTEGER, INTEGER, array("i4"))


class LayoutError(ValueError):
    """Weights that a kernel has no place for; the message names the tensor or the field."""


def sizes(spec: WaveNetSpec) -> NDArray[np.int32]:
    """Layers, layers in a stack, and the channels of the residual path, the gates, the skips and the head, each padded
    to whole rows."""
    fields = {"residual_channels": 1, "gate_channels": 2, "skip_channels": 1, "head_channels": 1}
    for name, halves in fields.items():
        if getattr(spec, name) > halves * MOST_CHANNELS:
            raise LayoutError(
                f"{name}: at most {halves * MOST_CHANNELS} in the native engine, not {getattr(spec, name)}"
            )
    channels = (spec.residual_channels, spec.hidden_channels, spec.skip_channels, spec.head_channels)
    padded = [-(-count // _ROW) * _ROW for count in channels]
    return np.array([spec.layers, spec.layers // spec.stacks, *padded], np.int32)


class WaveNetLayout:
    """The weights in bytes, and units in which all that they are multiplied with fits into bytes and 16 bits.

    Args:
        spec: of the network; its ``int8_ranges`` give the units.
        tensors: of its checkpoint.

    Raises:
        LayoutError: a tensor has numbers that are too large beside the ranges.
    """

    def __init__(self, spec: WaveNetSpec, tensors: Mapping[str, Array]) -> None:
        self.sizes = sizes(spec)
        layers, _, residual, hidden, skip, head = self.sizes.tolist()
        wide = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
        ranges = np.asarray(spec.int8_ranges, np.float64)
        flows = _filled(ranges[:-2].reshape(layers, -1), layers, residual)
        to_flow = _filled(wide["residual"], layers, hidden, residual)
        to_skip = _filled(wide["skip"], layers, hidden, skip)
        taps = np.concatenate([_gates(wide[name], residual, hidden) for name in ("past", "current")], axis=1)
        bias = _filled(wide["residual_bias"], layers, residual)
        # Sums that go through all layers have one unit in all of them: a level, or what the ranges are 2^22 of.
        most = 2 * flows.max(axis=0) + np.abs(_filled(wide["embedding"], SYMBOLS, residual)).max(axis=0)
        self._unit = np.maximum(_level(to_flow.reshape(-1, residual)) / LEVELS, most / 2**22)
        level = _level(to_skip.reshape(-1, skip)) / LEVELS
        unit = np.maximum(level, max(ranges[-2], 1e-9) / LEVELS)
        skips = _Quantised(level / unit, unit, np.full(skip, 128.0))
        onward = np.concatenate([to_flow / self._unit, to_skip / skips.unit], axis=2) / LEVELS
        symbols = np.rint(_filled(wide["embedding"], SYMBOLS, residual) / self._unit)
        parts: list[Any] = [symbols.astype(np.int32), skips.begin(_filled(wide["skip_bias"], skip))]
        units, halves = [], []
        for layer in range(layers):
            packed, gates = self._gates_of(flows[layer], taps[layer])
            begin = np.clip(np.rint(bias[layer] / self._unit), -_MOST_SUM, _MOST_SUM).astype(np.int32)
            parts += [*packed, begin, *_bytes(onward[layer])]
            units.append(gates.unit)
            halves.append(gates.half)
        parts += _head(wide, unit, skips, np.full(head, max(ranges[-1], 1e-9) / LEVELS))
        blob = np.concatenate([np.ascontiguousarray(part).reshape(-1).view(np.int8) for part in parts])
        assert len(blob) == _bytes_of_weights(self.sizes), "not the layout of wavenet.c"
        self.weights = aligned(blob.view(np.float32)).view(np.int8)
        # The gates' biases of a frame are numbers in the units of the layers' sums.
        inverse = 1 / np.array(units)[:, None]
        condition, own = _gates(wide["gate_condition"], spec.conditioner_channels, hidden), wide["gate_bias"][:, None]
        self.conditions = (
            _conditioning((condition * inverse).astype(np.float32)),
            (_gates(own, 1, hidden) * inverse).astype(np.float32).ravel(),
            np.repeat(np.array(halves, np.int32), 2 * hidden),
        )
        """What :meth:`biases` multiplies h by, what it adds, and halves of what the kernel's shifts divide by."""

    def biases(self, h: Array) -> Any:
        """The gates' biases of every frame ``[F, layers * gates]``, in units of the sums."""
        matrix, bias, halves = self.conditions
        z = product(h, matrix)
        out = np.empty(z.shape, np.int32)
        _rounded_biases(z, bias, halves, *z.shape, out)
        return out

    def _gates_of(self, flow: Doubles, taps: Doubles) -> tuple[list[Any], _Quantised]:
        """What a layer needs up to its gates, and how the gates' sums are quantised."""
        hidden = taps.shape[1] // 2
        balanced, unit = _balanced(np.tile(flow, 2), taps), np.tile(self._unit, 2)
        inputs = _Quantised(unit / balanced, balanced, np.full(len(taps), 128.0))
        matrix = taps * (unit * balanced / inputs.unit)[:, None]
        z_unit = np.repeat([_TANH_LIMIT / 8192, 2 * _TANH_LIMIT / 8192], hidden)
        coarser = max(0, _exponent((_level(matrix) / z_unit).max() * 1.0001))
        if coarser > 10:
            raise LayoutError("embedding, residual, past, current: too large beside int8_ranges for int8")
        z_unit *= 2.0**coarser
        gates = _Quantised(_level(matrix) / z_unit, z_unit, np.full(2 * hidden, 8192.0 / 2**coarser))
        shifts = np.zeros(16, np.int32)
        shifts[:3] = inputs.shift, gates.shift, coarser
        return [shifts, inputs.scale, gates.scale, *_bytes(matrix / gates.unit)], gates


def _head(wide: Mapping[str, Doubles], skip_unit: Doubles, skips: _Quantised, unit: Doubles) -> list[Any]:
    """What the head has in memory.

    Args:
        wide: the tensors.
        skip_unit: of the bytes that it is given ``[skip]``.
        skips: how they come from the sums of the skips.
        unit: of the bytes between its two matrices ``[head]``.
    """
    matrix = _filled(wide["head"], len(skip_unit), len(unit)) * skip_unit[:, None]
    unit = np.full(len(unit), max(unit[0], _level(matrix).max()))
    inner = _Quantised(_level(matrix) / unit, unit, np.full(len(unit), 128.0))
    packed = [inner.begin(_filled(wide["head_bias"], len(unit))), *_bytes(matrix / inner.unit)]
    # Logits are multiples of 2^-12 of log2, by multipliers of 11 bits of the sums, which lose ``before`` bits.
    matrix, bias = _filled(wide["output"], len(unit), SYMBOLS) * unit[0], wide["output_bias"]
    level, log2 = _level(matrix), _LOG2_E * 2**_LOG_BITS
    level = np.maximum(level, level.max() / 16)
    most = ((np.abs(matrix).sum(axis=0) * LEVELS + np.abs(bias)) / level).max()
    before = max(2, _exponent(most * 2**_OUTPUT_BITS / _MOST_SUM))
    after = -_exponent((level * log2 * 2.0**before).max() / (2**_OUTPUT_BITS - 1))
    if after < 0 or most > _MOST_SUM:
        raise LayoutError("skip, head, output, output_bias: too large beside int8_ranges for int8")
    factor = log2 * 2.0 ** (before + min(after, 30))
    scale = np.ceil(level * factor)
    begin = np.rint(bias * factor / scale) + (1 << before >> 1)
    shifts = np.zeros(16, np.int32)
    shifts[:4] = skips.shift, inner.shift, before, min(after, 30)
    packed = [shifts, skips.scale, inner.scale, *packed, begin.astype(np.int32), scale.astype(np.int32)]
    return [*packed, *_bytes(matrix * factor / scale)]


class _Quantised:
    """What makes 16-bit numbers of sums: ``(sum >> shift) * scale / 2^15``.

    Args:
        step: what a sum counts ``[outputs]``, in units of the result; it may become larger, up to 1.
        unit: of the results ``[outputs]``.
        most: what the results must reach ``[outputs]``.
    """

    def __init__(self, step: Doubles, unit: Doubles, most: Doubles) -> None:
        largest = 16 * most.max() if most.max() <= 128 else _MOST  # a level of bytes should be many numbers
        self.shift = min(max(-_exponent(step.max() * 32768 / largest), 0), 15)
        step = np.maximum(step, np.minimum(most, _MOST) / 32768 / 2**self.shift)
        scale = np.clip(np.ceil(step * 2.0**self.shift * 32768), 1, _MOST)
        self.scale, self.unit = scale.astype(np.int16), scale / 32768 / 2.0**self.shift * unit

    def begin(self, bias: Doubles) -> NDArray[np.int32]:
        """What the sums begin with: the bias, and half of what the shift divides by."""
        numbers = np.clip(np.rint(bias / self.unit), -_MOST_SUM, _MOST_SUM)
        return numbers.astype(np.int32) + self.half

    @property
    def half(self) -> int:
        """Half of what the shift divides by, so that it rounds."""
        return 1 << self.shift >> 1


def _level(matrix: Doubles) -> Doubles:
    """The smallest level of each output ``[outputs]``: 127 reach all weights, and 253 each four that vectors.h adds in
    16 bits."""
    sizes = np.abs(matrix)
    return np.asarray(np.maximum(sizes.max(axis=0) / LEVELS, _fours(sizes).max(axis=0) / _FOUR_LEVELS) + 1e-12)


def _fours(sizes: NDArray[Any]) -> NDArray[Any]:
    """The sums of inputs 8 k + (0, 1, 4, 5) and 8 k + (2, 3, 6, 7)."""
    fours: NDArray[Any] = sizes.reshape(-1, 2, 2, 2, len(sizes.T)).sum(axis=(1, 3))
    return fours.reshape(-1, len(sizes.T))


def _bytes(matrix: Doubles) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """A matrix in levels as :func:`packed` has it."""
    whole = np.clip(np.rint(matrix), -LEVELS, LEVELS).astype(np.int32)
    assert _fours(np.abs(whole)).max() <= _FOUR_LEVELS + 2, "not PAIRED, see vectors.h"
    return packed(whole)


def _exponent(x: float) -> int:
    """The smallest n with x <= 2^n."""
    mantissa, exponent = math.frexp(x)
    return exponent - (mantissa == 0.5)


def _balanced(ranges: Doubles, matrix: Doubles) -> Doubles:
    """The units of the inputs of a matrix ``[inputs, outputs]``, so that inputs and weights lose alike when they are
    rounded (SmoothQuant, Xiao et al. 2022, with alpha 0.5)."""
    share = np.sqrt(np.maximum(ranges, 1e-4) / np.maximum(np.abs(matrix).max(axis=1), 1e-4))
    return np.asarray(share * ((ranges / share).max() / LEVELS) + 1e-12)


def _gates(tensor: Doubles, inputs: int, hidden: int) -> Doubles:
    """``[layers, inputs, 2 * hidden]``, each half of the gates padded by itself."""
    halves = np.split(tensor, 2, axis=2)
    return np.concatenate([_filled(half, len(tensor), inputs, hidden) for half in halves], axis=2)


def _conditioning(tensor: Array) -> Array:
    """``[layers, width, gates]`` as one matrix ``[width, layers * gates]``."""
    return np.ascontiguousarray(tensor.transpose(1, 0, 2).reshape(tensor.shape[1], -1))


def _filled(tensor: Any, *shape: int) -> Any:
    """The tensor, padded with zeros to ``shape``."""
    return np.pad(tensor, [(0, size - had) for size, had in zip(shape, tensor.shape, strict=True)])
