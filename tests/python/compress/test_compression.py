from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from trained import trained, windows

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from lts import Architecture, LossTable, decoder_params
from lts.compress.compression import Compression
from lts.compress.evaluate import evaluate
from lts.compress.methods import METHODS
from lts.compress.slicing import with_levels
from lts.compress.zeros import Zeroed
from lts.errors import InfeasibleError, UsageError
from lts.networks.network import Network


@pytest.fixture(scope="module", params=["llama", "gpt2", "gpt_neox"])
def compression(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compression:
    folder = tmp_path_factory.mktemp(request.param)
    found = Compression(trained(request.param), windows(24), folder, step_d_ff=16, dtype=torch.float32)
    found.prepare()
    return found


def some(compression: Compression, seed: int) -> Architecture:
    """A random sub-network; about one part in six is gone."""
    draw = random.Random(seed)
    levels = [compression.levels(layer) for layer in range(3)]
    heads = [draw.choice([*all_heads, (0, 0)]) for all_heads, _ in levels]
    return with_levels(compression.original.architecture, heads, [draw.choice(widths) for _, widths in levels])


def test_the_whole_is_the_original(compression: Compression) -> None:
    original = compression.original
    found = compression.weights(original.architecture)
    ids = torch.from_numpy(windows(4, 40))
    with torch.no_grad():
        wanted = Network(original.architecture, original.weights)(ids)
        torch.testing.assert_close(Network(original.architecture, found)(ids), wanted, rtol=0, atol=1e-6)
    assert compression.predicted_loss(original.architecture) == 0.0


@pytest.mark.parametrize("seed", range(6))
def test_sliced_is_masked(compression: Compression, seed: int) -> None:
    original, a = compression.original, some(compression, seed)
    sliced, kept = compression.weights(a), compression.kept(a)
    masked = {name: np.array(each) for name, each in original.weights.items()}
    for layer, each in enumerate(kept):
        for name, rows in (
            ("attention_output", [16 * head + i for head in each["heads"] for i in range(16)]),
            ("down", each["channels"]),
        ):
            whole = masked[f"layers.{layer}.{name}.weight"]
            whole[:] = 0.0
            if rows:
                whole[rows] = sliced[f"layers.{layer}.{name}.weight"]
            elif f"layers.{layer}.{name}.bias" in masked:  # goes with its part
                masked[f"layers.{layer}.{name}.bias"][:] = 0.0
    ids = torch.from_numpy(windows(4, 40))
    with torch.no_grad():
        wanted = Network(original.architecture, masked)(ids)
        found = Network(a, dict(sliced))(ids)
        zeroed = Network(original.architecture, dict(Zeroed(original.architecture, sliced, kept)))(ids)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(zeroed, wanted, rtol=0, atol=1e-5)


def test_layer_by_layer_is_the_network(compression: Compression) -> None:
    a = some(compression, 11)
    weights = dict(compression.weights(a))
    held = windows(4, 40)
    found = evaluate(a, weights, held)
    network = Network(a, weights)
    with torch.no_grad():
        wanted = [float(network.loss(torch.from_numpy(each[None]))) for each in held]
    np.testing.assert_allclose(found.losses, wanted, atol=1e-5)


def test_least_squares_lose_less(compression: Compression) -> None:
    original = compression.original
    a = compression.smaller(int(0.7 * decoder_params(original.architecture)))
    rows = {name: np.array(each) for name, each in compression.weights(a).items()}
    plain = dict(rows)
    for layer, kept in enumerate(compression.kept(a)):
        heads = [16 * head + i for head in kept["heads"] for i in range(16)]
        for name, chosen in (("attention_output", heads), ("down", kept["channels"])):
            if chosen:
                plain[f"layers.{layer}.{name}.weight"] = original.weights[f"layers.{layer}.{name}.weight"][chosen]
    held = windows(8, 40)
    assert evaluate(a, rows, held).losses.mean() < evaluate(a, plain, held).losses.mean()


def test_a_second_call_reads_what_the_first_found(compression: Compression) -> None:
    def nothing(_: object) -> None:
        raise AssertionError("it was found out again")

    again = Compression(
        compression.original,
        compression.windows,
        compression.folder,
        step_d_ff=16,
        dtype=torch.float32,
        observe=nothing,
    )
    again.prepare()
    assert again.table.to_json() == compression.table.to_json()


def test_what_stops_continues(tmp_path: Path, compression: Compression) -> None:
    class StoppedError(Exception):
        pass

    calls = []

    def stop(work: object) -> None:
        calls.append(work)
        if len(calls) in (2, 5, 8, 11, 13):
            raise StoppedError

    for _ in range(6):
        found = Compression(
            compression.original, compression.windows, tmp_path, step_d_ff=16, dtype=torch.float32, observe=stop
        )
        try:
            found.prepare()
            break
        except StoppedError:
            continue
    assert len(calls) > 13
    assert found.table.to_json() == compression.table.to_json()
    assert not [
        *tmp_path.rglob("states-*"),
        *tmp_path.rglob("all-*"),
        *tmp_path.rglob("gradients-*"),
        *tmp_path.rglob("variants-*"),
    ]


def test_the_table_sums_up(compression: Compression) -> None:
    table = json.loads(compression.table.to_json())
    attention = {(row["layer"], row["n_head"], row["n_kv_head"]): row["loss"] for row in table["attention"]}
    feed_forward = {(row["layer"], row["d_ff"]): row["loss"] for row in table["feed_forward"]}
    for seed in range(20):
        a = some(compression, seed)
        wanted = sum(
            attention[layer, a.n_head[layer], a.n_kv_head[layer]] + feed_forward[layer, a.d_ff[layer]]
            for layer in range(3)
        )
        assert compression.predicted_loss(a) == pytest.approx(wanted)


def test_the_core_reads_the_table_and_the_space(compression: Compression) -> None:
    table = LossTable.from_json(compression.table.to_json())
    space = compression.space
    assert space.contains(compression.original.architecture)
    drawn = space.sample(1000, seed=1)
    wanted = [compression.predicted_loss(a) for a in drawn]
    np.testing.assert_allclose(table.predict(drawn), wanted, rtol=1e-12, atol=1e-15)


def test_nothing_sampled_is_better_than_the_allocation(compression: Compression) -> None:
    for seed in range(50):
        other = some(compression, seed)
        best = compression.smaller(decoder_params(other))
        assert decoder_params(best) <= decoder_params(other)
        assert compression.predicted_loss(best) <= compression.predicted_loss(other) + 1e-12


def test_a_size_that_no_sub_network_has(compression: Compression) -> None:
    with pytest.raises(InfeasibleError, match=r"the smallest sub-network has .* decoder parameters; at most 1 "):
        compression.smaller(1)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "ours"])
def test_baselines(compression: Compression, method: str) -> None:
    original = compression.original
    found = Compression(
        original, compression.windows, compression.folder, method=method, step_d_ff=16, dtype=torch.float32
    )
    found.prepare()
    bound = int(0.8 * decoder_params(original.architecture))
    a = found.smaller(bound)
    assert decoder_params(a) <= bound + 3 * 3 * 96  # biases come on top
    assert found.space.contains(a)
    assert np.isfinite(evaluate(a, found.weights(a), windows(2, 40)).losses).all()


def test_a_folder_of_something_else(compression: Compression) -> None:
    with pytest.raises(UsageError, match="is of another model or text; choose another folder"):
        Compression(compression.original, windows(4), compression.folder, dtype=torch.float32).prepare()


def test_a_method_that_does_not_exist(tmp_path: Path, compression: Compression) -> None:
    with pytest.raises(UsageError, match=r"unknown method 'flab'; expected ours, flap, .*; did you mean 'flap'"):
        Compression(compression.original, windows(4), tmp_path, method="flab")
