"""The networks in torch: what is trained, and the oracle of every engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from ancestral_models.architectures import architecture, load_object
from ancestral_models.checkpoint import Checkpoint
from ancestral_models.spec import LABEL_ROWS, Spec
from ancestral_models.tensors import Tensor


class Network(nn.Module):
    """A module whose parameters are made from tensor tables (ancestral_models/tensors.py), and have the names of these.

    Args:
        table: of the parameters that are made before all others; None makes none.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> torch.Tensor: ...

    def __init__(self, table: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.add_parameters(table or {})

    def add_parameters(self, table: Mapping[str, Tensor]) -> None:
        """Add one parameter for each tensor, with random initial values from torch's generator.

        Args:
            table: by the names of the parameters, which are new.
        """
        for name, tensor in table.items():
            values = torch.full(tensor.shape, tensor.mean)
            if tensor.std:
                values = values + tensor.std * torch.randn(tensor.shape)
            self.register_parameter(name, nn.Parameter(values))


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
