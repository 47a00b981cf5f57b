"""The same with plain PyTorch: trains an architecture on a text of your own.

python train_pytorch.py ARCHITECTURE.json TEXT --output TRAINED [--minutes 2]

`lts-engine export ARCHITECTURE.json --weights TRAINED` takes the result; in Python, `lts.networks.load_network` reads
it.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from text_ids import bigram_loss, make_tokenizer, read_text, split

import lts
from lts.networks import Network


def batches(ids: np.ndarray, length: int, size: int, seed: int = 0):
    """Random windows of length + 1 tokens, [size, length + 1], for ever."""
    random = np.random.default_rng(seed)
    while True:
        begins = random.integers(len(ids) - length, size=size)
        yield torch.tensor(ids[begins[:, None] + np.arange(length + 1)])


@torch.no_grad()
def evaluate(network: Network, ids: np.ndarray, length: int) -> float:
    """Mean loss of all windows, in nats per token."""
    windows = torch.tensor(ids[: len(ids) // length * length]).view(-1, length)
    return float(np.mean([float(network.loss(window[None])) for window in windows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2)
    given = parser.parse_args()

    architecture = lts.Architecture.from_json(given.architecture.read_text())
    text = read_text(given.text)
    tokenizer = make_tokenizer(text, architecture.vocab_size)
    train, held_out = split(text, tokenizer)

    torch.manual_seed(0)
    network, length = Network(architecture), min(128, architecture.n_positions)
    optimizer = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.95), weight_decay=0.05)
    begin, end = time.monotonic(), time.monotonic() + 60 * given.minutes
    for step, batch in enumerate(batches(train, length, size=8)):
        left = (end - time.monotonic()) / (end - begin)
        if left <= 0:
            break
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min((step + 1) / 50, left)
        loss = network.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}")

    given.output.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), given.output / "model.safetensors")
    tokenizer.save(str(given.output / "tokenizer.json"))
    loss = evaluate(network, held_out, length)
    bigram = bigram_loss(train, held_out, architecture.vocab_size)
    print(f"held-out loss {loss:.3f} nats per token (perplexity {math.exp(loss):.1f}); a bigram model has {bigram:.3f}")


if __name__ == "__main__":
    main()
