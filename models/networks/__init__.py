"""The networks in torch: what is trained, and the oracle of every engine."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ancestral.models.architectures import architecture, load_object
from ancestral.models.checkpoint import Checkpoint
from ancestral.models.spec import LABEL_ROWS, Spec
from ancestral.models.tensors import Tensor


def build_network(spec: Spec) -> nn.Module:
    """The network that a spec describes, with random initial weights."""
    path = architecture(spec.kind).network
    assert path is not None, f"{spec.kind}: fitted, not trained"
    network: nn.Module = load_object(path)(spec)
    return network


def load_network(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The network of a checkpoint, for inference."""
    with torch.device("meta"):
        network = build_network(checkpoint.spec)
    tensors = {name: torch.tensor(tensor) for name, tensor in checkpoint.tensors.items() if name != LABEL_ROWS}
    network.load_state_dict(tensors, assign=True)
    return network.to(dtype).eval().requires_grad_(False)


# Parameters of a network, made from its tensor table (models/tensors.py).


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
