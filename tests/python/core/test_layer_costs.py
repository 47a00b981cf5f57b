"""Costs looked up per layer: against estimates, which sum the same amounts in Python, and in searches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

import lts
from lts import Architecture, SearchSpace
from lts._core import LayerCosts
from lts.targets.estimate.costs import estimate, parts
from lts.targets.target import Target, load_target
from lts.targets.workload import Workload

ATTENTION = {(4, 1, 1): 0.5, (4, 2, 2): 1.5}
FEED_FORWARD = {(4, 8): 0.25, (4, 16): 0.75}
REST = {(4, -1, 1): 10.0}


def small(n_head: Any = 2, d_ff: Any = 8, n_layer: int | None = 1, **more: Any) -> Architecture:
    return Architecture("gpt2", 10, 6, 4, n_head=n_head, d_ff=d_ff, n_layer=n_layer, **more)


# --- The tables of a space, as estimates have them ---


def one_layer(space: SearchSpace, **widths: int) -> Architecture | None:
    """The space's architecture of one layer with these widths and the first of the others; None when there is none."""
    record = space.at(0).to_dict() | {"n_layer": 1}
    for name in ("n_head", "n_kv_head", "d_ff"):
        record[name] = [space.options[name][0] if space.options[name] else widths["n_head"]]
    record |= {name: [value] if name in ("n_head", "n_kv_head", "d_ff") else value for name, value in widths.items()}
    try:
        return Architecture.from_dict(record)
    except ValueError:
        return None


def architectures_of(space: SearchSpace) -> Iterator[Architecture]:
    """Architectures of one layer that have, together, every combination that a key of the tables is."""
    choices = space.options
    for d_model, d_embed, div_val in product(choices["d_model"], choices["d_embed"], choices["div_val"]):
        around = {"d_model": d_model, "d_embed": d_embed, "div_val": div_val}
        valid = None
        for n_head in choices["n_head"]:
            for n_kv_head in choices["n_kv_head"] or [n_head]:
                if (found := one_layer(space, **around, n_head=n_head, n_kv_head=n_kv_head)) is not None:
                    valid = {"n_head": n_head, "n_kv_head": n_kv_head}
                    yield found
        for d_ff in choices["d_ff"] if valid is not None else []:
            found = one_layer(space, **around, **valid, d_ff=d_ff)
            assert found is not None
            yield found


def layer_costs(space: SearchSpace, target: Target, workload: Workload) -> dict[str, LayerCosts]:
    """What `estimate` sums, for every column."""
    columns = {
        "latency_ms": "latency_ms",
        "decode_ms_per_token": "decode_ms_per_token",
        "peak_memory_mib": "weight_mib",
        "latency_published_ms": "latency_published_ms",
    }
    tables: dict[str, tuple[dict[Any, float], ...]] = {column: ({}, {}, {}) for column in columns}
    for a in architectures_of(space):
        keys = (
            (a.d_model, a.n_head[0], a.n_kv_head[0]),
            (a.d_model, a.d_ff[0]),
            (a.d_model, a.embedding_width, a.div_val),
        )
        for key, part, i in zip(keys, parts(a, target, workload), range(3), strict=True):
            for column, name in columns.items():
                value = getattr(part, name)
                if value is not None:
                    assert tables[column][i].setdefault(key, value) == value
    return {
        column: LayerCosts(*table, plus="peak_memory_estimate_mib" if column == "peak_memory_mib" else None)
        for column, table in tables.items()
        if table[0]
    }


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("gpt2-small", "arm64"),
        ("gpt2-small", "sm_90"),
        ("gpt2-lts", "arm64"),
        ("llama-edge", "arm64"),
        ("llama-edge", "x86-64-v3"),
        ("hw-gpt-tiny", "arm64"),
        ("transformer-xl-lts", "arm64"),
        ("transformer-xl-tiny", "arm64"),
    ],
)
def test_equal_estimates(name: str, target: str) -> None:
    space, profile = SearchSpace.load(name), load_target(target)
    sampled = space.sample(500, 1) + space.sample(500, 2, method="choices")
    for workload in (
        Workload(precision=profile.precision),
        Workload(7, n_gen=50, batch=3, precision=profile.precision, logits="all"),
    ):
        costs = layer_costs(space, profile, workload)
        expected = [estimate(a, profile, workload).values for a in sampled]
        assert costs.keys() == expected[0].keys() - {"request_ms"}
        for column, model in costs.items():
            found = model.predict(sampled, **workload.counted)
            assert found.dtype == np.float64
            np.testing.assert_allclose(found, [values[column] for values in expected], rtol=1e-12)


