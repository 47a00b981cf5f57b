from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained import trained, windows

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from lts import Architecture, decoder_params
from lts.compress.blocks import Ends
from lts.compress.compression import Compression
from lts.compress.evaluate import evaluate, final_states
from lts.compress.recovery import Recovered, Teaching, recover
from lts.errors import UsageError

TEACHING = Teaching(seconds=2.0, lr=1e-3)


@pytest.fixture(scope="module")
def compression(tmp_path_factory: pytest.TempPathFactory) -> Compression:
    found = Compression(trained(), windows(24), tmp_path_factory.mktemp("recovery"), step_d_ff=16, dtype=torch.float32)
    found.prepare()
    return found


@pytest.fixture(scope="module")
def smaller(compression: Compression) -> Architecture:
    return compression.smaller(int(0.5 * decoder_params(compression.original.architecture)))


def taught(compression: Compression, a: Architecture, folder: Path, teaching: Teaching, **more: object) -> Recovered:
    weights = dict(compression.weights(a))
    return recover(compression.original, a, weights, windows(24), folder, teaching, dtype=torch.float32, **more)


def divergence(compression: Compression, a: Architecture, weights: Mapping[str, Any]) -> float:
    """From the original, on windows that nothing was learned from."""
    whole, held = compression.original, windows(8, 40)
    reference = Ends(whole.architecture, whole.weights), final_states(whole.architecture, whole.weights, held)
    found = evaluate(a, weights, held, reference).divergences
    assert found is not None
    return float(found.mean())


@pytest.mark.parametrize("rank", [None, 4])
def test_it_says_more_of_what_the_original_says(
    tmp_path: Path, compression: Compression, smaller: Architecture, rank: int | None
) -> None:
    if rank is not None:
        pytest.importorskip("peft", reason="peft is not installed")
    before = dict(compression.weights(smaller))
    found = taught(compression, smaller, tmp_path, Teaching(2.0, 1e-3, lora_rank=rank))
    assert found.complete
    assert min(each for _, each in found.curve) < found.curve[0][1]
    assert found.weights.keys() == before.keys()
    assert divergence(compression, smaller, found.weights) < divergence(compression, smaller, before)
    np.testing.assert_array_equal(found.weights["token_embedding.0.weight"], before["token_embedding.0.weight"])
    changed = found.weights["layers.0.query.weight"] - before["layers.0.query.weight"]
    assert np.linalg.matrix_rank(changed) == (min(changed.shape) if rank is None else rank)


def test_what_stops_continues(tmp_path: Path, compression: Compression, smaller: Architecture) -> None:
    steps = []

    def stop() -> bool:
        steps.append(None)
        return len(steps) == 3

    first = taught(compression, smaller, tmp_path, TEACHING, stop=stop)
    assert not first.complete
    second = taught(compression, smaller, tmp_path, TEACHING)
    assert second.complete
    assert second.curve[: len(first.curve)] == first.curve
    again = taught(compression, smaller, tmp_path, TEACHING)
    assert again.curve == second.curve
    for name, each in second.weights.items():
        np.testing.assert_array_equal(again.weights[name], each)


def test_a_damaged_state_begins_anew(tmp_path: Path, compression: Compression, smaller: Architecture) -> None:
    taught(compression, smaller, tmp_path, TEACHING, stop=lambda: True)
    (state,) = tmp_path.glob("recovery-*.pt")
    state.write_bytes(state.read_bytes()[:1000])
    assert taught(compression, smaller, tmp_path, TEACHING).complete


def test_one_window_is_too_few(tmp_path: Path, compression: Compression, smaller: Architecture) -> None:
    with pytest.raises(UsageError, match="needs two windows of text or more, one of them held out; there are 1"):
        recover(compression.original, smaller, compression.weights(smaller), windows(1), tmp_path, TEACHING)
