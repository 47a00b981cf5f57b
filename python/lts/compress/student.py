"""A sub-network that learns: all weights of its layers, or adapters of low rank beside them (LoRA, by peft)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError
from lts.networks.network import Network

import torch  # isort: skip  # after lts.networks, which says what to install where it is absent
from torch import Tensor, nn

if TYPE_CHECKING:
    from lts.export.encodings import Array


def check_teaching(device: str = "cpu", lora_rank: int | None = None) -> None:
    """Raise `UsageError`, before minutes of work, for a device that PyTorch does not have, or where peft is absent."""
    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    if device not in there:
        raise UsageError(f"PyTorch has no device '{device}' here for recovery; there is {', '.join(there)}")
    if lora_rank is not None and find_spec("peft") is None:
        raise UsageError("recovery with LoRA needs the package peft: pip install peft; or leave out the rank")


class Student(Network):
    """A network of which the layers learn, and the embedding and the output stay as they are.

    Parameters
    ----------
    architecture, source
        As for `lts.networks.Network`.
    lora_rank
        Rank of adapters, which are then what learns (Hu et al. 2022); None for none.
    """

    def __init__(self, architecture: Architecture, source: Mapping[str, Any], lora_rank: int | None = None) -> None:
        super().__init__(architecture, source)
        for name, parameter in self.by_name.items():
            parameter.requires_grad_(lora_rank is None and not name.startswith(("token_", "position_", "head")))
        self.adapted: nn.Module | None = None
        if lora_rank is not None:
            self.adapted = _adapted(self, lora_rank)

    def linear(self, x: Tensor, name: str) -> Tensor:
        if self.adapted is None:
            return super().linear(x, name)
        y: Tensor = getattr(self.adapted, name.replace(".", "/"))(x)
        return y

    def learned(self) -> dict[str, Tensor]:
        """What learns, by name."""
        return {name: each for name, each in self.named_parameters() if each.requires_grad}

    @torch.no_grad()
    def learn(self, values: Mapping[str, Tensor]) -> None:
        """Set what learns."""
        for name, each in self.learned().items():
            each.copy_(values[name])

    def weights(self, learned: Mapping[str, Tensor]) -> dict[str, Array]:
        """All weights by the names of the inventory, with these values of what learns."""
        before = {name: each.detach().clone() for name, each in self.learned().items()}
        self.learn(learned)
        found = {name: np.array(each.detach().cpu().float().numpy()) for name, each in self.by_name.items()}
        if self.adapted is not None:
            for slashed, layer in self.adapted.named_children():
                delta = layer.get_delta_weight("default").detach().cpu().float()  # type: ignore[operator]
                found[slashed.replace("/", ".") + ".weight"] += delta.numpy().T
        self.learn(before)
        return found


def _adapted(network: Network, rank: int) -> nn.Module:
    """The projections of the layers as modules of peft, with adapters; they share the weights of the network."""
    check_teaching(lora_rank=rank)
    from peft import LoraConfig, inject_adapter_in_model

    holder = nn.Module()
    for name, parameter in network.by_name.items():
        if not name.startswith("layers.") or parameter.ndim != 2:
            continue
        projection = name.removesuffix(".weight")
        module = nn.Linear(parameter.shape[0], parameter.shape[1], bias=False)
        module.weight = nn.Parameter(parameter.data.T, requires_grad=False)
        if (bias := network.by_name.get(f"{projection}.bias")) is not None:
            module.bias = nn.Parameter(bias.data, requires_grad=False)
        setattr(holder, projection.replace(".", "/"), module)
    targets = [name for name, _ in holder.named_children()]
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets)
    found: nn.Module = inject_adapter_in_model(config, holder)
    return found
