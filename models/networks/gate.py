"""The gated activation unit z = tanh(a) * sigmoid(b) of WaveNet (section 2.3) with its conditioning bias, fused.

Half of the time of a plain CPU training step goes into the gate's element-wise passes, so on a CPU it runs as two
numba loops (one forward, one backward). Everywhere else the same formula is written in torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ancestral.models.portable import tanh

_HALF = np.float32(0.5)
_ONE = np.float32(1.0)


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _forward(z, bias, hop, activation, gated):  # type: ignore[no-untyped-def]  # numba infers the types
    half = z.shape[1] // 2
    for n in range(z.shape[0]):
        frame = n // hop
        for j in range(half):
            a = tanh(z[n, j] + bias[frame, j])
            b = _HALF * tanh(_HALF * (z[n, j + half] + bias[frame, j + half])) + _HALF
            activation[n, j] = a
            activation[n, j + half] = b
            gated[n, j] = a * b


@njit(cache=True, fastmath=True, error_model="numpy", boundscheck=False, nogil=True)
def _backward(activation, grad, hop, grad_z, grad_bias):  # type: ignore[no-untyped-def]  # numba infers the types
    half = grad.shape[1]
    grad_bias[:] = 0
    for n in range(activation.shape[0]):
        frame = n // hop
        for j in range(half):
            a, b, g = activation[n, j], activation[n, j + half], grad[n, j]
            into_a = g * b * (_ONE - a * a)
            into_b = g * a * b * (_ONE - b)
            grad_z[n, j] = into_a
            grad_z[n, j + half] = into_b
            grad_bias[frame, j] += into_a
            grad_bias[frame, j + half] += into_b


class _FusedGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, bias: Tensor, hop: int) -> Tensor:
        activation = torch.empty_like(z)
        gated = z.new_empty(z.shape[0], z.shape[1] // 2)
        _forward(z.numpy(), bias.numpy(), hop, activation.numpy(), gated.numpy())
        ctx.save_for_backward(activation)
        ctx.hop, ctx.bias_shape = hop, bias.shape
        return gated

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (activation,) = ctx.saved_tensors
        grad_z = torch.empty_like(activation)
        grad_bias = activation.new_empty(ctx.bias_shape)
        _backward(activation.numpy(), grads[0].contiguous().numpy(), ctx.hop, grad_z.numpy(), grad_bias.numpy())
        return grad_z, grad_bias, None


def gate(z: Tensor, bias: Tensor, hop: int) -> Tensor:
    """tanh(a) * sigmoid(b), where [a, b] = z + the bias of the frame each row belongs to.

    Args:
        z: ``[N, gate_channels]``, both halves together.
        bias: ``float32 [N / hop, gate_channels]``; row n of ``z`` takes row n // hop.
        hop: rows per frame.

    Returns:
        ``[N, gate_channels / 2]`` in the type of ``z``.
    """
    if z.device.type == "cpu" and z.dtype != torch.float64:
        gated: Tensor = _FusedGate.apply(z.float(), bias.float().contiguous(), hop)  # type: ignore[no-untyped-call]
        return gated.to(z.dtype)
    summed = z.view(-1, hop, z.shape[1]) + bias.to(z.dtype)[:, None]
    a, b = summed.view(z.shape).chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)
