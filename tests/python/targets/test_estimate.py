"""Estimates against hand calculation, the core's counts, published measurements, and what must never be cheaper."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from estimate_fit import TERMS, amounts, fit, read_table, spearman
from hypothesis import given
from hypothesis import strategies as st

import lts
from lts import Architecture
from lts.errors import UsageError
from lts.spaces.space import load_space
from lts.targets.assumptions import Assumptions, Published
from lts.targets.estimate.costs import ESTIMATED_COLUMNS, check, columns, estimate, parts
from lts.targets.estimate.operations import Operation, Shape, around_layers, attention, feed_forward
from lts.targets.target import Target, load_target, target_names
from lts.targets.workload import Workload

SPACES = (
    "gpt2-tiny",
    "gpt2-small",
    "gpt2-any-shapes",
    "gpt2-lts",
    "hw-gpt-tiny",
    "llama-tiny",
    "llama-edge",
    "transformer-xl-tiny",
    "transformer-xl-lts",
)

# 1 GFLOP/s and 1 GiB/s; half of the peak; a microsecond per operator.
SIMPLE = Target(
    "simple",
    "aarch64-linux-gnu",
    "cortex-a72",
    cores=4,
    frequency_mhz=500,
    flops_per_cycle=4,
    bandwidth_gib_s=1.0,
    estimate=Assumptions(efficiency=0.5, operator_us=1.0),
)
UNIT = Published("s", "r", "gpt2", 4, 1, 9, 0.02, 0.05, 100.0, 50.0, 20.0, 10.0, 5.0)


def prompt_of(n: int) -> Workload:
    """A prompt pass, and one decode step after it, with logits everywhere as in what was published."""
    return Workload(n, n_gen=2, logits="all")


def operations(a: Architecture, new: int, total: int, heads: int | None = None, batch: int = 1) -> Iterator[Operation]:
    shape = Shape(a.traits, a.d_model, new, total, batch, new if heads is None else heads)
    for n_head, n_kv_head, head_dim, d_ff in zip(a.n_head, a.n_kv_head, a.head_dims, a.d_ff, strict=True):
        yield from attention(shape, n_head, n_kv_head, head_dim)
        yield from feed_forward(shape, d_ff)
    cutoffs = tuple(a.clean_cutoffs) if a.adaptive else ()
    yield from around_layers(shape, a.vocab_size, a.embedding_width, a.adaptive, a.div_val, cutoffs)


def ms(flops: float, elements: float) -> float:
    """Time of one operator on `SIMPLE`."""
    return max(flops / 1e6, elements * 4 / (2**30 / 1e3)) + 1e-3


def test_a_tiny_model_by_hand() -> None:
    n, d, f, v, h = 4, 8, 16, 32, 2
    a = Architecture("gpt2", v, n, d, n_head=h, d_ff=f, n_layer=1)
    attend = (
        ms(8 * n * d, 2 * n * d)  # norm
        + ms(2 * n * d * 3 * d, 3 * d * d + n * d + n * 3 * d)  # query, key, value
        + ms(0, 4 * n * d)  # keys and values, read and written
        + ms(2 * n * n * d, 2 * n * d + n * n * h)  # scores
        + ms(16 * n * n * h, 2 * n * n * h)  # softmax
        + ms(2 * n * n * d, n * n * h + 2 * n * d)  # context
        + ms(2 * n * d * d + n * d, d * d + 3 * n * d)  # output, added to the residual
    )
    feed = (
        ms(8 * n * d, 2 * n * d)
        + ms(2 * n * d * f + 16 * n * f, d * f + n * d + n * f)
        + ms(2 * n * f * d + n * d, f * d + n * f + 2 * n * d)
    )
    outside = (
        ms(n * d, 2 * n * d) + ms(8 * n * d, 2 * n * d) + ms(2 * n * d * v, d * v + n * d + n * v)
    )  # embedding, final norm, logits
    found = estimate(a, SIMPLE, prompt_of(n))
    assert found.values["latency_ms"] == pytest.approx(attend + feed + outside)
    assert [p.latency_ms for p in parts(a, SIMPLE, prompt_of(n))] == pytest.approx([attend, feed, outside])
    matrices = 4 * d * d + 2 * d * f + d * v
    expected = lts.analytic("peak_memory_estimate_mib", a, n_prompt=n) + matrices * 4 / 2**20
    assert found.values["peak_memory_mib"] == pytest.approx(expected)
    assert found.interval == {}
    assert set(found.values) == set(ESTIMATED_COLUMNS[:-1]) == set(columns(SIMPLE))


def test_a_decode_step_reads_the_weights_once() -> None:
    a = Architecture("llama", 32000, 512, 1024, n_head=16, n_kv_head=4, d_ff=2816, n_layer=4, tie_embedding=True)
    found = estimate(a, replace(SIMPLE, flops_per_cycle=1000), prompt_of(128)).values["decode_ms_per_token"]
    matrices = 4 * (1024 * (2 * 1024 + 2 * 256) + 3 * 1024 * 2816) + 32000 * 1024
    reading = matrices * 4 / (2**30 / 1e3)
    assert reading < found < 1.05 * reading


def test_the_published_terms_by_hand() -> None:
    n, d, f, v, h = 4, 8, 16, 32, 2
    a = Architecture("gpt2", v, n, d, n_head=h, d_ff=f, n_layer=3)
    layers = 3 * (2 * n * (4 * d * d + 2 * d * f) + 4 * n * n * d) * 1e-9
    logits = 2 * n * d * v * 1e-9
    expected = layers * 100 + logits * 50 + (n * v * 20 + 3 * n * f * 10 + 3 * n * n * h * 5) * 1e-6
    target = replace(SIMPLE, estimate=replace(SIMPLE.estimate, published=UNIT))
    found = estimate(a, target, prompt_of(n))
    assert columns(target) == ESTIMATED_COLUMNS
    assert found.values["latency_published_ms"] == pytest.approx(expected)
    assert found.interval["latency_published_ms"] == pytest.approx((expected / 1.05, expected / 0.95))
    assert sum(p.latency_published_ms or 0 for p in parts(a, target, prompt_of(n))) == pytest.approx(expected)
    assert amounts(a, SIMPLE, n) == pytest.approx(
        [layers, logits, n * v * 1e-6, 3 * n * f * 1e-6, 3 * n * n * h * 1e-6]
    )
    assert "s (r)" in found.source


def test_what_the_published_figure_is_shown_for() -> None:
    target = load_target("cortex-a72")
    gpt2 = lts.SearchSpace.load("gpt2-tiny").sample(1, seed=1)[0]
    llama = lts.SearchSpace.load("llama-tiny").sample(1, seed=1)[0]
    assert "latency_published_ms" in estimate(gpt2, target, prompt_of(128)).interval
    assert "latency_published_ms" in estimate(llama, target, prompt_of(128)).values
    assert estimate(llama, target, prompt_of(128)).interval == {}, "no llama was measured"
    assert estimate(gpt2, target, prompt_of(512)).interval == {}, "nor such a prompt"
    for other in (replace(target, threads=2), replace(target, precision="int8")):
        assert columns(other) == ESTIMATED_COLUMNS[:-1]
        assert set(estimate(gpt2, other).values) == set(columns(other))


@pytest.mark.parametrize("space", SPACES)
def test_operations_are_those_that_the_core_counts(space: str) -> None:
    for a in lts.SearchSpace.load(space).sample(10, seed=5):
        prompt = sum(operation.flops for operation in operations(a, 37, 37))
        assert prompt == pytest.approx(lts.flops_prefill(a, n_prompt=37), rel=1e-12)
        step = sum(operation.flops for operation in operations(a, 1, 38))
        assert step == pytest.approx(lts.flops_decode(a, n_prompt=37), rel=1e-12)
        last = sum(operation.flops for operation in operations(a, 37, 37, heads=1, batch=3))
        assert last == pytest.approx(lts.flops_prefill(a, n_prompt=37, batch=3, logits="last"), rel=1e-12)


def test_what_layers_lack_costs_nothing() -> None:
    target = load_target("arm64")
    some = {"vocab_size": 100, "n_positions": 64, "d_model": 64, "head_dim": 16}
    a = lts.Architecture("llama", **some, n_head=[4, 0, 0], n_kv_head=[2, 0, 0], d_ff=[0, 0, 128])
    whole = lts.Architecture("llama", **some, n_head=[4], n_kv_head=[2], d_ff=[128])
    assert estimate(a, target) == estimate(whole, target)
    assert [piece.latency_ms > 0 for piece in parts(a, target)] == [True, *[False] * 4, True, True]


@pytest.mark.parametrize("space", SPACES)
def test_parts_add_up(space: str) -> None:
    target = load_target("arm64")
    for a in lts.SearchSpace.load(space).sample(5, seed=6):
        found, pieces = estimate(a, target, prompt_of(64)).values, parts(a, target, prompt_of(64))
        assert len(pieces) == 2 * a.n_layer + 1
        for column in ("latency_ms", "decode_ms_per_token", "latency_published_ms"):
            assert math.fsum(getattr(piece, column) for piece in pieces) == pytest.approx(found[column])
            assert all(getattr(piece, column) > 0 for piece in pieces)
        matrices = sum(w.size for w in lts.weights(a) if w.kind == "matrix" and w.role != "embedding_projection")
        assert sum(piece.weight_mib for piece in pieces) * 2**18 >= matrices
        assert found["peak_memory_mib"] > lts.analytic("weight_mib", a) + sum(piece.weight_mib for piece in pieces)


@pytest.mark.parametrize("name", [name for name in target_names() if name != "host"])
def test_every_profile_can_be_estimated(name: str) -> None:
    target = load_target(name)
    check(target)
    for space in ("gpt2-small", "llama-edge", "transformer-xl-tiny"):
        found = estimate(lts.SearchSpace.load(space).sample(1, seed=2)[0], target)
        assert tuple(found.values) == columns(target)
        assert all(math.isfinite(value) and value > 0 for value in found.values.values())
        assert name in found.source


def test_faster_targets_are_faster() -> None:
    a = lts.SearchSpace.load("gpt2-small").sample(1, seed=3)[0]
    names = ("cortex-a53", "cortex-a72", "cortex-a76", "x86-64-v3", "sm_80", "sm_90")
    for column in ("latency_ms", "decode_ms_per_token"):
        times = [estimate(a, load_target(name)).values[column] for name in names]
        assert times == sorted(times, reverse=True)
    n1 = load_target("neoverse-n1")
    assert estimate(a, n1).values["latency_ms"] > estimate(a, replace(n1, threads=8)).values["latency_ms"]
    small = estimate(a, replace(n1, precision="int8")).values
    assert small["decode_ms_per_token"] < estimate(a, n1).values["decode_ms_per_token"]
    assert small["peak_memory_mib"] < estimate(a, n1).values["peak_memory_mib"]


@pytest.mark.parametrize("key", ["frequency_mhz", "flops_per_cycle", "bandwidth_gib_s"])
def test_a_profile_that_lacks_something(key: str) -> None:
    target = replace(SIMPLE, **{key: None})  # type: ignore[arg-type]
    a = lts.SearchSpace.load("gpt2-tiny").sample(1, seed=1)[0]
    assert columns(target) == ()
    for wrong in (lambda: check(target), lambda: estimate(a, target), lambda: parts(a, target)):
        with pytest.raises(UsageError, match=f"target 'simple' cannot be estimated: its profile has no '{key}'"):
            wrong()


def test_a_request_is_a_prompt_and_the_steps_after_it() -> None:
    a = lts.SearchSpace.load("gpt2-small").sample(1, seed=1)[0]
    whole = estimate(a, SIMPLE, Workload(100, n_gen=51)).values
    assert whole["request_ms"] == pytest.approx(whole["latency_ms"] + 50 * whole["decode_ms_per_token"])
    ends = [estimate(a, SIMPLE, Workload(n, n_gen=2)).values["decode_ms_per_token"] for n in (100, 149)]
    assert whole["decode_ms_per_token"] == pytest.approx(sum(ends) / 2)
    alone = estimate(a, SIMPLE, Workload(100, n_gen=0)).values
    assert alone["request_ms"] == alone["latency_ms"]


def test_logits_of_the_last_position_cost_less() -> None:
    a = lts.SearchSpace.load("gpt2-small").sample(1, seed=1)[0]
    all_of_them, last = (estimate(a, SIMPLE, Workload(128, logits=logits)).values for logits in ("all", "last"))
    saved = 127 * 2 * a.vocab_size * a.d_model / 1e6  # ms at 1 GFLOP/s
    assert all_of_them["latency_ms"] - last["latency_ms"] == pytest.approx(saved, rel=0.2)
    assert last["peak_memory_mib"] < all_of_them["peak_memory_mib"]
    assert last["decode_ms_per_token"] == all_of_them["decode_ms_per_token"]


heads = st.sampled_from([1, 2, 4, 8])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Architecture, int, Architecture, int]:
    """A model and its prompt, and the same with one thing more of something."""
    family = draw(st.sampled_from(["gpt2", "llama", "transformer_xl"]))
    n_layer, d = draw(st.integers(1, 4)), 16 * draw(st.integers(1, 20))
    n_head = draw(st.lists(heads, min_size=n_layer, max_size=n_layer))
    d_ff = draw(st.lists(st.integers(1, 600), min_size=n_layer, max_size=n_layer))
    # A cutoff that is the vocabulary would make a cluster without tokens.
    sizes = st.integers(10, 3500).filter(lambda size: size not in (100, 400))
    vocab, n_prompt = draw(sizes), draw(st.integers(1, 200))
    more = draw(st.sampled_from(["layer", "d_model", "head", "d_ff", "vocab", "prompt"]))
    layer = draw(st.integers(0, n_layer - 1))
    adaptive: dict[str, Any] = {}
    if family != "llama" and draw(st.booleans()):
        adaptive = {
            "cutoffs": [100, 400],
            "div_val": draw(st.integers(1, 4)),
            "d_embed": draw(st.sampled_from([-1, 64])),
        }
    first = Architecture(family, vocab, 1024, d, n_head=n_head, d_ff=d_ff, **adaptive)
    d2, heads2, ff2 = d, list(n_head), list(d_ff)
    if more == "layer":
        heads2.append(draw(heads))
        ff2.append(draw(st.integers(1, 600)))
    elif more == "d_model":
        d2 += 16 * draw(st.integers(1, 5))
    elif more == "head":
        heads2[layer] = min(8, 2 * heads2[layer])
    elif more == "d_ff":
        ff2[layer] += draw(st.integers(1, 300))
    vocab2 = max(vocab, draw(sizes)) if more == "vocab" else vocab
    second = Architecture(family, vocab2, 1024, d2, n_head=heads2, d_ff=ff2, **adaptive)
    return first, n_prompt, second, n_prompt + (draw(st.integers(1, 100)) if more == "prompt" else 0)


@given(pairs(), st.sampled_from(["cortex-a72", "x86-64-v4", "sm_90"]))
def test_more_is_never_cheaper(pair: tuple[Architecture, int, Architecture, int], name: str) -> None:
    first, n_first, second, n_second = pair
    target = load_target(name)
    less, more = (
        estimate(first, target, prompt_of(n_first)).values,
        estimate(second, target, prompt_of(n_second)).values,
    )
    for column in less:
        assert more[column] >= less[column] * (1 - 1e-12), column


def arm(published: Path) -> list[tuple[Architecture, dict[str, float]]]:
    return read_table(published / "pareto_gpt2_lm1b_arm.csv", "gpt2")


def test_the_published_arm_table(published: Path) -> None:
    target, rows = load_target("cortex-a72"), arm(published)
    assert len(rows) == 45
    found = [estimate(a, target, prompt_of(192)) for a, _ in rows]
    measured = [row["latency"] for _, row in rows]
    said = [each.values["latency_published_ms"] for each in found]
    assert spearman(said, measured) >= 0.998
    errors = [abs(ms / truth - 1) for ms, truth in zip(said, measured, strict=True)]
    assert sum(errors) / len(errors) < 0.016
    for each, truth in zip(found, measured, strict=True):
        low, high = each.interval["latency_published_ms"]
        assert low <= truth <= high
    # Nothing of the roofline was fitted to the ranks, and it has them nevertheless.
    assert spearman([each.values["latency_ms"] for each in found], measured) >= 0.99
    assert spearman([each.values["peak_memory_mib"] for each in found], [row["memory"] for _, row in rows]) >= 0.96


def test_each_model_predicted_from_the_others(published: Path) -> None:
    target = load_target("cortex-a72")
    found = fit([(a, row["latency"]) for a, row in arm(published)], target, 192)
    assert found.error < 0.02
    assert found.error_max < 0.04
    assert found.spearman > 0.998
    said = target.estimate.published
    assert said is not None
    assert (said.error, said.error_max) == pytest.approx((found.error, found.error_max), rel=1e-3)
    assert [getattr(said, term) for term in TERMS] == pytest.approx(list(found.coefficients.values()), rel=1e-3)
    assert all(value > 0 for value in found.coefficients.values())


def test_fifteen_models_predict_thirty(published: Path) -> None:
    target = load_target("cortex-a72")
    models = [(a, row["latency"]) for a, row in arm(published)]
    for start in range(3):
        found = fit(models[start::3], target, 192)
        others = [model for i, model in enumerate(models) if i % 3 != start]
        errors = [
            abs(sum(x * c for x, c in zip(amounts(a, target, 192), found.coefficients.values(), strict=True)) / ms - 1)
            for a, ms in others
        ]
        assert sum(errors) / len(errors) < 0.03


def test_the_script_agrees_with_the_profile(published: Path, root: Path) -> None:
    table = published / "pareto_gpt2_lm1b_arm.csv"
    command = [sys.executable, root / "scripts" / "fit_estimate", table]
    done = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "left out, relative error" in done.stderr
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() in (root / "python" / "lts" / "targets" / "cortex-a72.toml").read_text()


def test_other_models_and_another_processor_are_ranked_too(published: Path) -> None:
    rows = read_table(published / "pareto_transxl_lm1b_corei7.csv", "transformer_xl")
    found = [estimate(a, load_target("x86-64-v3"), prompt_of(192)).values for a, _ in rows]
    assert spearman([each["latency_ms"] for each in found], [row["latency"] for _, row in rows]) > 0.98
    assert spearman([each["peak_memory_mib"] for each in found], [row["memory"] for _, row in rows]) > 0.98


def test_a_fit_finds_what_made_the_times() -> None:
    a = lts.SearchSpace.load("gpt2-any-shapes").sample(12, seed=9)
    truth = [100.0, 50.0, 0.0, 10.0, 5.0]
    times = [sum(x * c for x, c in zip(amounts(each, SIMPLE, 64), truth, strict=True)) for each in a]
    found = fit(list(zip(a, times, strict=True)), SIMPLE, 64)
    assert list(found.coefficients.values()) == pytest.approx(truth, rel=1e-4, abs=1e-3)
    assert found.error_max < 1e-5
    assert found.spearman == pytest.approx(1)


def test_a_fit_needs_models() -> None:
    a = lts.SearchSpace.load("gpt2-small").sample(6, seed=9)
    with pytest.raises(UsageError, match="more than 5 models, each with a time above 0 ms; got 5"):
        fit([(each, 1.0) for each in a[:5]], SIMPLE, 64)
    with pytest.raises(UsageError, match="a time above 0 ms"):
        fit([(each, 0.0) for each in a], SIMPLE, 64)


def test_what_is_wrong_with_a_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.csv"):
        read_table(tmp_path / "none.csv", "gpt2")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"other\.csv is no table of LiteTransformerSearch.*n_token"):
        read_table(tmp_path / "other.csv", "gpt2")


def test_equal_values_share_their_rank() -> None:
    stats = pytest.importorskip("scipy.stats")
    first, second = [3, 1, 1, 2, 9, 9, 9], [1.0, 2.0, 2.0, 0.5, 7.0, 8.0, 9.0]
    assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second)[0])


@pytest.mark.parametrize("space", SPACES)
def test_a_cache_in_place_is_not_copied(space: str) -> None:
    """A step saves to read and write the keys and values of the tokens before it; of Transformer-XL, nothing."""
    load = Workload(100, 20, batch=2)
    for a in load_space(space).sample(5, 3):
        one, other = (estimate(a, SIMPLE, replace(load, cache=cache)).values for cache in ("copied", "in_place"))
        saved = 0.0
        if a.traits.position != "relative":
            elements = sum(n * width for n, width in zip(a.n_kv_head, a.head_dims, strict=True))
            saved = 4 * 4 * 2 * elements * (sum(load.contexts) / 2) / 2**30 * 1e3
        assert one["decode_ms_per_token"] - other["decode_ms_per_token"] == pytest.approx(saved)
        assert one["latency_ms"] == other["latency_ms"]
        assert one["peak_memory_mib"] == other["peak_memory_mib"]
