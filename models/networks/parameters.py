"""Parameters of a network, made from its tensor table (models/tensors.py)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ancestral.models.tensors import Tensor


def add_parameters(module: nn.Module, table: Mapping[str, Tensor]) -> None:
    """Give a module one parameter for each tensor, with random initial values from torch's generator.

    Args:
        module: without parameters of these names.
        table: by the names of the parameters within the module.
    """
    for name, tensor in table.items():
        values = torch.full(tensor.shape, tensor.mean)
        if tensor.std:
            values = values + tensor.std * torch.randn(tensor.shape)
        module.register_parameter(name, nn.Parameter(values))