@pytest.mark.parametrize("algorithm", ["lts", "nsga2"])
def test_a_search_on_estimates(algorithm: str) -> None:
    """The same search as one that is told what `estimate` says, candidate after candidate."""
    space, target = SearchSpace.load("gpt2-small"), load_target("arm64")
    objectives = ["decoder_params:max", "latency_ms:min", "peak_memory_mib:min"]
    found = lts.Search(space, objectives, ["latency_published_ms<=400"], algorithm, seed=3)
    load = Workload(64)
    assert found.run(2000, **load.counted, cost_models=layer_costs(space, target, load)) == 2000
    for member in found.front():
        values = estimate(member.architecture, target, load).values
        assert member.values["latency_ms"] == pytest.approx(values["latency_ms"], rel=1e-12)
        assert member.values["peak_memory_mib"] == pytest.approx(values["peak_memory_mib"], rel=1e-12)
        assert values["latency_published_ms"] <= 400
    told = lts.Search(space, objectives, ["latency_published_ms<=400"], algorithm, seed=3)
    for _ in range(2000):
        (candidate,) = told.ask(1)
        a = candidate.architecture
        values = estimate(a, target, load).values | {"decoder_params": lts.analytic("decoder_params", a)}
        told.tell(candidate.id, {column: values[column] for column in told.columns})
    assert [m.architecture for m in told.front()] == [m.architecture for m in found.front()]


# --- What it is made of, and what it refuses ---


def test_by_hand() -> None:
    costs = LayerCosts(ATTENTION, FEED_FORWARD, REST)
    assert costs.predict([small(), small([1, 2], [16, 8], None)]).tolist() == [11.75, 13.0]
    assert costs.predict([]).shape == (0,)
    assert costs.plus is None
    assert repr(costs) == "<LayerCosts of 2 attentions, 2 feed-forward networks and 1 rest>"


def test_numpy_numbers() -> None:
    attention = {(np.int64(4), np.int32(2), np.int64(2)): np.float32(1.5)}
    costs = LayerCosts(attention, {(4, 8): 1}, {(4, 4, 1): np.float64(2)})
    assert costs.predict([small()]).tolist() == [4.5]


def test_plus_a_counted_quantity_of_the_workload() -> None:
    costs = LayerCosts(ATTENTION, FEED_FORWARD, REST, plus="weight_mib")
    assert costs.plus == "weight_mib"
    assert repr(costs).endswith("1 rest, plus weight_mib>")
    for workload in ({}, {"precision": "int8"}, {"n_prompt": 9, "batch": 2, "precision": "float16"}):
        expected = 11.75 + lts.analytic("weight_mib", small(), **workload)
        assert costs.predict([small()], **workload).tolist() == [expected]
    with pytest.raises(ValueError, match="n_prompt is 0"):
        costs.predict([small()], n_prompt=0)


