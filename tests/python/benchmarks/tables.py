"""A small complete table, and surrogates of HW-GPT-Bench's form, for tests of benchmarks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import lts
from lts.measure.tables.hwgpt_surrogates import SCALES

# Feed-forward widths are multiples of d_model, as in HW-GPT-Bench: 40 architectures.
SPACE = lts.SearchSpace(
    name="small",
    n_layer=[1, 2],
    d_model=[16, 64],
    n_head=[1, 2],
    d_ff=[32, 64, 128, 256],
    min_ff_ratio=2,
    max_ff_ratio=4,
    vocab_size=50,
)


def values(architecture: lts.Architecture) -> dict[str, float]:
    """Some perplexity, which size makes better, and some latency, which it makes worse."""
    size = lts.decoder_params(architecture)
    heads = sum(np.atleast_1d(architecture.n_head))
    return {"perplexity": 300.0 / np.log(size) + heads, "latency_ms": 1e-3 * size + 0.5 * architecture.n_layer}


def write_table(path: Path, architectures: list[lts.Architecture] | None = None) -> Path:
    """A CSV file of all architectures of the space, or of some."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "perplexity", "latency_ms"])
        for each in architectures or list(SPACE):
            writer.writerow([each.to_json(), *values(each).values()])
    return path


def write_surrogates(folder: Path, scale: str = "s") -> dict[str, object]:
    """Networks of the published form with random weights; the modules of PyTorch that they are of."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    sizes = {f"perplexity_{scale}.pt": SCALES[scale].n_one_hot}
    sizes[f"latencies_median_{scale}_a100.pth"] = SCALES[scale].n_dimensions
    folder.mkdir(exist_ok=True)
    networks = {}
    for name, width in sizes.items():
        layers = {f"fc{i}": torch.nn.Linear(width if i == 1 else 128, 1 if i == 5 else 128) for i in range(1, 6)}
        network = torch.nn.ModuleDict(layers)
        torch.save(network.state_dict(), folder / name)
        networks[name] = network
    return networks
