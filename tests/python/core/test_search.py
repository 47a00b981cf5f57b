"""`Search`: ask and tell, running in C++, saving and loading."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lts
from lts import Architecture, Search, SearchSpace

OBJECTIVES = {"decoder_params": "max", "flops_prefill": "min"}
ALGORITHMS = ["lts", "nsga2", "local", "random", "exhaustive"]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace(
        name="small",
        vocab_size=100,
        n_positions=64,
        n_layer=[1, 2, 3],
        d_model=[8, 16],
        n_head=[1, 2],
        d_ff=[8, 16, 24],
    )


@pytest.fixture(scope="module")
def large() -> SearchSpace:
    return SearchSpace(n_layer=range(2, 17), d_model=range(128, 1025, 64), n_head=[2, 4, 8], d_ff=range(256, 4097, 64))


def values_of(search: Search, a: Architecture) -> dict[str, float]:
    return {name: lts.analytic(name, a) for name in search.columns}


def run_by_hand(search: Search, n: int) -> int:
    done = 0
    while done < n and (candidates := search.ask(1)):
        search.tell(candidates[0].id, values_of(search, candidates[0].architecture))
        done += 1
    return done


def front_of(points: list[tuple[float, ...]]) -> set[tuple[float, ...]]:
    """The non-dominated points, all coordinates minimized."""

    def dominates(p: tuple[float, ...], q: tuple[float, ...]) -> bool:
        return p != q and all(x <= y for x, y in zip(p, q, strict=True))

    return {p for p in points if not any(dominates(q, p) for q in points)}


class TestConstruction:
    def test_objectives_in_all_forms(self, space: SearchSpace) -> None:
        texts = ["decoder_params:max", "flops_prefill:min"]
        forms: list[Any] = [OBJECTIVES, texts, tuple(texts), Search(space, texts).objectives]
        for form in forms:
            assert [str(o) for o in Search(space, form).objectives] == texts

    def test_constraints_in_all_forms(self, space: SearchSpace) -> None:
        first = Search(space, OBJECTIVES, ["total_params<=5000", "decoder_params>=100"])
        assert [str(c) for c in first.constraints] == ["total_params<=5000", "decoder_params>=100"]
        second = Search(space, OBJECTIVES, [first.constraints[0], "decoder_params>=100"])
        assert second.save() == first.save()
        assert first.columns == ["decoder_params", "flops_prefill", "total_params"]

    def test_attributes(self, space: SearchSpace) -> None:
        search = Search(space, OBJECTIVES, algorithm="nsga2", seed=2**64 - 1, population_size=np.int64(12))
        assert search.algorithm == "nsga2"
        assert search.algorithm_options == {
            "population_size": 12,
            "crossover_probability": 0.9,
            "mutation_probability": 0.0,
        }
        assert search.seed == 2**64 - 1
        assert search.space == space
        assert (search.n_asked, search.n_told, search.n_failed) == (0, 0, 0)
        assert repr(search) == "<Search nsga2 of 'small': 0 asked, 0 told, 0 failed, 0 on the front>"

    def test_default_options(self, space: SearchSpace) -> None:
        assert lts.algorithm_names() == ALGORITHMS
        assert Search(space, OBJECTIVES).algorithm == "lts"
        assert Search(space, OBJECTIVES).algorithm_options == {
            "population_size": 100,
            "n_parents": 20,
            "n_mutants": 40,
            "n_crossovers": 40,
            "mutation_probability": 0.3,
            "crossover_probability": 0.5,
        }
        assert Search(space, OBJECTIVES, algorithm="random").algorithm_options == {}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"objectives": {}}, "no objective"),
            ({"objectives": ["decoder_params"]}, "decoder_params"),
            ({"objectives": {"decoder_params": "up"}}, "decoder_params:up"),
            ({"objectives": ["a:min", "a:max"]}, "'a' is named twice"),
            ({"constraints": ["a<5"]}, "a<5"),
            ({"constraints": ["a<=nan"]}, "a<=nan|finite"),
            ({"algorithm": "sgd"}, "unknown algorithm 'sgd'; expected one of lts, nsga2, local, random, exhaustive"),
            ({"population": 3}, "algorithm lts has no option 'population'; expected one of population_size, n_parents"),
            (
                {"algorithm": "random", "population_size": 3},
                "algorithm random has no option 'population_size'; it has none",
            ),
            ({"population_size": -1}, "population_size is -1; it must be from 0 to 4294967295"),
            ({"population_size": 0}, "population_size"),
            ({"mutation_probability": 1.5}, "mutation_probability"),
            ({"mutation_probability": math.nan}, "mutation_probability"),
            ({"seed": -1}, "seed is out of range; it must be from 0 to 18446744073709551615"),
        ],
    )
    def test_errors(self, space: SearchSpace, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Search(space, **{"objectives": OBJECTIVES, **arguments})

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"objectives": "decoder_params:max"}, "objectives must be a dict or a sequence"),
            ({"objectives": [5]}, "an objective must be text, not int"),
            ({"objectives": {"a": True}}, "the direction of a must be text, not bool"),
            ({"constraints": "a<=5"}, "constraints must be a sequence such as"),
            ({"seed": 1.0}, "seed must be an integer, not float"),
            ({"population_size": 3.0}, "population_size must be an integer, not float"),
            ({"mutation_probability": "1"}, "mutation_probability must be a number, not str"),
        ],
    )
    def test_types(self, space: SearchSpace, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(TypeError, match=message):
            Search(space, **{"objectives": OBJECTIVES, **arguments})


class TestAskAndTell:
    def test_candidates(self, space: SearchSpace) -> None:
        search = Search(space, OBJECTIVES, seed=1)
        candidates = search.ask(5)
        assert [c.id for c in candidates] == [0, 1, 2, 3, 4]
        assert all(c.architecture in space for c in candidates)
        assert len({c.architecture for c in candidates}) == 5
        assert [(c.id, c.architecture) for c in search.pending()] == [(c.id, c.architecture) for c in candidates]
        search.tell(3, {"decoder_params": 5, "flops_prefill": np.float32(2.5)})
        search.tell_failed(1)
        search.tell(np.int64(0), None)
        assert (search.n_asked, search.n_told, search.n_failed) == (5, 1, 2)
        assert [c.id for c in search.pending()] == [2, 4]
        (member,) = search.front()
        assert member.id == 3
        assert member.architecture == candidates[3].architecture
        assert member.values == {"decoder_params": 5.0, "flops_prefill": 2.5}
        assert list(member.values) == ["decoder_params", "flops_prefill"]
        assert repr(member) == "<FrontMember 3: {'decoder_params': 5.0, 'flops_prefill': 2.5}>"
        assert repr(candidates[0]).startswith("<Candidate 0: Architecture('gpt2', ")

    def test_archive_is_minimized(self, space: SearchSpace) -> None:
        search = Search(space, OBJECTIVES, seed=1)
        assert len(search.archive) == 0
        search.run(200)
        archive, front = search.archive, search.front()
        assert archive.ids.tolist() == [m.id for m in front]
        assert archive.points.tolist() == [[-m.values["decoder_params"], m.values["flops_prefill"]] for m in front]

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"decoder_params": 1}, "candidate 0: no value for column 'flops_prefill'"),
            ({}, "candidate 0: no value for column 'decoder_params'"),
            (
                {"decoder_params": 1, "flops_prefill": 1, "latency": 1},
                "candidate 0: unknown column 'latency'; expected decoder_params, flops_prefill",
            ),
            (
                {"decoder_params": math.nan, "flops_prefill": 1},
                "column 'decoder_params' is nan; it must be a finite number",
            ),
            ({"decoder_params": 1, "flops_prefill": math.inf}, "column 'flops_prefill' is inf"),
            ({"decoder_params": 10**400, "flops_prefill": 1}, "column 'decoder_params' is out of range"),
        ],
    )
    def test_wrong_values_change_nothing(self, space: SearchSpace, values: dict[str, Any], message: str) -> None:
        search = Search(space, OBJECTIVES)
        search.ask(1)
        before = search.save()
        with pytest.raises(ValueError, match=message):
            search.tell(0, values)
        assert search.save() == before

    @pytest.mark.parametrize("value", ["1", None, True, [1]])
    def test_values_are_numbers(self, space: SearchSpace, value: Any) -> None:
        search = Search(space, OBJECTIVES)
        search.ask(1)
        with pytest.raises(TypeError, match="column 'decoder_params' must be a number, not "):
            search.tell(0, {"flops_prefill": 1, "decoder_params": value})
        with pytest.raises(TypeError, match="values must be a dict"):
            search.tell(0, [1, 2])  # type: ignore[arg-type]

    def test_wrong_ids(self, space: SearchSpace) -> None:
        search = Search(space, OBJECTIVES)
        with pytest.raises(ValueError, match="candidate 0 is unknown; none was asked for yet"):
            search.tell_failed(0)
        search.ask(2)
        search.tell_failed(0)
        with pytest.raises(ValueError, match="candidate 0 was already told"):
            search.tell(0, {"decoder_params": 1, "flops_prefill": 1})
        with pytest.raises(ValueError, match="candidate 7 is unknown; ids so far are 0 to 1"):
            search.tell(7, None)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_the_space_runs_out(self, space: SearchSpace, algorithm: str) -> None:
        search = Search(space, OBJECTIVES, algorithm=algorithm)
        assert run_by_hand(search, 10**9) == space.size
        assert search.ask(3) == []
        points = [(-lts.decoder_params(a), lts.flops_prefill(a)) for a in space]
        found = {(-m.values["decoder_params"], m.values["flops_prefill"]) for m in search.front()}
        assert found == front_of(points)

    def test_constraints_bind_the_front(self, space: SearchSpace) -> None:
        search = Search(space, OBJECTIVES, ["total_params<=3000", "decoder_params>=1000"], algorithm="exhaustive")
        search.run(space.size)
        feasible = [a for a in space if lts.total_params(a) <= 3000 and lts.decoder_params(a) >= 1000]
        found = {(-m.values["decoder_params"], m.values["flops_prefill"]) for m in search.front()}
        assert found == front_of([(-lts.decoder_params(a), lts.flops_prefill(a)) for a in feasible])


class TestRun:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_same_as_by_hand(self, large: SearchSpace, algorithm: str) -> None:
        first = Search(large, OBJECTIVES, ["weight_mib<=300"], algorithm, seed=9)
        second = Search(large, OBJECTIVES, ["weight_mib<=300"], algorithm, seed=9)
        assert first.run(500) == run_by_hand(second, 500) == 500
        assert first.save() == second.save()

    def test_workload(self, space: SearchSpace) -> None:
        search = Search(space, {"kv_cache_mib": "min", "decoder_params": "max"}, algorithm="exhaustive")
        search.run(space.size, n_prompt=32, batch=2, precision="float16")
        for m in search.front():
            expected = lts.analytic("kv_cache_mib", m.architecture, n_prompt=32, batch=2, precision="float16")
            assert m.values["kv_cache_mib"] == expected

    def test_chunks(self, large: SearchSpace) -> None:
        search = Search(large, OBJECTIVES, algorithm="random")
        assert search.run(25_000) == 25_000
        assert search.n_told == 25_000
        assert search.run(0) == 0

    def test_only_analytic_columns(self, space: SearchSpace) -> None:
        search = Search(space, {"latency_ms": "min"})
        with pytest.raises(ValueError, match="unknown analytic quantity 'latency_ms'; expected one of decoder_params"):
            search.run(1)
        assert search.n_asked == 0
        with pytest.raises(ValueError, match="n is out of range"):
            search.run(-1)

    @pytest.mark.alone
    def test_ctrl_c(self, large: SearchSpace) -> None:
        search = Search(large, OBJECTIVES, algorithm="random")
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            search.run(10**12)
        assert time.monotonic() - start < 20
        timer.join()
        told = search.n_told
        assert told == search.n_asked > 0
        assert search.run(10) == 10
        assert search.n_told == told + 10

    def test_the_gil_is_released_and_calls_take_turns(self, large: SearchSpace) -> None:
        search = Search(large, OBJECTIVES, algorithm="random")
        thread = threading.Thread(target=search.run, args=(300_000,))
        thread.start()
        while repr(search) != "<Search, busy in another thread>":
            assert thread.is_alive()
        with pytest.raises(RuntimeError, match="the search is busy in another thread; calls on one search take turns"):
            search.ask(1)
        thread.join()
        assert search.n_told == search.n_asked == 300_000


class TestSaving:
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_goes_on_exactly_there(self, large: SearchSpace, algorithm: str) -> None:
        search = Search(large, OBJECTIVES, ["weight_mib<=300"], algorithm, seed=4)
        search.run(777)
        waiting = search.ask(5)
        search.tell_failed(waiting[2].id)
        text = search.save()
        assert "\n" not in text
        loaded = Search.load(text)
        assert loaded.save() == text
        assert (loaded.n_asked, loaded.n_told, loaded.n_failed) == (782, 777, 1)
        assert [c.id for c in loaded.pending()] == [c.id for c in search.pending()]
        assert [m.architecture for m in loaded.front()] == [m.architecture for m in search.front()]
        for s in (search, loaded):
            for c in s.pending():
                s.tell(c.id, values_of(s, c.architecture))
            s.run(333)
        assert loaded.save() == search.save()

    def test_equal_seeds(self, large: SearchSpace) -> None:
        first, second, other = (Search(large, OBJECTIVES, seed=s) for s in (5, 5, 6))
        for s in (first, second, other):
            s.run(300)
        assert first.save() == second.save()
        assert [c.architecture for c in first.ask(3)] != [c.architecture for c in other.ask(3)]

    def test_damaged_states(self, space: SearchSpace) -> None:
        search = Search(space, OBJECTIVES)
        search.run(10)
        search.ask(1)
        good = json.loads(search.save())

        def refuse(message: str, **changes: Any) -> None:
            with pytest.raises(ValueError, match=message):
                Search.load(json.dumps({**good, **changes}))

        refuse("search state: unknown key 'more'; allowed: schema, options", more=1)
        refuse("search state: schema is 2; this version reads 1", schema=2)
        refuse("search state: next_id", next_id=3)
        refuse("search state: random has 3 entries; it must have 4", random=[1, 2, 3])
        refuse("search state: n_told must be an integer from 0", n_told=-1)
        refuse("search state: .*seen", seen=[])
        refuse("d_model has no choices", space={**good["space"], "d_model": []})
        with pytest.raises(ValueError, match="search state: not JSON: line 1, column"):
            Search.load(search.save()[:-5])

    def test_golden_state_reads(self, golden: Path) -> None:
        # The numbers in it are made up; that the form is right is seen from what is refused.
        with pytest.raises(ValueError, match=r"search state: .*(seen|genotype|random|next_id)"):
            Search.load((golden / "search_state.json").read_text())