def test_a_search_passes_its_workload() -> None:
    space = SearchSpace(vocab_size=10, n_layer=[1, 2], d_model=[4], n_head=[1, 2], d_ff=[8, 16])
    costs = LayerCosts(ATTENTION, FEED_FORWARD, REST, plus="peak_memory_estimate_mib")
    workload = {"n_prompt": 77, "batch": 3, "precision": "float16"}
    search = lts.Search(space, ["decoder_params:max", "memory:min"])
    search.run(100, **workload, cost_models={"memory": costs})
    for member in search.front():
        (expected,) = costs.predict([member.architecture], **workload)
        assert member.values["memory"] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, FEED_FORWARD, REST), "the table attention has no rows"),
        ((ATTENTION, {}, REST), "the table feed_forward has no rows"),
        ((ATTENTION, FEED_FORWARD, {}), "the table rest has no rows"),
        (({(4, 2): 1.0}, FEED_FORWARD, REST), r"the key of attention\[\(4, 2\)\] must be 3 integers"),
        (
            (ATTENTION, {(4, 8): -1.0}, REST),
            "d_model 4, d_ff 8: the amount is -1; it must be finite and not negative",
        ),
        ((ATTENTION, {(4, 8): math.nan}, REST), "must be finite and not negative"),
        ((ATTENTION, {(4, 8): math.inf}, REST), "must be finite and not negative"),
        ((ATTENTION, {(4, 0): 1.0}, REST), "d_ff is 0; it must be from 1 to 1048576"),
        ((ATTENTION, {(4, 2**70): 1.0}, REST), "is out of range"),
        ((ATTENTION, FEED_FORWARD, {(4, -1, 1): 1.0, (4, 4, 1): 1.0}), "d_model 4, d_embed 4, div_val 1 comes twice"),
    ],
)
def test_wrong_tables(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LayerCosts(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], FEED_FORWARD, REST), "attention must be a dict from 3 integers to a number"),
        ((ATTENTION, {4: 1.0}, REST), r"the key of feed_forward\[4\] must be a sequence of integers, not int"),
        ((ATTENTION, {(4, 8.0): 1.0}, REST), r"must be an integer, not float"),
        ((ATTENTION, {(4, 8): "1"}, REST), r"feed_forward\[\(4, 8\)\] must be a number, not str"),
        ((ATTENTION, {(4, 8): None}, REST), r"feed_forward\[\(4, 8\)\] must be a number, not NoneType"),
    ],
)
def test_wrong_types(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        LayerCosts(*arguments)


def test_unknown_quantity() -> None:
    with pytest.raises(ValueError, match="unknown analytic quantity 'beauty'; expected one of decoder_params"):
        LayerCosts(ATTENTION, FEED_FORWARD, REST, plus="beauty")


def test_what_the_tables_lack() -> None:
    costs = LayerCosts(ATTENTION, FEED_FORWARD, REST)
    with pytest.raises(ValueError, match="the table attention has no d_model 4, n_head 4, n_kv_head 4, which layer 1"):
        costs.predict([small([2, 4], 8, None)])
    space = SearchSpace(vocab_size=10, n_layer=[1], d_model=[4], n_head=[2], d_ff=[8, 9])
    search = lts.Search(space, ["decoder_params:max", "latency_ms:min"], algorithm="exhaustive")
    with pytest.raises(ValueError, match="the table feed_forward has no d_model 4, d_ff 9, which layer 0 has"):
        search.run(10, cost_models={"latency_ms": costs})
    assert [c.architecture.d_ff for c in search.pending()] == [[9]]
    assert search.n_told == 1


# --- Cost models of a search, of both kinds ---


def test_both_kinds_together() -> None:
    space = SearchSpace(vocab_size=10, n_layer=[1, 2], d_model=[4], n_head=[1, 2], d_ff=[8, 16])
    every = list(space)
    fitted = lts.Surrogate.fit(every, [float(i + 1) for i in range(len(every))])
    models = {"latency_ms": LayerCosts(ATTENTION, FEED_FORWARD, REST), "energy_mj": fitted}
    search = lts.Search(space, ["decoder_params:max", "latency_ms:min"], ["energy_mj<=1000"])
    assert search.run(space.size, cost_models=models) == space.size
    for member in search.front():
        assert member.values["latency_ms"] == models["latency_ms"].predict([member.architecture])[0]
    older = lts.Search(space, ["decoder_params:max", "latency_ms:min"], ["energy_mj<=1000"])
    older.run(space.size, surrogates=models)
    assert older.save() == search.save()


def test_cost_models_that_are_none() -> None:
    space = SearchSpace(vocab_size=10, n_layer=[1, 2], d_model=[4], n_head=[1, 2], d_ff=[8, 16])
    search = lts.Search(space, ["decoder_params:max", "latency_ms:min"])
    models: Any = {"latency_ms": LayerCosts(ATTENTION, FEED_FORWARD, REST)}
    with pytest.raises(ValueError, match="surrogates is the older name of cost_models: give one of them"):
        search.run(1, cost_models=models, surrogates=models)
    for wrong in (estimate, 1.5, None):
        with pytest.raises(TypeError, match="from column to Surrogate, LayerCosts, LossTable or LayerQuality"):
            search.run(1, cost_models={"latency_ms": wrong})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="unknown analytic quantity 'latency_ms'"):
        search.run(1, cost_models={})
    assert search.run(1, cost_models=models) == 1, "it is not busy"
