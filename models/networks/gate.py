"""The gated activation unit z = tanh(a) * sigmoid(b) of WaveNet (section 2.3) with its conditioning bias, fused.

Half of the time of a plain CPU training step goes into the gate's element-wise passes, so on a CPU it runs as two
loops in C (one forward, one backward). Everywhere else the same formula is written in torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ancestral.models.native import INTEGER, Function, array

_FLOATS = array("f4")
_FORWARD = Function("gate_forward", _FLOATS, _FLOATS, INTEGER, INTEGER, INTEGER, _FLOATS, _FLOATS)
_BACKWARD = Function("gate_backward", _FLOATS, _FLOATS, INTEGER, INTEGER, INTEGER, _FLOATS, _FLOATS)


class _FusedGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, bias: Tensor, hop: int) -> Tensor:
        z = z.contiguous()
        activation, gated = torch.empty_like(z), z.new_empty(z.shape[0], z.shape[1] // 2)
        _FORWARD(z.numpy(), bias.numpy(), *gated.shape, hop, activation.numpy(), gated.numpy())
        ctx.save_for_backward(activation)
        ctx.hop, ctx.bias_shape = hop, bias.shape
        return gated

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        (activation,) = ctx.saved_tensors
        grad_z = torch.empty_like(activation)
        grad_bias = activation.new_empty(ctx.bias_shape)
        grad = grads[0].contiguous()
        _BACKWARD(activation.numpy(), grad.numpy(), *grad.shape, ctx.hop, grad_z.numpy(), grad_bias.numpy())
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
