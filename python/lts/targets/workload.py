"""What a model is run with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lts._core import Architecture


@dataclass(frozen=True)
class Workload:
    """What a model is run with.

    Parameters
    ----------
    phase
        ``prefill`` or ``decode``.
    dims
        Size of every symbolic dimension of the model's inputs by its name.
    vocab_size
        Token ids are below this.
    """

    phase: str
    dims: Mapping[str, int]
    vocab_size: int

    @staticmethod
    def of(architecture: Architecture, phase: str, n_prompt: int) -> Workload:
        """The prompt pass over `n_prompt` tokens, or the decode step after `n_prompt` tokens, at batch 1."""
        n = n_prompt
        if phase == "prefill":
            dims = {"batch": 1, "sequence": n, "past": 0, "memory": 0, "total": n}
        else:
            dims = {"batch": 1, "sequence": 1, "past": n, "memory": n, "total": n + 1}
        return Workload(phase, dims, architecture.vocab_size)
